"""softmax_scores_: a row's nll, lse, entropy and largest in one look, and their gradient in a second.

Programs, threads and vectors are as in softmax_streamed.py, and so is the target, which is left out of the
sums. Beside the sum of its exponentials a thread has that of their products with the gaps to its largest
logit, terms of one sign: the entropy is the log of the whole sum relative to the largest logit of the row,
and the mean of the gaps.
"""

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.triton.arithmetic import fma
from likelihead.kernels.triton.softmax_arithmetic import (
    INFINITY,
    divide,
    exp_below,
    finite_top,
    rescaling,
    widened,
)
from likelihead.kernels.triton.softmax_example import above_top, bend, target_of
from likelihead.kernels.triton.softmax_streamed import add, bent, take, write

FAR = tl.constexpr(-1000.0)  # a gap that no exponential is left of, and that times 0 is 0
AGAIN = tl.constexpr(16)  # vectors of one thread that all of them look at once more


@triton.jit
def below(x, top):
    """The gap to the top with its sign turned; NaN is left to the exponential."""
    return tl.maximum(x - top, FAR)


@triton.jit
def upstream(given, i, stride, A: tl.constexpr):
    """The upstream gradient of one value of example ``i``: 0 where there is none."""
    up = tl.full((), 0.0, A)
    if given is not None:
        up = widened(tl.load(given + i * stride), A)
    return up


@triton.jit
def slope_of(
    x, last, level, steepness, cap_slope, NARROW: tl.constexpr, STEEP: tl.constexpr, CAPPED: tl.constexpr
):
    """The gradient of classes that are not the target, of which ``steepness`` is the entropy's part."""
    g = exp_below(x, last, NARROW)
    if STEEP:
        g *= fma(below(x, last), tl.full(x.shape, steepness, x.dtype), tl.full(x.shape, level, x.dtype))
    else:
        g *= level
    if CAPPED:
        g *= cap_slope
    return g


@triton.jit
def look(
    row, places, inside, cap,
    A: tl.constexpr, CAPPED: tl.constexpr, INT64: tl.constexpr, EVICTION: tl.constexpr,
):  # fmt: skip
    """Logits as the softmax has them, minus infinity where there are none; and the slope of the cap."""
    x = take(row, 1, places, inside, -INFINITY, INT64, EVICTION)
    x, slope, _ = bent(x, places, inside, None, None, 0, cap, A, CAPPED, INT64)
    return x, slope


