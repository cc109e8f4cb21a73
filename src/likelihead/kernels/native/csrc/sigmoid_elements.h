// sigmoid_nll, elementwise: a softplus(x) + b softplus(-x) with a = 1 - t, b = pos_weight * t.
//
// Per element: 1 exponential, 1 logarithm, 1 reciprocal, of one e = exp(-|x|). Bytes from and to memory, float32:
// logits and target are read once (8), the gradient is written once (4, or 8 with the read before the write): 12
// to 16, where y.copy_(x) moves 8 to 12. The floor of logits-to-gradient is 1.5 copies (1.33 with the extra reads).
//
// Arithmetic, float32 labels of 0 and 1 in AVX-512: some 33 instructions on the two units that multiply and 15 on
// the others per 16 elements. That bounds it by 16.5 cycles; measured on Zen 5, 17.4 (soft labels, whose residual is
// formed in double: 60): 4.1 million elements on two cores of 4.1 GHz take 0.54 ms, about as long as memory does.
// Where the sum of their losses is all that is wanted (`run_products`) it takes a third less.
// Blocks are looked through before they are computed, in the first-level cache, so that the inner loops ask nothing
// of the values: labels of 0 and 1 (`hard`), others (`soft`), or anything odd.
#pragma once

#include "calls.h"
#include "elementary.h"
#include "focal.h"
#include "stream.h"

