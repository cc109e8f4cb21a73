// softmax_scores_: the values of a row of logits, its entropy and its largest class, and over the logits the gradient.
//
// With d the gap of a logit to the largest, H = log1p(sum' e^-d) + sum p d and dH/dz = p (d - sum p d). One of the largest
// is left out of the sum, whatever the target is: its share of the total is 1, and beside it a confident row's entropy
// would be gone.
//
// Per element: 1 exponential (and 1 tanh where there is a cap), as in softmax_rows.h, and for the entropy 3 instructions
// of a vector beside it and 3 in the gradient. The row comes from memory once, in the search for the largest; the second
// look and the gradient find it in the second-level cache, where its exponentials lie too. Bytes from and to memory are
// those of softmax_nll_ in place: the logits once, their gradient once.
#pragma once

#include "softmax_rows.h"

namespace {

using likelihead::ScoresCall;

// The largest number, and the first of the pieces of a row that has it, lane by lane.
template <class A>
struct Largest {
  using V = Vec<A>;
  V top, of_piece;
  IVec<A> piece;

  LK_INLINE_MEMBER Largest() : top(splat(-A(__builtin_inf()))), of_piece(top), piece{} {}
  LK_INLINE_MEMBER void add(V z) { of_piece = vmax(of_piece, z); }
  LK_INLINE_MEMBER void close(typename Lanes<A>::Int number) {
    piece = of_piece > top ? isplat<A>(number) : piece;
    top = vmax(of_piece, top);  // in this order: a NaN is for the sums to find
    of_piece = splat(-A(__builtin_inf()));
  }
  int64_t first_piece(A value) const {
    int64_t first = -1;
    for (int i = 0; i < Lanes<A>::n; ++i)
      if (top[i] == value && (first < 0 || piece[i] < first)) first = piece[i];
    return first;
  }
};

template <class T, bool capped>
struct ScoresRows : RowKernel<T, Mode::plain, capped> {
  using Rows = RowKernel<T, Mode::plain, capped>;
  using A = Wide<T>;
  using V = Vec<A>;
  using Row = typename Rows::Row;  // its `index`: of the class that is left out of the sums
  using Rows::block, Rows::classes, Rows::each, Rows::get, Rows::logits_at, Rows::n, Rows::target_vector;
  using Rows::upstream;

  // Whether the exponentials' gaps are kept beside them: to widen 16-bit logits once more takes longer.
  static constexpr bool keeps_gaps = sizeof(T) == 2 && !capped;
  static constexpr int workspaces = capped || keeps_gaps ? 2 : 1;

  const ScoresCall& scores;

  ScoresRows(const ScoresCall& c, A* workspace) : Rows(c, workspace), scores(c) {}

  // No exponential is left further below the top, and 0 times an infinite gap would be NaN.
  LK_INLINE_MEMBER static V gap_of(V z, V tops) { return vmax(splat(ExpConstants<A>::underflow), z - tops); }

  // Finds the largest logit, writes the capped ones to the workspace, and returns the first class of the largest before
  // the cap. Capped logits can be equal where those are not.
  int64_t find_largest(Row& row, A& value) const {
    const A lowest = -A(__builtin_inf());
    const IVec<A> numbers = lane_numbers<A>();
    Largest<A> top, given;
    typename Lanes<A>::Int piece = 0;
    each(
        row,
        [&](int64_t c, int count) LK_LAMBDA_INLINE {
          V z = get(row.x + c, count, lowest);
          if (capped) {
            given.add(z);
            z = this->cap * tanh_of(z * this->cap_inverse);
            if (count < n) z = numbers < isplat<A>(count) ? z : splat(lowest);
            store(row.bent_logits + c, z);
          }
          top.add(z);
        },
        [&]() LK_LAMBDA_INLINE {
          top.close(piece);
          if (capped) given.close(piece);
          ++piece;
        });
    value = max_lanes<A>(top.top);
    if (!capped) return row.index = first_of(row, row.x, top, value);
    row.index = first_of(row, row.bent_logits, top, value);
    return first_of(row, row.x, given, max_lanes<A>(given.top));
  }

  template <class S>
  int64_t first_of(const Row& row, const S* z, const Largest<A>& found, A value) const {
    const int64_t piece = found.first_piece(value);
    if (piece < 0) return 0;
    return first_class(row, z, piece ? row.head + piece * block * n : 0, [&](V some) { return some == value; });
  }
  // From a class on that begins a vector; -1 if there is none.
  template <class S, class F>
  int64_t first_class(const Row& row, const S* z, int64_t from, const F& is_it) const {
    for (int64_t c = from, next; c < classes; c = next) {
      next = c < row.head ? row.head : c + n < classes ? c + n : classes;
      const IVec<A> found = is_it(get(z + c, int(next - c), A(0)));
      if (all(~found)) continue;
      for (int64_t k = c; k < next; ++k)
        if (found[k - c]) return k;
    }
    return -1;
  }

  // `rest` and `gap` leave one of the largest out, whose exponential is `unit`; gaps have their sign turned.
  struct Found {
    double rest, gap, unit;
  };