@triton.jit
def first_of(
    body, head, vectors, top, largest, risen, index, classes, cap,
    CAPPED: tl.constexpr, INT64: tl.constexpr, LANES: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    """The first class in the vectors of a row that has the top and is not the target, or ``classes``."""
    vector = tl.min(tl.where(largest == top, risen * LANES + tl.arange(0, LANES), vectors), axis=0)
    places = vector * VECTOR + tl.arange(0, VECTOR)
    inside = places < vectors * VECTOR
    x, _ = look(body, places, inside, cap, largest.dtype, CAPPED, INT64, "")
    there = inside & (x == top) & (head + places != index)
    return tl.min(tl.where(there, head + places, classes), axis=0)


@triton.jit
def rest_of_lane(
    body, head, vectors, top, lane, index, last, cap, NARROW: tl.constexpr,
    CAPPED: tl.constexpr, INT64: tl.constexpr, LANES: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    """The exponentials of what one thread has of a row, but for the top and the target."""
    sums = tl.zeros((AGAIN,), last.dtype)
    for start in range(0, tl.where(lane < LANES, vectors, 0), AGAIN * LANES):
        vector = start + tl.arange(0, AGAIN) * LANES + lane
        places = vector[:, None] * VECTOR + tl.arange(0, VECTOR)[None, :]
        inside = (vector < vectors)[:, None]
        x, _ = look(body, places, inside, cap, last.dtype, CAPPED, INT64, "")
        x = tl.where((x == top) | (head + places == index), -INFINITY, x)
        sums += tl.sum(exp_below(x, last, NARROW), axis=1)
    return tl.sum(sums, axis=0)


@triton.jit(do_not_specialize=["call", "ignore_index", "classes", "items"])
def softmax_scores(
    logits,
    target,
    nll,
    lse,
    entropy,
    prediction,
    up_nll,
    up_lse,
    up_entropy,
    counter,
    slots,
    call: tl.int64,
    classes,
    items,
    up_nll_stride,
    up_lse_stride,
    up_entropy_stride,
    ignore_index: tl.int64,
    softcap: tl.float64,
    CAPPED: tl.constexpr,
    INT64: tl.constexpr,
    SIZE_UNIT: tl.constexpr,
    LANES: tl.constexpr,
    VECTOR: tl.constexpr,
):
    A: tl.constexpr = tl.float64 if logits.dtype.element_ty == tl.float64 else tl.float32
    NARROW: tl.constexpr = logits.dtype.element_ty.primitive_bitwidth == 16
    CAREFUL: tl.constexpr = not NARROW
    STEEP: tl.constexpr = up_entropy is not None
    GRADIENT: tl.constexpr = up_nll is not None or up_lse is not None or up_entropy is not None
    # What is read first is to stay in the cache until it has been read again.
    FIRST: tl.constexpr = "evict_last" if GRADIENT else "evict_first"
    BLOCK: tl.constexpr = LANES * VECTOR
    # A row is whole vectors, and before and behind them the edges: fewer classes than a vector has, each.
    EDGES: tl.constexpr = SIZE_UNIT % VECTOR != 0
    cap = tl.full((), softcap, tl.float64).to(A)
    nothing = tl.full((), 0.0, A)
    one = tl.full((), 1.0, A)
    classes = classes // SIZE_UNIT * SIZE_UNIT
    lanes = tl.arange(0, LANES)
    within = tl.arange(0, VECTOR)[None, :]
    edge = tl.arange(0, 2 * VECTOR)

    for number in range(tl.program_id(0), items, tl.num_programs(0)):
        i = tl.full((), number, tl.int64)
        row = i * classes
        body = row
        head = 0
        if EDGES:
            body = (row + VECTOR - 1) // VECTOR * VECTOR
            head = tl.minimum((body - row).to(tl.int32), classes)
        vectors = (classes - head) // VECTOR
        blocks = (vectors + LANES - 1) // LANES
        at_edge = tl.where(edge < VECTOR, edge, edge + (head + vectors * VECTOR - VECTOR))
        is_edge = tl.where(edge < VECTOR, edge < head, at_edge < classes)

        index, kept, bad = target_of(target, i, i >= 0, classes, ignore_index, counter, slots, call)
        has_target = index >= 0
        z_t = widened(tl.load(logits + row + index, mask=has_target, other=0.0), A)
        slope_t = one
        if CAPPED:
            z_t, slope_t = bend(z_t, nothing, has_target, cap, CAPPED, False, False)

        # The first look: all but the target.
        largest = tl.full((LANES,), -INFINITY, A)
        reference = finite_top(largest)
        risen = tl.zeros((LANES,), tl.int32)  # in which block a thread's largest was first met
        high = tl.zeros((LANES,), A)
        low = tl.zeros((LANES,), A)
        gaps = tl.zeros((LANES,), A)
        for block in range(0, blocks):
            vector = block * LANES + lanes
            inside = (vector < vectors)[:, None]
            places = vector[:, None] * VECTOR + within
            begin = head + block * BLOCK
            x, slope = look(logits + body, places, inside, cap, A, CAPPED, INT64, FIRST)
            if (index >= begin) & (index < begin + BLOCK):
                # Or the compiler would choose between the two for each class, and never branch.
                tl.debug_barrier()
                x = tl.where(within == (index - head - vector * VECTOR)[:, None], -INFINITY, x)
            most = tl.max(x, axis=1)
            if prediction is not None:
                risen = tl.where(most > largest, block, risen)
            largest = tl.maximum(largest, most)
            further = finite_top(largest)
            ratio = rescaling(reference, further, NARROW)
            gaps = (gaps + below(reference, further) * high) * ratio
            reference = further
            e = exp_below(x, reference[:, None], NARROW)
            high, low = add(high * ratio, low * ratio, tl.sum(e, axis=1), CAREFUL)
            gaps += tl.sum(e * below(x, reference[:, None]), axis=1)
        x_edge = tl.zeros((2 * VECTOR,), A)
        others_edge = x_edge
        slope_edge = x_edge
        if EDGES:
            x_edge, slope_edge = look(logits + row, at_edge, is_edge, cap, A, CAPPED, INT64, "")
            others_edge = tl.where(at_edge == index, -INFINITY, x_edge)
        top = tl.max(largest, axis=0)
        if EDGES:
            top = tl.maximum(top, tl.max(others_edge, axis=0))

        if prediction is not None:
            first = first_of(
                logits + body, head, vectors, top, largest, risen, index, classes, cap,
                CAPPED, INT64, LANES, VECTOR,
            )  # fmt: skip
            if EDGES:
                there_edge = is_edge & (others_edge == top)
                first = tl.minimum(first, tl.min(tl.where(there_edge, at_edge, classes), axis=0))
            is_first = has_target & ((z_t > top) | ((z_t == top) & (index < first)))
            first = tl.where(is_first, index, first)
            tl.store(prediction + i, tl.minimum(first, classes - 1).to(tl.int64))  # of all NaN: any

        top = tl.where(has_target, tl.maximum(top, z_t), top)
        last = finite_top(top)
        ratio = rescaling(reference, last, NARROW)
        sums = (high + low) * ratio
        rest = tl.sum(sums, axis=0)
        gap = tl.sum(gaps * ratio + below(reference, last) * sums, axis=0)
        if EDGES:
            e_edge = exp_below(others_edge, last, NARROW)
            rest += tl.sum(e_edge, axis=0)
            gap += tl.sum(e_edge * below(others_edge, last), axis=0)
        gap_t = tl.where(has_target, below(z_t, last), 0.0)
        e_t = tl.where(has_target, exp_below(z_t, last, NARROW), 0.0)
        total = rest + e_t
        unit = exp_below(top, last, NARROW)
        inverse = divide(one, total)
        mean_gap = -(gap + e_t * gap_t) * inverse

        others = total - unit
        if (total < 1.5 * unit) & ((z_t != top) | (index < 0)):
            # One class is nearly all, and not the target: what else its thread has is summed up without it.
            holds = largest == top
            others = e_t + tl.sum(tl.where(holds, 0.0, sums), axis=0)
            lane = tl.min(tl.where(holds, lanes, LANES), axis=0)
            others += rest_of_lane(  # rare: of rows that are sure of another class
                logits + body, head, vectors, top, lane, index, last, cap,
                NARROW, CAPPED, INT64, LANES, VECTOR,
            )  # fmt: skip
            if EDGES:
                e_edge = exp_below(tl.where(others_edge == top, -INFINITY, others_edge), last, NARROW)
                others += tl.sum(e_edge, axis=0)
        above, is_top = above_top(rest, e_t, z_t, top, unit, others, has_target)
        value = tl.where(is_top, above, (top - z_t) + above)
        value = tl.where(bad, float("nan"), value)
        tl.store(nll + i, tl.where(kept, value, 0.0))
        tl.store(lse + i, top + above)
        tl.store(entropy + i, above + mean_gap)

        if GRADIENT:
            of_nll = tl.where(kept, upstream(up_nll, i, up_nll_stride, A), 0.0)
            of_lse = upstream(up_lse, i, up_lse_stride, A)
            of_entropy = upstream(up_entropy, i, up_entropy_stride, A)
            shared = of_lse - of_entropy * mean_gap
            level = (of_nll + shared) * inverse
            steepness = -of_entropy * inverse
            at_target = (e_t * inverse) * (shared - of_entropy * gap_t) - of_nll * (rest * inverse)
            if CAPPED:
                at_target *= slope_t
            # Every warp has read what it looks at beside its own before one of them writes over it.
            tl.debug_barrier()
            for block in range(0, blocks):
                vector = block * LANES + lanes
                inside = (vector < vectors)[:, None]
                places = vector[:, None] * VECTOR + within
                begin = head + block * BLOCK
                x, slope = look(logits + body, places, inside, cap, A, CAPPED, INT64, "evict_first")
                g = slope_of(x, last, level, steepness, slope, NARROW, STEEP, CAPPED)
                if (index >= begin) & (index < begin + BLOCK):
                    tl.debug_barrier()
                    g = tl.where(within == (index - head - vector * VECTOR)[:, None], at_target, g)
                write(logits + body, 1, places, inside, g, INT64)
            if EDGES:
                g_edge = slope_of(x_edge, last, level, steepness, slope_edge, NARROW, STEEP, CAPPED)
                g_edge = tl.where(at_edge == index, at_target, g_edge)
                write(logits + row, 1, at_edge, is_edge, g_edge, INT64)
