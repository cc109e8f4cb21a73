"""What each threshold decides, the area under the curves, and the best threshold on held-out data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from likelihead.errors import DomainError, OptionError, TargetError
from likelihead.evaluate.inputs import check_hard, check_probs, label_values, spread_weight, tally, total
from likelihead.likelihoods.checks import check_same_shape

__all__ = [
    "Metric",
    "ThresholdCurve",
    "TunedThresholds",
    "average_precision",
    "roc_auc",
    "threshold_curve",
    "tune_thresholds",
]

Metric = Literal["f1", "balanced_accuracy", "accuracy"]
"""What a threshold is tuned for."""


@dataclass(frozen=True)
class ThresholdCurve:
    """How many yeses and noes each threshold gets right; a prediction is a yes strictly above it.

    Every way to split the probabilities is there once, from the lowest threshold to the highest.

    Attributes:
        thresholds: ``[K]``, rising, in the dtype of the probabilities. They lie in the middle between two
            probabilities that occur.
        tp, fp, fn, tn: ``[K]``, true and false yeses, false and true noes; int64, or sums of weights.
    """

    thresholds: Tensor
    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor

    @property
    def precision(self) -> Tensor:
        """The share of the yeses that are right; NaN where nothing is called a yes."""
        return self.tp.double() / (self.tp + self.fp)

    @property
    def recall(self) -> Tensor:
        """The share of the true yeses that are found; NaN without any."""
        return self.tp.double() / (self.tp + self.fn)

    @property
    def false_positive_rate(self) -> Tensor:
        """The share of the true noes that are called a yes; NaN without any."""
        return self.fp.double() / (self.fp + self.tn)

    @property
    def f1(self) -> Tensor:
        """The harmonic mean of precision and recall; NaN without a yes, true or predicted."""
        return 2 * self.tp.double() / (2 * self.tp + self.fp + self.fn)

    @property
    def accuracy(self) -> Tensor:
        """The share of right predictions."""
        return (self.tp + self.tn).double() / (self.tp + self.fp + self.fn + self.tn)

    @property
    def balanced_accuracy(self) -> Tensor:
        """The mean of the recalls of yes and of no."""
        return (self.recall + 1 - self.false_positive_rate) / 2


@dataclass(frozen=True)
class TunedThresholds:
    """The best thresholds on held-out data.

    Attributes:
        thresholds: 0-d, or ``[L]``: for ``likelihood.predict(logits, threshold=...)``.
        value: the metric there, in the same shape; NaN where the fallback stands.
        value_at_half: the metric at a threshold of 0.5.
    """

    thresholds: Tensor
    value: Tensor
    value_at_half: Tensor


def threshold_curve(
    probs: Tensor, target: Tensor, *, mask: Tensor | None = None, sample_weight: Tensor | None = None
) -> ThresholdCurve:
    """What every threshold would decide on these probabilities of a yes.

    Args:
        probs: probabilities of a yes, any shape.
        target: 0 and 1, in the same shape; NaN is left out.
        mask: False where a prediction is left out.
        sample_weight: how often each counts: ``[N]``, or a longer beginning of the shape.

    Raises:
        DomainError: a probability outside [0, 1].
        TargetError: a label that is neither 0 nor 1.

    >>> curve = threshold_curve(torch.tensor([0.2, 0.6, 0.9]), torch.tensor([0, 1, 1]))
    >>> curve.thresholds
    tensor([0.1000, 0.4000, 0.7500, 0.9500])
    >>> curve.f1
    tensor([0.8000, 1.0000, 0.6667, 0.0000], dtype=torch.float64)
    """
    values, truth, weight = _hard(probs, target, mask, sample_weight)
    values = values.to(probs.dtype)  # as they were: a threshold must lie between them in their own dtype
    check_probs("probs", values)
    unique, yes, no = _by_score(values, truth, weight)
    start, end = unique.new_zeros(1), unique.new_ones(1)
    below, above = torch.cat([start, unique]), torch.cat([unique, end])
    thresholds = below + (above - below) / 2
    # Between two neighbours there is none: the lower one does, as a yes is strictly above.
    thresholds = torch.where((thresholds >= above) | (thresholds < below), below, thresholds)
    # Summed from both ends, so that of weights nothing is left over by rounding where nothing is.
    tp, fp = (torch.cat([part.flip(0).cumsum(0).flip(0), part.new_zeros(1)]) for part in (yes, no))
    fn, tn = (torch.cat([part.new_zeros(1), part.cumsum(0)]) for part in (yes, no))
    # No threshold is below a probability of 0: it is never a yes.
    first = 1 if len(unique) and float(unique[0]) == 0 else 0
    return ThresholdCurve(*(column[first:] for column in (thresholds, tp, fp, fn, tn)))


def roc_auc(
    scores: Tensor, target: Tensor, *, mask: Tensor | None = None, sample_weight: Tensor | None = None
) -> float:
    r"""Area under the ROC curve: how often a yes scores above a no; equal scores count half.

    NaN unless there are both. With weights a pair counts with the product of its two.

    >>> roc_auc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    0.75
    """
    _, yes, no = _by_score(*_hard(scores, target, mask, sample_weight))
    pairs = yes.sum().item() * no.sum().item()
    if not pairs:
        return math.nan
    below = no.cumsum(0) - no
    return float((yes * (2 * below + no)).sum().item() / (2 * pairs))


def average_precision(
    scores: Tensor, target: Tensor, *, mask: Tensor | None = None, sample_weight: Tensor | None = None
) -> float:
    r"""Average precision, :math:`\sum_k (R_k - R_{k-1}) P_k` over falling scores; NaN without a yes.

    >>> round(average_precision(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1])), 4)
    0.8333
    """
    _, yes, no = _by_score(*_hard(scores, target, mask, sample_weight))
    yes, no = yes.flip(0), no.flip(0)
    if not yes.sum():
        return math.nan
    found, called = yes.cumsum(0), (yes + no).cumsum(0)
    return float((yes.double() * found / called).sum() / yes.sum())


def tune_thresholds(
    probs: Tensor,
    target: Tensor,
    *,
    metric: Metric = "f1",
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    fallback: float | None = None,
) -> TunedThresholds:
    """The thresholds that are best on held-out data, one for each label.

    Of thresholds that are equally good, the one nearest to 0.5 is taken. On few rows the best one is much a
    matter of chance: give all rows that were held out.

    Args:
        probs: probabilities of a yes: ``[N]`` for one threshold, ``[N, L]`` or ``[N, L, d1, ...]`` for L.
        target: 0 and 1, in the same shape; NaN is left out.
        metric: what is to be largest: ``"f1"``, ``"balanced_accuracy"`` or ``"accuracy"``.
        mask: False where a label is left out.
        sample_weight: how often each counts: ``[N]``, or a longer beginning of the shape.
        fallback: the threshold of a label of which only one outcome was held out; None refuses it.

    Raises:
        TargetError: a label is neither 0 nor 1, or has one outcome only.
        OptionError: an unknown metric.

    >>> tuned = tune_thresholds(torch.tensor([0.1, 0.3, 0.35, 0.4]), torch.tensor([0, 0, 1, 1]))
    >>> tuned.thresholds, tuned.value, tuned.value_at_half
    (tensor(0.3250), tensor(1., dtype=torch.float64), tensor(0., dtype=torch.float64))
    """
    if metric not in ("f1", "balanced_accuracy", "accuracy"):
        raise OptionError(f"metric is {metric!r}; expected 'f1', 'balanced_accuracy' or 'accuracy'.")
    if fallback is not None and not 0.0 <= fallback <= 1.0:
        raise OptionError(f"fallback is {fallback}; expected a probability in [0, 1], or None.")
    if probs.dim() < 2:
        found = [_best(probs, target, mask, sample_weight, metric, fallback, "target")]
        return TunedThresholds(*(torch.stack(column).squeeze(0) for column in zip(*found, strict=True)))
    check_same_shape(probs, target)
    weight = spread_weight(sample_weight, target)
    found = [
        _best(
            probs[:, label],
            target[:, label],
            None if mask is None else mask[:, label],
            None if weight is None else weight[:, label],
            metric,
            fallback,
            f"label {label} of target",
        )
        for label in range(probs.shape[1])
    ]
    return TunedThresholds(*(torch.stack(column) for column in zip(*found, strict=True)))


def _best(
    probs: Tensor,
    target: Tensor,
    mask: Tensor | None,
    sample_weight: Tensor | None,
    metric: Metric,
    fallback: float | None,
    what: str,
) -> tuple[Tensor, Tensor, Tensor]:
    curve = threshold_curve(probs, target, mask=mask, sample_weight=sample_weight)
    at_half: Tensor = getattr(_at(0.5, *_hard(probs, target, mask, sample_weight)), metric)
    yes, no = float(curve.tp[-1] + curve.fn[-1]), float(curve.fp[-1] + curve.tn[-1])
    if not (yes and no):
        if fallback is None:
            raise TargetError(
                f"{what} is {'always yes' if yes else 'never yes' if no else 'never known'} in the held-out "
                "rows; expected both outcomes. Hold out more rows, or give fallback=, a threshold for such "
                "labels."
            )
        nan = torch.tensor(math.nan, dtype=torch.float64)
        return torch.as_tensor(fallback, dtype=probs.dtype), nan, at_half
    values = torch.nan_to_num(getattr(curve, metric), nan=-1.0)
    # Sums of weights in another order may differ in the last digits.
    slack = 0.0 if sample_weight is None else 1e-12
    best = (values >= values.max() - slack).nonzero().flatten()
    nearest = best[(curve.thresholds[best].double() - 0.5).abs().argmin()]
    return curve.thresholds[nearest], values[nearest], at_half


def _at(threshold: float, values: Tensor, truth: Tensor, weight: Tensor | None) -> ThresholdCurve:
    """What one threshold decides, 0-d."""
    said, yes = values > threshold, truth > 0
    cells = (said & yes, said & ~yes, ~said & yes, ~said & ~yes)
    return ThresholdCurve(torch.tensor(threshold), *(total(cell, weight) for cell in cells))


def _hard(
    scores: Tensor, target: Tensor, mask: Tensor | None, sample_weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Scores and labels that are 0 or 1, flat, in float64, and their weights."""
    values, truth, weight = label_values(
        scores, target, mask=mask, sample_weight=sample_weight, name="scores"
    )
    if bool(values.isnan().any()):
        raise DomainError("scores hold NaN where the target counts.", code="LH801")
    check_hard(truth)
    return values, truth, weight


def _by_score(values: Tensor, truth: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The different scores, rising, and how many yeses and noes (or which weight of them) have each."""
    unique, which = torch.unique(values, sorted=True, return_inverse=True)
    if weight is None:
        yes = torch.bincount(which[truth > 0], minlength=len(unique))
        return unique, yes, torch.bincount(which, minlength=len(unique)) - yes
    yes, no = (tally(which, len(unique), weight * outcome) for outcome in (truth, 1 - truth))
    return unique, yes, no
