"""Figures that need every score: areas under curves, and the curves."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from likelihead.errors import OptionError, ShapeError
from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.inputs import check_hard, counted, spread_weight
from likelihead.evaluate.thresholds import (
    Metric,
    ThresholdCurve,
    TunedThresholds,
    average_precision,
    roc_auc,
    threshold_curve,
    tune_thresholds,
)
from likelihead.likelihoods.checks import check_same_shape, check_tensor

__all__ = ["Ranking"]


class Ranking(Accumulator):
    """ROC AUC, average precision and threshold curves, exact: every score is kept.

    That is 5 bytes for each score in float32, and 8 more where there are weights. Several columns, of classes
    or labels, are one against the rest each.

    Args:
        num_columns: C or L; None for a single yes or no of any shape.

    >>> figure = Ranking()
    >>> figure.update(torch.tensor([0.1, 0.4]), torch.tensor([0, 0]))
    >>> figure.update(torch.tensor([0.35, 0.8]), torch.tensor([1, 1]))
    >>> figure.compute(), round(figure.average_precision()[0], 4)
    (0.75, 0.8333)
    """

    def __init__(self, num_columns: int | None = None) -> None:
        super().__init__(num_columns=num_columns)
        if num_columns is not None and num_columns < 1:
            raise OptionError(f"num_columns is {num_columns}; expected at least 1, or None.")
        self.num_columns = num_columns
        self._keep(rows=("scores", "outcome"))

    def update(
        self,
        scores: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in scores (probabilities, for the curves) and labels 0 and 1 of the same shape.

        NaN labels are left out. Of class indices give the one-hot rows.

        Raises:
            ShapeError: the shapes differ, or the number of columns.
        """
        check_tensor("scores", scores)
        check_same_shape(scores, target)
        where, _ = counted(target, mask, sample_weight=sample_weight)
        # -1 stands for "left out": one byte for each label.
        outcome = torch.where(where, target.detach(), -1)
        check_hard(outcome[where])
        parts = [scores.detach(), outcome.to(torch.int8)]
        weight = spread_weight(sample_weight, where)
        if weight is not None:
            parts.append(weight)
        if self.num_columns is None:
            parts = [part.reshape(-1, 1) for part in parts]
        elif scores.dim() < 2 or scores.shape[1] != self.num_columns:
            raise ShapeError(f"scores has shape {list(scores.shape)}; expected [N, {self.num_columns}, ...].")
        else:
            parts = [part.movedim(1, -1).reshape(-1, self.num_columns) for part in parts]
        self._append(None if weight is None else parts[2], scores=parts[0], outcome=parts[1])

    def _columns(self) -> list[dict[str, Any]]:
        """Scores, and the options of the functions of `thresholds`, of each column."""
        scores, outcome, weight = self._joined("scores"), self._joined("outcome"), self._row_weight()
        return [
            {
                "scores": scores[:, k],
                "target": outcome[:, k].clamp_min(0),
                "mask": outcome[:, k] >= 0,
                "sample_weight": None if weight is None else weight[:, k],
            }
            for k in range(scores.shape[1])
        ]

    def _joined(self, name: str) -> Tensor:
        pieces = self._rows[name]
        if not pieces:
            return torch.zeros(0, self.num_columns or 1)
        self._rows[name] = [torch.cat(pieces)]
        return self._rows[name][0]

    def roc_auc(self) -> tuple[float, ...]:
        """Of each column; NaN unless both outcomes occur."""
        return tuple(roc_auc(**column) for column in self._columns())

    def average_precision(self) -> tuple[float, ...]:
        """Of each column; NaN without a yes."""
        return tuple(average_precision(**column) for column in self._columns())

    def curve(self, column: int = 0) -> ThresholdCurve:
        """What each threshold decides in a column; the scores must be probabilities."""
        options = self._columns()[column]
        return threshold_curve(options.pop("scores"), **options)

    def tune(self, *, metric: Metric = "f1", fallback: float | None = None) -> TunedThresholds:
        """The best thresholds: see `tune_thresholds`."""
        scores, outcome, weight = self._joined("scores"), self._joined("outcome"), self._row_weight()
        if self.num_columns is None:
            scores, outcome = scores[:, 0], outcome[:, 0]
            weight = None if weight is None else weight[:, 0]
        return tune_thresholds(
            scores,
            outcome.clamp_min(0),
            metric=metric,
            mask=outcome >= 0,
            sample_weight=weight,
            fallback=fallback,
        )

    def compute(self) -> float:
        """The mean ROC AUC of the columns for which there is one."""
        values = [value for value in self.roc_auc() if not math.isnan(value)]
        return math.fsum(values) / len(values) if values else math.nan
