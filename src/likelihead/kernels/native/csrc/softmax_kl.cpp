// softmax_kl_ as PyTorch sees it: the divergence of a student's rows of logits from its teacher's.
#include <torch/csrc/stable/library.h>

#include <string>

#include "common.h"

namespace likelihead {
namespace {

Direction direction_of(const std::string& name) {
  if (name == "reverse") return Direction::reverse;
  if (name == "jsd") return Direction::jsd;
  STD_TORCH_CHECK(name == "forward", "direction is '", name, "'; expected 'forward', 'reverse' or 'jsd'");
  return Direction::forward;
}

Tensor softmax_kl_(
    const std::optional<Tensor>& grad, Tensor logits, const Tensor& teacher, std::string direction, double beta,
    double softcap, double teacher_softcap) {
  SoftmaxKLCall call;
  STD_TORCH_CHECK(logits.is_cpu() && teacher.is_cpu(), "likelihead's native kernels run on the CPU");
  call.dtype = float_of(logits.scalar_type(), "logits");
  STD_TORCH_CHECK(logits.dim() == 2 && logits.size(1) > 0 && logits.is_contiguous(),
                  "logits must be [N, V], contiguous, with a class or more");
  STD_TORCH_CHECK(teacher.dim() == 2 && teacher.size(0) == logits.size(0) && teacher.size(1) == logits.size(1) &&
                      teacher.scalar_type() == logits.scalar_type() && teacher.is_contiguous(),
                  "teacher must have the shape and the dtype of the logits, and be contiguous");
  const ScalarType wide = call.dtype == Float::f64 ? ScalarType::Double : ScalarType::Float;
  call.logits = logits.data_ptr();
  call.teacher = teacher.data_ptr();
  call.rows = logits.size(0);
  call.classes = logits.size(1);
  call.direction = direction_of(direction);
  STD_TORCH_CHECK(call.direction != Direction::jsd || (beta > 0 && beta < 1), "beta is ", beta,
                  "; expected a number between 0 and 1");
  STD_TORCH_CHECK(softcap >= 0 && teacher_softcap >= 0, "a softcap must be positive, or 0 for none");
  call.beta = beta;
  call.softcap = softcap;
  call.teacher_softcap = teacher_softcap;
  std::optional<Tensor> up;
  if (grad) {
    STD_TORCH_CHECK(grad->is_cpu() && (grad->numel() == 1 || grad->numel() == call.rows),
                    "an upstream gradient is one number, or one per row");
    up = as_dtype(*grad, wide);
    call.up = up->data_ptr();
    call.up_stride = grad->numel() == 1 ? 0 : 1;
  }
  Tensor values = torch::stable::new_empty(logits, {call.rows}, wide);
  call.values = values.data_ptr();
  const SoftmaxKLKernel kernel = kernels().softmax_kl;
  // A class costs about as much as two of softmax_nll_.
  for_chunks(call.rows, 2 * call.classes, [&](int64_t first, int64_t last) {
    if (first < last) kernel(call, first, last);
  });
  return values;
}

}  // namespace
}  // namespace likelihead

STABLE_TORCH_LIBRARY_FRAGMENT(likelihead, m) {
  m.def("softmax_kl_(Tensor? grad, Tensor(a!) logits, Tensor teacher, str direction, float beta, float softcap, "
        "float teacher_softcap) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(likelihead, CPU, m) { m.impl("softmax_kl_", TORCH_BOX(&likelihead::softmax_kl_)); }
