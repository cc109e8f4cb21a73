"""Categorical negative log-likelihood of a linear head, without its logits, and how it is differentiated.

The gradients of a *reduced* loss are made in the forward pass, chunk by chunk while the logits are there:
three products in all. The first backward gives them away; any further makes them anew. Those of per-token
values are made in the backward pass, which computes the logits of a chunk again: four products.

What this does not differentiate goes through the logits and the reference backend: second derivatives,
forward mode, the transforms of ``torch.func``, and derivatives by anything but hidden states, weight and
bias.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from likelihead.core.reduction import Normalizer
from likelihead.core.reduction import reduce as reduce_values
from likelihead.kernels.fused.calls import PLAIN, is_batched, needs_reference
from likelihead.kernels.fused.linear_chunks import Head, Upstream, looks, run
from likelihead.kernels.fused.products import scaled_by
from likelihead.kernels.fused.registration import SOFTMAX_SCHEMA
from likelihead.kernels.fused.softmax_nll import by_name, in_order
from likelihead.kernels.ops import SoftmaxOptions, compute_dtype, softmax_count
from likelihead.kernels.reference.linear_softmax_nll import linear_softmax_loss as reference_loss
from likelihead.kernels.reference.linear_softmax_nll import linear_softmax_nll as reference

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["linear_softmax_loss", "linear_softmax_nll"]


def linear_softmax_nll(
    hidden: Tensor,
    head_weight: Tensor,
    target: Tensor,
    head_bias: Tensor | None = None,
    *,
    backend: str,
    entropy: bool = False,
    logit_scale: float = 1.0,
    chunk_tokens: int = 0,
    **options: Unpack[SoftmaxOptions],
) -> tuple[Tensor, Tensor, Tensor | None]:
    """See `likelihead.kernels.ops.LinearSoftmaxNLL`."""
    if _through_logits(hidden, head_weight, target, options):
        return reference(
            hidden, head_weight, target, head_bias, entropy=entropy, logit_scale=logit_scale, **options
        )
    nll, lse, found = torch.ops.likelihead.linear_softmax_nll(
        *_as_autocast(hidden, head_weight, head_bias),
        target,
        *in_order(**options),
        logit_scale,
        chunk_tokens,
        backend,
        entropy,
    )
    return nll, lse, found if entropy else None


def linear_softmax_loss(
    hidden: Tensor,
    head_weight: Tensor,
    target: Tensor,
    head_bias: Tensor | None = None,
    *,
    backend: str,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    logit_scale: float = 1.0,
    chunk_tokens: int = 0,
    **options: Unpack[SoftmaxOptions],
) -> Tensor:
    """See `likelihead.kernels.ops.LinearSoftmaxLoss`."""
    if _through_logits(hidden, head_weight, target, options):
        return reference_loss(
            hidden, head_weight, target, head_bias, reduction=reduction, normalizer=normalizer,
            logit_scale=logit_scale, **options,
        )  # fmt: skip
    if isinstance(normalizer, Tensor):
        # Not read, which would wait for it and lose its graph: the gradient of the sum is scaled later.
        total = linear_softmax_loss(
            hidden, head_weight, target, head_bias, backend=backend, reduction="sum", logit_scale=logit_scale,
            chunk_tokens=chunk_tokens, **options,
        )  # fmt: skip
        return reduce_values(total, reduction, normalizer=normalizer)
    hidden, head_weight, head_bias = _as_autocast(hidden, head_weight, head_bias)
    divisor = None if normalizer is None else float(normalizer)
    given = (*in_order(**options), logit_scale, chunk_tokens, backend, reduction == "mean", divisor)
    differentiated = torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (hidden, head_weight, head_bias)
    )
    known = type(hidden) in PLAIN and not hidden.is_meta
    if torch.compiler.is_compiling() or not known or not differentiated:
        early = differentiated and hidden.dtype != torch.float16
        wanted = [early and t is not None and t.requires_grad for t in (hidden, head_weight, head_bias)]
        loss: Tensor = torch.ops.likelihead.linear_softmax_loss(
            hidden, head_weight, head_bias, target, *given, wanted
        )[0]
        return loss
    applied: Tensor = _Loss.apply(  # type: ignore[no-untyped-call]
        hidden, head_weight, head_bias, target, given
    )
    return applied


def _as_autocast(*tensors: Tensor | None) -> tuple[Any, ...]:
    """The tensors in the dtype that autocast gives a linear layer, or as they are."""
    kind = next(t.device.type for t in tensors if t is not None)
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return tensors
    dtype = torch.get_autocast_dtype(kind)
    return tuple(
        t.to(dtype) if t is not None and t.is_floating_point() and t.dtype != torch.float64 else t
        for t in tensors
    )


def _no_autocast(like: Tensor) -> AbstractContextManager[Any]:
    """For what is differentiated: in the dtypes of the forward pass, which autocast has given already."""
    return nullcontext() if like.is_meta else torch.autocast(like.device.type, enabled=False)


def _through_logits(hidden: Tensor, head_weight: Tensor, target: Tensor, options: SoftmaxOptions) -> bool:
    """Whether the call is differentiated, or made of tensors, that the chunks do not serve."""
    others = (options.get("weight"), options.get("logit_offset"), options.get("sample_weight"))
    return (
        needs_reference(target, *others)
        or torch._C._get_tracing_state() is not None
        or not all(type(t) in PLAIN or isinstance(t, FakeTensor) for t in (hidden, head_weight))
    )


def _count(target: Tensor, head_weight: Tensor, options: SoftmaxOptions) -> Tensor | int:
    """What a mean divides by."""
    weight = options.get("weight")
    return softmax_count(
        target,
        head_weight.shape[0],
        weight=None if weight is None else weight.to(compute_dtype(head_weight.dtype)),
        ignore_index=options.get("ignore_index", -100),
        sample_weight=options.get("sample_weight"),
    )


# The torch ops, in the order of their schemas: hidden, weight, bias, target, ten options, then their own.
_OPTIONS = 10


def _head(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, *rest: Any
) -> tuple[Head, Any]:
    options, (scale, chunk, backend, *own) = rest[:_OPTIONS], rest[_OPTIONS:]
    return Head(hidden, weight, bias, target, options, scale, chunk, backend), own


def _values(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    head, (entropy,) = _head(*arguments)
    found = run(head, wanted=(False, False, False), entropy=entropy)
    return found.nll, found.lse, _or_nothing(found.entropy, head.hidden)


def _backward(
    grad_nll: Tensor | None, grad_lse: Tensor | None, grad_entropy: Tensor | None, *arguments: Any
) -> tuple[Tensor, Tensor, Tensor]:
    head, (wanted,) = _head(*arguments)
    found = run(head, Upstream(grad_nll, grad_lse, grad_entropy), wanted=tuple(wanted), entropy=False)
    return _gradients(found, head)


def _loss(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    head, (mean, normalizer, wanted) = _head(*arguments)
    count, one = _upstream_of(head, mean, normalizer)
    found = run(head, Upstream(one) if any(wanted) else None, wanted=tuple(wanted), entropy=False)
    loss = reduce_values(found.nll, "mean" if mean else "sum", count=count, normalizer=normalizer)
    return (loss, *_gradients(found, head))


def _upstream_of(head: Head, mean: bool, normalizer: float | None) -> tuple[Tensor | int | None, Tensor]:
    """What the reduction divides by, and what that makes of an upstream gradient of 1 for each token."""
    wide = compute_dtype(head.hidden.dtype)
    one = torch.ones((), dtype=wide, device=head.hidden.device)
    if not mean:
        return None, one
    if normalizer is not None:
        return None, one / normalizer
    count = _count(head.target, head.weight, by_name(head.options))
    return count, (one / count).to(wide)


def _gradients(found: Any, head: Head) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(_or_nothing(g, head.hidden) for g in (found.hidden, found.weight, found.bias))  # type: ignore[return-value]


def _or_nothing(tensor: Tensor | None, like: Tensor) -> Tensor:
    return like.new_empty(0) if tensor is None else tensor


class _Loss(torch.autograd.Function):
    """The reduced loss of plain tensors."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, given: tuple[Any, ...]
    ) -> Tensor:
        ctx.wanted = tuple(ctx.needs_input_grad[:3])
        # float16 would underflow before the loss scale of mixed precision comes from above.
        early = hidden.dtype != torch.float16 and not _recomputed()
        loss, *made = _loss(hidden, weight, bias, target, *given, ctx.wanted if early else (False,) * 3)
        ctx.made = [made] if early else []
        ctx.numbers, tensors = _apart(given)
        ctx.save_for_backward(hidden, weight, bias, target, *tensors)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        if not torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
            made = _scaled(ctx, upstream)
            if made is not None:
                return (*made, None, None)
        hidden, weight, bias, target, *tensors = ctx.saved_tensors
        given = _together(ctx.numbers, tensors)
        return (*_anew(upstream, hidden, weight, bias, target, *given, ctx.wanted), None, None)


