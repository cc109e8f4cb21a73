// The binary ops as PyTorch sees them: arguments to SigmoidCall, outputs, threads.
#include <torch/csrc/stable/library.h>

#include <cmath>
#include <tuple>
#include <vector>

#include "common.h"
#include "memory.h"
#include "stores.h"

namespace likelihead {
namespace {

using torch::stable::new_empty;

struct PreparedSigmoid {
  PreparedSigmoid(const Tensor& logits, const Tensor& target) : logits(logits), target(target) {}

  SigmoidCall call;
  Tensor logits, target;
  std::vector<Tensor> alive;
  ScalarType wide = ScalarType::Float;
};

// So many weights, repeated after n.
template <class A>
Tensor repeated(const Tensor& weights, int64_t n, int64_t size) {
  const int64_t stride = 1;
  Tensor all = empty_strided(1, &size, &stride, weights.scalar_type());
  A* to = static_cast<A*>(all.data_ptr());
  std::copy_n(static_cast<const A*>(weights.data_ptr()), n, to);
  for (int64_t i = n; i < size; ++i) to[i] = to[i - n];
  return all;
}

// A weight that the caller has broadcast: one number, one per column of the last dimension, or one each.
const void* spread_of(PreparedSigmoid& p, const std::optional<Tensor>& given, int64_t& period, const char* name) {
  if (!given) return nullptr;
  const Tensor& logits = p.logits;
  STD_TORCH_CHECK(given->is_cpu() && given->dim() <= logits.dim(), name, " must broadcast to the logits on the CPU");
  const int64_t dim = given->dim(), n = given->numel();
  const int64_t columns = logits.dim() ? logits.size(logits.dim() - 1) : 1;
  Tensor weights = as_dtype(*given, p.wide);
  if (n == p.call.count && dim == logits.dim()) {
    period = 0;
  } else {
    STD_TORCH_CHECK(n == 1 || (n == columns && given->size(dim - 1) == n), name, " must be expanded to the logits' shape");
    // Several periods are one too, and no block comes to a weight twice.
    const int64_t block = std::min(p.call.count, sigmoid_block);
    period = std::max<int64_t>(1, (block + n - 1) / n) * n;
    const int64_t size = period + block;
    weights = p.wide == ScalarType::Double ? repeated<double>(weights, n, size) : repeated<float>(weights, n, size);
  }
  p.alive.push_back(weights);
  return weights.data_ptr();
}

// The arguments that every op has.
#define LK_OPTION_PARAMETERS                                                                                    \
  const std::optional<Tensor>&weight, const std::optional<Tensor>&pos_weight, const std::optional<Tensor>&mask, \
      bool skip_nan_target, bool torch_nonfinite, double label_smoothing, const std::optional<Tensor>&prior,    \
      double focal_gamma, double focal_alpha, const std::optional<Tensor>&sample_weight
#define LK_OPTION_ARGUMENTS                                                                                     \
  weight, pos_weight, mask, skip_nan_target, torch_nonfinite, label_smoothing, prior, focal_gamma, focal_alpha, \
      sample_weight

// How many elements make a chunk: see softmax.cpp.
int64_t chunk_of(const SigmoidCall& call) {
  return std::clamp<int64_t>(call.count / 16 / sigmoid_block * sigmoid_block, 8 * sigmoid_block, 1 << 15);
}

PreparedSigmoid prepare(const Tensor& logits, const Tensor& target, LK_OPTION_PARAMETERS) {
  PreparedSigmoid p(logits, target);
  SigmoidCall& call = p.call;
  STD_TORCH_CHECK(logits.is_cpu() && target.is_cpu(), "likelihead's native kernels run on the CPU");
  call.dtype = float_of(logits.scalar_type(), "logits");
  p.wide = call.dtype == Float::f64 ? ScalarType::Double : ScalarType::Float;
  p.logits = dense(logits);
  call.logits = p.logits.data_ptr();
  call.count = logits.numel();
  STD_TORCH_CHECK(target.numel() == call.count, "target must have the logits' shape");
  const ScalarType given = target.scalar_type();
  call.wide_target = given != logits.scalar_type();
  p.target = call.wide_target ? as_dtype(target, p.wide) : dense(target);
  call.target = p.target.data_ptr();
  call.weight = spread_of(p, weight, call.weight_period, "weight");
  call.pos_weight = spread_of(p, pos_weight, call.pos_weight_period, "pos_weight");
  if (mask) {
    STD_TORCH_CHECK(mask->numel() == call.count && mask->scalar_type() == ScalarType::Bool, "mask must be bool, of the logits' shape");
    p.alive.push_back(dense(*mask));
    call.mask = static_cast<const uint8_t*>(p.alive.back().data_ptr());
  }
  const bool floating = given == ScalarType::Float || given == ScalarType::Double ||
                        given == ScalarType::Half || given == ScalarType::BFloat16;
  call.skip_nan_target = skip_nan_target && floating;
  call.torch_nonfinite = torch_nonfinite;
  call.label_smoothing = label_smoothing;
  if (label_smoothing > 0) call.prior = spread_of(p, prior, call.prior_period, "prior");
  call.focal_gamma = focal_gamma;
  call.focal_alpha = focal_alpha;
  if (sample_weight) {
    const int64_t n = sample_weight->numel();
    STD_TORCH_CHECK(sample_weight->is_cpu() && (n > 0 ? call.count % n == 0 : call.count == 0),
                    "sample_weight must hold one number per example");
    p.alive.push_back(as_dtype(*sample_weight, p.wide));
    call.sample_weight = p.alive.back().data_ptr();
    call.sample_each = n > 0 ? std::max<int64_t>(1, call.count / n) : 1;
  }
  call.chunk = chunk_of(call);
  return p;
}

void run(const SigmoidCall& call) {
  const int64_t chunks = (call.count + call.chunk - 1) / call.chunk;
  run_chunks(kernels().sigmoid, call, chunks, call.chunk);
}

void* fresh(const Tensor& t) {
  void* p = t.data_ptr();
  advise_huge_pages(p, size_t(t.numel()) * t.element_size());
  return p;
}

void set_gradient(PreparedSigmoid& p, const Tensor& grad) {
  p.call.grad = fresh(grad);
  const size_t bytes = size_t(grad.numel()) * grad.element_size();
  p.call.past_caches = may_bypass_caches(p.call.grad, bytes, 3 * bytes);  // logits, target, gradient
}

std::vector<int64_t> shape_of(const Tensor& t) {
  std::vector<int64_t> shape;
  for (int64_t d = 0; d < t.dim(); ++d) shape.push_back(t.size(d));
  return shape;
}

Tensor sigmoid_nll(
    const Tensor& logits, const Tensor& target, LK_OPTION_PARAMETERS) {
  PreparedSigmoid p = prepare(logits, target, LK_OPTION_ARGUMENTS);
  Tensor nll = new_empty(logits, shape_of(logits), p.wide);
  p.call.nll = fresh(nll);
  run(p.call);
  return nll;
}

Tensor sigmoid_nll_backward(
    const Tensor& grad_nll, double scale, const Tensor& logits, const Tensor& target,
    LK_OPTION_PARAMETERS) {
  PreparedSigmoid p = prepare(logits, target, LK_OPTION_ARGUMENTS);
  Tensor grad = empty_as(p.logits);
  set_gradient(p, grad);
  p.call.scale = scale;
  Tensor up = grad_nll.scalar_type() == p.wide ? grad_nll : torch::stable::to(grad_nll, p.wide);
  bool one_number = true;
  for (int64_t d = 0; d < up.dim(); ++d) one_number = one_number && (up.size(d) == 1 || up.stride(d) == 0);
  if (!one_number) {
    STD_TORCH_CHECK(up.numel() == p.call.count, "an upstream gradient is one number, or one per element");
    up = dense(up);
    p.call.up_is_each = true;
  }
  p.call.up = up.data_ptr();
  run(p.call);
  return grad;
}

// What the mean divides by: the elements that are not left out, or their sample weights.
double count_valid(const PreparedSigmoid& p) {
  const SigmoidCall& call = p.call;
  auto sample = [&](int64_t i) {
    return p.wide == ScalarType::Double ? static_cast<const double*>(call.sample_weight)[i]
                                        : double(static_cast<const float*>(call.sample_weight)[i]);
  };
  if (!call.mask && !call.skip_nan_target) {
    double total = call.sample_weight ? 0.0 : double(call.count);
    for (int64_t i = 0; call.sample_weight && i < call.count / call.sample_each; ++i)
      total += double(call.sample_each) * sample(i);
    return total;
  }
  const bool wide = call.wide_target || call.dtype == Float::f32 || call.dtype == Float::f64;
  const int64_t chunks = (call.count + call.chunk - 1) / call.chunk;
  std::vector<double> counts(chunks);
  for_chunks(chunks, call.chunk, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
      const int64_t end = std::min(call.count, (k + 1) * call.chunk);
      int64_t valid = 0;
      double weights = 0;
      for (int64_t i = k * call.chunk; i < end; ++i) {
        bool labelled = true;
        if (call.skip_nan_target) {
          if (!wide) {
            const uint16_t size = static_cast<const uint16_t*>(call.target)[i] & 0x7fff;
            labelled = size <= (call.dtype == Float::bf16 ? 0x7f80 : 0x7c00);
          } else if (p.wide == ScalarType::Double) {
            labelled = !std::isnan(static_cast<const double*>(call.target)[i]);
          } else {
            labelled = !std::isnan(static_cast<const float*>(call.target)[i]);
          }
        }
        const bool counts_here = labelled && (!call.mask || call.mask[i]);
        valid += counts_here;
        if (call.sample_weight && counts_here) weights += sample(i / call.sample_each);
      }
      counts[k] = call.sample_weight ? weights : double(valid);
    }
  });
  double total = 0;
  for (double part : counts) total += part;
  return total;
}

