"""Categorical negative log-likelihood by fused kernels, and how it is differentiated.

The gradient of a *reduced* loss is made in the forward pass, while the row is in the cache: one read of the
logits and one write of the gradient is all the memory traffic there is. The first backward gives that buffer
away and keeps nothing, so that autograd may take it over instead of copying it, and so that nothing corrupts
it: any further backward makes the gradient anew. Per-example losses make it in the backward pass.

What the kernels do not differentiate goes through the reference backend, which is differentiable any number
of times: second derivatives, forward mode, the transforms of ``torch.func``, and derivatives by anything but
the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from likelihead.core import overwritten
from likelihead.core.reduction import Normalizer
from likelihead.core.reduction import reduce as reduce_values
from likelihead.errors import OptionError
from likelihead.kernels.fused.calls import PLAIN, first_gradient, index_error, needs_reference
from likelihead.kernels.ops import SoftmaxOptions, reduce_softmax_nll
from likelihead.kernels.reference.softmax_nll import softmax_nll as reference

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "IN_PLACE_ONCE",
    "NOT_IN_PLACE",
    "by_name",
    "check_in_place",
    "in_order",
    "softmax_loss",
    "softmax_nll",
]


def softmax_nll(logits: Tensor, target: Tensor, **options: Unpack[SoftmaxOptions]) -> tuple[Tensor, Tensor]:
    """See `likelihead.kernels.ops.SoftmaxNLL`.

    Raises:
        IndexError: a class index out of range; nothing has been written.
    """
    if needs_reference(target, *_differentiable(options)):
        return reference(logits, target, **options)
    given = in_order(**options)
    if torch.compiler.is_compiling():
        nll, lse = torch.ops.likelihead.softmax_nll(logits, target, *given)
        return nll, lse
    try:
        nll, lse = torch.ops.likelihead.softmax_nll(logits, target, *given)
    except RuntimeError as error:
        raise index_error(error, target, logits.shape[1], given[2]) or error from None
    return nll, lse


def softmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    inplace_backward: bool = False,
    **options: Unpack[SoftmaxOptions],
) -> Tensor:
    """See `likelihead.kernels.ops.SoftmaxLoss`."""
    inplace_backward = overwritten.will_overwrite(inplace_backward, logits)
    fused = (
        type(logits) in PLAIN
        and (logits.is_cpu or logits.is_cuda)
        and (inplace_backward or not isinstance(normalizer, Tensor))
        and not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None
        and not needs_reference(target, *_differentiable(options))
    )
    if not fused:
        if inplace_backward:
            raise OptionError(NOT_IN_PLACE)
        nll, _ = softmax_nll(logits, target, **options)
        return reduce_softmax_nll(nll, logits, target, reduction=reduction, normalizer=normalizer, **options)
    if isinstance(normalizer, Tensor):
        # Not read, which would wait for it and lose its graph: the gradient of the sum is scaled later.
        total = softmax_loss(logits, target, reduction="sum", inplace_backward=True, **options)
        return reduce_values(total, reduction, normalizer=normalizer)
    if inplace_backward:
        check_in_place(logits)
        inplace_backward = overwritten.is_alone(logits)
    divisor = None if normalizer is None else float(normalizer)
    given = (*in_order(**options), reduction == "mean", divisor)
    loss: Tensor
    try:
        if logits.requires_grad and torch.is_grad_enabled():
            loss = _apply_loss(logits, target, inplace_backward, given)
        else:
            loss = torch.ops.likelihead.softmax_loss.default(logits, target, *given, False)[0]
    except RuntimeError as error:
        raise index_error(error, target, logits.shape[1], given[2]) or error from None
    return loss


def in_order(
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_offset: Tensor | None = None,
    torch_nonfinite: bool = False,
    where: Tensor | None = None,
    focal_gamma: float = 0.0,
    sample_weight: Tensor | None = None,
) -> tuple[Any, ...]:
    """The options as the C++ ops take them; a softcap of 0 is none."""
    return (
        weight,
        label_smoothing,
        ignore_index,
        z_loss,
        softcap or 0.0,
        logit_offset,
        torch_nonfinite,
        where,
        focal_gamma,
        sample_weight,
    )


def by_name(options: tuple[Any, ...]) -> SoftmaxOptions:
    """The options as `in_order` has them, by name."""
    named = dict(zip(SoftmaxOptions.__annotations__, options, strict=True))
    named["softcap"] = named["softcap"] or None
    return cast("SoftmaxOptions", named)


def _differentiable(options: SoftmaxOptions) -> tuple[Tensor | None, ...]:
    return options.get("weight"), options.get("logit_offset"), options.get("sample_weight")


def check_in_place(logits: Tensor) -> None:
    """Refuse logits that a gradient cannot be written over.

    Raises:
        OptionError: float16, or strides that the kernels take in a copy.
        RuntimeError: a leaf that is trained, as in torch.
    """
    overwritten.check_writable(logits)
    if logits.dtype == torch.float16:
        raise OptionError(
            "inplace_backward=True is not for float16: a gradient that is rounded before the loss scale is "
            "applied underflows; leave it out, or use bfloat16."
        )
    dense = logits.is_contiguous() or (
        logits.dim() > 2 and logits.movedim(1, -1).is_contiguous()  # channels_last
    )
    if not dense:
        raise OptionError(
            f"inplace_backward=True writes over the logits, but these {list(logits.shape)} logits with "
            f"strides {list(logits.stride())} are copied first; pass logits.contiguous(), or leave it out."
        )


NOT_IN_PLACE = (
    "inplace_backward=True writes the gradient over the logits while the loss is computed, which cannot be "
    "done here: under torch.compile, in a transform of torch.func, on meta tensors or tensor subclasses, or "
    "where a target, weight or offset is differentiated; leave it out."
)

IN_PLACE_ONCE = (
    "the logits of this loss have been modified by an inplace operation: inplace_backward=True wrote the "
    "gradient over them, so there is one backward pass, without create_graph; leave it out for more."
)


class _Loss(torch.autograd.Function):
    """The reduced loss of plain tensors; only the logits are differentiated here."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, in_place: bool, options: tuple[Any, ...]) -> Tensor:
        weight, *_, logit_offset, _, where, _, sample_weight, _, _ = options
        ops = torch.ops.likelihead
        ctx.options, ctx.in_place, ctx.remake = options, in_place, "softmax_loss_backward_"
        loss: Tensor
        if in_place:
            loss = ops.softmax_loss_.default(logits, target, *options)
            ctx.made = [overwritten.give_up(logits)]
        else:
            ctx.save_for_backward(logits, target, weight, logit_offset, where, sample_weight)
            # float16 would underflow before the loss scale of mixed precision comes from above.
            early = logits.dtype != torch.float16
            loss, grad = ops.softmax_loss.default(logits, target, *options, early)
            ctx.made = [grad] if early else []
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        grad = first_gradient(ctx, upstream)
        return (gradient_anew(ctx, upstream) if grad is None else grad, None, None, None)


