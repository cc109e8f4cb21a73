"""The figures of classes that have an order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from likelihead.core.domains import ClassIndex
from likelihead.errors import DTypeError
from likelihead.evaluate.confusion import ConfusionMatrix
from likelihead.evaluate.inputs import counted
from likelihead.evaluate.task_metrics import ClassMetrics
from likelihead.likelihoods.base import Targets
from likelihead.likelihoods.checks import check_in_domain, check_same_shape, check_tensor
from likelihead.likelihoods.cumulative_link import CumulativeLink

__all__ = ["OrdinalMetrics", "class_log_shares"]


def class_log_shares(
    likelihood: CumulativeLink, targets: Targets | None, sample_weight: Targets | None
) -> Tensor:
    """The log frequency of each class, ``[C]``; one that never occurs counts as half an example.

    They, and no score under thresholds that were trained with a network, are the best constant prediction.
    """
    counts = likelihood.summarise(targets, sample_weight=sample_weight).clamp_min(0.5)
    return torch.log(counts / counts.sum())


class OrdinalMetrics(ClassMetrics):
    r"""Of a CumulativeLink; see `for_likelihood`.

    Beside the figures of classes, how far predictions are off, in classes (``rank_mae``), and Cohen's kappa
    with quadratic weights: 1 less the mean squared distance over that of a prediction drawn at random from
    the predictions' own frequencies.
    """

    likelihood: CumulativeLink  # type: ignore[assignment]

    def _update(
        self, logits: Tensor, target: Tensor, mask: Tensor | None, sample_weight: Tensor | None
    ) -> None:
        likelihood = self.likelihood
        check_tensor("logits", logits)
        check_same_shape(logits, target)
        if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
            raise DTypeError(
                f"target is {target.dtype}; expected class indices as integers: target.long().", code="LH202"
            )
        ignored = likelihood.ignore_index
        where, weight = counted(target, ignore_index=ignored, sample_weight=sample_weight)
        check_in_domain(target, ClassIndex.of(likelihood.num_classes, ignored), mask=where, code="LH203")
        scores, truth = logits.detach()[where], target.detach()[where].long()
        self._take(scores, truth, weight, likelihood.probs(scores))

    def _prior(self, logits: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        if self.constant is None:
            return super()._prior(logits, target, mask)
        return -self.constant.to(logits.device)[target]

    def _compute(self) -> dict[str, Any]:
        figures = super()._compute()
        if self.per_class:
            figures |= _distances(self._of("confusion", ConfusionMatrix).compute().double())
        return figures


def _distances(pairs: Tensor) -> dict[str, Any]:
    """Of the matrix of pairs; NaN over nothing, and the kappa where nothing varies."""
    rank = torch.arange(len(pairs), dtype=torch.float64)
    apart = rank.unsqueeze(1) - rank
    total = pairs.sum()
    at_random = torch.outer(pairs.sum(1), pairs.sum(0)) / total
    kappa = 1 - (apart.square() * pairs).sum() / (apart.square() * at_random).sum()
    return {"rank_mae": float((apart.abs() * pairs).sum() / total), "quadratic_kappa": float(kappa)}
