// softmax_nll with a vector's lanes on different examples: for the pixels of [N, C, d1, ...], whose classes lie
// far apart, and for rows of few classes, which would leave most of a vector empty.
//
// A tile of examples is brought into a workspace that stays in the cache, so that memory is read once and written
// once; rows of few classes are transposed on the way in and out. The next tile is brought a little at a time while
// this one is computed, and the gradient is written vector by vector as it comes, so that memory and arithmetic
// are busy together.
//
// Per element: 1 exponential, about 25 instructions of arithmetic per vector. Bytes from and to memory, float32:
// 4 read, 4 written (8 with the read before the write, which outputs larger than the caches are spared): the
// floor is one y.copy_(x), as for rows.
#pragma once

#include "softmax_rows.h"
#include "softmax_tile.h"

namespace {

// Class indices of some examples, -1 for the ignored. Without a branch, which compilers make vectors of.
template <class Int, class C>
LK_INLINE void read_classes(Int* index, const C* target, int count, int64_t ignore) {
  for (int k = 0; k < count; ++k) {
    const int64_t c = int64_t(target[k]);
    index[k] = Int(c == ignore ? -1 : c);
  }
}
template <class Int>
LK_APART void read_classes(const SoftmaxCall& call, Int* index, int64_t i, int count) {
  using likelihead::Target;
  const auto read = [&](auto* target) {
    constexpr int strip = 4 * LK_VECTOR_BYTES / sizeof(Int);  // a loop without a remainder
    int k = 0;
    for (; k + strip <= count; k += strip) read_classes(index + k, target + i + k, strip, call.ignore_index);
    read_classes(index + k, target + i + k, count - k, call.ignore_index);
  };
  switch (call.target_kind) {
    case Target::i64: return read(static_cast<const int64_t*>(call.target));
    case Target::i32: return read(static_cast<const int32_t*>(call.target));
    case Target::i16: return read(static_cast<const int16_t*>(call.target));
    case Target::i8: return read(static_cast<const int8_t*>(call.target));
    default: return read(static_cast<const uint8_t*>(call.target));
  }
}

template <class T, Mode mode, bool bent>
struct ColumnKernel {
  using A = Wide<T>;
  using V = Vec<A>;
  using I = IVec<A>;
  using Int = typename Lanes<A>::Int;
  static constexpr int n = Lanes<A>::n;
  static constexpr int block = 16;  // classes between two closings of the sums
  static constexpr int strip = 4;   // vectors computed side by side

  const SoftmaxCall& call;
  const Tiles<T> tiles;
  const int64_t classes, pitch;
  const A *weight, *offset;
  const A cap, cap_inverse, smoothing, spread, certain_share, weight_sum, z_loss;

  // A tile with what belongs to its examples.
  struct Slot {
    Tile tile;
    bool skip;    // nothing of it is asked for but zeros
    bool wanted;  // its logits are looked at
    A *z, *probs, *weights, *up, *up_lse, *sampled;
    Int* index;  // the classes, -1 where ignored
  };
  Slot slots[2];
  A *exps, *nll, *lse;
  Int* allowed;  // of a strip, as its exponentials lie: -1 where a class is one that the example can have

  static constexpr int lanes_per_slot = 5;
  static size_t workspace_bytes(const SoftmaxCall& c) {
    const Tiles<T> t(c);
    const int64_t plane = c.classes * t.pitch;
    const int64_t slot = plane * (1 + (mode == Mode::soft)) + lanes_per_slot * t.tile;
    return sizeof(A) * (2 * slot + strip * c.classes * n * (c.where ? 2 : 1) + 2 * t.tile);
  }

