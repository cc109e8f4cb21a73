"""What the fused ops need beside their kernels: schemas, shapes for tracing, derivatives, batching."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from likelihead.core.devices import check_devices
from likelihead.kernels.ops import compute_dtype
from likelihead.kernels.reference.sigmoid_nll import sigmoid_nll as sigmoid_reference
from likelihead.kernels.reference.softmax_nll import softmax_nll as reference

__all__ = ["INTERPRETED", "SOFTMAX_SCHEMA", "register"]

# As Triton reads it, which then runs its kernels on the CPU, one operation at a time: they have the ops then.
INTERPRETED = os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "yes", "y")

SOFTMAX_SCHEMA = (
    "Tensor? weight, float label_smoothing, int ignore_index, float z_loss, float softcap, "
    "Tensor? logit_offset, bool torch_nonfinite, Tensor? where, float focal_gamma, Tensor? sample_weight"
)
_SIGMOID = (
    "Tensor? weight, Tensor? pos_weight, Tensor? mask, bool skip_nan_target, bool torch_nonfinite, "
    "float label_smoothing, Tensor? prior, float focal_gamma, float focal_alpha, Tensor? sample_weight"
)
_GRAD = ("Tensor? grad_nll, Tensor? grad_lse, float scale, bool mean", "Tensor grad_nll, float scale")

# As the C++ library declares them (csrc/softmax.cpp, sigmoid.cpp, scale.cpp), for where it is absent.
SCHEMAS = {
    "softmax_nll": f"(Tensor logits, Tensor target, {SOFTMAX_SCHEMA}) -> (Tensor nll, Tensor lse)",
    "softmax_nll_backward": f"({_GRAD[0]}, Tensor logits, Tensor target, {SOFTMAX_SCHEMA}) -> Tensor",
    "softmax_nll_": f"(Tensor? grad_nll, Tensor? grad_lse, float scale, Tensor(a!) logits, Tensor target, "
    f"{SOFTMAX_SCHEMA}) -> (Tensor nll, Tensor lse)",
    # Of a head's chunk: entropy and prediction too; a teacher's divergence. With upstream gradients the
    # logits become their gradient, without any they stay.
    "softmax_scores_": "(Tensor? grad_nll, Tensor? grad_lse, Tensor? grad_entropy, Tensor(a!) logits, "
    "Tensor target, int ignore_index, float softcap, bool prediction) "
    "-> (Tensor nll, Tensor lse, Tensor entropy, Tensor prediction)",
    "softmax_kl_": "(Tensor? grad, Tensor(a!) logits, Tensor teacher, str direction, float beta, "
    "float softcap, float teacher_softcap) -> Tensor",
    "softmax_loss": f"(Tensor logits, Tensor target, {SOFTMAX_SCHEMA}, bool mean, float? normalizer, "
    "bool with_grad) -> (Tensor loss, Tensor grad)",
    "softmax_loss_": f"(Tensor(a!) logits, Tensor target, {SOFTMAX_SCHEMA}, bool mean, float? normalizer) "
    "-> Tensor",
    "sigmoid_nll": f"(Tensor logits, Tensor target, {_SIGMOID}) -> Tensor",
    "sigmoid_nll_backward": f"({_GRAD[1]}, Tensor logits, Tensor target, {_SIGMOID}) -> Tensor",
    "sigmoid_loss": f"(Tensor logits, Tensor target, {_SIGMOID}, bool mean, float? normalizer, "
    "bool with_grad) -> (Tensor loss, Tensor grad)",
    # The gradient that a forward pass made for an upstream gradient of 1, made in its place for this one.
    "softmax_loss_backward_": "(Tensor(a!) grad, Tensor upstream, Tensor logits, Tensor target, "
    f"{SOFTMAX_SCHEMA}, bool mean, float? normalizer) -> ()",
    "sigmoid_loss_backward_": f"(Tensor(a!) grad, Tensor upstream, Tensor logits, Tensor target, {_SIGMOID}, "
    "bool mean, float? normalizer) -> ()",
    "scale_": "(Tensor(a!) grad, Tensor upstream, bool whatever_rounding) -> bool",
}


@cache
def register() -> None:
    """Complete the ops of the C++ library, or declare them where there is none, for other devices."""
    for name, schema in SCHEMAS.items():
        if not hasattr(torch.ops.likelihead, name):
            torch.library.define(f"likelihead::{name}", schema)
    for name, shapes in _SHAPES.items():
        if not hasattr(torch.ops.likelihead, name):
            continue  # the plain losses are the CPU's alone
        torch.library.register_fake(f"likelihead::{name}")(_on_one_device(name, shapes))
    torch.library.register_autograd(
        "likelihead::softmax_nll", _softmax_nll_derivative, setup_context=_save_softmax_nll
    )
    torch.library.register_autograd(
        "likelihead::sigmoid_nll", _sigmoid_nll_derivative, setup_context=_save_sigmoid_nll
    )
    for name in ("softmax_nll", "softmax_nll_backward", "sigmoid_nll", "sigmoid_nll_backward"):
        torch.library.register_vmap(f"likelihead::{name}", _batched(getattr(torch.ops.likelihead, name)))


def _on_one_device(name: str, shapes: Callable[..., Any]) -> Callable[..., Any]:
    """The shape-only stand-in of an op, which a single tensor on meta is enough to call.

    It is for calls without any values. Beside real logits it would answer with memory as it happens to be.
    """
    names = [argument.name for argument in getattr(torch.ops.likelihead, name).default._schema.arguments]

    def fake(*arguments: Any) -> Any:
        given = {n: a for n, a in zip(names, arguments, strict=False) if isinstance(a, Tensor)}
        first = "logits" if "logits" in given else next(iter(given))
        check_devices(first, given.pop(first), scalars=_SCALARS, **given)
        return shapes(*arguments)

    return fake


# A 0-d tensor on the CPU stands for its number, as anywhere in torch.
_SCALARS = ("weight", "pos_weight", "grad_nll", "grad_lse", "grad_entropy")


def _softmax_nll_fake(logits: Tensor, target: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
    shape = (logits.shape[0], *logits.shape[2:])
    dtype = compute_dtype(logits.dtype)
    return logits.new_empty(shape, dtype=dtype), logits.new_empty(shape, dtype=dtype)


def _softmax_nll_backward_fake(
    grad_nll: Tensor | None, grad_lse: Tensor | None, scale: float, mean: bool, logits: Tensor, *rest: Any
) -> Tensor:
    return torch.empty_like(logits)


def _softmax_nll_in_place_fake(
    grad_nll: Tensor | None, grad_lse: Tensor | None, scale: float, logits: Tensor, target: Tensor, *rest: Any
) -> tuple[Tensor, Tensor]:
    return _softmax_nll_fake(logits, target)


def _softmax_scores_fake(
    grad_nll: Tensor | None,
    grad_lse: Tensor | None,
    grad_entropy: Tensor | None,
    logits: Tensor,
    target: Tensor,
    ignore_index: int,
    softcap: float,
    prediction: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    nll, lse = _softmax_nll_fake(logits, target)
    first = logits.new_empty(logits.shape[0] if prediction else 0, dtype=torch.int64)
    return nll, lse, torch.empty_like(lse), first


def _softmax_loss_fake(logits: Tensor, target: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
    with_grad = options[-1]
    loss = logits.new_empty((), dtype=compute_dtype(logits.dtype))
    return loss, torch.empty_like(logits) if with_grad else logits.new_empty(0)


def _softmax_kl_fake(grad: Tensor | None, logits: Tensor, *rest: Any) -> Tensor:
    return logits.new_empty(logits.shape[0], dtype=compute_dtype(logits.dtype))


# The arguments that have their defaults are left out here.
def _softmax_plain_fake(
    logits: Tensor, target: Tensor, ignore_index: int = -100, mean: bool = True, with_grad: bool = True
) -> tuple[Tensor, Tensor]:
    return _softmax_loss_fake(logits, target, with_grad)


def _sigmoid_plain_fake(
    logits: Tensor,
    target: Tensor,
    mean: bool = True,
    with_grad: bool = True,
    pos_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    return _softmax_loss_fake(logits, target, with_grad)


def _softmax_loss_in_place_fake(logits: Tensor, target: Tensor, *options: Any) -> Tensor:
    return logits.new_empty((), dtype=compute_dtype(logits.dtype))


def _save_softmax_nll(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    (*before, logit_offset, torch_nonfinite, where, focal_gamma, sample_weight) = inputs
    logits, target, weight, *numbers = before
    ctx.save_for_backward(logits, target, weight, logit_offset, where, sample_weight)
    ctx.numbers, ctx.torch_nonfinite, ctx.focal_gamma = tuple(numbers), torch_nonfinite, focal_gamma
    ctx.set_materialize_grads(False)


def _softmax_nll_derivative(
    ctx: Any, grad_nll: Tensor | None, grad_lse: Tensor | None
) -> tuple[Tensor | None, ...]:
    logits, target, weight, logit_offset, where, sample_weight = ctx.saved_tensors
    label_smoothing, ignore_index, z_loss, softcap = ctx.numbers
    nothing = (None,) * 12
    if grad_nll is None and grad_lse is None:
        return nothing
    places = (0, 1, 2, 7, 11)
    asked = [i for i in places if ctx.needs_input_grad[i]]
    if not torch.is_grad_enabled() and asked == [0]:
        grad = torch.ops.likelihead.softmax_nll_backward(
            grad_nll,
            grad_lse,
            1.0,
            False,
            logits,
            target,
            weight,
            *ctx.numbers,
            logit_offset,
            ctx.torch_nonfinite,
            where,
            ctx.focal_gamma,
            sample_weight,
        )
        return (grad, *nothing[1:])
    inputs = dict(zip(places, (logits, target, weight, logit_offset, sample_weight), strict=True))
    with torch.enable_grad():
        outputs = reference(
            logits,
            target,
            weight=weight,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            z_loss=z_loss,
            softcap=softcap or None,
            logit_offset=logit_offset,
            torch_nonfinite=ctx.torch_nonfinite,
            where=where,
            focal_gamma=ctx.focal_gamma,
            sample_weight=sample_weight,
        )
        known = [(o, g) for o, g in zip(outputs, (grad_nll, grad_lse), strict=True) if g is not None]
        grads = torch.autograd.grad(
            [o for o, _ in known],
            [inputs[i] for i in asked],
            [g for _, g in known],
            create_graph=True,
            allow_unused=True,
        )
    found = dict(zip(asked, grads, strict=True))
    return tuple(found.get(i) for i in range(12))


def _sigmoid_nll_fake(logits: Tensor, target: Tensor, *options: Any) -> Tensor:
    return logits.new_empty(logits.shape, dtype=compute_dtype(logits.dtype))


def _sigmoid_nll_backward_fake(grad_nll: Tensor, scale: float, logits: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(logits, memory_format=torch.contiguous_format)


def _save_sigmoid_nll(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, skip_nan_target, torch_nonfinite, label_smoothing, prior, gamma, alpha, sample_weight = inputs
    ctx.save_for_backward(*tensors, prior, sample_weight)
    ctx.flags = (skip_nan_target, torch_nonfinite, label_smoothing, gamma, alpha)


def _sigmoid_nll_derivative(ctx: Any, grad_nll: Tensor) -> tuple[Tensor | None, ...]:
    logits, target, weight, pos_weight, mask, prior, sample_weight = ctx.saved_tensors
    skip_nan_target, torch_nonfinite, label_smoothing, focal_gamma, focal_alpha = ctx.flags
    tensors = {0: logits, 1: target, 2: weight, 3: pos_weight, 8: prior, 11: sample_weight}
    asked = [i for i in tensors if ctx.needs_input_grad[i]]
    if not torch.is_grad_enabled() and asked == [0]:
        grad = torch.ops.likelihead.sigmoid_nll_backward(
            grad_nll,
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
        return (grad, *(None,) * 11)
    with torch.enable_grad():
        nll = sigmoid_reference(
            logits,
            target,
            weight=weight,
            pos_weight=pos_weight,
            mask=mask,
            skip_nan_target=skip_nan_target,
            torch_nonfinite=torch_nonfinite,
            label_smoothing=label_smoothing,
            prior=prior,
            focal_gamma=focal_gamma,
            focal_alpha=None if focal_alpha < 0 else focal_alpha,
            sample_weight=sample_weight,
        )
        grads = torch.autograd.grad(
            nll, [tensors[i] for i in asked], grad_nll, create_graph=True, allow_unused=True
        )
    found = dict(zip(asked, grads, strict=True))
    return tuple(found.get(i) for i in range(12))


_SHAPES: dict[str, Callable[..., Any]] = {
    "softmax_nll": _softmax_nll_fake,
    "softmax_nll_backward": _softmax_nll_backward_fake,
    "softmax_nll_": _softmax_nll_in_place_fake,
    "softmax_scores_": _softmax_scores_fake,
    "softmax_loss": _softmax_loss_fake,
    "softmax_loss_": _softmax_loss_in_place_fake,
    "softmax_kl_": _softmax_kl_fake,
    "softmax_plain": _softmax_plain_fake,
    "sigmoid_nll": _sigmoid_nll_fake,
    "sigmoid_nll_backward": _sigmoid_nll_backward_fake,
    "sigmoid_loss": _softmax_loss_fake,
    "sigmoid_plain": _sigmoid_plain_fake,
}


def _batched(op: Any) -> Any:
    """One call per element of the batch: right for every combination of batched arguments.

    `torch.func.vmap` of a loss goes through the reference backend and never comes here; gradients of a batch
    of upstream gradients do.
    """

    def rule(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        def pick(i: int) -> Any:
            pairs = zip(arguments, in_dims, strict=True)
            return op(*(a if d is None else a.select(d, i) for a, d in pairs))

        parts = [pick(i) for i in range(info.batch_size)]
        if isinstance(parts[0], Tensor):
            return torch.stack(parts), 0
        return tuple(torch.stack(column) for column in zip(*parts, strict=True)), (0,) * len(parts[0])

    return rule
