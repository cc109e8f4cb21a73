"""softmax_nll for rows that no program's registers hold: one look at the logits, and a second from the L2.

So many programs run that the rows which they are at fit the cache together; each takes row after row. A
thread looks at a few neighbouring classes at once. It has a largest logit and a sum of its own, so that no
thread waits for another before the end of the row, and one exponential in so many rescales the sum.
"""

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.triton.arithmetic import two_sum
from likelihead.kernels.triton.softmax_arithmetic import (
    INFINITY,
    LOWEST,
    LOWEST_64,
    divide,
    exp_below,
    finite_top,
    rescaling,
    widened,
)
from likelihead.kernels.triton.softmax_example import above_top, bend, every_class, own_loss, target_of, times


@triton.jit
def take(row, by_class, places, inside, other, INT64: tl.constexpr, EVICTION: tl.constexpr):
    """Classes of a row, and ``other`` where they are beside it."""
    if INT64:
        places = places.to(tl.int64)
    return tl.load(row + places * by_class, mask=inside, other=other, eviction_policy=EVICTION)


@triton.jit
def bent(
    x,
    columns,
    inside,
    logit_offset,
    mask_row,
    w_class,
    cap,
    A: tl.constexpr,
    CAPPED: tl.constexpr,
    INT64: tl.constexpr,
):
    """The logits of some classes as the softmax has them, the slope of the cap, and the classes there are."""
    OFFSET: tl.constexpr = logit_offset is not None
    MASKED: tl.constexpr = mask_row is not None
    x = widened(x, A)
    slope = x
    allowed = inside
    if CAPPED or OFFSET or MASKED:
        offset = x
        if OFFSET:
            offset = widened(take(logit_offset, 1, columns, inside, 0.0, False, ""), A)
        if MASKED:
            allowed = take(mask_row, w_class, columns, inside, 0, INT64, "") != 0
        x, slope = bend(x, offset, allowed, cap, CAPPED, OFFSET, True)
    return x, slope, allowed


@triton.jit
def share_of(q, columns, inside, weight, allowed, spread, smoothing, A: tl.constexpr, SMOOTH: tl.constexpr):
    """A class's share of a target of probabilities."""
    share = widened(q, A)
    if SMOOTH:
        share = share * (1.0 - smoothing) + tl.where(allowed, spread, 0.0)
    if weight is not None:
        share = share * widened(take(weight, 1, columns, inside, 0.0, False, ""), A)
    return share


@triton.jit
def distance(x, share, each, allowed, top, weight, SOFT: tl.constexpr, TORCH_NONFINITE: tl.constexpr):
    """What the loss of every class has of these: their distance to the top by their share of the target."""
    gap = top - x
    if SOFT:
        gap = times(share, tl.where((share == 0) & ~allowed, 0.0, gap), TORCH_NONFINITE)
    else:
        gap = tl.where(allowed, gap, 0.0)
        if weight is not None:
            gap = tl.where(allowed, times(each, gap, TORCH_NONFINITE), 0.0)
    return gap


@triton.jit
def gradient(
    x,
    share,
    each,
    slope,
    allowed,
    last,
    factor,
    up,
    spread,
    weight,
    NARROW: tl.constexpr,
    SOFT: tl.constexpr,
    SMOOTH: tl.constexpr,
    CAPPED: tl.constexpr,
    MASKED: tl.constexpr,
):
    """Of classes that are not the target."""
    g = exp_below(x, last, NARROW) * factor
    if SOFT:
        g -= up * share
    elif SMOOTH and weight is not None:
        g -= (up * spread) * each
    elif SMOOTH:
        g -= up * spread
    if CAPPED:
        g *= slope
    if MASKED:
        g = tl.where(allowed, g, 0.0)
    return g


@triton.jit
def add(high, low, term, COMPENSATED: tl.constexpr):
    """Add to a sum with its error, which is kept apart; that of an infinite sum is none."""
    if COMPENSATED:
        high, error = two_sum(high, term)
        low += tl.where(error == error, error, 0.0)
    else:
        high += term
    return high, low


@triton.jit
def write(row, by_class, places, inside, values, INT64: tl.constexpr):
    """The gradient of some classes, rounded once. Nobody reads it soon."""
    if INT64:
        places = places.to(tl.int64)
    values = values.to(row.dtype.element_ty)
    tl.store(row + places * by_class, values, mask=inside, eviction_policy="evict_first")


