// softmax_nll for rows: the classes of an example lie side by side, and there are many (`few_classes` in
// softmax_columns.h says how many).
//
// Per element: 1 exponential, in float32 9 multiplications and 6 other instructions of a vector, which allow 4.5
// cycles on two multiplying units; with the search for the largest and the gradient, measured on Zen 5, 10 to 12.
// Bytes from and to memory, float32: the logits are read once (4; the second look finds them in the cache), the
// gradient is written once (4, and 4 more that the processor reads in order to write, unless the lines bypass the
// cache): 8 to 12, where y.copy_(x) moves the same 8 to 12. The floor of logits-to-gradient is therefore one copy;
// in place the same 8. Probability targets add 4. The loss alone: 4, half a copy.
#pragma once

#include "calls.h"
#include "class_mask.h"
#include "exp_below.h"
#include "focal.h"
#include "stream.h"
#include "targets.h"
#include "workspace.h"

namespace {

using likelihead::SoftmaxCall;

enum class Mode { plain, smooth, soft };  // index targets; with label smoothing; probability targets

// Everything about a call that is the same for each row, in the type of the arithmetic.
template <class T, Mode mode, bool bent>  // bent: the logits are changed first, by a cap, an offset or a mask
struct RowKernel {
  using A = Wide<T>;
  using V = Vec<A>;
  static constexpr int n = Lanes<A>::n;
  static constexpr int block = 8;  // vectors between two closings of the sums

  const SoftmaxCall& call;
  const int64_t classes;
  const A *weight, *offset;
  const A cap, cap_inverse, smoothing;
  A *const exps_space, *const bent_space;  // workspaces: of a row, and of two in turns
  const bool capped_and_offset;  // then the workspace holds the capped logits, without the offset
  const bool streaming;          // the gradient bypasses the caches
  const bool short_rows;         // several fit the second-level cache; the next begins before it would have come

  // A row begins anywhere. Its first classes, up to where an aligned vector begins, are a part of a vector, and the
  // workspaces are laid out so that their vectors are aligned where the row's are.
  struct Row {
    const T* x;
    T* out;
    int64_t index;  // of the target, or -1
    int head;       // classes before the first aligned vector
    A *exps, *bent_logits;
    const uint8_t* where;       // its class mask
    double spread, weight_sum;  // of label smoothing: the share of a class, the weights of those that have it
  };
  Row row_at(int64_t r, int64_t index) const {
    constexpr size_t vector = n * sizeof(T);
    const T* x = static_cast<const T*>(call.logits) + r * classes;
    const int64_t past = int64_t(reinterpret_cast<size_t>(x) % vector / sizeof(T));
    const int64_t head = (n - past) % n;
    T* out = call.grad ? static_cast<T*>(call.grad) + r * classes : nullptr;
    A* const bent_logits = bent_space + (r & 1) * padded(classes) + past;
    Row row = {x, out, index, int(head < classes ? head : classes), exps_space + past, bent_logits, nullptr,
               call.label_smoothing / double(classes), call.weight_sum};
    if (masked()) {
      row.where = where_of(call, r);
      if (call.label_smoothing > 0) spread_over_allowed(row);
    }
    return row;
  }
  static bool streams(const SoftmaxCall& c) {
    constexpr size_t vector = n * sizeof(T);
    const size_t apart = reinterpret_cast<size_t>(c.grad) - reinterpret_cast<size_t>(c.logits);
    return c.past_caches && vector == 64 && apart % vector == 0;
  }

  RowKernel(const SoftmaxCall& c, A* workspace)
      : call(c), classes(c.classes), weight(static_cast<const A*>(c.weight)),
        offset(static_cast<const A*>(c.logit_offset)), cap(A(c.softcap)),
        cap_inverse(c.softcap > 0 ? A(1) / A(c.softcap) : A(0)), smoothing(A(c.label_smoothing)),
        exps_space(workspace),
        bent_space(workspace + padded(c.classes)), capped_and_offset(c.softcap > 0 && c.logit_offset),
        streaming(streams(c)), short_rows(c.classes * sizeof(T) <= 32768) {}

