"""Several labels at once: a sigmoid for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from likelihead.core.options import whole_number
from likelihead.core.reduction import Reduction
from likelihead.core.sample_weight import expand_sample_weight
from likelihead.errors import OptionError, ShapeError
from likelihead.kernels.ops import along_classes, check_label_smoothing
from likelihead.likelihoods.base import Targets, register, weighted_batches
from likelihead.likelihoods.binary import BinaryLikelihood
from likelihead.likelihoods.checks import as_vector, check_in_domain, check_observed_weight, has_values

__all__ = ["MultiLabel"]


@register
class MultiLabel(BinaryLikelihood):
    r"""L labels that do not exclude each other: a logit and a sigmoid for each.

    .. math:: -\log P(y) = \sum_l \operatorname{softplus}(z_l) - y_l z_l

    The primitive, `nll`, is the term of one label, ``[N, L]``, and so are `entropy` and `kl`; for an example
    they add up over dimension 1. The mean divides by the number of labels that are scored, as
    ``BCEWithLogitsLoss`` does: N times L when none is missing. For the mean over examples of the sum over
    labels, pass ``normalizer=N``.

    Shape:
        - logits: ``[N, L]`` or ``[N, L, d1, ...]``; the labels are along dimension 1.
        - target: the same shape, of any dtype: 0 or 1, or a probability in between; NaN where it is missing.

    Args:
        num_labels: L.
        weight: ``[L]``; scales the loss of each label. The mean still divides by the number of labels.
        pos_weight: ``[L]``; the weight of a yes.
        label_smoothing: how far each label is drawn towards its ``prior``, in [0, 1].
        prior: what the labels are drawn towards: a probability, or ``[L]``; None is a half.
        reduction: see `Likelihood`.

    Raises:
        OptionError: an option outside its range.
        ShapeError: a weight that is not ``[L]`` (LH601, LH602).

    >>> likelihood = MultiLabel(2)
    >>> logits = torch.tensor([[2.0, -1.0]])
    >>> likelihood(logits, torch.tensor([[1.0, float("nan")]]))  # the second label is unknown
    tensor(0.1269)
    >>> likelihood.predict(logits, threshold=torch.tensor([0.9, 0.2]))
    tensor([[0, 1]])
    """

    name = "multilabel"
    task = "multilabel"
    parameter_shape = ("num_labels",)

    def __init__(
        self,
        num_labels: int,
        *,
        weight: Tensor | Sequence[float] | None = None,
        pos_weight: Tensor | Sequence[float] | None = None,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        prior: float | Tensor | Sequence[float] | None = None,
    ) -> None:
        super().__init__(reduction=reduction, label_smoothing=label_smoothing)
        num_labels = whole_number("num_labels", num_labels)
        if num_labels < 1:
            raise OptionError(f"num_labels is {num_labels}; expected at least 1.")
        self.num_labels = num_labels
        self.weight = as_vector("weight", weight, num_labels)
        self.pos_weight = as_vector("pos_weight", pos_weight, num_labels)
        if isinstance(prior, (int, float)):
            check_label_smoothing(label_smoothing, prior, ())
            prior = [float(prior)] * num_labels
        self.prior = as_vector("prior", prior, num_labels)
        check_label_smoothing(label_smoothing, self.prior, (num_labels,))
        if self.prior is not None and has_values(self.prior) and bool((self.prior > 1).any()):
            raise OptionError(f"prior is {self.prior.tolist()}; expected probabilities in [0, 1].")

    @classmethod
    def from_targets(
        cls, targets: Targets, *, sample_weight: Targets | None = None, **options: Any
    ) -> MultiLabel:
        """The likelihood with as many labels as dimension 1 of the targets, and their frequencies kept.

        >>> likelihood = MultiLabel.from_targets(torch.tensor([[0, 1], [1, 1]]))
        >>> likelihood.num_labels, likelihood.baseline_nll()
        (2, tensor(0.3466, dtype=torch.float64))
        """
        batches = weighted_batches(targets, sample_weight)
        first, first_weight = next(batches, (None, None))
        if first is None:
            raise OptionError("targets is an empty stream; expected at least one batch.")
        if first.dim() < 2:
            raise ShapeError(
                f"targets have shape {list(first.shape)}; expected [N, L], one column for each label. "
                "A single yes or no is a Bernoulli."
            )
        likelihood = cls(options.pop("num_labels", first.shape[1]), **options)
        summary = likelihood._summarise(first, first_weight)
        for batch, weight in batches:
            summary = likelihood._merge(summary, likelihood._summarise(batch, weight))
        likelihood.summary = summary
        return likelihood

    @property
    def num_labels_or_none(self) -> int | None:
        """The number of labels."""
        return self.num_labels

    def _along(self, per_label: Tensor, like: Tensor) -> Tensor:
        return along_classes(per_label, like)

    def _check_logits(self, logits: Tensor) -> None:
        super()._check_logits(logits)
        shape = list(logits.shape)
        if logits.dim() >= 2 and shape[1] == self.num_labels:
            return
        message = (
            f"logits has shape {shape}; expected [N, {self.num_labels}] or [N, {self.num_labels}, ...]. "
        )
        if logits.dim() == 1 and shape[0] == self.num_labels:
            raise ShapeError(message + "For one example, use logits.unsqueeze(0).")
        if logits.dim() >= 3 and shape[-1] == self.num_labels:
            message += "The labels are last, and belong in dimension 1: use logits.movedim(-1, 1)."
            raise ShapeError(message, code="LH301")
        raise ShapeError(message + f"Dimension 1 holds the labels: is the head {self.num_labels} wide?")

    def _summarise(self, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        if targets.dim() < 2 or targets.shape[1] != self.num_labels:
            raise ShapeError(
                f"targets have shape {list(targets.shape)}; expected [N, {self.num_labels}] or "
                f"[N, {self.num_labels}, ...]."
            )
        y = targets.double()
        weight = check_observed_weight(sample_weight, y.shape)
        weight = torch.ones_like(y) if weight is None else expand_sample_weight(weight, y).expand_as(y)
        scored = ~y.isnan() & (weight != 0)
        check_in_domain(y, self.target_domain, mask=scored, code="LH207")
        pair = torch.stack([torch.where(scored, share * weight, 0.0) for share in (1 - y, y)], dim=-1)
        return pair.movedim(1, 0).flatten(1, -2).sum(1)

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"{self.num_labels}, reduction={self.reduction!r}"
