// The kernels in what every machine has: 16-byte vectors (SSE2, NEON), or plain loops where there are none.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#define LK_VECTOR_BYTES 16
#include "scale_16_bit.h"
#include "softmax_columns.h"

const likelihead::Kernels likelihead::kernels_baseline = {"baseline", softmax, scale_16_bit};
