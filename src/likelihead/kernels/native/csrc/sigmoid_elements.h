// sigmoid_nll, elementwise: a softplus(x) + b softplus(-x) with a = 1 - t, b = pos_weight * t.
//
// Per element: 1 exponential, 1 logarithm, 1 or 2 divisions. Bytes from and to memory, float32: logits and
// target are read once (8), the gradient is written once (4, or 8 with the read before the write): 12 to 16,
// where y.copy_(x) moves 8 to 12. The floor of logits-to-gradient is 1.5 copies (1.33 with the extra reads).
#pragma once

#include "calls.h"
#include "elementary.h"

namespace {

using likelihead::SigmoidCall;
using likelihead::Spread;

template <class V>
struct ValueAndSlope {
  V nll, slope;
};

template <class A, class V>
LK_INLINE V magnitude_of(V x) {
  return x < A(0) ? -x : x;
}

// Labels that are 0 or 1: only one of the terms is there, and nothing is subtracted from anything.
template <class A>
LK_INLINE ValueAndSlope<Vec<A>> hard(Vec<A> x, IVec<A> positive, Vec<A> pos_weight) {
  using V = Vec<A>;
  const V s = positive ? -x : x;
  const V e = exp_of_sum<A>(-magnitude_of<A>(x), V{});
  const V one = splat(A(1)), d = one + e;
  const V softplus = vmax(s, V{}) + log_of_sum(d, e - (d - one));
  const V sigmoid = (s >= A(0) ? one : e) / d;
  return {positive ? pos_weight * softplus : softplus, positive ? -pos_weight * sigmoid : sigmoid};
}

// Any labels, in a type with digits to spare: the slope is a difference that may cancel.
template <class A>
LK_INLINE ValueAndSlope<Vec<A>> spare(Vec<A> x, Vec<A> a, Vec<A> b) {
  using V = Vec<A>;
  const V e = exp_of_sum<A>(-magnitude_of<A>(x), V{});
  const V one = splat(A(1)), d = one + e;
  const V log = log_of_sum(d, e - (d - one));
  const V nll = a * (vmax(x, V{}) + log) + b * (vmax(-x, V{}) + log);
  return {nll, (x >= A(0) ? a - b * e : a * e - b) / d};
}

struct Pair {
  vd high, low;
};
LK_INLINE Pair two_sum(vd a, vd b) {
  const vd s = a + b, part = s - a;
  return {s, (a - (s - part)) + (b - part)};
}
LK_INLINE Pair two_product(vd a, vd b) {
  const vd p = rounded(a * b);
  return {p, multiply_subtract(a, b, p)};
}

// exp(-y), y >= 0, with some 8 bits more than a double has: the method of the reference backend's
// sigmoid_residual.py, which has the derivation.
LK_INLINE Pair exp_pair(vd y) {
  constexpr double ln2_high = 0x1.62e42fefa3p-1, ln2_low = 0x1.3de6af278ece6p-42;
  y = vmax(splat(Constants<double>::underflow), -y);
  const vd k = round_small(y * 1.44269504088896340736);
  const Pair r = two_sum(rounded(y - k * ln2_high), rounded(-k * ln2_low));
  const Pair square = two_product(r.high, r.high);
  vd tail = splat(1.0 / 1307674368000);
  const double inverse_factorials[] = {
      1.0 / 87178291200, 1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
      1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6};
  for (double c : inverse_factorials) tail = tail * r.high + c;
  tail = rounded(tail * r.high * square.high);
  const Pair head = two_sum(splat(1.0), r.high);
  const Pair total = two_sum(head.high, rounded(0.5 * square.high));
  const vd rest = tail + 0.5 * square.low + r.low * (1.0 + r.high) + head.low + total.low;
  const Pair result = two_sum(total.high, rounded(rest));
  return {scale_by_power(result.high, k), scale_by_power(result.low, k)};
}

// Any labels in double, which has nothing wider: the numerator of the slope in pairs.
LK_INLINE ValueAndSlope<vd> paired(vd x, vd a, vd b) {
  const Pair e = exp_pair(magnitude_of<double>(x));
  const vd one = splat(1.0);
  const vd constant = x >= 0.0 ? a : -b, factor = x >= 0.0 ? -b : a;
  const Pair product = two_product(factor, e.high);
  const Pair sum = two_sum(constant, product.high);
  const vd numerator = sum.high + (sum.low + (product.low + factor * e.low));
  const Pair d = two_sum(one, e.high);
  const vd quotient = numerator / d.high;
  const vd log = log_of_sum(d.high, d.low);
  return {a * (vmax(x, vd{}) + log) + b * (vmax(-x, vd{}) + log), quotient - quotient * (d.low / d.high)};
}

typedef float half_float __attribute__((vector_size(LK_VECTOR_BYTES / 2)));

template <class A>
LK_INLINE ValueAndSlope<Vec<A>> soft(Vec<A> x, Vec<A> t, Vec<A> pos_weight);

template <>
inline __attribute__((always_inline)) ValueAndSlope<vd> soft<double>(vd x, vd t, vd pos_weight) {
  return paired(x, 1.0 - t, rounded(t * pos_weight));
}
template <>
inline __attribute__((always_inline)) ValueAndSlope<vf> soft<float>(vf x, vf t, vf pos_weight) {
  constexpr int half = Lanes<double>::n;
  float xs[2 * half], ts[2 * half], ps[2 * half], nll[2 * half], slope[2 * half];
  store(xs, x);
  store(ts, t);
  store(ps, pos_weight);
  for (int i = 0; i < 2 * half; i += half) {
    const vd wide_t = __builtin_convertvector(load_as<half_float>(ts + i), vd);
    const vd wide_p = __builtin_convertvector(load_as<half_float>(ps + i), vd);
    const auto r = spare<double>(__builtin_convertvector(load_as<half_float>(xs + i), vd), 1.0 - wide_t, wide_t * wide_p);
    store_as(nll + i, __builtin_convertvector(r.nll, half_float));
    store_as(slope + i, __builtin_convertvector(r.slope, half_float));
  }
  return {load(nll), load(slope)};
}

// Where the logit or the label is not finite, by the formulas as they stand.
template <class A>
void nonfinite(const SigmoidCall& call, A x, A t, A pos_weight, A& nll, A& slope) {
  auto softplus = [&](A v) { return v != v ? v : v > 0 ? v + std::log1p(std::exp(-v)) : std::log1p(std::exp(v)); };
  auto sigmoid = [&](A v) { return A(1) / (A(1) + std::exp(-v)); };
  if (call.torch_nonfinite) {
    // Without a pos_weight there is no product: 0 times an infinite label would be NaN.
    const A both = call.pos_weight ? A(1) + (pos_weight - A(1)) * t : A(1);
    nll = (A(1) - t) * x + both * softplus(-x);
    slope = (A(1) - t) - both * sigmoid(-x);
  } else {
    nll = t * pos_weight * softplus(-x) + (A(1) - t) * softplus(x);
    slope = (A(1) - t) * sigmoid(x) - t * pos_weight * sigmoid(-x);
  }
}

template <class T>
struct ElementKernel {
  using A = Wide<T>;
  using V = Vec<A>;
  using I = IVec<A>;
  static constexpr int n = Lanes<A>::n;

