"""The divergence of two rows of logits, a program a row, and over the student's logits its gradient.

The sum over the classes is that of ``a (exp(x) - 1 - x)`` with ``x = log(b / a)``, as in the reference's
linear_kl.py: no term is negative, and an error that all x of a row share enters by its square, which is
known and taken off. Of a class the larger of a and b is an exponential of its logit and the other that times
``exp(-|x|)``: nothing overflows, and the two differ by what x says.

The second look begins where the first one ended: at what the cache holds last.
"""

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.triton.arithmetic import exp_less_line, log_of_sum
from likelihead.kernels.triton.softmax_arithmetic import (
    INFINITY,
    LOWEST,
    LOWEST_64,
    divide,
    exp2_of_scaled,
    exp_below,
    rescaling,
    widened,
)
from likelihead.kernels.triton.softmax_example import bend
from likelihead.kernels.triton.softmax_streamed import take, write

FORWARD = tl.constexpr(0)
REVERSE = tl.constexpr(1)
JSD = tl.constexpr(2)

_NEAR = tl.constexpr(0.34)  # of `exp_less_line`
_FAR = tl.constexpr(1e30)  # for the logarithm of infinity: times 0 it is 0
# Of the rows that differ by more, all in all, a gradient is right to a 1e-5th with the sums as they are.
_ALIKE = tl.constexpr(1 / 64)


@triton.jit
def entering(
    row,
    places,
    inside,
    cap,
    A: tl.constexpr,
    CAPPED: tl.constexpr,
    INT64: tl.constexpr,
    EVICTION: tl.constexpr,
):
    """Logits as they enter the softmax, -infinity beside the row; and the slope of the cap."""
    x = widened(take(row, 1, places, inside, -INFINITY, INT64, EVICTION), A)
    slope = x
    if CAPPED:
        x, slope = bend(x, x, inside, cap, True, False, True)
    return x, slope


@triton.jit
def pair(a, b, top_a, top_b, inverse_a, inverse_b, constant, NARROW: tl.constexpr):
    """Of each class: x, the larger probability, the smaller one over it, and whether that is b.

    Where neither can be, or both are too small for the type, all that comes of them is 0.
    """
    # First what is exact: the difference of logits that are near, and their distance to the largest of both.
    x = ((b - a) + (top_a - top_b)) + constant
    less = x < 0
    larger = exp_below(tl.where(less, a, b), tl.where(less, top_a, top_b), NARROW)
    larger *= tl.where(less, inverse_a, inverse_b)
    x = tl.minimum(tl.where(larger > 0, x, 0.0), _FAR)
    if NARROW:
        ratio = exp2_of_scaled(-tl.abs(x), 0.0)
    else:
        ratio = exp_below(-tl.abs(x), tl.zeros_like(x), False)
    return x, larger, ratio, less


@triton.jit
def of_one(x, larger, ratio, less):
    """``a (exp(x) - 1 - x)`` and b - a of each class, and a."""
    near = tl.abs(x) < _NEAR
    part = tl.where(less, 1.0, ratio)
    line = part * x
    bow = part * exp_less_line(x)
    gap = 1.0 - ratio
    far = tl.where(less, -gap, gap)
    term = larger * tl.where(near, bow, far - line)
    return term, larger * tl.where(near, line + bow, far), larger * part


@triton.jit
def of_mixture(x, larger, ratio, less, beta, rest):
    """The same of both by the mixture ``beta a + rest b``, in one term; b - a, log(mixture / b) and b."""
    size = tl.maximum(-tl.abs(x), -_FAR)
    near = size > -_NEAR
    of_smaller = tl.where(less, rest, beta)
    of_larger = tl.where(less, beta, rest)
    part = tl.where(near, size + exp_less_line(size), ratio - 1.0)
    mixed = of_smaller * part
    whole = 1.0 + mixed
    to_larger = log_of_sum(whole, mixed - (whole - 1.0))
    to_smaller = to_larger - size
    share = of_smaller * ratio
    close = of_larger * exp_less_line(to_larger) + share * exp_less_line(to_smaller)
    term = larger * tl.where(near, close, -of_larger * to_larger - share * to_smaller)
    to_b = tl.where(less, to_smaller, to_larger)
    return term, larger * tl.where(less, part, -part), to_b, larger * tl.where(less, ratio, 1.0)


