"""Elementary functions of the kernels, to the last digits, in the operations that a GPU has.

Kernels are compiled without the fusion of multiply and add (`launch.Launch`): what is one operation here is
written `fma`, and all else is rounded as written, so that the error terms of compensated forms survive. The
interpreter has no fused multiply-add; there it is made of wider or of several operations.

Everything takes float32 or float64 and stays in it. NaN goes through.
"""

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.fused.registration import INTERPRETED

__all__ = [
    "compensated_add",
    "exp_below",
    "exp_fast",
    "exp_less_line",
    "exp_pair",
    "fma",
    "log1p_fast",
    "log1p_of_exp",
    "log_of_sum",
    "power",
    "reciprocal",
    "two_product",
    "two_sum",
]

_INTERPRETED = tl.constexpr(INTERPRETED)
_LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def fma(a, b, c):
    """``a * b + c`` with one rounding."""
    if _INTERPRETED:
        if a.dtype == tl.float32:
            result = (a.to(tl.float64) * b.to(tl.float64) + c.to(tl.float64)).to(tl.float32)
        else:
            p, error = _dekker(a, b)
            s, rest = two_sum(p, c)
            small = error + rest
            result = tl.where(small - small == 0, s + small, a * b + c)
    else:
        result = tl.fma(a, b, c)
    return result


@triton.jit
def _dekker(a, b):
    """A product and its error without a fused multiply-add (Dekker 1971), in float64."""
    p = a * b
    shifted_a, shifted_b = a * 134217729.0, b * 134217729.0
    a_high, b_high = shifted_a - (shifted_a - a), shifted_b - (shifted_b - b)
    a_low, b_low = a - a_high, b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


@triton.jit
def two_sum(a, b):
    """A sum and its error (Knuth)."""
    s = a + b
    part = s - a
    return s, (a - (s - part)) + (b - part)


@triton.jit
def two_product(a, b):
    """A product and its error."""
    p = a * b
    return p, fma(a, b, -p)


@triton.jit
def compensated_add(high, low, term):
    """Add to a sum that is kept with its error; the error of a sum that is not finite stays finite."""
    s, error = two_sum(high, term)
    return s, low + tl.where(error == error, error, 0.0)


@triton.jit
def exp_fast(x):
    """exp(x) in float32 to some 2^-20, for results of 16 bits: one multiplication, one MUFU."""
    return tl.exp2(x * _LOG2E)


@triton.jit
def exp_accurate(x):
    """exp(x) for x <= 0 in float32 with one MUFU, which alone errs: by its two last places at most.

    The product with log2(e) is made exact. Of x = -infinity the exponential is 0; subnormal results are 0.
    """
    high = x * _LOG2E
    high = tl.maximum(high, -1000.0, propagate_nan=tl.PropagateNan.ALL)
    low = fma(x, tl.full(x.shape, 1.4426950216293335, tl.float32), -high)
    low = fma(x, tl.full(x.shape, 1.925963033500011e-08, tl.float32), low)
    low = tl.where(high > -1000.0, low, 0.0)
    e = tl.exp2(high)
    return fma(e, low * 0.6931471805599453, e)


@triton.jit
def _full(like, value: tl.constexpr):
    return tl.full(like.shape, value, like.dtype)


@triton.jit
def _horner(x, coefficients: tl.constexpr, count: tl.constexpr):
    """A polynomial from its highest coefficient down."""
    p = _full(x, coefficients[0])
    for i in tl.static_range(1, count):
        p = fma(p, x, _full(x, coefficients[i]))
    return p


# (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2: a minimax fit, 2^-28.3 relative to the exponential.
_EXP_32 = tl.constexpr((0.0013814596, 0.0083687175, 0.04166839, 0.16666521, 0.49999994))
# The same by Taylor's series, whose first term left out is 4e-18.
_EXP_64 = tl.constexpr(
    (
        1 / 6227020800,
        1 / 479001600,
        1 / 39916800,
        1 / 3628800,
        1 / 362880,
        1 / 40320,
        1 / 5040,
        1 / 720,
        1 / 120,
        1 / 24,
        1 / 6,
        0.5,
    )
)