  const SigmoidCall& call;

  LK_INLINE_MEMBER static V spread_at(const void* p, Spread spread, int64_t i, int64_t column, int count, A absent) {
    if (!p) return splat(absent);
    const A* values = static_cast<const A*>(p);
    if (spread == Spread::one) return splat(*values);
    values += spread == Spread::column ? column : i;
    return count == n ? load(values) : load_some(values, count, absent);
  }
  template <class P>
  LK_INLINE_MEMBER static V get(const P* p, int count) {
    return count == n ? load(p) : load_some(p, count, A(0));
  }

  // Elements [i, i + count), the first in the given column. Returns their nll.
  LK_INLINE_MEMBER V elements(int64_t i, int64_t column, int count) const {
    const V zero{}, one = splat(A(1));
    V x = get(static_cast<const T*>(call.logits) + i, count);
    V t = call.wide_target ? get(static_cast<const A*>(call.target) + i, count)
                           : get(static_cast<const T*>(call.target) + i, count);
    const V pos_weight = spread_at(call.pos_weight, call.pos_weight_spread, i, column, count, A(1));
    I valid = isplat<A>(-1);
    const bool some_left_out = call.mask || call.skip_nan_target;
    if (some_left_out) {
      if (call.mask) {
        typename Lanes<A>::Int on[n];
        for (int k = 0; k < n; ++k) on[k] = k < count && call.mask[i + k] ? -1 : 0;
        valid = load_as<I>(on);
      }
      if (call.skip_nan_target) valid &= t == t;
      x = valid ? x : zero;
      t = valid ? t : zero;
    }
    const V difference = (x - x) + (t - t);  // NaN where either is not finite
    const I finite = difference == zero;
    ValueAndSlope<V> r;
    if (sizeof(T) == 2) {
      r = spare<A>(x, one - t, t * pos_weight);
    } else if (all((t == zero) | (t == one))) {
      r = hard<A>(x, t == one, pos_weight);
    } else {
      r = soft<A>(x, t, pos_weight);
    }
    if (!all(finite)) {
      A xs[n], ts[n], ps[n], nll[n], slope[n];
      store(xs, x);
      store(ts, t);
      store(ps, pos_weight);
      store(nll, r.nll);
      store(slope, r.slope);
      for (int k = 0; k < n; ++k)
        if (!finite[k]) nonfinite<A>(call, xs[k], ts[k], ps[k], nll[k], slope[k]);
      r = {load(nll), load(slope)};
    }
    if (call.weight) {
      const V weight = spread_at(call.weight, call.weight_spread, i, column, count, A(1));
      r.nll *= weight;
      r.slope *= weight;
    }
    if (call.grad) {
      V up = spread_at(call.up, call.up_spread, i, column, count, A(1)) * A(call.scale);
      V g = r.slope * up;
      if (some_left_out) g = valid ? g : zero;
      T* out = static_cast<T*>(call.grad) + i;
      count == n ? store(out, g) : store_some(out, g, count);
    }
    V nll = some_left_out ? (valid ? r.nll : zero) : r.nll;
    if (count < n) nll = lane_numbers<A>() < isplat<A>(count) ? nll : zero;
    if (call.nll) {
      A* out = static_cast<A*>(call.nll) + i;
      count == n ? store(out, nll) : store_some(out, nll, count);
    }
    return nll;
  }

