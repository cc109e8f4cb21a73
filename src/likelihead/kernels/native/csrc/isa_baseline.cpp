// The kernels in what every machine has: 16-byte vectors (SSE2, NEON), or plain loops where there are none.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#define LK_VECTOR_BYTES 16
#ifdef LK_DTYPE  // see dtypes.h
#include "sigmoid_elements.h"
#include "softmax_columns.h"
#include "softmax_kl.h"
#include "softmax_scores.h"
#else
#include "count_classes.h"
#include "scale_16_bit.h"
#endif

#define LK_ISA baseline
#include "dtypes.h"
#ifndef LK_DTYPE
const likelihead::Kernels likelihead::kernels_baseline =
    {"baseline", false, baseline::softmax, baseline::scores, count_classes, baseline::sigmoid, scale_16_bit,
     baseline::softmax_kl};
#endif
