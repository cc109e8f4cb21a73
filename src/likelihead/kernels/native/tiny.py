"""Reduced losses of tiny tensors, without options: what they cost is the way to the kernel, not the kernel.

Same kernels, same numbers and the same derivatives as `softmax_nll` and `sigmoid_nll`; an op with few
arguments, and nothing decided that the caller has decided already (docs/decisions/0016-tiny-losses.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from likelihead.kernels.fused import sigmoid_nll, softmax_nll
from likelihead.kernels.fused.calls import first_gradient
from likelihead.kernels.native._library import ABSENT

__all__ = ["MOST_ELEMENTS", "sigmoid_tiny", "softmax_tiny"]

MOST_ELEMENTS = 32768  # as in csrc/tiny.cpp: below that there is no second thread to be had


def _operator(name: str) -> Callable[..., tuple[Tensor, Tensor]]:
    """The op itself: to look it up, and the Python around it, would be a third of a microsecond each time."""
    found: Callable[..., tuple[Tensor, Tensor]] = getattr(torch.ops.likelihead, name).default._op
    return found


if ABSENT is None:
    _softmax, _sigmoid = _operator("softmax_tiny"), _operator("sigmoid_tiny")


def softmax_tiny(logits: Tensor, target: Tensor, ignore_index: int, mean: bool) -> Tensor | None:
    """`softmax_nll.softmax_loss` with ``torch_nonfinite``, of what `likelihead.kernels.dispatch.tiny` says.

    None where that one has to serve the call.
    """
    if _is_transformed():
        return None
    loss: Tensor
    if logits.requires_grad and torch.is_grad_enabled():
        loss = _apply_softmax(logits, target, ignore_index, mean)
    else:
        loss = _softmax(logits, target, ignore_index, mean, False)[0]
    return loss


def sigmoid_tiny(logits: Tensor, target: Tensor, mean: bool) -> Tensor | None:
    """`sigmoid_nll.sigmoid_loss` with ``torch_nonfinite``, without ``skip_nan_target``, in the same way."""
    if _is_transformed() or target.requires_grad:
        return None
    loss: Tensor
    if logits.requires_grad and torch.is_grad_enabled():
        loss = _apply_sigmoid(logits, target, mean)
    else:
        loss = _sigmoid(logits, target, mean, False)[0]
    return loss


def _is_transformed() -> bool:
    return torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, ignore_index: int, mean: bool) -> Tensor:
        ctx.save_for_backward(logits, target, None, None, None, None)
        loss: Tensor
        loss, grad = _softmax(logits, target, ignore_index, mean, True)
        ctx.numbers, ctx.made, ctx.in_place = (ignore_index, mean), [grad], False
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        grad = first_gradient(ctx, upstream)
        if grad is None:
            ignore_index, mean = ctx.numbers
            ctx.options = (None, 0.0, ignore_index, 0.0, 0.0, None, True, None, 0.0, None, mean, None)
            grad = softmax_nll.gradient_anew(ctx, upstream)
        return grad, None, None, None


class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, mean: bool) -> Tensor:
        ctx.save_for_backward(logits, target, None, None, None, None, None)
        loss: Tensor
        loss, grad = _sigmoid(logits, target, mean, True)
        ctx.options = (False, True, 0.0, None, 0.0, -1.0, None, mean, None)
        ctx.made, ctx.in_place = [grad], False
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        grad = first_gradient(ctx, upstream)
        return (sigmoid_nll.gradient_anew(ctx, upstream) if grad is None else grad), None, None


# See softmax_nll.
_apply_softmax: Callable[..., Tensor] = super(torch.autograd.Function, _Softmax).apply
_apply_sigmoid: Callable[..., Tensor] = super(torch.autograd.Function, _Sigmoid).apply
