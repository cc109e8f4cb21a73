"""Divergence of two linear heads without their logits: chunks of tokens, and how they are differentiated.

A chunk is a product for each head and one for each of the student's gradients: four for a reduced loss, whose
gradients are made in the forward pass, six for per-token values, whose backward pass makes both heads' logits
again. Between the products the rows are few enough at a time to stay in the caches.

What this does not differentiate goes through the logits, as in `linear_softmax_nll`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from likelihead.core.reduction import Normalizer
from likelihead.core.reduction import reduce as reduce_values
from likelihead.core.sample_weight import weighted_count
from likelihead.kernels.fused.calls import PLAIN, needs_reference
from likelihead.kernels.fused.linear_chunks import SOFTMAX, chunk_rows, looks, rows_at_once
from likelihead.kernels.fused.linear_softmax_nll import _scaled
from likelihead.kernels.fused.products import HeadGradient, logits_of, new_buffer, times_head
from likelihead.kernels.ops import KLOptions, compute_dtype
from likelihead.kernels.reference.linear_kl import (
    bent,
    bucket_log_probs,
    buckets,
    distributions,
    divergence,
    log_ratio,
)
from likelihead.kernels.reference.linear_kl import linear_kl as reference

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["linear_kl"]

_LIKE_LOGITS = 8  # tensors of the logits' size that a divergence of torch's operators holds
_FINITE = 80.0  # e to it is, in float32


class _Pair(NamedTuple):
    """A student and its teacher, in the order of the ops."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    teacher: Tensor
    teacher_weight: Tensor | None
    teacher_bias: Tensor | None
    teacher_index: Tensor | None
    sample_weight: Tensor | None
    direction: str
    beta: float
    temperature: float
    softcap: float  # 0 for none, as the teacher's
    teacher_softcap: float
    chunk: int
    backend: str


_FIELDS = len(_Pair._fields)
_TENSORS = 8  # of them


def linear_kl(
    hidden: Tensor,
    head_weight: Tensor,
    teacher: Tensor,
    teacher_weight: Tensor | None = None,
    *,
    backend: str,
    head_bias: Tensor | None = None,
    teacher_bias: Tensor | None = None,
    teacher_index: Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    chunk_tokens: int = 0,
    **options: Unpack[KLOptions],
) -> Tensor:
    """See `likelihead.kernels.ops.LinearKL`."""
    pair = _Pair(
        hidden,
        head_weight,
        head_bias,
        teacher,
        teacher_weight,
        teacher_bias,
        teacher_index,
        sample_weight,
        options.get("direction", "forward"),
        options.get("beta", 0.5),
        options.get("temperature", 1.0),
        options.get("softcap") or 0.0,
        options.get("teacher_softcap") or 0.0,
        chunk_tokens,
        backend,
    )
    if _through_logits(pair):
        return _by_logits(pair, reduction, normalizer)
    if reduction == "none":
        values: Tensor = torch.ops.likelihead.linear_kl(*pair)
        return values
    if isinstance(normalizer, Tensor):
        # Not read, which would wait for it and lose its graph: the gradient of the sum is scaled later.
        return reduce_values(_reduced(pair, False, None), reduction, normalizer=normalizer)
    return _reduced(pair, reduction == "mean", None if normalizer is None else float(normalizer))


def _reduced(pair: _Pair, mean: bool, normalizer: float | None) -> Tensor:
    asked = [torch.is_grad_enabled() and t is not None and t.requires_grad for t in pair[:3]]
    plain = type(pair.hidden) in PLAIN and not pair.hidden.is_meta
    if torch.compiler.is_compiling() or not plain or not any(asked):
        # float16 would underflow before the loss scale of mixed precision comes from above.
        early = [want and pair.hidden.dtype != torch.float16 for want in asked]
        loss: Tensor = torch.ops.likelihead.linear_kl_loss(*pair, mean, normalizer, early)[0]
        return loss
    applied: Tensor = _Loss.apply(mean, normalizer, *pair)  # type: ignore[no-untyped-call]
    return applied