  double run(int64_t begin, int64_t end) const {
    const bool by_row = (call.weight && call.weight_spread == Spread::column) ||
                        (call.pos_weight && call.pos_weight_spread == Spread::column);
    Sum<A> sum;
    int open = 0;
    for (int64_t i = begin; i < end;) {
      const int64_t column = by_row ? i % call.columns : 0;
      int64_t stop = by_row ? i - column + call.columns : end;
      if (stop > end) stop = end;
      const int64_t first = i;
      for (; i < stop; i += n) {
        sum.add(elements(i, column + (i - first), stop - i < n ? int(stop - i) : n));
        if (++open == 16) {
          sum.close_block();
          open = 0;
        }
      }
      i = stop;
    }
    sum.close_block();
    double total = 0;
    for (int k = 0; k < n; ++k) total += double(sum.high[k]) + (sum.low[k] == sum.low[k] ? double(sum.low[k]) : 0.0);
    return total;
  }
};

template <class T>
void run_elements(const SigmoidCall& call, int64_t first, int64_t last) {
  const ElementKernel<T> kernel{call};
  for (int64_t chunk = first; chunk < last; ++chunk) {
    const int64_t begin = chunk * call.chunk;
    const int64_t end = begin + call.chunk < call.count ? begin + call.chunk : call.count;
    const double sum = kernel.run(begin, end);
    if (call.sums) call.sums[chunk] = sum;
  }
}

inline void sigmoid(const SigmoidCall& call, int64_t first, int64_t last) {
  using likelihead::Float;
  switch (call.dtype) {
    case Float::f32: return run_elements<float>(call, first, last);
    case Float::f64: return run_elements<double>(call, first, last);
    case Float::bf16: return run_elements<bf16>(call, first, last);
    case Float::f16: return run_elements<f16>(call, first, last);
  }
}

}  // namespace
