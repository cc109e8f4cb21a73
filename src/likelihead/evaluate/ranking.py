"""Figures that need every score: areas under curves, and the curves."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from likelihead.errors import OptionError, ShapeError
from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.inputs import check_hard, kept
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

    That is 5 bytes for each score in float32. Several columns, of classes or labels, are one against the
    rest each.

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

    def update(self, scores: Tensor, target: Tensor, *, mask: Tensor | None = None) -> None:
        """Take in scores (probabilities, for the curves) and labels 0 and 1 of the same shape.

        NaN labels are left out. Of class indices give the one-hot rows.

        Raises:
            ShapeError: the shapes differ, or the number of columns.
        """
        check_tensor("scores", scores)
        check_same_shape(scores, target)
        where = kept(target, mask)
        # -1 stands for "left out": one byte for each label.
        outcome = torch.where(where, target.detach(), -1)
        check_hard(outcome[where])
        rows, marks = scores.detach(), outcome.to(torch.int8)
        if self.num_columns is None:
            rows, marks = rows.reshape(-1, 1), marks.reshape(-1, 1)
        elif scores.dim() < 2 or scores.shape[1] != self.num_columns:
            raise ShapeError(f"scores has shape {list(scores.shape)}; expected [N, {self.num_columns}, ...].")
        else:
            rows, marks = (part.movedim(1, -1).reshape(-1, self.num_columns) for part in (rows, marks))
        self._append(scores=rows, outcome=marks)

    def _columns(self) -> tuple[Tensor, Tensor, Tensor]:
        scores, outcome = self._joined("scores"), self._joined("outcome")
        return scores, outcome, outcome >= 0

    def _joined(self, name: str) -> Tensor:
        pieces = self._rows[name]
        if not pieces:
            return torch.zeros(0, self.num_columns or 1)
        self._rows[name] = [torch.cat(pieces)]
        return self._rows[name][0]

    def roc_auc(self) -> tuple[float, ...]:
        """Of each column; NaN unless both outcomes occur."""
        scores, outcome, known = self._columns()
        return tuple(
            roc_auc(s, y, mask=m) for s, y, m in zip(scores.T, outcome.clamp_min(0).T, known.T, strict=True)
        )

    def average_precision(self) -> tuple[float, ...]:
        """Of each column; NaN without a yes."""
        scores, outcome, known = self._columns()
        return tuple(
            average_precision(s, y, mask=m)
            for s, y, m in zip(scores.T, outcome.clamp_min(0).T, known.T, strict=True)
        )

    def curve(self, column: int = 0) -> ThresholdCurve:
        """What each threshold decides in a column; the scores must be probabilities."""
        scores, outcome, known = self._columns()
        return threshold_curve(scores[:, column], outcome[:, column].clamp_min(0), mask=known[:, column])

    def tune(self, *, metric: Metric = "f1", fallback: float | None = None) -> TunedThresholds:
        """The best thresholds: see `tune_thresholds`."""
        scores, outcome, known = self._columns()
        if self.num_columns is None:
            scores, outcome, known = scores[:, 0], outcome[:, 0], known[:, 0]
        return tune_thresholds(scores, outcome.clamp_min(0), metric=metric, mask=known, fallback=fallback)

    def compute(self) -> float:
        """The mean ROC AUC of the columns for which there is one."""
        values = [value for value in self.roc_auc() if not math.isnan(value)]
        return math.fsum(values) / len(values) if values else math.nan
