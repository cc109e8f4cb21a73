// The kernels of an instruction set, called LK_ISA, by the dtype of the logits.
//
// An isa_*.cpp is compiled once for each dtype, with LK_DTYPE set to its name, and once without for the rest: as one
// piece it would be the compiler's work for half a minute, beside which the other cores have nothing to do.
#include "calls.h"

#define LK_JOIN(a, b) a##b
#define LK_NAME(a, b) LK_JOIN(a, b)
#define LK_PARAMETERS(Call) (const Call& call, int64_t first, int64_t last)

namespace likelihead {
namespace LK_ISA {

void softmax_f32 LK_PARAMETERS(SoftmaxCall);
void softmax_f64 LK_PARAMETERS(SoftmaxCall);
void softmax_bf16 LK_PARAMETERS(SoftmaxCall);
void softmax_f16 LK_PARAMETERS(SoftmaxCall);
void scores_f32 LK_PARAMETERS(ScoresCall);
void scores_f64 LK_PARAMETERS(ScoresCall);
void scores_bf16 LK_PARAMETERS(ScoresCall);
void scores_f16 LK_PARAMETERS(ScoresCall);
void sigmoid_f32 LK_PARAMETERS(SigmoidCall);
void sigmoid_f64 LK_PARAMETERS(SigmoidCall);
void sigmoid_bf16 LK_PARAMETERS(SigmoidCall);
void sigmoid_f16 LK_PARAMETERS(SigmoidCall);
void softmax_kl_f32 LK_PARAMETERS(SoftmaxKLCall);
void softmax_kl_f64 LK_PARAMETERS(SoftmaxKLCall);
void softmax_kl_bf16 LK_PARAMETERS(SoftmaxKLCall);
void softmax_kl_f16 LK_PARAMETERS(SoftmaxKLCall);

#ifdef LK_DTYPE

using T = StoredAs<Float::LK_DTYPE>::type;
void LK_NAME(softmax_, LK_DTYPE) LK_PARAMETERS(SoftmaxCall) { run<T>(call, first, last); }
void LK_NAME(scores_, LK_DTYPE) LK_PARAMETERS(ScoresCall) { run_scores<T>(call, first, last); }
void LK_NAME(sigmoid_, LK_DTYPE) LK_PARAMETERS(SigmoidCall) { run_elements<T>(call, first, last); }
void LK_NAME(softmax_kl_, LK_DTYPE) LK_PARAMETERS(SoftmaxKLCall) { run_kl<T>(call, first, last); }

#else

static void softmax LK_PARAMETERS(SoftmaxCall) {
  switch (call.dtype) {
    case Float::f32: return softmax_f32(call, first, last);
    case Float::f64: return softmax_f64(call, first, last);
    case Float::bf16: return softmax_bf16(call, first, last);
    case Float::f16: return softmax_f16(call, first, last);
  }
}
static void scores LK_PARAMETERS(ScoresCall) {
  switch (call.dtype) {
    case Float::f32: return scores_f32(call, first, last);
    case Float::f64: return scores_f64(call, first, last);
    case Float::bf16: return scores_bf16(call, first, last);
    case Float::f16: return scores_f16(call, first, last);
  }
}
static void sigmoid LK_PARAMETERS(SigmoidCall) {
  switch (call.dtype) {
    case Float::f32: return sigmoid_f32(call, first, last);
    case Float::f64: return sigmoid_f64(call, first, last);
    case Float::bf16: return sigmoid_bf16(call, first, last);
    case Float::f16: return sigmoid_f16(call, first, last);
  }
}
static void softmax_kl LK_PARAMETERS(SoftmaxKLCall) {
  switch (call.dtype) {
    case Float::f32: return softmax_kl_f32(call, first, last);
    case Float::f64: return softmax_kl_f64(call, first, last);
    case Float::bf16: return softmax_kl_bf16(call, first, last);
    case Float::f16: return softmax_kl_f16(call, first, last);
  }
}

#endif

}  // namespace LK_ISA
}  // namespace likelihead
