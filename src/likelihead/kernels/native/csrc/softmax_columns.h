// softmax_nll with a vector's lanes on different examples: for the pixels of [N, C, d1, ...], whose classes lie
// far apart, and for rows of few classes, which would leave most of a vector empty.
//
// A tile of some hundred examples is brought into a workspace [classes, pitch] that stays in the cache, so that
// memory is read once and written once, in runs of a tile's length. Rows of few classes are transposed on the
// way in and out.
//
// Per element: 1 exponential. Bytes from and to memory, float32: 4 read, 4 written (8 with the read before the
// write): the floor is one y.copy_(x), as for rows.
#pragma once

#include "softmax_rows.h"

namespace {

template <class T, Mode mode, bool bent>
struct ColumnKernel {
  using A = Wide<T>;
  using V = Vec<A>;
  using I = IVec<A>;
  using Int = typename Lanes<A>::Int;
  static constexpr int n = Lanes<A>::n;
  static constexpr int block = 16;  // classes between two closings of the sums
  static constexpr bool compensate = sizeof(T) >= 4;

  const SoftmaxCall& call;
  const int64_t classes;
  const A *weight, *offset;
  const A cap, cap_inverse, smoothing, spread, certain_share, weight_sum, z_loss;
  const int tile;  // examples in a tile
  const int64_t pitch;
  A *z, *exps, *probs, *lane_data;

  // Examples in a tile: long runs of memory, in a workspace of about 64 KiB.
  static int tile_size(const SoftmaxCall& c) {
    const int64_t bytes = c.inner == 1 ? 16 << 10 : 64 << 10;
    int64_t fit = bytes / int64_t(sizeof(A)) / (c.classes > 0 ? c.classes : 1) / n * n;
    const int64_t most = c.inner == 1 ? 256 : (c.inner + n - 1) / n * n;
    if (fit > 256) fit = 256;
    if (fit > most) fit = most;
    return int(fit < n ? n : fit);
  }
  // A pitch of a power of two would map a column onto a few sets of the cache.
  static int64_t pitch_of(int tile) { return tile + n; }
  static constexpr int per_lane = 8;
  static size_t workspace_bytes(const SoftmaxCall& c) {
    const int t = tile_size(c);
    const int64_t planes = c.classes * (1 + (mode == Mode::soft) + (bent && c.softcap > 0));
    return sizeof(A) * (planes * pitch_of(t) + per_lane * t + n);
  }

  ColumnKernel(const SoftmaxCall& c, A* workspace)
      : call(c), classes(c.classes), weight(static_cast<const A*>(c.weight)),
        offset(static_cast<const A*>(c.logit_offset)), cap(A(c.softcap)),
        cap_inverse(c.softcap > 0 ? A(1) / A(c.softcap) : A(0)), smoothing(A(c.label_smoothing)),
        spread(A(c.label_smoothing / double(c.classes))), certain_share(A(1 - c.label_smoothing)),
        weight_sum(A(c.weight_sum)), z_loss(A(c.z_loss)), tile(tile_size(c)), pitch(pitch_of(tile)) {
    lane_data = workspace;
    z = lane_data + per_lane * tile;
    A* next = z + classes * pitch;
    exps = z;
    if (bent && call.softcap > 0) {  // the slope of the cap needs the capped logits to the end
      exps = next;
      next += classes * pitch;
    }
    probs = next;
  }

  LK_INLINE_MEMBER A* lane(int which) const { return lane_data + which * tile; }
  Int* indices() const { return reinterpret_cast<Int*>(lane(0)); }

  // Brings [count] examples from memory at `from` into `to`; lanes beyond them become 0.
  template <class S>
  void bring(const S* from, A* to, int count) const {
    if (call.inner > 1) {
      for (int64_t c = 0; c < classes; ++c) {
        const S* source = from + c * call.inner;
        A* row = to + c * pitch;
        int p = 0;
        for (; p + n <= count; p += n) store(row + p, widen(source + p));
        if (p < count) store(row + p, widen_some(source + p, count - p));
      }
      return;
    }
    transpose_in(from, to, count);
  }
  template <class S>
  LK_INLINE_MEMBER static V widen(const S* p) { return load(p); }
  template <class S>
  LK_INLINE_MEMBER static V widen_some(const S* p, int count) { return load_some(p, count, A(0)); }

