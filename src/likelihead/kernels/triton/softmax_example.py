"""What the kernels of the categorical loss know of an example, and what comes of its sums.

The functions take numbers or vectors of them, one per example. As in the kernels of the CPU, ``top`` is the
largest logit, ``unit`` its exponential, ``e_t`` that of the target and ``rest`` the sum of the others;
``inverse`` is one over their total.
"""

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.triton.arithmetic import power
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
    outer = outer // UNIT * UNIT
    middle = middle // UNIT * UNIT
    if ROWS:
        inner = inner // UNIT * UNIT
    else:
        by_class = by_class // UNIT * UNIT
    if INT64:
        p = p.to(tl.int64)
        c = c.to(tl.int64)
    return a * outer + b * middle + first * inner, (p * inner)[:, None] + (c * by_class)[None, :]


@triton.jit
def any_of(found):
    if len(found.shape) == 0:
        answer = found
    else:
        answer = tl.max(found.to(tl.int32)) > 0
    return answer


@triton.jit
def target_of(target, i, inside, classes, ignore_index, counter, slots, call):
    """The class of the examples ``i``, -1 where there is none; which are kept, and which are out of range."""
    given = tl.load(target + i, mask=inside, other=0).to(tl.int64)
    return checked(given, i, inside, classes, ignore_index, counter, slots, call)


@triton.jit
def checked(given, i, inside, classes, ignore_index, counter, slots, call):
    kept = inside & (given != ignore_index)
    bad = kept & ((given < 0) | (given >= classes))
    if any_of(bad):
        report(counter, slots, call, i, given, bad)  # rare: only what is an error
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
        product = share * gap
    else:
        product = tl.where((share == 0) & (gap == INFINITY), 0.0, share * gap)
    return product


@triton.jit
def above_top(rest, e_t, z_t, top, unit, others, has_target):
    """``logsumexp - top``, and whether the target is the top.

    ``others`` is the sum but for one exponential at the top. Where the target is not the top, nll is log 2 at
    least, and the sum less the unit will do; but not where only the rest of it shows, in `lse`.
    """
    is_top = has_target & (z_t == top)
    others = tl.where(is_top, rest, others)
    return log1p(divide(others, tl.where(is_top, e_t, unit))), is_top


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
    inverse,
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
        p = e_t * inverse
        m = rest * inverse
        value = power(m, gamma, HALVES)
        ratio = tl.where((m == 0) | (p == 0), 0.0, gamma.to(p.dtype) * p * divide(own, m))
        weighted = certain * (value * own)
        slope = certain * (value + value * ratio)
    if not TORCH_NONFINITE:
        weighted = tl.where((w_t == 0) & (own == INFINITY), 0.0, weighted)
    return weighted, slope
