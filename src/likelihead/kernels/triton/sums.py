"""The second stage of a sum over examples: the programs' partial sums, in float64 and in a fixed order.

One program adds them all, so that the same input gives the same bits, and divides, all on the device.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from likelihead.kernels.triton.launch import Launch

__all__ = ["second_stage", "sum_of", "tree_sum"]

_BLOCK = 4096


def second_stage(
    sums: Tensor,
    out: Tensor,
    *,
    counts: Tensor | None = None,
    count_parts: int | None = None,
    divisor: float | None = None,
) -> Launch:
    """``out[0] = sum(sums) / divisor``, or by the sum of ``counts``; with neither, the sum itself.

    ``sums`` and ``counts`` are of float64, ``out`` is of any floating dtype; ``count_parts`` is how many of
    the counts to add, by default all. A sum of no parts is 0, and 0 / 0 is NaN.
    """
    if counts is None:
        count_parts = 0
    elif count_parts is None:
        count_parts = counts.numel()
    by = 1.0 if divisor is None else float(divisor)
    arguments = (sums, counts, out, sums.numel(), count_parts, by)
    return Launch(_second_stage, (1,), arguments, {"BLOCK": _BLOCK}, num_warps=8)


@triton.jit
def sum_of(parts, count, BLOCK: tl.constexpr):
    """The sum of so many parts in float64, in an order that depends on nothing else."""
    at = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, count, BLOCK):
        total += tl.load(parts + start + at, mask=start + at < count, other=0.0)
    return tl.sum(total, 0)


@triton.jit(do_not_specialize=["parts", "count_parts"])
def _second_stage(sums, counts, out, parts, count_parts, divisor: tl.float64, BLOCK: tl.constexpr):
    by = divisor
    if counts is not None:
        by = sum_of(counts, count_parts, BLOCK)
    tl.store(out, (sum_of(sums, parts, BLOCK) / by).to(out.dtype.element_ty))


@triton.jit
def tree_sum(values, ROWS: tl.constexpr, COLUMNS: tl.constexpr, HEIGHT: tl.constexpr):
    """A tile added up, neighbour with neighbour: [ROWS, COLUMNS] to ROWS * COLUMNS / 2 ** HEIGHT sums.

    As many neighbours as are loaded at once lie in one thread, and cost an addition an element. The roundings
    grow with the height of the tree: of equal values, which every thread would round alike, there is none.
    """
    part = values
    for i in tl.static_range(HEIGHT):
        a, b = tl.split(tl.reshape(part, ((ROWS * COLUMNS) >> (i + 1), 2)))
        part = a + b
    return tl.reshape(part, ((ROWS * COLUMNS) >> HEIGHT,))
