// The kernels in AVX512; library.cpp asks the processor before it calls them.
//
// The target is set after the headers of the system: what they define inline stays code for every machine.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "calls.h"

#ifdef LK_X86
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#endif

#define LK_VECTOR_BYTES 64
#ifdef LK_DTYPE  // see dtypes.h
#include "sigmoid_elements.h"
#include "softmax_columns.h"
#include "softmax_kl.h"
#include "softmax_scores.h"
#else
#include "count_classes.h"
#include "scale_16_bit.h"
#endif

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#define LK_ISA avx512
#include "dtypes.h"
#ifndef LK_DTYPE
const likelihead::Kernels likelihead::kernels_avx512 =
    {"avx512", true, avx512::softmax, avx512::scores, count_classes, avx512::sigmoid, scale_16_bit,
     avx512::softmax_kl};
#endif
#endif
