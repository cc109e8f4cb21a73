"""The gradient that a forward pass made, times the upstream gradient of the reduced loss, read on the device.

Bytes per element: none for an upstream gradient of 1, which is what ``loss.backward()`` starts with; else one
read and one write.
"""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from likelihead.kernels.triton.launch import Device, Launch
from likelihead.kernels.triton.plans import Room, launch
from likelihead.kernels.triton.tunables import lookup

__all__ = ["plan_scale", "scale_", "scale_blocks"]


def scale_(grad: Tensor, upstream: Tensor, whatever_rounding: bool) -> bool:
    """``grad *= upstream``, with one more rounding. Zeros stay, whatever comes from above.

    ``whatever_rounding`` is the caller's business here: where a second rounding would show, it calls
    ``softmax_loss_backward_`` or ``sigmoid_loss_backward_`` instead.
    """
    launch(plan_scale, Tensors(grad, upstream), ())
    return True


class Tensors(NamedTuple):
    grad: Tensor
    upstream: Tensor


def plan_scale(tensors: Tensors, numbers: tuple[()], device: Device, room: Room) -> list[Launch]:
    """``grad`` is dense: it is its memory that is multiplied, whatever its order."""
    grad, upstream = tensors
    row = lookup("scale", "any")
    count = grad.numel()
    blocks = triton.cdiv(count, row.block)
    programs = min(blocks, device.multiprocessors * row.programs_per_multiprocessor)
    arguments = (grad, upstream, count)
    return [Launch(_scale, (programs,), arguments, {"BLOCK": row.block}, num_warps=row.num_warps)]


@triton.jit(do_not_specialize=["count"])
def _scale(grad, upstream, count, BLOCK: tl.constexpr):
    factor = tl.load(upstream).to(tl.float64)
    if factor != 1.0:
        scale_blocks(grad, factor, count, tl.program_id(0), tl.num_programs(0), BLOCK)


@triton.jit
def scale_blocks(grad, factor, count, first, step, BLOCK: tl.constexpr):
    """Multiply a program's blocks of ``grad`` by a float64 number; what is 0 stays."""
    whole = count // BLOCK  # which ask nothing of the end, and are read and written in whole vectors
    for block in range(first, whole, step):
        _scale_block(grad, factor, tl.cast(block, tl.int64) * BLOCK, count, BLOCK, False)
    if whole * BLOCK < count and whole % step == first:
        start = tl.cast(whole, tl.int64) * BLOCK
        _scale_block(grad, factor, start, count, BLOCK, True)  # rare: the last block


@triton.jit
def _scale_block(grad, factor, start, count, BLOCK: tl.constexpr, MASKED: tl.constexpr):
    at = start + tl.arange(0, BLOCK)
    if MASKED:
        g = tl.load(grad + at, mask=at < count, other=0.0)
    else:
        g = tl.load(grad + at)
    if grad.dtype.element_ty == tl.float64:
        wide = g
        scaled = wide * factor
    else:
        wide = g.to(tl.float32)
        scaled = wide * factor.to(tl.float32)
    # Rounded last, so that 16-bit results are packed in pairs.
    result = tl.where(wide == 0.0, wide, scaled).to(g.dtype)
    if MASKED:
        tl.store(grad + at, result, mask=at < count)
    else:
        tl.store(grad + at, result)
