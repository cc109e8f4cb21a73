// The categorical ops as PyTorch sees them: arguments to SoftmaxCall, outputs, threads.
#include <torch/csrc/stable/library.h>

#include <tuple>
#include <vector>

#include "memory.h"
#include "softmax_call.h"
#include "stores.h"

namespace likelihead {
namespace {

using torch::stable::new_empty;

// A call with everything but its outputs, and what keeps its memory alive.
struct Prepared {
  Prepared(const Tensor& logits, const Tensor& target) : logits(logits), target(target) {}

  SoftmaxCall call;
  Tensor logits, target;
  std::optional<Tensor> weight, logit_offset, where, sample_weight;
  ScalarType wide = ScalarType::Float;
  std::vector<int64_t> example_shape;
  double count = 0;  // what the mean divides by
};

// Whether the classes of an example lie side by side and the examples follow each other, as in channels_last.
bool is_channels_last(const Tensor& t) {
  int64_t expected = t.size(1);
  if (expected != 1 && t.stride(1) != 1) return false;
  for (int64_t d = t.dim() - 1; d >= 0; --d) {
    if (d == 1) continue;
    if (t.size(d) != 1 && t.stride(d) != expected) return false;
    expected *= t.size(d);
  }
  return true;
}

bool same_strides(const Tensor& a, const Tensor& b) {
  for (int64_t d = 0; d < a.dim(); ++d)
    if (a.size(d) != 1 && a.stride(d) != b.stride(d)) return false;
  return true;
}

double sum_of(const void* values, bool wide64, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i)
    total += wide64 ? static_cast<const double*>(values)[i] : double(static_cast<const float*>(values)[i]);
  return total;
}

// The class mask: as it lies, where its pixels are evenly apart.
void set_where(Prepared& p, const Tensor& logits, const Tensor& where) {
  STD_TORCH_CHECK(where.is_cpu() && where.scalar_type() == ScalarType::Bool && where.dim() == logits.dim(),
                  "where must be bool, of the logits' shape");
  for (int64_t d = 0; d < logits.dim(); ++d)
    STD_TORCH_CHECK(where.size(d) == logits.size(d), "where must be bool, of the logits' shape");
  auto evenly = [&](const Tensor& t) {
    int64_t run = 1;
    p.call.where_inner = 0;
    for (int64_t d = t.dim() - 1; d >= 2; --d) {
      if (t.size(d) == 1) continue;
      if (run == 1) p.call.where_inner = t.stride(d);
      else if (t.stride(d) != p.call.where_inner * run) return false;
      run *= t.size(d);
    }
    return true;
  };
  p.where = evenly(where) ? where : torch::stable::contiguous(where);
  if (p.where->numel()) evenly(*p.where);
  p.call.where_outer = p.where->stride(0);
  p.call.where_class = p.where->stride(1);
  p.call.where = static_cast<const uint8_t*>(p.where->data_ptr());
}

// The arguments that every op has.
#define LK_OPTION_PARAMETERS                                                                                 \
  const std::optional<Tensor>&weight, double label_smoothing, int64_t ignore_index, double z_loss,           \
      double softcap, const std::optional<Tensor>&logit_offset, bool torch_nonfinite,                        \
      const std::optional<Tensor>&where, double focal_gamma, const std::optional<Tensor>&sample_weight
#define LK_OPTION_ARGUMENTS                                                                                  \
  weight, label_smoothing, ignore_index, z_loss, softcap, logit_offset, torch_nonfinite, where, focal_gamma, \
      sample_weight

Prepared prepare(const Tensor& logits, const Tensor& target, LK_OPTION_PARAMETERS, bool in_place) {
  Prepared p(logits, target);
  SoftmaxCall& call = p.call;
  STD_TORCH_CHECK(logits.dim() >= 2, "logits must be [N, C] or [N, C, d1, ...]");
  STD_TORCH_CHECK(logits.is_cpu() && target.is_cpu(), "likelihead's native kernels run on the CPU");
  call.dtype = float_of(logits.scalar_type(), "logits");
  p.wide = call.dtype == Float::f64 ? ScalarType::Double : ScalarType::Float;
  call.classes = logits.size(1);
  const bool soft = !is_index(target.scalar_type(), call.target_kind);

  // The layout.
  int64_t pixels = 1;
  for (int64_t d = 2; d < logits.dim(); ++d) pixels *= logits.size(d);
  call.examples = logits.size(0) * pixels;
  call.pixels = std::max<int64_t>(1, pixels);
  bool rows = false, planes = logits.is_contiguous();
  if (!planes) rows = is_channels_last(logits) && (!soft || same_strides(logits, target));
  STD_TORCH_CHECK(planes || rows || !in_place, "in place needs logits that are contiguous or channels_last");
  p.logits = planes || rows ? logits : torch::stable::contiguous(logits);
  call.inner = rows ? 1 : pixels;
  call.logits = p.logits.data_ptr();
  p.example_shape.push_back(logits.size(0));
  for (int64_t d = 2; d < logits.dim(); ++d) p.example_shape.push_back(logits.size(d));

  // The target.
  if (soft) {
    STD_TORCH_CHECK(target.dim() == logits.dim(), "probability targets have the shape of the logits");
    for (int64_t d = 0; d < logits.dim(); ++d)
      STD_TORCH_CHECK(target.size(d) == logits.size(d), "probability targets have the shape of the logits");
    call.target_kind = target.scalar_type() == logits.scalar_type() ? Target::same : Target::wide;
    p.target = target;
    if (call.target_kind == Target::wide && target.scalar_type() != p.wide)
      p.target = torch::stable::to(target, p.wide);
    if (!rows) p.target = dense(p.target);
    p.count = double(call.examples);
  } else {
    STD_TORCH_CHECK(target.numel() == call.examples, "class indices have the logits' shape without the classes");
    p.target = dense(target);
  }
  call.target = p.target.data_ptr();

  // The options.
  auto per_class = [&](const std::optional<Tensor>& given, std::optional<Tensor>& kept, const char* name) {
    if (!given) return static_cast<const void*>(nullptr);
    STD_TORCH_CHECK(given->is_cpu() && given->numel() == call.classes, name, " must hold one number per class");
    kept = as_dtype(*given, p.wide);
    return static_cast<const void*>(kept->data_ptr());
  };
  call.weight = per_class(weight, p.weight, "weight");
  call.logit_offset = per_class(logit_offset, p.logit_offset, "logit_offset");
  call.label_smoothing = label_smoothing;
  call.ignore_index = ignore_index;
  call.z_loss = z_loss;
  call.softcap = softcap;
  call.torch_nonfinite = torch_nonfinite;
  call.weight_sum = double(call.classes);
  if (weight && label_smoothing > 0) call.weight_sum = sum_of(call.weight, call.dtype == Float::f64, call.classes);

  if (where) set_where(p, logits, *where);
  STD_TORCH_CHECK(focal_gamma == 0 || (!soft && label_smoothing == 0),
                  "a focal loss has class indices as targets, and no label smoothing");
  call.focal_gamma = focal_gamma;
  if (sample_weight) {
    const int64_t n = sample_weight->numel();
    STD_TORCH_CHECK(sample_weight->is_cpu() && (n > 0 ? call.examples % n == 0 : call.examples == 0),
                    "sample_weight must hold one number per example");
    p.sample_weight = as_dtype(*sample_weight, p.wide);
    call.sample_weight = p.sample_weight->data_ptr();
    call.sample_each = n > 0 ? std::max<int64_t>(1, call.examples / n) : 1;
    if (soft) p.count = sum_of(call.sample_weight, call.dtype == Float::f64, n) * double(call.sample_each);
  }

  if (!soft) p.count = count_classes(call);
  call.chunk = chunk_of(call);
  return p;
}

void run(const SoftmaxCall& call) {
  if (call.examples == 0 || call.classes == 0) return;
  const int64_t chunks = (call.examples + call.chunk - 1) / call.chunk;
  run_chunks(kernels().softmax, call, chunks, call.chunk * call.classes);
}

// A new gradient for the call to write.
Tensor new_gradient(Prepared& p) {
  Tensor grad = empty_as(p.logits);
  const size_t bytes = size_t(grad.numel()) * grad.element_size();
  p.call.grad = grad.data_ptr();
  p.call.past_caches = may_bypass_caches(p.call.grad, bytes, 2 * bytes);
  advise_huge_pages(p.call.grad, bytes);
  return grad;
}

std::tuple<Tensor, Tensor> softmax_nll(
    const Tensor& logits, const Tensor& target, LK_OPTION_PARAMETERS) {
  Prepared p = prepare(logits, target, LK_OPTION_ARGUMENTS, false);
  Tensor nll = new_empty(logits, p.example_shape, p.wide);
  Tensor lse = new_empty(logits, p.example_shape, p.wide);
  p.call.nll = nll.data_ptr();
  p.call.lse = lse.data_ptr();
  run(p.call);
  return {nll, lse};
}

// What the gradient is multiplied by: of nll one number or one per example, times `scale`; of lse alike.
void set_upstream(
    Prepared& p, const std::optional<Tensor>& grad_nll, const std::optional<Tensor>& grad_lse, double scale,
    std::vector<Tensor>& alive) {
  p.call.scale = grad_nll ? scale : 0.0;
  p.call.up_nll = upstream_of(p.call, grad_nll, p.wide, p.call.up_nll_stride, alive);
  p.call.up_lse = upstream_of(p.call, grad_lse, p.wide, p.call.up_lse_stride, alive);
}

Tensor softmax_nll_backward(
    const std::optional<Tensor>& grad_nll, const std::optional<Tensor>& grad_lse, double scale, bool mean,
    const Tensor& logits, const Tensor& target, LK_OPTION_PARAMETERS) {
  Prepared p = prepare(logits, target, LK_OPTION_ARGUMENTS, false);
  Tensor grad = new_gradient(p);
  std::vector<Tensor> alive;
  set_upstream(p, grad_nll, grad_lse, mean ? scale / p.count : scale, alive);
  run(p.call);
  return grad;
}

// The values, and over the logits their gradient: one look at the logits for both.
std::tuple<Tensor, Tensor> softmax_nll_(
    const std::optional<Tensor>& grad_nll, const std::optional<Tensor>& grad_lse, double scale, Tensor logits,
    const Tensor& target, LK_OPTION_PARAMETERS) {
  Prepared p = prepare(logits, target, LK_OPTION_ARGUMENTS, true);
  Tensor nll = new_empty(logits, p.example_shape, p.wide);
  Tensor lse = new_empty(logits, p.example_shape, p.wide);
  p.call.nll = nll.data_ptr();
  p.call.lse = lse.data_ptr();
  p.call.grad = p.logits.data_ptr();
  std::vector<Tensor> alive;
  set_upstream(p, grad_nll, grad_lse, scale, alive);
  run(p.call);
  return {nll, lse};
}

// The reduced loss, and its gradient by the logits for an upstream gradient of 1.
Tensor reduced(Prepared& p, bool mean, std::optional<double> normalizer) {
  SoftmaxCall& call = p.call;
  const int64_t chunks = (call.examples + call.chunk - 1) / call.chunk;
  double one = 0;
  std::vector<double> several(chunks > 1 ? chunks : 0);
  double* const sums = call.sums = chunks > 1 ? several.data() : &one;
  const double divisor = !mean ? 1.0 : normalizer ? *normalizer : p.count;
  call.scale = mean ? 1.0 / divisor : 1.0;
  run(call);
  double total = 0;
  for (int64_t k = 0; k < chunks; ++k) total += sums[k];
  Tensor loss = empty_number(p.wide);
  const double value = mean ? total / divisor : total;
  if (p.wide == ScalarType::Double) *static_cast<double*>(loss.data_ptr()) = value;
  else *static_cast<float*>(loss.data_ptr()) = float(value);
  return loss;
}

std::tuple<Tensor, Tensor> softmax_loss(
    const Tensor& logits, const Tensor& target, LK_OPTION_PARAMETERS, bool mean, std::optional<double> normalizer,
    bool with_grad) {
  Prepared p = prepare(logits, target, LK_OPTION_ARGUMENTS, false);
  Tensor grad = with_grad ? new_gradient(p) : empty_nothing(logits.scalar_type());
  Tensor loss = reduced(p, mean, normalizer);
  return {loss, grad};
}

Tensor softmax_loss_(
    Tensor logits, const Tensor& target, LK_OPTION_PARAMETERS, bool mean, std::optional<double> normalizer) {
  Prepared p = prepare(logits, target, LK_OPTION_ARGUMENTS, true);
  p.call.grad = p.logits.data_ptr();
  return reduced(p, mean, normalizer);
}

// The reduced loss without options, of contiguous logits and int64 classes, with its gradient. Two tensors without
// elements where the call is not of that kind: to ask from Python would take longer than many a loss, and so would the
// arguments that the other ops have (`kernels/native/plain.py`).
std::tuple<Tensor, Tensor> softmax_plain(
    const Tensor& logits, const Tensor& target, int64_t ignore_index, bool mean, bool with_grad) {
  Prepared p(logits, target);
  SoftmaxCall& call = p.call;
  p.wide = logits.scalar_type();
  bool fits = logits.is_cpu() && target.is_cpu() && (p.wide == ScalarType::Float || p.wide == ScalarType::Double) &&
              target.scalar_type() == ScalarType::Long && logits.is_contiguous() && target.is_contiguous();
  if (fits) {
    const auto shape = logits.sizes(), given = target.sizes();
    fits = shape.size() >= 2 && given.size() == shape.size() - 1 && given[0] == shape[0] && shape[1] > 1;
    for (size_t d = 2; fits && d < shape.size(); ++d) {
      fits = given[d - 1] == shape[d];
      call.inner *= shape[d];
    }
    fits = fits && shape[0] * call.inner > 0;
  }
  if (!fits) return {empty_nothing(ScalarType::Float), empty_nothing(ScalarType::Float)};
  call.logits = logits.data_ptr();
  call.dtype = p.wide == ScalarType::Double ? Float::f64 : Float::f32;
  call.classes = logits.size(1);
  call.weight_sum = double(call.classes);
  call.pixels = call.inner;
  call.examples = logits.size(0) * call.inner;
  call.target = target.data_ptr();
  call.ignore_index = ignore_index;
  call.torch_nonfinite = true;
  call.chunk = chunk_of(call);
  p.count = count_classes(call);
  Tensor grad = with_grad ? new_gradient(p) : empty_nothing(p.wide);
  return {reduced(p, mean, std::nullopt), grad};
}

}  // namespace
}  // namespace likelihead

