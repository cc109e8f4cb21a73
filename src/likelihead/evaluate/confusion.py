"""Who is taken for whom: the confusion matrix, and the figures of each class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from likelihead.core.domains import UNIT_INTERVAL
from likelihead.errors import DTypeError, OptionError, ShapeError, TargetError
from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.inputs import check_hard, class_index_rows, counted, tally
from likelihead.likelihoods.checks import check_in_domain, check_same_shape, check_tensor

__all__ = ["ConfusionMatrix", "LabelConfusion", "Rates"]


@dataclass(frozen=True)
class Rates:
    """The figures of each class, or label, from its counts.

    A figure is NaN where it is 0/0: the recall of a class that does not occur, the precision of one that is
    never predicted, F1 and IoU of one that neither occurs nor is predicted. So are all figures of a class
    that is ignored, however often it is predicted: what it is predicted for is a miss of the true class.
    Means over classes leave NaN out, and are NaN if nothing is left.

    Attributes:
        tp, fp, fn, tn: ``[C]``, int64; float64 where they are sums of weights.
        ignored: the class that has no figures, if any.
    """

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor
    ignored: int | None = None

    def _share(self, part: Tensor, whole: Tensor) -> Tensor:
        share = part.double() / whole
        if self.ignored is not None:
            share[self.ignored] = math.nan
        return share

    @property
    def support(self) -> Tensor:
        """How often each occurs."""
        return self.tp + self.fn

    @property
    def precision(self) -> Tensor:
        """The share of its predictions that are right."""
        return self._share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Tensor:
        """The share of its occurrences that are found."""
        return self._share(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> Tensor:
        """The harmonic mean of precision and recall: with pixels, the Dice coefficient."""
        return self._share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def dice(self) -> Tensor:
        """The Dice coefficient, which is `f1`."""
        return self.f1

    @property
    def iou(self) -> Tensor:
        """Intersection over union, the Jaccard index."""
        return self._share(self.tp, self.tp + self.fp + self.fn)

    def macro(self, name: str) -> float:
        """The mean of a figure over the classes for which it is defined.

        Args:
            name: ``"precision"``, ``"recall"`` (its mean is the balanced accuracy), ``"f1"``, ``"dice"`` or
                ``"iou"``.

        Raises:
            OptionError: another name.
        """
        if name not in ("precision", "recall", "f1", "dice", "iou"):
            raise OptionError(f"name is {name!r}; expected 'precision', 'recall', 'f1', 'dice' or 'iou'.")
        values: Tensor = getattr(self, name)
        return float(values.nanmean())

    def micro(self, name: str) -> float:
        """A figure of the counts of all classes together, without the one that is ignored.

        Raises:
            OptionError: another name than those of `macro`.
        """
        counts = torch.stack([self.tp, self.fp, self.fn, self.tn])
        if self.ignored is not None:
            counts = counts[:, torch.arange(len(self.tp)) != self.ignored]
        tp, fp, fn, tn = counts.sum(1, keepdim=True)
        summed = Rates(tp, fp, fn, tn)
        return summed.macro(name)


class ConfusionMatrix(Accumulator):
    """How often each class is predicted for each true one, counted exactly.

    Args:
        num_classes: C; the state is a ``[C, C]`` matrix.
        ignore_index: a class index that is left out. One of the C classes then has no figures and is in no
            mean; where it is predicted, the true class was missed.

    >>> matrix = ConfusionMatrix(3)
    >>> matrix.update(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, -100]))
    >>> matrix.compute()
    tensor([[1, 0, 0],
            [0, 1, 0],
            [0, 1, 0]])
    >>> matrix.rates().recall
    tensor([1., 1., 0.], dtype=torch.float64)
    >>> matrix.accuracy(), matrix.balanced_accuracy()
    (0.666..., 0.666...)
    """

    def __init__(self, num_classes: int, *, ignore_index: int = -100) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index)
        if num_classes < 2:
            raise OptionError(f"num_classes is {num_classes}; expected at least 2.")
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self._keep(counts={"pairs": (num_classes, num_classes)})

    def update(
        self,
        predicted: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in class indices of the same shape, any: examples, or pixels.

        Raises:
            ShapeError: the shapes differ.
            DTypeError: no class indices (LH202).
            TargetError: an index outside ``[0, C)`` (LH203).
        """
        said, true, weight = class_index_rows(
            predicted,
            target,
            self.num_classes,
            ignore_index=self.ignore_index,
            mask=mask,
            sample_weight=sample_weight,
        )
        size = self.num_classes
        self._count("pairs", tally(true * size + said, size * size, weight).view(size, size))

    def compute(self) -> Tensor:
        """The matrix, ``[true, predicted]``, int64; sums of weights are float64."""
        return self._number("pairs").clone()

    def rates(self) -> Rates:
        """The figures of each class against the rest."""
        pairs = self._number("pairs")
        tp = pairs.diagonal()
        wrong = pairs - torch.diag_embed(tp)
        fp, fn = wrong.sum(0), wrong.sum(1)
        ignored = self.ignore_index if 0 <= self.ignore_index < self.num_classes else None
        return Rates(tp, fp, fn, (pairs.sum() - tp - fp - fn).clamp_min(0), ignored)

    def accuracy(self) -> float:
        """The share of right predictions; NaN over nothing."""
        pairs = self._number("pairs")
        return float(pairs.diagonal().sum().double() / pairs.sum())

    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that occur."""
        return self.rates().macro("recall")


class LabelConfusion(Accumulator):
    """How often each label is said and is true, counted exactly.

    Args:
        num_labels: L, with the labels along dimension 1; None for a single yes or no of any shape.

    >>> figure = LabelConfusion(2)
    >>> figure.update(torch.tensor([[1, 1], [0, 1]]), torch.tensor([[1.0, 0.0], [1.0, torch.nan]]))
    >>> figure.rates().recall
    tensor([0.5000,    nan], dtype=torch.float64)
    """

    def __init__(self, num_labels: int | None = None) -> None:
        super().__init__(num_labels=num_labels)
        if num_labels is not None and num_labels < 1:
            raise OptionError(f"num_labels is {num_labels}; expected at least 1, or None.")
        self.num_labels = num_labels
        self._keep(counts={"pairs": (num_labels or 1, 2, 2)})

    def update(
        self,
        predicted: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in decisions and labels, 0 and 1, of the same shape; NaN labels are left out.

        Raises:
            ShapeError: the shapes differ, or the number of labels.
            TargetError: a label or a decision that is neither 0 nor 1.
            DTypeError: decisions that are probabilities.
        """
        check_tensor("predicted", predicted)
        if predicted.is_floating_point():
            raise DTypeError(
                f"predicted is {predicted.dtype}; expected 0 and 1 as integers: predict(logits)."
            )
        check_same_shape(predicted, target)
        labels = self.num_labels
        if labels is not None and (target.dim() < 2 or target.shape[1] != labels):
            raise ShapeError(f"target has shape {list(target.shape)}; expected [N, {labels}, ...].")
        where, weight = counted(target, mask, sample_weight=sample_weight)
        check_in_domain(target, UNIT_INTERVAL, mask=where, code="LH207")
        true, said = torch.where(where, target, 0), torch.where(where, predicted, 0)
        check_hard(true)
        if bool(((said != 0) & (said != 1)).any()):
            raise TargetError("predicted holds another value than 0 and 1; expected predict(logits).")
        label = torch.zeros_like(true, dtype=torch.int64)
        if labels is not None:
            label = label + torch.arange(labels, device=label.device).view(-1, *[1] * (label.dim() - 2))
        cell = (label * 4 + true.long() * 2 + said.long())[where]
        self._count("pairs", tally(cell, 4 * (labels or 1), weight).view(-1, 2, 2))

    def compute(self) -> Tensor:
        """The counts ``[L, true, predicted]``; ``[1, 2, 2]`` of a single yes or no."""
        return self._number("pairs").clone()

    def rates(self) -> Rates:
        """The figures of a yes, for each label."""
        pairs = self._number("pairs")
        return Rates(pairs[:, 1, 1], pairs[:, 0, 1], pairs[:, 1, 0], pairs[:, 0, 0])

    def balanced_accuracy(self) -> Tensor:
        """The mean recall of yes and no, ``[L]``; of the one that occurs, if the other does not."""
        pairs = self._number("pairs").double()
        recalls = pairs.diagonal(dim1=1, dim2=2) / pairs.sum(2)
        return recalls.nanmean(1)
