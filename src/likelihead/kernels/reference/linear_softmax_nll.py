"""Categorical negative log-likelihood of a linear head, by its logits: differentiable any number of times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn.functional import linear

from likelihead.core.reduction import Normalizer
from likelihead.kernels.ops import LinearValues, SoftmaxOptions, reduce_softmax_nll
from likelihead.kernels.reference.softmax_nll import softmax_entropy, softmax_nll, softmax_prediction

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["linear_softmax_loss", "linear_softmax_nll"]


def linear_softmax_nll(
    hidden: Tensor,
    head_weight: Tensor,
    target: Tensor,
    head_bias: Tensor | None = None,
    *,
    entropy: bool = False,
    log_prob: bool = False,
    prediction: bool = False,
    logit_scale: float = 1.0,
    chunk_tokens: int = 0,
    compact: bool | None = None,
    **options: Unpack[SoftmaxOptions],
) -> LinearValues:
    """See `likelihead.kernels.ops.LinearSoftmaxNLL`; chunks and their rows have no use where logits exist."""
    kept = _kept(target, options)
    if kept is not None:
        # What is left out may be NaN, which comes back in the gradient of the head as 0 * NaN.
        hidden = torch.where(kept.unsqueeze(1), hidden, 0)
    logits = _gathered(linear(hidden, head_weight, head_bias))
    if logit_scale != 1:
        logits = logits * logit_scale
    nll, lse = softmax_nll(logits, target, **options)
    found = LinearValues(
        nll,
        lse,
        softmax_entropy(logits, **options) if entropy else None,
        -softmax_nll(logits, target, **_of_distribution(options))[0] if log_prob else None,
        softmax_prediction(logits, **options) if prediction else None,
    )
    if kept is None:
        return found
    masked = (None if of is None else torch.where(kept, of, 0) for of in found[1:])
    return LinearValues(nll, *masked)  # type: ignore[arg-type]


def _of_distribution(options: SoftmaxOptions) -> SoftmaxOptions:
    """Those with which nll is the target's log-probability, negated."""
    weights = ("weight", "label_smoothing", "z_loss", "focal_gamma", "sample_weight")
    return cast("SoftmaxOptions", {name: of for name, of in options.items() if name not in weights})


def linear_softmax_loss(
    hidden: Tensor,
    head_weight: Tensor,
    target: Tensor,
    head_bias: Tensor | None = None,
    *,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    logit_scale: float = 1.0,
    chunk_tokens: int = 0,
    compact: bool | None = None,
    **options: Unpack[SoftmaxOptions],
) -> Tensor:
    """See `likelihead.kernels.ops.LinearSoftmaxLoss`."""
    nll = linear_softmax_nll(hidden, head_weight, target, head_bias, logit_scale=logit_scale, **options).nll
    return reduce_softmax_nll(
        nll, head_weight.t(), target, reduction=reduction, normalizer=normalizer, **options
    )


def _gathered(logits: Tensor) -> Tensor:
    """Distributed logits with all classes of a token in one place; any others as they are."""
    if type(logits) in (Tensor, torch.nn.Parameter) or not hasattr(logits, "placements"):
        return logits
    from torch.distributed.tensor import Replicate

    spread: Any = logits
    places = [place if place.is_shard(0) else Replicate() for place in spread.placements]
    gathered: Tensor = spread.redistribute(placements=places)
    return gathered


def _kept(target: Tensor, options: SoftmaxOptions) -> Tensor | None:
    """Which tokens count, or None where nothing leaves one out."""
    sample_weight = options.get("sample_weight")
    kept = None if sample_weight is None else sample_weight != 0
    if not target.is_floating_point():
        counts = target.long() != options.get("ignore_index", -100)
        kept = counts if kept is None else kept & counts
    return kept