  ColumnKernel(const SoftmaxCall& c, A* workspace)
      : call(c), tiles(c), classes(c.classes), pitch(tiles.pitch), weight(static_cast<const A*>(c.weight)),
        offset(static_cast<const A*>(c.logit_offset)), cap(A(c.softcap)),
        cap_inverse(c.softcap > 0 ? A(1) / A(c.softcap) : A(0)), smoothing(A(c.label_smoothing)),
        spread(A(c.label_smoothing / double(c.classes))), certain_share(A(1 - c.label_smoothing)),
        weight_sum(A(c.weight_sum)), z_loss(A(c.z_loss)) {
    auto take = [&](int64_t count) {
      A* taken = workspace;
      workspace += count;
      return taken;
    };
    for (Slot& s : slots) {
      s.index = reinterpret_cast<Int*>(take(tiles.tile));
      s.weights = take(tiles.tile);
      s.up = take(tiles.tile);
      s.up_lse = take(tiles.tile);
      s.sampled = take(tiles.tile);
      s.z = take(classes * pitch);
      s.probs = mode == Mode::soft ? take(classes * pitch) : nullptr;
    }
    exps = take(strip * classes * n);
    nll = take(tiles.tile);
    lse = take(tiles.tile);
    allowed = reinterpret_cast<Int*>(c.where ? take(strip * classes * n) : nullptr);
  }

  // Whether there is a class mask. Where it forbids a class, the logit is as if -inf, and its gradient 0.
  LK_INLINE_MEMBER bool masked() const { return bent && call.where; }

  // Looks at a tile, all but its logits.
  LK_APART void open(Slot& s, const Tile& tile) const {
    s.tile = tile;
    const int count = tile.count, full = (count + n - 1) / n * n;
    for (int k = mode == Mode::soft ? 0 : count; k < full; ++k) s.index[k] = -1;
    bool kept = mode == Mode::soft;
    if (!kept) {
      read_classes(call, s.index, tile.i, count);
      I ignored = isplat<A>(-1);
      for (int k = 0; k < full; k += n) ignored &= load_as<I>(s.index + k) < isplat<A>(0);
      kept = !all(ignored);
    }
    s.skip = !kept && !call.lse && !call.up_lse;
    s.wanted = !s.skip || (call.torch_nonfinite && call.grad);
    fill_lanes(s, full);
  }

  // The parts [part, end) of `parts`.
  void bring(const Slot& s, int part, int end, int parts) const {
    if (!s.wanted) return;
    tiles.bring(static_cast<const T*>(call.logits) + s.tile.start, s.z, s.tile, part, end, parts);
    if (mode != Mode::soft) return;
    if (call.target_kind == likelihead::Target::wide)
      tiles.bring(static_cast<const A*>(call.target) + s.tile.start, s.probs, s.tile, part, end, parts);
    else
      tiles.bring(static_cast<const T*>(call.target) + s.tile.start, s.probs, s.tile, part, end, parts);
  }

  // The examples [i, stop), tile after tile; adds their losses up by chunks.
  void run(int64_t i, int64_t stop) const {
    Slot both[2] = {slots[0], slots[1]};
    open(both[0], tiles.at(i));
    bring(both[0], 0, 1, 1);
    for (int turn = 0;; turn ^= 1) {
      const Slot& now = both[turn];
      Slot& next = both[turn ^ 1];
      const bool more = now.tile.i + now.tile.count < stop;
      if (more) open(next, tiles.after(now.tile));
      else next.wanted = false;
      const double sum = compute(now, next);
      if (call.sums) call.sums[now.tile.chunk] += sum;
      if (!more) return;
    }
  }

  // One tile; brings the next meanwhile. Returns the sum of its losses.
  double compute(const Slot& s, const Slot& next) const {
    const int64_t i = s.tile.i;
    const int count = s.tile.count, full = (count + n - 1) / n * n;
    T* out = call.grad ? static_cast<T*>(call.grad) + s.tile.start : nullptr;
    // A cap or an offset may make finite what is not, or the other way round.
    const bool changed = bent && (call.softcap > 0 || offset || call.where);
    if (s.skip && (!s.wanted || (!changed && tiles.all_finite(s.z, full)))) {
      if (call.nll) std::memset(static_cast<A*>(call.nll) + i, 0, sizeof(A) * count);
      bring(next, 0, 1, 1);
      if (out) tiles.zero(out, count);
      return 0;
    }
    for (int p = 0; p < full;) {
      const int64_t at = call.inner > 1 ? p : p * classes;
      if (count - p >= strip * n) {
        strip_of<strip>(s, next, p, out ? out + at : nullptr, strip * n);
        p += strip * n;
      } else {
        strip_of<1>(s, next, p, out ? out + at : nullptr, count - p < n ? count - p : n);
        p += n;
      }
    }
    if (call.nll) std::memcpy(static_cast<A*>(call.nll) + i, nll, sizeof(A) * count);
    if (call.lse) std::memcpy(static_cast<A*>(call.lse) + i, lse, sizeof(A) * count);
    return call.sums ? sum_of(nll, count) : 0.0;
  }

