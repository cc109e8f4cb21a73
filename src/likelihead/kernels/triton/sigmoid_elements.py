"""The loss and the slope of a Bernoulli element: a softplus(x) + b softplus(-x), a = 1 - t, b = pos_weight t.

All of it comes of one e = exp(-|x|). Two ways: `narrow` for logits of 16 bits, in float32, which has the
spare digits for a slope that cancels; `wide` for float32 and float64, where blocks of labels 0 and 1 subtract
nothing and others take the slope's numerator from float64, or from pairs of it.
"""

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.triton.arithmetic import (
    exp_below,
    exp_fast,
    exp_pair,
    fma,
    log1p_fast,
    log1p_of_exp,
    power,
    reciprocal,
    two_product,
    two_sum,
)

__all__ = ["focal", "narrow", "wide"]


@triton.jit
def _plain(x, t, a, e, log, over):
    """``(nll, slope)`` without a pos_weight, where a + t = 1.

    Of the outcome that the logit speaks against, with probability w: nll = w |x| + log(1 + e), and
    the slope is w - e / (1 + e), with the sign of x. A certain outcome has w = 0 or 1, and nothing cancels.
    """
    positive = x >= 0.0
    wrong = tl.where(positive, a, t)
    size = fma(-e, over, wrong)
    return fma(wrong, tl.abs(x), log), tl.where(positive, size, -size)


@triton.jit
def narrow(x, t, a, pos, POS: tl.constexpr):
    """``(nll, slope)`` of values that came of 16 bits, a = 1 - t; of infinite logits `limits` has the nll."""
    e = exp_fast(-tl.abs(x))
    log, over = log1p_fast(e), reciprocal(1.0 + e, False)
    if POS:
        nll, slope = _weighted(x, a, t * pos, e, log, over)
    else:
        nll, slope = _plain(x, t, a, e, log, over)
    return nll, slope


@triton.jit
def _weighted(x, a, b, e, log, over):
    positive = x >= 0.0
    nll = a * (tl.maximum(x, 0.0) + log) + b * (tl.maximum(-x, 0.0) + log)
    first, second = tl.where(positive, a, -b), tl.where(positive, -b, a)
    return nll, fma(second, e, first) * over


@triton.jit
def wide(
    x,
    label,
    smoothed,
    a,
    pos,
    smoothing,
    prior,
    POS: tl.constexpr,
    SMOOTH: tl.constexpr,
    NONFINITE: tl.constexpr,
):
    """``(nll, slope)``: ``label`` is as given, ``smoothed`` as drawn to its prior, a = 1 - smoothed."""
    e = exp_below(-tl.abs(x))
    log, over = log1p_of_exp(e), reciprocal(1.0 + e, True)
    if SMOOTH:
        nll, slope = _soft(x, e, log, over, label, smoothed, a, pos, smoothing, prior, POS, SMOOTH, NONFINITE)
    else:
        # 0 where the label is 0 or 1 and the logit finite, and there alone.
        odd = fma(x, tl.zeros_like(x), fma(label, label, -label)) != 0.0
        if tl.max(odd.to(tl.int32)) > 0:
            nll, slope = _soft(
                x, e, log, over, label, smoothed, a, pos, smoothing, prior,
                POS, SMOOTH, NONFINITE,  # rare: a label or logit of another kind
            )  # fmt: skip
        else:
            nll, slope = _plain(x, label, a, e, log, over)
            if POS:
                weight = tl.where(label == 1.0, pos, 1.0)
                nll *= weight
                slope *= weight
    return nll, slope


@triton.jit
def _soft(
    x,
    e,
    log,
    over,
    label,
    t,
    a,
    pos,
    smoothing,
    prior,
    POS: tl.constexpr,
    SMOOTH: tl.constexpr,
    NONFINITE: tl.constexpr,
):
    if POS:
        nll, slope = _weighted(x, a, t * pos, e, log, over)
    else:
        nll, slope = _plain(x, t, a, e, log, over)
    nll = limits(nll, x, t, pos, log, POS, NONFINITE)
    # The slope of a soft label is a difference: its numerator is formed with more digits.
    positive = x >= 0.0
    if x.dtype == tl.float32:
        wide_t = label.to(tl.float64)
        if SMOOTH:
            wide_t = wide_t * (1.0 - smoothing) + smoothing * prior.to(tl.float64)
        wide_a = 1.0 - wide_t
        wide_b = wide_t * pos.to(tl.float64) if POS else wide_t
        first, second = tl.where(positive, wide_a, -wide_b), tl.where(positive, -wide_b, wide_a)
        wide_e = exp_below(-tl.abs(x.to(tl.float64)))
        slope = fma(second, wide_e, first).to(tl.float32) * over
    else:
        high, low = exp_pair(tl.abs(x))
        b = t * pos if POS else t
        first, second = tl.where(positive, a, -b), tl.where(positive, -b, a)
        product, product_low = two_product(second, high)
        total, total_low = two_sum(first, product)
        rest = total_low + (product_low + second * low)
        # Of operands that are not finite the corrections are NaN, and the plain sum is the answer.
        numerator = total + tl.where(rest - rest == 0.0, rest, 0.0)
        d, d_low = two_sum(tl.full(x.shape, 1.0, x.dtype), high)
        quotient = numerator / d
        correction = quotient * (d_low / d)
        slope = quotient - tl.where(correction - correction == 0.0, correction, 0.0)
    return nll, slope


@triton.jit
def limits(nll, x, t, pos, log, POS: tl.constexpr, NONFINITE: tl.constexpr):
    """The nll where logit or label is not finite: by the formulas as they stand, torch's with NONFINITE."""
    minus = tl.maximum(-x, 0.0) + log
    if NONFINITE:
        # Without a pos_weight there is no product: 0 times an infinite label would be NaN.
        odd = (1.0 - t) * x + ((1.0 + (pos - 1.0) * t) * minus if POS else minus)
    else:
        odd = (t * pos if POS else t) * minus + (1.0 - t) * (tl.maximum(x, 0.0) + log)
    return tl.where((x - x == 0.0) & (t - t == 0.0), nll, odd)


@triton.jit
def focal(
    nll,
    slope,
    x,
    t,
    gamma,
    alpha,
    GAMMA: tl.constexpr,
    HALVES: tl.constexpr,
    ALPHA: tl.constexpr,
    NARROW: tl.constexpr,
):
    """The loss and its slope times ``[t (1 - p) + (1 - t) p] ** gamma`` and alpha's share of the label."""
    value = tl.full(x.shape, 1.0, x.dtype)
    turn = tl.zeros_like(x)
    if GAMMA:
        e = exp_fast(-tl.abs(x)) if NARROW else exp_below(-tl.abs(x))
        over = reciprocal(1.0 + e, not NARROW)
        # Both terms are of one sign.
        wrong = tl.where(x >= 0.0, fma(t, e, 1.0 - t), fma(1.0 - t, e, t))
        m, pq = wrong * over, e * over * over
        value = power(m, gamma, HALVES)
        flat = (m == 0.0) | (pq == 0.0)
        exponent = tl.full(x.shape, gamma, x.dtype)
        turn = tl.where(flat, 0.0, exponent * (1.0 - t - t) * (pq * (nll / m)))
    if ALPHA:
        yes = tl.full(x.shape, alpha, tl.float64).to(x.dtype)
        no = (1.0 - tl.full(x.shape, alpha, tl.float64)).to(x.dtype)
        value *= t * yes + (1.0 - t) * no
    return value * nll, value * (slope + turn)
