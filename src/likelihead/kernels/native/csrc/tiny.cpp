// The reduced losses without options, of one chunk: ops with few arguments, since for a tiny tensor it is the
// conversion of each argument from Python that takes the time (0.1 us each), not the kernel.
//
// They take just what the Python side sends them (`kernels/native/tiny.py`), and raise on anything else, having
// written nothing; the caller then goes the general way, which has the words for what is wrong.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "common.h"

namespace likelihead {
namespace {

constexpr int64_t most_elements = 32768;  // one chunk, and no second thread, of softmax.cpp and sigmoid.cpp

Tensor number(double value, ScalarType dtype) {
  Tensor t = empty_number(dtype);
  if (dtype == ScalarType::Double) *static_cast<double*>(t.data_ptr()) = value;
  else *static_cast<float*>(t.data_ptr()) = float(value);
  return t;
}

bool plain(const Tensor& t) {
  const ScalarType dtype = t.scalar_type();
  return t.is_cpu() && t.is_contiguous() && (dtype == ScalarType::Float || dtype == ScalarType::Double);
}

Tensor gradient(const Tensor& logits, bool wanted, void*& data) {
  if (!wanted) return empty_nothing(logits.scalar_type());
  Tensor grad = empty_as(logits);
  data = grad.data_ptr();
  return grad;
}

std::tuple<Tensor, Tensor> softmax_tiny(
    const Tensor& logits, const Tensor& target, int64_t ignore_index, bool mean, bool with_grad) {
  STD_TORCH_CHECK(
      plain(logits) && target.is_cpu() && target.is_contiguous() && target.scalar_type() == ScalarType::Long &&
          logits.dim() == 2 && target.dim() == 1 && target.size(0) == logits.size(0),
      "likelihead::softmax_tiny takes contiguous float32 or float64 logits [N, C] and int64 classes [N]");
  const int64_t examples = logits.size(0), classes = logits.size(1);
  STD_TORCH_CHECK(
      examples > 0 && classes > 0 && examples <= most_elements / classes, "likelihead::softmax_tiny takes 1 to ",
      most_elements, " logits");
  const auto* classes_of = static_cast<const int64_t*>(target.data_ptr());
  int64_t kept = 0;
  for (int64_t i = 0; i < examples; ++i) {
    if (classes_of[i] == ignore_index) continue;
    ++kept;
    STD_TORCH_CHECK(
        static_cast<uint64_t>(classes_of[i]) < static_cast<uint64_t>(classes),
        "class index out of range: ", classes_of[i], " at ", i);
  }
  const ScalarType dtype = logits.scalar_type();
  const double divisor = mean ? double(kept) : 1.0;
  double sum = 0;
  SoftmaxCall call;
  call.logits = logits.data_ptr();
  call.dtype = dtype == ScalarType::Double ? Float::f64 : Float::f32;
  call.classes = classes;
  call.target = classes_of;
  call.weight_sum = double(classes);
  call.ignore_index = ignore_index;
  call.torch_nonfinite = true;
  call.examples = call.chunk = examples;
  call.sums = &sum;
  call.scale = 1.0 / divisor;
  Tensor grad = gradient(logits, with_grad, call.grad);
  kernels().softmax(call, 0, 1);
  return {number(sum / divisor, dtype), grad};
}

std::tuple<Tensor, Tensor> sigmoid_tiny(const Tensor& logits, const Tensor& target, bool mean, bool with_grad) {
  const int64_t count = logits.numel();
  STD_TORCH_CHECK(
      plain(logits) && plain(target) && target.scalar_type() == logits.scalar_type() && target.numel() == count,
      "likelihead::sigmoid_tiny takes contiguous float32 or float64 logits and labels of the same shape");
  STD_TORCH_CHECK(
      count > 0 && count <= most_elements, "likelihead::sigmoid_tiny takes 1 to ", most_elements, " logits");
  const ScalarType dtype = logits.scalar_type();
  const double divisor = mean ? double(count) : 1.0;
  double sum = 0;
  SigmoidCall call;
  call.logits = logits.data_ptr();
  call.dtype = dtype == ScalarType::Double ? Float::f64 : Float::f32;
  call.count = call.chunk = count;
  call.target = target.data_ptr();
  call.torch_nonfinite = true;
  call.sums = &sum;
  call.scale = 1.0 / divisor;
  Tensor grad = gradient(logits, with_grad, call.grad);
  kernels().sigmoid(call, 0, 1);
  return {number(sum / divisor, dtype), grad};
}

}  // namespace
}  // namespace likelihead

STABLE_TORCH_LIBRARY_FRAGMENT(likelihead, m) {
  m.def("softmax_tiny(Tensor logits, Tensor target, int ignore_index, bool mean, bool with_grad) -> "
        "(Tensor loss, Tensor grad)");
  m.def("sigmoid_tiny(Tensor logits, Tensor target, bool mean, bool with_grad) -> (Tensor loss, Tensor grad)");
}

STABLE_TORCH_LIBRARY_IMPL(likelihead, CPU, m) {
  m.impl("softmax_tiny", TORCH_BOX(&likelihead::softmax_tiny));
  m.impl("sigmoid_tiny", TORCH_BOX(&likelihead::sigmoid_tiny));
}
