"""The exponentials of a softmax on a GPU, and the functions of one number per example.

``MUFU.EX2`` has an argument of 24 bits. At a distance of 60 from the largest logit half a unit in its last
place is 32 units of the result, so a float32 logit brings what was rounded off along: of the difference to
the largest, by a two-sum, and of its product with log2(e), by a multiply-add. Both are small, and
``2^(h + l) = 2^h (1 + l ln 2)``. Logits of 16 bits leave their differences exact, and nobody sees the rest.

The largest has exactly 1, or a power of 2: in a row that is certain it is nearly all of the sum, which every
gradient of the row is divided by.
"""

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.triton.arithmetic import fma, log_of_sum, two_sum

LOG2E = tl.constexpr(1.44269502162933349609375)  # the float32
LN2_HIGH = tl.constexpr(0.693147182464599609375)  # the float32
LN2_LOW = tl.constexpr(-1.904654299957768e-09)
TWO_TO_MINUS_64 = tl.constexpr(5.421010862427522e-20)
LOWEST = tl.constexpr(-3.4028234663852886e38)
LOWEST_64 = tl.constexpr(-1.7976931348623157e308)
INFINITY = tl.constexpr(float("inf"))


@triton.jit
def finite_top(top):
    """What the exponentials are taken relative to, where ``top`` is the largest logit so far."""
    if top.dtype == tl.float64:
        finite = tl.maximum(top, LOWEST_64)
    else:
        finite = tl.maximum(top, LOWEST)
    return finite


@triton.jit
def exp_below(x, top, NARROW: tl.constexpr):
    """``exp(x - top)`` for x <= top, of 16-bit logits 2^8 times that; NaN for a top that is not finite."""
    if NARROW:
        # The power of 2 keeps what bfloat16 can show of a gradient from being flushed.
        e = exp2_of_scaled(x - top, 8.0)
    elif x.dtype == tl.float64:
        d, error = two_sum(x, -top)
        e = tl.exp(d)
        e = tl.where(e > 0, e + e * error, e)  # of -inf the error is NaN
    else:
        d, error = two_sum(x, -top)
        h = d * LOG2E
        subnormal = h < -125.0  # which the unit flushes
        e = tl.exp2(tl.where(subnormal, h + 64.0, h))
        e = tl.where(subnormal, e * TWO_TO_MINUS_64, e)
        low = fma(h, tl.full(h.shape, -LN2_HIGH, tl.float32), d)
        low = fma(h, tl.full(h.shape, -LN2_LOW, tl.float32), low) + error
        e = tl.where(e > 0, fma(e, low, e), e)
    return e


@triton.jit
def exp2_of_scaled(d, more: tl.constexpr):
    """``2^more exp(d)`` in float32 with the rounding of its argument."""
    return tl.exp2(fma(d, tl.full(d.shape, LOG2E, tl.float32), tl.full(d.shape, more, tl.float32)))


@triton.jit
def rescaling(old, new, NARROW: tl.constexpr):
    """What takes a sum relative to one top to a larger one."""
    if NARROW:
        ratio = exp2_of_scaled(old - new, 0.0)
    else:
        ratio = exp_below(old, new, False)
    return ratio


@triton.jit
def log1p(x):
    """``log(1 + x)`` for x >= 0, infinity and NaN."""
    u = 1.0 + x
    c = tl.where(x < 1.0, x - (u - 1.0), 1.0 - (u - x))
    return tl.where(x < INFINITY, log_of_sum(u, c), x)


@triton.jit
def divide(a, b):
    if a.dtype == tl.float64:
        quotient = a / b
    else:
        quotient = tl.div_rn(a, b)
    return quotient


@triton.jit
def widened(x, A: tl.constexpr):
    """In the type of the arithmetic, without a step from 16 bits to 64: the interpreter has none."""
    if x.dtype.primitive_bitwidth == 16:
        wide = x.to(tl.float32).to(A)
    else:
        wide = x.to(A)
    return wide


@triton.jit
def tanh(x):
    size = tl.abs(x)
    z = x * x
    if x.dtype == tl.float64:
        e = tl.exp(-2.0 * size)
        p = (-9.64399179425052238628e-1 * z + -9.92877231001918586564e1) * z + -1.61468768441708447952e3
        q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3
        near = x + x * z * (p / q)
    else:
        e = exp_below(-2.0 * size, tl.zeros_like(size), False)
        p = -5.70498872745e-3 * z + 2.06390887954e-2
        p = p * z + -5.37397155531e-2
        p = p * z + 1.33314422036e-1
        p = p * z + -3.33332819422e-1
        near = p * z * x + x
    far = divide(1.0 - e, 1.0 + e)
    return tl.where(size < 0.625, near, tl.where(x < 0, -far, far))


@triton.jit
def is_finite(x):
    return tl.abs(x) < INFINITY
