"""What the mean of a categorical loss divides by, counted on the device before the gradient is written.

Targets are a small part of what a loss reads. The count is left with its reciprocal, in float64: a division
of float64 in every program would cost a short row as much as its exponentials.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from likelihead.kernels.triton.launch import Device, Launch
from likelihead.kernels.triton.plans import Room
from likelihead.kernels.triton.softmax_arithmetic import widened
from likelihead.kernels.triton.sums import sum_of
from likelihead.kernels.triton.tunables import lookup

__all__ = ["FEW", "plan_count", "rate_of"]

FEW = 1024  # targets, which every program of the loss counts for itself
ROUNDS = 4  # of a program that alone counts somewhat more


def plan_count(
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    examples: int,
    classes: int,
    ignore_index: int,
    device: Device,
    room: Room,
) -> tuple[Tensor, list[Launch]]:
    """``[count, 1 / count]`` of the targets that are not ignored, weighted by class and example."""
    soft = target.is_floating_point()
    each = 1 if sample_weight is None else max(1, examples // max(1, sample_weight.numel()))
    if soft and sample_weight is not None:  # every example counts, as often as its weight says
        examples = sample_weight.numel()
    times = float(each) if soft else 1.0
    count = room.take(2)
    given: tuple[Any, ...] = (None if soft else target, None if soft else weight, sample_weight)
    numbers = (examples, each, classes, ignore_index)
    row = lookup("softmax_count", "few")
    if examples <= row.block * ROUNDS:
        # A second launch takes longer than some more rounds of one program.
        alone = (*given, None, count, *numbers, times)
        return count, [Launch(_count, (1,), alone, {"BLOCK": row.block}, num_warps=row.num_warps)]
    row = lookup("softmax_count", "many")
    most = row.programs_per_multiprocessor * device.multiprocessors
    parts = min(triton.cdiv(examples, row.block), most)
    sums = room.take(parts)
    arguments = (*given, sums, None, *numbers, times)
    return count, [
        Launch(_count, (parts,), arguments, {"BLOCK": row.block}, num_warps=row.num_warps),
        Launch(_close, (1,), (sums, count, parts, times), {"BLOCK": 1024}),
    ]


@triton.jit
def count_of(
    target, weight, sample_weight, examples, each, classes, ignore_index, first, step, BLOCK: tl.constexpr
):
    """The count of every ``step``-th block of targets from ``first`` on, in float64."""
    total = tl.zeros((BLOCK,), tl.float64)
    for block in range(first, tl.cdiv(examples, BLOCK), step):
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
    return tl.sum(total, axis=0)


@triton.jit
def rate_of(given, FEW: tl.constexpr):
    """What the gradient is multiplied by, in float64; of FEW targets at most the program asks for no count.

    It counts them itself, and leaves the count for the sum of the losses.
    """
    scale, count, target, weight, sample_weight, each, examples, classes, ignore_index = given
    rate = tl.full((), scale, tl.float64)
    if FEW:
        whole = count_of(target, weight, sample_weight, examples, each, classes, ignore_index, 0, 1, FEW)
        if tl.program_id(0) == 0:
            tl.store(count, whole)
        rate = rate / whole
    elif count is not None:
        rate = rate * tl.load(count + 1)
    return rate


@triton.jit
def _leave(count, whole):
    tl.store(count, whole)
    tl.store(count + 1, 1.0 / whole)


@triton.jit(do_not_specialize=["examples", "each", "classes", "ignore_index"])
def _count(
    target,
    weight,
    sample_weight,
    sums,
    count,
    examples,
    each,
    classes,
    ignore_index: tl.int64,
    times: tl.float64,
    BLOCK: tl.constexpr,
):
    """A part of the count for each program, or all of it by one."""
    total = count_of(
        target,
        weight,
        sample_weight,
        examples,
        each,
        classes,
        ignore_index,
        tl.program_id(0),
        tl.num_programs(0),
        BLOCK,
    )
    if count is None:
        tl.store(sums + tl.program_id(0), total)
    else:
        _leave(count, total * times)


@triton.jit(do_not_specialize=["parts"])
def _close(sums, count, parts, times: tl.float64, BLOCK: tl.constexpr):
    _leave(count, sum_of(sums, parts, BLOCK) * times)