  static int64_t padded(int64_t classes) { return (classes + n - 1) / n * n + 2 * n; }

  // Calls f(first class, number of lanes) for each vector of the row, and close() after each block of them.
  template <class F, class G>
  LK_INLINE_MEMBER void each(const Row& row, const F& f, const G& close) const {
    int64_t c = row.head;
    if (c) f(int64_t(0), int(c));
    for (; c + block * n <= classes; c += block * n) {
      for (int k = 0; k < block; ++k) f(c + k * n, n);
      close();
    }
    for (; c + n <= classes; c += n) f(c, n);
    if (c < classes) f(c, int(classes - c));
    close();
  }
  // The same with whole(first class) for all of a block, unless the block holds the vector that begins at `apart`.
  template <class F, class W, class G>
  LK_INLINE_MEMBER void each(const Row& row, int64_t apart, const F& f, const W& whole, const G& close) const {
    int64_t c = row.head;
    if (c) f(int64_t(0), int(c));
    for (; c + block * n <= classes; c += block * n) {
      if (apart >= c && apart < c + block * n) {
        for (int k = 0; k < block; ++k) f(c + k * n, n);
      } else {
        whole(c);
      }
      close();
    }
    for (; c + n <= classes; c += n) f(c, n);
    if (c < classes) f(c, int(classes - c));
    close();
  }

  template <class P>
  LK_INLINE_MEMBER static V get(const P* p, int count, A fill) {
    return count == n ? load(p) : load_some(p, count, fill);
  }

  // Whether there is a class mask. Where it forbids a class, the logit is as if -inf, and its gradient 0.
  LK_INLINE_MEMBER bool masked() const { return bent && call.where; }
  LK_INLINE_MEMBER IVec<A> allowed(const Row& row, int64_t c, int count) const {
    return lanes_of<A>(row.where + c * call.where_class, call.where_class, count);
  }
  bool is_allowed(const Row& row, int64_t c) const { return row.where[c * call.where_class] != 0; }
  void spread_over_allowed(Row& row) const {
    double number = 0, weights = 0;
    for (int64_t c = 0; c < classes; ++c) {
      const double on = is_allowed(row, c);
      number += on;
      if (weight) weights += on * double(weight[c]);
    }
    row.spread = call.label_smoothing / number;
    row.weight_sum = weight ? weights : number;
  }

  // The first class of the vector that holds the target, or -1.
  static int64_t target_vector(const Row& row) {
    return row.index < row.head ? (row.index < 0 ? -1 : 0) : row.head + (row.index - row.head) / n * n;
  }

  LK_INLINE_MEMBER V logits_at(const Row& row, int64_t c, int count, A fill) const {
    if (!bent) return get(row.x + c, count, fill);
    V z = load(row.bent_logits + c);  // padded by `bend`
    if (capped_and_offset) {
      z += get(offset + c, count, A(0));
      if (masked()) z = allowed(row, c, count) ? z : splat(-A(__builtin_inf()));
    }
    return z;
  }

  // Leaves the capped logits (or, without a cap, the offset ones) in the workspace, and finds the largest.
  A bend(const Row& row) const {
    V top = splat(-A(__builtin_inf()));
    each(
        row,
        [&](int64_t c, int count) {
          V z = get(row.x + c, count, -A(__builtin_inf()));
          if (call.softcap > 0) z = cap * tanh_of(z * cap_inverse);
          V shifted = offset ? z + get(offset + c, count, A(0)) : z;
          if (masked()) {
            const IVec<A> on = allowed(row, c, count);
            z = on ? z : splat(-A(__builtin_inf()));
            shifted = on ? shifted : splat(-A(__builtin_inf()));
          }
          if (count < n) {
            for (int i = count; i < n; ++i) z[i] = shifted[i] = -A(__builtin_inf());
          }
          store(row.bent_logits + c, call.softcap > 0 ? z : shifted);
          top = vmax(top, shifted);
        },
        [] {});
    return max_lanes<A>(top);
  }