@triton.jit
def _times_power_of_2(x, shifted):
    """The product of x and 2^n for n <= 0, subnormal results too; ``shifted`` is n + 1.5 * 2^52 (or 2^23)."""
    if x.dtype == tl.float32:
        bits = (shifted.to(tl.int32, bitcast=True) << 23) + (127 + 24 << 23)
        result = (x * bits.to(tl.float32, bitcast=True)) * 5.9604644775390625e-08  # 2^-24
    else:
        bits = (shifted.to(tl.int64, bitcast=True) << 52) + (1023 + 80 << 52)
        result = (x * bits.to(tl.float64, bitcast=True)) * 8.271806125530277e-25  # 2^-80
    return result


@triton.jit
def exp_below(x):
    """exp(x) for x <= 0 to the last place, without a MUFU; subnormal where the exponential is."""
    if x.dtype == tl.float32:
        x = tl.maximum(x, -104.0, propagate_nan=tl.PropagateNan.ALL)
        shifted = fma(x, _full(x, 1.4426950408889634), _full(x, 12582912.0))
        n = shifted - 12582912.0
        r = fma(n, _full(x, -0.6931471824645996), x)
        r = fma(n, _full(x, 1.9046542121259336e-09), r)
        p = fma(r * r, _horner(r, _EXP_32, 5), r) + 1.0
    else:
        x = tl.maximum(x, -746.0, propagate_nan=tl.PropagateNan.ALL)
        shifted = fma(x, _full(x, 1.4426950408889634), _full(x, 6755399441055744.0))
        n = shifted - 6755399441055744.0
        r = fma(n, _full(x, -0.6931471805599453), x)
        r = fma(n, _full(x, -2.3190468138462996e-17), r)
        p = fma(r * r, _horner(r, _EXP_64, 12), r) + 1.0
    return _times_power_of_2(p, shifted)


@triton.jit
def exp_less_line(x):
    """exp(x) - 1 - x for |x| <= ln(2) / 2, with its leading digits."""
    if x.dtype == tl.float32:
        p = _horner(x, _EXP_32, 5)
    else:
        p = _horner(x, _EXP_64, 12)
    return x * x * p


@triton.jit
def exp_pair(y):
    """exp(-y) for y >= 0 in float64 as a sum of two, with some 8 bits more than one has.

    The method of the reference backend's sigmoid_residual.py, which has the derivation.
    """
    x = tl.maximum(-y, -746.0, propagate_nan=tl.PropagateNan.ALL)
    shifted = fma(x, _full(x, 1.4426950408889634), _full(x, 6755399441055744.0))
    k = shifted - 6755399441055744.0
    # ln 2 = high + low; the first has so few bits that its products with k are exact.
    r, r_low = two_sum(fma(k, _full(x, -0.693147180559663), x), -k * 2.8235290563031577e-13)
    square, square_low = two_product(r, r)
    tail = _horner(r, _EXP_64_TAIL, 13) * r * square
    head, head_low = two_sum(_full(x, 1.0), r)
    total, total_low = two_sum(head, 0.5 * square)
    rest = tail + 0.5 * square_low + r_low * (1.0 + r) + head_low + total_low
    high, low = two_sum(total, rest)
    return _times_power_of_2(high, shifted), _times_power_of_2(low, shifted)


_EXP_64_TAIL = tl.constexpr(
    (
        1 / 1307674368000,
        1 / 87178291200,
        1 / 6227020800,
        1 / 479001600,
        1 / 39916800,
        1 / 3628800,
        1 / 362880,
        1 / 40320,
        1 / 5040,
        1 / 720,
        1 / 120,
        1 / 24,
        1 / 6,
    )
)

# (e - log1p(e)) / e^2 for 0 <= e <= 1: minimax fits, 2^-27.5 and 2^-22.1 relative to the logarithm.
_LOG1P_32 = tl.constexpr(
    (
        0.00330601609,
        -0.0201483499,
        0.0575585775,
        -0.106697984,
        0.153490216,
        -0.196931824,
        0.24958156,
        -0.333304703,
        0.499999315,
    )
)
_LOG1P_FAST = tl.constexpr(
    (0.00877742283, -0.0449812971, 0.109015614, -0.178467184, 0.245367005, -0.332840383, 0.499981791)
)


@triton.jit
def log1p_of_exp(e):
    """log(1 + e) for 0 <= e <= 1 to the last place."""
    if e.dtype == tl.float32:
        result = fma(-e * e, _horner(e, _LOG1P_32, 9), e)
    else:
        d = 1.0 + e
        result = log_of_sum(d, e - (d - 1.0))
    return result


