"""The kernels of sigmoid_nll: tiles of an elementwise call, shared out among resident programs.

Bytes per element: logits, target and what else has one for each are read once, the gradient or the nll is
written once. One exponential (with float32 labels other than 0 and 1 a second, in float64), one reciprocal,
one logarithm. Sums stay in the threads until the program ends: added up in a tree within the tile, with their
error kept from tile to tile, and in float64 across the threads.
"""

from __future__ import annotations

import triton
import triton.language as tl

from likelihead.kernels.triton.arithmetic import compensated_add, exp_fast, log1p_fast
from likelihead.kernels.triton.layout import EACH, NUMBER, PER_COLUMN, PER_ROW
from likelihead.kernels.triton.scale import scale_blocks
from likelihead.kernels.triton.sigmoid_elements import focal, limits, narrow, wide
from likelihead.kernels.triton.sums import sum_of, tree_sum

__all__ = ["PARTS", "count_kernel", "sigmoid_again_kernel", "sigmoid_close_kernel", "sigmoid_kernel"]

PARTS = 256  # of a count, which every program may add up for itself
_PARTS = tl.constexpr(PARTS)

_EACH = tl.constexpr(EACH)
_PER_COLUMN = tl.constexpr(PER_COLUMN)
_PER_ROW = tl.constexpr(PER_ROW)
_NUMBER = tl.constexpr(NUMBER)


# The tensors of a call by number: in MODES, and in the tuple of their strides.
LOGITS, TARGET, WEIGHT, POS_WEIGHT, MASK, PRIOR, SAMPLE_WEIGHT, UPSTREAM, NLL, GRAD = range(10)
_TARGET = tl.constexpr(TARGET)
_WEIGHT = tl.constexpr(WEIGHT)
_POS_WEIGHT = tl.constexpr(POS_WEIGHT)
_MASK = tl.constexpr(MASK)
_PRIOR = tl.constexpr(PRIOR)
_SAMPLE_WEIGHT = tl.constexpr(SAMPLE_WEIGHT)
_UPSTREAM = tl.constexpr(UPSTREAM)
_NLL = tl.constexpr(NLL)
_GRAD = tl.constexpr(GRAD)
_COLUMNS = tl.constexpr(GRAD + 1)  # after the tensors, in VECTORS


@triton.jit
def _multiple(n, VECTOR: tl.constexpr):
    """The number itself, as one that VECTOR divides; Triton by itself looks for 16 alone."""
    return n // VECTOR * VECTOR


@triton.jit
def _row_offsets(row, sizes, strides, K: tl.constexpr, OUTER: tl.constexpr, VECTORS: tl.constexpr):
    """Where the rows of tensor K begin; a row's number is made of OUTER dimensions, innermost first."""
    VECTOR: tl.constexpr = VECTORS[K]
    offset = tl.zeros_like(row)
    rest = row
    for i in tl.static_range(OUTER - 1):
        offset += (rest % sizes[i]) * _multiple(strides[K * (OUTER + 1) + i], VECTOR)
        rest = rest // sizes[i]
    return offset + rest * _multiple(strides[K * (OUTER + 1) + OUTER - 1], VECTOR)


@triton.jit
def _pointers(
    pointer,
    K: tl.constexpr,
    row,
    start,
    lane,
    sizes,
    strides,
    MODE: tl.constexpr,
    OUTER: tl.constexpr,
    VECTORS: tl.constexpr,
):
    """Of a tile of tensor K: [rows, columns], with 1 for either where it has but one."""
    if OUTER == 0:
        at = pointer + start + lane
    elif MODE == _PER_ROW:
        at = pointer + _row_offsets(row, sizes, strides, K, OUTER, VECTORS)
    else:
        at = pointer + (start + lane) * strides[K * (OUTER + 1) + OUTER]
        if MODE == _EACH:
            at = at + _row_offsets(row, sizes, strides, K, OUTER, VECTORS)
    return at


