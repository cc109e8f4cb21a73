"""Likelihoods whose best constant prediction depends on every value that was seen: the values are kept.

The summary is a table of the distinct values of each output with their weights. Counts make a short one; of
real numbers it is as long as the targets, 24 bytes for each.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor

from likelihead.likelihoods.base import Targets
from likelihead.likelihoods.real import RealLikelihood

__all__ = ["ObservedLikelihood", "value_table"]

_L = TypeVar("_L", bound="ObservedLikelihood")


def value_table(columns: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """The distinct pairs of column and value, in order, with the sum of their weights.

    Returns:
        ``[3, U]``: columns, values, weights; pairs of weight 0 are left out.

    >>> value_table(torch.zeros(3), torch.tensor([5.0, 2.0, 5.0]), torch.tensor([1.0, 1.0, 0.5]))
    tensor([[0.0000, 0.0000],
            [2.0000, 5.0000],
            [1.0000, 1.5000]])
    """
    kept = weights != 0
    pairs = torch.stack([columns[kept], values[kept]])
    distinct, which = torch.unique(pairs, dim=1, return_inverse=True)
    total = torch.zeros(distinct.shape[1], dtype=weights.dtype, device=weights.device)
    return torch.cat([distinct, total.index_add(0, which, weights[kept]).unsqueeze(0)])


class ObservedLikelihood(RealLikelihood):
    """A `RealLikelihood` that finds its best constant from the table of the values."""

    @classmethod
    def from_targets(
        cls: type[_L], targets: Targets, *, sample_weight: Targets | None = None, **options: Any
    ) -> _L:
        """The likelihood with the values of the targets kept, for `baseline_nll` and `init_bias_`."""
        likelihood = cls(**options)
        likelihood.summary = likelihood.summarise(targets, sample_weight=sample_weight)
        return likelihood

    @abstractmethod
    def _best_outputs(self, values: Tensor, weights: Tensor, smoothing: float | None) -> Tensor:
        """The best constant outputs for one column of values; ``[parameters_of_target]``.

        Args:
            values: distinct values in order, at least one.
            weights: their weights, positive.
            smoothing: as in `best_constant`; None for the very best, which may be infinite.
        """

    def _nothing_seen(self) -> float:
        """The output for an output without any target."""
        return 0.0

    def _summarise(self, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        y, weight = self._observed(targets, sample_weight)
        column = torch.arange(self.num_outputs, dtype=y.dtype, device=y.device).expand_as(y)
        return value_table(column.flatten(), y.flatten(), weight.flatten())

    def _merge(self, first: Tensor, second: Tensor) -> Tensor:
        return value_table(*torch.cat([first, second], dim=1))

    def _columns(self, summary: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Values and weights of each output."""
        of, values, weights = summary
        return [(values[of == k], weights[of == k]) for k in range(self.num_outputs)]

    @torch.no_grad()
    def _baseline(self, summary: Tensor) -> Tensor:
        total = summary.new_zeros(())
        for values, weights in self._columns(summary):
            if len(values):
                outputs = self._best_outputs(values, weights, None)
                nll = self._nll(tuple(output.expand_as(values) for output in outputs), values)
                total = total + (weights * nll).sum()
        number = summary[2].sum()
        return total / torch.where(number > 0, number, 1)

    @torch.no_grad()
    def _best_bias(self, summary: Tensor, smoothing: float) -> Tensor:
        nothing = summary.new_full((self.parameters_of_target,), self._nothing_seen())
        return torch.cat(
            [
                self._best_outputs(values, weights, smoothing) if len(values) else nothing
                for values, weights in self._columns(summary)
            ]
        )
