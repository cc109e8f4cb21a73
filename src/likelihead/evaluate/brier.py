"""The Brier score, and what it is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from likelihead.errors import OptionError, ShapeError
from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.inputs import check_probs, class_rows, counted, label_values, tally, total

__all__ = ["Brier", "BrierDecomposition", "BrierParts"]


class Brier(Accumulator):
    r"""Mean squared distance between probabilities and what happened.

    .. math:: \frac{1}{N} \sum_i \sum_c (p_{ic} - y_{ic})^2

    Over classes it is the sum, between 0 and 2; of a yes or no only the probability of a yes is compared, so
    that it lies between 0 and 1, and two classes score twice what one logit does. That is Brier's own and
    scikit-learn's convention for each.

    Args:
        ignore_index: a class index that is left out.

    >>> figure = Brier()
    >>> figure.update(torch.tensor([[0.8, 0.2]]), torch.tensor([0]))
    >>> round(figure.compute(), 6)
    0.08
    >>> single = Brier()
    >>> single.update(torch.tensor([0.2]), torch.tensor([0]))
    >>> round(single.compute(), 6)
    0.04

    References:
        Brier (1950), Verification of Forecasts Expressed in Terms of Probability.
    """

    def __init__(self, *, ignore_index: int = -100) -> None:
        super().__init__(ignore_index=ignore_index)
        self.ignore_index = ignore_index
        self._keep(totals={"square": ()}, counts={"count": ()})

    def update(
        self,
        probs: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in probabilities and targets; for soft class targets see `update_soft`.

        Args:
            probs: of classes, ``[N, C, ...]`` with class indices ``[N, ...]``; or of a yes, in the target's
                shape.
            target: class indices; or labels of the probabilities' shape, NaN where one is left out.
            mask: in the target's shape, False where it is left out.
            sample_weight: how often each counts: ``[N]``, or the target's shape.

        Raises:
            DomainError: a probability outside [0, 1].
            ShapeError, TargetError: they do not fit each other.
        """
        if target.dim() + 1 == probs.dim():
            rows, truth, weight = class_rows(
                "probs",
                probs,
                target,
                ignore_index=self.ignore_index,
                mask=mask,
                sample_weight=sample_weight,
            )
            check_probs("probs", rows)
            rows = rows.double()
            own = rows.gather(1, truth.unsqueeze(1)).squeeze(1)
            # Of the true class the complement; adding the rest keeps small parts that 1 - 2p would lose.
            rest = rows.square().scatter(1, truth.unsqueeze(1), 0.0).sum(1)
            square = rest + (1 - own).square()
        else:
            said, came, weight = label_values(
                probs, target, ignore_index=self.ignore_index, mask=mask, sample_weight=sample_weight
            )
            check_probs("probs", said)
            square = (said - came).square()
        self._take(square, weight)

    def _take(self, square: Tensor, weight: Tensor | None) -> None:
        self._add("square", total(square, weight))
        self._count("count", len(square) if weight is None else weight.sum())

    def update_soft(
        self,
        probs: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in probabilities of classes ``[N, C, ...]`` and targets that are such probabilities, too.

        A target with NaN in it is left out; ``mask`` and ``sample_weight`` are ``[N]`` or ``[N, ...]``.

        Raises:
            ShapeError: the shapes differ.
            DomainError: a probability outside [0, 1].
        """
        if probs.shape != target.shape or not target.is_floating_point():
            raise ShapeError(
                f"target is {target.dtype} of shape {list(target.shape)}; expected probabilities of the "
                f"shape of probs, {list(probs.shape)}."
            )
        rows, truth, weight = class_rows("probs", probs, target, mask=mask, sample_weight=sample_weight)
        check_probs("probs", rows)
        check_probs("target", truth)
        self._take((rows.double() - truth.double()).square().sum(1), weight)

    def compute(self) -> float:
        """The score; NaN over nothing."""
        count = self._number("count").item()
        return float(self._total("square")) / count if count else math.nan


@dataclass(frozen=True)
class BrierParts:
    """What a Brier score is made of: ``brier = reliability - resolution + uncertainty + within_bins``.

    Attributes:
        brier: the score.
        reliability: how far each bin's mean probability is from what came true; 0 if calibrated.
        resolution: how far the bins' outcomes are from the overall one: what the model tells apart.
        uncertainty: the variance of the outcome, the score of the best constant prediction.
        within_bins: what the binning cannot see: the variance of the probabilities within a bin, less twice
            their covariance with the outcome.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float


class BrierDecomposition(Accumulator):
    r"""The Brier score as reliability, resolution and uncertainty, over bins of equal width.

    .. math:: \text{Brier} = \sum_b \frac{n_b}{N} (\bar p_b - \bar y_b)^2
              - \sum_b \frac{n_b}{N} (\bar y_b - \bar y)^2 + \bar y (1 - \bar y) + W

    Murphy's three parts leave out what happens within a bin; with that part, W, the identity is exact. Of
    soft labels the uncertainty is their variance :math:`\overline{y^2} - \bar y^2`. Columns, of classes or
    labels, are decomposed one by one and added up (`compute`), as the score of classes is their sum.

    Args:
        num_columns: C or L; 1 for a yes or no.
        num_bins: the number of bins of each column.

    >>> parts = BrierDecomposition()
    >>> parts.update(torch.tensor([0.75, 0.75, 0.25, 0.25]), torch.tensor([1, 1, 0, 1]))
    >>> parts.compute()
    BrierParts(brier=0.1875, reliability=0.0625, resolution=0.0625, uncertainty=0.1875, within_bins=0.0)

    References:
        Murphy (1973), A New Vector Partition of the Probability Score. Stephenson et al. (2008), Two Extra
        Components in the Brier Score Decomposition.
    """

    def __init__(self, num_columns: int = 1, num_bins: int = 10) -> None:
        super().__init__(num_columns=num_columns, num_bins=num_bins)
        if num_columns < 1 or num_bins < 1:
            raise OptionError(
                f"num_columns is {num_columns} and num_bins {num_bins}; expected at least 1 of each."
            )
        self.num_columns, self.num_bins = num_columns, num_bins
        shape = (num_columns, num_bins)
        self._keep(
            totals=dict.fromkeys(("said", "came", "said_square", "came_square", "product"), shape),
            counts={"count": shape},
        )

    def update(
        self,
        probs: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in probabilities and labels of the same shape; the columns are along dimension 1.

        Args:
            probs: ``[N, C, ...]``, or any shape with one column.
            target: 0 and 1 (of class indices the one-hot rows), or probabilities; NaN is left out.
            mask: False where a label is left out.
            sample_weight: how often each counts: ``[N]``, ``[N, C]``, or the whole shape.

        Raises:
            ShapeError: the shapes differ, or the number of columns.
            DomainError: a probability outside [0, 1].
        """
        columns = torch.zeros_like(probs, dtype=torch.int64)
        if self.num_columns > 1:
            if probs.dim() < 2 or probs.shape[1] != self.num_columns:
                raise ShapeError(
                    f"probs has shape {list(probs.shape)}; expected [N, {self.num_columns}, ...]."
                )
            index = torch.arange(self.num_columns, device=probs.device)
            columns = columns + index.view(-1, *[1] * (probs.dim() - 2))
        said, came, weight = label_values(probs, target, mask=mask, sample_weight=sample_weight)
        check_probs("probs", said)
        where, _ = counted(target, mask, sample_weight=sample_weight)
        cells = columns[where] * self.num_bins
        edges = torch.arange(1, self.num_bins, dtype=torch.float64, device=said.device) / self.num_bins
        cells = cells + torch.bucketize(said, edges)
        shape, size = (self.num_columns, self.num_bins), self.num_columns * self.num_bins
        self._count("count", tally(cells, size, weight).view(shape))
        for name, values in (
            ("said", said),
            ("came", came),
            ("said_square", said.square()),
            ("came_square", came.square()),
            ("product", said * came),
        ):
            self._add(name, tally(cells, size, weight, values).view(shape))

    def by_column(self) -> tuple[BrierParts, ...]:
        """The parts of each column; NaN where nothing was counted."""
        count = self._number("count").double()
        said, came = self._total("said"), self._total("came")
        number, filled = count.sum(1), torch.where(count > 0, count, 1.0)
        mean_said, mean_came = said / filled, came / filled
        mean = came.sum(1) / number
        squares = (self._total("said_square") - 2 * self._total("product") + self._total("came_square")).sum(
            1
        )
        brier = squares / number
        reliability = (count * (mean_said - mean_came).square()).sum(1) / number
        resolution = (count * (mean_came - mean.unsqueeze(1)).square()).sum(1) / number
        uncertainty = self._total("came_square").sum(1) / number - mean.square()
        spread = self._total("said_square") - said * mean_said
        together = self._total("product") - came * mean_said
        within = (spread - 2 * together).sum(1) / number
        parts = torch.stack([brier, reliability, resolution, uncertainty, within], 1)
        return tuple(BrierParts(*row) for row in parts.tolist())

    def compute(self) -> BrierParts:
        """The parts, added up over the columns."""
        rows = self.by_column()
        return BrierParts(
            *(
                math.fsum(getattr(row, name) for row in rows)
                for name in ("brier", "reliability", "resolution", "uncertainty", "within_bins")
            )
        )