  // The exponentials of the vector at p of a tile, as long as its strip is computed.
  LK_INLINE_MEMBER A* exps_of(int p) const { return exps + p % (strip * n) * classes; }

  // Some vectors side by side, one step after the other: within a step nothing waits, for each vector's chain of
  // instructions is free of the others'.
  template <int vectors>
  LK_APART void strip_of(const Slot& s, const Slot& next, int p, T* out, int count) const {
    const int parts = (s.tile.count + n - 1) / n;
    V top[vectors];
    if (masked()) read_mask<vectors>(s.tile.i + p, p, count);
    largest<vectors>(s.z + p, p, top);
    // A whole tile comes strip by strip and class by class while this one's exponentials are computed, so that memory is
    // asked evenly: asked all at once, the pass took a fifth longer.
    const T* more = nullptr;
    if (vectors == strip && mode != Mode::soft && call.inner > 1 && next.wanted && next.tile.count == s.tile.count &&
        s.tile.count % (strip * n) == 0)
      more = static_cast<const T*>(call.logits) + next.tile.start + p;
    else
      bring(next, p / n, p / n + vectors, parts);
    Found found[vectors];
    look<vectors>(s, p, top, found, more, next.z + p);
    Shares<vectors> shares;
    settle<vectors>(s, p, found, shares);
    if (out) differentiate<vectors>(s, p, shares, out, count);
  }

  // The largest logits; where there is a cap, leaves the capped ones in the tile.
  template <int vectors>
  LK_INLINE_MEMBER void largest(A* z, int p, V* top) const {
    const int64_t classes = this->classes, pitch = this->pitch;
    for (int k = 0; k < vectors; ++k) top[k] = splat(-A(__builtin_inf()));
    for (int64_t c = 0; c < classes; ++c)
#pragma GCC unroll 4
      for (int k = 0; k < vectors; ++k) {
        A* const at = z + c * pitch + k * n;
        V v = load(at);
        if (bent && call.softcap > 0) {
          v = cap * tanh_of(v * cap_inverse);
          store(at, v);
        }
        v = shifted(v, c);
        if (masked()) v = allowed_at(p + k * n, c) ? v : splat(-A(__builtin_inf()));
        top[k] = vmax(top[k], v);
      }
  }

  LK_INLINE_MEMBER Int* mask_of(int p) const { return allowed + p % (strip * n) * classes; }
  LK_INLINE_MEMBER I allowed_at(int p, int64_t c) const { return load_as<I>(mask_of(p) + c * n); }

  // The class mask of some vectors' examples, from number i on.
  template <int vectors>
  LK_APART void read_mask(int64_t i, int p, int count) const {
    for (int k = 0; k < vectors; ++k, i += n) {
      const int lanes = count - k * n < n ? count - k * n : n;
      Int* const to = mask_of(p + k * n);
      if (call.inner > 1 && call.where_inner == 1) {
        const uint8_t* const from = where_of(call, i);
        for (int64_t c = 0; c < classes; ++c)
          store_as(to + c * n, lanes_of<A>(from + c * call.where_class, 1, lanes));
        continue;
      }
      for (int j = 0; j < n; ++j) {
        const uint8_t* const from = j < lanes ? where_of(call, i + j) : nullptr;
        for (int64_t c = 0; c < classes; ++c) to[c * n + j] = from && from[c * call.where_class] ? -1 : 0;
      }
    }
  }

  static double sum_of(const A* values, int count) {
    vd sum{};
    int k = 0;
    for (; k + n <= count; k += n) sum += in_double(load(values + k));
    double rest = 0;
    for (; k < count; ++k) rest += double(values[k]);
    return sum_in_double(sum) + rest;
  }

