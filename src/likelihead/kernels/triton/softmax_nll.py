"""The categorical ops on a GPU: the functions that the torch ops call, in the order of their schemas."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.kernels.ops import compute_dtype
from likelihead.kernels.triton.plans import dense, launch
from likelihead.kernels.triton.softmax_plan import Numbers, Tensors, plan

__all__ = [
    "softmax_loss",
    "softmax_loss_",
    "softmax_loss_backward_",
    "softmax_nll",
    "softmax_nll_",
    "softmax_nll_backward",
]


def softmax_nll(logits: Tensor, target: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
    shape = (logits.shape[0], *logits.shape[2:])
    nll = logits.new_empty(shape, dtype=compute_dtype(logits.dtype))
    lse = torch.empty_like(nll)
    _launch(logits, target, options, nll=nll, lse=lse)
    return nll, lse


def softmax_nll_backward(
    grad_nll: Tensor | None,
    grad_lse: Tensor | None,
    scale: float,
    mean: bool,
    logits: Tensor,
    target: Tensor,
    *options: Any,
) -> Tensor:
    grad = torch.empty_like(logits)
    if grad_nll is None:
        scale, mean = 0.0, False
    upstream = {"up_nll": dense(grad_nll), "up_lse": dense(grad_lse)}
    _launch(logits, target, options, scale, mean, grad=grad, **upstream)
    return grad


def softmax_nll_(
    grad_nll: Tensor | None,
    grad_lse: Tensor | None,
    scale: float,
    logits: Tensor,
    target: Tensor,
    *options: Any,
) -> tuple[Tensor, Tensor]:
    nll = logits.new_empty((logits.shape[0], *logits.shape[2:]), dtype=compute_dtype(logits.dtype))
    lse = torch.empty_like(nll)
    scale = 0.0 if grad_nll is None else scale
    of_nll, of_lse = dense(grad_nll), dense(grad_lse)
    _launch(logits, target, options, scale, grad=logits, nll=nll, lse=lse, up_nll=of_nll, up_lse=of_lse)
    return nll, lse


def softmax_loss(logits: Tensor, target: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    *options, mean, normalizer, with_grad = arguments
    loss = logits.new_empty((), dtype=compute_dtype(logits.dtype))
    grad = torch.empty_like(logits) if with_grad else None
    _launch(logits, target, options, *_reduced(mean, normalizer), grad=grad, loss=loss)
    return loss, logits.new_empty(0) if grad is None else grad


def softmax_loss_(logits: Tensor, target: Tensor, *arguments: Any) -> Tensor:
    *options, mean, normalizer = arguments
    loss = logits.new_empty((), dtype=compute_dtype(logits.dtype))
    _launch(logits, target, options, *_reduced(mean, normalizer), grad=logits, loss=loss)
    return loss


def softmax_loss_backward_(
    grad: Tensor, upstream: Tensor, logits: Tensor, target: Tensor, *arguments: Any
) -> None:
    *options, mean, normalizer = arguments
    _launch(logits, target, options, *_reduced(mean, normalizer), grad=grad, whole=upstream)


def _reduced(mean: bool, normalizer: float | None) -> tuple[float, bool]:
    """What the gradient is multiplied by, and whether it is divided by the count of the targets."""
    if not mean or normalizer is None:
        return 1.0, mean
    return (1 / normalizer if normalizer else float("inf")), False


def _launch(
    logits: Tensor,
    target: Tensor,
    options: Any,
    scale: float = 1.0,
    mean: bool = False,
    *,
    grad: Tensor | None = None,
    nll: Tensor | None = None,
    lse: Tensor | None = None,
    loss: Tensor | None = None,
    up_nll: Tensor | None = None,
    up_lse: Tensor | None = None,
    whole: Tensor | None = None,
) -> None:
    weight, smoothing, ignore_index, z_loss, softcap, offset, torch_nonfinite, where, gamma, each = options
    weight_sum = None
    if weight is not None:
        weight = weight.contiguous()
        if smoothing > 0 and where is None:
            weight_sum = weight.sum(dtype=torch.float64)
    if offset is not None:
        offset = offset.contiguous()
    if each is not None:
        each = each.contiguous()
    soft = target.is_floating_point()
    if not soft:
        target = target.contiguous()
    given = (weight, offset, where, each, weight_sum, up_nll, up_lse, whole)
    numbers = Numbers(smoothing, ignore_index, z_loss, softcap, torch_nonfinite, gamma, scale, mean)
    if launch(plan, Tensors(logits, target, *given, grad, nll, lse, loss), numbers):
        return
    # Examples in more than three dimensions that do not follow each other: a volume cut out of another.
    if grad is logits:
        raise OptionError("inplace_backward=True needs logits that are contiguous or channels_last.")
    copy = Tensors(
        logits.contiguous(),
        target.contiguous(),
        *given,
        None if grad is None else torch.empty_like(grad, memory_format=torch.contiguous_format),
        nll,
        lse,
        loss,
    )
    if where is not None:
        copy = copy._replace(where=where.contiguous())
    if whole is not None and grad is not None and copy.grad is not None:
        copy.grad.copy_(grad)  # which stays as it is for an upstream gradient of 1
    launch(plan, copy, numbers)
    if grad is not None and copy.grad is not None:
        grad.copy_(copy.grad)
