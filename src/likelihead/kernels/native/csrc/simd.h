// Vectors of one instruction set, by the compiler's vector extensions (GCC and Clang).
//
// Included once by each isa_*.cpp, which has set LK_VECTOR_BYTES and the target before. Everything here has
// internal linkage: code that was compiled for AVX-512 must never be the copy that the linker keeps for all.
// Only where the extensions make poor code does an intrinsic stand in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "calls.h"

#if LK_VECTOR_BYTES == 64 || LK_VECTOR_BYTES == 32
#include <immintrin.h>
#endif

#define LK_INLINE static inline __attribute__((always_inline))
#define LK_INLINE_MEMBER inline __attribute__((always_inline))
#define LK_LAMBDA_INLINE __attribute__((always_inline))
// For each of some vectors side by side. Steps of a computation that wait for each other are written one step after the
// other for all of them: vector after vector, a processor sees too few of the chains at a time.
#define LK_EACH _Pragma("GCC unroll 8") for (int j = 0; j < vectors; ++j)
// For the long parts of a kernel: in one function they would crowd each other out of the registers.
#define LK_APART __attribute__((noinline))

namespace {

template <class E>
struct VectorOf {
  typedef E type __attribute__((vector_size(LK_VECTOR_BYTES)));
};

using vf = VectorOf<float>::type;
using vd = VectorOf<double>::type;
using vi32 = VectorOf<int32_t>::type;
using vi64 = VectorOf<int64_t>::type;

// Half as many bytes: as many 16-bit numbers as a vector has floats.
typedef uint16_t vu16 __attribute__((vector_size(LK_VECTOR_BYTES / 2)));
using vu32 = VectorOf<uint32_t>::type;

// What a vector of A looks like: its type, the integers of the same width, and how many lanes it has.
template <class A>
struct Lanes;
template <>
struct Lanes<float> {
  using V = vf;
  using I = vi32;
  using Int = int32_t;
  static constexpr int n = LK_VECTOR_BYTES / 4;
};
template <>
struct Lanes<double> {
  using V = vd;
  using I = vi64;
  using Int = int64_t;
  static constexpr int n = LK_VECTOR_BYTES / 8;
};

template <class A>
using Vec = typename Lanes<A>::V;
template <class A>
using IVec = typename Lanes<A>::I;

template <class A>
LK_INLINE Vec<A> splat(A value) {
  return value - Vec<A>{};
}
template <class A>
LK_INLINE IVec<A> isplat(typename Lanes<A>::Int value) {
  return value - IVec<A>{};
}

template <class V, class P>
LK_INLINE V load_as(const P* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V, class P>
LK_INLINE void store_as(P* p, V v) {
  std::memcpy(p, &v, sizeof v);
}

template <class To, class From>
LK_INLINE To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

// The larger of the two; where one is NaN, the second (as the x86 instruction does).
LK_INLINE vf vmax(vf a, vf b) {
#if LK_VECTOR_BYTES == 64
  return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif LK_VECTOR_BYTES == 32
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}
LK_INLINE vd vmax(vd a, vd b) {
#if LK_VECTOR_BYTES == 64
  return (vd)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif LK_VECTOR_BYTES == 32
  return (vd)_mm256_max_pd((__m256d)a, (__m256d)b);
#else
  return a > b ? a : b;
#endif
}

// value * 2^n with one rounding, for n down to where it underflows to 0.
LK_INLINE vf scale_by_power(vf value, vf n) {
#if LK_VECTOR_BYTES == 64
  return (vf)_mm512_scalef_ps((__m512)value, (__m512)n);
#else
  vi32 whole = __builtin_convertvector(n, vi32);
  vi32 half = whole >> 1;  // in two steps: 2^-149 is no normal number
  return value * bits<vf>((half + 127) << 23) * bits<vf>((whole - half + 127) << 23);
#endif
}
LK_INLINE vd scale_by_power(vd value, vd n) {
#if LK_VECTOR_BYTES == 64
  return (vd)_mm512_scalef_pd((__m512d)value, (__m512d)n);
#else
  // The nearest integers of doubles below 2^51, by the bits of a sum with 1.5 * 2^52.
  vi64 whole = bits<vi64>(n + 0x1.8p52) - bits<vi64>(splat(0x1.8p52));
  vi64 half = whole >> 1;
  return value * bits<vd>((half + 1023) << 52) * bits<vd>((whole - half + 1023) << 52);
#endif
}

// Nearest integer, for |x| well below 2^22 (float) or 2^51 (double).
LK_INLINE vf round_small(vf x) { return (x + 0x1.8p23f) - 0x1.8p23f; }
LK_INLINE vd round_small(vd x) { return (x + 0x1.8p52) - 0x1.8p52; }

// Whether a comparison holds in every lane.
LK_INLINE bool all(vi32 v) {
#if LK_VECTOR_BYTES == 64
  return _mm512_movepi32_mask((__m512i)v) == 0xffff;
#elif LK_VECTOR_BYTES == 32
  return _mm256_movemask_ps((__m256)v) == 0xff;
#else
  int both = -1;
  for (int i = 0; i < Lanes<float>::n; ++i) both &= v[i];
  return both != 0;
#endif
}
LK_INLINE bool all(vi64 v) {
#if LK_VECTOR_BYTES == 64
  return _mm512_movepi64_mask((__m512i)v) == 0xff;
#elif LK_VECTOR_BYTES == 32
  return _mm256_movemask_pd((__m256d)v) == 0xf;
#else
  int64_t both = -1;
  for (int i = 0; i < Lanes<double>::n; ++i) both &= v[i];
  return both != 0;
#endif
}

// a * b - c with one rounding, whatever the compiler thinks of contraction.
LK_INLINE vd multiply_subtract(vd a, vd b, vd c) {
#if LK_VECTOR_BYTES == 64
  return (vd)_mm512_fmsub_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif LK_VECTOR_BYTES == 32
  return (vd)_mm256_fmsub_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  vd y;
  for (int i = 0; i < Lanes<double>::n; ++i) y[i] = __builtin_fma(a[i], b[i], -c[i]);
  return y;
#endif
}

// Keeps the compiler from contracting what follows with the product that v may be.
template <class V>
LK_INLINE V rounded(V v) {
#if defined(__x86_64__)
  asm("" : "+x"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#else
  asm("" : "+m"(v));
#endif
  return v;
}

template <class A>
LK_INLINE A sum_lanes(Vec<A> v) {
  A part[Lanes<A>::n];
  store_as(part, v);
  for (int width = Lanes<A>::n / 2; width; width /= 2)
    for (int i = 0; i < width; ++i) part[i] += part[i + width];
  return part[0];
}
LK_INLINE vd in_double(vd v) { return v; }
// The sums of each two lanes half a vector apart.
LK_INLINE vd in_double(vf v) {
  typedef float half __attribute__((vector_size(LK_VECTOR_BYTES / 2)));
  half part[2];
  std::memcpy(part, &v, sizeof v);
  return __builtin_convertvector(part[0], vd) + __builtin_convertvector(part[1], vd);
}
// By halves: the lanes are of one size.
LK_INLINE double sum_in_double(vd v) {
#if LK_VECTOR_BYTES == 64
  return _mm512_reduce_add_pd((__m512d)v);
#else
  return sum_lanes<double>(v);
#endif
}
LK_INLINE double sum_in_double(vf v) {
#if LK_VECTOR_BYTES == 64
  const __m256 low = _mm512_castps512_ps256((__m512)v), high = _mm512_extractf32x8_ps((__m512)v, 1);
  return _mm512_reduce_add_pd(_mm512_add_pd(_mm512_cvtps_pd(low), _mm512_cvtps_pd(high)));
#else
  float part[Lanes<float>::n];
  double wide[Lanes<float>::n];
  store_as(part, v);
  for (int i = 0; i < Lanes<float>::n; ++i) wide[i] = double(part[i]);
  for (int width = Lanes<float>::n / 2; width; width /= 2)
    for (int i = 0; i < width; ++i) wide[i] += wide[i + width];
  return wide[0];
#endif
}
// Among NaNs it may be either; a row with a NaN comes out NaN by its sum.
template <class A>
LK_INLINE A max_lanes(Vec<A> v) {
#if LK_VECTOR_BYTES == 64
  if constexpr (sizeof(A) == 4) return _mm512_reduce_max_ps((__m512)v);
  else return _mm512_reduce_max_pd((__m512d)v);
#else
  A part[Lanes<A>::n];
  store_as(part, v);
  for (int width = Lanes<A>::n / 2; width; width /= 2)
    for (int i = 0; i < width; ++i) part[i] = part[i] > part[i + width] ? part[i] : part[i + width];
  return part[0];
#endif
}

// Storage types. Wide<T> is what arithmetic on T is done in.
struct bf16 {
  uint16_t x;
};
struct f16 {
  uint16_t x;
};
template <likelihead::Float>
struct StoredAs;
template <>
struct StoredAs<likelihead::Float::f32> {
  using type = float;
};
template <>
struct StoredAs<likelihead::Float::f64> {
  using type = double;
};
template <>
struct StoredAs<likelihead::Float::bf16> {
  using type = bf16;
};
template <>
struct StoredAs<likelihead::Float::f16> {
  using type = f16;
};
template <class T>
struct WideOf {
  using type = float;
};
template <>
struct WideOf<double> {
  using type = double;
};
template <class T>
using Wide = typename WideOf<T>::type;

LK_INLINE vf load(const float* p) { return load_as<vf>(p); }
LK_INLINE vd load(const double* p) { return load_as<vd>(p); }
LK_INLINE vf load(const bf16* p) {
  return bits<vf>(__builtin_convertvector(load_as<vu16>(p), vu32) << 16);
}
LK_INLINE void store(float* p, vf v) { store_as(p, v); }
LK_INLINE void store(double* p, vd v) { store_as(p, v); }
LK_INLINE void store(bf16* p, vf v) {
  vu32 u = bits<vu32>(v);
  vu32 rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  // Rounding could carry a NaN's payload into infinity.
  vu32 quiet = (u >> 16) | 0x40u;
  store_as(p, __builtin_convertvector(v == v ? rounded : quiet, vu16));
}

LK_INLINE vf load(const f16* p) {
#if LK_VECTOR_BYTES == 64
  return (vf)_mm512_cvtph_ps(load_as<__m256i>(p));
#elif LK_VECTOR_BYTES == 32
  return (vf)_mm256_cvtph_ps(load_as<__m128i>(p));
#else
  // Rebias by a product that is exact also for the subnormal numbers.
  vu32 u = __builtin_convertvector(load_as<vu16>(p), vu32);
  vu32 magnitude = (u & 0x7fffu) << 13;
  vf value = bits<vf>(magnitude) * 0x1p112f;
  vu32 special = magnitude | 0x7f800000u;
  vu32 out = (magnitude >= (0x7c00u << 13)) ? special : bits<vu32>(value);
  return bits<vf>(out | ((u & 0x8000u) << 16));
#endif
}
LK_INLINE void store(f16* p, vf v) {
#if LK_VECTOR_BYTES == 64
  store_as(p, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#elif LK_VECTOR_BYTES == 32
  store_as(p, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#else
  vu32 u = bits<vu32>(v);
  vu32 sign = (u >> 16) & 0x8000u;
  vf size = bits<vf>(u & 0x7fffffffu);
  // A subnormal half: adding 0.5 leaves the mantissa rounded at 2^-24, to even.
  vu32 subnormal = bits<vu32>(size + 0.5f) - 0x3f000000u;
  vu32 m = bits<vu32>(size);
  vu32 normal = (m - 0x38000000u + 0xfffu + ((m >> 13) & 1u)) >> 13;
  vu32 out = size < 0x1p-14f ? subnormal : normal;
  vu32 infinity = 0x7c00u - vu32{};
  out = size >= 65520.0f ? infinity : out;
  out = v == v ? out : (0x7e00u - vu32{});
  store_as(p, __builtin_convertvector(out | sign, vu16));
#endif
}

// The first `count` of a vector's lanes; the others are `fill`.
template <class T>
LK_INLINE Vec<Wide<T>> load_some(const T* p, int count, Wide<T> fill) {
  constexpr int n = Lanes<Wide<T>>::n;
  T part[n] = {};
  for (int i = 0; i < n; ++i)
    if (i < count) part[i] = p[i];
  Wide<T> wide[n];
  store(wide, load(part));
  for (int i = 0; i < n; ++i)
    if (i >= count) wide[i] = fill;
  return load(wide);
}
template <class T>
LK_INLINE void store_some(T* p, Vec<Wide<T>> v, int count) {
  T part[Lanes<Wide<T>>::n];
  store(part, v);
  for (int i = 0; i < count; ++i) p[i] = part[i];
}
#if LK_VECTOR_BYTES == 64
// With masks, which touch no memory that they leave out.
LK_INLINE __mmask16 first_16(int count) { return __mmask16((1u << count) - 1); }
LK_INLINE __mmask8 first_8(int count) { return __mmask8((1u << count) - 1); }
template <>
inline __attribute__((always_inline)) vf load_some(const float* p, int count, float fill) {
  return (vf)_mm512_mask_loadu_ps((__m512)splat(fill), first_16(count), p);
}
template <>
inline __attribute__((always_inline)) vd load_some(const double* p, int count, double fill) {
  return (vd)_mm512_mask_loadu_pd((__m512d)splat(fill), first_8(count), p);
}
template <>
inline __attribute__((always_inline)) vf load_some(const bf16* p, int count, float fill) {
  const __m256i raw = _mm256_maskz_loadu_epi16(first_16(count), p);
  const __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16);
  return (vf)_mm512_mask_mov_ps((__m512)splat(fill), first_16(count), _mm512_castsi512_ps(wide));
}
template <>
inline __attribute__((always_inline)) vf load_some(const f16* p, int count, float fill) {
  const __m256i raw = _mm256_maskz_loadu_epi16(first_16(count), p);
  return (vf)_mm512_mask_mov_ps((__m512)splat(fill), first_16(count), _mm512_cvtph_ps(raw));
}
template <>
inline __attribute__((always_inline)) void store_some(float* p, vf v, int count) {
  _mm512_mask_storeu_ps(p, first_16(count), (__m512)v);
}
template <>
inline __attribute__((always_inline)) void store_some(double* p, vd v, int count) {
  _mm512_mask_storeu_pd(p, first_8(count), (__m512d)v);
}
template <>
inline __attribute__((always_inline)) void store_some(bf16* p, vf v, int count) {
  bf16 part[16];
  store(part, v);
  _mm256_mask_storeu_epi16(p, first_16(count), load_as<__m256i>(part));
}
template <>
inline __attribute__((always_inline)) void store_some(f16* p, vf v, int count) {
  f16 part[16];
  store(part, v);
  _mm256_mask_storeu_epi16(p, first_16(count), load_as<__m256i>(part));
}
#endif
LK_INLINE float load_one(const float* p) { return *p; }
LK_INLINE double load_one(const double* p) { return *p; }
LK_INLINE float load_one(const bf16* p) { return bits<float>(uint32_t(p->x) << 16); }
LK_INLINE float load_one(const f16* p) { return load_some(p, 1, 0.0f)[0]; }
LK_INLINE void store_one(float* p, float value) { *p = value; }
LK_INLINE void store_one(double* p, double value) { *p = value; }
template <class T>
LK_INLINE void store_one(T* p, float value) {
  store_some(p, splat(value), 1);
}
template <class A>
LK_INLINE IVec<A> lane_numbers() {
  typename Lanes<A>::Int part[Lanes<A>::n];
  for (int i = 0; i < Lanes<A>::n; ++i) part[i] = i;
  return load_as<IVec<A>>(part);
}

}  // namespace