  // The numbers that belong to an example: weight of its class, upstream gradients.
  void fill_lanes(const Slot& s, int full) const {
    const int count = s.tile.count;
    if (call.sample_weight)
      for (int k = 0; k < full; ++k)
        s.sampled[k] = k < count ? static_cast<const A*>(call.sample_weight)[(s.tile.i + k) / call.sample_each] : A(0);
    if (weight && mode != Mode::soft)
      for (int k = 0; k < full; ++k) s.weights[k] = s.index[k] < 0 ? A(0) : weight[s.index[k]];
    if (!call.grad) return;
    if (call.up_nll) {
      const A* source = static_cast<const A*>(call.up_nll) + s.tile.i * call.up_nll_stride;
      for (int k = 0; k < count; ++k) s.up[k] = A(call.scale * double(source[k * call.up_nll_stride]));
      for (int k = count; k < full; ++k) s.up[k] = 0;
    }
    if (call.up_lse) {
      const A* source = static_cast<const A*>(call.up_lse) + s.tile.i * call.up_lse_stride;
      for (int k = 0; k < full; ++k) s.up_lse[k] = k < count ? source[k * call.up_lse_stride] : A(0);
    }
  }

  LK_INLINE_MEMBER V shifted(V capped, int64_t c) const { return bent && offset ? capped + offset[c] : capped; }

  // `each` is what label smoothing gives to a class that the example can have.
  LK_INLINE_MEMBER V coefficient(const Slot& s, int64_t c, int p, V each) const {
    V share = load(s.probs + c * pitch + p);
    if (smoothing > 0 && masked()) each = allowed_at(p, c) ? each : V{};
    if (smoothing > 0) share = share * (1 - smoothing) + each;
    return weight ? share * weight[c] : share;
  }

  // A share of 0 takes nothing of an infinite distance, unless torch's NaN is asked for.
  LK_INLINE_MEMBER V times(V share, V below) const {
    const V product = share * below;
    if (call.torch_nonfinite) return product;
    return (share == V{}) & (below == splat(A(__builtin_inf()))) ? V{} : product;
  }

  // What a look at the logits finds: the largest, its exponential, the sum of the exponentials but the target's,
  // the target's, its logit, and for the modes that want them the sums over classes of coefficients and of
  // coefficients times the distance from the top.
  struct Found {
    V top, unit, rest, e_t, z_t, weighted_gap, coefficients;
    V spread, weight_sum;  // of label smoothing: the share of a class, the weights of those that have it
  };

  // The examples of some vectors side by side, from lane p of a tile on. Leaves their exponentials in the workspace.
  // Meanwhile brings as many pixels that begin at `more`, unless that is null, to `more_to`.
  template <int vectors>
  LK_APART void look(const Slot& s, int p, const V* top, Found* found, const T* more, A* more_to) const {
    I index[vectors];
    // Copies: to the compiler a store may change whatever `this` points to.
    const A* const z = s.z + p;
    A* const to = exps_of(p);
    const int64_t classes = this->classes, pitch = this->pitch;
    const ExpBelow<A, vectors> exp_below(top);
    V unit[vectors];
    LK_EACH unit[j] = top[j];
    exp_below.template each<vectors>(unit);
    I number{};
    Sum<A> rest[vectors], gap[vectors], coefficients[vectors];
    V z_t[vectors]{}, e_t[vectors]{};
    V each[vectors], weights[vectors];
    LK_EACH {
      index[j] = load_as<I>(s.index + p + j * n);
      each[j] = splat(spread);
      weights[j] = splat(weight_sum);
      if (masked() && smoothing > 0) {
        V on{};
        weights[j] = V{};
        for (int64_t c = 0; c < classes; ++c) {
          const V one = allowed_at(p + j * n, c) ? splat(A(1)) : V{};
          on += one;
          weights[j] += weight ? one * weight[c] : one;
        }
        each[j] = smoothing / on;
      }
    }
    for (int64_t c = 0; c < classes;) {
      const int64_t stop = c + block < classes ? c + block : classes;
      for (; c < stop; ++c) {
        if (vectors == strip && more) tiles.bring_class(more, more_to, c);
        V v[vectors], e[vectors];
        I on[vectors];
        LK_EACH {
          v[j] = shifted(load(z + c * pitch + j * n), c);
          on[j] = isplat<A>(-1);
          if (masked()) {
            on[j] = allowed_at(p + j * n, c);
            v[j] = on[j] ? v[j] : splat(-A(__builtin_inf()));
          }
          e[j] = v[j];
        }
        exp_below.template each<vectors>(e);
        LK_EACH {
          store(to + (j * classes + c) * n, e[j]);
          if (mode == Mode::soft) {
            const V share = coefficient(s, c, p + j * n, each[j]);
            V below = top[j] - v[j];
            if (masked()) below = (share == V{}) & ~on[j] ? V{} : below;
            gap[j].add(times(share, below));
            coefficients[j].add(share);
            rest[j].add(e[j]);
          } else {
            const I other = index[j] != number;
            z_t[j] = other ? z_t[j] : v[j];
            e_t[j] = other ? e_t[j] : e[j];
            rest[j].block = other ? rest[j].block + e[j] : rest[j].block;
          }
          if (mode == Mode::smooth) {
            V below = top[j] - v[j];
            if (masked()) below = on[j] ? below : V{};
            gap[j].add(weight ? times(splat(weight[c]), below) : below);
          }
        }
        number += 1;
      }
      const bool first = stop <= block;
      LK_EACH {
        rest[j].close_block(first);
        if (mode != Mode::plain) gap[j].close_block(first);
        if (mode == Mode::soft) coefficients[j].close_block(first);
      }
    }
    LK_EACH {
      const V gaps = gap[j].value(), shares = coefficients[j].value();
      found[j] = {top[j], unit[j], rest[j].value(), e_t[j], z_t[j], gaps, shares, each[j], weights[j]};
    }
  }

