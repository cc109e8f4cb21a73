"""Means over batches of rows, weighted where the rows have weights."""

from __future__ import annotations

import math

from torch import Tensor

__all__ = ["Mean", "mean_of", "weighing"]


class Mean:
    """A mean over batches, as (sum, count).

    >>> import torch
    >>> mean = Mean()
    >>> mean.add(torch.tensor([1.0, 2.0])); mean.add(torch.tensor([6.0]))
    >>> mean.value
    3.0
    """

    def __init__(self, total: float = 0.0, count: float = 0) -> None:
        self.total, self.count = total, count

    def add(self, values: Tensor, weight: Tensor | None = None) -> None:
        """Take in a batch of values, with the rows' weights ``[N]`` where they have any."""
        values = values.detach().double()
        if weight is None:
            self.total += float(values.sum())
            self.count += values.numel()
            return
        self.total += float((values * weight).sum())
        self.count += float(weight.sum())

    @property
    def value(self) -> float:
        """The mean; NaN over nothing."""
        return self.total / self.count if self.count else math.nan


def mean_of(values: Tensor, weight: Tensor | None) -> float:
    """The mean of one batch; NaN over nothing."""
    mean = Mean()
    mean.add(values, weight)
    return mean.value


def weighing(weight: Tensor | None) -> dict[str, Tensor]:
    """The sample weights as a keyword of those who take them; nothing without a column of weights."""
    return {} if weight is None else {"sample_weight": weight}
