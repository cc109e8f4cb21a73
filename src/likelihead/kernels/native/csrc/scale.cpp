// The gradient that a forward pass made, times the upstream gradient of the reduced loss.
#include <torch/csrc/stable/library.h>

#include <cmath>

#include "common.h"

namespace likelihead {
namespace {

template <class A>
void scale_all(void* data, int64_t count, A factor) {
  A* values = static_cast<A*>(data);
  constexpr int64_t chunk = 1 << 16;
  for_chunks((count + chunk - 1) / chunk, chunk, [&](int64_t first, int64_t last) {
    const int64_t end = std::min(count, last * chunk);
    // The gradient of an ignored example stays 0 whatever comes from above.
    for (int64_t i = first * chunk; i < end; ++i) values[i] = values[i] == 0 ? values[i] : values[i] * factor;
  });
}

void scale_16_bit(void* data, int64_t count, Float dtype, float factor) {
  constexpr int64_t chunk = 1 << 16;
  for_chunks((count + chunk - 1) / chunk, chunk, [&](int64_t first, int64_t last) {
    kernels().scale_16_bit(data, dtype, factor, first * chunk, std::min(count, last * chunk));
  });
}

double number(const Tensor& t) {
  switch (t.scalar_type()) {
    case ScalarType::Float: return double(*static_cast<const float*>(t.data_ptr()));
    case ScalarType::Double: return *static_cast<const double*>(t.data_ptr());
    default: return *static_cast<const double*>(as_dtype(t, ScalarType::Double).data_ptr());
  }
}

// False where the gradient has been left alone, since a second rounding would show: make it anew. Nothing is
// read or written for an upstream gradient of 1, which is what `loss.backward()` starts with.
bool scale_(Tensor grad, const Tensor& upstream, bool whatever_rounding) {
  const Float dtype = float_of(grad.scalar_type(), "grad");
  STD_TORCH_CHECK(upstream.numel() == 1, "the upstream gradient of a reduced loss is one number");
  const double factor = number(upstream);
  if (factor == 1) return true;
  const bool narrow = dtype == Float::bf16 || dtype == Float::f16;
  int exponent;
  const bool exact = std::isfinite(factor) && std::abs(std::frexp(factor, &exponent)) == 0.5;
  if (narrow && !exact && !whatever_rounding) return false;
  if (dtype == Float::f64) scale_all(grad.data_ptr(), grad.numel(), factor);
  else if (dtype == Float::f32) scale_all(grad.data_ptr(), grad.numel(), float(factor));
  else scale_16_bit(grad.data_ptr(), grad.numel(), dtype, float(factor));
  return true;
}

}  // namespace
}  // namespace likelihead

STABLE_TORCH_LIBRARY_FRAGMENT(likelihead, m) {
  m.def("scale_(Tensor(a!) grad, Tensor upstream, bool whatever_rounding) -> bool");
}

STABLE_TORCH_LIBRARY_IMPL(likelihead, CPU, m) { m.impl("scale_", TORCH_BOX(&likelihead::scale_)); }