  // What the gradients of some examples have in common: g = e * factor - (that of smoothing or probabilities), or
  // `at_target`; `ignored` where not `live`.
  template <int vectors>
  struct Shares {
    V factor[vectors], at_target[vectors], up[vectors], ignored[vectors], spread[vectors];
    I live[vectors];
  };

  // Options are asked for once for all of the vectors.
  template <int vectors>
  LK_INLINE_MEMBER void settle(const Slot& s, int p, const Found* found, Shares<vectors>& shares) const {
    const auto at = [&](const A* lanes, int j) LK_LAMBDA_INLINE { return load(lanes + p + j * n); };
    I kept[vectors], weightless[vectors], is_top[vectors];
    V total[vectors], above[vectors], loss[vectors], certain[vectors];
    LK_EACH kept[j] = mode == Mode::soft ? isplat<A>(-1) : load_as<I>(s.index + p + j * n) >= isplat<A>(0);
    if (call.sample_weight) {
      LK_EACH weightless[j] = at(s.sampled, j) == V{};
      LK_EACH kept[j] &= ~weightless[j];
    }
    LK_EACH {
      is_top[j] = mode == Mode::soft ? isplat<A>(0) : (found[j].z_t == found[j].top) & kept[j];
      total[j] = found[j].rest + found[j].e_t;
      // In units of the largest exponential.
      above[j] = quotient(is_top[j] ? found[j].rest : total[j], found[j].unit, inverse(found[j].unit));
    }
    logarithms<vectors>(above, is_top);
    const bool wants_lse = call.lse || call.z_loss > 0;
    V lse[vectors];  // to full relative accuracy also where the target is not the largest
    if (mode == Mode::soft || wants_lse) {
      V precise[vectors];
      I all[vectors];
      LK_EACH all[j] = isplat<A>(-1);
      LK_EACH precise[j] = sum_without_top(p + j * n, found[j].unit);
      logarithms<vectors>(precise, all);
      LK_EACH lse[j] = found[j].top + (is_top[j] ? above[j] : precise[j]);
      if (mode == Mode::soft) LK_EACH loss[j] = every_class(found[j].weighted_gap, found[j].coefficients, precise[j]);
      LK_EACH store(this->lse + p + j * n, lse[j]);
    }

    const bool weighted = weight && mode != Mode::soft;
    if (mode != Mode::soft) {
      LK_EACH certain[j] = weighted ? at(s.weights, j) : splat(A(1));
      if (mode == Mode::smooth) LK_EACH certain[j] *= certain_share;
      V own[vectors];
      LK_EACH own[j] = is_top[j] ? above[j] : (found[j].top - found[j].z_t) + above[j];
      LK_EACH loss[j] = certain[j] * own[j];
      if (call.focal_gamma > 0) {
        LK_EACH {
          const Focal<V> focal =
              focal_of<A>(own[j], found[j].e_t / total[j], found[j].rest / total[j], call.focal_gamma);
          loss[j] = certain[j] * (focal.value * own[j]);
          certain[j] *= focal.slope;  // from here on that of the gradient
        }
      }
      if (weighted && !call.torch_nonfinite) {
        const V most = splat(A(__builtin_inf()));
        LK_EACH loss[j] = (at(s.weights, j) == V{}) & (own[j] == most) ? V{} : loss[j];
      }
    }
    V spread[vectors], weight_sum[vectors];
    LK_EACH spread[j] = bent ? found[j].spread : splat(this->spread);
    LK_EACH weight_sum[j] = bent ? found[j].weight_sum : splat(this->weight_sum);
    if (mode == Mode::smooth)
      LK_EACH loss[j] += spread[j] * every_class(found[j].weighted_gap, weight_sum[j], above[j]);
    if (call.z_loss > 0) LK_EACH loss[j] += z_loss * lse[j] * lse[j];
    if (call.sample_weight) LK_EACH loss[j] *= at(s.sampled, j);
    LK_EACH store(nll + p + j * n, kept[j] ? loss[j] : V{});
    if (!call.grad) return;

    V up[vectors], shared[vectors];
    LK_EACH up[j] = kept[j] ? (call.up_nll ? at(s.up, j) : splat(A(call.scale))) : V{};
    if (call.sample_weight) LK_EACH up[j] = kept[j] ? up[j] * at(s.sampled, j) : V{};
    LK_EACH shared[j] = call.up_lse ? at(s.up_lse, j) : V{};
    if (mode == Mode::smooth) LK_EACH shared[j] += up[j] * (spread[j] * weight_sum[j]);
    if (mode == Mode::soft) LK_EACH shared[j] += up[j] * found[j].coefficients;
    if (call.z_loss > 0) LK_EACH shared[j] += up[j] * (2 * z_loss) * lse[j];
    const bool any_shared = mode != Mode::plain || call.z_loss > 0 || call.up_lse;
    LK_EACH {
      const V over = inverse(total[j]);
      V factor = shared[j];
      if (mode != Mode::soft) {
        const V own = up[j] * certain[j];  // an infinite one has no meaningful gradient: NaN, as in torch
        V target = (own - own) - own * quotient(found[j].rest, total[j], over);
        if (any_shared) target += shared[j] * quotient(found[j].e_t, total[j], over);
        if (mode == Mode::smooth) target -= up[j] * spread[j] * (weighted ? at(s.weights, j) : splat(A(1)));
        shares.at_target[j] = target;
        factor += own;
      }
      shares.factor[j] = factor * over;
      shares.up[j] = up[j];
      shares.spread[j] = spread[j];
      // 0, or, where torch's answer is asked for, NaN if there is no softmax.
      shares.ignored[j] = call.torch_nonfinite ? total[j] - total[j] : V{};
      shares.live[j] = call.up_lse && call.torch_nonfinite ? isplat<A>(-1) : kept[j];
    }
    if (call.sample_weight) {
      LK_EACH shares.live[j] &= ~weightless[j];
      LK_EACH shares.ignored[j] = weightless[j] ? V{} : shares.ignored[j];
    }
  }

