// Transpositions in registers.
#pragma once

#include "simd.h"

namespace {

// One step of a transposition: exchanges the lanes of a that have the bit `step` with those of b that lack it.
template <int step, class V, size_t... lane>
LK_INLINE void exchange(V& a, V& b, std::index_sequence<lane...>) {
  constexpr int n = sizeof...(lane);
  const V low = __builtin_shufflevector(a, b, (int(lane) & step ? n + int(lane) - step : int(lane))...);
  const V high = __builtin_shufflevector(a, b, (int(lane) & step ? n + int(lane) : int(lane) + step)...);
  a = low;
  b = high;
}
template <class A, int step>
LK_INLINE void transpose_steps(Vec<A>* rows) {
  constexpr int n = Lanes<A>::n;
  if constexpr (step < n) {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i)
      if (!(i & step)) exchange<step>(rows[i], rows[i + step], std::make_index_sequence<n>());
    transpose_steps<A, step * 2>(rows);
  }
}
// As many rows as a vector has lanes, turned into columns.
template <class A>
LK_INLINE void transpose(Vec<A>* rows) {
  transpose_steps<A, 1>(rows);
}

// Four classes of as many examples as a vector has lanes, `stride` apart. Where an instruction set has it: the
// vectors are put together from quarters as they are loaded, and what is left to shuffle stays within quarters,
// two instructions per class where the general way takes four or more.
template <class S>
struct FourClasses {
  static constexpr bool here = false;
  static void load(const S*, int64_t, Vec<Wide<S>>*) {}
  static void store(S*, int64_t, const Vec<Wide<S>>*, int) {}
};

#if LK_VECTOR_BYTES == 64
template <>
struct FourClasses<float> {
  static constexpr bool here = true;

  // Within each quarter: element k of vector j and element j of vector k change places.
  LK_INLINE void exchange(__m512* v) {
    const __m512 a = _mm512_unpacklo_ps(v[0], v[1]), b = _mm512_unpackhi_ps(v[0], v[1]);
    const __m512 c = _mm512_unpacklo_ps(v[2], v[3]), d = _mm512_unpackhi_ps(v[2], v[3]);
    v[0] = (__m512)_mm512_unpacklo_pd((__m512d)a, (__m512d)c);
    v[1] = (__m512)_mm512_unpackhi_pd((__m512d)a, (__m512d)c);
    v[2] = (__m512)_mm512_unpacklo_pd((__m512d)b, (__m512d)d);
    v[3] = (__m512)_mm512_unpackhi_pd((__m512d)b, (__m512d)d);
  }

  LK_INLINE void load(const float* from, int64_t stride, vf* four) {
    __m512 v[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {  // examples k, 4 + k, 8 + k, 12 + k
      const float* p = from + k * stride;
      v[k] = _mm512_castps128_ps512(_mm_loadu_ps(p));
      v[k] = _mm512_insertf32x4(v[k], _mm_loadu_ps(p + 4 * stride), 1);
      v[k] = _mm512_insertf32x4(v[k], _mm_loadu_ps(p + 8 * stride), 2);
      v[k] = _mm512_insertf32x4(v[k], _mm_loadu_ps(p + 12 * stride), 3);
    }
    exchange(v);
    for (int k = 0; k < 4; ++k) four[k] = (vf)v[k];
  }

  // `count` of them are classes; what stands in the others may go where the next example begins, but for the last.
  LK_INLINE void store(float* to, int64_t stride, const vf* four, int count) {
    __m512 v[4] = {(__m512)four[0], (__m512)four[1], (__m512)four[2], (__m512)four[3]};
    exchange(v);
#pragma GCC unroll 4
    for (int quarter = 0; quarter < 4; ++quarter)
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        float* p = to + (4 * quarter + k) * stride;
        const __m128 part = quarter == 0   ? _mm512_castps512_ps128(v[k])
                            : quarter == 1 ? _mm512_extractf32x4_ps(v[k], 1)
                            : quarter == 2 ? _mm512_extractf32x4_ps(v[k], 2)
                                           : _mm512_extractf32x4_ps(v[k], 3);
        if (quarter == 3 && k == 3) _mm_mask_storeu_ps(p, __mmask8((1u << count) - 1), part);
        else _mm_storeu_ps(p, part);
      }
  }
};
#endif

}  // namespace
