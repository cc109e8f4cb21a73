"""Reduced losses without options: where what they cost is the way to the kernel, not the kernel.

Same kernels, same numbers and the same derivatives as `softmax_nll` and `sigmoid_nll`; an op with few
arguments, and nothing looked at that the caller or the op has looked at (docs/decisions/0016-tiny-losses.md,
0031-the-cpus-gaps.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, is_grad_enabled
from torch._C import _are_functorch_transforms_active as transforms_are_active
from torch.autograd import forward_ad

from likelihead.kernels.fused import sigmoid_nll, softmax_nll
from likelihead.kernels.fused.plain import otherwise, short, sigmoid_options, softmax_options
from likelihead.kernels.native._library import ABSENT

__all__ = ["sigmoid_plain", "softmax_plain"]


def _operator(name: str) -> Callable[..., tuple[Tensor, Tensor]]:
    """The op itself: to look it up, and the Python around it, would be a third of a microsecond each time.

    Past the dispatcher (``redispatch_boxed``) it would be 0.3 less, and wrong for negated views, zero tensors
    and whatever else it resolves.
    """
    found: Callable[..., tuple[Tensor, Tensor]] = getattr(torch.ops.likelihead, name).default._op
    return found


if ABSENT is None:
    _softmax, _sigmoid = _operator("softmax_plain"), _operator("sigmoid_plain")


def softmax_plain(logits: Tensor, target: Tensor, ignore_index: int, mean: bool) -> Tensor | None:
    """`softmax_nll.softmax_loss` with ``torch_nonfinite``, of what `likelihead.kernels.dispatch.plain` says.

    None where that one has to serve the call.
    """
    if transforms_are_active() or forward_ad._current_level >= 0:
        return None
    loss: Tensor | None
    if logits.requires_grad and is_grad_enabled():
        loss = _apply_softmax(logits, (target, ignore_index, mean))
    else:
        loss = _served(_softmax(logits, target, ignore_index, mean, False)[0])
    return loss


def sigmoid_plain(
    logits: Tensor, target: Tensor, mean: bool, pos_weight: Tensor | None = None
) -> Tensor | None:
    """`sigmoid_nll.sigmoid_loss` with ``torch_nonfinite``, without ``skip_nan_target``, in the same way."""
    if transforms_are_active() or forward_ad._current_level >= 0 or target.requires_grad:
        return None
    loss: Tensor | None
    if logits.requires_grad and is_grad_enabled():
        loss = _apply_sigmoid(logits, (target, mean, pos_weight))
    else:
        loss = _served(_sigmoid(logits, target, mean, False, pos_weight)[0])
    return loss


def _served(loss: Tensor) -> Tensor | None:
    return None if loss.dim() else loss


# The functions take one tuple besides the logits, and the op no argument that is its default: each has its
# price, on the way there and back.
class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, given: tuple[Tensor, int, bool]) -> Tensor | None:
        target, ignore_index, mean = given
        if mean and ignore_index == -100:
            loss, grad = _softmax(logits, target)
        else:
            loss, grad = _softmax(logits, target, ignore_index, mean)
        if loss.dim():
            return None
        ctx.to_save = logits, target  # as save_for_backward does
        ctx.made, ctx.given = [grad], given
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        grad = _untouched(ctx, upstream)
        if grad is None:
            _, ignore_index, mean = ctx.given
            options = softmax_options(ignore_index, mean)
            grad = otherwise(ctx, upstream, options, softmax_nll.gradient_anew, others=4)
        return grad, None


class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, given: tuple[Tensor, bool, Tensor | None]) -> Tensor | None:
        target, mean, pos_weight = given
        if mean and pos_weight is None:
            loss, grad = _sigmoid(logits, target)
        else:
            loss, grad = _sigmoid(logits, target, mean, True, pos_weight)
        if loss.dim():
            return None
        ctx.to_save = (logits, target) if pos_weight is None else (logits, target, None, pos_weight)
        ctx.made, ctx.given = [grad], given
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        grad = _untouched(ctx, upstream)
        if grad is None:
            options = sigmoid_options(ctx.given[1])
            grad = otherwise(ctx, upstream, options, sigmoid_nll.gradient_anew, others=5)
        return grad, None


_apply_softmax, _apply_sigmoid = (short(function, "given", "made") for function in (_Softmax, _Sigmoid))


def _untouched(ctx: Any, upstream: Tensor) -> Tensor | None:
    """The gradient of the forward pass, if it is there still and not to be scaled, as in ``backward()``."""
    try:
        if upstream.item() == 1 and not is_grad_enabled() and not transforms_are_active():
            grad: Tensor = ctx.made.pop()
            return grad
    except (RuntimeError, IndexError):  # several numbers at once, in a transform; given away
        pass
    return None
