"""Yes or no: one logit and a sigmoid."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from likelihead.core.links import LOG
from likelihead.core.reduction import Reduction
from likelihead.core.sample_weight import expand_sample_weight
from likelihead.errors import OptionError, ShapeError
from likelihead.kernels.ops import check_label_smoothing
from likelihead.likelihoods.base import Targets, register
from likelihead.likelihoods.binary import BinaryLikelihood
from likelihead.likelihoods.checks import as_real_tensor, check_in_domain, check_observed_weight, has_values

__all__ = ["Bernoulli"]


@register
class Bernoulli(BinaryLikelihood):
    r"""A yes or a no, with one logit and a sigmoid as the link.

    .. math:: p = \sigma(z) = \frac{1}{1 + e^{-z}}, \qquad -\log P(y) = \operatorname{softplus}(z) - y z

    Shape:
        - logits: any shape, one logit for each target; a head puts out ``[N, 1]``.
        - target: the same shape, of any dtype: 0 or 1, or a probability in between; NaN where it is missing.

    Args:
        pos_weight: the weight of a yes; the mean still divides by the number of targets, as torch does.
        label_smoothing: how far each label is drawn towards its ``prior``, in [0, 1].
        prior: what the labels are drawn towards: a probability; None is a half.
        reduction: see `Likelihood`.

    Raises:
        OptionError: a weight that is negative, infinite or NaN.
        ShapeError: a weight that is not one number (LH601).

    >>> likelihood = Bernoulli()
    >>> logits = torch.tensor([[2.0], [-1.0]])
    >>> likelihood(logits, torch.tensor([[1], [0]]))
    tensor(0.2201)
    >>> likelihood.probs(logits).flatten()
    tensor([0.8808, 0.2689])
    """

    name = "bernoulli"
    task = "binary"
    parameter_shape = ()

    def __init__(
        self,
        *,
        pos_weight: float | Tensor | None = None,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        prior: float | None = None,
    ) -> None:
        super().__init__(reduction=reduction, label_smoothing=label_smoothing)
        check_label_smoothing(label_smoothing, prior, ())
        if prior is not None:
            self.prior = torch.tensor(float(prior))
        if pos_weight is None:
            return
        value = as_real_tensor("pos_weight", pos_weight)
        if value.numel() != 1:
            raise ShapeError(
                f"pos_weight has shape {list(value.shape)}; a Bernoulli has one output and takes one number. "
                "One for each label belongs to a MultiLabel.",
                code="LH601",
            )
        value = value.reshape(())
        if has_values(value) and not 0.0 <= float(value) < math.inf:
            raise OptionError(f"pos_weight is {float(value)}; expected a finite number that is not negative.")
        self.pos_weight = value

    @classmethod
    def from_log_probs(
        cls,
        *,
        pos_weight: float | Tensor | None = None,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        prior: float | None = None,
    ) -> Bernoulli:
        r"""The same likelihood, for an input that is the log-probability of a yes, as of ``logsigmoid``.

        Every method takes log-probabilities where it says logits; that of a no is found as
        :math:`\log(1 - e^a)`. The head is still a plain linear layer; the ``logsigmoid`` between the two is
        the caller's. In float32 a log-probability of a yes above -1e-45 is 0, and a no then has probability
        0: logits know more.

        >>> log_probs = torch.nn.functional.logsigmoid(torch.tensor([2.0, -1.0]))
        >>> Bernoulli.from_log_probs()(log_probs, torch.tensor([1, 0]))
        tensor(0.2201)
        """
        likelihood = cls(
            pos_weight=pos_weight, reduction=reduction, label_smoothing=label_smoothing, prior=prior
        )
        likelihood.link = LOG
        return likelihood

    @classmethod
    def from_targets(
        cls, targets: Targets, *, sample_weight: Targets | None = None, **options: Any
    ) -> Bernoulli:
        """The likelihood with the targets' frequency of a yes kept.

        >>> Bernoulli.from_targets(torch.tensor([0, 1, 1, 1])).baseline_nll()
        tensor(0.5623, dtype=torch.float64)
        """
        likelihood = cls(**options)
        likelihood.summary = likelihood.summarise(targets, sample_weight=sample_weight)
        return likelihood

    def _summarise(self, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        y = targets.double()
        weight = check_observed_weight(sample_weight, y.shape)
        scored = ~y.isnan()
        if weight is not None:
            weight = expand_sample_weight(weight, y).expand_as(y)
            scored = scored & (weight != 0)
        check_in_domain(y, self.target_domain, mask=scored, code="LH207")
        y = y[scored]
        w = torch.ones_like(y) if weight is None else weight[scored]
        return torch.stack([(w * (1 - y)).sum(), (w * y).sum()])

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"reduction={self.reduction!r}" + (", input=log_probs" if self.takes_log_probs else "")