  template <class S>
  void transpose_in(const S* from, A* to, int count) const {
    for (int i = 0; i < count; i += n) {
      const int rows = count - i < n ? count - i : n;
      for (int64_t c = 0; c < classes; c += n) {
        const int columns = classes - c < n ? int(classes - c) : n;
        V block_[n];
        const S* source = from + i * classes + c;
        if (rows == n) {
#pragma GCC unroll 16
          for (int k = 0; k < n; ++k) block_[k] = get(source + k * classes, columns);
        } else {
          for (int k = 0; k < n; ++k) block_[k] = k < rows ? get(source + k * classes, columns) : V{};
        }
        transpose<A>(block_);
        for (int k = 0; k < columns; ++k) store(to + (c + k) * pitch + i, block_[k]);
      }
    }
  }
  template <class S>
  LK_INLINE_MEMBER static V get(const S* p, int count) {
    return count == n ? load(p) : load_some(p, count, A(0));
  }

  void transpose_out(T* to, int count) const {
    for (int i = 0; i < count; i += n) {
      const int rows = count - i < n ? count - i : n;
      for (int64_t c = 0; c < classes; c += n) {
        const int columns = classes - c < n ? int(classes - c) : n;
        V block_[n];
#pragma GCC unroll 16
        for (int k = 0; k < n; ++k) block_[k] = k < columns ? load(exps + (c + k) * pitch + i) : V{};
        transpose<A>(block_);
        T* target = to + i * classes + c;
        for (int k = 0; k < rows; ++k) {
          if (columns == n) store(target + k * classes, block_[k]);
          else store_some(target + k * classes, block_[k], columns);
        }
      }
    }
  }

  void take_out(T* to, int count) const {
    if (call.inner > 1) {
      for (int64_t c = 0; c < classes; ++c) {
        T* target = to + c * call.inner;
        const A* row = exps + c * pitch;
        int p = 0;
        for (; p + n <= count; p += n) store(target + p, load(row + p));
        if (p < count) store_some(target + p, load(row + p), count - p);
      }
      return;
    }
    transpose_out(to, count);
  }

  // One tile: examples [i, i + count), which lie within one of the outer slices.
  template <class Q>
  double run(int64_t i, int count) const {
    const int64_t start = i / call.inner * (classes * call.inner) + i % call.inner;
    const bool all_rows = call.lse || call.up_lse;
    int kept = 0;
    Int* index = indices();
    if (mode == Mode::soft) {
      kept = count;
    } else {
      kept = read_classes(index, i, count);
    }
    const int full = (count + n - 1) / n * n;
    for (int k = mode == Mode::soft ? 0 : count; k < full; ++k) index[k] = -1;
    T* out = call.grad ? static_cast<T*>(call.grad) + start : nullptr;
    const bool skip = !kept && !all_rows;
    if (skip && call.nll) std::memset(static_cast<A*>(call.nll) + i, 0, sizeof(A) * count);
    if (skip && !out) return 0;
    bring(static_cast<const T*>(call.logits) + start, z, count);
    if (skip && (!call.torch_nonfinite || all_finite(full))) {
      zero(out, count);
      return 0;
    }
    if (mode == Mode::soft) bring(static_cast<const Q*>(call.target) + start, probs, count);
    fill_lanes(i, count, full);
    const T* next = static_cast<const T*>(call.logits) + start + count;
    for (int p = 0; p < full; p += n) examples(p, next + (call.inner > 1 ? p : p * classes));
    const A *nll = lane(3), *lse = lane(4);
    if (call.nll) std::memcpy(static_cast<A*>(call.nll) + i, nll, sizeof(A) * count);
    if (call.lse) std::memcpy(static_cast<A*>(call.lse) + i, lse, sizeof(A) * count);
    if (out) take_out(out, count);
    return call.sums ? sum_of(nll, count) : 0.0;
  }

