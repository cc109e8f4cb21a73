"""Reduced losses without options on a GPU: the same kernels and numbers, not by way of torch's dispatcher.

A custom op that ends in Python takes 6 microseconds to get there, as long as the launches of a small loss. So
the op is called as a function where nobody listens to the dispatcher (docs/decisions/0028).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, is_grad_enabled
from torch._C import _are_functorch_transforms_active as transforms_are_active
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from likelihead.core.devices import is_dense
from likelihead.kernels.fused import sigmoid_nll, softmax_nll
from likelihead.kernels.fused.calls import is_batched
from likelihead.kernels.fused.plain import otherwise, short, sigmoid_options, softmax_options
from likelihead.kernels.triton.library import implementation, refuses

__all__ = ["sigmoid_plain", "softmax_plain"]

_softmax = implementation("softmax_nll", "softmax_loss")
_sigmoid = implementation("sigmoid_nll", "sigmoid_loss")
_scale = implementation("scale", "scale_")


def softmax_plain(logits: Tensor, target: Tensor, ignore_index: int, mean: bool) -> Tensor | None:
    """`softmax_nll.softmax_loss` with ``torch_nonfinite``; None where that one has to serve the call."""
    if _is_watched(logits, target):
        return None
    shape = logits.shape
    if len(shape) < 2 or target.shape != (shape[0], *shape[2:]):
        return None
    options = softmax_options(ignore_index, mean)
    if logits.requires_grad and is_grad_enabled():
        return _apply_softmax(logits, (target, options))
    loss: Tensor = _softmax(logits, target, *options, False)[0]
    return loss


def sigmoid_plain(
    logits: Tensor, target: Tensor, mean: bool, pos_weight: Tensor | None = None
) -> Tensor | None:
    """`sigmoid_nll.sigmoid_loss` with ``torch_nonfinite``, without ``skip_nan_target``, in the same way."""
    if pos_weight is not None or _is_watched(logits, target):
        return None
    if target.requires_grad or target.shape != logits.shape:
        return None
    options = sigmoid_options(mean)
    if logits.requires_grad and is_grad_enabled():
        return _apply_sigmoid(logits, (target, options))
    loss: Tensor = _sigmoid(logits, target, *options, False)[0]
    return loss


def _is_watched(logits: Tensor, target: Tensor) -> bool:
    """Whether somebody has to see the op, or it is not for the kernels, or has nothing to compute."""
    return (
        transforms_are_active()
        or forward_ad._current_level >= 0
        or is_in_torch_dispatch_mode()
        or refuses(logits) is not None
        or not is_dense(target)
        or _is_resolved(logits)
        or _is_resolved(target)
        or logits.numel() == 0
    )


def _is_resolved(tensor: Tensor) -> bool:
    """Whether its memory is not its numbers until the dispatcher has resolved it: negated, or all zeros."""
    return tensor.is_neg() or tensor._is_zerotensor()


def _differentiable(
    op: Callable[..., Any], anew: Callable[[Any, Tensor], Tensor], others: int
) -> Callable[..., Tensor | None]:
    """The reduced loss of an op, of its logits and one tuple: each argument has its price, both ways."""

    class Short(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, logits: Tensor, rest: tuple[Tensor, tuple[Any, ...]]) -> Tensor:
            target, ctx.options = rest
            loss: Tensor
            loss, grad = op(logits, target, *ctx.options, True)
            ctx.save_for_backward(logits, target)
            ctx.made = [grad]
            return loss

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
            grad = _scaled(ctx, upstream)
            if grad is None:
                grad = otherwise(ctx, upstream, ctx.options, anew, others=others)
            return grad, None

    return short(Short, "made", "options")


_apply_softmax = _differentiable(_softmax, softmax_nll.gradient_anew, others=4)
_apply_sigmoid = _differentiable(_sigmoid, sigmoid_nll.gradient_anew, others=5)


def _scaled(ctx: Any, upstream: Tensor) -> Tensor | None:
    """The gradient of the forward pass, if it is there still, times the upstream gradient, on the device."""
    if (
        is_grad_enabled()
        or transforms_are_active()
        or is_in_torch_dispatch_mode()
        or is_batched(upstream)
        or _is_resolved(upstream)
        or type(upstream) is not Tensor
    ):
        return None
    try:
        grad: Tensor = ctx.made.pop()
    except IndexError:
        return None
    _scale(grad, upstream, False)
    return grad
