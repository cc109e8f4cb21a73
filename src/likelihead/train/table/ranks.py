"""Figures of classes in an order: how many ranks a prediction is off."""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.train.table.means import Mean

__all__ = ["RankFigures"]


class RankFigures:
    r"""The mean absolute difference in ranks, and Cohen's kappa with quadratic weights.

    .. math:: \kappa = 1 - \frac{\sum_{ij} (i - j)^2 O_{ij}}{\sum_{ij} (i - j)^2 E_{ij}}

    with O the confusion matrix and E what independent predictions with the same frequencies would give: 1 of
    a perfect model, 0 of one that has learnt nothing.

    >>> figures = RankFigures(3)
    >>> figures.add(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 2, 1]))
    >>> round(figures.mae, 4), round(figures.kappa, 4)
    (0.25, 0.8)

    References:
        Cohen (1968), Weighted Kappa.
    """

    def __init__(self, num_classes: int) -> None:
        self.off, self.square = Mean(), Mean()
        self.said = torch.zeros(num_classes, dtype=torch.float64)
        self.came = torch.zeros(num_classes, dtype=torch.float64)

    def add(self, predicted: Tensor, target: Tensor, weight: Tensor | None = None) -> None:
        """Take in a batch of class indices."""
        difference = (predicted - target).double()
        self.off.add(difference.abs(), weight)
        self.square.add(difference.square(), weight)
        for total, values in ((self.said, predicted), (self.came, target)):
            total += torch.bincount(values, weight, minlength=len(total)).double()

    @property
    def mae(self) -> float:
        """The mean absolute difference, in ranks."""
        return self.off.value

    @property
    def kappa(self) -> float:
        """The quadratic weighted kappa; NaN where one class is all that is predicted and all that comes."""
        ranks = torch.arange(len(self.said), dtype=torch.float64)
        squares = (ranks.unsqueeze(1) - ranks).square()
        expected = float((squares * torch.outer(self.said, self.came)).sum())
        total = float(self.said.sum()) * float(self.came.sum())
        return 1 - self.square.value / (expected / total) if expected else float("nan")
