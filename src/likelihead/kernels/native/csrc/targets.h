// Class indices of any integer type.
#pragma once

#include "calls.h"

namespace {

inline int64_t class_at(const likelihead::SoftmaxCall& call, int64_t i) {
  using likelihead::Target;
  switch (call.target_kind) {
    case Target::i64: return static_cast<const int64_t*>(call.target)[i];
    case Target::i32: return static_cast<const int32_t*>(call.target)[i];
    case Target::i16: return static_cast<const int16_t*>(call.target)[i];
    case Target::i8: return static_cast<const int8_t*>(call.target)[i];
    default: return static_cast<const uint8_t*>(call.target)[i];
  }
}

}  // namespace