# What `Function.apply` ends in, without what it does for functorch, which never comes here: 3 microseconds.
_apply_loss: Callable[..., Tensor] = super(torch.autograd.Function, _Loss).apply


def gradient_anew(ctx: Any, upstream: Tensor) -> Tensor:
    if ctx.in_place:
        raise RuntimeError(IN_PLACE_ONCE)
    logits, target, weight, logit_offset, where, sample_weight = ctx.saved_tensors
    (
        _,
        label_smoothing,
        ignore_index,
        z_loss,
        softcap,
        _,
        torch_nonfinite,
        _,
        focal_gamma,
        _,
        mean,
        divisor,
    ) = ctx.options
    if not torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
        scale = 1.0 if divisor is None else 1 / divisor
        result: Tensor = torch.ops.likelihead.softmax_nll_backward.default(
            upstream,
            None,
            scale,
            mean and divisor is None,
            logits,
            target,
            weight,
            label_smoothing,
            ignore_index,
            z_loss,
            softcap,
            logit_offset,
            torch_nonfinite,
            where,
            focal_gamma,
            sample_weight,
        )
        return result
    with torch.enable_grad():
        nll, _ = reference(
            logits,
            target,
            weight=weight,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            z_loss=z_loss,
            softcap=softcap or None,
            logit_offset=logit_offset,
            torch_nonfinite=torch_nonfinite,
            where=where,
            focal_gamma=focal_gamma,
            sample_weight=sample_weight,
        )
        loss = reduce_softmax_nll(
            nll,
            logits,
            target,
            reduction="mean" if mean else "sum",
            normalizer=divisor,
            weight=weight,
            ignore_index=ignore_index,
            sample_weight=sample_weight,
        )
        grads: tuple[Tensor, ...] = torch.autograd.grad(loss, logits, upstream, create_graph=True)
    return grads[0]