namespace {

using likelihead::SigmoidCall;

template <class V>
struct ValueAndSlope {
  V nll, slope;
};

template <class A>
constexpr typename Lanes<A>::Int sign_bit = typename Lanes<A>::Int(1) << (sizeof(A) * 8 - 1);

template <class A>
LK_INLINE Vec<A> minus_magnitude(Vec<A> x) {
  return bits<Vec<A>>(bits<IVec<A>>(x) | sign_bit<A>);
}

// The sign bit where a label of 0 or 1 is 1: of the bits of 1.0 the second below the sign is set.
template <class A>
LK_INLINE IVec<A> flip_of(Vec<A> t) {
  return (bits<IVec<A>>(t) << 2) & sign_bit<A>;
}

// Labels that are 0 or 1: only one of the terms is there, and nothing is subtracted from anything.
template <class A>
LK_INLINE ValueAndSlope<Vec<A>> hard(Vec<A> x, Vec<A> t, Vec<A> e, bool weighted, Vec<A> pos_weight) {
  using V = Vec<A>;
  using I = IVec<A>;
  const V one = splat(A(1));
  const I flip = flip_of<A>(t);
  const V s = bits<V>(bits<I>(x) ^ flip);
  V nll = vmax(s, V{}) + log_one_plus(e);
  V slope = over_one_plus(s >= A(0) ? one : e, e);
  if (weighted) {
    const V weight = t == one ? pos_weight : one;
    nll = rounded(nll * weight);  // so that a sum has the same bits with and without a gradient beside it
    slope *= weight;
  }
  return {nll, bits<V>(bits<I>(slope) ^ flip)};
}

// Any labels, in a type with digits to spare: the slope is a difference that may cancel.
LK_INLINE ValueAndSlope<vf> spare(vf x, vf a, vf b, vf e) {
  const vf log = log_one_plus(e);
  const vf nll = a * (vmax(x, vf{}) + log) + b * (vmax(-x, vf{}) + log);
  return {nll, over_one_plus(x >= 0.0f ? a - b * e : a * e - b, e)};
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
  const Pair e = exp_pair(-minus_magnitude<double>(x));
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

template <int from, size_t... lane>
LK_INLINE half_float half_of(vf v, std::index_sequence<lane...>) {
  return __builtin_shufflevector(v, v, (from + int(lane))...);
}
template <size_t... lane>
LK_INLINE vf joined(half_float a, half_float b, std::index_sequence<lane...>) {
  return __builtin_shufflevector(a, b, int(lane)...);
}

// (1 + exp(-|x|)) times the slope: formed in double, for there the label is subtracted.
LK_INLINE half_float residual_of(half_float x, half_float t, half_float pos_weight) {
  const vd z = __builtin_convertvector(x, vd), wide_t = __builtin_convertvector(t, vd);
  const vd e = exp_negative_for_float(minus_magnitude<double>(z));
  const vd a = 1.0 - wide_t, b = wide_t * __builtin_convertvector(pos_weight, vd);
  return __builtin_convertvector(z >= 0.0 ? a - b * e : a * e - b, half_float);
}

LK_INLINE ValueAndSlope<vd> soft(vd x, vd t, vd, vd pos_weight) {
  return paired(x, 1.0 - t, rounded(t * pos_weight));
}
LK_INLINE ValueAndSlope<vf> soft(vf x, vf t, vf e, vf pos_weight) {
  constexpr int half = Lanes<double>::n;
  constexpr std::make_index_sequence<half> lanes;
  const half_float low = residual_of(half_of<0>(x, lanes), half_of<0>(t, lanes), half_of<0>(pos_weight, lanes));
  const half_float high =
      residual_of(half_of<half>(x, lanes), half_of<half>(t, lanes), half_of<half>(pos_weight, lanes));
  const vf log = log_one_plus(e);
  const vf nll = (1.0f - t) * (vmax(x, vf{}) + log) + t * pos_weight * (vmax(-x, vf{}) + log);
  return {nll, over_one_plus(joined(low, high, std::make_index_sequence<2 * half>()), e)};
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

// What a block holds. `odd`: something is not finite, or left out, or the block ends within a vector.
enum class Block { hard, soft, odd };

// The options of a block that few calls have, as far as the block goes; null where they are not there.
template <class A>
struct Extras {
  const A *prior, *sampled;
};
// What is asked for.
enum class Want { nll, slope, both };

template <class T>
struct ElementKernel {
  using A = Wide<T>;
  using V = Vec<A>;
  using I = IVec<A>;
  static constexpr int n = Lanes<A>::n;
  static constexpr int64_t size = likelihead::sigmoid_block, most_columns = 2048;
  static constexpr int64_t most_factors = 33;  // of a column's product: the largest chunk has so many rows of 1000
  static_assert(size % (16 * n) == 0, "blocks are of whole groups of vectors");

  explicit ElementKernel(const SigmoidCall& c)
      : call(c),
        logits(static_cast<const T*>(c.logits)),
        target(static_cast<const T*>(c.target)),
        wide_target(c.wide_target ? static_cast<const A*>(c.target) : nullptr),
        nll_out(static_cast<A*>(c.nll)),
        grad_out(static_cast<T*>(c.grad)),
        streaming(c.past_caches && sizeof(V) == 64 && reinterpret_cast<uintptr_t>(c.grad) % sizeof(V) == 0),
        up_each(c.up_is_each ? static_cast<const A*>(c.up) : nullptr),
        plain(!c.nll && !up_each && !c.weight && !c.sample_weight && c.focal_gamma == 0 && c.focal_alpha < 0),
        only_summed(plain && !c.up && (!c.pos_weight || weighs_columns())),
        scale(splat(c.up && !up_each ? *static_cast<const A*>(c.up) * A(c.scale) : A(c.scale))) {}

  const SigmoidCall& call;
  const T *logits, *target;
  const A* wide_target;
  A* nll_out;
  T* grad_out;
  const bool streaming;  // the gradient bypasses the caches; blocks begin at whole lines of it
  const A* up_each;
  const bool plain;        // nothing is asked for per element but a pos_weight
  const bool only_summed;  // the losses, and none weighs more than another of its label and column
  V scale;

  // The weights of the elements i and after, as far as the block goes.
  LK_INLINE_MEMBER static const A* weights_at(const void* p, int64_t period, int64_t i) {
    return p ? static_cast<const A*>(p) + (period ? i % period : i) : nullptr;
  }
  template <class P>
  LK_INLINE_MEMBER static V get(const P* p, int count, A absent) {
    return count == n ? load(p) : load_some(p, count, absent);
  }

  // Whether there are so few columns that each has several elements in a chunk. The weights are to be finite: 0 times
  // an infinite one is NaN.
  bool weighs_columns() const {
    const int64_t period = call.pos_weight_period, together = call.count < call.chunk ? call.count : call.chunk;
    if (period == 0 || period > most_columns || together < 8 * period) return false;
    const A* weight = static_cast<const A*>(call.pos_weight);
    A zero = 0;
    for (int64_t i = 0; i < period; ++i) zero += weight[i] * A(0);
    return zero == 0;
  }

  // The sample weights of a block; returns whether each counts.
  LK_APART bool fill_sampled(int64_t begin, int64_t end, A* sampled) const {
    const A* from = static_cast<const A*>(call.sample_weight) + begin / call.sample_each;
    int64_t left = call.sample_each - begin % call.sample_each;
    bool none_is_zero = true;
    for (int64_t i = begin; i < end; ++from, left = call.sample_each) {
      none_is_zero = none_is_zero && *from != 0;
      for (; left && i < end; --left, ++i) sampled[i - begin] = *from;
    }
    return none_is_zero;
  }

  // Labels, drawn towards their prior.
  LK_INLINE_MEMBER V smoothed(V t, const A* prior, int64_t k, int count) const {
    const A smoothing = A(call.label_smoothing);
    return t * (A(1) - smoothing) + smoothing * (prior ? get(prior + k, count, A(0)) : splat(A(0.5)));
  }

  // The loss and the slope of a focal loss; t is finite, e = exp(-|x|).
  LK_APART ValueAndSlope<V> focal(ValueAndSlope<V> r, V x, V t, V e) const {
    const V one = splat(A(1)), over = one / (one + e);
    const V wrong = x >= A(0) ? t * e + (one - t) : t + (one - t) * e;  // both terms are of one sign
    const V m = wrong * over, pq = e * over * over;
    V value = power(m, call.focal_gamma);
    if (call.focal_alpha >= 0) value *= t * A(call.focal_alpha) + (one - t) * A(1 - call.focal_alpha);
    const V turn = (m == V{}) | (pq == V{}) ? V{} : A(call.focal_gamma) * (one - t - t) * (pq * (r.nll / m));
    return {value * r.nll, value * (r.slope + turn)};
  }

  LK_INLINE_MEMBER V target_at(int64_t i, int count) const {
    return wide_target ? get(wide_target + i, count, A(0)) : get(target + i, count, A(0));
  }

  // What the block holds, and exp(-|x|) of each logit. Apart from what comes of it, because a vector's way from
  // logit to gradient is so long that the processor cannot hold enough of them at once to have its units busy.
  LK_INLINE_MEMBER Block look(int64_t begin, A* e) const {
    if (call.mask) return Block::odd;
    V of_x[2] = {}, of_t[2] = {};  // 0 times what is not finite is NaN; two sums each, for they wait for themselves
    I mixed[2] = {};               // t * t - t is 0 of 0 and of 1 alone
    for (int64_t i = begin; i < begin + size; i += 2 * n) {
#pragma GCC unroll 2
      for (int k = 0; k < 2; ++k) {
        const V t = target_at(i + k * n, n);
        const V x = load(logits + i + k * n);
        store_as(e + (i - begin) + k * n, exp_negative(minus_magnitude<A>(x)));
        of_x[k] += x * A(0);
        of_t[k] += t * A(0);
        mixed[k] |= bits<I>(t * t - t);
      }
    }
    if (!all((of_x[0] + of_x[1]) + (of_t[0] + of_t[1]) == V{})) return Block::odd;
    if (call.label_smoothing > 0) return Block::soft;
    return sizeof(T) > 2 && all((mixed[0] | mixed[1]) == I{}) ? Block::hard : Block::soft;
  }

  // Elements [i, i + count), with their exponentials (unless odd) and weights (if any). Returns their nll. Of a plain
  // call nothing is asked for each vector: the questions took a quarter of the loop, and units that multiply.
  template <Block block, Want want, bool plain>
  LK_INLINE_MEMBER V elements(
      int64_t i, const A* exps, const A* weight, const A* pos_weight, Extras<A> extras, int64_t k,
      int count) const {
    const V zero{}, one = splat(A(1));
    V x = get(logits + i, count, A(0)), t = target_at(i, count);
    const V positive = pos_weight ? get(pos_weight, count, A(1)) : one;
    I valid = isplat<A>(-1);
    if (block == Block::odd) {
      if (count < n) valid = lane_numbers<A>() < isplat<A>(count);
      if (call.mask) {
        typename Lanes<A>::Int on[n];
        for (int k = 0; k < n; ++k) on[k] = k < count && call.mask[i + k] ? -1 : 0;
        valid &= load_as<I>(on);
      }
      if (call.skip_nan_target) valid &= t == t;
      if (extras.sampled) valid &= ~(get(extras.sampled + k, count, A(0)) == zero);
      x = valid ? x : zero;
      t = valid ? t : zero;
    }
    if (block != Block::hard && call.label_smoothing > 0) t = smoothed(t, extras.prior, k, count);
    const V e = block == Block::odd ? exp_negative(minus_magnitude<A>(x)) : load(exps);
    ValueAndSlope<V> r;
    if constexpr (sizeof(T) == 2) {
      r = spare(x, one - t, t * positive, e);
    } else if (block == Block::hard || (block == Block::odd && all((t == zero) | (t == one)))) {
      r = hard<A>(x, t, e, pos_weight != nullptr, positive);
    } else {
      r = soft(x, t, e, positive);
    }
    if (block == Block::odd && !all((x - x) + (t - t) == zero)) {
      A xs[n], ts[n], ps[n], nll[n], slope[n];
      store(xs, x);
      store(ts, t);
      store(ps, positive);
      store(nll, r.nll);
      store(slope, r.slope);
      for (int k = 0; k < n; ++k)
        if (!std::isfinite(xs[k]) || !std::isfinite(ts[k])) nonfinite<A>(call, xs[k], ts[k], ps[k], nll[k], slope[k]);
      r = {load(nll), load(slope)};
    }
    if (!plain && (call.focal_gamma > 0 || call.focal_alpha >= 0)) r = focal(r, x, t, e);
    if (!plain && extras.sampled) {
      const V each = get(extras.sampled + k, count, A(1));
      r.nll *= each;
      r.slope *= each;
    }
    if (!plain && weight) {
      const V each = get(weight, count, A(1));
      r.nll *= each;
      r.slope *= each;
    }
    if (block == Block::odd) r = {valid ? r.nll : zero, r.slope};
    if (want != Want::nll) {
      V g = r.slope * (!plain && up_each ? get(up_each + i, count, A(1)) * scale : scale);
      if (block == Block::odd) g = valid ? g : zero;
      if (count < n) store_some(grad_out + i, g, count);
      else if (streaming) stream(grad_out + i, g);
      else store(grad_out + i, g);
    }
    if (!plain && want != Want::slope && nll_out) {
      count == n ? store(nll_out + i, r.nll) : store_some(nll_out + i, r.nll, count);
    }
    return r.nll;
  }

  template <Block block, Want want, bool plain = false>
  void run_block(int64_t begin, int64_t end, const A* exps, const A* sampled, Sum<A>& sum) const {
    const ElementKernel self = *this;  // a copy: to the compiler a store may change whatever `this` points to
    const Extras<A> extras = {weights_at(call.prior, call.prior_period, begin), sampled};
    const A* weight = weights_at(call.weight, call.weight_period, begin);
    const A* pos_weight = weights_at(call.pos_weight, call.pos_weight_period, begin);
    for (int64_t i = begin; i < end;) {
      const int64_t stop = end - i < 16 * n ? end : i + 16 * n;
      for (; i < stop; i += n) {
        const int count = block == Block::odd && end - i < n ? int(end - i) : n;
        const V nll = self.template elements<block, want, plain>(
            i, exps + (i - begin), weight, pos_weight, extras, i - begin, count);
        if (want != Want::slope) sum.add(nll);
        if (weight) weight += n;
        if (pos_weight) pos_weight += n;
      }
      if (want != Want::slope) sum.close_block();
    }
  }

  // A whole block of labels of 0 and 1 whose losses are wanted as a sum alone. The sum of log(1 + e) is the logarithm of
  // a product: 4 instructions of the units that multiply for each vector in place of 12. What is kept of the product is
  // what it is above 1, so that nothing is lost of small e. Labels of 1 that have a weight go into the product of their
  // column, whose logarithm is taken and weighed once in a chunk or twice (`close_columns`).
  template <Want want, bool weighted>
  LK_APART Sum<A> run_products(int64_t begin, const A* exps, const A* pos_weight, A* columns, Sum<A> sum) const {
    const V zero{}, one = splat(A(1)), factor = scale;
    // Held here: a store might change the members, for all that the compiler knows.
    const T *const x = logits + begin, *const labels = (wide_target ? wide_target : target) + begin;
    T* const grad = want == Want::nll ? nullptr : grad_out + begin;
    const bool past = streaming;
    for (int64_t i = 0; i < size; i += 16 * n) {
      V above[4] = {};  // which do not wait for one another
      for (int k = 0; k < 16; k += 4) {
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
          const int64_t at = i + (k + j) * n;
          const V t = load(labels + at);
          V e = load(exps + at), weight = one;
          const I flip = flip_of<A>(t);
          const V s = bits<V>(bits<I>(load(x + at)) ^ flip);
          V slope = zero;
          if (want != Want::nll) slope = over_one_plus(s >= A(0) ? one : e, e);
          if constexpr (weighted) {
            const I positive = t == one;
            const V column = load(columns + at);
            store(columns + at, (positive ? e : zero) * (one + column) + column);
            weight = positive ? load(pos_weight + at) : one;
            e -= positive ? e : zero;
            slope *= weight;
          }
          sum.add(weight * vmax(s, zero));
          above[j] = e * (one + above[j]) + above[j];
          if (want == Want::nll) continue;
          const V g = bits<V>(bits<I>(slope) ^ flip) * factor;
          if (past) stream(grad + at, g);
          else store(grad + at, g);
        }
      }
#pragma GCC unroll 2
      for (int j = 0; j < 4; j += 2) above[j] = above[j + 1] * (one + above[j]) + above[j];
      sum.add(log_one_above(above[2] * (one + above[0]) + above[0]));  // of less than 2^16
      sum.close_block();
    }
    return sum;
  }

  LK_INLINE_MEMBER static V log_one_above(V product) {
    const V one = splat(A(1)), rounded = one + product;
    return log_of_sum(rounded, product - (rounded - one));
  }

  // Takes what the columns hold into the sum, and leaves them empty.
  LK_APART Sum<A> close_columns(A* columns, Sum<A> sum) const {
    const int64_t count = call.pos_weight_period + size;
    const A* weight = static_cast<const A*>(call.pos_weight);
    for (int64_t i = 0; i < count; i += n) {
      sum.add(get(weight + i, count - i < n ? int(count - i) : n, A(0)) * log_one_above(load(columns + i)));
      store(columns + i, V{});
      if (i % (16 * n) == 0) sum.close_block();
    }
    sum.close_block();
    return sum;
  }

  template <Want want>
  double run(int64_t begin, int64_t end) const {
    Sum<A> sum;
    alignas(64) A exps[size], weights[size], columns[most_columns + size + n];
    const bool by_column = sizeof(T) == 4 && want != Want::slope && only_summed && call.pos_weight;
    if (by_column) std::fill_n(columns, call.pos_weight_period + size + n, A(0));
    int64_t opened = begin;
    for (int64_t i = begin; i < end; i += size) {
      const int64_t stop = end - i < size ? end : i + size;
      bool whole = stop - i == size;
      if (call.sample_weight) whole = fill_sampled(i, stop, weights) && whole;
      const A* const sampled = call.sample_weight ? weights : nullptr;
      switch (whole ? look(i, exps) : Block::odd) {
        case Block::hard:
          if constexpr (sizeof(T) == 4 && want != Want::slope) {
            if (by_column) {
              if (i - opened >= most_factors * call.pos_weight_period) {
                sum = close_columns(columns, sum);
                opened = i;
              }
              const int64_t column = i % call.pos_weight_period;
              const A* pos_weight = static_cast<const A*>(call.pos_weight) + column;
              sum = run_products<want, true>(i, exps, pos_weight, columns + column, sum);
              break;
            }
            if (only_summed) {
              sum = run_products<want, false>(i, exps, nullptr, nullptr, sum);
              break;
            }
          }
          if (plain) run_block<Block::hard, want, true>(i, stop, exps, sampled, sum);
          else run_block<Block::hard, want>(i, stop, exps, sampled, sum);
          break;
        case Block::soft: run_block<Block::soft, want>(i, stop, exps, sampled, sum); break;
        case Block::odd: run_block<Block::odd, want>(i, stop, exps, sampled, sum); break;
      }
    }
    if (by_column) sum = close_columns(columns, sum);
    double total = 0;
    for (int k = 0; k < n; ++k) total += double(sum.high[k]) + (sum.low[k] == sum.low[k] ? double(sum.low[k]) : 0.0);
    return total;
  }
};

template <class T>
void run_elements(const SigmoidCall& call, int64_t first, int64_t last) {
  const ElementKernel<T> kernel(call);
  if (call.went_past) *call.went_past = kernel.streaming;
  for (int64_t chunk = first; chunk < last; ++chunk) {
    const int64_t begin = chunk * call.chunk;
    const int64_t end = begin + call.chunk < call.count ? begin + call.chunk : call.count;
    if (!call.grad) {
      const double sum = kernel.template run<Want::nll>(begin, end);
      if (call.sums) call.sums[chunk] = sum;
    } else if (call.sums) {
      call.sums[chunk] = kernel.template run<Want::both>(begin, end);
    } else {
      kernel.template run<Want::slope>(begin, end);
    }
  }
  end_of_stream();
}

}  // namespace