  // The classes of a tile, -1 where ignored; returns how many are not.
  int read_classes(Int* index, int64_t i, int count) const {
    using likelihead::Target;
    switch (call.target_kind) {
      case Target::i64: return read_classes(index, static_cast<const int64_t*>(call.target) + i, count);
      case Target::i32: return read_classes(index, static_cast<const int32_t*>(call.target) + i, count);
      case Target::i16: return read_classes(index, static_cast<const int16_t*>(call.target) + i, count);
      case Target::i8: return read_classes(index, static_cast<const int8_t*>(call.target) + i, count);
      default: return read_classes(index, static_cast<const uint8_t*>(call.target) + i, count);
    }
  }
  template <class C>
  int read_classes(Int* index, const C* target, int count) const {
    const int64_t ignore = call.ignore_index;
    Int kept = 0;
    for (int k = 0; k < count; ++k) {
      const int64_t c = int64_t(target[k]);
      index[k] = c == ignore ? Int(-1) : Int(c);
      kept += c != ignore;
    }
    return int(kept);
  }

  static double sum_of(const A* values, int count) {
    double part[8] = {};
    int k = 0;
    for (; k + 8 <= count; k += 8)
      for (int j = 0; j < 8; ++j) part[j] += double(values[k + j]);
    for (; k < count; ++k) part[k & 7] += double(values[k]);
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
  }

  bool all_finite(int full) const {
    V difference{};
    for (int64_t c = 0; c < classes; ++c)
      for (int p = 0; p < full; p += n) {
        const V v = load(z + c * pitch + p);
        difference += v - v;
      }
    const A sum = sum_lanes<A>(difference);
    return sum == 0;
  }

  void zero(T* out, int count) const {
    if (call.inner == 1) {
      std::memset(static_cast<void*>(out), 0, sizeof(T) * classes * count);
      return;
    }
    for (int64_t c = 0; c < classes; ++c)
      std::memset(static_cast<void*>(out + c * call.inner), 0, sizeof(T) * count);
  }

  // The numbers that belong to an example: weight of its class, upstream gradients.
  void fill_lanes(int64_t i, int count, int full) const {
    const Int* index = indices();
    A *w = lane(1), *up = lane(2), *up_lse = lane(5);
    if (weight && mode != Mode::soft)
      for (int k = 0; k < full; ++k) w[k] = index[k] < 0 ? A(0) : weight[index[k]];
    if (!call.grad) return;
    if (call.up_nll) {
      const A* source = static_cast<const A*>(call.up_nll) + i * call.up_nll_stride;
      for (int k = 0; k < count; ++k) up[k] = A(call.scale * double(source[k * call.up_nll_stride]));
      for (int k = count; k < full; ++k) up[k] = 0;
    }
    if (call.up_lse) {
      const A* source = static_cast<const A*>(call.up_lse) + i * call.up_lse_stride;
      for (int k = 0; k < full; ++k) up_lse[k] = k < count ? source[k * call.up_lse_stride] : A(0);
    }
  }

  LK_INLINE_MEMBER V shifted(V capped, int64_t c) const { return offset ? capped + offset[c] : capped; }

  V coefficient(int64_t c, int p) const {
    V share = load(probs + c * pitch + p);
    if (smoothing > 0) share = share * (1 - smoothing) + spread;
    return weight ? share * weight[c] : share;
  }

  // A share of 0 takes nothing of an infinite distance, unless torch's NaN is asked for.
  LK_INLINE_MEMBER V times(V share, V below) const {
    const V product = share * below;
    if (call.torch_nonfinite) return product;
    return (share == V{}) & (below == splat(A(__builtin_inf()))) ? V{} : product;
  }

