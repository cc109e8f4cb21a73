"""What the fused ops share: which calls the kernels differentiate, and the gradient of the forward pass."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from likelihead.kernels.fused.registration import INTERPRETED

__all__ = ["PLAIN", "first_gradient", "index_error", "index_error_at", "is_batched", "needs_reference"]

PLAIN = (torch.Tensor, torch.nn.Parameter)


def needs_reference(*others: Tensor | None) -> bool:
    """Whether derivatives may be asked for that only the reference backend has.

    ``others`` are the tensors beside the logits; second derivatives by the logits come in the backward.
    """
    if torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0:
        return True
    return any(t is not None and t.requires_grad for t in others) and torch.is_grad_enabled()


def first_gradient(ctx: Any, upstream: Tensor) -> Tensor | None:
    """The gradient of the forward pass, scaled, where it is still there and a plain number scales it.

    ``ctx.remake`` names the op that makes it anew in its own memory. It is for devices that one does not wait
    for: there the upstream gradient is looked at by the kernels alone, and the second rounding of a 16-bit
    gradient avoided by them.
    """
    if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return None
    try:
        grad: Tensor = ctx.made.pop()  # atomic: of two concurrent backwards one gets it
    except IndexError:
        return None
    narrow = grad.dtype in (torch.bfloat16, torch.float16)
    try:
        if narrow and not ctx.in_place and (grad.is_cuda or INTERPRETED):
            logits, target, *_ = ctx.saved_tensors
            remake = getattr(torch.ops.likelihead, ctx.remake).default
            remake._op(grad, upstream, logits, target, *ctx.options)
            return grad
        return grad if torch.ops.likelihead.scale_.default._op(grad, upstream, ctx.in_place) else None
    except RuntimeError:
        if not is_batched(upstream):
            raise
    # Several upstream gradients at once, in one tensor that shows as one number (``is_grads_batched``). As in
    # the op, the gradient of an ignored example stays 0 whatever comes from above.
    return torch.where(grad == 0, 0, grad * upstream).to(grad.dtype) if ctx.in_place else None


def is_batched(tensor: Tensor) -> bool:
    """Whether it is several upstream gradients in one, as ``is_grads_batched`` passes them."""
    found: bool = torch._C._functorch.is_legacy_batchedtensor(tensor)
    return found


def index_error(
    error: RuntimeError, target: Tensor, num_classes: int, ignore_index: int
) -> IndexError | None:
    """What to raise where the kernel stopped at a class index out of range, or None."""
    found = re.search(r"class index out of range: (-?\d+) at (\d+)", str(error))
    if found is None:
        return None
    return index_error_at(int(found[1]), int(found[2]), target.shape, num_classes, ignore_index)


def index_error_at(
    value: int, flat: int, shape: Sequence[int], num_classes: int, ignore_index: int
) -> IndexError:
    """What to raise for this class index at place ``flat`` of a target of this shape."""
    position: list[int] = []
    for size in reversed(shape):
        flat, place = divmod(flat, size)
        position.insert(0, place)
    return IndexError(
        f"Target {value} is out of bounds: target[{', '.join(map(str, position))}] is {value}, but there are "
        f"{num_classes} classes; expected 0 to {num_classes - 1}, or ignore_index ({ignore_index})."
    )
