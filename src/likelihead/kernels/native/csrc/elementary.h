// exp, log and tanh of vectors, to about one unit in the last place.
#pragma once

#include "simd.h"

namespace {

template <class A>
struct Constants;
template <>
struct Constants<float> {
  static constexpr float log2e = 1.44269504088896341f;
  // ln 2 in two parts; the first has so few bits that its products with the exponents are exact.
  static constexpr float ln2_high = 0.693145751953125f, ln2_low = 1.42860682030941723e-6f;
  static constexpr float underflow = -104.0f;  // the exponential of this is 0
};
template <>
struct Constants<double> {
  static constexpr double log2e = 1.44269504088896340736;
  static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
  static constexpr double underflow = -746.0;
};

// (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2 and a little over.
LK_INLINE vf exp_tail(vf r) {  // the polynomial of Cephes' expf
  vf p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  return p * r + 5.0000001201e-1f;
}
LK_INLINE vd exp_tail(vd r) {  // Taylor's; the first term left out is 4e-18
  vd p = splat(1.0 / 6227020800);
  p = p * r + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  return p * r + 0.5;
}

// exp(x + error) for x <= 0 and x = NaN; the error is far below the last place of x's own scale.
template <class A>
LK_INLINE Vec<A> exp_of_sum(Vec<A> x, Vec<A> error) {
  using K = Constants<A>;
  x = vmax(splat(K::underflow), x);  // in this order: NaN stays NaN
  Vec<A> n = round_small(x * K::log2e);
  Vec<A> r = (x - n * K::ln2_high) - n * K::ln2_low + error;
  return scale_by_power((r * r) * exp_tail(r) + r + A(1), n);
}

// 1 / x of normal numbers (and NaN), to about half a unit in the last place.
LK_INLINE vf inverse(vf x) {
#if LK_VECTOR_BYTES == 64
  const vf r = (vf)_mm512_rcp14_ps((__m512)x);  // and a step of Newton
  return r + r * (1.0f - x * r);
#else
  return 1.0f / x;
#endif
}
LK_INLINE vd inverse(vd x) { return 1.0 / x; }

// x / y, `over` being 1 / y.
template <class V>
LK_INLINE V quotient(V x, V y, V over) {
#if LK_VECTOR_BYTES > 16
  const V q = x * over;
  return q + over * (x - q * y);
#else  // there may be no fused multiply-add, which finds what q lacks
  (void)over;
  return x / y;
#endif
}

// s <- log(s + c) for s >= 1 and c far below the last place of s; infinity and NaN as the logarithm has them.
template <int vectors>
LK_INLINE void logs_of_sums(vf* s, const vf* c) {
  vi32 b[vectors], k[vectors];
  vf f[vectors], z[vectors], p[vectors], y[vectors];
  LK_EACH b[j] = bits<vi32>(s[j]);
  // The exponent by which the mantissa comes to lie in [sqrt(1/2), sqrt(2)).
  LK_EACH k[j] = (b[j] - 0x3f3504f3) >> 23;
  LK_EACH f[j] = bits<vf>(b[j] - (k[j] << 23)) - 1.0f;
  LK_EACH z[j] = f[j] * f[j];
  LK_EACH p[j] = splat(7.0376836292e-2f);  // Cephes' logf
#pragma GCC unroll 8
  for (float term : {-1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f,
                     2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f})
    LK_EACH p[j] = p[j] * f[j] + term;
  LK_EACH y[j] = c[j] * inverse(s[j]);  // all that there is of a logarithm of 1
  LK_EACH y[j] = f[j] * z[j] * p[j] + y[j];
  LK_EACH {
    const vf kf = __builtin_convertvector(k[j], vf);
    y[j] += kf * -2.12194440e-4f;
    y[j] += -0.5f * z[j];
    y[j] = f[j] + y[j] + kf * 0.693359375f;
    s[j] = s[j] < __builtin_inff() ? y[j] : s[j];
  }
}
LK_INLINE vf log_of_sum(vf s, vf c) {
  logs_of_sums<1>(&s, &c);
  return s;
}
LK_INLINE vd log_of_sum(vd s, vd c) {  // the method of fdlibm's log
  vi64 b = bits<vi64>(s);
  vi64 k = (b - 0x3fe6a09e667f3bcd) >> 52;
  vd m = bits<vd>(b - (k << 52)), kd = __builtin_convertvector(k, vd);
  vd f = m - 1.0, half_square = 0.5 * f * f;
  vd q = f / (2.0 + f), z = q * q;
  vd p = splat(1.479819860511658591e-01);
  p = p * z + 1.531383769920937332e-01;
  p = p * z + 1.818357216161805012e-01;
  p = p * z + 2.222219843214978396e-01;
  p = p * z + 2.857142874366239149e-01;
  p = p * z + 3.999999999940941908e-01;
  p = p * z + 6.666666666666735130e-01;
  vd low = q * (half_square + z * p) + (kd * 1.90821492927058770002e-10 + c / s);
  vd y = kd * 6.93147180369123816490e-01 - ((half_square - low) - f);
  return s < __builtin_inf() ? y : s;
}

template <int vectors>
LK_INLINE void logs_of_sums(vd* s, const vd* c) {
  LK_EACH s[j] = log_of_sum(s[j], c[j]);
}

// What a logistic function is made of, e = exp(-|x|) at hand; the polynomials are minimax fits (Remez) whose
// errors, relative to the function, are 2^-28.3 (exp) and 2^-27.5 (log).
//
// exp(x) for x <= 0 and x = NaN.
LK_INLINE vf exp_negative(vf x) {
  using K = Constants<float>;
  x = vmax(splat(K::underflow), x);  // in this order: NaN stays NaN
  const vf n = round_small(x * K::log2e);
  const vf r = (x - n * K::ln2_high) - n * K::ln2_low;
  vf p = splat(1.38146023e-3f);
  p = p * r + 8.36871751e-3f;
  p = p * r + 4.16683890e-2f;
  p = p * r + 1.66665211e-1f;
  p = p * r + 4.99999940e-1f;
  p = p * r + 1.0f;
  return scale_by_power(p * r + 1.0f, n);
}
LK_INLINE vd exp_negative(vd x) { return exp_of_sum<double>(x, vd{}); }

// The same in double where a float comes of it: to 2^-51.
LK_INLINE vd exp_negative_for_float(vd x) {
  using K = Constants<double>;
  x = vmax(splat(-708.0), x);  // of a subnormal result no float is left
  const vd n = round_small(x * K::log2e);
  const vd r = (x - n * K::ln2_high) - n * K::ln2_low;
  vd p = splat(2.747680202131975e-07);
  p = p * r + 2.763506379944497e-06;
  p = p * r + 2.4801931798822192e-05;
  p = p * r + 1.9841185202236012e-04;
  p = p * r + 1.3888888516054563e-03;
  p = p * r + 8.333333370892718e-03;
  p = p * r + 4.166666666813748e-02;
  p = p * r + 1.666666666661151e-01;
  p = p * r + 4.9999999999998324e-01;
  p = p * r + 1.0;
  return (p * r + 1.0) * bits<vd>(bits<vi64>(n + (0x1.8p52 + 1023.0)) << 52);
}

// log(1 + e) for 0 <= e <= 1, and NaN.
LK_INLINE vf log_one_plus(vf e) {
  const vf square = e * e;
  // The upper terms in two halves, which do not wait for one another; the lower ones cancel, and would round more.
  vf odd = splat(2.02045757e-2f), even = splat(-3.31846974e-3f);
  odd = odd * square + 1.06805556e-1f;
  even = even * square + -5.76644354e-2f;
  odd = odd * square + 1.96954012e-1f;
  even = even * square + -1.53553978e-1f;
  vf p = even * e + odd;
  p = p * e + -2.49585882e-1f;
  p = p * e + 3.33305120e-1f;
  p = p * e + -4.99999315e-1f;
  return p * square + e;
}
LK_INLINE vd log_one_plus(vd e) {
  const vd one = splat(1.0), d = one + e;
  return log_of_sum(d, e - (d - one));
}

// numerator / (1 + e) for 0 <= e <= 1, and NaN.
LK_INLINE vf over_one_plus(vf numerator, vf e) {
#if LK_VECTOR_BYTES == 64
  // A step of Newton on an estimate of 14 bits. 1 - r is exact, so that the rounding of 1 + e is undone too.
  const vf r = (vf)_mm512_rcp14_ps((__m512)(1.0f + e));
  return numerator * (r + r * ((1.0f - r) - e * r));
#else
  return numerator / (1.0f + e);
#endif
}
LK_INLINE vd over_one_plus(vd numerator, vd e) { return numerator / (1.0 + e); }

LK_INLINE vf tanh_of(vf x) {
  vf size = x < 0.0f ? -x : x;
  vf e = exp_of_sum<float>(-2.0f * size, vf{});
  vf big = (1.0f - e) / (1.0f + e);
  vf z = x * x;
  vf p = splat(-5.70498872745e-3f);  // Cephes' tanhf
  p = p * z + 2.06390887954e-2f;
  p = p * z + -5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z + -3.33332819422e-1f;
  vf small = p * z * x + x;
  return size < 0.625f ? small : (x < 0.0f ? -big : big);
}
LK_INLINE vd tanh_of(vd x) {
  vd y;
  for (int i = 0; i < Lanes<double>::n; ++i) y[i] = __builtin_tanh(x[i]);
  return y;
}

// A sum of many terms with about one rounding: blocks are added plainly, their sums with the error kept
// (Neumaier). `add` must be followed by `close_block` after at most 32 terms or so.
template <class A>
struct Sum {
  Vec<A> high{}, low{}, block{};
  LK_INLINE_MEMBER void add(Vec<A> v) { block += v; }
  LK_INLINE_MEMBER void close_block(bool first) {  // of the first, nothing can be lost
    if (!first) return close_block();
    high = block;
    block = Vec<A>{};
  }
  LK_INLINE_MEMBER void close_block() {
    Vec<A> s = high + block;
    Vec<A> part = s - high;
    low += (high - (s - part)) + (block - part);
    high = s;
    block = Vec<A>{};
  }
  // An infinite sum has a NaN for its error.
  LK_INLINE_MEMBER Vec<A> value() const { return low == low ? high + low : high; }
  // Of all lanes, in double.
  LK_INLINE_MEMBER double total() const { return sum_in_double(high) + sum_in_double(low == low ? low : Vec<A>{}); }
};

}  // namespace
