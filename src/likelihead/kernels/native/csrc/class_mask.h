// Which classes an example can have: one byte per logit, of any strides, as the lanes of a vector.
#pragma once

#include "calls.h"
#include "simd.h"

namespace {

typedef uint8_t bytes_16 __attribute__((vector_size(16)));
typedef uint8_t bytes_8 __attribute__((vector_size(8)));
typedef uint8_t bytes_4 __attribute__((vector_size(4)));
typedef uint8_t bytes_2 __attribute__((vector_size(2)));
template <int n>
struct Bytes;
template <>
struct Bytes<16> {
  using type = bytes_16;
};
template <>
struct Bytes<8> {
  using type = bytes_8;
};
template <>
struct Bytes<4> {
  using type = bytes_4;
};
template <>
struct Bytes<2> {
  using type = bytes_2;
};

// The mask of example i.
inline const uint8_t* where_of(const likelihead::SoftmaxCall& call, int64_t i) {
  return call.where + i / call.pixels * call.where_outer + i % call.pixels * call.where_inner;
}

// -1 where a byte is not 0; lanes beyond `count`, whose memory is left alone, are 0.
template <class A>
LK_APART IVec<A> lanes_of_strided(const uint8_t* p, int64_t stride, int count) {
  constexpr int n = Lanes<A>::n;
  typename Lanes<A>::Int on[n];
  for (int k = 0; k < n; ++k) on[k] = k < count && p[k * stride] ? -1 : 0;
  return load_as<IVec<A>>(on);
}
template <class A>
LK_INLINE IVec<A> lanes_of(const uint8_t* p, int64_t stride, int count) {
  constexpr int n = Lanes<A>::n;
  if (stride != 1 || count < n) return lanes_of_strided<A>(p, stride, count);
  return __builtin_convertvector(load_as<typename Bytes<n>::type>(p), IVec<A>) != IVec<A>{};
}

}  // namespace
