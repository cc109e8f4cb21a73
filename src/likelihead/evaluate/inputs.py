"""Predictions and targets as the figures need them: flat, and without what is left out.

What is left out is decided in one place, `counted`, for every figure alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.core.domains import UNIT_INTERVAL, ClassIndex
from likelihead.core.sample_weight import check_sample_weight, check_sample_weight_values
from likelihead.errors import DomainError, DTypeError, OptionError, ShapeError, TargetError
from likelihead.likelihoods.base import Likelihood
from likelihead.likelihoods.binary import BinaryLikelihood
from likelihead.likelihoods.categorical import Categorical
from likelihead.likelihoods.checks import (
    check_class_logits,
    check_class_target,
    check_in_domain,
    check_same_shape,
    check_tensor,
)

__all__ = [
    "check_hard",
    "check_probs",
    "class_index_rows",
    "class_rows",
    "counted",
    "label_values",
    "likelihood_rows",
    "spread_weight",
    "stated",
    "stated_rows",
    "tally",
    "total",
]


def check_probs(name: str, values: Tensor) -> None:
    """Refuse probabilities outside [0, 1], and NaN.

    Raises:
        DTypeError: no floating-point tensor.
        DomainError: a value outside.
    """
    check_tensor(name, values)
    if not values.is_floating_point():
        raise DTypeError(f"{name} is {values.dtype}; expected probabilities, as probs(logits) gives.")
    violation = UNIT_INTERVAL.first_violation(values)
    if violation is not None:
        raise DomainError(f"{name} is {violation}; expected probabilities in [0, 1]: probs(logits).")


def check_hard(target: Tensor) -> None:
    """Refuse labels that are neither 0 nor 1.

    Raises:
        TargetError: with the first such value.
    """
    soft = (target != 0) & (target != 1)
    if bool(soft.any()):
        raise TargetError(
            f"target holds {target[soft][0].item()}; expected 0 or 1, as this figure counts yeses and noes. "
            "Round probabilities first: target > 0.5."
        )


def counted(
    target: Tensor,
    mask: Tensor | None = None,
    *,
    ignore_index: int | None = None,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Where a target counts, and with what weight: the one rule of every figure.

    A target is left out if it is NaN, if it is an integer and the ignored one, if its mask is False, or if
    its weight is 0. What the model says there is not looked at.

    Args:
        target: one value for each example, or label.
        mask: in the target's shape, False where it is left out.
        ignore_index: the integer target that is left out.
        sample_weight: how often each counts; its shape is that of the target, or begins like it: ``[N]``
            weighs all that belongs to an example.

    Returns:
        Booleans in the target's shape, and the weights of the M targets that count, ``[M]`` in float64; None
        without weights.

    Raises:
        ShapeError: a mask of another shape, or weights whose shape is no beginning of it (LH603).
        DTypeError: a mask that is not boolean, or weights that are no real numbers.
        OptionError: a weight that is negative or not finite.
    """
    check_tensor("target", target)
    where = torch.ones_like(target, dtype=torch.bool)
    if target.is_floating_point():
        where = ~target.isnan()
    elif ignore_index is not None:
        where = target.long() != ignore_index
    if mask is not None:
        check_same_shape(target, mask, name="mask")
        if mask.dtype != torch.bool:
            raise DTypeError(f"mask is {mask.dtype}; expected torch.bool, True where a target counts.")
        where = where & mask.to(where.device)
    weight = spread_weight(sample_weight, where)
    if weight is None:
        return where, None
    where = where & (weight != 0)
    return where, weight[where]


def spread_weight(sample_weight: Tensor | None, like: Tensor) -> Tensor | None:
    """The weights in float64 and in the shape of ``like``, along its first dimensions; None without any.

    Raises:
        As `counted` does.
    """
    given = check_sample_weight(sample_weight, like.shape)
    if given is None:
        return None
    check_sample_weight_values(given)
    wide = given.detach().to(like.device).double()
    return wide.reshape(*wide.shape, *[1] * (like.dim() - wide.dim())).expand(like.shape)


