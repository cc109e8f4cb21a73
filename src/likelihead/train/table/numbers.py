"""What a run on numbers predicts, and the figures that belong to its task: counts, quantiles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from likelihead.likelihoods import Likelihood
from likelihead.train.table.data import Schema
from likelihead.train.table.data.schema import COUNTS
from likelihead.train.table.means import Mean

__all__ = ["NumberFigures", "central", "misses", "numbers", "pinball", "quantile_names", "quantiles"]


def central(levels: tuple[float, ...]) -> int:
    """The position of the level nearest to one half.

    >>> central((0.1, 0.5, 0.9))
    1
    """
    return min(range(len(levels)), key=lambda index: abs(levels[index] - 0.5))


def quantile_names(levels: tuple[float, ...]) -> list[str]:
    """How the quantiles' columns are called.

    >>> quantile_names((0.1, 0.5))
    ['quantile_0.1', 'quantile_0.5']
    """
    return [f"quantile_{level:g}" for level in levels]


def quantiles(likelihood: Likelihood, schema: Schema, output: Tensor) -> Tensor:
    """The predicted quantiles ``[N, K]`` in the target's units, rising along each row."""
    return schema.restore(likelihood.predict(output)).reshape(len(output), -1)


def numbers(likelihood: Likelihood, schema: Schema, output: Tensor, levels: tuple[float, ...]) -> Tensor:
    """The number predicted for each row, ``[N]``, in the target's units.

    The mean of a regression and of a count, the location of a robust regression, the quantile nearest to
    the median of several.
    """
    if schema.task == "quantile":
        return quantiles(likelihood, schema, output)[:, central(levels)]
    return schema.restore(likelihood.predict(output))


def pinball(predicted: Tensor, truth: Tensor, levels: tuple[float, ...]) -> Tensor:
    r"""The pinball loss of each quantile, ``[N, K]``: :math:`\max(\tau (y - q), (\tau - 1)(y - q))`."""
    above = truth.unsqueeze(1) - predicted
    tau = torch.tensor(levels, dtype=predicted.dtype)
    return torch.maximum(tau * above, (tau - 1) * above)


def misses(
    likelihood: Likelihood, schema: Schema, output: Tensor, target: Tensor, levels: tuple[float, ...]
) -> Tensor:
    """What the score is the mean of, ``[N]``, in the target's units.

    The squared error of a regression and of a count, whose root is shown; the absolute error of a robust
    regression; the pinball loss of quantiles, the mean over the levels.
    """
    truth = schema.restore(target)
    if schema.task == "quantile":
        return pinball(quantiles(likelihood, schema, output), truth, levels).mean(1)
    error = numbers(likelihood, schema, output, levels) - truth
    return error.abs() if schema.task == "robust-regression" else error.square()


class NumberFigures:
    """The figures of one task beside those that every number has.

    Args:
        levels: of the quantiles.
        schema: of the run.
        likelihood: that is reported.
    """

    def __init__(self, levels: tuple[float, ...], schema: Schema, likelihood: Likelihood) -> None:
        self.levels, self.schema, self.likelihood = levels, schema, likelihood
        self.below = [Mean() for _ in self.levels]
        self.pinball = [Mean() for _ in self.levels]
        self.within, self.dispersion, self.zeros, self.said_zeros = Mean(), Mean(), Mean(), Mean()

    def add(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> None:
        """Take in a batch."""
        truth = self.schema.restore(target)
        if self.schema.task == "quantile":
            predicted = quantiles(self.likelihood, self.schema, output)
            losses = pinball(predicted, truth, self.levels)
            for index in range(len(self.levels)):
                self.below[index].add((truth <= predicted[:, index]).double(), weight)
                self.pinball[index].add(losses[:, index], weight)
            inside = (truth >= predicted[:, 0]) & (truth <= predicted[:, -1])
            self.within.add(inside.double(), weight)
        if self.schema.task in COUNTS:
            distribution = self.likelihood.distribution(output)
            error = (truth - distribution.mean).square()
            self.dispersion.add(error / distribution.variance, weight)
            self.zeros.add((truth == 0).double(), weight)
            self.said_zeros.add(distribution.log_prob(torch.zeros_like(truth)).exp(), weight)

    def figures(self) -> dict[str, Any]:
        """By name: of quantiles the pinball loss and the coverage, of counts the dispersion and the zeros."""
        if self.schema.task == "quantile":
            named: dict[str, Any] = {"pinball": sum(f.value for f in self.pinball) / len(self.levels)}
            if len(self.levels) > 1:
                named["interval_coverage"] = self.within.value
                named["interval_stated"] = self.levels[-1] - self.levels[0]
            return named
        if self.schema.task in COUNTS:
            return {
                "dispersion": self.dispersion.value,
                "zeros": self.zeros.value,
                "zeros_stated": self.said_zeros.value,
            }
        return {}

    def per_level(self) -> list[dict[str, float]]:
        """For each quantile: its level, the share of the targets that is not above it, its pinball loss."""
        if self.schema.task != "quantile":
            return []
        return [
            {"level": level, "share_below": below.value, "pinball": loss.value}
            for level, below, loss in zip(self.levels, self.below, self.pinball, strict=True)
        ]
