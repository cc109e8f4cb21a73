"""softmax_nll of rows of few classes that follow each other: whole rows in each thread, and nothing beside.

A thread takes as many rows as end where a vector of 16 bytes ends: of 10 classes in 16 bits four, in five
vectors. No lane is without a class, as those of a tile are whose sides are powers of 2, and no thread waits
for another. Options that give each class more than its logit are `softmax_resident`'s.
"""

# Triton's tuples grow by addition alone, and each is of another type than the one before.
# ruff: noqa: RUF005
# mypy: disable-error-code="assignment"

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.triton.softmax_arithmetic import INFINITY, divide, exp_below, finite_top, widened
from likelihead.kernels.triton.softmax_count import rate_of
from likelihead.kernels.triton.softmax_example import above_top, checked, own_loss


@triton.jit
def apart(x, THREADS: tl.constexpr, WIDTH: tl.constexpr):
    """The columns of [THREADS, WIDTH]; a row lies in a thread."""
    if WIDTH == 1:
        columns = (tl.reshape(x, (THREADS,)),)
    elif WIDTH == 2:
        columns = tl.split(x)
    else:
        even, odd = tl.split(tl.reshape(x, (THREADS, WIDTH // 2, 2)))
        even = apart(even, THREADS, WIDTH // 2)
        odd = apart(odd, THREADS, WIDTH // 2)
        columns = ()
        for k in tl.static_range(WIDTH // 2):
            columns = columns + (even[k], odd[k])
    return columns


@triton.jit
def together(columns, FIRST: tl.constexpr, STEP: tl.constexpr, THREADS: tl.constexpr, WIDTH: tl.constexpr):
    """[THREADS, WIDTH] of every STEP-th column from the first on."""
    if WIDTH == 1:
        x = columns[FIRST][:, None]
    elif WIDTH == 2:
        x = tl.join(columns[FIRST], columns[FIRST + STEP])
    else:
        even = together(columns, FIRST, 2 * STEP, THREADS, WIDTH // 2)
        odd = together(columns, FIRST + STEP, 2 * STEP, THREADS, WIDTH // 2)
        x = tl.reshape(tl.join(even, odd), (THREADS, WIDTH))
    return x


@triton.jit
def largest(x, FIRST: tl.constexpr, COUNT: tl.constexpr):
    if COUNT == 1:
        found = x[FIRST]
    else:
        found = tl.maximum(largest(x, FIRST, COUNT // 2), largest(x, FIRST + COUNT // 2, COUNT - COUNT // 2))
    return found


@triton.jit
def total_of(x, FIRST: tl.constexpr, COUNT: tl.constexpr):
    """As a tree, in which fewer roundings come together."""
    if COUNT == 1:
        total = x[FIRST]
    else:
        total = total_of(x, FIRST, COUNT // 2) + total_of(x, FIRST + COUNT // 2, COUNT - COUNT // 2)
    return total


@triton.jit
def take(pointer, first, left, whole, EACH: tl.constexpr, THREADS: tl.constexpr, VECTOR: tl.constexpr):
    """``EACH`` numbers of each thread, as columns; beyond the end, where only the last program is, 0."""
    at = tl.arange(0, THREADS)[:, None] * EACH + tl.arange(0, VECTOR)[None, :]
    columns = ()
    for v in tl.static_range(EACH // VECTOR):
        place = at + v * VECTOR
        if whole:
            vector = tl.load(pointer + first + place)
        else:
            vector = tl.load(pointer + first + place, mask=place < left, other=0)  # rare: the last program
        columns = columns + apart(vector, THREADS, VECTOR)
    return columns


@triton.jit
def write(
    pointer, first, left, whole, columns, EACH: tl.constexpr, THREADS: tl.constexpr, VECTOR: tl.constexpr
):
    """The same the other way."""
    at = tl.arange(0, THREADS)[:, None] * EACH + tl.arange(0, VECTOR)[None, :]
    for v in tl.static_range(EACH // VECTOR):
        place = at + v * VECTOR
        vector = together(columns, v * VECTOR, 1, THREADS, VECTOR).to(pointer.dtype.element_ty)
        if whole:
            tl.store(pointer + first + place, vector)
        else:
            tl.store(pointer + first + place, vector, mask=place < left)  # rare: the last program


@triton.jit
def take_rows(pointer, first, left, whole, ROWS: tl.constexpr, THREADS: tl.constexpr):
    """A number for each row, [THREADS, ROWS]."""
    BYTES: tl.constexpr = pointer.dtype.element_ty.primitive_bitwidth // 8
    VECTOR: tl.constexpr = min(ROWS, 16 // BYTES)
    return together(take(pointer, first, left, whole, ROWS, THREADS, VECTOR), 0, 1, THREADS, ROWS)


@triton.jit
def write_rows(pointer, first, left, whole, values, ROWS: tl.constexpr, THREADS: tl.constexpr):
    BYTES: tl.constexpr = pointer.dtype.element_ty.primitive_bitwidth // 8
    VECTOR: tl.constexpr = min(ROWS, 16 // BYTES)
    write(pointer, first, left, whole, apart(values, THREADS, ROWS), ROWS, THREADS, VECTOR)


@triton.jit(do_not_specialize=["call", "ignore_index", "examples", "items"])
def softmax_rows(
    logits,
    target,
    grad,
    nll,
    lse,
    sums,
    weight,
    sample_weight,
    up_nll,
    up_lse,
    count,
    upstream,
    counter,
    slots,
    call: tl.int64,
    items,
    examples,
    sample_each,
    up_nll_stride,
    up_lse_stride,
    ignore_index: tl.int64,
    z_loss: tl.float64,
    focal_gamma: tl.float64,
    scale: tl.float64,
    Z_LOSS: tl.constexpr,
    FOCAL: tl.constexpr,
    HALVES: tl.constexpr,
    TORCH_NONFINITE: tl.constexpr,
    FEW: tl.constexpr,
    ALONE: tl.constexpr,
    CLASSES: tl.constexpr,
    ROWS: tl.constexpr,
    THREADS: tl.constexpr,
    VECTOR: tl.constexpr,
):
    """``ROWS`` rows of ``CLASSES`` in each of ``THREADS``, read and written ``VECTOR`` classes at a time."""
    A: tl.constexpr = tl.float64 if logits.dtype.element_ty == tl.float64 else tl.float32
    NARROW: tl.constexpr = logits.dtype.element_ty.primitive_bitwidth == 16
    ACCURATE: tl.constexpr = Z_LOSS or lse is not None
    given = (scale, count, target, weight, sample_weight, sample_each, examples, CLASSES, ignore_index)
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
    zeta = tl.full((), z_loss, tl.float64).to(A)
    gamma = tl.full((), focal_gamma, tl.float64)
    row = tl.arange(0, THREADS)[:, None] * ROWS + tl.arange(0, ROWS)[None, :]

    for number in range(0, rounds):  # once, as a constant, which leaves no loop
        tile = tl.program_id(0) + number * tl.num_programs(0)
        first = tl.full((), tile, tl.int64) * (THREADS * ROWS)
        whole = first + THREADS * ROWS <= examples
        rows_left = tl.minimum(examples - first, THREADS * ROWS).to(tl.int32)
        inside = row < rows_left
        i = first + row

        x = take(logits, first * CLASSES, rows_left * CLASSES, whole, ROWS * CLASSES, THREADS, VECTOR)
        own_class = take_rows(target, first, rows_left, whole, ROWS, THREADS).to(tl.int64)
        index, kept, bad = checked(own_class, i, inside, CLASSES, ignore_index, counter, slots, call)
        counted = inside
        sampled = tl.full((THREADS, ROWS), 1.0, A)
        if sample_weight is not None:
            sampled = widened(tl.load(sample_weight + i // sample_each, mask=inside, other=0.0), A)
            counted = inside & (sampled != 0)
            kept = kept & counted
        index = tl.where(kept, index, -1)
        if not TORCH_NONFINITE:
            counted = kept
        has_target = index >= 0
        # Of a row that does not count nothing is seen, unless its lse is.
        hidden = counted == 0
        if lse is not None:
            hidden = inside == 0

        # All classes but the target, whose own logit is kept apart.
        z_t = tl.zeros((THREADS, ROWS), A)
        others_of = ()
        for c in tl.static_range(CLASSES):
            logit = widened(together(x, c, CLASSES, THREADS, ROWS), A)
            own = (index == c) | hidden
            z_t = tl.where(own, logit, z_t)
            others_of = others_of + (tl.where(own, -INFINITY, logit),)
        top = largest(others_of, 0, CLASSES)
        top = tl.where(has_target, tl.maximum(top, z_t), top)
        reference = finite_top(top)
        unit = exp_below(top, reference, NARROW)
        e = ()
        for c in tl.static_range(CLASSES):
            e = e + (exp_below(others_of[c], reference, NARROW),)
        rest = total_of(e, 0, CLASSES)
        e_t = tl.where(has_target, exp_below(z_t, reference, NARROW), 0.0)
        total = rest + e_t
        inverse = divide(tl.full((THREADS, ROWS), 1.0, A), total)
        others = total - unit
        if ACCURATE:
            below = (tl.where(e_t < unit, e_t, 0.0),)
            tied = (tl.where(e_t < unit, 0.0, e_t),)
            for c in tl.static_range(CLASSES):
                below = below + (tl.where(e[c] < unit, e[c], 0.0),)
                tied = tied + (tl.where(e[c] < unit, 0.0, e[c]),)
            others = total_of(below, 0, CLASSES + 1) + (total_of(tied, 0, CLASSES + 1) - unit)
        above, is_top = above_top(rest, e_t, z_t, top, unit, others, has_target)
        logsumexp = top + above

        w_t = tl.full((THREADS, ROWS), 1.0, A)
        if weight is not None:
            w_t = widened(tl.load(weight + index, mask=has_target, other=1.0), A)
        value, certain = own_loss(
            above, is_top, top, z_t, e_t, rest, inverse, w_t, 1.0, gamma, FOCAL, HALVES, TORCH_NONFINITE
        )
        value = tl.where(bad, float("nan"), value)
        certain = tl.where(kept, certain, 0.0)
        twice_z_lse = tl.zeros((THREADS, ROWS), A)
        if Z_LOSS:
            value += zeta * logsumexp * logsumexp
            twice_z_lse = 2.0 * zeta * logsumexp
        if sample_weight is not None:
            value *= sampled
        value = tl.where(kept, value, 0.0)
        if nll is not None:
            write_rows(nll, first, rows_left, whole, value, ROWS, THREADS)
        if lse is not None:
            write_rows(lse, first, rows_left, whole, logsumexp, ROWS, THREADS)
        if sums is not None:
            total_value = tl.sum(value.to(tl.float64))
            if ALONE:
                total_value *= whole_rate
            tl.store(sums + tile, total_value)

        if grad is not None:
            up = sampled * rate
            if up_nll is not None:
                up *= widened(tl.load(up_nll + i * up_nll_stride, mask=inside, other=0.0), A)
            up = tl.where(kept, up, 0.0)
            own_up = up * certain  # an infinite one has no meaningful gradient: NaN, as in torch
            at_target = (own_up - own_up) - own_up * (rest * inverse)
            factor = own_up * inverse
            if Z_LOSS or up_lse is not None:
                shared = up * twice_z_lse
                if up_lse is not None:
                    shared += widened(tl.load(up_lse + i * up_lse_stride, mask=counted, other=0.0), A)
                factor = (own_up + shared) * inverse
                at_target += shared * (e_t * inverse)
            factor = tl.where(counted, factor, 0.0)
            at_target = tl.where(counted, at_target, 0.0)
            by_class = ()
            for c in tl.static_range(CLASSES):
                own = (index == c) | hidden
                by_class = by_class + (apart(tl.where(own, at_target, e[c] * factor), THREADS, ROWS),)
            g = ()
            for r in tl.static_range(ROWS):
                for c in tl.static_range(CLASSES):
                    g = g + (by_class[c][r],)
            left = rows_left * CLASSES
            write(grad, first * CLASSES, left, whole, g, ROWS * CLASSES, THREADS, VECTOR)
