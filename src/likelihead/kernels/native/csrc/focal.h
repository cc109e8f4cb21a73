// The focal factor, (1 - p)^gamma, and what it makes of a loss and its gradient.
//
// For the loss l = -log p of what happened, with m = 1 - p: m^gamma l, whose derivative by l is
// m^gamma (1 + gamma p l / m). Neither has a difference in it where m comes from a sum of its own, and the second
// has no power that grows without bound, whatever gamma: p l / m is at most 1.
#pragma once

#include <cmath>

#include "elementary.h"

namespace {

LK_INLINE vf root_of(vf x) {
  for (int i = 0; i < Lanes<float>::n; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
}
LK_INLINE vd root_of(vd x) {
  for (int i = 0; i < Lanes<double>::n; ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
}

// x^gamma for 0 <= x <= 1, and NaN, where no product of roots will do.
inline vd any_power(vd x, double gamma) {
  for (int i = 0; i < Lanes<double>::n; ++i) x[i] = std::pow(x[i], gamma);
  return x;
}
inline vf any_power(vf x, double gamma) {
  typedef float half __attribute__((vector_size(LK_VECTOR_BYTES / 2)));
  half part[2];
  std::memcpy(part, &x, sizeof x);
  for (half& h : part) {
    const vd wide = __builtin_convertvector(h, vd);
    const vd power = exp_of_sum<double>(gamma * log_of_sum(wide, vd{}), vd{});
    h = __builtin_convertvector(wide == 0.0 ? vd{} : power, half);
  }
  std::memcpy(&x, part, sizeof x);
  return x;
}
LK_INLINE double root_of(double x) { return std::sqrt(x); }
inline double any_power(double x, double gamma) { return std::pow(x, gamma); }

// x^gamma for 0 <= x <= 1, and NaN; gamma > 0. The exponents in use are multiples of a half.
template <class X>
LK_INLINE X power(X x, double gamma) {
  if (gamma > 16 || 2 * gamma != double(int(2 * gamma))) return any_power(x, gamma);
  X y = x - x + 1;  // NaN stays
  if (int(2 * gamma) & 1) y = root_of(x);
  for (int m = int(gamma); m; m >>= 1) {
    if (m & 1) y *= x;
    x *= x;
  }
  return y;
}

// What multiplies the loss, and what multiplies its gradient.
template <class X>
struct Focal {
  X value, slope;
};

// Of the loss l of an outcome with probability p, m = 1 - p.
template <class A>
LK_APART Focal<Vec<A>> focal_of(Vec<A> l, Vec<A> p, Vec<A> m, double gamma) {
  using V = Vec<A>;
  const V value = power(m, gamma);
  // The limits: m = 0 has no loss left to weigh, p = 0 may have an infinite one.
  const V ratio = (m == V{}) | (p == V{}) ? V{} : A(gamma) * p * (l / m);
  return {value, value + value * ratio};
}
inline Focal<double> focal_of(double l, double p, double m, double gamma) {
  const double value = power(m, gamma);
  return {value, value + value * (m == 0 || p == 0 ? 0.0 : gamma * p * (l / m))};
}

}  // namespace
