"""softmax_nll where the classes of some examples fit the registers of a program: one read, one write.

A program has a tile of examples by classes. Whether it is read along the classes or along the examples, and
so which of the two lies within a thread, is the compiler's choice by the strides: rows and channels_last
have their classes side by side, planes their examples.
"""

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.triton.softmax_arithmetic import (
    INFINITY,
    divide,
    exp_below,
    finite_top,
    widened,
)
from likelihead.kernels.triton.softmax_count import rate_of
from likelihead.kernels.triton.softmax_example import (
    above_top,
    bend,
    every_class,
    own_loss,
    places,
    target_of,
    times,
)


@triton.jit(
    do_not_specialize=[
        "call",
        "ignore_index",
        "inner",
        "classes",
        "items",
        "examples",
        "x_outer",
        "x_middle",
        "q_outer",
        "q_middle",
        "g_outer",
        "g_middle",
        "w_outer",
        "w_middle",
    ]
)
def softmax_resident(
    logits,
    target,
    grad,
    nll,
    lse,
    sums,
    weight,
    weight_sum,
    logit_offset,
    where,
    sample_weight,
    up_nll,
    up_lse,
    count,
    upstream,
    counter,
    slots,
    call: tl.int64,
    middle,
    inner,
    classes,
    items,
    examples,
    x_outer,
    x_middle,
    x_inner,
    x_class,
    q_outer,
    q_middle,
    q_inner,
    q_class,
    g_outer,
    g_middle,
    g_inner,
    g_class,
    w_outer,
    w_middle,
    w_inner,
    w_class,
    sample_each,
    up_nll_stride,
    up_lse_stride,
    ignore_index: tl.int64,
    label_smoothing: tl.float64,
    z_loss: tl.float64,
    softcap: tl.float64,
    focal_gamma: tl.float64,
    scale: tl.float64,
    SOFT: tl.constexpr,
    SMOOTH: tl.constexpr,
    CAPPED: tl.constexpr,
    Z_LOSS: tl.constexpr,
    FOCAL: tl.constexpr,
    HALVES: tl.constexpr,
    TORCH_NONFINITE: tl.constexpr,
    ONE_LINE: tl.constexpr,
    INT64: tl.constexpr,
    SIZE_UNIT: tl.constexpr,
    X_UNIT: tl.constexpr,
    X_ROWS: tl.constexpr,
    Q_UNIT: tl.constexpr,
    Q_ROWS: tl.constexpr,
    G_UNIT: tl.constexpr,
    G_ROWS: tl.constexpr,
    W_UNIT: tl.constexpr,
    W_ROWS: tl.constexpr,
    FEW: tl.constexpr,
    ALONE: tl.constexpr,
    WHOLE: tl.constexpr,
    EXAMPLES: tl.constexpr,
    CLASSES: tl.constexpr,
):
    A: tl.constexpr = tl.float64 if logits.dtype.element_ty == tl.float64 else tl.float32
    NARROW: tl.constexpr = logits.dtype.element_ty.primitive_bitwidth == 16
    # What `lse` shows of a row whose top is not its target.
    ACCURATE: tl.constexpr = SOFT or Z_LOSS or lse is not None
    smoothing = tl.full((), label_smoothing, tl.float64).to(A)
    zeta = tl.full((), z_loss, tl.float64).to(A)
    cap = tl.full((), softcap, tl.float64).to(A)
    gamma = tl.full((), focal_gamma, tl.float64)
    given = (scale, count, target, weight, sample_weight, sample_each, examples, classes, ignore_index)
    rounds = 1
    if upstream is not None:
        # The gradient for an upstream gradient of 1 is there already: for that, few programs find it out.
        factor_above = widened(tl.load(upstream), tl.float64)
        if factor_above == 1.0:
            return
        rounds = tl.cdiv(items - tl.program_id(0), tl.num_programs(0))
    whole_rate = rate_of(given, FEW)
    if upstream is not None:
        whole_rate = whole_rate * factor_above
    rate = whole_rate.to(A)
    if X_ROWS:
        classes = classes // SIZE_UNIT * SIZE_UNIT
    else:
        inner = inner // SIZE_UNIT * SIZE_UNIT

    for number in range(0, rounds):  # once, as a constant, which leaves no loop
        item = tl.program_id(0) + number * tl.num_programs(0)
        # Which examples, and where they are.
        tile = tl.full((), item, tl.int64)
        line = tile * 0
        if not ONE_LINE:
            tiles = (inner + EXAMPLES - 1) // EXAMPLES
            line = tile // tiles
            tile = tile % tiles
        first = tile * EXAMPLES
        p = tl.arange(0, EXAMPLES)
        c = tl.arange(0, CLASSES)
        inside = first + p < inner
        a = line // middle
        b = line % middle
        i = line * inner + first + p

        # Their targets, and which of them count.
        if SOFT:
            kept = inside
            bad = inside
        else:
            index, kept, bad = target_of(target, i, inside, classes, ignore_index, counter, slots, call)
        counted = inside
        sampled = tl.full((EXAMPLES,), 1.0, A)
        if sample_weight is not None:
            sampled = widened(tl.load(sample_weight + i // sample_each, mask=inside, other=0.0), A)
            counted = inside & (sampled != 0)
            kept = kept & counted
        if not SOFT:
            index = tl.where(kept, index, -1)
        if not TORCH_NONFINITE:
            counted = kept
        # A row that does not count is not read, unless for its lse. Of planes it is: its neighbours are.
        read = inside
        if X_ROWS and lse is None:
            read = counted

        real = tl.full((CLASSES,), True, tl.int1) if WHOLE else c < classes
        valid = read[:, None] & real[None, :]
        x_begin, x_at = places(a, b, first, p, c, x_outer, x_middle, x_inner, x_class, X_UNIT, X_ROWS, INT64)
        x = widened(tl.load(logits + x_begin + x_at, mask=valid, other=-INFINITY), A)
        allowed = valid
        if where is not None:
            w_begin, w_at = places(
                a, b, first, p, c, w_outer, w_middle, w_inner, w_class, W_UNIT, W_ROWS, INT64
            )
            allowed = tl.load(where + w_begin + w_at, mask=valid, other=0) != 0
        offset = tl.zeros((1, CLASSES), A)
        if logit_offset is not None:
            offset = widened(tl.load(logit_offset + c, mask=real, other=0.0), A)[None, :]
        BENT: tl.constexpr = CAPPED or logit_offset is not None or where is not None
        slope = x
        if BENT:
            x, slope = bend(x, offset, allowed, cap, CAPPED, logit_offset is not None, True)
        has_target = inside
        z_t = tl.zeros((EXAMPLES,), A)
        w_t = tl.full((EXAMPLES,), 1.0, A)
        slope_t = z_t
        if not SOFT:
            has_target = index >= 0
            own = index.to(tl.int64)
            p64 = p.to(tl.int64)
            here = has_target & read
            z_t = widened(tl.load(logits + x_begin + p64 * x_inner + own * x_class, mask=here, other=0.0), A)
            if BENT:
                allowed_t = here
                if where is not None:
                    allowed_t = (
                        tl.load(where + w_begin + p64 * w_inner + own * w_class, mask=here, other=0) != 0
                    )
                offset_t = z_t
                if logit_offset is not None:
                    offset_t = widened(tl.load(logit_offset + own, mask=here, other=0.0), A)
                z_t, slope_t = bend(
                    z_t, offset_t, allowed_t, cap, CAPPED, logit_offset is not None, where is not None
                )
            if weight is not None:
                w_t = widened(tl.load(weight + own, mask=here, other=1.0), A)

        top = tl.max(x, axis=1)
        reference = finite_top(top)
        e = exp_below(x, reference[:, None], NARROW)
        unit = exp_below(top, reference, NARROW)
        e_t = tl.zeros((EXAMPLES,), A)
        if SOFT:
            rest = tl.sum(e, axis=1)
        else:
            e_t = tl.where(has_target, exp_below(z_t, reference, NARROW), 0.0)
            at_class = c[None, :] == index[:, None]
            rest = tl.sum(tl.where(at_class, 0.0, e), axis=1)
        total = rest + e_t
        inverse = divide(tl.full((EXAMPLES,), 1.0, A), total)
        others = total - unit
        if ACCURATE:
            lower = e < unit[:, None]
            ties = tl.sum(tl.where(lower, 0.0, e), axis=1)
            others = tl.sum(tl.where(lower, e, 0.0), axis=1) + (ties - unit)
        above, is_top = above_top(rest, e_t, z_t, top, unit, others, has_target)
        logsumexp = top + above

        # The classes' shares of the loss.
        spread = tl.zeros((EXAMPLES,), A)
        shares = spread
        weights = spread
        gap = spread
        share = x
        if SMOOTH or SOFT:
            weighing = tl.full((1, CLASSES), 1.0, A)
            if weight is not None:
                weighing = widened(tl.load(weight + c, mask=real, other=0.0), A)[None, :]
            if SMOOTH:
                if where is not None:
                    number = tl.sum(allowed.to(A), axis=1)
                    weights = number
                    if weight is not None:
                        weights = tl.sum(tl.where(allowed, weighing, 0.0), axis=1)
                else:
                    number = tl.full((EXAMPLES,), 1.0, A) * classes
                    weights = number
                    if weight is not None:
                        weights = tl.zeros((EXAMPLES,), A) + widened(tl.load(weight_sum), A)
                spread = tl.where(kept, smoothing / number, 0.0)
            below_top = top[:, None] - x
            if SOFT:
                q_begin, q_at = places(
                    a, b, first, p, c, q_outer, q_middle, q_inner, q_class, Q_UNIT, Q_ROWS, INT64
                )
                share = widened(tl.load(target + q_begin + q_at, mask=valid, other=0.0), A)
                if SMOOTH:
                    share = share * (1.0 - smoothing) + tl.where(allowed, spread[:, None], 0.0)
                if weight is not None:
                    share = share * weighing
                if where is not None:
                    below_top = tl.where((share == 0) & ~allowed, 0.0, below_top)
                share = tl.where(counted[:, None] & real[None, :], share, 0.0)
                gap = tl.sum(tl.where(valid, times(share, below_top, TORCH_NONFINITE), 0.0), axis=1)
                shares = tl.sum(share, axis=1)
            else:
                below_top = tl.where(allowed, below_top, 0.0)
                if weight is not None:
                    below_top = tl.where(allowed, times(weighing, below_top, TORCH_NONFINITE), 0.0)
                gap = tl.sum(below_top, axis=1)

        # Values.
        certain = tl.zeros((EXAMPLES,), A)
        if SOFT:
            value = every_class(gap, shares, above)
            spread_all = tl.zeros((EXAMPLES,), A)
        else:
            value, certain = own_loss(
                above,
                is_top,
                top,
                z_t,
                e_t,
                rest,
                inverse,
                w_t,
                1.0 - smoothing,
                gamma,
                FOCAL,
                HALVES,
                TORCH_NONFINITE,
            )
            spread_all = spread * weights
            if SMOOTH:
                value += spread * every_class(gap, weights, above)
            value = tl.where(bad, float("nan"), value)
            certain = tl.where(kept, certain, 0.0)
        twice_z_lse = tl.zeros((EXAMPLES,), A)
        if Z_LOSS:
            value += zeta * logsumexp * logsumexp
            twice_z_lse = 2.0 * zeta * logsumexp
        if sample_weight is not None:
            value *= sampled
        value = tl.where(kept, value, 0.0)
        if nll is not None:
            tl.store(nll + i, value, mask=inside)
        if lse is not None:
            tl.store(lse + i, logsumexp, mask=inside)
        if sums is not None:
            total_value = tl.sum(value.to(tl.float64), axis=0)
            if ALONE:
                total_value *= whole_rate
            tl.store(sums + item, total_value)

        if grad is not None:
            up = sampled * rate
            if up_nll is not None:
                up *= widened(tl.load(up_nll + i * up_nll_stride, mask=inside, other=0.0), A)
            up = tl.where(kept, up, 0.0)
            up_of_lse = tl.zeros((EXAMPLES,), A)
            if up_lse is not None:
                up_of_lse = widened(tl.load(up_lse + i * up_lse_stride, mask=counted, other=0.0), A)
            own_up = up * certain  # an infinite one has no meaningful gradient: NaN, as in torch
            at_target = (own_up - own_up) - own_up * (rest * inverse)
            factor = own_up * inverse
            if SOFT or SMOOTH or Z_LOSS or up_lse is not None:
                shared = up * (spread_all + shares + twice_z_lse) + up_of_lse
                factor = (own_up + shared) * inverse
                at_target += shared * (e_t * inverse) - up * (spread * w_t)
            factor = tl.where(counted, factor, 0.0)
            g = e * factor[:, None]
            if SOFT:
                g -= up[:, None] * share
            elif SMOOTH:
                g -= (up * spread)[:, None] * weighing
            if CAPPED:
                g *= slope
                at_target *= slope_t
            if where is not None:
                g = tl.where(allowed, g, 0.0)
            if not X_ROWS:
                g = tl.where(counted[:, None], g, 0.0)
            g_begin, g_at = places(
                a, b, first, p, c, g_outer, g_middle, g_inner, g_class, G_UNIT, G_ROWS, INT64
            )
            whole = inside[:, None] & real[None, :]
            if not SOFT:
                # In place: every warp has read the logits of all targets before one of them is written over.
                tl.debug_barrier()
            tl.store(grad + g_begin + g_at, g.to(grad.dtype.element_ty), mask=whole)
            if not SOFT:
                # Over what has been written there: a choice between the two for each class would cost more.
                tl.debug_barrier()
                here = has_target & counted
                if where is not None:
                    at_target = tl.where(allowed_t, at_target, 0.0)
                place = grad + g_begin + p64 * g_inner + own * g_class
                tl.store(place, at_target.to(grad.dtype.element_ty), mask=here)
