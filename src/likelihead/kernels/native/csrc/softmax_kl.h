// softmax_kl_: the divergence of two rows of logits, and over the student's its gradient.
//
// Per class 2 exponentials, as softmax_rows.h has 1. With d = t - z the divergence is the mean of d less a constant,
// which the pass that makes the exponentials finds on its way: one multiply-add. Where that is small beside what was
// subtracted, and where infinite logits spoil it, the row is looked at once more, by sums in which nothing cancels
// (reference/linear_kl.py). A jsd is no such mean: its logarithm is the longer part of it.
// Bytes from and to memory in float32: both rows once (8), the gradient (4), where softmax_nll_ has 8.
#pragma once

#include "exp_below.h"
#include "workspace.h"

namespace {

using likelihead::Direction;
using likelihead::SoftmaxKLCall;

template <class T, bool bent>  // bent: a cap changes the logits first
struct KLKernel {
  using A = Wide<T>;
  using V = Vec<A>;
  static constexpr int n = Lanes<A>::n;
  static constexpr int block = 8;  // vectors between two closings of the sums
  static constexpr double careful_below = 0.0156;  // 2^-18 is left of float32
  enum { student, teacher };

  const SoftmaxKLCall& call;
  const int64_t classes;
  A* const space;  // of each side the exponentials, and the capped logits

  // As in softmax_rows.h: the first classes are a part of a vector, up to where the student's are aligned.
  struct Row {
    const T* x[2];
    T* out;
    int head;
    A *exps[2], *capped[2];
  };
  Row row_at(int64_t r) const {
    constexpr size_t vector = n * sizeof(T);
    Row row;
    row.x[student] = static_cast<const T*>(call.logits) + r * classes;
    row.x[teacher] = static_cast<const T*>(call.teacher) + r * classes;
    row.out = call.up ? static_cast<T*>(call.logits) + r * classes : nullptr;
    const int64_t past = int64_t(reinterpret_cast<size_t>(row.x[student]) % vector / sizeof(T));
    const int64_t head = (n - past) % n;
    row.head = int(head < classes ? head : classes);
    for (int side : {student, teacher}) {
      row.exps[side] = space + past + side * padded(classes);
      row.capped[side] = bent ? row.exps[side] + 2 * padded(classes) : nullptr;
    }
    return row;
  }
  static int64_t padded(int64_t classes) { return (classes + n - 1) / n * n + 2 * n; }
  static size_t workspace_bytes(int64_t classes) { return sizeof(A) * padded(classes) * (bent ? 4 : 2); }

  // Calls f(first class, number of lanes) for each vector, whole(first class) for a block of them, and close().
  template <class F, class W, class G>
  LK_INLINE_MEMBER void each(const Row& row, const F& f, const W& whole, const G& close) const {
    int64_t c = row.head;
    if (c) f(int64_t(0), int(c));
    for (; c + block * n <= classes; c += block * n) {
      whole(c);
      close();
    }
    for (; c + n <= classes; c += n) f(c, n);
    if (c < classes) f(c, int(classes - c));
    close();
  }
  template <class F, class G>
  LK_INLINE_MEMBER void each(const Row& row, const F& f, const G& close) const {
    each(
        row, f,
        [&](int64_t c) LK_LAMBDA_INLINE {
#pragma GCC unroll 2
          for (int k = 0; k < block; ++k) f(c + k * n, n);
        },
        close);
  }

  // Lanes beyond `count` are `fill`, or anything if a cap has been there.
  LK_INLINE_MEMBER V logits_at(const Row& row, int side, int64_t c, int count, A fill) const {
    if (bent) return load(row.capped[side] + c);
    return count == n ? load(row.x[side] + c) : load_some(row.x[side] + c, count, fill);
  }
  LK_INLINE_MEMBER static V kept(V v, int count) {
    return count == n ? v : lane_numbers<A>() < isplat<A>(count) ? v : V{};
  }

  A largest(const Row& row, int side) const {
    const A lowest = -A(__builtin_inf());
    const A cap = A(side == student ? call.softcap : call.teacher_softcap), over = A(1) / cap;
    const T* x = row.x[side];
    V top[4] = {splat(lowest), splat(lowest), splat(lowest), splat(lowest)};
    auto one = [&](int64_t c, int count, int k) LK_LAMBDA_INLINE {
      V z = count == n ? load(x + c) : load_some(x + c, count, lowest);
      if (bent && cap > 0) z = cap * tanh_of(z * over);
      if (bent) store(row.capped[side] + c, z);
      top[k] = vmax(top[k], z);
    };
    each(
        row, [&](int64_t c, int count) LK_LAMBDA_INLINE { one(c, count, 0); },
        [&](int64_t c) LK_LAMBDA_INLINE {
#pragma GCC unroll 8
          for (int k = 0; k < block; ++k) one(c + k * n, n, k % 4);
        },
        [] {});
    return max_lanes<A>(vmax(vmax(top[0], top[1]), vmax(top[2], top[3])));
  }

