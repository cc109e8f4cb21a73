"""What the kernels of the categorical loss know of an example, and what comes of its sums.

The functions take numbers or vectors of them, one per example. As in the kernels of the CPU, ``top`` is the
largest logit, ``unit`` its exponential, ``e_t`` that of the target and ``rest`` the sum of the others.
"""

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.triton.arithmetic import log_of_sum, power
from likelihead.kernels.triton.report import report
from likelihead.kernels.triton.softmax_arithmetic import INFINITY, divide, is_finite, log1p, tanh


@triton.jit
def places(
    a,
    b,
    first,
    p,
    c,
    outer,
    middle,
    inner,
    by_class,
    UNIT: tl.constexpr,
    ROWS: tl.constexpr,
    INT64: tl.constexpr,
):
    """Where the logits of the examples from ``first`` on begin, and where all of a tile are from there.

    ``UNIT`` divides every stride but that of 1, and the compiler is told: it takes as many at once.
    """
    begin = tl.multiple_of(a * outer + b * middle + first * inner, UNIT)
    if INT64:
        p = p.to(tl.int64)
        c = c.to(tl.int64)
    if ROWS:
        return begin, tl.multiple_of(p * inner, UNIT)[:, None] + c[None, :]
    return begin, (p * inner)[:, None] + tl.multiple_of(c * by_class, UNIT)[None, :]


@triton.jit
def target_of(target, i, inside, classes, ignore_index, counter, slots, call):
    """The class of the examples ``i``, -1 where there is none; which are kept, and which are out of range."""
    given = tl.load(target + i, mask=inside, other=0).to(tl.int64)
    kept = inside & (given != ignore_index)
    bad = kept & ((given < 0) | (given >= classes))
    if tl.max(bad.to(tl.int32)) > 0:
        report(counter, slots, call, i, given, bad)
    return tl.where(kept & ~bad, given, -1).to(tl.int32), kept, bad


@triton.jit
def bend(x, offset, allowed, cap, CAPPED: tl.constexpr, OFFSET: tl.constexpr, MASKED: tl.constexpr):
    """Logits with a cap, an offset and a class mask, and the slope of the cap."""
    slope = x
    if CAPPED:
        t = tanh(x * (1.0 / cap))
        slope = 1.0 - t * t
        x = cap * t
    if OFFSET:
        x += offset
    if MASKED:
        x = tl.where(allowed, x, -INFINITY)
    return x, slope


@triton.jit
def times(share, gap, TORCH_NONFINITE: tl.constexpr):
    """A share of 0 takes nothing of an infinite distance, unless torch's NaN is asked for."""
    if TORCH_NONFINITE:
        return share * gap
    return tl.where((share == 0) & (gap == INFINITY), 0.0, share * gap)


@triton.jit
def above_top(rest, e_t, z_t, top, unit, lower, ties, has_target, ACCURATE: tl.constexpr, SOFT: tl.constexpr):
    """``logsumexp - top``, and whether the target is the top.

    ``ACCURATE``: also where the target is not, and nearly all of the sum is the top's: what ``lse`` shows,
    but no loss by class index, which is log 2 at least. ``lower`` is then the sum of those below the top and
    ``ties`` that of those at it.
    """
    total = rest + e_t
    above = log_of_sum(divide(total, unit), tl.zeros_like(total))
    is_top = has_target & (z_t == top)
    if not SOFT:
        above = tl.where(is_top, log1p(divide(rest, e_t)), above)
    if ACCURATE:
        others = log1p(divide(lower + (ties - unit), unit))
        above = tl.where(~is_top & (total < 1.5 * unit), others, above)
    return above, is_top


@triton.jit
def every_class(gap, shares, above):
    """An infinite share has an infinite loss, also at the top, where its gap is 0 and their product NaN."""
    infinite = (tl.abs(shares) == INFINITY) & is_finite(above)
    return tl.where(infinite, shares * above, gap + shares * above)


@triton.jit
def own_loss(
    above,
    is_top,
    top,
    z_t,
    e_t,
    rest,
    w_t,
    certainty,
    gamma,
    FOCAL: tl.constexpr,
    HALVES: tl.constexpr,
    TORCH_NONFINITE: tl.constexpr,
):
    """The loss of the target's class, and the weight that its gradient has."""
    own = tl.where(is_top, above, (top - z_t) + above)
    certain = certainty * w_t
    weighted = certain * own
    slope = certain
    if FOCAL:
        total = rest + e_t
        p = divide(e_t, total)
        m = divide(rest, total)
        value = power(m, gamma, HALVES)
        ratio = tl.where((m == 0) | (p == 0), 0.0, gamma.to(p.dtype) * p * divide(own, m))
        weighted = certain * (value * own)
        slope = certain * (value + value * ratio)
    if not TORCH_NONFINITE:
        weighted = tl.where((w_t == 0) & (own == INFINITY), 0.0, weighted)
    return weighted, slope


@triton.jit
def slopes(up, up_lse, certain, shares, twice_z_lse, rest, e_t, target_share):
    """What the exponentials are multiplied by in the gradient, and the gradient at the target.

    ``shares`` are all that the classes have of the loss beside the target's own; ``target_share`` is its.
    """
    total = rest + e_t
    shared = up * (shares + twice_z_lse) + up_lse
    own = up * certain  # an infinite one has no meaningful gradient: NaN, as in torch
    factor = divide(own + shared, total)
    at_target = (own - own) - own * divide(rest, total)
    return factor, at_target + shared * divide(e_t, total) - up * target_share
