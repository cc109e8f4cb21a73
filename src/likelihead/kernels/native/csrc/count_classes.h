// How many class indices count and how many are none, in the vectors of one instruction set: with the 16-byte ones of
// every machine, which cannot compare 64-bit numbers, this pass took as long as the loss of few classes.
#pragma once

#include "calls.h"

namespace {

template <class I>
likelihead::Counted count_classes(const I* target, int64_t begin, int64_t end, int64_t classes, int64_t ignore) {
  int64_t ignored = 0, fitting = 0, both = 0;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t c = int64_t(target[i]);
    const bool is_class = uint64_t(c) < uint64_t(classes), is_ignored = c == ignore;
    ignored += is_ignored;
    fitting += is_class;
    both += is_class & is_ignored;
  }
  return {end - begin - ignored, end - begin - ignored - fitting + both};
}

inline likelihead::Counted count_classes(const likelihead::SoftmaxCall& call, int64_t begin, int64_t end) {
  using likelihead::Target;
  const auto count = [&](auto* target) { return count_classes(target, begin, end, call.classes, call.ignore_index); };
  switch (call.target_kind) {
    case Target::i64: return count(static_cast<const int64_t*>(call.target));
    case Target::i32: return count(static_cast<const int32_t*>(call.target));
    case Target::i16: return count(static_cast<const int16_t*>(call.target));
    case Target::i8: return count(static_cast<const int8_t*>(call.target));
    default: return count(static_cast<const uint8_t*>(call.target));
  }
}

}  // namespace