@triton.jit(
    do_not_specialize=[
        "call",
        "ignore_index",
        "inner",
        "classes",
        "items",
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
def softmax_streamed(
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
    SHIFTED: tl.constexpr,
    LANES: tl.constexpr,
    VECTOR: tl.constexpr,
):
    A: tl.constexpr = tl.float64 if logits.dtype.element_ty == tl.float64 else tl.float32
    LEAST: tl.constexpr = LOWEST_64 if logits.dtype.element_ty == tl.float64 else LOWEST
    NARROW: tl.constexpr = logits.dtype.element_ty.primitive_bitwidth == 16
    ACCURATE: tl.constexpr = SOFT or Z_LOSS or lse is not None
    CAREFUL: tl.constexpr = not NARROW
    MASKED: tl.constexpr = where is not None
    OFFSET: tl.constexpr = logit_offset is not None
    EVERY_CLASS: tl.constexpr = (SMOOTH or SOFT) and (nll is not None or sums is not None)
    TWICE: tl.constexpr = grad is not None or EVERY_CLASS
    # What is read first is to stay in the cache until it has been read again.
    FIRST: tl.constexpr = "evict_last" if TWICE else "evict_first"
    BLOCK: tl.constexpr = LANES * VECTOR
    # A row is whole vectors, and before and behind them the edges: fewer classes than a vector has, each.
    EDGES: tl.constexpr = SHIFTED or SIZE_UNIT % VECTOR != 0
    rate = tl.full((), scale, tl.float64)
    if upstream is not None:
        factor_above = widened(tl.load(upstream), tl.float64)
        if factor_above == 1.0:
            return  # the gradient is there already
        rate = rate * factor_above
    if count is not None:
        rate = rate * tl.load(count + 1)
    rate = rate.to(A)
    smoothing = tl.full((), label_smoothing, tl.float64).to(A)
    zeta = tl.full((), z_loss, tl.float64).to(A)
    cap = tl.full((), softcap, tl.float64).to(A)
    gamma = tl.full((), focal_gamma, tl.float64)
    nothing = tl.full((), 0.0, A)
    one = tl.full((), 1.0, A)
    if X_ROWS:
        classes = classes // SIZE_UNIT * SIZE_UNIT
        x_inner = x_inner // X_UNIT * X_UNIT
    if G_ROWS:
        g_inner = g_inner // G_UNIT * G_UNIT
    if Q_ROWS:
        q_inner = q_inner // Q_UNIT * Q_UNIT
    lanes = tl.arange(0, LANES)
    within = tl.arange(0, VECTOR)[None, :]
    edge = tl.arange(0, 2 * VECTOR)

    for number in range(tl.program_id(0), items, tl.num_programs(0)):
        i = tl.full((), number, tl.int64)
        line = i * 0
        p = i
        if not ONE_LINE:
            line = i // inner
            p = i % inner
        a = line // middle
        b = line % middle
        x_row = a * (x_outer // X_UNIT * X_UNIT) + b * (x_middle // X_UNIT * X_UNIT) + p * x_inner
        g_row = a * (g_outer // G_UNIT * G_UNIT) + b * (g_middle // G_UNIT * G_UNIT) + p * g_inner
        q_row = a * (q_outer // Q_UNIT * Q_UNIT) + b * (q_middle // Q_UNIT * Q_UNIT) + p * q_inner
        w_row = a * w_outer + b * w_middle + p * w_inner
        # In a row that begins anywhere the first of the vectors does not. The edges are a tile of their own.
        head = 0
        x_body = x_row
        g_body = g_row
        q_body = q_row
        if SHIFTED:
            x_body = (x_row + VECTOR - 1) // VECTOR * VECTOR
            g_body = (g_row + VECTOR - 1) // VECTOR * VECTOR
            q_body = (q_row + VECTOR - 1) // VECTOR * VECTOR
            head = tl.minimum((x_body - x_row).to(tl.int32), classes)
        vectors = (classes - head) // VECTOR
        blocks = (vectors + LANES - 1) // LANES
        behind = head + vectors * VECTOR - VECTOR
        at_edge = tl.where(edge < VECTOR, edge, edge + behind)
        is_edge = tl.where(edge < VECTOR, edge < head, at_edge < classes)
        mask_row = None
        if MASKED:
            mask_row = where + w_row

        sampled = one
        kept = i >= 0
        bad = i < 0
        index = tl.full((), -1, tl.int32)
        if not SOFT:
            index, kept, bad = target_of(target, i, kept, classes, ignore_index, counter, slots, call)
        counted = i >= 0
        if sample_weight is not None:
            sampled = widened(tl.load(sample_weight + i // sample_each), A)
            counted = sampled != 0
            kept = kept & counted
        index = tl.where(kept, index, -1)
        if not TORCH_NONFINITE:
            counted = kept
        read = counted
        if lse is not None:
            read = i >= 0

        value = nothing
        logsumexp = nothing
        if read:
            has_target = index >= 0
            own = index.to(tl.int64)
            z_t = nothing
            w_t = one
            slope_t = one
            allowed_t = has_target
            if not SOFT:
                z_t = widened(tl.load(logits + x_row + own * x_class, mask=has_target, other=0.0), A)
                offset_t = nothing
                if MASKED:
                    allowed_t = tl.load(mask_row + own * w_class, mask=has_target, other=0) != 0
                if OFFSET:
                    offset_t = widened(tl.load(logit_offset + own, mask=has_target, other=0.0), A)
                if CAPPED or OFFSET or MASKED:
                    z_t, slope_t = bend(z_t, offset_t, allowed_t, cap, CAPPED, OFFSET, MASKED)
                if weight is not None:
                    w_t = widened(tl.load(weight + own, mask=has_target, other=1.0), A)

            # What label smoothing spreads over which classes.
            spread = nothing
            weights = nothing
            if SMOOTH:
                number_of = one * classes
                weights = number_of
                if MASKED:
                    numbers = tl.zeros((LANES,), A)
                    weighed = tl.zeros((LANES,), A)
                    for block in range(0, blocks):
                        vector = block * LANES + lanes
                        inside = (vector < vectors)[:, None]
                        columns = head + vector[:, None] * VECTOR + within
                        allowed = take(mask_row, w_class, columns, inside, 0, INT64, "") != 0
                        numbers += tl.sum(allowed.to(A), axis=1)
                        if weight is not None:
                            each = widened(take(weight, 1, columns, inside, 0.0, False, ""), A)
                            weighed += tl.sum(tl.where(allowed, each, 0.0), axis=1)
                    number_of = tl.sum(numbers, axis=0)
                    weights = tl.sum(weighed, axis=0)
                    if EDGES:
                        scored_edge = take(mask_row, w_class, at_edge, is_edge, 0, INT64, "") != 0
                        number_of += tl.sum(scored_edge.to(A), axis=0)
                        if weight is not None:
                            each_edge = widened(take(weight, 1, at_edge, is_edge, 0.0, False, ""), A)
                            weights += tl.sum(tl.where(scored_edge, each_edge, 0.0), axis=0)
                    if weight is None:
                        weights = number_of
                elif weight is not None:
                    weights = tl.load(weight_sum).to(A)
                spread = tl.where(kept, smoothing / number_of, 0.0)

            # The largest and the sum, but for the target.
            largest = tl.full((LANES,), LEAST, A)
            reference = finite_top(largest)
            high = tl.zeros((LANES,), A)
            low = tl.zeros((LANES,), A)
            shares_high = tl.zeros((LANES,), A)
            shares_low = tl.zeros((LANES,), A)
            for block in range(0, blocks):
                vector = block * LANES + lanes
                inside = (vector < vectors)[:, None]
                places = vector[:, None] * VECTOR + within
                columns = head + places
                begin = head + block * BLOCK
                x = take(logits + x_body, x_class, places, inside, -INFINITY, INT64, FIRST)
                x, slope, allowed = bent(
                    x, columns, inside, logit_offset, mask_row, w_class, cap, A, CAPPED, INT64
                )
                if SOFT:
                    q = take(target + q_body, q_class, places, inside, 0.0, INT64, FIRST)
                    share = share_of(q, columns, inside, weight, allowed, spread, smoothing, A, SMOOTH)
                    shares_high, shares_low = add(shares_high, shares_low, tl.sum(share, axis=1), CAREFUL)
                elif (index >= begin) & (index < begin + BLOCK):
                    # Or the compiler would choose between the two for each class, and never branch.
                    tl.debug_barrier()
                    x = tl.where(within == (index - head - vector * VECTOR)[:, None], -INFINITY, x)
                largest = tl.maximum(largest, tl.max(x, axis=1))
                further = finite_top(largest)
                ratio = rescaling(reference, further, NARROW)
                reference = further
                part = tl.sum(exp_below(x, reference[:, None], NARROW), axis=1)
                high, low = add(high * ratio, low * ratio, part, CAREFUL)
            x_edge = tl.zeros((2 * VECTOR,), A)
            others_edge = x_edge
            slope_edge = x_edge
            share_edge = x_edge
            allowed_edge = is_edge
            if EDGES:
                x_edge = take(logits + x_row, x_class, at_edge, is_edge, -INFINITY, INT64, "")
                x_edge, slope_edge, allowed_edge = bent(
                    x_edge, at_edge, is_edge, logit_offset, mask_row, w_class, cap, A, CAPPED, INT64
                )
                if SOFT:
                    q_edge = take(target + q_row, q_class, at_edge, is_edge, 0.0, INT64, "")
                    share_edge = share_of(
                        q_edge, at_edge, is_edge, weight, allowed_edge, spread, smoothing, A, SMOOTH
                    )
                others_edge = tl.where(at_edge == index, -INFINITY, x_edge)

            top = tl.max(largest, axis=0)
            if EDGES:
                top = tl.maximum(top, tl.max(others_edge, axis=0))
            if not SOFT:
                top = tl.where(has_target, tl.maximum(top, z_t), top)
            last = finite_top(top)
            rest = tl.sum((high + low) * rescaling(reference, last, NARROW), axis=0)
            if EDGES:
                rest += tl.sum(exp_below(others_edge, last, NARROW), axis=0)
            e_t = nothing
            if not SOFT:
                e_t = tl.where(has_target, exp_below(z_t, last, NARROW), 0.0)
            total = rest + e_t
            top = tl.where(total == 0, -INFINITY, top)
            unit = exp_below(top, last, NARROW)
            inverse = divide(one, total)
            shares = nothing
            if SOFT:
                shares = tl.sum(shares_high + shares_low, axis=0)
                if EDGES:
                    shares += tl.sum(share_edge, axis=0)

            others = total - unit
            if ACCURATE:  # noqa: SIM102 - one is a constant, the other is not
                if (total < 1.5 * unit) & ((z_t != top) | (index < 0)):
                    below_high = tl.zeros((LANES,), A)
                    below_low = tl.zeros((LANES,), A)
                    ties = tl.zeros((LANES,), A)
                    for block in range(0, blocks):
                        vector = block * LANES + lanes
                        inside = (vector < vectors)[:, None]
                        places = vector[:, None] * VECTOR + within
                        x = take(  # rare: the target is not the top, and little is beside it
                            logits + x_body, x_class, places, inside, -INFINITY, INT64, ""
                        )
                        x, slope, allowed = bent(
                            x, head + places, inside, logit_offset, mask_row, w_class, cap, A, CAPPED, INT64
                        )
                        e = exp_below(x, last, NARROW)
                        below = tl.sum(tl.where(e < unit, e, 0.0), axis=1)
                        below_high, below_low = add(below_high, below_low, below, CAREFUL)
                        ties += tl.sum(tl.where(e < unit, 0.0, e), axis=1)
                    others = tl.sum(below_high + below_low, axis=0)
                    tied = tl.sum(ties, axis=0)
                    if EDGES:
                        e_edge = exp_below(x_edge, last, NARROW)
                        others += tl.sum(tl.where(e_edge < unit, e_edge, 0.0), axis=0)
                        tied += tl.sum(tl.where(e_edge < unit, 0.0, e_edge), axis=0)
                    others += tied - unit
            above, is_top = above_top(rest, e_t, z_t, top, unit, others, has_target)
            logsumexp = top + above

            # The loss of the target's class, and what the gradient is made of.
            certain = nothing
            if not SOFT:
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
                certain = tl.where(kept, certain, 0.0)
            up = sampled * rate
            if up_nll is not None:
                up *= widened(tl.load(up_nll + i * up_nll_stride), A)
            up = tl.where(kept, up, 0.0)
            own_up = up * certain  # an infinite one has no meaningful gradient: NaN, as in torch
            at_target = (own_up - own_up) - own_up * (rest * inverse)
            factor = own_up * inverse
            if SOFT or SMOOTH or Z_LOSS or up_lse is not None:
                shared = up * shares
                if SMOOTH and not SOFT:
                    shared = up * (spread * weights)
                if Z_LOSS:
                    shared += up * (2.0 * zeta * logsumexp)
                if up_lse is not None:
                    shared += widened(tl.load(up_lse + i * up_lse_stride), A)
                factor = (own_up + shared) * inverse
                at_target += shared * (e_t * inverse) - up * (spread * w_t)
            factor = tl.where(counted, factor, 0.0)
            if CAPPED:
                at_target *= slope_t
            at_target = tl.where(allowed_t, at_target, 0.0)

            gap_high = tl.zeros((LANES,), A)
            gap_low = tl.zeros((LANES,), A)
            if TWICE:
                for block in range(0, blocks):
                    vector = block * LANES + lanes
                    inside = (vector < vectors)[:, None]
                    places = vector[:, None] * VECTOR + within
                    columns = head + places
                    begin = head + block * BLOCK
                    x = take(logits + x_body, x_class, places, inside, -INFINITY, INT64, "evict_first")
                    x, slope, allowed = bent(
                        x, columns, inside, logit_offset, mask_row, w_class, cap, A, CAPPED, INT64
                    )
                    share = x
                    each = x
                    if SOFT:
                        q = take(target + q_body, q_class, places, inside, 0.0, INT64, "evict_first")
                        share = share_of(q, columns, inside, weight, allowed, spread, smoothing, A, SMOOTH)
                    elif SMOOTH and weight is not None:
                        each = widened(take(weight, 1, columns, inside, 0.0, False, ""), A)
                    if EVERY_CLASS:
                        gap = distance(x, share, each, allowed, top, weight, SOFT, TORCH_NONFINITE)
                        gap_high, gap_low = add(gap_high, gap_low, tl.sum(gap, axis=1), CAREFUL)
                    if grad is not None:
                        g = gradient(
                            x, share, each, slope, allowed, last, factor, up, spread, weight,
                            NARROW, SOFT, SMOOTH, CAPPED, MASKED,
                        )  # fmt: skip
                        if not SOFT:  # noqa: SIM102
                            if (index >= begin) & (index < begin + BLOCK):
                                tl.debug_barrier()
                                g = tl.where(
                                    within == (index - head - vector * VECTOR)[:, None], at_target, g
                                )
                        write(grad + g_body, g_class, places, inside, g, INT64)
            gap_edge = x_edge
            if EDGES and TWICE:
                each_edge = x_edge
                if SMOOTH and weight is not None:
                    each_edge = widened(take(weight, 1, at_edge, is_edge, 0.0, False, ""), A)
                if EVERY_CLASS:
                    gap_edge = distance(
                        x_edge, share_edge, each_edge, allowed_edge, top, weight, SOFT, TORCH_NONFINITE
                    )
                if grad is not None:
                    g_edge = gradient(
                        x_edge, share_edge, each_edge, slope_edge, allowed_edge, last, factor, up, spread,
                        weight, NARROW, SOFT, SMOOTH, CAPPED, MASKED,
                    )  # fmt: skip
                    if not SOFT:
                        g_edge = tl.where(at_edge == index, at_target, g_edge)
                    write(grad + g_row, g_class, at_edge, is_edge, g_edge, INT64)

            if EVERY_CLASS:
                gap = tl.sum(gap_high + gap_low, axis=0)
                if EDGES:
                    gap += tl.sum(gap_edge, axis=0)
                if SOFT:
                    value = every_class(gap, shares, above)
                else:
                    value += spread * every_class(gap, weights, above)
            value = tl.where(bad, float("nan"), value)
            if Z_LOSS:
                value += zeta * logsumexp * logsumexp
            if sample_weight is not None:
                value *= sampled
            value = tl.where(kept, value, 0.0)
        elif grad is not None:
            for block in range(0, blocks):
                vector = block * LANES + lanes
                places = vector[:, None] * VECTOR + within
                zeros = tl.zeros((LANES, VECTOR), A)
                write(  # rare: ignored
                    grad + g_body, g_class, places, (vector < vectors)[:, None], zeros, INT64
                )
            if EDGES:
                write(grad + g_row, g_class, at_edge, is_edge, tl.zeros((2 * VECTOR,), A), INT64)
        if nll is not None:
            tl.store(nll + i, value)
        if lse is not None:
            tl.store(lse + i, logsumexp)
        if sums is not None:
            tl.store(sums + i, value.to(tl.float64))