  template <int vectors>
  LK_INLINE_MEMBER void differentiate(
      const Slot& s, int p, const Shares<vectors>& shares, T* out, int count) const {
    const A *const from = exps_of(p), *const z = s.z + p;
    const int64_t classes = this->classes, pitch = this->pitch;
    I index[vectors];
    bool all_live = true;
    for (int k = 0; k < vectors; ++k) {
      index[k] = load_as<I>(s.index + p + k * n);
      all_live = all_live && all(shares.live[k]);
    }
    tiles.template write<vectors>(out, s.tile.i + p, count, [&](int64_t c, int k) LK_LAMBDA_INLINE {
      V g = load(from + (k * classes + c) * n) * shares.factor[k];
      const V spread = bent ? shares.spread[k] : splat(this->spread);
      if (mode == Mode::smooth) g -= weight ? shares.up[k] * spread * weight[c] : shares.up[k] * spread;
      if (mode == Mode::soft) g -= shares.up[k] * coefficient(s, c, p + k * n, spread);
      if (mode != Mode::soft) g = index[k] == isplat<A>(Int(c)) ? shares.at_target[k] : g;
      if (bent && call.softcap > 0) {
        const V t = load(z + c * pitch + k * n) * cap_inverse;
        g *= A(1) - t * t;
      }
      g = all_live ? g : (shares.live[k] ? g : shares.ignored[k]);
      if (masked()) g = allowed_at(p + k * n, c) ? g : V{};
      return g;
    });
  }

