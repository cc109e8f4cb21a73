"""How often the prediction is right: accuracy, top-k, and all labels at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from likelihead.errors import DTypeError, OptionError
from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.inputs import class_rows, counted, spread_weight, total
from likelihead.likelihoods.checks import check_same_shape, check_tensor

__all__ = ["Accuracy", "ExactMatch", "TopKAccuracy"]


class _Share(Accumulator):
    """Hits over trials."""

    def _hits(self, hits: Tensor, weight: Tensor | None) -> None:
        self._count("hits", total(hits, weight))
        self._count("count", hits.numel() if weight is None else weight.sum())

    def compute(self) -> float:
        """The share, in [0, 1]; NaN over nothing."""
        count = self._number("count").item()
        return self._number("hits").item() / count if count else math.nan


class Accuracy(_Share):
    """The share of targets that are predicted right: classes, or labels one by one.

    Args:
        ignore_index: a class index that is left out.

    >>> figure = Accuracy()
    >>> figure.update(torch.tensor([0, 2, 1]), torch.tensor([0, 1, -100]))
    >>> figure.compute()
    0.5
    """

    def __init__(self, *, ignore_index: int = -100) -> None:
        super().__init__(ignore_index=ignore_index)
        self.ignore_index = ignore_index
        self._keep(counts={"hits": (), "count": ()})

    def update(
        self,
        predicted: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in predictions, as ``predict(logits)`` gives them, and targets of the same shape.

        A NaN target is left out, and one whose ``mask`` is False or whose ``sample_weight`` is 0.

        Raises:
            ShapeError: the shapes differ.
            DTypeError: predictions that are probabilities or logits.
        """
        check_tensor("predicted", predicted)
        if predicted.is_floating_point():
            raise DTypeError(
                f"predicted is {predicted.dtype}; expected decisions as integers: predict(logits)."
            )
        check_same_shape(predicted, target)
        where, weight = counted(target, mask, ignore_index=self.ignore_index, sample_weight=sample_weight)
        self._hits(predicted[where] == target[where], weight)


class TopKAccuracy(_Share):
    """The share of targets that are among the k classes with the largest scores.

    Of equal scores the lower index comes first, as in ``predict``, so that k = 1 is the accuracy.

    Args:
        k: how many classes may be named.
        ignore_index: a class index that is left out.

    >>> figure = TopKAccuracy(2)
    >>> figure.update(torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]), torch.tensor([1, 2]))
    >>> figure.compute()
    0.5
    """

    def __init__(self, k: int, *, ignore_index: int = -100) -> None:
        super().__init__(k=k, ignore_index=ignore_index)
        if k < 1:
            raise OptionError(f"k is {k}; expected at least 1.")
        self.k, self.ignore_index = k, ignore_index
        self._keep(counts={"hits": (), "count": ()})

    def update(
        self,
        scores: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in logits or probabilities ``[N, C, ...]`` and class indices ``[N, ...]``.

        For probability targets the most probable class counts as the true one.

        Raises:
            ShapeError, TargetError: they do not fit each other.
            DomainError: a score is NaN (LH801).
        """
        rows, truth, weight = class_rows(
            "scores",
            scores,
            target,
            ignore_index=self.ignore_index,
            mask=mask,
            sample_weight=sample_weight,
        )
        if truth.is_floating_point():
            truth = truth.argmax(1)
        own = rows.gather(1, truth.unsqueeze(1))
        index = torch.arange(rows.shape[1], device=rows.device)
        ahead = (rows > own) | ((rows == own) & (index < truth.unsqueeze(1)))
        self._hits(ahead.sum(1) < self.k, weight)


class ExactMatch(_Share):
    """The share of examples of which every known label is predicted right.

    An example without a known label is left out.

    >>> figure = ExactMatch()
    >>> figure.update(torch.tensor([[1, 0], [1, 1]]), torch.tensor([[1.0, torch.nan], [1.0, 0.0]]))
    >>> figure.compute()
    0.5
    """

    def __init__(self) -> None:
        super().__init__()
        self._keep(counts={"hits": (), "count": ()})

    def update(
        self,
        predicted: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in decisions and labels, ``[N, L, ...]``; the labels of an example are along dimension 1.

        Where the labels of an example have weights of their own, ``[N, L, ...]``, the example counts with
        the mean weight of those that count.

        Raises:
            ShapeError: the shapes differ.
        """
        check_tensor("predicted", predicted)
        check_same_shape(predicted, target)
        known, _ = counted(target, mask, sample_weight=sample_weight)
        right, some = ((predicted == target) | ~known).all(1), known.any(1)
        self._hits(right[some], example_weight(sample_weight, known))


def example_weight(sample_weight: Tensor | None, known: Tensor) -> Tensor | None:
    """The weights of the examples with a label that counts: the mean weight of these labels.

    Args:
        sample_weight: as `counted` takes it for the labels.
        known: ``[N, L, ...]``, the labels that count.
    """
    weight = spread_weight(sample_weight, known)
    if weight is None:
        return None
    # Where all labels weigh the same, that weight to the last digit.
    low, high = (torch.where(known, weight, edge) for edge in (torch.inf, -torch.inf))
    low, high = low.amin(1), high.amax(1)
    mean = torch.where(known, weight, 0.0).sum(1) / known.sum(1)
    return torch.where(low == high, low, mean)[known.any(1)]