  // What is known of a row once its exponentials are.
  struct Known {
    Row row;
    A shift;         // of d = (t - z) - shift, which is small where t and z differ by little more than a constant
    double sum[2];   // of the exponentials
    double mean;     // of d, by the side that was asked for
    double constant;  // log(p / q) = d - constant
  };
  LK_INLINE_MEMBER V distance(const Known& known, int64_t c, int count) const {
    const V t = logits_at(known.row, teacher, c, count, A(0)), z = logits_at(known.row, student, c, count, A(0));
    return (t - z) - known.shift;
  }

  // Writes the exponentials of a side to the workspace. Returns the logarithm of their sum in units of the largest.
  template <bool weigh>  // also for the mean of d
  LK_APART double exponentials(Known& known, int side, A top) const {
    const Row& row = known.row;
    Sum<A> sum, weighted;
    const V tops = splat(top);
    const ExpBelow<A> exp_below(tops);
    auto add = [&](int64_t c, int count, V e) LK_LAMBDA_INLINE {
      store(row.exps[side] + c, e);
      sum.add(e);
      if (weigh) weighted.add(kept(e * distance(known, c, count), count));
    };
    each(
        row,
        [&](int64_t c, int count) LK_LAMBDA_INLINE {
          add(c, count, kept(exp_below(logits_at(row, side, c, count, top)), count));
        },
        [&](int64_t c) LK_LAMBDA_INLINE {
          constexpr int together = 4;
          for (int j = 0; j < block; j += together) {
            V e[together];
#pragma GCC unroll 4
            for (int k = 0; k < together; ++k) {
              __builtin_prefetch(row.x[side] + classes + c + (j + k) * n, 0, 2);  // of the next row
              e[k] = logits_at(row, side, c + (j + k) * n, n, top);
            }
            exp_below.template each<together>(e);
#pragma GCC unroll 4
            for (int k = 0; k < together; ++k) add(c + (j + k) * n, n, e[k]);
          }
        },
        [&]() LK_LAMBDA_INLINE {
          sum.close_block();
          if (weigh) weighted.close_block();
        });
    known.sum[side] = sum.total();
    if (weigh) known.mean = weighted.total() / known.sum[side];
    return __builtin_log(known.sum[side] / double(exp_below(tops)[0]));
  }

  // b - a, and a log(a / b) + (b - a), which is never negative, for ratio = log(b / a): by the larger of them and the
  // ratio alone, so that an error of the ratio moves the term by no more than the difference. Both may be 0, for
  // infinite logits too (the ratio is NaN then), and either.
  LK_INLINE_MEMBER static void bregman(V a, V b, V ratio, V& difference, V& term) {
    ratio = ratio == ratio ? ratio : V{};
    const auto less = ratio < V{}, near = (ratio < A(0.34)) & (ratio > -A(0.34));
    const V linear = a * ratio, curved = linear * ratio * exp_tail(ratio);
    const V x = less ? -ratio : ratio, e = exp_negative(-x), one = splat(A(1));
    const V of_a = a > V{} ? a * ((e - one) + x) : V{}, of_b = b * ((one - e) - (e > V{} ? e * x : V{}));
    difference = near ? linear + curved : less ? a * (e - one) : b * (one - e);
    term = near ? curved : less ? of_a : of_b;
  }

  struct Found {
    double value;
    double error;  // of the constant
  };
  // The divergence of b from a, of few steps that round: for small ones, and where logits are infinite.
  template <int side>  // that of a
  LK_APART Found careful(const Known& known) const {
    Sum<A> terms, differences;
    const A of_a = A(1 / known.sum[side]), of_b = A(1 / known.sum[1 - side]), constant = A(known.constant);
    each(
        known.row,
        [&](int64_t c, int count) LK_LAMBDA_INLINE {
          const V r = distance(known, c, count) - constant;
          V difference, term;
          bregman(
              load(known.row.exps[side] + c) * of_a, load(known.row.exps[1 - side] + c) * of_b,
              side == teacher ? -r : r, difference, term);
          terms.add(kept(term, count));
          differences.add(kept(difference, count));
        },
        [&]() LK_LAMBDA_INLINE {
          terms.close_block();
          differences.close_block();
        });
    // The differences sum to 0 but for an error of the ratios that all of a row share.
    const double error = differences.total();
    return {terms.total() - 0.5 * error * error, side == teacher ? error : -error};
  }