def _recomputed() -> bool:
    """Whether a checkpoint computes the forward pass again for what it saves, not to differentiate it.

    That happens within a backward pass and with hooks on what is saved; the reentrant kind has no hooks, and
    differentiates what it computes.
    """
    if torch._C._current_graph_task_id() == -1:
        return False
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


_TENSORS = (0, 5, 7, 9)  # of the options


def _apart(given: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[Tensor | None]]:
    numbers = tuple(None if k in _TENSORS else option for k, option in enumerate(given))
    return numbers, [given[k] for k in _TENSORS]


def _together(numbers: tuple[Any, ...], tensors: Any) -> tuple[Any, ...]:
    found = dict(zip(_TENSORS, tensors, strict=True))
    return tuple(found.get(k, option) for k, option in enumerate(numbers))


def _scaled(ctx: Any, upstream: Tensor) -> list[Tensor | None] | None:
    """The gradients of the forward pass, times the upstream gradient, where they are still there."""
    if is_batched(upstream):  # several upstream gradients at once, in one tensor that shows as one number
        return None
    try:
        made = ctx.made.pop()  # atomic: of two concurrent backwards one gets it
    except IndexError:
        return None
    wanted = [grad if want else None for grad, want in zip(made, ctx.wanted, strict=True)]
    if looks(upstream.device) and upstream.item() == 1:
        return wanted
    return [None if g is None else scaled_by(upstream, g) for g in wanted]


