"""How much of the loss the class frequencies explain, and how much the model adds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.inputs import kept
from likelihead.kernels.ops import along_classes
from likelihead.likelihoods.base import Likelihood
from likelihead.likelihoods.checks import check_same_shape, check_tensor

__all__ = ["InformationGain", "LossSplit", "constant_nll"]


def constant_nll(
    likelihood: Likelihood,
    logits: Tensor,
    target: Tensor,
    constant: Tensor | None = None,
    *,
    mask: Tensor | None = None,
) -> Tensor:
    """The NLL of each target under a prediction that does not look at the input.

    Args:
        likelihood: scores the targets.
        logits: of the shape that the model's have; the values are not looked at.
        target: what was observed.
        constant: what the head puts out for every example: ``likelihood.best_constant(targets)`` of the
            training targets. By default that of the targets that ``likelihood.from_targets`` saw.
        mask: False where a label is left out.

    Raises:
        OptionError: no constant, and a likelihood that has seen no targets; or one of another length.

    >>> from likelihead import Categorical
    >>> likelihood = Categorical.from_targets(torch.tensor([0, 0, 0, 1]))
    >>> constant_nll(likelihood, torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor([0.2877, 1.3863], dtype=torch.float64)
    """
    if constant is None:
        constant = likelihood.best_constant()
    constant = constant.detach().double().to(logits.device).flatten()
    if len(constant) != likelihood.num_parameters:
        raise OptionError(
            f"constant holds {len(constant)} numbers; a {type(likelihood).__name__} takes "
            f"{likelihood.num_parameters}: likelihood.best_constant(targets)."
        )
    if len(constant) == 1:
        same = constant.expand(logits.numel()).reshape(logits.shape)
    elif logits.dim() > 1 and logits.shape[1] == len(constant):
        same = along_classes(constant, logits).expand(logits.shape)
    else:  # means and log-variances, along the last dimension
        same = constant.view(-1, logits.shape[-1]).squeeze(0).expand(logits.shape)
    with torch.no_grad():
        return likelihood.nll(same, target) if mask is None else likelihood.nll(same, target, mask=mask)  # type: ignore[call-arg]


@dataclass(frozen=True)
class LossSplit:
    """The loss in two parts, in nats per target.

    Attributes:
        prior_nll: what the best constant prediction scores: all that is to be learnt.
        model_nll: what the model scores.
        gain: the difference, the information that the model adds; negative if it is worse than useless.
        share: the gain as a share of the prior's NLL; NaN where that is 0.
    """

    prior_nll: float
    model_nll: float
    gain: float
    share: float


class InformationGain(Accumulator):
    r"""What the class prior explains of the loss, and what the model adds.

    .. math:: \text{gain} = \frac{1}{N} \sum_i \bigl[-\log \pi(y_i) + \log p(y_i \mid x_i)\bigr]

    >>> from likelihead import Categorical
    >>> likelihood = Categorical.from_targets(torch.tensor([0, 0, 1, 1]))
    >>> logits, target = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])
    >>> figure = InformationGain()
    >>> figure.update(likelihood.nll(logits, target), constant_nll(likelihood, logits, target))
    >>> split = figure.compute()
    >>> round(split.prior_nll, 4), round(split.gain, 4), round(split.share, 3)
    (0.6931, 0.5662, 0.817)
    """

    def __init__(self) -> None:
        super().__init__()
        self._keep(totals={"model": (), "prior": (), "count": ()})

    def update(
        self,
        model_nll: Tensor,
        prior_nll: Tensor,
        *,
        count: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> None:
        """Take in the NLL of each target under the model and under the prior, in nats.

        Args:
            model_nll: of the model, any shape; 0 where a target is left out.
            prior_nll: of the constant prediction, in the same shape: see `constant_nll`.
            count: what they count as: the likelihood's ``count(target)``. By default each is one.
            mask: instead of a count: False where a value is left out.

        Raises:
            ShapeError: the shapes differ.
            OptionError: a count beside a mask.
        """
        check_tensor("model_nll", model_nll)
        check_same_shape(model_nll, prior_nll, name="prior_nll")
        if mask is not None:
            if count is not None:
                raise OptionError("count and mask are both given; the mask sets the count: give one.")
            where = kept(torch.zeros_like(model_nll), mask)
            model_nll, prior_nll = model_nll[where], prior_nll[where]
        self._add("model", model_nll.detach().double().sum())
        self._add("prior", prior_nll.detach().double().sum())
        self._add("count", float(model_nll.numel() if count is None else count))

    def compute(self) -> LossSplit:
        """Both losses and their difference; NaN over nothing."""
        count = float(self._total("count"))
        if not count:
            return LossSplit(math.nan, math.nan, math.nan, math.nan)
        prior, model = float(self._total("prior")) / count, float(self._total("model")) / count
        gain = prior - model
        return LossSplit(prior, model, gain, gain / prior if prior else math.nan)