  // Of a jsd; the derivative by the student's probabilities goes where the teacher's exponentials are, up to a
  // constant, and `known.mean` becomes its mean by them.
  LK_APART double mixture(Known& known) const {
    const Row& row = known.row;
    Sum<A> terms, slopes, differences;
    const A of_p = A(1 / known.sum[teacher]), of_q = A(1 / known.sum[student]), constant = A(known.constant);
    const A beta = A(call.beta), rest = A(1 - call.beta), tiny = A(0x1p-10);
    // By the weight of the smaller: from and to which e.
    const A upper_from[2] = {beta > A(0.5) ? tiny : A(2), rest > A(0.5) ? tiny : A(2)};
    const A direct_to[2] = {beta > A(0.5) ? tiny : A(-1), rest > A(0.5) ? tiny : A(-1)};
    const V one = splat(A(1));
    // Of some vectors at a time, in steps: each waits for its own exponential and logarithm.
    auto add = [&](int64_t c, int count, auto several) LK_LAMBDA_INLINE {
      constexpr int vectors = decltype(several)::value;
      V r[vectors], x[vectors], e[vectors], part[vectors], sum[vectors], found[vectors], lost[vectors];
      // The larger of the two is 1 and the smaller e = e^-x, which are near each other or not.
      LK_EACH r[j] = distance(known, c + j * n, count) - constant;
      LK_EACH x[j] = r[j] < V{} ? -r[j] : r[j];
      LK_EACH x[j] = x[j] == x[j] ? x[j] : V{};  // where neither can be
      LK_EACH e[j] = exp_negative(-x[j]);
      LK_EACH part[j] = x[j] < A(0.34) ? x[j] * x[j] * exp_tail(-x[j]) - x[j] : e[j] - one;  // e - 1
      // Of their mixture m: log m = lower <= 0 and log(m / e) = upper. The smaller of the two in size comes by its own
      // logarithm, the other by x; but where e is next to nothing, 1 + y would cancel.
      LK_EACH {
        const auto less = r[j] < V{};
        const V w = less ? splat(beta) : splat(rest), other = less ? splat(rest) : splat(beta);
        const V y = e[j] > (less ? splat(upper_from[0]) : splat(upper_from[1]))
                        ? -other * part[j] * inverse(vmax(splat(tiny), e[j]))
                        : w * part[j];
        const auto direct = e[j] <= (less ? splat(direct_to[0]) : splat(direct_to[1]));
        found[j] = sum[j] = direct ? other + w * e[j] : one + y;
        lost[j] = direct ? V{} : y - (sum[j] - one);
      }
      logs_of_sums<vectors>(found, lost);
      LK_EACH {
        const auto less = r[j] < V{};
        const V w = less ? splat(beta) : splat(rest), other = less ? splat(rest) : splat(beta);
        const auto by_upper = e[j] > (less ? splat(upper_from[0]) : splat(upper_from[1]));
        const V lower = by_upper ? found[j] - x[j] : found[j], upper = by_upper ? found[j] : found[j] + x[j];
        const V m = by_upper ? e[j] * sum[j] : sum[j], rests = e[j] > V{} ? w * e[j] * x[j] : V{};
        const V curved = other * (lower * lower * exp_tail(lower)) + w * e[j] * (upper * upper * exp_tail(upper));
        const V straight = by_upper ? other * x[j] - m * upper : -(m * lower) - rests;
        A* const of = row.exps[teacher] + c + j * n;
        const V p = load(of) * of_p, q = load(row.exps[student] + c + j * n) * of_q, large = less ? q : p;
        const V slope = q > V{} ? -rest * (less ? lower : upper) : V{}, difference = large * part[j];
        terms.add(kept(large * (x[j] < A(0.34) ? curved : straight), count));
        slopes.add(kept(q * slope, count));
        differences.add(kept(less ? -difference : difference, count));
        count == n ? store(of, slope) : store_some(of, slope, count);  // beyond, exponentials are yet to be read
      }
    };
    each(
        row, [&](int64_t c, int count) LK_LAMBDA_INLINE { add(c, count, std::integral_constant<int, 1>()); },
        [&](int64_t c) LK_LAMBDA_INLINE {
          for (int k = 0; k < block; k += 4) add(c + k * n, n, std::integral_constant<int, 4>());
        },
        [&]() LK_LAMBDA_INLINE {
          terms.close_block();
          slopes.close_block();
          differences.close_block();
        });
    known.mean = slopes.total();
    const double error = differences.total();  // as in `careful`
    return terms.total() - 0.5 * call.beta * (1 - call.beta) * error * error;
  }