  // An infinite share has an infinite loss, also at the top, where its gap is 0 and their product NaN.
  LK_INLINE_MEMBER static V every_class(V gap, V shares, V above) {
    const V most = splat(A(__builtin_inf()));
    const I infinite = ((shares == most) | (shares == -most)) & (above < most);
    return infinite ? shares * above : gap + shares * above;
  }

  // x <- log1p(x) where `one_more`, else log(x).
  template <int vectors>
  LK_INLINE_MEMBER static void logarithms(V* x, const I* one_more) {
    V c[vectors];
    LK_EACH {
      const V s = one_more[j] ? x[j] + A(1) : x[j];
      c[j] = one_more[j] ? x[j] - (s - A(1)) : V{};
      x[j] = s;
    }
    logs_of_sums<vectors>(x, c);
  }

  // The sum of the exponentials but for one that is the largest, in units of it.
  LK_APART V sum_without_top(int p, V unit) const {
    Sum<A> below;
    V tops = -unit;
    for (int64_t c = 0; c < classes;) {
      const int64_t stop = c + block < classes ? c + block : classes;
      for (; c < stop; ++c) {
        const V e = load(exps_of(p) + c * n);
        const I small = e < unit;
        below.add(small ? e : V{});
        tops += small ? V{} : e;  // the largest, or NaN
      }
      below.close_block();
    }
    return quotient(below.value() + tops, unit, inverse(unit));
  }
};

template <class T, Mode mode, bool bent>
void run_columns(const SoftmaxCall& call, int64_t first, int64_t last) {
  using K = ColumnKernel<T, mode, bent>;
  using A = Wide<T>;
  Workspace workspace(K::workspace_bytes(call));
  const K kernel(call, workspace.as<A>());
  if (call.went_past) *call.went_past = kernel.tiles.streaming;
  const int64_t begin = first * call.chunk;
  const int64_t end = last * call.chunk < call.examples ? last * call.chunk : call.examples;
  if (call.sums) std::fill(call.sums + first, call.sums + last, 0.0);
  kernel.run(begin, end);
  end_of_stream();
}

// Rows of as many classes or fewer lie across vectors. Measured with AVX-512: the two ways cross over between 79
// classes and 80 (where rows fill their vectors) for float32, at 48 for float64, and between 200 and 256 for bfloat16.
template <class T>
constexpr int64_t few_classes = sizeof(T) == 8 ? 47 : sizeof(T) == 4 ? 79 : 223;

// Code of its own for logits that are taken as they are, where speed counts; it costs a third of the compiler's time.
template <class T>
constexpr bool plain_apart = LK_VECTOR_BYTES > 16 && sizeof(T) < 8;

template <class T, Mode mode>
void run(const SoftmaxCall& call, int64_t first, int64_t last) {
  const bool bent = !plain_apart<T> || call.softcap > 0 || call.logit_offset || call.where;
  if (call.inner > 1 || call.classes <= few_classes<T>)
    bent ? run_columns<T, mode, true>(call, first, last) : run_columns<T, mode, !plain_apart<T>>(call, first, last);
  else
    bent ? run_rows<T, mode, true>(call, first, last) : run_rows<T, mode, !plain_apart<T>>(call, first, last);
}

template <class T>
void run(const SoftmaxCall& call, int64_t first, int64_t last) {
  if (call.target_kind >= likelihead::Target::same) run<T, Mode::soft>(call, first, last);
  else if (call.label_smoothing > 0) run<T, Mode::smooth>(call, first, last);
  else run<T, Mode::plain>(call, first, last);
}

}  // namespace
