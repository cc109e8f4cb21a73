// Tiles of examples in the cache: brought in from memory with the classes as rows and the examples along the
// vectors, [classes, pitch], and written back out.
#pragma once

#include "calls.h"
#include "stream.h"
#include "transpose.h"

namespace {

using likelihead::SoftmaxCall;

// Examples [i, i + count), which lie within one of the outer slices and in the chunk of that number; their first
// element is at `start`.
struct Tile {
  int64_t i, start;
  int count;
  int64_t chunk, chunk_end, slice_end;
};

template <class T>
struct Tiles {
  using A = Wide<T>;
  using V = Vec<A>;
  static constexpr int n = Lanes<A>::n;

  const SoftmaxCall& call;
  const int64_t classes, inner;
  const int tile;       // examples in a tile
  const int64_t pitch;  // one vector more: at a power of two, a column would lie in a few sets of the cache
  const bool streaming;

  explicit Tiles(const SoftmaxCall& c)
      : call(c), classes(c.classes), inner(c.inner), tile(size(c)), pitch(tile + n), streaming(streams(c)) {}

  // Runs of memory of four cache lines: shorter ones are slower, and longer ones, with planes that lie at the same
  // place of the caches' sets, push each other out. Of few planes eight, which memory gives sooner than twice four.
  static int size(const SoftmaxCall& c) {
    const int64_t all = ((c.inner > 1 ? c.inner : c.examples) + n - 1) / n * n;
    const int64_t most = (c.inner > 1 && c.classes <= 32 ? 8 : 4) * n;
    return int(all < most ? all : most);
  }

  // Only whole lines can bypass the caches.
  static bool streams(const SoftmaxCall& c) {
    constexpr size_t vector = n * sizeof(T);
    return c.past_caches && vector == 64 && c.inner > 1 && c.inner % n == 0 && c.chunk % n == 0 &&
           reinterpret_cast<size_t>(c.grad) % vector == 0;
  }

  // The tile that begins with example i.
  Tile at(int64_t i) const {
    const int64_t chunk = i / call.chunk, slice = i / inner;
    Tile t = {i, slice * (classes * inner) + i % inner, 0, chunk, (chunk + 1) * call.chunk, call.examples};
    if (inner > 1) t.slice_end = (slice + 1) * inner;
    cut(t);
    return t;
  }
  // The one behind t. Divisions for each tile took as long as the logarithms of its examples.
  Tile after(Tile t) const {
    t.i += t.count;
    t.start += inner > 1 ? t.count : t.count * classes;
    if (inner > 1 && t.i == t.slice_end) {
      t.start += (classes - 1) * inner;
      t.slice_end += inner;
    }
    if (t.i == t.chunk_end) {
      ++t.chunk;
      t.chunk_end += call.chunk;
    }
    cut(t);
    return t;
  }
  // The end of a chunk or a slice may come before that of a whole tile.
  void cut(Tile& t) const {
    int64_t stop = t.i + tile;
    for (const int64_t end : {call.examples, t.chunk_end, t.slice_end}) stop = stop < end ? stop : end;
    t.count = int(stop - t.i);
  }

  // The shares [part, end) of `parts` of the work of bringing `t` from memory at `from` (where it starts) to `to`. Lanes
  // beyond its examples become 0.
  template <class S>
  LK_APART void bring(const S* from, A* to, const Tile& t, int part, int end, int parts) const {
    if (inner > 1) {
      const int64_t stop = share(classes, end, parts);
      for (int64_t c = share(classes, part, parts); c < stop; ++c)
        bring_plane(from + c * inner, to + c * pitch, t.count);
    } else {
      const int vectors = (t.count + n - 1) / n;
      for (int k = vectors * part / parts; k < vectors * end / parts; ++k)
        transpose_in(from + k * n * classes, to + k * n, t.i + k * n, t.count - k * n < n ? t.count - k * n : n);
    }
  }
  // Of a whole tile, whose parts are four or eight, without a division.
  static int64_t share(int64_t all, int part, int parts) {
    return parts == 4 ? all * part >> 2 : parts == 8 ? all * part >> 3 : all * part / parts;
  }

  // One class of four vectors of pixels. What is needed now is asked for before what is needed later: the other way
  // round, the pass took a tenth longer.
  template <class S>
  LK_INLINE_MEMBER void bring_class(const S* from, A* to, int64_t c) const {
    from += c * inner;
    to += c * pitch;
#pragma GCC unroll 4
    for (int p = 0; p < 4 * n; p += n) {
      store(to + p, V(load(from + p)));
      __builtin_prefetch(from + 8 * n + p, 0, 3);  // see bring_plane
    }
  }

  template <class S>
  void bring_plane(const S* from, A* to, int count) const {
    // What a later tile wants of the plane: it lies on the same page. Fetched plane after plane in the order of use,
    // the pass took a third longer.
    const S* const ahead = from + 8 * n;
    int p = 0;
    for (; p + n <= count; p += n) {
      store(to + p, V(load(from + p)));
      __builtin_prefetch(ahead + p, 0, 3);
    }
    if (p < count) store(to + p, V(load_some(from + p, count - p, A(0))));
  }