  // The examples of lanes [p, p + n) of the tile.
  // `next` is where the next tile's have theirs: they come from memory while these are computed.
  void examples(int p, const T* next) const {
    const int64_t next_step = call.inner > 1 ? call.inner : n;
    const I index = load_as<I>(indices() + p);
    V top = splat(-A(__builtin_inf()));
    for (int64_t c = 0; c < classes; ++c) {
      V v = load(z + c * pitch + p);
      if (bent) {
        if (call.softcap > 0) {
          v = cap * tanh_of(v * cap_inverse);
          store(z + c * pitch + p, v);
        }
        v = shifted(v, c);
      }
      top = vmax(top, v);
    }

    Sum<A> rest, gap, coefficients;
    V z_t{}, e_t{};
    for (int64_t c = 0; c < classes;) {
      const int64_t stop = c + block < classes ? c + block : classes;
      for (; c < stop; ++c) {
        __builtin_prefetch(next + c * next_step, 0, 2);
        V v = load(z + c * pitch + p);
        if (bent) v = shifted(v, c);
        V e = exp_below<A, compensate>(v, top);
        store(exps + c * pitch + p, e);
        if (mode != Mode::soft) {
          const I here = index == isplat<A>(Int(c));
          z_t = here ? v : z_t;
          e_t = here ? e : e_t;
          e = here ? V{} : e;
        }
        rest.add(e);
        if (mode == Mode::smooth) gap.add(weight ? times(splat(weight[c]), top - v) : top - v);
        if (mode == Mode::soft) {
          V share = coefficient(c, p);
          gap.add(times(share, top - v));
          coefficients.add(share);
        }
      }
      rest.close_block();
      if (mode != Mode::plain) gap.close_block();
      if (mode == Mode::soft) coefficients.close_block();
    }

    const V others = rest.value(), total = others + e_t;
    const I kept = mode == Mode::soft ? isplat<A>(-1) : index >= isplat<A>(0);
    const I is_top = mode == Mode::soft ? isplat<A>(0) : (z_t == top) & kept;
    V above = logarithm(is_top ? others * e_t : V{}, is_top, total);  // e_t is 1, or NaN
    V above_top = above;  // to full relative accuracy also where the target is not the largest
    if (mode == Mode::soft || call.lse || call.z_loss > 0) {
      const V precise = logarithm(sum_without_top(p), isplat<A>(-1), total);
      above_top = is_top ? above : precise;
    }
    const V lse = top + above_top;
    const V w_t = weight && mode != Mode::soft ? load(lane(1) + p) : splat(A(1));
    const V certain = mode == Mode::soft ? V{} : mode == Mode::smooth ? w_t * certain_share : w_t;
    V nll;
    if (mode == Mode::soft) {
      nll = gap.value() + coefficients.value() * above_top;
    } else {
      const V own = is_top ? above : (top - z_t) + above;
      nll = certain * own;
      if (weight && !call.torch_nonfinite) nll = (w_t == V{}) & (own == splat(A(__builtin_inf()))) ? V{} : nll;
      if (mode == Mode::smooth) nll += spread * (gap.value() + weight_sum * above);
    }
    if (call.z_loss > 0) nll += z_loss * lse * lse;
    store(lane(3) + p, kept ? nll : V{});
    store(lane(4) + p, lse);
    if (!call.grad) return;

    const bool any_shared = mode != Mode::plain || call.z_loss > 0 || call.up_lse;
    const V up = kept ? (call.up_nll ? load(lane(2) + p) : splat(A(call.scale))) : V{};
    V shared = call.up_lse ? load(lane(5) + p) : V{};
    if (mode == Mode::smooth) shared += up * (spread * weight_sum);
    if (mode == Mode::soft) shared += up * coefficients.value();
    if (call.z_loss > 0) shared += up * (2 * z_loss) * lse;
    const V factor = (up * certain + shared) / total;
    const V own = up * certain;  // an infinite one has no meaningful gradient: NaN, as in torch
    V at_target = (own - own) - own * (others / total);
    if (any_shared) at_target += shared * (e_t / total);
    if (mode == Mode::smooth) at_target -= up * spread * w_t;
    const I live = call.up_lse && call.torch_nonfinite ? isplat<A>(-1) : kept;
    // 0, or, where torch's answer is asked for, NaN if there is no softmax.
    const V ignored = call.torch_nonfinite ? total - total : V{};
    const V subtract = up * spread;
    for (int64_t c = 0; c < classes; ++c) {
      V g = load(exps + c * pitch + p) * factor;
      if (mode == Mode::smooth) g -= weight ? subtract * weight[c] : subtract;
      if (mode == Mode::soft) g -= up * coefficient(c, p);
      if (mode != Mode::soft) g = index == isplat<A>(Int(c)) ? at_target : g;
      if (bent && call.softcap > 0) {
        const V t = load(z + c * pitch + p) * cap_inverse;
        g *= A(1) - t * t;
      }
      store(exps + c * pitch + p, live ? g : ignored);
    }
  }

