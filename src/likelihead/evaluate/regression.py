"""Figures of predicted numbers: errors, and the share of the variance that is explained."""

from __future__ import annotations

import math

from torch import Tensor

from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.inputs import counted, total
from likelihead.likelihoods.checks import check_same_shape, check_tensor

__all__ = ["Regression"]


class Regression(Accumulator):
    r"""Squared and absolute errors, and :math:`R^2 = 1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2`.

    All values are taken together, whatever the shape.

    Args:
        center: a number near the targets' mean, such as the training mean: the variance is summed around it,
            so that it keeps its digits where the mean is large.

    >>> figure = Regression()
    >>> figure.update(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 3.0, 5.0]))
    >>> round(figure.rmse, 4), round(figure.mae, 4), round(figure.r2, 4)
    (0.8165, 0.6667, 0.75)
    """

    def __init__(self, center: float = 0.0) -> None:
        super().__init__(center=center)
        self.center = center
        self._keep(
            totals=dict.fromkeys(("square", "absolute", "target", "target_square"), ()), counts={"count": ()}
        )

    def update(
        self,
        predicted: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in predictions and targets of the same shape; NaN targets are left out.

        Raises:
            ShapeError: the shapes differ: they would broadcast (LH302).
        """
        check_tensor("predicted", predicted)
        check_same_shape(predicted, target)
        where, weight = counted(target, mask, sample_weight=sample_weight)
        truth = target.detach()[where].double()
        error, offset = predicted.detach()[where].double() - truth, truth - self.center
        self._add("square", total(error.square(), weight))
        self._add("absolute", total(error.abs(), weight))
        self._add("target", total(offset, weight))
        self._add("target_square", total(offset.square(), weight))
        self._count("count", error.numel() if weight is None else weight.sum())

    @property
    def count(self) -> float:
        """The number of targets, a whole number; with weights their sum."""
        return self._number("count").item()

    def _mean(self, name: str) -> float:
        count = self.count
        return float(self._total(name)) / count if count else math.nan

    @property
    def mse(self) -> float:
        """The mean squared error."""
        return self._mean("square")

    @property
    def rmse(self) -> float:
        """Its root."""
        return math.sqrt(self.mse)

    @property
    def mae(self) -> float:
        """The mean absolute error."""
        return self._mean("absolute")

    @property
    def r2(self) -> float:
        """The share of the variance that is explained; NaN where the target does not vary."""
        variance = self._mean("target_square") - self._mean("target") ** 2
        return 1 - self.mse / variance if variance > 0 else math.nan

    def compute(self) -> float:
        """The root mean squared error; NaN over nothing."""
        return self.rmse
