// One call of a kernel: what the ops hand to the code of the instruction set that library.cpp picked.
#pragma once

#include <cstdint>

#include "old_glibc.h"

namespace likelihead {

enum class Float : int { f32, f64, bf16, f16 };
enum class Target : int { i64, i32, i16, i8, u8, same, wide };  // "same": probabilities of the logits' dtype

// "Wide" is float64 for float64 logits and float32 otherwise. Null pointers stand for what is absent.
struct SoftmaxCall {
  // Logits are [outer, classes, inner], contiguous. inner == 1: a row's classes lie side by side.
  const void* logits = nullptr;
  Float dtype = Float::f32;
  int64_t classes = 0, inner = 1;
  const void* target = nullptr;
  Target target_kind = Target::i64;

  const void* weight = nullptr;        // [classes], wide
  const void* logit_offset = nullptr;  // [classes], wide
  double weight_sum = 0;               // of weight, or the number of classes
  double label_smoothing = 0;
  int64_t ignore_index = -100;
  double z_loss = 0;
  double softcap = 0;  // 0: none
  bool torch_nonfinite = false;  // 0 * inf is NaN, as in torch; else a share of 0 and an ignored row add nothing
  // 0: a class that the example cannot have. Example i has those at where + i / pixels * where_outer +
  // i % pixels * where_inner, where_class apart.
  const uint8_t* where = nullptr;
  int64_t pixels = 1, where_outer = 0, where_inner = 0, where_class = 1;
  double focal_gamma = 0;
  const void* sample_weight = nullptr;  // wide, one for every sample_each examples; 0: the example is left out
  int64_t sample_each = 1;

  void* nll = nullptr;      // [outer * inner], wide
  void* lse = nullptr;      // the same
  int64_t examples = 0, chunk = 1;  // outer * inner; how many of them make a chunk
  double* sums = nullptr;   // one per chunk: the sum of nll over it, so that threads do not matter to the total
  void* grad = nullptr;     // like logits; may be the logits themselves
  bool past_caches = false;  // the gradient is large, and written past the caches if it can be
  bool* went_past = nullptr;  // set to whether it could
  const void* up_nll = nullptr;  // [outer * inner] wide, at up_nll_stride (0: one number for all); null: ones
  const void* up_lse = nullptr;
  int64_t up_nll_stride = 0, up_lse_stride = 0;
  double scale = 1;  // multiplies up_nll
};

// Runs the chunks [first, last).
using SoftmaxKernel = void (*)(const SoftmaxCall&, int64_t first, int64_t last);

// Rows of a head's chunk with their entropies. Of the options it has ignore_index and softcap; null upstream gradients
// stand for none.
struct ScoresCall : SoftmaxCall {
  void* entropy = nullptr;        // like nll
  int64_t* prediction = nullptr;  // [examples], or null
  const void* up_entropy = nullptr;
  int64_t up_entropy_stride = 0;
};
using ScoresKernel = void (*)(const ScoresCall&, int64_t first, int64_t last);

// What the class indices of some examples are.
struct Counted {
  int64_t kept = 0;     // not ignored
  int64_t outside = 0;  // of those, no class
};
using CountKernel = Counted (*)(const SoftmaxCall&, int64_t begin, int64_t end);

// The binary ops look at so many elements at once.
constexpr int64_t sigmoid_block = 512;

// The binary ops are elementwise.
struct SigmoidCall {
  const void* logits = nullptr;
  Float dtype = Float::f32;
  int64_t count = 0, chunk = 1;
  const void* target = nullptr;
  bool wide_target = false;              // wide, or of the logits' dtype
  // Wide. Period 0: one per element. Else they repeat after so many, and another block's length of them follows
  // the first period, so that a block of elements may begin anywhere in it.
  const void* weight = nullptr;
  const void* pos_weight = nullptr;
  int64_t weight_period = 0, pos_weight_period = 0;
  const uint8_t* mask = nullptr;         // 0: the element is left out
  bool skip_nan_target = false, torch_nonfinite = false;
  double label_smoothing = 0;  // this much of a label is its prior, or a half where there is none
  const void* prior = nullptr;  // as the weights are
  int64_t prior_period = 0;
  double focal_gamma = 0;
  double focal_alpha = -1;  // the share of the weight that a yes has; -1: both outcomes weigh 1
  const void* sample_weight = nullptr;  // wide, one for every sample_each elements; 0: they are left out
  int64_t sample_each = 1;

  void* nll = nullptr;      // [count], wide
  double* sums = nullptr;   // one per chunk
  void* grad = nullptr;     // like logits
  const void* up = nullptr;  // wide: one number, or one each
  bool up_is_each = false;
  double scale = 1;  // multiplies up
  bool past_caches = false;  // the gradient is large, and written past the caches if it can be
  bool* went_past = nullptr;  // set to whether it could
};

using SigmoidKernel = void (*)(const SigmoidCall&, int64_t first, int64_t last);

// Multiplies the numbers [begin, end) of a bfloat16 or float16 array; zeros stay.
using Scale16Kernel = void (*)(void* data, Float dtype, float factor, int64_t begin, int64_t end);

enum class Direction : int { forward, reverse, jsd };

// Of softmax_kl_: rows of a student's logits and of its teacher's.
struct SoftmaxKLCall {
  void* logits = nullptr;  // [rows, classes]; their gradient in the end, if there is an upstream one
  const void* teacher = nullptr;
  Float dtype = Float::f32;
  int64_t rows = 0, classes = 0;
  Direction direction = Direction::forward;
  double beta = 0.5;
  double softcap = 0, teacher_softcap = 0;  // 0: none
  void* values = nullptr;    // [rows], wide
  const void* up = nullptr;  // wide, at up_stride
  int64_t up_stride = 0;
};
// Runs the rows [first, last).
using SoftmaxKLKernel = void (*)(const SoftmaxKLCall&, int64_t first, int64_t last);

struct Kernels {
  const char* name;
  bool past_caches;  // has stores that bypass the caches
  SoftmaxKernel softmax;
  ScoresKernel scores;
  CountKernel count;
  SigmoidKernel sigmoid;
  Scale16Kernel scale_16_bit;
  SoftmaxKLKernel softmax_kl;
};

extern const Kernels kernels_baseline;
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define LK_X86 1
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#endif

}  // namespace likelihead
