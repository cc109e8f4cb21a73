// What the categorical ops share: their class indices, how they are cut up for threads, what comes from above.
#pragma once

#include <atomic>
#include <vector>

#include "common.h"
#include "targets.h"

namespace likelihead {

inline double number_at(const SoftmaxCall& call, const void* values, int64_t i) {
  return call.dtype == Float::f64 ? static_cast<const double*>(values)[i]
                                  : double(static_cast<const float*>(values)[i]);
}

[[noreturn]] inline void refuse_outside(const SoftmaxCall& call) {
  for (int64_t i = 0;; ++i) {
    const int64_t c = class_at(call, i);
    if (c != call.ignore_index && (c < 0 || c >= call.classes))
      STD_TORCH_CHECK(false, "class index out of range: ", c, " at ", i);
  }
}

// Checks every class index before anything is written, and returns what the mean divides by: the examples that are not
// ignored, or the weights of their classes and their own.
inline double count_classes(const SoftmaxCall& call) {
  constexpr int64_t chunk = 8192;
  const int64_t chunks = (call.examples + chunk - 1) / chunk;
  const CountKernel count = kernels().count;
  const bool weighted = call.weight || call.sample_weight;
  if (chunks == 1 && !weighted) {
    const Counted found = count(call, 0, call.examples);
    if (found.outside) refuse_outside(call);
    return double(found.kept);
  }
  std::vector<double> counts(chunks);
  std::atomic<bool> any_outside{false};
  for_chunks(chunks, weighted ? chunk : chunk / 4, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
      const int64_t begin = k * chunk, end = std::min(begin + chunk, call.examples);
      const Counted found = count(call, begin, end);
      if (found.outside) any_outside = true;
      counts[k] = double(found.kept);
      if (!weighted || found.outside) continue;
      double weights = 0;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t c = class_at(call, i);
        if (c == call.ignore_index) continue;
        double one = call.weight ? number_at(call, call.weight, c) : 1;
        if (call.sample_weight) one *= number_at(call, call.sample_weight, i / call.sample_each);
        weights += one;
      }
      counts[k] = weights;
    }
  });
  if (any_outside) refuse_outside(call);
  double total = 0;
  for (double part : counts) total += part;
  return total;
}

// How many examples make a chunk: enough chunks to share out between threads, and the same for any number of them.
inline int64_t chunk_of(const SoftmaxCall& call) {
  const int64_t classes = std::max<int64_t>(1, call.classes);
  const int64_t elements = std::clamp<int64_t>(call.examples * classes / 16, 4096, 65536);
  const int64_t chunk = elements / classes;
  // Of pixels whole lines: what begins within one cannot bypass the caches.
  const int64_t whole = chunk > 512 ? 512 : call.inner > 1 ? 64 : 1;
  return std::max(whole, chunk / whole * whole);
}

inline bool is_index(ScalarType dtype, Target& kind) {
  switch (dtype) {
    case ScalarType::Long: kind = Target::i64; return true;
    case ScalarType::Int: kind = Target::i32; return true;
    case ScalarType::Short: kind = Target::i16; return true;
    case ScalarType::Char: kind = Target::i8; return true;
    case ScalarType::Byte: kind = Target::u8; return true;
    default: return false;
  }
}

// The upstream gradient of a value: one number for all (stride 0), or one per example. `alive` keeps its memory.
inline const void* upstream_of(
    const SoftmaxCall& call, const std::optional<Tensor>& given, ScalarType wide, int64_t& stride,
    std::vector<Tensor>& alive) {
  if (!given) return nullptr;
  const int64_t n = given->numel();
  STD_TORCH_CHECK(n == 1 || n == call.examples, "an upstream gradient is one number, or one per example");
  Tensor t = given->scalar_type() == wide ? *given : torch::stable::to(*given, wide);
  stride = 0;
  bool one_number = true;
  for (int64_t d = 0; d < t.dim(); ++d) one_number = one_number && (t.size(d) == 1 || t.stride(d) == 0);
  if (!one_number) {
    t = dense(t);
    stride = 1;
  }
  alive.push_back(t);
  return t.data_ptr();
}

}  // namespace likelihead