  // log1p(others) where `one_more`, else log(total).
  LK_INLINE_MEMBER static V logarithm(V others, I one_more, V total) {
    const V s = one_more ? others + A(1) : total;
    const V c = one_more ? others - (s - A(1)) : V{};
    return log_of_sum(s, c);
  }

  V sum_without_top(int p) const {
    Sum<A> below;
    V tops = splat(A(-1));
    for (int64_t c = 0; c < classes;) {
      const int64_t stop = c + block < classes ? c + block : classes;
      for (; c < stop; ++c) {
        V e = load(exps + c * pitch + p);
        const I small = e < splat(A(1));
        below.add(small ? e : V{});
        tops += small ? V{} : e;  // 1, or NaN
      }
      below.close_block();
    }
    return below.value() + tops;
  }
};

template <class T, Mode mode, bool bent>
void run_columns(const SoftmaxCall& call, int64_t first, int64_t last) {
  using K = ColumnKernel<T, mode, bent>;
  using A = Wide<T>;
  Workspace workspace(K::workspace_bytes(call));
  const K kernel(call, workspace.as<A>());
  const bool wide = mode == Mode::soft && call.target_kind == likelihead::Target::wide;
  for (int64_t chunk = first; chunk < last; ++chunk) {
    int64_t i = chunk * call.chunk;
    const int64_t end = i + call.chunk < call.examples ? i + call.chunk : call.examples;
    double total = 0;
    while (i < end) {
      int64_t stop = i + kernel.tile < end ? i + kernel.tile : end;
      if (call.inner > 1) {
        const int64_t slice_end = (i / call.inner + 1) * call.inner;
        if (stop > slice_end) stop = slice_end;
      }
      total += wide ? kernel.template run<A>(i, int(stop - i)) : kernel.template run<T>(i, int(stop - i));
      i = stop;
    }
    if (call.sums) call.sums[chunk] = total;
  }
}

// As many classes or fewer lie across rows. Chosen so that a row of more fills some vectors; where the two ways
// really cross over has not been measured.
constexpr int64_t few_classes = 64;

template <class T, Mode mode>
void run(const SoftmaxCall& call, int64_t first, int64_t last) {
  const bool bent = call.softcap > 0 || call.logit_offset;
  if (call.inner > 1 || call.classes <= few_classes)
    bent ? run_columns<T, mode, true>(call, first, last) : run_columns<T, mode, false>(call, first, last);
  else
    bent ? run_rows<T, mode, true>(call, first, last) : run_rows<T, mode, false>(call, first, last);
}

template <class T>
void run(const SoftmaxCall& call, int64_t first, int64_t last) {
  if (call.target_kind >= likelihead::Target::same) run<T, Mode::soft>(call, first, last);
  else if (call.label_smoothing > 0) run<T, Mode::smooth>(call, first, last);
  else run<T, Mode::plain>(call, first, last);
}

inline void softmax(const SoftmaxCall& call, int64_t first, int64_t last) {
  using likelihead::Float;
  switch (call.dtype) {
    case Float::f32: return run<float>(call, first, last);
    case Float::f64: return run<double>(call, first, last);
    case Float::bf16: return run<bf16>(call, first, last);
    case Float::f16: return run<f16>(call, first, last);
  }
}

}  // namespace
