"""Divergence of two linear heads without their logits.

A chunk is a product for each head and one for each of the student's gradients: four for a reduced loss, whose
gradients are made in the forward pass, six for per-token values, whose backward pass makes both heads' logits
again. Between the products is the backend's kernel, or where it has none torch's operators, on so few rows at
a time that they stay in the caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from likelihead.core.reduction import Normalizer
from likelihead.core.sample_weight import weighted_count
from likelihead.kernels.fused.linear_autograd import LinearOp, goes_through_logits
from likelihead.kernels.fused.linear_chunks import (
    SOFTMAX,
    Layer,
    Wanted,
    in_chunks,
    looks,
    rows_at_once,
    rows_that,
)
from likelihead.kernels.fused.products import logits_of, new_buffer
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
    compact: bool | None
    backend: str


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
    compact: bool | None = None,
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
        compact,
        backend,
    )
    others = (teacher, teacher_weight, teacher_bias, teacher_index, sample_weight)
    if goes_through_logits(hidden, head_weight, *others):
        return _by_logits(pair, reduction, normalizer)
    if reduction == "none":
        values: Tensor = torch.ops.likelihead.linear_kl(*pair)
        return values
    return _OP.loss(pair, reduction, normalizer)


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


@torch.no_grad()
def _run(pair: _Pair, upstream: Tensor | None, wanted: Wanted) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """The values, and for an upstream gradient, one number or one per token, the gradients ``wanted``."""
    hidden, scale, weights = pair.hidden, 1 / pair.temperature, pair.sample_weight
    wide = compute_dtype(hidden.dtype)
    rows = rows_that(None if weights is None else weights != 0, pair.compact)
    values = rows.new(hidden, hidden.shape[0], dtype=wide)
    buffers: list[Tensor | None] = []

    def score_(logits: Tensor, at: Any) -> None:
        teacher = pair.teacher[at]
        index = None if pair.teacher_index is None else pair.teacher_index[at]
        each = None if weights is None else weights[at].to(wide)
        if rows.kept is not None:
            left = rows.kept[at].unsqueeze(1)
            teacher = torch.where(left, teacher, 0)
            index = None if index is None else torch.where(left, index, 0)
        if pair.teacher_weight is not None:
            if not buffers:  # by the first chunk, the largest
                buffers.append(new_buffer(teacher, pair.teacher_weight))
            teacher = logits_of(teacher, pair.teacher_weight, pair.teacher_bias, scale, buffers[0])
        up = None
        if upstream is not None:
            up = upstream if upstream.dim() == 0 else upstream[at]
            up = up if each is None else up * each
        found = _divergence_(logits, teacher, index, pair, up)
        values[at] = found if each is None else torch.where(each == 0, 0, found * each)

    layer = Layer(hidden, pair.weight, pair.bias, scale, pair.chunk)
    with torch.autocast(hidden.device.type, enabled=False):
        gradients = in_chunks(layer, rows, wanted, score_)
    return values, gradients


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


class _Op(LinearOp):
    name = "linear_kl"
    schema = (
        "Tensor hidden, Tensor head_weight, Tensor? head_bias, Tensor teacher, Tensor? teacher_weight, "
        "Tensor? teacher_bias, Tensor? teacher_index, Tensor? sample_weight, str direction, float beta, "
        "float temperature, float softcap, float teacher_softcap, int chunk_tokens, bool? compact, "
        "str backend"
    )
    arity = len(_Pair._fields)
    results = "Tensor"
    upstreams = 1

    def run(
        self, arguments: Sequence[Any], upstream: Sequence[Tensor | None], wanted: Wanted, *requests: Any
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
        values, gradients = _run(_Pair(*arguments), upstream[0], wanted)
        return (values,), gradients

    def count(self, arguments: Sequence[Any]) -> Tensor | int:
        weights = _Pair(*arguments).sample_weight
        return arguments[0].shape[0] if weights is None else weighted_count(None, weights, weights.shape)

    def by_logits(self, arguments: Sequence[Any], *requests: Any) -> tuple[Tensor, ...]:
        return (_by_logits(_Pair(*arguments), "none"),)

    def loss_by_logits(self, arguments: Sequence[Any], reduction: str, normalizer: Any) -> Tensor:
        return _by_logits(_Pair(*arguments), reduction, normalizer)

    def shapes(self, arguments: Sequence[Any], *requests: Any) -> tuple[Tensor, ...]:
        hidden = arguments[0]
        return (hidden.new_empty(hidden.shape[0], dtype=compute_dtype(hidden.dtype)),)


_OP = _Op()
_LIBRARY = _OP.register()  # it holds the registrations
