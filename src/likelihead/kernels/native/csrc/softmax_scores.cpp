// softmax_scores_ as PyTorch sees it: what is scored of a head's chunk of logits.
#include <torch/csrc/stable/library.h>

#include <tuple>
#include <vector>

#include "softmax_call.h"

namespace likelihead {
namespace {

// Nothing goes past the caches: the gradient is a factor of the products that follow.
std::tuple<Tensor, Tensor, Tensor, Tensor> softmax_scores_(
    const std::optional<Tensor>& grad_nll, const std::optional<Tensor>& grad_lse,
    const std::optional<Tensor>& grad_entropy, Tensor logits, const Tensor& target, int64_t ignore_index,
    double softcap, bool prediction) {
  ScoresCall call;
  STD_TORCH_CHECK(logits.is_cpu() && target.is_cpu(), "likelihead's native kernels run on the CPU");
  STD_TORCH_CHECK(logits.dim() == 2 && logits.is_contiguous(), "logits must be [N, V], contiguous");
  STD_TORCH_CHECK(is_index(target.scalar_type(), call.target_kind), "target must hold class indices");
  call.dtype = float_of(logits.scalar_type(), "logits");
  const ScalarType wide = call.dtype == Float::f64 ? ScalarType::Double : ScalarType::Float;
  const int64_t n = logits.size(0);
  call.examples = n;
  call.classes = logits.size(1);
  STD_TORCH_CHECK(call.classes > 0 || n == 0, "logits must have a class: they are [", n, ", 0]");
  STD_TORCH_CHECK(target.numel() == n, "target must hold one class index per row of logits");
  call.logits = logits.data_ptr();
  const Tensor dense_target = dense(target);
  call.target = dense_target.data_ptr();
  call.ignore_index = ignore_index;
  call.softcap = softcap;

  std::vector<Tensor> alive;
  call.up_nll = upstream_of(call, grad_nll, wide, call.up_nll_stride, alive);
  call.up_lse = upstream_of(call, grad_lse, wide, call.up_lse_stride, alive);
  call.up_entropy = upstream_of(call, grad_entropy, wide, call.up_entropy_stride, alive);
  if (grad_nll || grad_lse || grad_entropy) call.grad = logits.data_ptr();

  Tensor nll = torch::stable::new_empty(logits, {n}, wide), lse = torch::stable::new_empty(logits, {n}, wide);
  Tensor entropy = torch::stable::new_empty(logits, {n}, wide);
  Tensor largest = torch::stable::new_empty(logits, {prediction ? n : 0}, ScalarType::Long);
  call.nll = nll.data_ptr();
  call.lse = lse.data_ptr();
  call.entropy = entropy.data_ptr();
  if (prediction) call.prediction = static_cast<int64_t*>(largest.data_ptr());

  count_classes(call);
  call.chunk = chunk_of(call);
  for_chunks((n + call.chunk - 1) / call.chunk, call.chunk * call.classes,
             [&](int64_t first, int64_t last) { kernels().scores(call, first, last); });
  return {nll, lse, entropy, largest};
}

}  // namespace
}  // namespace likelihead

STABLE_TORCH_LIBRARY_FRAGMENT(likelihead, m) {
  m.def("softmax_scores_(Tensor? grad_nll, Tensor? grad_lse, Tensor? grad_entropy, Tensor(a!) logits, Tensor target, "
        "int ignore_index, float softcap, bool prediction) -> "
        "(Tensor nll, Tensor lse, Tensor entropy, Tensor prediction)");
}

STABLE_TORCH_LIBRARY_IMPL(likelihead, CPU, m) {
  m.impl("softmax_scores_", TORCH_BOX(&likelihead::softmax_scores_));
}
