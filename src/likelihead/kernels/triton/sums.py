"""The second stage of a sum over examples: the programs' partial sums, in float64 and in a fixed order.

One program adds them all, so that the same input gives the same bits, and divides, all on the device.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from likelihead.kernels.triton.launch import Launch

__all__ = ["partial_sums", "second_stage", "tree_sum"]

_BLOCK = 4096


def partial_sums(like: Tensor, programs: int) -> Tensor:
    """Room for one float64 a program."""
    return torch.empty(programs, dtype=torch.float64, device=like.device)


def second_stage(
    sums: Tensor, out: Tensor, *, counts: Tensor | None = None, divisor: float | None = None
) -> Launch:
    """``out[0] = sum(sums) / divisor``, or by ``sum(counts)``; with neither, the sum itself.

    ``sums`` and ``counts`` are of `partial_sums`, ``out`` is of any floating dtype. A sum of no parts is 0,
    and 0 / 0 is NaN.
    """
    return Launch(
        _second_stage,
        (1,),
        (
            sums,
            counts,
            out,
            sums.numel(),
            0 if counts is None else counts.numel(),
            1.0 if divisor is None else float(divisor),
        ),
        {"BLOCK": _BLOCK},
        num_warps=8,
    )


@triton.jit(do_not_specialize=["parts", "count_parts"])
def _second_stage(sums, counts, out, parts, count_parts, divisor: tl.float64, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, parts, BLOCK):
        total += tl.load(sums + start + at, mask=start + at < parts, other=0.0)
    by = divisor
    if counts is not None:
        count = tl.zeros((BLOCK,), tl.float64)
        for start in range(0, count_parts, BLOCK):
            count += tl.load(counts + start + at, mask=start + at < count_parts, other=0.0)
        by = tl.sum(count, 0)
    tl.store(out, (tl.sum(total, 0) / by).to(out.dtype.element_ty))


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
