// The exponentials of a softmax: e(x) = exp(x - k ln 2), where k ln 2 is the multiple of ln 2 nearest to the largest
// logit `top`.
//
// Every use of them is a quotient or carries k along, so that any reference near the top serves as well as the top
// itself, whose own exponential is then a number in [0.70, 1.42]. With x - top the subtraction rounds, at a
// distance of 60 by 32 units of the result, and recovering that costs seven instructions per element. Here x goes
// into the reduction as it is, whose steps are exact, and k is subtracted from an exponent: 15 instructions, and the
// only error is the polynomial's. Logits too large for the reduction are shifted by the top first, which is exact
// for all of them whose exponential is not 0 (by Sterbenz's lemma: they lie within a factor of two of the top).
#pragma once

#include "elementary.h"

namespace {

// A constant that stays in a register: compilers fetch one from memory for each use in a loop, and such a loop is
// bound by its loads.
template <class V>
LK_INLINE V held(V v) {
#if defined(__x86_64__) && LK_VECTOR_BYTES == 64
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#endif
  return v;
}

template <class A>
struct ExpConstants;
template <>
struct ExpConstants<float> {
  // Further below the top than this the exponential is 0: less than 2^-150.
  static constexpr float underflow = -105.0f;
  static constexpr float round = 0x1.8p23f;  // added, leaves the nearest integer
  // (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, from the highest: minimax for the relative error of exp, which is
  // 3.2e-9 (a linear programme over 4001 points, the coefficients rounded one after the other from the lowest).
  static constexpr int terms = 5;
  static constexpr float tail[terms] = {1.3821165e-3f, 8.368692e-3f, 4.1668266e-2f, 1.6666521e-1f, 4.9999994e-1f};
};
template <>
struct ExpConstants<double> {
  static constexpr double underflow = -746.0;
  static constexpr double round = 0x1.8p52;
  // Taylor's; the first term left out is 4e-18.
  static constexpr int terms = 12;
  static constexpr double tail[terms] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
      1.0 / 5040,       1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5};
};

// For lanes with a top each, or one for all; with several tops, for as many vectors side by side.
template <class A, int tops = 1>
struct ExpBelow {
  using V = Vec<A>;
  using K = Constants<A>;
  using E = ExpConstants<A>;
  V shift[tops], lowest[tops], k[tops];
  V log2e, round, ln2_high, ln2_low, one;
  V tail[E::terms];

  LK_INLINE_MEMBER explicit ExpBelow(const V* top)
      : log2e(held(splat(K::log2e))), round(held(splat(E::round))), ln2_high(held(splat(K::ln2_high))),
        ln2_low(held(splat(K::ln2_low))), one(held(splat(A(1)))) {
#pragma GCC unroll 16
    for (int i = 0; i < E::terms; ++i) tail[i] = held(splat(E::tail[i]));
    const A limit = -2 * E::underflow;  // up to here the steps of the reduction are exact
#pragma GCC unroll 4
    for (int j = 0; j < tops; ++j) {
      shift[j] = (top[j] < splat(limit)) & (top[j] > splat(-limit)) ? V{} : top[j];
      const V t = top[j] - shift[j];  // NaN for an infinite top, and so for every logit
      lowest[j] = t + E::underflow;
      k[j] = (t * log2e + round) - round;
    }
  }
  LK_INLINE_MEMBER explicit ExpBelow(V top) : ExpBelow(&top) {}

  // x <= top; NaN stays NaN.
  LK_INLINE_MEMBER V operator()(V x) const {
    each<1>(&x);
    return x;
  }

  // The same of some vectors, one step after the other. A vector's steps wait for each other, some 50 cycles in all;
  // written one vector after the other, they fill the processor's schedulers before enough vectors are under way.
  template <int vectors>
  LK_INLINE_MEMBER void each(V* x) const {
    V n[vectors], r[vectors], p[vectors];
    constexpr int own = tops > 1;
    LK_EACH x[j] = vmax(lowest[own * j], x[j] - shift[own * j]);  // in this order
    LK_EACH n[j] = x[j] * log2e + round;
    LK_EACH n[j] -= round;
    LK_EACH r[j] = x[j] - n[j] * ln2_high;
    LK_EACH r[j] -= n[j] * ln2_low;
    LK_EACH p[j] = tail[0];
#pragma GCC unroll 16
    for (int i = 1; i < E::terms; ++i) LK_EACH p[j] = p[j] * r[j] + tail[i];
    LK_EACH p[j] = (r[j] * r[j]) * p[j] + r[j];
    LK_EACH x[j] = scale_by_power(p[j] + one, n[j] - k[own * j]);
  }
};

}  // namespace
