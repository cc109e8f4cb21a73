// A 16-bit array times a number. Bytes per element: 2 read, 2 written; no exponential.
#pragma once

#include "simd.h"
#include "calls.h"

namespace {

template <class T>
void scale_numbers(T* values, float factor, int64_t count) {
  constexpr int n = Lanes<float>::n;
  int64_t i = 0;
  for (; i + n <= count; i += n) {
    const vf v = load(values + i);
    store(values + i, v == 0.0f ? v : v * factor);
  }
  if (i < count) {
    const vf v = load_some(values + i, int(count - i), 0.0f);
    store_some(values + i, v == 0.0f ? v : v * factor, int(count - i));
  }
}

inline void scale_16_bit(void* data, likelihead::Float dtype, float factor, int64_t begin, int64_t end) {
  if (dtype == likelihead::Float::bf16)
    scale_numbers(static_cast<bf16*>(data) + begin, factor, end - begin);
  else
    scale_numbers(static_cast<f16*>(data) + begin, factor, end - begin);
}

}  // namespace
