"""What the mean of a categorical loss divides by, counted on the device before the gradient is written.

Targets are a small part of what a loss reads. The count is left with its reciprocal, in float64: a division
of float64 in every program would cost a short row as much as its exponentials.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from likelihead.kernels.triton.launch import Device, Launch
from likelihead.kernels.triton.softmax_arithmetic import widened
from likelihead.kernels.triton.tunables import lookup

__all__ = ["plan_count"]


def plan_count(
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    examples: int,
    classes: int,
    ignore_index: int,
    device: Device,
) -> tuple[Tensor, list[Launch]]:
    """``[count, 1 / count]`` of the targets that are not ignored, weighted by class and example."""
    soft = target.is_floating_point()
    each = 1 if sample_weight is None else max(1, examples // max(1, sample_weight.numel()))
    if soft and sample_weight is not None:  # every example counts, as often as its weight says
        examples = sample_weight.numel()
    row = lookup("softmax_count", "any")
    most = row.programs_per_multiprocessor * device.multiprocessors
    parts = max(1, min(triton.cdiv(examples, row.block), most))
    sums = torch.empty(parts, dtype=torch.float64, device=target.device)
    count = torch.empty(2, dtype=torch.float64, device=target.device)
    given = (None if soft else target, None if soft else weight, sample_weight)
    numbers = (examples, each, classes, ignore_index)
    return count, [
        Launch(_count, (parts,), (*given, sums, *numbers), {"BLOCK": row.block}, num_warps=row.num_warps),
        Launch(_close, (1,), (sums, count, parts, float(each) if soft else 1.0), {"BLOCK": 1024}),
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


@triton.jit(do_not_specialize=["parts"])
def _close(sums, count, parts, times: tl.float64, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, parts, BLOCK):
        total += tl.load(sums + start + at, mask=start + at < parts, other=0.0)
    whole = tl.sum(total, axis=0) * times
    tl.store(count, whole)
    tl.store(count + 1, 1.0 / whole)
