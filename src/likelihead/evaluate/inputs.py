"""Predictions and targets as the figures need them: flat, and without what is left out."""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.core.domains import UNIT_INTERVAL, ClassIndex
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
    "kept",
    "label_values",
    "likelihood_rows",
    "stated",
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


def kept(target: Tensor, mask: Tensor | None, ignore_index: int | None = None) -> Tensor:
    """Where a target counts: it is no NaN, not the ignored index, and its mask is True.

    Raises:
        ShapeError: a mask of another shape.
        DTypeError: a mask that is not boolean.
    """
    check_tensor("target", target)
    where = torch.ones_like(target, dtype=torch.bool)
    if target.is_floating_point():
        where = ~target.isnan()
    elif ignore_index is not None:
        where = target.long() != ignore_index
    if mask is None:
        return where
    check_same_shape(target, mask, name="mask")
    if mask.dtype != torch.bool:
        raise DTypeError(f"mask is {mask.dtype}; expected torch.bool, True where a target counts.")
    return where & mask.to(where.device)


def class_rows(
    name: str, scores: Tensor, target: Tensor, *, ignore_index: int = -100, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Scores of classes as ``[M, C]`` and targets as ``[M]`` or ``[M, C]``, those that count.

    Args:
        name: what the scores are called.
        scores: ``[N, C]`` or ``[N, C, d1, ...]``.
        target: class indices ``[N]`` or ``[N, d1, ...]``, or probabilities of the scores' shape.
        ignore_index: a class index that is left out.
        mask: ``[N]`` or ``[N, d1, ...]``, False where a target is left out.

    Raises:
        ShapeError, DTypeError, TargetError: as `Categorical.nll` does.
        DomainError: a score is NaN where the target counts (LH801).
    """
    check_tensor(name, scores)
    num_classes = scores.shape[1] if scores.dim() > 1 else 0
    check_class_logits(scores, num_classes, name=name)
    check_tensor("target", target)
    domain = ClassIndex.of(num_classes, ignore_index)
    check_class_target(target, scores.shape, domain)
    rows = scores.detach().movedim(1, -1).reshape(-1, num_classes)
    target = target.detach()
    if target.is_floating_point():
        truth = target.movedim(1, -1).reshape(-1, num_classes)
        where = kept(target.movedim(1, -1)[..., 0], mask).reshape(-1)
    else:
        truth = target.reshape(-1).long()
        where = kept(target, mask, ignore_index).reshape(-1)
        check_in_domain(truth, domain, mask=where, code="LH203")
    if not bool(where.all()):
        rows, truth = rows[where], truth[where]
    if bool(rows.isnan().any()):
        raise DomainError(f"{name} holds NaN where the target counts.", code="LH801")
    return rows, truth


def class_index_rows(
    predicted: Tensor,
    target: Tensor,
    num_classes: int,
    *,
    ignore_index: int = -100,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Predicted and true class indices as ``[M]``, those that count.

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
    where = kept(target, mask, ignore_index).reshape(-1)
    said, true = predicted.detach().reshape(-1).long()[where], target.detach().reshape(-1).long()[where]
    domain = ClassIndex.of(num_classes)
    check_in_domain(said, domain, code="LH203")
    check_in_domain(true, domain, code="LH203")
    return said, true


def label_values(
    values: Tensor, target: Tensor, *, mask: Tensor | None = None, name: str = "probs"
) -> tuple[Tensor, Tensor]:
    """Values and labels, elementwise, as ``[M]`` in float64, those that count.

    Raises:
        ShapeError: the shapes differ (LH302).
        TargetError: a label outside [0, 1] (LH207).
    """
    check_tensor(name, values)
    check_same_shape(values, target)
    where = kept(target, mask)
    check_in_domain(target, UNIT_INTERVAL, mask=where, code="LH207")
    return values.detach()[where].double(), target.detach()[where].double()


def likelihood_rows(
    likelihood: Likelihood, logits: Tensor, target: Tensor, *, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Logits and targets as the likelihood takes them, flat and in float64, without what is left out.

    A Categorical's become ``[M, C]`` with ``[M]`` or ``[M, C]``; a MultiLabel's stay ``[M, L]``, with NaN for
    a label that is left out and 0 for its logit; a Bernoulli's become ``[M]``.

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
        rows, truth = class_rows("logits", logits, target, ignore_index=likelihood.ignore_index, mask=mask)
        rows = rows.double()
        truth = truth.double() if truth.is_floating_point() else truth
    else:
        check_tensor("logits", logits)
        check_same_shape(logits, target)
        where = kept(target, mask)
        check_in_domain(target, UNIT_INTERVAL, mask=where, code="LH207")
        rows, truth = logits.detach().double(), target.detach().double()
        labels = likelihood.num_labels_or_none
        if labels is None:
            rows, truth = rows[where], truth[where]
        else:
            rows = torch.where(where, rows, 0.0)
            truth = torch.where(where, truth, torch.nan)
            if rows.dim() < 2 or rows.shape[1] != labels:
                raise ShapeError(f"logits has shape {list(logits.shape)}; expected [N, {labels}, ...].")
            rows, truth = (part.movedim(1, -1).reshape(-1, labels) for part in (rows, truth))
    if not bool(torch.isfinite(rows).all()):
        raise DomainError(
            "logits hold NaN or infinity where the target counts; expected finite logits.", code="LH801"
        )
    return rows, truth


def stated(
    likelihood: Likelihood, logits: Tensor, target: Tensor, *, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What a model states, and whether it came true: flat, in float64.

    Of a Categorical the probability of the predicted class, and whether that was the true one (for a
    probability target the probability that the target gives it). Of yes-or-no outcomes the probability of a
    yes, and the label.
    """
    if isinstance(likelihood, Categorical):
        rows, truth = class_rows("logits", logits, target, ignore_index=likelihood.ignore_index, mask=mask)
        confidence, said = likelihood.probs(rows).double().max(1)
        if truth.is_floating_point():
            return confidence, truth.double().gather(1, said.unsqueeze(1)).squeeze(1)
        return confidence, (said == truth).double()
    return label_values(likelihood.probs(logits), target, mask=mask)