  // Writes what f(first class, number of lanes) is, by the capped logits, as the gradient by those before the cap.
  template <class F>
  LK_INLINE_MEMBER void write(const Row& row, const F& f) const {
    const A over = bent && call.softcap > 0 ? A(1) / A(call.softcap) : A(0);
    each(
        row,
        [&](int64_t c, int count) LK_LAMBDA_INLINE {
          V g = f(c, count);
          if (bent) {
            const V u = load(row.capped[student] + c) * over;
            g *= A(1) - u * u;
          }
          count == n ? store(row.out + c, g) : store_some(row.out + c, g, count);
        },
        [] {});
  }
  LK_APART void fill(const Row& row, A value) const {
    write(row, [&](int64_t, int) LK_LAMBDA_INLINE { return splat(value); });
  }
  LK_APART void difference(const Known& known, double up) const {
    const A of_p = A(up / known.sum[teacher]), of_q = A(up / known.sum[student]);
    const A *e_t = known.row.exps[teacher], *e_z = known.row.exps[student];
    write(known.row, [&](int64_t c, int) LK_LAMBDA_INLINE { return load(e_z + c) * of_q - load(e_t + c) * of_p; });
  }
  LK_APART void careful_difference(const Known& known, double up) const {
    const A of_p = A(1 / known.sum[teacher]), of_q = A(1 / known.sum[student]), constant = A(known.constant);
    write(known.row, [&](int64_t c, int count) LK_LAMBDA_INLINE {
      V difference, term;
      bregman(
          load(known.row.exps[teacher] + c) * of_p, load(known.row.exps[student] + c) * of_q,
          constant - distance(known, c, count), difference, term);
      return difference * A(up);
    });
  }
  // q (s - the mean of s), for s = -d and for what `mixture` left.
  LK_APART void centred_distance(const Known& known, double up) const {
    const A of_q = A(up / known.sum[student]), mean = A(known.mean);
    write(known.row, [&](int64_t c, int count) LK_LAMBDA_INLINE {
      const V e = load(known.row.exps[student] + c);
      return e > V{} ? e * of_q * (mean - distance(known, c, count)) : V{};
    });
  }
  LK_APART void centred_slope(const Known& known, double up) const {
    const A of_q = A(up / known.sum[student]), mean = A(known.mean);
    write(known.row, [&](int64_t c, int) LK_LAMBDA_INLINE {
      return load(known.row.exps[student] + c) * of_q * (load(known.row.exps[teacher] + c) - mean);
    });
  }

  double row(int64_t r) const {
    Known known;
    known.row = row_at(r);
    const A top[2] = {largest(known.row, student), largest(known.row, teacher)};
    known.shift = top[teacher] - top[student];
    const bool forward = call.direction == Direction::forward, jsd = call.direction == Direction::jsd;
    // The one that weighs comes last, its exponentials at hand.
    const int last = forward ? teacher : student, first = 1 - last;
    double log_sum[2];
    log_sum[first] = exponentials<false>(known, first, top[first]);
    log_sum[last] = jsd ? exponentials<false>(known, last, top[last]) : exponentials<true>(known, last, top[last]);
    const double up = call.up ? double(static_cast<const A*>(call.up)[call.up_stride * r]) : 0.0;
    if (!(known.sum[student] > 0 && known.sum[teacher] > 0)) {  // NaN: no softmax
      if (call.up) fill(known.row, A(__builtin_nan("")));
      return __builtin_nan("");
    }
    known.constant = log_sum[teacher] - log_sum[student];
    if (jsd) {
      const double value = mixture(known);
      if (call.up) centred_slope(known, up);
      return value;
    }
    double value = forward ? known.mean - known.constant : known.constant - known.mean;
    const double subtracted = 1 + __builtin_fabs(double(known.shift)) + __builtin_fabs(known.constant);
    const bool small = !(value > careful_below * subtracted);  // or NaN
    if (small) {
      const Found found = forward ? careful<teacher>(known) : careful<student>(known);
      value = found.value;
      known.constant -= found.error;
      known.mean = known.constant - value;  // of the student's side
    }
    if (!call.up) return value;
    if (forward) small ? careful_difference(known, up) : difference(known, up);
    else if (__builtin_isinf(value)) fill(known.row, A(__builtin_nan("")));  // there is no gradient
    else centred_distance(known, up);
    return value;
  }
};

template <class T, bool bent>
void run_kl_rows(const SoftmaxKLCall& call, int64_t first, int64_t last) {
  using K = KLKernel<T, bent>;
  using A = Wide<T>;
  Workspace workspace(K::workspace_bytes(call.classes));
  const K kernel{call, call.classes, workspace.as<A>()};
  for (int64_t r = first; r < last; ++r) static_cast<A*>(call.values)[r] = A(kernel.row(r));
}

template <class T>
void run_kl(const SoftmaxKLCall& call, int64_t first, int64_t last) {
  const bool bent = call.softcap > 0 || call.teacher_softcap > 0;
  bent ? run_kl_rows<T, true>(call, first, last) : run_kl_rows<T, false>(call, first, last);
}

}  // namespace
