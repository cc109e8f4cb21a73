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

// Class indices of some examples, -1 for the ignored. Returns how many are not.
template <class Int, class C>
int read_classes(Int* index, const C* target, int count, int64_t ignore) {
  Int kept = 0;
  for (int k = 0; k < count; ++k) {
    const int64_t c = int64_t(target[k]);
    index[k] = c == ignore ? Int(-1) : Int(c);
    kept += c != ignore;
  }
  return int(kept);
}
template <class Int>
LK_APART int read_classes(const SoftmaxCall& call, Int* index, int64_t i, int count) {
  using likelihead::Target;
  const auto read = [&](auto* target) { return read_classes(index, target + i, count, call.ignore_index); };
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

  // Looks at the tile that begins with example i, all but its logits.
  LK_APART void open(Slot& s, int64_t i) const {
    s.tile = tiles.at(i);
    const int count = s.tile.count;
    const int kept = mode == Mode::soft ? count : read_classes(call, s.index, i, count);
    const int full = (count + n - 1) / n * n;
    for (int k = mode == Mode::soft ? 0 : count; k < full; ++k) s.index[k] = -1;
    s.skip = !kept && !call.lse && !call.up_lse;
    s.wanted = !s.skip || (call.torch_nonfinite && call.grad);
    fill_lanes(s, full);
  }

  void bring(const Slot& s, int part, int parts) const {
    if (!s.wanted) return;
    tiles.bring(static_cast<const T*>(call.logits) + s.tile.start, s.z, s.tile, part, parts);
    if (mode != Mode::soft) return;
    if (call.target_kind == likelihead::Target::wide)
      tiles.bring(static_cast<const A*>(call.target) + s.tile.start, s.probs, s.tile, part, parts);
    else
      tiles.bring(static_cast<const T*>(call.target) + s.tile.start, s.probs, s.tile, part, parts);
  }

  // The examples [i, stop), tile after tile; adds their losses up by chunks.
  void run(int64_t i, int64_t stop) const {
    Slot now = slots[0], next = slots[1];
    open(now, i);
    bring(now, 0, 1);
    while (true) {
      const int64_t after = i + now.tile.count;
      const bool more = after < stop;
      if (more) open(next, after);
      else next.wanted = false;
      const double sum = compute(now, next);
      if (call.sums) call.sums[i / call.chunk] += sum;
      if (!more) return;
      std::swap(now, next);
      i = after;
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
      bring(next, 0, 1);
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
    Found found[vectors];
    for (int k = 0; k < vectors; ++k) {
      bring(next, p / n + k, parts);
      found[k] = look(s, p + k * n, top[k]);
    }
    Shares shares[vectors];
    for (int k = 0; k < vectors; ++k) shares[k] = settle(s, p + k * n, found[k]);
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
    double part[8] = {};
    int k = 0;
    for (; k + 8 <= count; k += 8)
      for (int j = 0; j < 8; ++j) part[j] += double(values[k + j]);
    for (; k < count; ++k) part[k & 7] += double(values[k]);
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
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

  // The examples of lanes [p, p + n) of a tile. Leaves their exponentials in the workspace.
  LK_APART Found look(const Slot& s, int p, V top) const {
    const I index = load_as<I>(s.index + p);
    // Copies: to the compiler a store may change whatever `this` points to.
    const A* const z = s.z + p;
    A* const to = exps_of(p);
    const int64_t classes = this->classes, pitch = this->pitch;
    const ExpBelow<A> exp_below(top);
    const V unit = exp_below(top);
    I number{};
    Sum<A> rest, gap, coefficients;
    V z_t{}, e_t{};
    V each = splat(spread), weights = splat(weight_sum);
    if (masked() && smoothing > 0) {
      V on{};
      weights = V{};
      for (int64_t c = 0; c < classes; ++c) {
        const V one = allowed_at(p, c) ? splat(A(1)) : V{};
        on += one;
        weights += weight ? one * weight[c] : one;
      }
      each = smoothing / on;
    }
    for (int64_t c = 0; c < classes;) {
      const int64_t stop = c + block < classes ? c + block : classes;
      for (; c < stop; ++c) {
        V v = shifted(load(z + c * pitch), c);
        I on = isplat<A>(-1);
        if (masked()) {
          on = allowed_at(p, c);
          v = on ? v : splat(-A(__builtin_inf()));
        }
        const V e = exp_below(v);
        store(to + c * n, e);
        if (mode == Mode::soft) {
          const V share = coefficient(s, c, p, each);
          V below = top - v;
          if (masked()) below = (share == V{}) & ~on ? V{} : below;
          gap.add(times(share, below));
          coefficients.add(share);
          rest.add(e);
        } else {
          const I other = index != number;
          z_t = other ? z_t : v;
          e_t = other ? e_t : e;
          rest.add(other ? e : V{});
          number += 1;
        }
        if (mode == Mode::smooth) {
          V below = top - v;
          if (masked()) below = on ? below : V{};
          gap.add(weight ? times(splat(weight[c]), below) : below);
        }
      }
      rest.close_block();
      if (mode != Mode::plain) gap.close_block();
      if (mode == Mode::soft) coefficients.close_block();
    }
    return {top, unit, rest.value(), e_t, z_t, gap.value(), coefficients.value(), each, weights};
  }

  // What the gradients of some examples have in common: g = e * factor - (that of smoothing or probabilities), or
  // `at_target`; `ignored` where not `live`.
  struct Shares {
    V factor, at_target, up, ignored;
    I live;
    V spread;
  };

  LK_INLINE_MEMBER Shares settle(const Slot& s, int p, const Found& found) const {
    const I index = load_as<I>(s.index + p);
    I kept = mode == Mode::soft ? isplat<A>(-1) : index >= isplat<A>(0);
    I weightless{};
    if (call.sample_weight) {
      weightless = load(s.sampled + p) == V{};
      kept &= ~weightless;
    }
    const V spread = bent ? found.spread : splat(this->spread);
    const V weight_sum = bent ? found.weight_sum : splat(this->weight_sum);
    const I is_top = mode == Mode::soft ? isplat<A>(0) : (found.z_t == found.top) & kept;
    const V total = found.rest + found.e_t;
    // In units of the largest exponential.
    const V relative = (is_top ? found.rest : total) / found.unit;
    V above = logarithm(relative, is_top);
    V above_top = above;  // to full relative accuracy also where the target is not the largest
    if (mode == Mode::soft || call.lse || call.z_loss > 0) {
      const V precise = logarithm(sum_without_top(p, found.unit), isplat<A>(-1));
      above_top = is_top ? above : precise;
    }
    const V l = found.top + above_top;
    const V w_t = weight && mode != Mode::soft ? load(s.weights + p) : splat(A(1));
    V certain = mode == Mode::soft ? V{} : mode == Mode::smooth ? w_t * certain_share : w_t;
    V loss;
    if (mode == Mode::soft) {
      loss = every_class(found.weighted_gap, found.coefficients, above_top);
    } else {
      const V own = is_top ? above : (found.top - found.z_t) + above;
      loss = certain * own;
      if (call.focal_gamma > 0) {
        const Focal<V> focal = focal_of<A>(own, found.e_t / total, found.rest / total, call.focal_gamma);
        loss = certain * (focal.value * own);
        certain *= focal.slope;  // from here on that of the gradient
      }
      if (weight && !call.torch_nonfinite) loss = (w_t == V{}) & (own == splat(A(__builtin_inf()))) ? V{} : loss;
      if (mode == Mode::smooth) loss += spread * every_class(found.weighted_gap, weight_sum, above);
    }
    if (call.z_loss > 0) loss += z_loss * l * l;
    if (call.sample_weight) loss *= load(s.sampled + p);
    store(nll + p, kept ? loss : V{});
    store(lse + p, l);
    if (!call.grad) return {V{}, V{}, V{}, V{}, I{}, V{}};

    const bool any_shared = mode != Mode::plain || call.z_loss > 0 || call.up_lse;
    V up = kept ? (call.up_nll ? load(s.up + p) : splat(A(call.scale))) : V{};
    if (call.sample_weight) up = kept ? up * load(s.sampled + p) : V{};
    V shared = call.up_lse ? load(s.up_lse + p) : V{};
    if (mode == Mode::smooth) shared += up * (spread * weight_sum);
    if (mode == Mode::soft) shared += up * found.coefficients;
    if (call.z_loss > 0) shared += up * (2 * z_loss) * l;
    const V own = up * certain;  // an infinite one has no meaningful gradient: NaN, as in torch
    V at_target = (own - own) - own * (found.rest / total);
    if (any_shared) at_target += shared * (found.e_t / total);
    if (mode == Mode::smooth) at_target -= up * spread * w_t;
    I live = call.up_lse && call.torch_nonfinite ? isplat<A>(-1) : kept;
    if (call.sample_weight) live &= ~weightless;
    // 0, or, where torch's answer is asked for, NaN if there is no softmax.
    V ignored = call.torch_nonfinite ? total - total : V{};
    if (call.sample_weight) ignored = weightless ? V{} : ignored;
    return {(own + shared) / total, at_target, up, ignored, live, spread};
  }

  template <int vectors>
  LK_INLINE_MEMBER void differentiate(const Slot& s, int p, const Shares* shares, T* out, int count) const {
    const A *const from = exps_of(p), *const z = s.z + p;
    const int64_t classes = this->classes, pitch = this->pitch;
    I index[vectors];
    bool all_live = true;
    for (int k = 0; k < vectors; ++k) {
      index[k] = load_as<I>(s.index + p + k * n);
      all_live = all_live && all(shares[k].live);
    }
    tiles.template write<vectors>(out, s.tile.i + p, count, [&](int64_t c, int k) LK_LAMBDA_INLINE {
      V g = load(from + (k * classes + c) * n) * shares[k].factor;
      const V spread = bent ? shares[k].spread : splat(this->spread);
      if (mode == Mode::smooth) g -= weight ? shares[k].up * spread * weight[c] : shares[k].up * spread;
      if (mode == Mode::soft) g -= shares[k].up * coefficient(s, c, p + k * n, spread);
      if (mode != Mode::soft) g = index[k] == isplat<A>(Int(c)) ? shares[k].at_target : g;
      if (bent && call.softcap > 0) {
        const V t = load(z + c * pitch + k * n) * cap_inverse;
        g *= A(1) - t * t;
      }
      g = all_live ? g : (shares[k].live ? g : shares[k].ignored);
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

  // log1p(x) where `one_more`, else log(x).
  LK_INLINE_MEMBER static V logarithm(V x, I one_more) {
    const V s = one_more ? x + A(1) : x;
    const V c = one_more ? x - (s - A(1)) : V{};
    return log_of_sum(s, c);
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
    return (below.value() + tops) / unit;
  }
};

template <class T, Mode mode, bool bent>
void run_columns(const SoftmaxCall& call, int64_t first, int64_t last) {
  using K = ColumnKernel<T, mode, bent>;
  using A = Wide<T>;
  Workspace workspace(K::workspace_bytes(call));
  const K kernel(call, workspace.as<A>());
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
