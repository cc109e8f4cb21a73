// What the ops share: dtypes, threads, and the choice of the instruction set.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "calls.h"

namespace likelihead {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// The kernels for this processor; LIKELIHEAD_ISA=baseline|avx2|avx512 takes a lesser one, for tests.
const Kernels& kernels();

inline Float float_of(ScalarType dtype, const char* name) {
  switch (dtype) {
    case ScalarType::Float: return Float::f32;
    case ScalarType::Double: return Float::f64;
    case ScalarType::BFloat16: return Float::bf16;
    case ScalarType::Half: return Float::f16;
    default: STD_TORCH_CHECK(false, name, " must be float32, float64, bfloat16 or float16");
  }
  return Float::f32;
}

inline Tensor dense(const Tensor& t) { return t.is_contiguous() ? t : torch::stable::contiguous(t); }

inline Tensor as_dtype(const Tensor& t, ScalarType dtype) {
  return dense(t.scalar_type() == dtype ? t : torch::stable::to(t, dtype));
}

// New tensors straight from the allocator: through the dispatcher each would cost a tiny call a microsecond.
inline Tensor empty_strided(int64_t dim, const int64_t* sizes, const int64_t* strides, ScalarType dtype) {
  int32_t code = 0;
  switch (dtype) {
    case ScalarType::Float: code = aoti_torch_dtype_float32(); break;
    case ScalarType::Double: code = aoti_torch_dtype_float64(); break;
    case ScalarType::BFloat16: code = aoti_torch_dtype_bfloat16(); break;
    default: code = aoti_torch_dtype_float16(); break;
  }
  AtenTensorHandle handle = nullptr;
  TORCH_ERROR_CODE_CHECK(
      aoti_torch_empty_strided(dim, sizes, strides, code, aoti_torch_device_type_cpu(), 0, &handle));
  return Tensor(handle);
}
// Of the sizes and strides of t, which is dense.
inline Tensor empty_as(const Tensor& t) {
  return empty_strided(t.dim(), t.sizes().data(), t.strides().data(), t.scalar_type());
}
inline Tensor empty_number(ScalarType dtype) { return empty_strided(0, nullptr, nullptr, dtype); }
inline Tensor empty_nothing(ScalarType dtype) {
  const int64_t size = 0, stride = 1;
  return empty_strided(1, &size, &stride, dtype);
}

// As many elements as a second thread has to get for it to save more time than it takes to wake: threads.cpp measures
// it when it is first asked.
int64_t worth_a_thread();
constexpr int64_t least_for_threads = 8192;  // fewer are done before it could be asked

// Runs f(first, last) over chunks, about `chunk_cost` elements each, on torch's threads.
template <class F>
void for_chunks(int64_t chunks, int64_t chunk_cost, const F& f) {
  if (chunks > 1 && chunks * chunk_cost >= least_for_threads && torch::stable::get_num_threads() > 1) {
    const int64_t grain = std::max<int64_t>(1, worth_a_thread() / std::max<int64_t>(1, chunk_cost));
    if (chunks > grain) return torch::stable::parallel_for(0, chunks, grain, f);
  }
  f(int64_t(0), chunks);
}

}  // namespace likelihead