def total(values: Tensor, weight: Tensor | None) -> Tensor:
    """The sum of values of those that count, ``[M]``; an integer one of booleans without weights."""
    return values.sum() if weight is None else (values.double() * weight).sum()


def tally(cells: Tensor, size: int, weight: Tensor | None = None, values: Tensor | None = None) -> Tensor:
    """How often each cell occurs, ``[size]``: int64, with weights their sums; or the sums of ``values``."""
    if values is not None:
        weight = values if weight is None else values * weight
    return torch.bincount(cells, weights=weight, minlength=size)


def class_rows(
    name: str,
    scores: Tensor,
    target: Tensor,
    *,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Scores of classes ``[M, C]``, targets ``[M]`` or ``[M, C]``, weights ``[M]``: those that count.

    Args:
        name: what the scores are called.
        scores: ``[N, C]`` or ``[N, C, d1, ...]``.
        target: class indices ``[N]`` or ``[N, d1, ...]``, or probabilities of the scores' shape, of which one
            that is NaN leaves out the row.
        ignore_index: a class index that is left out.
        mask: ``[N]`` or ``[N, d1, ...]``, False where a target is left out.
        sample_weight: ``[N]`` or ``[N, d1, ...]``; see `counted`.

    Raises:
        ShapeError, DTypeError, TargetError: as `Categorical.nll` does.
        DomainError: a score is NaN where the target counts (LH801).
    """
    check_tensor(name, scores)
    num_classes = scores.shape[1] if scores.dim() > 1 else 0
    check_class_logits(scores, num_classes, name=name)
    check_tensor("target", target)
    domain = ClassIndex.of(num_classes, ignore_index)
    # Its values matter only where it counts, so here the shape alone is looked at.
    check_class_target(target.detach().to("meta"), scores.shape, domain)
    rows = scores.detach().movedim(1, -1).reshape(-1, num_classes)
    target = target.detach()
    if target.is_floating_point():
        known = torch.where(target.isnan().any(1), torch.nan, 0.0)
        where, weight = counted(known, mask, sample_weight=sample_weight)
        truth = target.movedim(1, -1).reshape(-1, num_classes)
    else:
        where, weight = counted(target, mask, ignore_index=ignore_index, sample_weight=sample_weight)
        check_in_domain(target, domain, mask=where, code="LH203")
        truth = target.reshape(-1).long()
    where = where.reshape(-1)
    if not bool(where.all()):
        rows, truth = rows[where], truth[where]
    if bool(rows.isnan().any()):
        raise DomainError(f"{name} holds NaN where the target counts.", code="LH801")
    return rows, truth, weight


def class_index_rows(
    predicted: Tensor,
    target: Tensor,
    num_classes: int,
    *,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Predicted and true class indices as ``[M]``, and their weights: those that count.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: no class indices (LH202).
        TargetError: an index outside ``[0, num_classes)`` (LH203).
    """
    for name, values in (("predicted", predicted), ("target", target)):
        check_tensor(name, values)
        if values.is_floating_point() or values.is_complex():
            raise DTypeError(
                f"{name} is {values.dtype}; expected class indices, as predict(logits) gives.", code="LH202"
            )
    check_same_shape(predicted, target)
    where, weight = counted(target, mask, ignore_index=ignore_index, sample_weight=sample_weight)
    said, true = predicted.detach()[where].long(), target.detach()[where].long()
    domain = ClassIndex.of(num_classes)
    check_in_domain(said, domain, code="LH203")
    check_in_domain(true, domain, code="LH203")
    return said, true, weight


def label_values(
    values: Tensor,
    target: Tensor,
    *,
    ignore_index: int | None = None,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    name: str = "probs",
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Values and labels, elementwise, as ``[M]`` in float64, and their weights: those that count.

    Raises:
        ShapeError: the shapes differ (LH302).
        TargetError: a label outside [0, 1] (LH207).
    """
    check_tensor(name, values)
    check_same_shape(values, target)
    where, weight = counted(target, mask, ignore_index=ignore_index, sample_weight=sample_weight)
    check_in_domain(target, UNIT_INTERVAL, mask=where, code="LH207")
    return values.detach()[where].double(), target.detach()[where].double(), weight


def likelihood_rows(
    likelihood: Likelihood,
    logits: Tensor,
    target: Tensor,
    *,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Logits and targets as the likelihood takes them, flat and in float64, without what is left out.

    A Categorical's become ``[M, C]`` with ``[M]`` or ``[M, C]``; a MultiLabel's stay ``[M, L]``, with NaN for
    a label that is left out and 0 for its logit and its weight; a Bernoulli's become ``[M]``. The weights
    have the shape of the values that the likelihood's ``nll`` gives, ``[M]`` or ``[M, L]``.

    Raises:
        OptionError: the outcomes are not countable, or the input is no logits.
        DomainError: logits that are not finite where the target counts (LH801).
    """
    if not isinstance(likelihood, (Categorical, BinaryLikelihood)):
        raise OptionError(
            f"likelihood is a {type(likelihood).__name__}; expected a Categorical, a Bernoulli or a "
            "MultiLabel, whose outcomes have probabilities."
        )
    if likelihood.takes_log_probs:
        raise OptionError(
            "likelihood takes log-probabilities, which cannot be scaled and stay normalised; use one that "
            "takes logits: log-probabilities will do for its input."
        )
    if isinstance(likelihood, Categorical):
        rows, truth, weight = class_rows(
            "logits",
            logits,
            target,
            ignore_index=likelihood.ignore_index,
            mask=mask,
            sample_weight=sample_weight,
        )
        rows = rows.double()
        truth = truth.double() if truth.is_floating_point() else truth
    else:
        check_tensor("logits", logits)
        check_same_shape(logits, target)
        where, weight = counted(target, mask, sample_weight=sample_weight)
        check_in_domain(target, UNIT_INTERVAL, mask=where, code="LH207")
        rows, truth = logits.detach().double(), target.detach().double()
        labels = likelihood.num_labels_or_none
        if labels is None:
            rows, truth = rows[where], truth[where]
        else:
            if rows.dim() < 2 or rows.shape[1] != labels:
                raise ShapeError(f"logits has shape {list(logits.shape)}; expected [N, {labels}, ...].")
            parts = [torch.where(where, rows, 0.0), torch.where(where, truth, torch.nan)]
            if weight is not None:
                parts.append(torch.zeros_like(rows).masked_scatter(where, weight))
            flat = [part.movedim(1, -1).reshape(-1, labels) for part in parts]
            rows, truth, weight = flat[0], flat[1], None if weight is None else flat[2]
    if not bool(torch.isfinite(rows).all()):
        raise DomainError(
            "logits hold NaN or infinity where the target counts; expected finite logits.", code="LH801"
        )
    return rows, truth, weight


def stated(
    likelihood: Likelihood, logits: Tensor, target: Tensor, *, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What a model states, and whether it came true: flat, in float64.

    Of a Categorical the probability of the predicted class, and whether that was the true one (for a
    probability target the probability that the target gives it). Of yes-or-no outcomes the probability of a
    yes, and the label.
    """
    confidence, outcome, _ = stated_rows(likelihood, logits, target, mask=mask)
    return confidence, outcome


def stated_rows(
    likelihood: Likelihood,
    logits: Tensor,
    target: Tensor,
    *,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """As `stated`, with the weights of those that count."""
    if not isinstance(likelihood, Categorical):
        return label_values(likelihood.probs(logits), target, mask=mask, sample_weight=sample_weight)
    rows, truth, weight = class_rows(
        "logits", logits, target, ignore_index=likelihood.ignore_index, mask=mask, sample_weight=sample_weight
    )
    confidence, said = likelihood.probs(rows).double().max(1)
    if truth.is_floating_point():
        return confidence, truth.double().gather(1, said.unsqueeze(1)).squeeze(1), weight
    return confidence, (said == truth).double(), weight