#define LK_OPTIONS \
  "Tensor? weight, float label_smoothing, int ignore_index, float z_loss, float softcap, Tensor? logit_offset, " \
  "bool torch_nonfinite, Tensor? where, float focal_gamma, Tensor? sample_weight"

STABLE_TORCH_LIBRARY_FRAGMENT(likelihead, m) {
  m.def("softmax_nll(Tensor logits, Tensor target, " LK_OPTIONS ") -> (Tensor nll, Tensor lse)");
  m.def("softmax_nll_backward(Tensor? grad_nll, Tensor? grad_lse, float scale, bool mean, Tensor logits, "
        "Tensor target, " LK_OPTIONS ") -> Tensor");
  m.def("softmax_nll_(Tensor? grad_nll, Tensor? grad_lse, float scale, Tensor(a!) logits, Tensor target, " LK_OPTIONS
        ") -> (Tensor nll, Tensor lse)");
  m.def("softmax_loss(Tensor logits, Tensor target, " LK_OPTIONS
        ", bool mean, float? normalizer, bool with_grad) -> (Tensor loss, Tensor grad)");
  // What is a default here is a tenth of a microsecond less on the way from Python.
  m.def("softmax_plain(Tensor logits, Tensor target, int ignore_index=-100, bool mean=True, bool with_grad=True) -> "
        "(Tensor loss, Tensor grad)");
  m.def("softmax_loss_(Tensor(a!) logits, Tensor target, " LK_OPTIONS ", bool mean, float? normalizer) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(likelihead, CPU, m) {
  m.impl("softmax_nll", TORCH_BOX(&likelihead::softmax_nll));
  m.impl("softmax_nll_backward", TORCH_BOX(&likelihead::softmax_nll_backward));
  m.impl("softmax_nll_", TORCH_BOX(&likelihead::softmax_nll_));
  m.impl("softmax_loss", TORCH_BOX(&likelihead::softmax_loss));
  m.impl("softmax_plain", TORCH_BOX(&likelihead::softmax_plain));
  m.impl("softmax_loss_", TORCH_BOX(&likelihead::softmax_loss_));
}