def _through_logits(pair: _Pair) -> bool:
    """Whether the call is differentiated, or made of tensors, that the chunks do not serve."""
    return (
        needs_reference(
            pair.teacher, pair.teacher_weight, pair.teacher_bias, pair.teacher_index, pair.sample_weight
        )
        or torch._C._get_tracing_state() is not None
        or not all(type(t) in PLAIN or isinstance(t, FakeTensor) for t in pair[:2])
    )


def _by_logits(pair: _Pair, reduction: str, normalizer: Normalizer | None = None) -> Tensor:
    return reference(
        pair.hidden,
        pair.weight,
        pair.teacher,
        pair.teacher_weight,
        head_bias=pair.bias,
        teacher_bias=pair.teacher_bias,
        teacher_index=pair.teacher_index,
        sample_weight=pair.sample_weight,
        reduction=reduction,
        normalizer=normalizer,
        direction=pair.direction,
        beta=pair.beta,
        temperature=pair.temperature,
        softcap=pair.softcap,
        teacher_softcap=pair.teacher_softcap,
    )


class _Result(NamedTuple):
    values: Tensor  # of each token
    hidden: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


@torch.no_grad()
def _run(pair: _Pair, upstream: Tensor | None, wanted: tuple[bool, ...]) -> _Result:
    """The values, and for an upstream gradient, one number or one per token, the gradients ``wanted``."""
    hidden, weight, scale = pair.hidden, pair.weight, 1 / pair.temperature
    wide = compute_dtype(hidden.dtype)
    kept = None if pair.sample_weight is None else pair.sample_weight != 0
    rows = None
    if kept is not None and looks(hidden.device):
        rows, kept = kept.nonzero().squeeze(1), None  # what is left out takes no product
    tokens, classes = hidden.shape[0], weight.shape[0]
    count = tokens if rows is None else rows.numel()
    step = max(1, min(chunk_rows(hidden, classes, pair.chunk), count))
    new = hidden.new_empty if rows is None else hidden.new_zeros
    values = new(tokens, dtype=wide)
    of_hidden = new(hidden.shape) if wanted[0] else None
    of_weight = HeadGradient(weight, several=count > step) if wanted[1] else None
    of_bias = hidden.new_zeros(classes, dtype=wide) if wanted[2] else None
    buffer, second = new_buffer(hidden[:step], weight), None
    if pair.teacher_weight is not None:
        second = new_buffer(pair.teacher[:step], pair.teacher_weight)
    for start in range(0, count, step):
        at: Any = slice(start, min(start + step, count))
        if rows is not None:
            at = rows[at]
        x, teacher = hidden[at], pair.teacher[at]
        index = None if pair.teacher_index is None else pair.teacher_index[at]
        each = None if pair.sample_weight is None else pair.sample_weight[at].to(wide)
        if kept is not None:
            # NaN would come back in the gradient as 0 * NaN.
            left = kept[at].unsqueeze(1)
            x, teacher = torch.where(left, x, 0), torch.where(left, teacher, 0)
            index = None if index is None else torch.where(left, index, 0)
        if pair.teacher_weight is not None:
            teacher = logits_of(teacher, pair.teacher_weight, pair.teacher_bias, scale, second)
        logits = logits_of(x, weight, pair.bias, scale, buffer)
        up = None
        if upstream is not None:
            up = upstream if upstream.dim() == 0 else upstream[at]
            up = up if each is None else up * each
        found = _divergence_(logits, teacher, index, pair, up)
        values[at] = found if each is None else torch.where(each == 0, 0, found * each)
        del teacher
        # From here on the logits are their gradient.
        if of_hidden is not None:
            out = of_hidden[at] if rows is None else torch.empty_like(x)
            times_head(logits, weight, scale, out)
            if rows is not None:
                of_hidden[at] = out
        if of_weight is not None:
            of_weight.add(logits, x, scale)
        if of_bias is not None:
            of_bias += logits.sum(0, dtype=wide)
        del logits  # before the next are made
    if of_bias is not None and pair.bias is not None:
        of_bias = of_bias.mul_(scale).to(pair.bias.dtype)
    return _Result(values, of_hidden, None if of_weight is None else of_weight.done(), of_bias)


