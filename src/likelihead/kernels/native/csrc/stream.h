// Stores that bypass the caches; memory.h says when.
#pragma once

#include "simd.h"

namespace {

// For addresses aligned to the vector.
template <class T, class V>
LK_INLINE void stream(T* p, V v) {
#if LK_VECTOR_BYTES == 64
  if constexpr (sizeof(T) == 4) return _mm512_stream_ps(reinterpret_cast<float*>(p), (__m512)v);
  if constexpr (sizeof(T) == 8) return _mm512_stream_pd(reinterpret_cast<double*>(p), (__m512d)v);
#endif
  store(p, v);
}

// Before another thread reads what was streamed.
LK_INLINE void end_of_stream() {
#if LK_VECTOR_BYTES == 64
  _mm_sfence();
#endif
}

}  // namespace
