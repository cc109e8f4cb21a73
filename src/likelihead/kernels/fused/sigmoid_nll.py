"""Bernoulli negative log-likelihood by fused kernels; differentiated as in `softmax_nll`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from likelihead.core.reduction import Normalizer
from likelihead.kernels.fused.calls import PLAIN, first_gradient, needs_reference
from likelihead.kernels.ops import SigmoidOptions, compute_dtype, reduce_sigmoid_nll, sigmoid_count
from likelihead.kernels.reference.sigmoid_nll import sigmoid_nll as reference

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["sigmoid_loss", "sigmoid_nll"]


def sigmoid_nll(logits: Tensor, target: Tensor, **options: Unpack[SigmoidOptions]) -> Tensor:
    """See `likelihead.kernels.ops.SigmoidNLL`."""
    if needs_reference(target, *_differentiable(options)):
        return reference(logits, target, **options)
    result: Tensor = torch.ops.likelihead.sigmoid_nll(
        _widened(logits, target), target, *_in_order(logits, **options)
    )
    return result.to(compute_dtype(logits.dtype))


def sigmoid_loss(
    logits: Tensor,
    target: Tensor,
    *,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    **options: Unpack[SigmoidOptions],
) -> Tensor:
    """See `likelihead.kernels.ops.SigmoidLoss`."""
    fused = (
        type(logits) in PLAIN
        and (logits.is_cpu or logits.is_cuda)
        and not isinstance(normalizer, Tensor)
        and not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None
        and not needs_reference(target, *_differentiable(options))
    )
    if not fused:
        nll = sigmoid_nll(logits, target, **options)
        return reduce_sigmoid_nll(nll, target, reduction=reduction, normalizer=normalizer, **options)
    x = _widened(logits, target)
    divisor = None if normalizer is None else float(normalizer)
    given = (*_in_order(logits, **options), reduction == "mean", divisor)
    if x.requires_grad and torch.is_grad_enabled():
        loss: Tensor = _apply_loss(x, target, given)
    else:
        loss = torch.ops.likelihead.sigmoid_loss.default(x, target, *given, False)[0]
    return loss if x is logits else loss.to(compute_dtype(logits.dtype))


def _in_order(
    logits: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    mask: Tensor | None = None,
    skip_nan_target: bool = True,
    torch_nonfinite: bool = False,
    label_smoothing: float = 0.0,
    prior: Tensor | None = None,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    sample_weight: Tensor | None = None,
) -> tuple[Any, ...]:
    """The options as the C++ ops take them."""
    return (
        _spread(weight, logits),
        _spread(pos_weight, logits),
        mask,
        skip_nan_target,
        torch_nonfinite,
        label_smoothing,
        _spread(prior, logits),
        focal_gamma,
        -1.0 if focal_alpha is None else focal_alpha,
        sample_weight,
    )


def _differentiable(options: SigmoidOptions) -> tuple[Tensor | None, ...]:
    return (
        options.get("weight"),
        options.get("pos_weight"),
        options.get("prior"),
        options.get("sample_weight"),
    )


def _widened(logits: Tensor, target: Tensor) -> Tensor:
    """The logits, in double where the target has digits that would be lost to float32."""
    wider = target.dtype == torch.float64 and logits.dtype != torch.float64
    return logits.double() if wider else logits


def _spread(weight: Tensor | None, logits: Tensor) -> Tensor | None:
    """As the kernel takes it: one number, one per column of the last dimension, or one per element."""
    if weight is None or weight.numel() == 1 or logits.dim() == 0:
        return weight
    if weight.numel() == weight.shape[-1] == logits.shape[-1]:
        return weight
    return weight.expand_as(logits)


class _Loss(torch.autograd.Function):
    """The reduced loss of plain tensors; only the logits are differentiated here."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, options: tuple[Any, ...]) -> Tensor:
        weight, pos_weight, mask, _, _, _, prior, _, _, sample_weight, _, _ = options
        ctx.save_for_backward(logits, target, weight, pos_weight, mask, prior, sample_weight)
        ctx.options, ctx.in_place, ctx.remake = options, False, "sigmoid_loss_backward_"
        # float16 would underflow before the loss scale of mixed precision comes from above.
        early = logits.dtype != torch.float16
        loss, grad = torch.ops.likelihead.sigmoid_loss.default(logits, target, *options, early)
        ctx.made = [grad] if early else []
        result: Tensor = loss
        return result

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        grad = first_gradient(ctx, upstream)
        return (gradient_anew(ctx, upstream) if grad is None else grad, None, None)


# See softmax_nll.
_apply_loss: Callable[..., Tensor] = super(torch.autograd.Function, _Loss).apply


def gradient_anew(ctx: Any, upstream: Tensor) -> Tensor:
    logits, target, weight, pos_weight, mask, prior, sample_weight = ctx.saved_tensors
    flags, (mean, divisor) = ctx.options[-9:-2], ctx.options[-2:]
    skip_nan_target, torch_nonfinite, label_smoothing, _, focal_gamma, focal_alpha, _ = flags
    options = {"mask": mask, "skip_nan_target": skip_nan_target, "sample_weight": sample_weight}
    if divisor is not None:
        count: Tensor | float = divisor
    elif mean:
        count = sigmoid_count(target, **options)
    else:
        count = 1.0
    upstream = upstream.to(compute_dtype(logits.dtype)) / count
    if not torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
        result: Tensor = torch.ops.likelihead.sigmoid_nll_backward.default(
            upstream,
            1.0,
            logits,
            target,
            weight,
            pos_weight,
            mask,
            skip_nan_target,
            torch_nonfinite,
            label_smoothing,
            prior,
            focal_gamma,
            focal_alpha,
            sample_weight,
        )
        return result
    with torch.enable_grad():
        nll = reference(
            logits,
            target,
            weight=weight,
            pos_weight=pos_weight,
            torch_nonfinite=torch_nonfinite,
            label_smoothing=label_smoothing,
            prior=prior,
            focal_gamma=focal_gamma,
            focal_alpha=None if focal_alpha < 0 else focal_alpha,
            **options,
        )
        grads: tuple[Tensor, ...] = torch.autograd.grad(nll.sum(), logits, upstream, create_graph=True)
    return grads[0]