def _divergence_(
    logits: Tensor, teacher: Tensor, index: Tensor | None, pair: _Pair, upstream: Tensor | None
) -> Tensor:
    """The values of a chunk; over its logits, where there is an upstream gradient, their gradient."""
    if index is None and logits.dtype == teacher.dtype:
        kl_ = SOFTMAX[pair.backend].kl(logits.device)
        if kl_ is not None:
            caps = pair.softcap / pair.temperature, pair.teacher_softcap / pair.temperature
            of_kernel: Tensor = kl_(upstream, logits, teacher, pair.direction, pair.beta, *caps)
            return of_kernel
    wide = torch.promote_types(compute_dtype(logits.dtype), compute_dtype(teacher.dtype))
    values = logits.new_empty(logits.shape[0], dtype=wide)
    step = rows_at_once(logits, _LIKE_LOGITS)
    for start in range(0, logits.shape[0], step):
        at = slice(start, start + step)
        raw, t = logits[at].to(wide), teacher[at].to(wide)
        z = bent(raw, pair.softcap, pair.temperature)
        wants = upstream is not None
        if index is not None:
            values[at], gradient = _of_buckets(z, t, index[at], wants)
        else:
            t = bent(t, pair.teacher_softcap, pair.temperature)
            p, q, ratio = distributions(t, z)
            found = _quick(p, q, ratio, pair) if looks(z.device) else None
            values[at], slope = found or divergence(p, q, ratio, pair.direction, pair.beta)
            gradient = slope
            if wants and pair.direction != "forward":
                # An infinite value has no gradient: NaN, as from the logits.
                mean = (q * slope).sum(1) + (values[at] - values[at])
                gradient = slope.sub_(mean.unsqueeze(1)).mul_(q)
        if upstream is not None and gradient is not None:
            if pair.softcap:
                cap = pair.softcap / pair.temperature
                gradient = gradient * (1 - (z / cap).square())
            up = upstream if upstream.dim() == 0 else upstream[at].unsqueeze(1)
            logits[at] = gradient.mul_(up.to(wide))
    return values.to(compute_dtype(logits.dtype))


def _quick(p: Tensor, q: Tensor, ratio: Tensor, pair: _Pair) -> tuple[Tensor, Tensor] | None:
    """The divergence by fewer steps, or None where the values show that they do not do."""
    if not bool((ratio.min() > -_FINITE) & (ratio.max() < _FINITE)):
        return None
    values, slope = divergence(p, q, ratio, pair.direction, pair.beta, quick=True)
    # Rounding in the last place of the ratios' exponentials: of this value a 1e-5th.
    return None if bool(values.min() < 1e-3) else (values, slope)


def _of_buckets(z: Tensor, log_probs: Tensor, index: Tensor, wants: bool) -> tuple[Tensor, Tensor | None]:
    """The forward divergence of the buckets, and its derivative by the logits."""
    log_p, log_q = buckets(log_probs, z.shape[1]), bucket_log_probs(z, index)
    values, difference = divergence(log_p.exp(), log_q.exp(), log_ratio(log_p, log_q, 0), "forward")
    if not wants:
        return values, None
    index = index.long()
    k = index.shape[1]
    if k == z.shape[1]:
        return values, torch.empty_like(z).scatter_(1, index, difference)
    # A class of the rest has its share of the rest's difference.
    others = z.scatter(1, index, -torch.inf).softmax(1).nan_to_num_(nan=0.0)
    return values, others.mul_(difference[:, k:]).scatter_(1, index, difference[:, :k])


# The torch ops: the pair, then their own.
def _values(*given: Any) -> Tensor:
    return _run(_Pair(*given), None, (False, False, False)).values


