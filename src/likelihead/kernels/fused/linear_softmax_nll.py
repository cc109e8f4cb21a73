"""Categorical negative log-likelihood of a linear head, without its logits.

Three products in all for a reduced loss, four for per-token values that are differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from likelihead.core.reduction import Normalizer
from likelihead.kernels.fused.linear_autograd import LinearOp, goes_through_logits, or_nothing
from likelihead.kernels.fused.linear_chunks import Wanted
from likelihead.kernels.fused.linear_scores import Asked, Head, Upstream, is_weighted, run
from likelihead.kernels.fused.registration import SOFTMAX_SCHEMA
from likelihead.kernels.fused.softmax_nll import by_name, in_order
from likelihead.kernels.ops import LinearValues, SoftmaxOptions, compute_dtype, softmax_count
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
    log_prob: bool = False,
    prediction: bool = False,
    logit_scale: float = 1.0,
    chunk_tokens: int = 0,
    compact: bool | None = None,
    **options: Unpack[SoftmaxOptions],
) -> LinearValues:
    """See `likelihead.kernels.ops.LinearSoftmaxNLL`."""
    if _through_logits(hidden, head_weight, target, options):
        return reference(
            hidden, head_weight, target, head_bias, entropy=entropy, log_prob=log_prob, prediction=prediction,
            logit_scale=logit_scale, **options,
        )  # fmt: skip
    ordered = in_order(**options)
    negated = log_prob and not is_weighted(ordered)
    asked = Asked(entropy, log_prob and not negated, prediction)
    nll, lse, *others = torch.ops.likelihead.linear_softmax_nll(
        *_as_autocast(hidden, head_weight, head_bias),
        target,
        *ordered,
        logit_scale,
        chunk_tokens,
        compact,
        backend,
        *asked,
    )
    found = {name: of for name, of, asks in zip(Asked._fields, others, asked, strict=True) if asks}
    if negated:
        found["log_prob"] = -nll
    return LinearValues(nll, lse, **found)


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
    compact: bool | None = None,
    **options: Unpack[SoftmaxOptions],
) -> Tensor:
    """See `likelihead.kernels.ops.LinearSoftmaxLoss`."""
    if _through_logits(hidden, head_weight, target, options):
        return reference_loss(
            hidden, head_weight, target, head_bias, reduction=reduction, normalizer=normalizer,
            logit_scale=logit_scale, **options,
        )  # fmt: skip
    tensors = _as_autocast(hidden, head_weight, head_bias)
    arguments = (*tensors, target, *in_order(**options), logit_scale, chunk_tokens, compact, backend)
    return _OP.loss(arguments, reduction, normalizer)


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


def _through_logits(hidden: Tensor, head_weight: Tensor, target: Tensor, options: SoftmaxOptions) -> bool:
    others = (options.get("weight"), options.get("logit_offset"), options.get("sample_weight"))
    return goes_through_logits(hidden, head_weight, target, *others)


class _Op(LinearOp):
    name = "linear_softmax_nll"
    schema = (
        "Tensor hidden, Tensor head_weight, Tensor? head_bias, Tensor target, " + SOFTMAX_SCHEMA + ", "
        "float logit_scale, int chunk_tokens, bool? compact, str backend"
    )
    arity = 18
    requests = ", bool entropy, bool log_prob, bool prediction"
    results = "(Tensor nll, Tensor lse, Tensor entropy, Tensor log_prob, Tensor prediction)"
    upstreams = 4

    def run(
        self, arguments: Sequence[Any], upstream: Sequence[Tensor | None], wanted: Wanted, *requests: Any
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
        values, gradients = run(_head(arguments), Upstream(*upstream), wanted, Asked(*requests))
        return or_nothing(values, arguments[0]), gradients

    def count(self, arguments: Sequence[Any]) -> Tensor | int:
        head = _head(arguments)
        options = by_name(head.options)
        weight = options.get("weight")
        return softmax_count(
            head.target,
            head.weight.shape[0],
            weight=None if weight is None else weight.to(compute_dtype(head.weight.dtype)),
            ignore_index=options.get("ignore_index", -100),
            sample_weight=options.get("sample_weight"),
        )

    def by_logits(self, arguments: Sequence[Any], *requests: Any) -> tuple[Tensor | None, ...]:
        head = _head(arguments)
        return reference(
            head.hidden, head.weight, head.target, head.bias, logit_scale=head.scale,
            **Asked(*requests)._asdict(), **by_name(head.options),
        )  # fmt: skip

    def loss_by_logits(self, arguments: Sequence[Any], reduction: str, normalizer: Any) -> Tensor:
        head = _head(arguments)
        return reference_loss(
            head.hidden, head.weight, head.target, head.bias, reduction=reduction, normalizer=normalizer,
            logit_scale=head.scale, **by_name(head.options),
        )  # fmt: skip

    def shapes(self, arguments: Sequence[Any], *requests: Any) -> tuple[Tensor, ...]:
        hidden = arguments[0]
        values = [hidden.new_empty(hidden.shape[0], dtype=compute_dtype(hidden.dtype)) for _ in range(2)]
        for name, asks in zip(Asked._fields, requests, strict=True):
            dtype = torch.long if name == "prediction" else values[0].dtype
            values.append(values[0].new_empty(hidden.shape[0], dtype=dtype) if asks else hidden.new_empty(0))
        return tuple(values)

    def asked(self, *requests: Any) -> tuple[bool, ...]:
        asked = Asked(*requests)
        return True, True, asked.entropy, asked.log_prob


def _head(arguments: Sequence[Any]) -> Head:
    hidden, weight, bias, target, *options, scale, chunk, compact, backend = arguments
    return Head(hidden, weight, bias, target, tuple(options), scale, chunk, compact, backend)


_OP = _Op()
_LIBRARY = _OP.register()  # it holds the registrations
