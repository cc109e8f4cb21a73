"""How often each class or label occurs, and the weights and offsets that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from likelihead.core.domains import UNIT_INTERVAL
from likelihead.core.sample_weight import expand_sample_weight
from likelihead.errors import OptionError, ShapeError, TargetError
from likelihead.likelihoods.base import Targets, weighted_batches
from likelihead.likelihoods.checks import check_in_domain, check_observed_weight
from likelihead.likelihoods.counts import class_counts, seen_or

__all__ = ["ClassCounts", "LabelCounts"]


class ClassCounts:
    r"""How often each class occurs, counted from targets as they stream by.

    A count of zero leaves a weight or an offset undefined: it is an error, unless ``smoothing`` says how many
    examples such a class shall count as. Classes that were seen are not touched by it.

    Args:
        num_classes: how many classes there are; 0 takes the largest index that is seen, plus one.
        ignore_index: a class index that is not counted.

    Attributes:
        counts: ``[C]``, float64. Probability targets count as shares.

    >>> counts = ClassCounts.from_targets(torch.tensor([0, 0, 0, 1]))
    >>> counts.prior
    tensor([0.7500, 0.2500], dtype=torch.float64)
    >>> counts.balanced_weights()
    tensor([0.6667, 2.0000], dtype=torch.float64)
    """

    def __init__(self, num_classes: int = 0, *, ignore_index: int = -100) -> None:
        if num_classes < 0:
            raise OptionError(f"num_classes is {num_classes}; expected at least 1, or 0 to find out.")
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.counts = torch.zeros(num_classes, dtype=torch.float64)

    @classmethod
    def from_targets(
        cls,
        targets: Targets,
        num_classes: int = 0,
        *,
        ignore_index: int = -100,
        sample_weight: Targets | None = None,
    ) -> ClassCounts:
        """The counts of a tensor, or of a stream of batches, read once; and weights that go with them."""
        counts = cls(num_classes, ignore_index=ignore_index)
        for batch, weight in weighted_batches(targets, sample_weight):
            counts.update(batch, sample_weight=weight)
        return counts

    @classmethod
    def from_counts(cls, counts: Tensor | Sequence[float]) -> ClassCounts:
        """Counts that are known.

        Raises:
            OptionError: a count that is negative, infinite or NaN.
            ShapeError: not ``[C]``.
        """
        given = torch.as_tensor(counts, dtype=torch.float64).detach().cpu().clone()
        if given.dim() != 1:
            raise ShapeError(f"counts has shape {list(given.shape)}; expected [C], one number per class.")
        if not bool((torch.isfinite(given) & (given >= 0)).all()):
            raise OptionError(f"counts is {given.tolist()}; expected finite numbers that are not negative.")
        made = cls(len(given))
        made.counts = given
        return made

    def update(self, target: Tensor, *, sample_weight: Tensor | None = None) -> None:
        """Count a batch: class indices of any shape, or probabilities with the classes along dimension 1.

        With ``sample_weight`` each example counts as its weight.

        Raises:
            TargetError: a class index outside the range (LH203).
            ShapeError: probabilities of another number of classes, or weights of another shape (LH603).
        """
        counts = class_counts(
            target.detach(), self.ignore_index, self.num_classes, sample_weight=sample_weight
        )
        part = counts.sum(0).cpu()
        if self.num_classes and len(part) > self.num_classes:
            if target.is_floating_point():
                raise ShapeError(
                    f"target has shape {list(target.shape)}; expected [N, {self.num_classes}, ...], the "
                    "classes along dimension 1."
                )
            raise TargetError(
                f"target holds class index {len(part) - 1}; expected [0, {self.num_classes}), or "
                f"ignore_index={self.ignore_index}.",
                code="LH203",
            )
        self._add(part)

    def _add(self, part: Tensor) -> None:
        width = max(len(part), len(self.counts))
        self.counts = pad(self.counts, (0, width - len(self.counts))) + pad(part, (0, width - len(part)))

    def merge(self, other: ClassCounts) -> ClassCounts:
        """Add another's counts to these; the classes are the same, or found out."""
        if self.num_classes and other.num_classes and self.num_classes != other.num_classes:
            raise OptionError(
                f"counts of {self.num_classes} and of {other.num_classes} classes do not add up; make both "
                "with the same num_classes."
            )
        self.num_classes = self.num_classes or other.num_classes
        self._add(other.counts)
        return self

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts.from_state(self.state()).merge(other)

    def state(self) -> dict[str, Any]:
        """Plain values, of which ``counts`` adds up across processes."""
        return {
            "num_classes": self.num_classes,
            "ignore_index": self.ignore_index,
            "counts": self.counts.clone(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ClassCounts:
        """The counts that `state` was taken of."""
        made = cls(state["num_classes"], ignore_index=state["ignore_index"])
        made.counts = state["counts"].clone()
        return made

    @property
    def total(self) -> float:
        """The number of targets."""
        return float(self.counts.sum())

    @property
    def prior(self) -> Tensor:
        """The share of each class, ``[C]``, float64.

        Raises:
            OptionError: no target was counted.
        """
        return _shares(self.counts)

    def _smoothed(self, smoothing: float, what: str) -> Tensor:
        _shares(self.counts)
        if smoothing < 0:
            raise OptionError(f"smoothing is {smoothing}; expected a number of examples, not negative.")
        counts = seen_or(self.counts, smoothing)
        absent = (counts == 0).nonzero().flatten().tolist()
        if absent:
            raise OptionError(
                f"class {absent[0]} never occurs ({len(absent)} of {len(counts)} classes), so that {what} "
                "would be infinite; pass smoothing=0.5, say, to count such a class as half an example, or "
                "leave the class out."
            )
        return counts

    def balanced_weights(self, *, smoothing: float = 0.0) -> Tensor:
        r"""Class weights under which every class weighs the same, :math:`w_c = N / (C\,n_c)`.

        They are scikit-learn's ``class_weight="balanced"``; the mean weight of the targets is 1.

        Raises:
            OptionError: a class that never occurs, without ``smoothing``.
        """
        counts = self._smoothed(smoothing, "its weight")
        return counts.sum() / (len(counts) * counts)

    def effective_number_weights(self, beta: float = 0.999, *, smoothing: float = 0.0) -> Tensor:
        r"""Class weights by the effective number of examples, scaled to a sum of C.

        .. math:: w_c \propto \frac{1 - \beta}{1 - \beta^{n_c}}

        With ``beta`` 0 all are 1; near 1 they approach the inverse counts.

        Raises:
            OptionError: ``beta`` outside [0, 1), or a class that never occurs, without ``smoothing``.

        >>> ClassCounts.from_counts([100, 1]).effective_number_weights(0.9)
        tensor([0.1818, 1.8182], dtype=torch.float64)

        References:
            Cui et al. (2019), Class-Balanced Loss Based on Effective Number of Samples.
        """
        if not 0.0 <= beta < 1.0:
            raise OptionError(f"beta is {beta}; expected a number in [0, 1), such as 0.999.")
        counts = self._smoothed(smoothing, "its weight")
        # 1 - beta ** n without subtracting; log(0) is -inf, and 1 is what it should be.
        share = -torch.expm1(counts * torch.log(torch.tensor(beta, dtype=torch.float64)))
        weights = 1.0 / share
        return weights * (len(counts) / weights.sum())

    def pos_weight(self, *, smoothing: float = 0.0) -> Tensor:
        r"""The weight of a yes under which yes and no weigh the same, :math:`n_0 / n_1`, 0-d.

        Raises:
            OptionError: there are not two classes, or no yes, without ``smoothing``.

        >>> ClassCounts.from_targets(torch.tensor([0, 0, 0, 1])).pos_weight()
        tensor(3., dtype=torch.float64)
        """
        if len(self.counts) != 2:
            raise OptionError(
                f"there are {len(self.counts)} classes; pos_weight belongs to two, 0 and 1 (count with "
                "num_classes=2). For more use balanced_weights(), for labels LabelCounts."
            )
        counts = self._smoothed(smoothing, "a weight")
        return counts[0] / counts[1]

    def logit_offset(self, tau: float = 1.0, *, smoothing: float = 0.0) -> Tensor:
        r"""The offset of logit adjustment, :math:`\tau \log \pi_c`, ``[C]``.

        Give it to the likelihood that trains, and predict with that likelihood's ``unadjusted()``: with
        ``tau`` 1 the predictions are then those for equally frequent classes.

        Raises:
            OptionError: a class that never occurs, without ``smoothing``; or ``tau`` is not finite.

        >>> from likelihead import Categorical
        >>> offset = ClassCounts.from_counts([90, 10]).logit_offset()
        >>> training = Categorical(2, logit_offset=offset)
        >>> training.unadjusted().predict(torch.tensor([[0.0, 1.0]]))
        tensor([1])

        References:
            Menon et al. (2021), Long-Tail Learning via Logit Adjustment.
        """
        if not abs(tau) < float("inf"):
            raise OptionError(f"tau is {tau}; expected a finite number: 1 for the full log prior.")
        counts = self._smoothed(smoothing, "its offset")
        return tau * torch.log(counts / counts.sum())

    def __repr__(self) -> str:
        return f"ClassCounts({[round(n, 6) for n in self.counts.tolist()]})"


class LabelCounts:
    """How often each of several labels is a no and a yes; NaN labels are not counted.

    Args:
        num_labels: L.

    Attributes:
        counts: ``[L, 2]``, float64: noes and yeses.

    >>> counts = LabelCounts.from_targets(torch.tensor([[1.0, 0.0], [0.0, torch.nan], [0.0, 1.0]]))
    >>> counts.prior
    tensor([0.3333, 0.5000], dtype=torch.float64)
    >>> counts.pos_weight()
    tensor([2., 1.], dtype=torch.float64)
    """

    def __init__(self, num_labels: int) -> None:
        if num_labels < 1:
            raise OptionError(f"num_labels is {num_labels}; expected at least 1.")
        self.num_labels = num_labels
        self.counts = torch.zeros(num_labels, 2, dtype=torch.float64)

    @classmethod
    def from_targets(cls, targets: Targets, *, sample_weight: Targets | None = None) -> LabelCounts:
        """The counts of a tensor ``[N, L, ...]``, or of a stream of such batches, read once.

        Raises:
            OptionError: no batch at all.
            ShapeError: no dimension of labels.
        """
        made: LabelCounts | None = None
        for batch, weight in weighted_batches(targets, sample_weight):
            if batch.dim() < 2:
                raise ShapeError(
                    f"targets have shape {list(batch.shape)}; expected [N, L], one column for each label."
                )
            made = cls(batch.shape[1]) if made is None else made
            made.update(batch, sample_weight=weight)
        if made is None:
            raise OptionError("targets is an empty stream; expected at least one batch.")
        return made

    def update(
        self, target: Tensor, *, mask: Tensor | None = None, sample_weight: Tensor | None = None
    ) -> None:
        """Count a batch ``[N, L, ...]`` of 0 and 1, or probabilities; False in ``mask`` is not counted.

        With ``sample_weight`` each example, or each label, counts as its weight.

        Raises:
            TargetError: a label outside [0, 1] (LH207).
            ShapeError: another number of labels, or a mask or weights (LH603) of another shape.
        """
        if target.dim() < 2 or target.shape[1] != self.num_labels:
            raise ShapeError(f"target has shape {list(target.shape)}; expected [N, {self.num_labels}, ...].")
        if mask is not None and mask.shape != target.shape:
            raise ShapeError(
                f"mask has shape {list(mask.shape)}; expected that of target, {list(target.shape)}."
            )
        y = target.detach().double().cpu()
        known = ~y.isnan() if mask is None else mask.cpu() & ~y.isnan()
        weight = check_observed_weight(sample_weight, y.shape)
        weight = torch.ones_like(y) if weight is None else expand_sample_weight(weight.cpu(), y).expand_as(y)
        known = known & (weight != 0)
        check_in_domain(y, UNIT_INTERVAL, mask=known, code="LH207")
        pair = torch.stack([torch.where(known, share * weight, 0.0) for share in (1 - y, y)], dim=-1)
        self.counts = self.counts + pair.movedim(1, 0).flatten(1, -2).sum(1)

    def merge(self, other: LabelCounts) -> LabelCounts:
        """Add another's counts to these."""
        if other.num_labels != self.num_labels:
            raise OptionError(
                f"counts of {self.num_labels} and of {other.num_labels} labels do not add up; both need the "
                "same labels."
            )
        self.counts = self.counts + other.counts
        return self

    def __add__(self, other: LabelCounts) -> LabelCounts:
        return LabelCounts.from_state(self.state()).merge(other)

    def state(self) -> dict[str, Any]:
        """Plain values, of which ``counts`` adds up across processes."""
        return {"num_labels": self.num_labels, "counts": self.counts.clone()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> LabelCounts:
        """The counts that `state` was taken of."""
        made = cls(state["num_labels"])
        made.counts = state["counts"].clone()
        return made

    @property
    def prior(self) -> Tensor:
        """The share of a yes, ``[L]``, float64; NaN for a label that is never known."""
        return self.counts[:, 1] / self.counts.sum(1)

    def pos_weight(self, *, smoothing: float = 0.0) -> Tensor:
        r"""The weights of a yes under which yes and no weigh the same, :math:`n_0 / n_1`, ``[L]``.

        Raises:
            OptionError: a label without a yes or without a no, unless ``smoothing`` counts it as examples.
        """
        if smoothing < 0:
            raise OptionError(f"smoothing is {smoothing}; expected a number of examples, not negative.")
        counts = seen_or(self.counts, smoothing)
        lacking = (counts == 0).nonzero()
        if len(lacking):
            label, outcome = lacking[0].tolist()
            raise OptionError(
                f"label {label} is never {'yes' if outcome else 'no'}, so that it has no pos_weight; pass "
                "smoothing=0.5, say, to count that as half an example."
            )
        return counts[:, 0] / counts[:, 1]

    def __repr__(self) -> str:
        return f"LabelCounts({self.counts.tolist()})"


def _shares(counts: Tensor) -> Tensor:
    total = counts.sum()
    if not total > 0:
        raise OptionError("no target was counted; update with the training targets first.")
    return counts / total