def _backward(upstream: Tensor, *given: Any) -> tuple[Tensor, ...]:
    pair, wanted = _Pair(*given[:_FIELDS]), given[_FIELDS]
    return _gradients(_run(pair, upstream, tuple(wanted)), pair)


def _loss(*given: Any) -> tuple[Tensor, ...]:
    pair, (mean, normalizer, wanted) = _Pair(*given[:_FIELDS]), given[_FIELDS:]
    count, one = _upstream_of(pair, mean, normalizer)
    found = _run(pair, one if any(wanted) else None, tuple(wanted))
    loss = reduce_values(found.values, "mean" if mean else "sum", count=count, normalizer=normalizer)
    return (loss, *_gradients(found, pair))


def _upstream_of(pair: _Pair, mean: bool, normalizer: float | None) -> tuple[Tensor | int | None, Tensor]:
    """What the reduction divides by, and what that makes of an upstream gradient of 1 for each token."""
    one = torch.ones((), dtype=compute_dtype(pair.hidden.dtype), device=pair.hidden.device)
    if not mean:
        return None, one
    if normalizer is not None:
        return None, one / normalizer
    count: Tensor | int = pair.hidden.shape[0]
    if pair.sample_weight is not None:
        count = weighted_count(None, pair.sample_weight, pair.sample_weight.shape)
    return count, (one / count).to(one.dtype)


def _gradients(found: _Result, pair: _Pair) -> tuple[Tensor, ...]:
    return tuple(pair.hidden.new_empty(0) if grad is None else grad for grad in found[1:])


class _Loss(torch.autograd.Function):
    """The reduced loss of plain tensors."""

    @staticmethod
    def forward(ctx: Any, mean: bool, normalizer: float | None, *given: Any) -> Tensor:
        ctx.wanted = tuple(ctx.needs_input_grad[2:5])
        # Within a backward pass (a checkpoint that computes the forward pass again) it is not this node that
        # will be differentiated.
        early = given[0].dtype != torch.float16 and torch._C._current_graph_task_id() == -1
        loss, *made = _loss(*given, mean, normalizer, ctx.wanted if early else (False,) * 3)
        ctx.made = [made] if early else []
        ctx.numbers = (*given[_TENSORS:], mean, normalizer)
        ctx.save_for_backward(*given[:_TENSORS])
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        nothing = (None,) * (_FIELDS - 3)
        made = None
        if not torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
            made = _scaled(ctx, upstream)
        if made is None:
            made = _anew(upstream, ctx.wanted, ctx.saved_tensors, ctx.numbers)
        return (None, None, *made, *nothing)


def _anew(upstream: Tensor, wanted: Any, tensors: Any, numbers: Any) -> list[Tensor | None]:
    """The gradients of the reduced loss by hidden states, weight and bias, from the start."""
    pair, (mean, normalizer) = _Pair(*tensors, *numbers[:-2]), numbers[-2:]
    if not torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
        _, one = _upstream_of(pair, mean, normalizer)
        grads = torch.ops.likelihead.linear_kl_backward(one * upstream, *pair, list(wanted))
        return [g if want else None for g, want in zip(grads, wanted, strict=True)]
    return _differentiated(pair, "mean" if mean else "sum", normalizer, upstream, wanted)


def _differentiated(
    pair: _Pair, reduction: str, normalizer: float | None, upstream: Tensor, wanted: Any
) -> list[Tensor | None]:
    """The gradients through the logits, which can be differentiated again."""
    with torch.enable_grad():
        loss = _by_logits(pair, reduction, normalizer)
        asked = [t for t, want in zip(pair[:3], wanted, strict=True) if want and t is not None]
        found = iter(torch.autograd.grad(loss, asked, upstream, create_graph=True))
    return [next(found) if want else None for want in wanted]