  A largest(const Row& row) const {
    if (bent) return bend(row);
    const A lowest = -A(__builtin_inf());
    const T* x = row.x;
    V top[4] = {splat(lowest), splat(lowest), splat(lowest), splat(lowest)};
    int64_t c = row.head;
    if (c) top[0] = load_some(x, int(c), lowest);
    for (; c + 4 * n <= classes; c += 4 * n)
      for (int k = 0; k < 4; ++k) top[k] = vmax(top[k], V(load(x + c + k * n)));
    for (; c + n <= classes; c += n) top[0] = vmax(top[0], V(load(x + c)));
    if (c < classes) top[1] = vmax(top[1], V(load_some(x + c, int(classes - c), lowest)));
    return max_lanes<A>(vmax(vmax(top[0], top[1]), vmax(top[2], top[3])));
  }

  // A share of 0 takes nothing of an infinite distance, unless torch's NaN is asked for.
  LK_INLINE_MEMBER V times(V share, V below) const {
    const V product = share * below;
    if (call.torch_nonfinite) return product;
    return (share == V{}) & (below == splat(A(__builtin_inf()))) ? V{} : product;
  }

  // What one look at the row finds. `rest` leaves out the target's exponential; `unit` is the largest one.
  struct Found {
    double rest, weighted_gap, coefficients, unit;
  };

  // Writes the exponentials to the workspace. `q` are the row's probabilities.
  template <class Q>
  Found exponentials(const Row& row, const Q* q, A top) const {
    Sum<A> rest, gap, coefficients;
    const V tops = splat(top);
    const ExpBelow<A> exp_below(tops);
    const IVec<A> numbers = lane_numbers<A>();
    const int64_t with_target = target_vector(row);
    auto add = [&](int64_t c, int count, V z, V e) LK_LAMBDA_INLINE {
      rest.add(e);
      if (mode == Mode::plain) return;
      V below = tops - z;
      if (count < n) below = numbers < isplat<A>(count) ? below : V{};
      if (mode == Mode::smooth) {
        if (masked()) below = allowed(row, c, count) ? below : V{};
        gap.add(weight ? times(get(weight + c, count, A(0)), below) : below);
      }
      if (mode == Mode::soft) {
        const V share = coefficient(row, q, c, count);
        if (masked()) below = (share == V{}) & ~allowed(row, c, count) ? V{} : below;
        gap.add(times(share, below));
        coefficients.add(share);
      }
    };
    // Later rows come from memory while this one is computed, and so do the lines that its gradient will fill.
    const int64_t ahead = short_rows ? 2 * classes : classes;
    T* const to = short_rows && !streaming ? row.out : nullptr;
    auto fetch = [&](int64_t c) LK_LAMBDA_INLINE {
      __builtin_prefetch(row.x + ahead + c, 0, 2);
      if (mode == Mode::soft) __builtin_prefetch(q + ahead + c, 0, 2);
      if (to) __builtin_prefetch(to + c, 1, 2);
    };
    each(
        row, with_target,
        [&](int64_t c, int count) LK_LAMBDA_INLINE {
          fetch(c);
          const V z = logits_at(row, c, count, top);
          V e = exp_below(z);
          if (count < n) e = numbers < isplat<A>(count) ? e : V{};
          store(row.exps + c, e);
          if (c == with_target) e = numbers == isplat<A>(typename Lanes<A>::Int(row.index - c)) ? V{} : e;
          add(c, count, z, e);
        },
        [&](int64_t c) LK_LAMBDA_INLINE {
          constexpr int together = 4;
          for (int j = 0; j < block; j += together) {
            V z[together], e[together];
#pragma GCC unroll 4
            for (int k = 0; k < together; ++k) {
              fetch(c + (j + k) * n);
              e[k] = z[k] = logits_at(row, c + (j + k) * n, n, top);
            }
            exp_below.template each<together>(e);
#pragma GCC unroll 4
            for (int k = 0; k < together; ++k) {
              store(row.exps + c + (j + k) * n, e[k]);
              add(c + (j + k) * n, n, z[k], e[k]);
            }
          }
        },
        [&]() LK_LAMBDA_INLINE {
          rest.close_block();
          if (mode != Mode::plain) gap.close_block();
          if (mode == Mode::soft) coefficients.close_block();
        });
    return {rest.total(), gap.total(), coefficients.total(), double(exp_below(tops)[0])};
  }