  // Writes the exponentials to the workspace.
  Found exponentials(const Row& row, A top) const {
    Sum<A> rest, gap;
    const V tops = splat(top);
    const ExpBelow<A> exp_below(tops);
    const IVec<A> numbers = lane_numbers<A>();
    const int64_t apart = target_vector(row);
    auto add = [&](int64_t c, V z, V e, V counted) LK_LAMBDA_INLINE {
      store(row.exps + c, e);
      const V below = gap_of(z, tops);
      if (keeps_gaps) store(row.bent_logits + c, e * below);
      rest.add(counted);
      gap.add(e * below);  // 0 of the largest
    };
    // The next row comes from memory while this one is computed.
    auto fetch = [&](int64_t c) LK_LAMBDA_INLINE { __builtin_prefetch(row.x + classes + c, 0, 2); };
    each(
        row, apart,
        [&](int64_t c, int count) LK_LAMBDA_INLINE {
          fetch(c);
          const V z = logits_at(row, c, count, top);
          V e = exp_below(z);
          if (count < n) e = numbers < isplat<A>(count) ? e : V{};
          const bool with_largest = c == apart;
          V others = e;
          if (with_largest) others = numbers == isplat<A>(typename Lanes<A>::Int(row.index - c)) ? V{} : e;
          add(c, z, e, others);
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
            for (int k = 0; k < together; ++k) add(c + (j + k) * n, z[k], e[k], e[k]);
          }
        },
        [&]() LK_LAMBDA_INLINE {
          rest.close_block();
          gap.close_block();
        });
    return {rest.total(), gap.total(), double(exp_below(tops)[0])};
  }

  // Each exponential times (shared + own * its gap).
  void gradient(const Row& row, A top, A shared, A own) const {
    const V tops = splat(top);
    each(
        row,
        [&](int64_t c, int count) LK_LAMBDA_INLINE {
          const V e = load(row.exps + c);
          V g;
          if (keeps_gaps) {
            g = shared * e - own * load(row.bent_logits + c);
          } else {
            const V z = logits_at(row, c, count, top);
            g = e * (shared - own * gap_of(z, tops));
            if (capped) g *= this->slope(z);
          }
          count == n ? store(row.out + c, g) : store_some(row.out + c, g, count);
        },
        [] {});
  }

  void score(int64_t r) const {
    const int64_t target = class_at(scores, r);
    const bool kept = target != scores.ignore_index;
    Row row = this->row_at(r, -1);
    row.bent_logits = this->bent_space + (row.exps - this->exps_space);  // of one row at a time
    A top;
    const int64_t largest = find_largest(row, top);
    const Found found = exponentials(row, top);
    const double total = found.rest + found.unit, above = __builtin_log1p(found.rest / found.unit);
    const double mean_gap = -found.gap / total;
    const A z_t = !kept ? A(0) : capped ? row.bent_logits[target] : load_one(row.x + target);
    const double gap_t = kept ? double(top) - double(z_t) : 0.0;

    static_cast<A*>(scores.nll)[r] = kept ? A(gap_t + above) : A(0);
    static_cast<A*>(scores.lse)[r] = A(double(top) + above);
    static_cast<A*>(scores.entropy)[r] = A(above + mean_gap);
    if (scores.prediction) {
      const int64_t none = total == total ? -1 : first_class(row, row.x, 0, [](V z) { return z != z; });
      scores.prediction[r] = none < 0 ? largest : none;  // as in torch, NaN is the largest of all
    }
    if (!row.out) return;

    const double up = kept ? upstream(scores.up_nll, scores.up_nll_stride, r, 0.0) : 0.0;
    const double up_lse = upstream(scores.up_lse, scores.up_lse_stride, r, 0.0);
    const double up_entropy = upstream(scores.up_entropy, scores.up_entropy_stride, r, 0.0);
    if (!kept && up_lse == 0 && up_entropy == 0) {  // whatever its logits are
      std::memset(static_cast<void*>(row.out), 0, sizeof(T) * classes);
      return;
    }
    const double shared = up_lse - up_entropy * mean_gap;
    double at_target = 0;
    if (kept) {
      // The target's p - 1 by the others' sum, which loses nothing: the largest is among them, or they are `rest`.
      const double e_t = double(row.exps[target]);
      const double others = target == row.index ? found.rest : found.rest + (found.unit - e_t);
      const double own = e_t == 0 ? 0.0 : e_t * (shared + up_entropy * gap_t);
      at_target = (own - up * others) / total;
      if (capped) at_target *= double(this->slope(z_t));
    }
    gradient(row, top, A((up + shared) / total), A(up_entropy / total));
    if (kept) store_one(row.out + target, A(at_target));
  }
};

template <class T, bool capped>
void run_scores(const ScoresCall& call, int64_t first, int64_t last) {
  using K = ScoresRows<T, capped>;
  using A = Wide<T>;
  Workspace workspace(sizeof(A) * K::padded(call.classes) * K::workspaces);
  const K kernel(call, workspace.as<A>());
  const int64_t end = last * call.chunk < call.examples ? last * call.chunk : call.examples;
  for (int64_t r = first * call.chunk; r < end; ++r) kernel.score(r);
}

template <class T>
void run_scores(const ScoresCall& call, int64_t first, int64_t last) {
  call.softcap > 0 ? run_scores<T, true>(call, first, last) : run_scores<T, false>(call, first, last);
}

}  // namespace