@triton.jit
def _load(
    pointer,
    K: tl.constexpr,
    row,
    start,
    lane,
    rows,
    columns,
    sizes,
    strides,
    MODES: tl.constexpr,
    OUTER: tl.constexpr,
    VECTORS: tl.constexpr,
    MASKED: tl.constexpr,
):
    """A tile of tensor K, or its one number; 0 outside."""
    MODE: tl.constexpr = MODES[K]
    if MODE == _NUMBER:
        tile = tl.load(pointer)
    else:
        at = _pointers(pointer, K, row, start, lane, sizes, strides, MODE, OUTER, VECTORS)
        if not MASKED:
            tile = tl.load(at)
        elif MODE == _PER_ROW:
            tile = tl.load(at, mask=row < rows, other=0)
        elif MODE == _PER_COLUMN:
            tile = tl.load(at, mask=start + lane < columns, other=0)
        else:
            tile = tl.load(at, mask=(row < rows) & (start + lane < columns), other=0)
    if tile.dtype == tl.bfloat16 or tile.dtype == tl.float16:
        tile = tile.to(tl.float32)
    return tile


@triton.jit
def _tile(
    tensors,
    row_number,
    start,
    rows,
    columns,
    sizes,
    strides,
    numbers,
    factor,
    MODES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    OUTER: tl.constexpr,
    VECTORS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDE: tl.constexpr,
    NARROW: tl.constexpr,
    OPTIONS: tl.constexpr,
    CAREFUL: tl.constexpr,
    MASKED: tl.constexpr,
    WANT_NLL: tl.constexpr,
    WANT_SLOPE: tl.constexpr,
):
    """Compute and store one tile. Returns its nll and what each element counts, 0 where it is left out."""
    logits, target, weight, pos_weight, mask, prior, sample_weight, upstream, nll_out, grad_out = tensors
    smoothing, gamma, alpha = numbers
    SKIP_NAN: tl.constexpr = OPTIONS[0]
    NONFINITE: tl.constexpr = OPTIONS[1]
    SMOOTH: tl.constexpr = OPTIONS[2]
    GAMMA: tl.constexpr = OPTIONS[3]
    HALVES: tl.constexpr = OPTIONS[4]
    ALPHA: tl.constexpr = OPTIONS[5]
    POS: tl.constexpr = pos_weight is not None
    NEEDS_NLL: tl.constexpr = WANT_NLL or GAMMA
    LEAVES_OUT: tl.constexpr = MASKED or SKIP_NAN or mask is not None or sample_weight is not None

    lane = tl.arange(0, COLUMNS)[None, :]
    row = (row_number + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    columns = _multiple(columns, VECTORS[_COLUMNS])
    x = _load(logits, 0, row, start, lane, rows, columns, sizes, strides, MODES, OUTER, VECTORS, MASKED)
    t = _load(target, _TARGET, row, start, lane, rows, columns, sizes, strides, MODES, OUTER, VECTORS, MASKED)
    x = tl.broadcast_to(x.to(WIDE), (ROWS, COLUMNS))
    t = tl.broadcast_to(t.to(WIDE), (ROWS, COLUMNS))

    valid = tl.full((ROWS, COLUMNS), 1, tl.int1)
    if MASKED:
        valid = valid & (row < rows) & (start + lane < columns)
    if SKIP_NAN:
        valid = valid & (t == t)
    if mask is not None:
        scored = _load(
            mask, _MASK, row, start, lane, rows, columns, sizes, strides, MODES, OUTER, VECTORS, MASKED
        )
        valid = valid & (scored != 0)
    if sample_weight is not None:
        sampled = _load(
            sample_weight, _SAMPLE_WEIGHT, row, start, lane, rows, columns, sizes, strides, MODES, OUTER,
            VECTORS, MASKED,
        ).to(WIDE)  # fmt: skip
        valid = valid & (sampled != 0.0)
    if LEAVES_OUT:
        # Before anything is computed: what is left out may be anything.
        x = tl.where(valid, x, 0.0)
        t = tl.where(valid, t, 0.0)

    pos = x
    if POS:
        pos = _load(
            pos_weight, _POS_WEIGHT, row, start, lane, rows, columns, sizes, strides, MODES, OUTER, VECTORS,
            MASKED,
        ).to(WIDE)  # fmt: skip
        pos = tl.broadcast_to(pos, (ROWS, COLUMNS))
    label, a, drawn_to = t, 1.0 - t, tl.full((ROWS, COLUMNS), 0.5, WIDE)
    if SMOOTH:
        if prior is not None:
            drawn_to = _load(
                prior, _PRIOR, row, start, lane, rows, columns, sizes, strides, MODES, OUTER, VECTORS, MASKED
            ).to(WIDE)
            drawn_to = tl.broadcast_to(drawn_to, (ROWS, COLUMNS))
        share = tl.full((ROWS, COLUMNS), smoothing, tl.float64).to(WIDE)
        kept = (1.0 - tl.full((ROWS, COLUMNS), smoothing, tl.float64)).to(WIDE)
        t = t * kept + share * drawn_to
        a = (1.0 - label) * kept + share * (1.0 - drawn_to)  # 1 - t would have the rounding of t

    if NARROW:
        nll, slope = narrow(x, t, a, pos, POS)
        if CAREFUL and NEEDS_NLL:
            nll = limits(nll, x, t, pos, log1p_fast(exp_fast(-tl.abs(x))), POS, NONFINITE)
    else:
        nll, slope = wide(x, label, t, a, pos, smoothing, drawn_to, POS, SMOOTH, NONFINITE)
    if GAMMA or ALPHA:
        nll, slope = focal(nll, slope, x, t, gamma, alpha, GAMMA, HALVES, ALPHA, NARROW)
    if sample_weight is not None:
        nll *= sampled
        slope *= sampled
    if weight is not None:
        each = _load(
            weight, _WEIGHT, row, start, lane, rows, columns, sizes, strides, MODES, OUTER, VECTORS, MASKED
        ).to(WIDE)
        nll *= each
        slope *= each
    if LEAVES_OUT:
        nll = tl.where(valid, nll, 0.0)

    if nll_out is not None:
        at = _pointers(nll_out, _NLL, row, start, lane, sizes, strides, _EACH, OUTER, VECTORS)
        if MASKED:
            tl.store(at, nll, mask=(row < rows) & (start + lane < columns))
        else:
            tl.store(at, nll)
    if WANT_SLOPE:
        if MODES[_UPSTREAM] == 0:
            g = slope * factor
        else:
            up = _load(
                upstream, _UPSTREAM, row, start, lane, rows, columns, sizes, strides, MODES, OUTER, VECTORS,
                MASKED,
            ).to(WIDE)  # fmt: skip
            g = slope * (up * factor)
        if LEAVES_OUT:
            g = tl.where(valid, g, 0.0)
        g = g.to(grad_out.dtype.element_ty)
        at = _pointers(grad_out, _GRAD, row, start, lane, sizes, strides, _EACH, OUTER, VECTORS)
        if MASKED:
            tl.store(at, g, mask=(row < rows) & (start + lane < columns))
        else:
            tl.store(at, g)
    if sample_weight is not None:
        counted = tl.where(valid, sampled, 0.0)
    else:
        counted = valid.to(WIDE)
    return nll, counted


@triton.jit
def _program():
    return tl.program_id(0) + tl.num_programs(0) * tl.program_id(1)


@triton.jit
def _tiles(
    tensors,
    rows,
    columns,
    sizes,
    strides,
    numbers,
    factor,
    MODES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    OUTER: tl.constexpr,
    VECTORS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDE: tl.constexpr,
    NARROW: tl.constexpr,
    OPTIONS: tl.constexpr,
    CAREFUL: tl.constexpr,
    WANT_SUM: tl.constexpr,
    WANT_COUNT: tl.constexpr,
    WANT_NLL: tl.constexpr,
    WANT_SLOPE: tl.constexpr,
):
    """The tiles of a program. Returns its sum of the nll, and of what is counted, in float64."""
    high = tl.zeros((ROWS * COLUMNS >> HEIGHT,), WIDE)
    low, counted_high, counted_low = high, high, high
    if OUTER == 0:
        # One long row: all blocks but the last are whole, and ask nothing of it.
        whole = columns // COLUMNS
        for block in range(tl.program_id(0), whole, tl.num_programs(0)):
            nll, counted = _tile(
                tensors, 0, tl.cast(block, tl.int64) * COLUMNS, rows, columns, sizes, strides, numbers,
                factor, MODES, ROWS, COLUMNS, OUTER, VECTORS, HEIGHT,
                WIDE, NARROW, OPTIONS, CAREFUL, False, WANT_NLL,
                WANT_SLOPE,
            )  # fmt: skip
            if WANT_SUM:
                high, low = compensated_add(high, low, tree_sum(nll, ROWS, COLUMNS, HEIGHT))
            if WANT_COUNT:
                part = tree_sum(counted, ROWS, COLUMNS, HEIGHT)
                counted_high, counted_low = compensated_add(counted_high, counted_low, part)
        if whole * COLUMNS < columns and whole % tl.num_programs(0) == tl.program_id(0):
            nll, counted = _tile(
                tensors, 0, tl.cast(whole, tl.int64) * COLUMNS, rows, columns, sizes, strides, numbers,
                factor, MODES, ROWS, COLUMNS, OUTER, VECTORS, HEIGHT,
                WIDE, NARROW, OPTIONS, CAREFUL, True, WANT_NLL,
                WANT_SLOPE,
            )  # fmt: skip
            if WANT_SUM:
                high, low = compensated_add(high, low, tree_sum(nll, ROWS, COLUMNS, HEIGHT))
            if WANT_COUNT:
                part = tree_sum(counted, ROWS, COLUMNS, HEIGHT)
                counted_high, counted_low = compensated_add(counted_high, counted_low, part)
    else:
        for block in range(
            tl.program_id(0), tl.cdiv(tl.cast(columns, tl.int64), COLUMNS), tl.num_programs(0)
        ):
            for band in range(tl.program_id(1), tl.cdiv(tl.cast(rows, tl.int64), ROWS), tl.num_programs(1)):
                nll, counted = _tile(
                    tensors, tl.cast(band, tl.int64) * ROWS, tl.cast(block, tl.int64) * COLUMNS, rows,
                    columns, sizes, strides, numbers, factor, MODES, ROWS, COLUMNS, OUTER, VECTORS, HEIGHT,
                WIDE,
                    NARROW, OPTIONS, CAREFUL, True, WANT_NLL, WANT_SLOPE,
                )  # fmt: skip
                if WANT_SUM:
                    high, low = compensated_add(high, low, tree_sum(nll, ROWS, COLUMNS, HEIGHT))
                if WANT_COUNT:
                    part = tree_sum(counted, ROWS, COLUMNS, HEIGHT)
                    counted_high, counted_low = compensated_add(counted_high, counted_low, part)
    return _total(high, low, WANT_SUM), _total(counted_high, counted_low, WANT_COUNT)


@triton.jit
def _total(high, low, WANTED: tl.constexpr):
    if WANTED:
        total = tl.sum(high.to(tl.float64) + low.to(tl.float64))
    else:
        total = tl.full((), 0.0, tl.float64)
    return total


@triton.jit(do_not_specialize=["count_parts", "rows", "columns"])
def sigmoid_kernel(
    logits,
    target,
    weight,
    pos_weight,
    mask,
    prior,
    sample_weight,
    upstream,
    nll,
    grad,
    number,
    count,
    sums,
    counts,
    count_parts,
    rows,
    columns,
    sizes,
    strides,
    smoothing: tl.float64,
    gamma: tl.float64,
    alpha: tl.float64,
    scale: tl.float64,
    MODES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    OUTER: tl.constexpr,
    VECTORS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDE: tl.constexpr,
    NARROW: tl.constexpr,
    OPTIONS: tl.constexpr,
    CAREFUL: tl.constexpr,
):
    """The nll, its sums, the gradient: whichever there is room for.

    ``upstream`` has the gradient from above of each element, ``number`` one for all; ``count`` has the parts
    of what a mean divides by, where only the device knows. Without CAREFUL the nll of an infinite logit is
    anything that is not finite: sums that come out so are made again.
    """
    factor = tl.full((), scale, tl.float64)
    if number is not None:
        factor *= tl.load(number).to(tl.float64)
    if count is not None:
        factor /= sum_of(count, count_parts, _PARTS)
    tensors = (logits, target, weight, pos_weight, mask, prior, sample_weight, upstream, nll, grad)
    total, counted = _tiles(
        tensors, rows, columns, sizes, strides, (smoothing, gamma, alpha), factor.to(WIDE), MODES, ROWS,
        COLUMNS, OUTER, VECTORS, HEIGHT,
                WIDE, NARROW, OPTIONS, CAREFUL, sums is not None, counts is not None,
        nll is not None or sums is not None, grad is not None,
    )  # fmt: skip
    if sums is not None:
        if not CAREFUL:
            inputs = (logits, target, weight, pos_weight, mask, prior, sample_weight, None, None, None)
            if total - total != 0.0:
                total, _ = _tiles(
                    inputs, rows, columns, sizes, strides, (smoothing, gamma, alpha), factor.to(WIDE), MODES,
                    ROWS, COLUMNS, OUTER, VECTORS, HEIGHT, WIDE, NARROW, OPTIONS, True,
                    True, False, True, False,  # rare: of infinite logits
                )  # fmt: skip
        tl.store(sums + _program(), total)
    if counts is not None:
        tl.store(counts + _program(), counted)


@triton.jit(do_not_specialize=["count_parts", "elements", "rows", "columns"])
def sigmoid_again_kernel(
    logits,
    target,
    weight,
    pos_weight,
    mask,
    prior,
    sample_weight,
    grad,
    number,
    count,
    count_parts,
    elements,
    rows,
    columns,
    sizes,
    strides,
    smoothing: tl.float64,
    gamma: tl.float64,
    alpha: tl.float64,
    scale: tl.float64,
    MODES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    OUTER: tl.constexpr,
    VECTORS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDE: tl.constexpr,
    NARROW: tl.constexpr,
    OPTIONS: tl.constexpr,
):
    """The gradient for the upstream gradient ``number`` in the place of that for 1.

    Of a power of 2 the product is exact. Else it would be rounded twice, and the gradient is made anew.
    """
    upstream = tl.load(number).to(tl.float64)
    factor = tl.full((), scale, tl.float64) * upstream
    tensors = (logits, target, weight, pos_weight, mask, prior, sample_weight, None, None, grad)
    BLOCK: tl.constexpr = ROWS * COLUMNS
    if upstream != 1.0:
        if _is_power_of_2(upstream):
            step = tl.num_programs(0) * tl.num_programs(1)
            scale_blocks(grad, upstream, elements, _program(), step, BLOCK)
        else:
            if count is not None:
                factor /= sum_of(count, count_parts, _PARTS)
            _tiles(
                tensors, rows, columns, sizes, strides, (smoothing, gamma, alpha), factor.to(WIDE), MODES,
                ROWS, COLUMNS, OUTER, VECTORS, HEIGHT,
                WIDE, NARROW, OPTIONS, True, False, False, False, True,
            )  # fmt: skip


@triton.jit(do_not_specialize=["parts", "elements", "rows", "columns"])
def sigmoid_close_kernel(
    logits,
    target,
    weight,
    pos_weight,
    prior,
    grad,
    sums,
    counts,
    loss,
    parts,
    elements,
    rows,
    columns,
    sizes,
    strides,
    smoothing: tl.float64,
    gamma: tl.float64,
    alpha: tl.float64,
    MODES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    OUTER: tl.constexpr,
    VECTORS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDE: tl.constexpr,
    NARROW: tl.constexpr,
    OPTIONS: tl.constexpr,
):
    """The mean from its parts, and the gradient once more where it was made as if no label were missing.

    Which of them are is known by now; so nobody reads the labels before the loss does, only to count them.
    """
    count = sum_of(counts, parts, _PARTS)
    if _program() == 0:
        tl.store(loss, (sum_of(sums, parts, _PARTS) / count).to(loss.dtype.element_ty))
    if count != tl.cast(elements, tl.float64):
        tensors = (logits, target, weight, pos_weight, None, prior, None, None, None, grad)
        factor = 1.0 / count
        _tiles(
            tensors, rows, columns, sizes, strides, (smoothing, gamma, alpha), factor.to(WIDE), MODES, ROWS,
            COLUMNS, OUTER, VECTORS, HEIGHT, WIDE, NARROW, OPTIONS, True,
            False, False, False, True,  # rare: labels are missing
        )  # fmt: skip


@triton.jit
def _is_power_of_2(value):
    bits = value.to(tl.int64, bitcast=True)
    exponent = (bits >> 52) & 0x7FF
    return ((bits & 0xFFFFFFFFFFFFF) == 0) & (exponent > 0) & (exponent < 0x7FF)


@triton.jit(do_not_specialize=["rows", "columns"])
def count_kernel(
    target,
    mask,
    sample_weight,
    number,
    counts,
    rows,
    columns,
    sizes,
    strides,
    MODES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    OUTER: tl.constexpr,
    VECTORS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDE: tl.constexpr,
    SKIP_NAN: tl.constexpr,
):
    """What a mean divides by, where the device alone knows it: a float64 for each program.

    ``number``, where it is there, is an upstream gradient that needs no count if it is a power of 2.
    """
    needed = True
    if number is not None:
        needed = _is_power_of_2(tl.load(number).to(tl.float64)) == 0
    if needed:
        high = tl.zeros((ROWS * COLUMNS >> HEIGHT,), WIDE)
        low = high
        columns = _multiple(columns, VECTORS[_COLUMNS])
        lane = tl.arange(0, COLUMNS)[None, :]
        for block in range(
            tl.program_id(0), tl.cdiv(tl.cast(columns, tl.int64), COLUMNS), tl.num_programs(0)
        ):
            start = tl.cast(block, tl.int64) * COLUMNS
            for band in range(tl.program_id(1), tl.cdiv(tl.cast(rows, tl.int64), ROWS), tl.num_programs(1)):
                row = (tl.cast(band, tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
                valid = (row < rows) & (start + lane < columns)
                if SKIP_NAN:
                    t = _load(
                        target, _TARGET, row, start, lane, rows, columns, sizes, strides, MODES, OUTER,
                        VECTORS, True,
                    )  # fmt: skip
                    valid = valid & (t == t)
                if mask is not None:
                    scored = _load(
                        mask,
                        _MASK,
                        row,
                        start,
                        lane,
                        rows,
                        columns,
                        sizes,
                        strides,
                        MODES,
                        OUTER,
                        VECTORS,
                        True,
                    )
                    valid = valid & (scored != 0)
                counted = valid.to(WIDE)
                if sample_weight is not None:
                    sampled = _load(
                        sample_weight, _SAMPLE_WEIGHT, row, start, lane, rows, columns, sizes, strides, MODES,
                        OUTER, VECTORS, True,
                    ).to(WIDE)  # fmt: skip
                    counted = tl.where(valid, sampled, 0.0)
                high, low = compensated_add(high, low, tree_sum(counted, ROWS, COLUMNS, HEIGHT))
        tl.store(counts + _program(), _total(high, low, True))