  template <class Q>
  LK_INLINE_MEMBER V coefficient(const Row& row, const Q* q, int64_t c, int count) const {
    V share = get(q + c, count, A(0));
    if (smoothing > 0) {
      V spread = splat(A(row.spread));
      if (masked()) spread = allowed(row, c, count) ? spread : V{};
      share = share * (1 - smoothing) + spread;
    }
    if (weight) share = share * get(weight + c, count, A(0));
    if (count < n) share = lane_numbers<A>() < isplat<A>(count) ? share : V{};
    return share;
  }

  // The sum of the exponentials but for one that is the largest, in units of it: what log1p wants when nearly all of
  // the sum is the largest.
  double sum_without_top(const Row& row, A unit) const {
    Sum<A> below, tops;
    const V largest = splat(unit);
    each(
        row,
        [&](int64_t c, int count) LK_LAMBDA_INLINE {
          V e = load(row.exps + c);
          if (count < n) e = lane_numbers<A>() < isplat<A>(count) ? e : V{};
          below.add(e < largest ? e : V{});
          tops.add(e < largest ? V{} : e);  // the largest, or NaN
        },
        [&] {
          below.close_block();
          tops.close_block();
        });
    return (below.total() + (tops.total() - double(unit))) / double(unit);
  }

  // An ignored row: zeros, or, where torch's answer is asked for, NaN if the row has no softmax. That the row is
  // read at all is the price of the second; there is no exponential. A row of weight 0 is not there at all.
  void ignore(const Row& row, bool weightless) const {
    if (!call.torch_nonfinite || weightless || has_softmax(row)) {
      std::memset(static_cast<void*>(row.out), 0, sizeof(T) * classes);
      return;
    }
    for (int64_t c = 0; c < classes; ++c)
      store_one(row.out + c, masked() && !is_allowed(row, c) ? A(0) : A(__builtin_nan("")));
  }
  LK_APART bool has_softmax(const Row& row) const {
    const V most = splat(A(__builtin_inf()));
    IVec<A> fine = isplat<A>(-1), possible{};
    // One vector after the other, for little code: memory is what this waits for.
    for (int64_t c = 0, next; c < classes; c = next) {
      next = c < row.head ? row.head : c + n;
      const int count = int((next < classes ? next : classes) - c);
      V z = get(row.x + c, count, A(0));
      if (bent && call.softcap > 0) z = z == z ? V{} : z;  // a cap makes infinity finite
      if (bent && offset) z += get(offset + c, count, A(0));
      if (masked()) z = allowed(row, c, count) ? z : -most;
      if (count < n) z = lane_numbers<A>() < isplat<A>(count) ? z : -most;
      fine &= z < most;
      possible |= z > -most;
    }
    bool all_fine = true, any_possible = false;
    for (int i = 0; i < n; ++i) {
      all_fine = all_fine && fine[i];
      any_possible = any_possible || possible[i];
    }
    return all_fine && any_possible;
  }

