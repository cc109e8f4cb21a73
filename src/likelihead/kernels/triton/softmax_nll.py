"""The categorical ops on a GPU: the functions that the torch ops call, in the order of their schemas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.kernels.ops import compute_dtype
from likelihead.kernels.triton.launch import Device, run
from likelihead.kernels.triton.softmax_plan import Options, Outputs, Upstream, layout_of, plan

__all__ = ["softmax_loss", "softmax_loss_", "softmax_loss_backward_", "softmax_nll", "softmax_nll_backward"]


def _launch(logits: Tensor, target: Tensor, options: Options, outputs: Outputs, upstream: Upstream) -> None:
    grad = outputs.grad
    soft = target if target.is_floating_point() else None
    if layout_of((logits, soft, grad, options.where)) is None:
        # Examples in more than three dimensions that do not follow each other: a volume cut out of another.
        if grad is logits:
            raise OptionError("inplace_backward=True needs logits that are contiguous or channels_last.")
        logits = logits.contiguous()
        target = target.contiguous()
        if options.where is not None:
            options = replace(options, where=options.where.contiguous())
        if grad is not None:
            outputs = replace(outputs, grad=grad.contiguous())
    run(plan(logits, target, options, outputs, upstream, Device.of(logits.device)))
    if grad is not None and outputs.grad is not None and outputs.grad is not grad:
        grad.copy_(outputs.grad)


def softmax_nll(logits: Tensor, target: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
    shape = (logits.shape[0], *logits.shape[2:])
    nll = logits.new_empty(shape, dtype=compute_dtype(logits.dtype))
    lse = torch.empty_like(nll)
    _launch(logits, target, Options(*options), Outputs(nll=nll, lse=lse), Upstream())
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
    upstream = Upstream(grad_nll, grad_lse, 0.0 if grad_nll is None else scale, mean and grad_nll is not None)
    _launch(logits, target, Options(*options), Outputs(grad=grad), upstream)
    return grad


def softmax_loss(logits: Tensor, target: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    *options, mean, normalizer, with_grad = arguments
    loss = logits.new_empty((), dtype=compute_dtype(logits.dtype))
    grad = torch.empty_like(logits) if with_grad else None
    _launch(logits, target, Options(*options), Outputs(grad=grad, loss=loss), _reduced(mean, normalizer))
    return loss, logits.new_empty(0) if grad is None else grad


def softmax_loss_(logits: Tensor, target: Tensor, *arguments: Any) -> Tensor:
    *options, mean, normalizer = arguments
    loss = logits.new_empty((), dtype=compute_dtype(logits.dtype))
    _launch(logits, target, Options(*options), Outputs(grad=logits, loss=loss), _reduced(mean, normalizer))
    return loss


def softmax_loss_backward_(
    grad: Tensor, upstream: Tensor, logits: Tensor, target: Tensor, *arguments: Any
) -> None:
    *options, mean, normalizer = arguments
    reduced = _reduced(mean, normalizer, whole=upstream)
    _launch(logits, target, Options(*options), Outputs(grad=grad), reduced)


def _reduced(mean: bool, normalizer: float | None, whole: Tensor | None = None) -> Upstream:
    if not mean:
        return Upstream(whole=whole)
    if normalizer is None:
        return Upstream(mean=True, whole=whole)
    return Upstream(scale=1 / normalizer if normalizer else float("inf"), whole=whole)