def _anew(upstream: Tensor, *arguments: Any) -> list[Tensor | None]:
    """The gradients of the reduced loss by hidden states, weight and bias, from the start."""
    head, (mean, normalizer, wanted) = _head(*arguments)
    inputs = (head.hidden, head.weight, head.bias)
    if not torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
        _, one = _upstream_of(head, mean, normalizer)
        grads = torch.ops.likelihead.linear_softmax_nll_backward(
            one * upstream, None, None, *arguments[: 4 + _OPTIONS + 3], wanted
        )
        return [g if want else None for g, want in zip(grads, wanted, strict=True)]
    with torch.enable_grad(), _no_autocast(head.hidden):
        loss = reference_loss(
            head.hidden, head.weight, head.target, head.bias, reduction="mean" if mean else "sum",
            normalizer=normalizer, logit_scale=head.scale, **by_name(head.options),
        )  # fmt: skip
        asked = [t for t, want in zip(inputs, wanted, strict=True) if want and t is not None]
        found = iter(torch.autograd.grad(loss, asked, upstream, create_graph=True))
    return [next(found) if want else None for want in wanted]


# The ops as torch knows them: what the compiler, the exporter and autograd ask of them.
_SCHEMA = (
    "Tensor hidden, Tensor head_weight, Tensor? head_bias, Tensor target, " + SOFTMAX_SCHEMA + ", "
    "float logit_scale, int chunk_tokens, str backend"
)
_SCHEMAS = {
    "linear_softmax_nll": (_values, f"({_SCHEMA}, bool entropy) -> (Tensor nll, Tensor lse, Tensor entropy)"),
    "linear_softmax_nll_backward": (
        _backward,
        "(Tensor? grad_nll, Tensor? grad_lse, Tensor? grad_entropy, "
        f"{_SCHEMA}, bool[3] wanted) -> (Tensor hidden, Tensor weight, Tensor bias)",
    ),
    "linear_softmax_loss": (
        _loss,
        f"({_SCHEMA}, bool mean, float? normalizer, bool[3] wanted) "
        "-> (Tensor loss, Tensor hidden, Tensor weight, Tensor bias)",
    ),
}