  template <class Q>
  void gradient(const Row& row, const Q* q, A factor, A subtract, A upstream, A at_target) const {
    auto at = [&](int64_t c, int count) LK_LAMBDA_INLINE {
      V g = load(row.exps + c) * factor;
      if (mode == Mode::smooth) g -= weight ? subtract * get(weight + c, count, A(0)) : splat(subtract);
      if (mode == Mode::soft) g -= upstream * coefficient(row, q, c, count);
      if (bent && call.softcap > 0) g *= slope(load(row.bent_logits + c));
      if (masked()) g = allowed(row, c, count) ? g : V{};
      return g;
    };
    const bool has_target = mode != Mode::soft && row.index >= 0;
    if (has_target && bent && call.softcap > 0) at_target *= slope(row.bent_logits[row.index]);
    if (has_target && masked() && !is_allowed(row, row.index)) at_target = 0;
    if (!streaming) {
      each(
          row,
          [&](int64_t c, int count) LK_LAMBDA_INLINE {
            count == n ? store(row.out + c, at(c, n)) : store_some(row.out + c, at(c, count), count);
          },
          [] {});
      // Afterwards: a branch in the loop would be mispredicted once in each row.
      if (has_target) store_one(row.out + row.index, at_target);
      return;
    }
    // A line that has bypassed the caches would have to come back.
    const int64_t with_target = has_target ? target_vector(row) : -1;
    each(
        row, with_target,
        [&](int64_t c, int count) LK_LAMBDA_INLINE {
          V g = at(c, count);
          if (c == with_target)
            g = lane_numbers<A>() == isplat<A>(typename Lanes<A>::Int(row.index - c)) ? splat(at_target) : g;
          count == n ? stream(row.out + c, g) : store_some(row.out + c, g, count);
        },
        [&](int64_t c) LK_LAMBDA_INLINE {
          for (int k = 0; k < block; ++k) stream(row.out + c + k * n, at(c + k * n, n));
        },
        [] {});
  }
  template <class X>
  LK_INLINE_MEMBER X slope(X capped) const {
    X t = capped * cap_inverse;
    return 1 - t * t;
  }

  // A row with its largest logit, or one of which nothing is asked for but zeros.
  struct Begun {
    Row row;
    bool kept, skip, weightless;
    A top;
  };
  // Apart from the rest, so that the next row can begin while this one's sum goes through its reduction, logarithm
  // and divisions, each of which waits for the one before.
  Begun begin(int64_t r) const {
    const int64_t given = mode == Mode::soft ? -1 : class_at(call, r);
    const bool weightless = call.sample_weight && sample_weight(r) == 0;
    const bool kept = !weightless && (mode == Mode::soft || given != call.ignore_index);
    const bool skip = !kept && !call.lse && !call.up_lse;
    const Row row = row_at(r, kept ? given : -1);
    return {row, kept, skip, weightless, skip ? A(0) : largest(row)};
  }

  template <class Q>
  double rows(int64_t first, int64_t last) const {
    double total = 0;
    Begun next = begin(first);
    for (int64_t r = first; r < last; ++r) {
      const Begun now = next;
      const Q* q = mode == Mode::soft ? static_cast<const Q*>(call.target) + r * classes : nullptr;
      const Found found = now.skip ? Found{} : exponentials(now.row, q, now.top);
      if (r + 1 < last) next = begin(r + 1);
      total += finish(r, now, found, q);
    }
    return total;
  }