@triton.jit
def log1p_fast(e):
    """log(1 + e) for 0 <= e <= 1 in float32 to 2^-22, for results of 16 bits."""
    return fma(-e * e, _horner(e, _LOG1P_FAST, 7), e)


# Cephes' logf and the logarithm of fdlibm, as in the native backend's elementary.h.
_LOG_32 = tl.constexpr(
    (
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    )
)
_LOG_64 = tl.constexpr(
    (
        1.479819860511658591e-01,
        1.531383769920937332e-01,
        1.818357216161805012e-01,
        2.222219843214978396e-01,
        2.857142874366239149e-01,
        3.999999999940941908e-01,
        6.666666666666735130e-01,
    )
)


@triton.jit
def log_of_sum(s, c):
    """log(s + c) for a normal s > 0 and c far below its last place; of infinity and NaN, themselves."""
    if s.dtype == tl.float32:
        b = s.to(tl.int32, bitcast=True)
        k = (b - 0x3F3504F3) >> 23  # by which the mantissa comes to lie in [sqrt(1/2), sqrt(2))
        f = (b - (k << 23)).to(tl.float32, bitcast=True) - 1.0
        n = k.to(tl.float32)
        z = f * f
        y = fma(f * z, _horner(f, _LOG_32, 9), c / s)
        y = fma(n, _full(s, -2.12194440e-4), y)
        y = fma(_full(s, -0.5), z, y)
        y = fma(n, _full(s, 0.693359375), f + y)
    else:
        b = s.to(tl.int64, bitcast=True)
        k = (b - 0x3FE6A09E667F3BCD) >> 52
        f = (b - (k << 52)).to(tl.float64, bitcast=True) - 1.0
        n = k.to(tl.float64)
        half_square = 0.5 * f * f
        q = f / (2.0 + f)
        z = q * q
        low = fma(
            q, fma(z, _horner(z, _LOG_64, 7), half_square), fma(n, _full(s, 1.908214929270588e-10), c / s)
        )
        y = n * 0.6931471803691238 - ((half_square - low) - f)
    return tl.where(s < float("inf"), y, s)


@triton.jit
def reciprocal(d, PRECISE: tl.constexpr):
    """1 / d for 1 <= d <= 2, and NaN: one MUFU in float32, of which a step of Newton makes the last place."""
    if d.dtype == tl.float64:
        r = 1.0 / d
    else:
        root = tl.math.rsqrt(d)
        r = root * root
        if PRECISE:
            r = fma(r, fma(-d, r, _full(d, 1.0)), r)
    return r


@triton.jit
def power(x, gamma, HALVES: tl.constexpr):
    """x^gamma for 0 <= x <= 1, and NaN; HALVES is 2 * gamma where that is a whole number to 32, else 0.

    The exponents in use are multiples of a half: products and one root. Others go through float64.
    """
    if HALVES > 0:
        result = x - x + 1.0  # NaN stays
        if HALVES % 2 == 1:
            if x.dtype == tl.float32:
                result = tl.sqrt_rn(x)
            else:
                result = tl.sqrt(x)
        square = x
        for i in tl.static_range(5):
            if ((HALVES // 2) >> i) % 2 == 1:
                result = result * square
            if ((HALVES // 2) >> (i + 1)) > 0:
                square = square * square
    else:
        wide = x.to(tl.float64)
        positive = tl.where(wide > 0.0, wide, 1.0)
        tiny = positive < 2.2250738585072014e-308
        normal = tl.where(tiny, positive * 18014398509481984.0, positive)  # 2^54
        # x = m 2^k: the product with k is kept with its error, which a logarithm of x would have lost.
        b = normal.to(tl.int64, bitcast=True)
        k = (b - 0x3FE6A09E667F3BCD) >> 52
        m = (b - (k << 52)).to(tl.float64, bitcast=True)
        exponent = tl.full(x.shape, gamma, tl.float64)
        p, p_low = two_product(exponent, k.to(tl.float64) - tl.where(tiny, 54.0, 0.0))
        q = exponent * log_of_sum(m, m * 0.0) * 1.4426950408889634
        shifted = tl.maximum(p + q, -1100.0) + 6755399441055744.0
        f = ((p - (shifted - 6755399441055744.0)) + p_low) + q
        y = _times_power_of_2(exp_below(f * 0.6931471805599453), shifted)
        result = tl.where(wide > 0.0, y, wide * 0.0).to(x.dtype)
    return result