def _like_inputs(wanted: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
    return tuple(
        torch.empty_like(t, memory_format=torch.contiguous_format)
        if want and t is not None
        else hidden.new_empty(0)
        for t, want in zip((hidden, weight, bias), wanted, strict=True)
    )


def _values_fake(hidden: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    nll, lse = (hidden.new_empty(hidden.shape[0], dtype=compute_dtype(hidden.dtype)) for _ in range(2))
    return nll, lse, torch.empty_like(nll) if rest[-1] else hidden.new_empty(0)


def _backward_fake(
    grad_nll: Any,
    grad_lse: Any,
    grad_entropy: Any,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *rest: Any,
) -> tuple[Tensor, ...]:
    return _like_inputs(rest[-1], hidden, weight, bias)


def _loss_fake(hidden: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> tuple[Tensor, ...]:
    loss = hidden.new_empty((), dtype=compute_dtype(hidden.dtype))
    return (loss, *_like_inputs(rest[-1], hidden, weight, bias))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any, made: tuple[Tensor, ...] = ()) -> None:
    hidden, weight, bias, target, *given = inputs
    ctx.numbers, tensors = _apart(tuple(given))
    ctx.save_for_backward(hidden, weight, bias, target, *tensors, *made)
    ctx.set_materialize_grads(False)


def _save_loss(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    _save(ctx, inputs, output, output[1:])


def _values_derivative(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
    hidden, weight, bias, target, *tensors = ctx.saved_tensors
    *given, entropy = _together(ctx.numbers, tensors)
    nothing = (None,) * (len(given) + 2)
    if not entropy:
        upstream = (*upstream[:2], None)  # of nothing
    if all(up is None for up in upstream):
        return (*nothing, None, None, None)
    wanted = list(ctx.needs_input_grad[:3])
    if not torch.is_grad_enabled():
        grads = torch.ops.likelihead.linear_softmax_nll_backward(
            *upstream, hidden, weight, bias, target, *given, wanted
        )
        return (*(g if want else None for g, want in zip(grads, wanted, strict=True)), *nothing)
    with torch.enable_grad(), _no_autocast(hidden):
        *options, scale, _, _ = given
        outputs = reference(
            hidden, weight, target, bias, entropy=entropy, logit_scale=scale, **by_name(tuple(options))
        )
        known = [(o, g) for o, g in zip(outputs, upstream, strict=True) if g is not None and o is not None]
        asked = [t for t, want in zip((hidden, weight, bias), wanted, strict=True) if want and t is not None]
        found = iter(
            torch.autograd.grad([o for o, _ in known], asked, [g for _, g in known], create_graph=True)
        )
    return (*(next(found) if want else None for want in wanted), *nothing)


def _loss_derivative(ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    hidden, weight, bias, target, *tensors = ctx.saved_tensors
    tensors, grads = tensors[:-3], tensors[-3:]
    *given, made = _together(ctx.numbers, tensors)
    nothing = (None,) * (len(given) + 2)
    if upstream is None:
        return (*nothing, None, None, None)
    wanted = ctx.needs_input_grad[:3]
    if torch.is_grad_enabled() or list(wanted) != list(made):
        return (*_anew(upstream, hidden, weight, bias, target, *given, wanted), *nothing)
    scaled = ((g * upstream).to(g.dtype) if want else None for g, want in zip(grads, wanted, strict=True))
    return (*scaled, *nothing)


def _register() -> torch.library.Library:
    library = torch.library.Library("likelihead", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, (function, schema) in _SCHEMAS.items():
        library.define(name + schema)  # type: ignore[no-untyped-call]
        library.impl(name, function, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    fakes: tuple[Callable[..., Any], ...] = (_values_fake, _backward_fake, _loss_fake)
    for name, fake in zip(_SCHEMAS, fakes, strict=True):
        torch.library.register_fake(f"likelihead::{name}", fake, lib=library)
    torch.library.register_autograd(
        "likelihead::linear_softmax_nll", _values_derivative, setup_context=_save, lib=library
    )
    torch.library.register_autograd(
        "likelihead::linear_softmax_loss", _loss_derivative, setup_context=_save_loss, lib=library
    )
    return library


_LIBRARY = _register()  # it holds the registrations
