"""What the mean of a categorical loss divides by, counted on the device before the gradient is written.

Targets are a small part of what a loss reads. The count is left with its reciprocal, in float64: a division
of float64 in every program would cost a short row as much as its exponentials.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from likelihead.kernels.triton.launch import Launch
from likelihead.kernels.triton.softmax_arithmetic import widened

__all__ = ["plan_close", "plan_count"]

_BLOCK = 2048


def plan_count(
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    examples: int,
    classes: int,
    ignore_index: int,
    programs: int,
) -> tuple[Tensor, list[Launch]]:
    """``[count, 1 / count]`` of the targets that are not ignored, weighted by class and example."""
    soft = target.is_floating_point()
    each = 1 if sample_weight is None else max(1, examples // max(1, sample_weight.numel()))
    if soft and sample_weight is not None:  # every example counts, as often as its weight says
        examples = sample_weight.numel()
    parts = max(1, min(triton.cdiv(examples, _BLOCK), programs))
    sums = torch.empty(parts, dtype=torch.float64, device=target.device)
    count = torch.empty(2, dtype=torch.float64, device=target.device)
    given = (None if soft else target, None if soft else weight, sample_weight)
    numbers = (examples, each, classes, ignore_index)
    return count, [
        Launch(_count, (parts,), (*given, sums, *numbers), {"BLOCK": _BLOCK}),
        plan_close(sums, count, times=float(each) if soft else 1.0),
    ]


@triton.jit(do_not_specialize=["examples", "each", "classes", "ignore_index"])
def _count(
    target,
    weight,
    sample_weight,
    sums,
    examples,
    each,
    classes,
    ignore_index: tl.int64,
    BLOCK: tl.constexpr,
):
    total = tl.zeros((BLOCK,), tl.float64)
    for block in range(tl.program_id(0), tl.cdiv(examples, BLOCK), tl.num_programs(0)):
        i = tl.full((), block, tl.int64) * BLOCK + tl.arange(0, BLOCK)
        inside = i < examples
        one = tl.full((BLOCK,), 1.0, tl.float64)
        if target is not None:
            given = tl.load(target + i, mask=inside, other=0).to(tl.int64)
            inside = inside & (given != ignore_index)
            if weight is not None:
                known = inside & (given >= 0) & (given < classes)
                one *= widened(tl.load(weight + given, mask=known, other=0.0), tl.float64)
        if sample_weight is not None:
            # Several examples may share one; with probabilities as targets it is the weights that are summed.
            at = i // each if target is not None else i
            one *= widened(tl.load(sample_weight + at, mask=inside, other=0.0), tl.float64)
        total += tl.where(inside, one, 0.0)
    tl.store(sums + tl.program_id(0), tl.sum(total, axis=0))


def plan_close(
    sums: Tensor, out: Tensor, *, times: float = 1.0, count: Tensor | None = None, divisor: float = 1.0
) -> Launch:
    """``out[0] = sum(sums) * times / divisor``, or by a count; in ``out[1]``, if any, 1 / that."""
    numbers = (sums.numel(), times, divisor)
    return Launch(_close, (1,), (sums, out, count, *numbers), {"RECIPROCAL": out.numel() == 2, "BLOCK": 1024})


@triton.jit(do_not_specialize=["parts"])
def _close(
    sums,
    out,
    count,
    parts,
    times: tl.float64,
    divisor: tl.float64,
    RECIPROCAL: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, parts, BLOCK):
        total += tl.load(sums + start + at, mask=start + at < parts, other=0.0)
    by = tl.full((), divisor, tl.float64)
    if count is not None:
        by = tl.load(count)
    whole = tl.sum(total, axis=0) * times / by
    tl.store(out, whole.to(out.dtype.element_ty))
    if RECIPROCAL:
        tl.store(out + 1, 1.0 / whole)