// The reduced loss, with its gradient by the logits for an upstream gradient of 1 in `grad` if there is one.
Tensor reduced(PreparedSigmoid& p, double divisor) {
  p.call.scale = 1.0 / divisor;
  std::vector<double> sums((p.call.count + p.call.chunk - 1) / p.call.chunk);
  p.call.sums = sums.data();
  run(p.call);
  double total = 0;
  for (double part : sums) total += part;
  Tensor loss = empty_number(p.wide);
  if (p.wide == ScalarType::Double) *static_cast<double*>(loss.data_ptr()) = total / divisor;
  else *static_cast<float*>(loss.data_ptr()) = float(total / divisor);
  return loss;
}

Tensor new_gradient(PreparedSigmoid& p) {
  Tensor grad = empty_as(p.logits);
  set_gradient(p, grad);
  return grad;
}

std::tuple<Tensor, Tensor> sigmoid_loss(
    const Tensor& logits, const Tensor& target, LK_OPTION_PARAMETERS, bool mean, std::optional<double> normalizer, bool with_grad) {
  PreparedSigmoid p = prepare(logits, target, LK_OPTION_ARGUMENTS);
  Tensor grad = with_grad ? new_gradient(p) : empty_nothing(logits.scalar_type());
  return {reduced(p, !mean ? 1.0 : normalizer ? *normalizer : count_valid(p)), grad};
}

