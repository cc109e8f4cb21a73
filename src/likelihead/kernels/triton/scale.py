"""The gradient that a forward pass made, times the upstream gradient of the reduced loss, read on the device.

Bytes per element: none for an upstream gradient of 1, which is what ``loss.backward()`` starts with; else one
read and one write.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from likelihead.kernels.triton.launch import Device, Launch, run
from likelihead.kernels.triton.tunables import lookup

__all__ = ["plan_scale", "scale_", "scale_block"]


def scale_(grad: Tensor, upstream: Tensor, whatever_rounding: bool) -> bool:
    """``grad *= upstream``, with one more rounding. Zeros stay, whatever comes from above.

    ``whatever_rounding`` is the caller's business here: where a second rounding would show, it calls
    ``softmax_loss_backward_`` or ``sigmoid_loss_backward_`` instead.
    """
    run(plan_scale(grad, upstream, Device.of(grad.device)))
    return True


def plan_scale(grad: Tensor, upstream: Tensor, device: Device) -> list[Launch]:
    row = lookup("scale", "any")
    count = grad.numel()
    # The memory of a dense gradient, whatever its order.
    flat = grad.as_strided((count,), (1,))
    blocks = triton.cdiv(count, row.block)
    programs = min(blocks, device.multiprocessors * row.programs_per_multiprocessor)
    return [
        Launch(_scale, (programs,), (flat, upstream, count), {"BLOCK": row.block}, num_warps=row.num_warps)
    ]


@triton.jit(do_not_specialize=["count"])
def _scale(grad, upstream, count, BLOCK: tl.constexpr):
    factor = tl.load(upstream).to(tl.float64)
    if factor != 1.0:
        for block in range(tl.program_id(0), tl.cdiv(tl.cast(count, tl.int64), BLOCK), tl.num_programs(0)):
            scale_block(grad, factor, tl.cast(block, tl.int64) * BLOCK, count, BLOCK)


@triton.jit
def scale_block(grad, factor, start, count, BLOCK: tl.constexpr):
    """Multiply ``grad[start : start + BLOCK]`` by a float64 number; what is 0 stays."""
    at = start + tl.arange(0, BLOCK)
    inside = at < count
    g = tl.load(grad + at, mask=inside, other=0.0)
    if grad.dtype.element_ty == tl.float64:
        wide = g
        scaled = wide * factor
    else:
        wide = g.to(tl.float32)
        scaled = wide * factor.to(tl.float32)
    # Rounded last, so that 16-bit results are packed in pairs.
    tl.store(grad + at, tl.where(wide == 0.0, wide, scaled).to(g.dtype), mask=inside)