@triton.jit
def parts_of(
    a,
    b,
    top_a,
    top_b,
    inverse_a,
    inverse_b,
    constant,
    beta,
    rest,
    NARROW: tl.constexpr,
    DIRECTION: tl.constexpr,
):
    """The term of each class, b - a, the derivative by the student's probability, and what weighs it."""
    x, larger, ratio, less = pair(a, b, top_a, top_b, inverse_a, inverse_b, constant, NARROW)
    if DIRECTION == JSD:
        term, difference, to_b, weight = of_mixture(x, larger, ratio, less, beta, rest)
        slope = -rest * to_b
    else:
        term, difference, weight = of_one(x, larger, ratio, less)
        slope = -x
    return term, difference, slope, weight


@triton.jit(do_not_specialize=["classes", "items"])
def softmax_kl(
    logits,
    teacher,
    values,
    up,
    up_stride,
    classes,
    items,
    beta: tl.float64,
    softcap: tl.float64,
    teacher_softcap: tl.float64,
    DIRECTION: tl.constexpr,
    CAPPED: tl.constexpr,
    TEACHER_CAPPED: tl.constexpr,
    SIZE_UNIT: tl.constexpr,
    INT64: tl.constexpr,
    LANES: tl.constexpr,
    VECTOR: tl.constexpr,
):
    A: tl.constexpr = tl.float64 if logits.dtype.element_ty == tl.float64 else tl.float32
    LEAST: tl.constexpr = LOWEST_64 if logits.dtype.element_ty == tl.float64 else LOWEST
    NARROW: tl.constexpr = logits.dtype.element_ty.primitive_bitwidth == 16
    GRADIENT: tl.constexpr = up is not None
    AT_ONCE: tl.constexpr = GRADIENT and DIRECTION == FORWARD  # the gradient, with the values
    LATER: tl.constexpr = GRADIENT and DIRECTION != FORWARD
    # A row is whole vectors, and before and behind them the edges: fewer classes than a vector has, each.
    EDGES: tl.constexpr = SIZE_UNIT % VECTOR != 0
    LAST: tl.constexpr = "" if LATER else "evict_first"
    share = tl.full((), beta, tl.float64)
    rest = (1.0 - share).to(A)
    share = share.to(A)
    # a is what the sum is weighted by: the teacher's, or the student's in the other direction.
    a_logits, b_logits = teacher, logits
    cap_a = tl.full((), teacher_softcap, tl.float64).to(A)
    cap_b = tl.full((), softcap, tl.float64).to(A)
    A_CAPPED: tl.constexpr = CAPPED if DIRECTION == REVERSE else TEACHER_CAPPED
    B_CAPPED: tl.constexpr = TEACHER_CAPPED if DIRECTION == REVERSE else CAPPED
    if DIRECTION == REVERSE:
        a_logits, b_logits = logits, teacher
        cap_a, cap_b = cap_b, cap_a
    size = classes // SIZE_UNIT * SIZE_UNIT
    nothing = tl.full((), 0.0, A)
    lanes = tl.arange(0, LANES)
    within = tl.arange(0, VECTOR)[None, :]
    edge = tl.arange(0, 2 * VECTOR)

    for number in range(tl.program_id(0), items, tl.num_programs(0)):
        i = tl.full((), number, tl.int64)
        row = i * size
        body = row
        head = 0
        if EDGES:
            body = (row + VECTOR - 1) // VECTOR * VECTOR
            head = tl.minimum((body - row).to(tl.int32), size)
        vectors = (size - head) // VECTOR
        blocks = (vectors + LANES - 1) // LANES
        behind = head + vectors * VECTOR - VECTOR
        at_edge = tl.where(edge < VECTOR, edge, edge + behind)
        is_edge = tl.where(edge < VECTOR, edge < head, at_edge < size)

        # The largest and the sum of both rows; and how far apart they are, by every lane's own tops.
        top_a = tl.full((LANES,), LEAST, A)
        top_b = tl.full((LANES,), LEAST, A)
        sum_a = tl.zeros((LANES,), A)
        sum_b = tl.zeros((LANES,), A)
        apart = tl.zeros((LANES,), A)
        for block in range(0, blocks):
            vector = block * LANES + lanes
            inside = (vector < vectors)[:, None]
            places = vector[:, None] * VECTOR + within
            a, _ = entering(a_logits + body, places, inside, cap_a, A, A_CAPPED, INT64, "evict_last")
            b, _ = entering(b_logits + body, places, inside, cap_b, A, B_CAPPED, INT64, "evict_last")
            further_a = tl.maximum(top_a, tl.max(a, axis=1))
            further_b = tl.maximum(top_b, tl.max(b, axis=1))
            e_a = exp_below(a, further_a[:, None], NARROW)
            e_b = exp_below(b, further_b[:, None], NARROW)
            scale = rescaling(top_a, further_a, NARROW)
            sum_a = sum_a * scale + tl.sum(e_a, axis=1)
            sum_b = sum_b * rescaling(top_b, further_b, NARROW) + tl.sum(e_b, axis=1)
            if AT_ONCE:
                apart = apart * scale + tl.sum(tl.abs(e_a - e_b), axis=1)
            top_a = further_a
            top_b = further_b
        edge_a = tl.full((2 * VECTOR,), -INFINITY, A)
        edge_b = edge_a
        bend_edge_a = edge_a
        bend_edge_b = edge_a
        last_a = tl.max(top_a, axis=0)
        last_b = tl.max(top_b, axis=0)
        if EDGES:
            edge_a, bend_edge_a = entering(a_logits + row, at_edge, is_edge, cap_a, A, A_CAPPED, INT64, "")
            edge_b, bend_edge_b = entering(b_logits + row, at_edge, is_edge, cap_b, A, B_CAPPED, INT64, "")
            last_a = tl.maximum(last_a, tl.max(edge_a, axis=0))
            last_b = tl.maximum(last_b, tl.max(edge_b, axis=0))
        to_last = rescaling(top_a, last_a, NARROW)
        total_a = tl.sum(sum_a * to_last, axis=0)
        total_b = tl.sum(sum_b * rescaling(top_b, last_b, NARROW), axis=0)
        differing = tl.sum(apart * to_last, axis=0)
        if EDGES:
            e_a_edge = exp_below(edge_a, last_a, NARROW)
            e_b_edge = exp_below(edge_b, last_b, NARROW)
            total_a += tl.sum(e_a_edge, axis=0)
            total_b += tl.sum(e_b_edge, axis=0)
            differing += tl.sum(tl.abs(e_a_edge - e_b_edge), axis=0)
        inverse_a = divide(nothing + 1.0, total_a)
        inverse_b = divide(nothing + 1.0, total_b)
        quotient = divide(total_a, total_b)
        constant = log_of_sum(quotient, nothing)
        # A row without a distribution has no divergence, nor a gradient.
        constant = tl.where((total_a > 0) & (total_b > 0), constant, float("nan"))
        undefined = constant - constant
        term_edge, difference_edge, slope_edge, weight_edge = parts_of(
            edge_a, edge_b, last_a, last_b, inverse_a, inverse_b, constant, share, rest, NARROW, DIRECTION
        )

        shift = nothing
        if AT_ONCE:  # noqa: SIM102 - one is a constant, the other is not
            if differing < _ALIKE * total_a:
                # What all x are off by would show in a gradient so small: it is measured first.
                errors = tl.zeros((LANES,), A)
                for block in range(0, blocks):
                    vector = block * LANES + lanes
                    inside = (vector < vectors)[:, None]
                    places = vector[:, None] * VECTOR + within
                    a, _ = entering(  # rare: the rows are alike
                        a_logits + body, places, inside, cap_a, A, A_CAPPED, INT64, "evict_last"
                    )
                    b, _ = entering(  # rare: the rows are alike
                        b_logits + body, places, inside, cap_b, A, B_CAPPED, INT64, "evict_last"
                    )
                    _, difference, _, _ = parts_of(  # rare: the rows are alike
                        a, b, last_a, last_b, inverse_a, inverse_b, constant, share, rest, NARROW, DIRECTION
                    )
                    errors += tl.sum(difference, axis=1)
                shift = tl.sum(errors, axis=0)
                if EDGES:
                    shift += tl.sum(difference_edge, axis=0)

        factor = nothing
        if GRADIENT:
            factor = widened(tl.load(up + i * up_stride), A) + undefined
        terms = tl.zeros((LANES,), A)
        errors = tl.zeros((LANES,), A)
        slopes = tl.zeros((LANES,), A)
        for done in range(0, blocks):
            vector = (blocks - 1 - done) * LANES + lanes
            inside = (vector < vectors)[:, None]
            places = vector[:, None] * VECTOR + within
            a, _ = entering(a_logits + body, places, inside, cap_a, A, A_CAPPED, INT64, LAST)
            b, bend_b = entering(b_logits + body, places, inside, cap_b, A, B_CAPPED, INT64, LAST)
            term, difference, slope, weight = parts_of(
                a, b, last_a, last_b, inverse_a, inverse_b, constant, share, rest, NARROW, DIRECTION
            )
            terms += tl.sum(term, axis=1)
            errors += tl.sum(difference, axis=1)
            if LATER:
                slopes += tl.sum(weight * slope, axis=1)
            if AT_ONCE:
                g = difference - weight * shift
                if CAPPED:
                    g *= bend_b
                write(logits + body, 1, places, inside, g * factor, INT64)
        value = tl.sum(terms, axis=0)
        error = tl.sum(errors, axis=0)
        mean = tl.sum(slopes, axis=0)
        if EDGES:
            value += tl.sum(term_edge, axis=0)
            error += tl.sum(difference_edge, axis=0)
            mean += tl.sum(weight_edge * slope_edge, axis=0)
            if AT_ONCE:
                g_edge = difference_edge - weight_edge * shift
                if CAPPED:
                    g_edge *= bend_edge_b
                write(logits + row, 1, at_edge, is_edge, g_edge * factor, INT64)
        square = 0.5 * error * error
        if DIRECTION == JSD:
            square *= share * rest
        value = (value - square) + undefined
        tl.store(values + i, value)

        if LATER:
            mean += value - value  # an infinite one has no gradient: NaN, as from the logits
            for block in range(0, blocks):
                vector = block * LANES + lanes
                inside = (vector < vectors)[:, None]
                places = vector[:, None] * VECTOR + within
                a, bend_a = entering(
                    a_logits + body, places, inside, cap_a, A, A_CAPPED, INT64, "evict_first"
                )
                b, bend_b = entering(
                    b_logits + body, places, inside, cap_b, A, B_CAPPED, INT64, "evict_first"
                )
                _, _, slope, weight = parts_of(
                    a, b, last_a, last_b, inverse_a, inverse_b, constant, share, rest, NARROW, DIRECTION
                )
                g = weight * (slope - mean)
                if CAPPED:
                    g *= bend_a if DIRECTION == REVERSE else bend_b
                write(logits + body, 1, places, inside, g * factor, INT64)
            if EDGES:
                g_edge = weight_edge * (slope_edge - mean)
                if CAPPED:
                    g_edge *= bend_edge_a if DIRECTION == REVERSE else bend_edge_b
                write(logits + row, 1, at_edge, is_edge, g_edge * factor, INT64)