// The reduced loss without options but a pos_weight of one number or one per column, of contiguous tensors: see
// softmax_plain.
std::tuple<Tensor, Tensor> sigmoid_plain(
    const Tensor& logits, const Tensor& target, bool mean, bool with_grad, const std::optional<Tensor>& pos_weight) {
  PreparedSigmoid p(logits, target);
  SigmoidCall& call = p.call;
  p.wide = logits.scalar_type();
  bool fits = logits.is_cpu() && target.is_cpu() && (p.wide == ScalarType::Float || p.wide == ScalarType::Double) &&
              target.scalar_type() == p.wide && logits.is_contiguous() && target.is_contiguous();
  if (fits) {
    const auto shape = logits.sizes(), given = target.sizes();
    call.count = logits.numel();
    fits = given.size() == shape.size() && call.count > 0;
    for (size_t d = 0; fits && d < shape.size(); ++d) fits = given[d] == shape[d];
    if (fits && pos_weight) {
      const int64_t n = pos_weight->numel(), dim = pos_weight->dim();
      fits = pos_weight->is_cpu() && pos_weight->scalar_type() == p.wide && dim <= 1 && dim <= logits.dim() &&
             (n == 1 || n == shape[shape.size() - 1]);
    }
  }
  if (!fits) return {empty_nothing(ScalarType::Float), empty_nothing(ScalarType::Float)};
  call.logits = logits.data_ptr();
  call.dtype = p.wide == ScalarType::Double ? Float::f64 : Float::f32;
  call.target = target.data_ptr();
  call.pos_weight = spread_of(p, pos_weight, call.pos_weight_period, "pos_weight");
  call.torch_nonfinite = true;
  call.chunk = chunk_of(call);
  Tensor grad = with_grad ? new_gradient(p) : empty_nothing(p.wide);
  return {reduced(p, mean ? double(call.count) : 1.0), grad};
}

}  // namespace
}  // namespace likelihead

#define LK_OPTIONS \
  "Tensor? weight, Tensor? pos_weight, Tensor? mask, bool skip_nan_target, bool torch_nonfinite, " \
  "float label_smoothing, Tensor? prior, float focal_gamma, float focal_alpha, Tensor? sample_weight"

STABLE_TORCH_LIBRARY_FRAGMENT(likelihead, m) {
  m.def("sigmoid_nll(Tensor logits, Tensor target, " LK_OPTIONS ") -> Tensor");
  m.def("sigmoid_nll_backward(Tensor grad_nll, float scale, Tensor logits, Tensor target, " LK_OPTIONS ") -> Tensor");
  m.def("sigmoid_loss(Tensor logits, Tensor target, " LK_OPTIONS
        ", bool mean, float? normalizer, bool with_grad) -> (Tensor loss, Tensor grad)");
  m.def("sigmoid_plain(Tensor logits, Tensor target, bool mean=True, bool with_grad=True, Tensor? pos_weight=None) -> "
        "(Tensor loss, Tensor grad)");
}

STABLE_TORCH_LIBRARY_IMPL(likelihead, CPU, m) {
  m.impl("sigmoid_nll", TORCH_BOX(&likelihead::sigmoid_nll));
  m.impl("sigmoid_nll_backward", TORCH_BOX(&likelihead::sigmoid_nll_backward));
  m.impl("sigmoid_loss", TORCH_BOX(&likelihead::sigmoid_loss));
  m.impl("sigmoid_plain", TORCH_BOX(&likelihead::sigmoid_plain));
}