# The ops as torch knows them: what the compiler, the exporter and autograd ask of them.
_SCHEMA = (
    "Tensor hidden, Tensor head_weight, Tensor? head_bias, Tensor teacher, Tensor? teacher_weight, "
    "Tensor? teacher_bias, Tensor? teacher_index, Tensor? sample_weight, str direction, float beta, "
    "float temperature, float softcap, float teacher_softcap, int chunk_tokens, str backend"
)
_MADE = "Tensor hidden, Tensor weight, Tensor bias)"
_SCHEMAS = {
    "linear_kl": (_values, f"({_SCHEMA}) -> Tensor"),
    "linear_kl_backward": (_backward, f"(Tensor grad, {_SCHEMA}, bool[3] wanted) -> ({_MADE}"),
    "linear_kl_loss": (
        _loss,
        f"({_SCHEMA}, bool mean, float? normalizer, bool[3] wanted) -> (Tensor loss, {_MADE}",
    ),
}


def _like_inputs(pair: _Pair, wanted: Any) -> tuple[Tensor, ...]:
    return tuple(
        torch.empty_like(t, memory_format=torch.contiguous_format)
        if want and t is not None
        else pair.hidden.new_empty(0)
        for t, want in zip(pair[:3], wanted, strict=True)
    )


def _values_fake(*given: Any) -> Tensor:
    hidden = given[0]
    values: Tensor = hidden.new_empty(hidden.shape[0], dtype=compute_dtype(hidden.dtype))
    return values


def _backward_fake(upstream: Tensor, *given: Any) -> tuple[Tensor, ...]:
    return _like_inputs(_Pair(*given[:_FIELDS]), given[_FIELDS])


def _loss_fake(*given: Any) -> tuple[Tensor, ...]:
    loss = given[0].new_empty((), dtype=compute_dtype(given[0].dtype))
    return (loss, *_like_inputs(_Pair(*given[:_FIELDS]), given[-1]))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.numbers = inputs[_TENSORS:]
    made = output[1:] if isinstance(output, tuple) else ()
    ctx.save_for_backward(*inputs[:_TENSORS], *made)
    ctx.set_materialize_grads(False)


def _values_derivative(ctx: Any, upstream: Tensor | None) -> tuple[Tensor | None, ...]:
    nothing = (None,) * (_FIELDS - 3)
    if upstream is None:
        return (None, None, None, *nothing)
    pair, wanted = _Pair(*ctx.saved_tensors, *ctx.numbers), list(ctx.needs_input_grad[:3])
    if torch.is_grad_enabled():
        return (*_differentiated(pair, "none", None, upstream, wanted), *nothing)
    grads = torch.ops.likelihead.linear_kl_backward(upstream, *pair, wanted)
    return (*(g if want else None for g, want in zip(grads, wanted, strict=True)), *nothing)


def _loss_derivative(ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    nothing = (None,) * _FIELDS
    if upstream is None:
        return (None, None, None, *nothing)
    tensors, made = ctx.saved_tensors[:_TENSORS], ctx.saved_tensors[_TENSORS:]
    *numbers, early = ctx.numbers
    wanted = list(ctx.needs_input_grad[:3])
    if torch.is_grad_enabled() or wanted != list(early):
        return (*_anew(upstream, wanted, tensors, numbers), *nothing)
    scaled = ((g * upstream).to(g.dtype) if want else None for g, want in zip(made, wanted, strict=True))
    return (*scaled, *nothing)


def _register() -> torch.library.Library:
    library = torch.library.Library("likelihead", "FRAGMENT")  # type: ignore[no-untyped-call]
    fakes: tuple[Callable[..., Any], ...] = (_values_fake, _backward_fake, _loss_fake)
    for (name, (function, schema)), fake in zip(_SCHEMAS.items(), fakes, strict=True):
        library.define(name + schema)  # type: ignore[no-untyped-call]
        library.impl(name, function, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
        torch.library.register_fake(f"likelihead::{name}", fake, lib=library)
    for name, derivative in (("linear_kl", _values_derivative), ("linear_kl_loss", _loss_derivative)):
        torch.library.register_autograd(f"likelihead::{name}", derivative, setup_context=_save, lib=library)
    return library


_LIBRARY = _register()  # it holds the registrations