  // Whether a vector's examples from number i on can be moved four classes at a time, which touches up to three
  // numbers beyond the last class of an example. Of one class they would lie beyond the next example too.
  template <class S>
  LK_INLINE_MEMBER bool by_fours(int64_t i, int rows) const {
    return FourClasses<S>::here && rows == n && classes > 1 && i + n < call.examples;
  }

  // `rows` examples (at most a vector's lanes) from number i on, whose classes lie side by side.
  template <class S>
  LK_APART void transpose_in(const S* from, A* to, int64_t i, int rows) const {
    const int64_t classes = this->classes, pitch = this->pitch;
    // All of the lines at once, ahead of time: what is loaded below are pieces of them.
    for (int64_t k = 0; k < classes; ++k) __builtin_prefetch(from + (4 * classes + k) * n, 0, 3);
    if (by_fours<S>(i, rows)) {
      for (int64_t c = 0; c < classes; c += 4) {
        V four[4];
        FourClasses<S>::load(from + c, classes, four);
        for (int k = 0; k < 4 && c + k < classes; ++k) store(to + (c + k) * pitch, four[k]);
      }
      return;
    }
    for (int64_t c = 0; c < classes; c += n) {
      const int columns = classes - c < n ? int(classes - c) : n;
      V block[n];
      for (int k = 0; k < n; ++k) {
        const S* source = from + k * classes + c;
        block[k] = k >= rows ? V{} : columns == n ? V(load(source)) : V(load_some(source, columns, A(0)));
      }
      transpose<A>(block);
      for (int k = 0; k < columns; ++k) store(to + (c + k) * pitch, block[k]);
    }
  }

  // Writes value(c, k), the gradients by the class c of vector k of `vectors` side by side, to `count` examples from
  // number i on, at `to`.
  template <int vectors, class F>
  LK_INLINE_MEMBER void write(T* to, int64_t i, int count, const F& value) const {
    const int64_t classes = this->classes, inner = this->inner;
    if (inner == 1) {
      for (int k = 0; k < vectors; ++k)
        transpose_out(to + k * n * classes, i + k * n, vectors > 1 ? n : count,
                      [&](int64_t c) LK_LAMBDA_INLINE { return value(c, k); });
    } else if (count < vectors * n) {  // of a single vector: see strip_of
      for (int64_t c = 0; c < classes; ++c) store_some(to + c * inner, value(c, 0), count);
    } else if (streaming) {
      for (int64_t c = 0; c < classes; ++c)
#pragma GCC unroll 4
        for (int k = 0; k < vectors; ++k) stream(to + c * inner + k * n, value(c, k));
    } else {
      for (int64_t c = 0; c < classes; ++c)
#pragma GCC unroll 4
        for (int k = 0; k < vectors; ++k) store(to + c * inner + k * n, value(c, k));
    }
  }

  template <class F>
  LK_INLINE_MEMBER void transpose_out(T* to, int64_t i, int rows, const F& value) const {
    const int64_t classes = this->classes;
    for (int64_t k = 0; k < classes; ++k) __builtin_prefetch(to + (2 * classes + k) * n, 1, 3);
    if (by_fours<T>(i, rows)) {
      // From the last classes to the first: what is written beyond an example is written over by the next one's.
      for (int64_t c = (classes - 1) / 4 * 4; c >= 0; c -= 4) {
        V four[4];
        for (int k = 0; k < 4; ++k) four[k] = c + k < classes ? value(c + k) : V{};
        FourClasses<T>::store(to + c, classes, four, classes - c < 4 ? int(classes - c) : 4);
      }
      return;
    }
    for (int64_t c = 0; c < classes; c += n) {
      const int columns = classes - c < n ? int(classes - c) : n;
      V block[n];
      for (int k = 0; k < columns; ++k) block[k] = value(c + k);
      for (int k = columns; k < n; ++k) block[k] = V{};  // all at once, a compiler would fill memory with them first
      transpose<A>(block);
      T* target = to + c;
      for (int k = 0; k < rows; ++k) {
        if (columns == n) store(target + k * classes, block[k]);
        else store_some(target + k * classes, block[k], columns);
      }
    }
  }

  void zero(T* out, int count) const {
    if (inner == 1) {
      std::memset(static_cast<void*>(out), 0, sizeof(T) * classes * count);
      return;
    }
    for (int64_t c = 0; c < classes; ++c) std::memset(static_cast<void*>(out + c * inner), 0, sizeof(T) * count);
  }

  bool all_finite(const A* z, int full) const {
    V difference{};
    for (int64_t c = 0; c < classes; ++c)
      for (int p = 0; p < full; p += n) {
        const V v = load(z + c * pitch + p);
        difference += v - v;
      }
    return sum_lanes<A>(difference) == 0;
  }
};

}  // namespace