  template <class Q>
  double finish(int64_t r, const Begun& begun, const Found& found, const Q* q) const {
    const Row& row = begun.row;
    const bool kept = begun.kept;
    const int64_t index = row.index;
    const A top = begun.top;
    if (begun.skip) {
      if (call.nll) static_cast<A*>(call.nll)[r] = 0;
      if (row.out) ignore(row, begun.weightless);
      return 0;
    }
    const A bent_t = index >= 0 && bent ? row.bent_logits[index] : A(0);
    const A z_t = index < 0            ? A(0)
                  : !bent              ? load_one(row.x + index)
                  : masked() && !is_allowed(row, index) ? -A(__builtin_inf())
                  : capped_and_offset ? bent_t + offset[index]
                                       : bent_t;

    const double e_t = index < 0 ? 0.0 : double(row.exps[index]);
    const double total = found.rest + e_t;
    const bool is_top = index >= 0 && z_t == top;
    double above = is_top ? __builtin_log1p(found.rest / e_t) : __builtin_log(total / found.unit);
    if (!is_top && total < 1.5 * found.unit && (mode == Mode::soft || call.lse || call.z_loss > 0 || !kept))
      above = __builtin_log1p(sum_without_top(row, A(found.unit)));
    const double lse = double(top) + above;

    // nll = certain * (lse - z_t) + every class's share + z_loss * lse^2
    const double w_t = weight && index >= 0 ? double(weight[index]) : 1.0;
    double certain = mode == Mode::soft || !kept ? 0.0 : (1 - call.label_smoothing) * w_t;
    const double spread = mode == Mode::smooth && kept ? row.spread : 0.0;
    const double sampled = call.sample_weight && kept ? sample_weight(r) : 1.0;
    double nll = 0;
    if (kept) {
      if (mode == Mode::soft) {
        nll = every_class(found.weighted_gap, found.coefficients, above);
      } else {
        const double own = is_top ? above : (double(top) - double(z_t)) + above;
        const bool nothing = w_t == 0 && own == __builtin_inf() && !call.torch_nonfinite;
        if (call.focal_gamma > 0) {
          const Focal<double> focal = focal_of(own, e_t / total, found.rest / total, call.focal_gamma);
          nll = nothing ? 0.0 : certain * (focal.value * own);
          certain *= focal.slope;  // from here on that of the gradient
        } else {
          nll = nothing ? 0.0 : certain * own;
        }
        if (mode == Mode::smooth) nll += spread * every_class(found.weighted_gap, row.weight_sum, above);
      }
      if (call.z_loss > 0) nll += call.z_loss * lse * lse;
      if (call.sample_weight) nll *= sampled;
    }
    if (call.nll) static_cast<A*>(call.nll)[r] = A(nll);
    if (call.lse) static_cast<A*>(call.lse)[r] = A(lse);
    if (!row.out) return nll;
    if (!kept && (!call.torch_nonfinite || begun.weightless)) {
      ignore(row, begun.weightless);
      return nll;
    }

    const double up = kept ? sampled * call.scale * upstream(call.up_nll, call.up_nll_stride, r, 1.0) : 0.0;
    const double up_lse = upstream(call.up_lse, call.up_lse_stride, r, 0.0);
    const double shared = up * (spread * row.weight_sum + found.coefficients + 2 * call.z_loss * lse) + up_lse;
    const double factor = (up * certain + shared) / total;
    const double own = up * certain;  // an infinite one has no meaningful gradient: NaN, as in torch
    const double at_target = (own - own) - own * (found.rest / total) + shared * (e_t / total) - up * spread * w_t;
    gradient(row, q, A(factor), A(up * spread), A(up), A(at_target));
    return nll;
  }

  // An infinite share has an infinite loss, also at the top, where its gap is 0 and their product NaN.
  static double every_class(double gap, double shares, double above) {
    const bool infinite = __builtin_isinf(shares) && __builtin_isfinite(above);
    return infinite ? shares * above : gap + shares * above;
  }
  double sample_weight(int64_t r) const {
    return double(static_cast<const A*>(call.sample_weight)[r / call.sample_each]);
  }
  static double upstream(const void* p, int64_t stride, int64_t r, double absent) {
    return p ? double(static_cast<const A*>(p)[stride * r]) : absent;
  }
};

template <class T, Mode mode, bool bent>
void run_rows(const SoftmaxCall& call, int64_t first, int64_t last) {
  using K = RowKernel<T, mode, bent>;
  using A = Wide<T>;
  Workspace workspace(sizeof(A) * K::padded(call.classes) * (bent ? 3 : 1));
  const K kernel(call, workspace.as<A>());
  if (call.went_past) *call.went_past = kernel.streaming;
  const bool wide = mode == Mode::soft && call.target_kind == likelihead::Target::wide;
  for (int64_t chunk = first; chunk < last; ++chunk) {
    const int64_t begin = chunk * call.chunk;
    const int64_t end = begin + call.chunk < call.examples ? begin + call.chunk : call.examples;
    const double total = wide ? kernel.template rows<A>(begin, end) : kernel.template rows<T>(begin, end);
    if (call.sums) call.sums[chunk] = total;
  }
  end_of_stream();
}

}  // namespace
