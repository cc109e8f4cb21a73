"""Does a stated probability come true as often as it says? The expected calibration error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.inputs import check_probs, label_values, tally

__all__ = ["CalibrationBin", "CalibrationError"]


@dataclass(frozen=True)
class CalibrationBin:
    """The predictions whose confidence lies in ``(low, high]``; the first bin holds ``low`` as well.

    Attributes:
        low, high: the edges; of bins of equal mass the lowest and the highest confidence in it.
        count: how many predictions there are, a whole number; or the sum of their weights.
        confidence: their mean probability.
        observed: the share that came true.
    """

    low: float
    high: float
    count: float
    confidence: float
    observed: float


class CalibrationError(Accumulator):
    r"""Expected calibration error, by bins of equal width or of equal mass.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{N}\,\bigl|\mathrm{observed}_b - \mathrm{confidence}_b\bigr|

    With ``binning="width"`` the state is three sums for each bin. With ``"mass"`` every confidence is kept,
    16 bytes each, as the bins are known only in the end; equal confidences share a bin, the lower one, so
    that the answer does not depend on the order. With weights the bins hold the same weight each.

    Args:
        num_bins: the number of bins. The figure depends on it: name it when you report one.
        binning: ``"width"`` or ``"mass"``.

    >>> figure = CalibrationError()
    >>> figure.update(torch.tensor([0.95, 0.95, 0.55, 0.55]), torch.tensor([1, 1, 1, 0]))
    >>> round(figure.compute(), 6)
    0.05

    References:
        Guo et al. (2017), On Calibration of Modern Neural Networks. Nguyen and O'Connor (2015), Posterior
        Calibration and Exploratory Analysis for Natural Language Processing Models.
    """

    def __init__(self, num_bins: int = 10, binning: Literal["width", "mass"] = "width") -> None:
        super().__init__(num_bins=num_bins, binning=binning)
        if num_bins < 1:
            raise OptionError(f"num_bins is {num_bins}; expected at least 1.")
        if binning not in ("width", "mass"):
            raise OptionError(f"binning is {binning!r}; expected 'width' or 'mass'.")
        self.num_bins, self.binning = num_bins, binning
        if binning == "width":
            sums = (num_bins,)
            self._keep(totals={"confidence": sums, "outcome": sums}, counts={"count": sums})
        else:
            self._keep(rows=("confidence", "outcome"))

    def update(
        self,
        confidence: Tensor,
        outcome: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in predictions.

        Args:
            confidence: stated probabilities, any shape. For several classes take the predicted one's.
            outcome: whether they came true, in the same shape: 0 and 1, or a probability; NaN is left out.
            mask: False where a prediction is left out.
            sample_weight: how often each counts: ``[N]``, or a longer beginning of the shape.

        Raises:
            DomainError: a confidence outside [0, 1].
        """
        said, came, weight = label_values(
            confidence, outcome, mask=mask, sample_weight=sample_weight, name="confidence"
        )
        check_probs("confidence", said)
        if self.binning == "mass":
            self._append(weight, confidence=said, outcome=came)
            return
        edges = torch.arange(1, self.num_bins, dtype=torch.float64, device=said.device) / self.num_bins
        which = torch.bucketize(said, edges)
        self._count("count", tally(which, self.num_bins, weight))
        for name, values in (("confidence", said), ("outcome", came)):
            self._add(name, tally(which, self.num_bins, weight, values))

    def _sums(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Edges below and above, counts, and the sums of confidences and of outcomes."""
        if self.binning == "width":
            edges = torch.arange(self.num_bins + 1, dtype=torch.float64) / self.num_bins
            count, said = self._number("count"), self._total("confidence")
            return edges[:-1], edges[1:], count, said, self._total("outcome")
        confidence, outcome = self._column("confidence"), self._column("outcome")
        number = len(confidence)
        if not number:
            empty = torch.zeros(0, dtype=torch.float64)
            return empty, empty, empty.long(), empty, empty
        weight = self._row_weight()
        # By the outcome and the weight too, so that sums over equal confidences do not depend on the order.
        order = torch.arange(number) if weight is None else torch.argsort(weight)
        order = order[torch.argsort(outcome[order], stable=True)]
        order = order[torch.argsort(confidence[order], stable=True)]
        confidence, outcome = confidence[order], outcome[order]
        if weight is None:
            last = [-(-number * b // self.num_bins) - 1 for b in range(1, self.num_bins)]
            uppers = confidence[[index for index in last if index >= 0]]
        else:
            weight = weight[order]
            # The row with which each share of the weight is reached, but for a rounding.
            reached = weight.cumsum(0)
            shares = torch.arange(1, self.num_bins) * reached[-1] * ((1 - 1e-12) / self.num_bins)
            uppers = confidence[torch.searchsorted(reached, shares)]
        which = torch.unique_consecutive(torch.bucketize(confidence, uppers), return_inverse=True)[1]
        rows = torch.bincount(which)
        ends, size = rows.cumsum(0), len(rows)
        return (
            confidence[ends - rows],
            confidence[ends - 1],
            tally(which, size, weight),
            tally(which, size, weight, confidence),
            tally(which, size, weight, outcome),
        )

    def bins(self) -> tuple[CalibrationBin, ...]:
        """The reliability diagram's numbers; of an empty bin the means are NaN."""
        low, high, count, said, came = self._sums()
        means = (said / count).tolist(), (came / count).tolist()
        return tuple(
            CalibrationBin(*row)
            for row in zip(low.tolist(), high.tolist(), count.tolist(), *means, strict=True)
        )

    def compute(self) -> float:
        """The error, in [0, 1]; NaN over nothing."""
        _, _, count, said, came = self._sums()
        number = count.sum().item()
        return float((came - said).abs().sum()) / number if number else math.nan
