"""How much of the loss the class frequencies explain, and how much the model adds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from likelihead.errors import OptionError, ShapeError
from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.nll import summed
from likelihead.kernels.ops import along_classes
from likelihead.likelihoods.base import Likelihood
from likelihead.likelihoods.binary import BinaryLikelihood
from likelihead.likelihoods.categorical import Categorical
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
        ShapeError: logits that the likelihood does not take.

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
    same = _for_all(likelihood, constant, logits)
    with torch.no_grad():
        return likelihood.nll(same, target) if mask is None else likelihood.nll(same, target, mask=mask)  # type: ignore[call-arg]


def _for_all(likelihood: Likelihood, constant: Tensor, logits: Tensor) -> Tensor:
    """The constant in the shape of the logits, along the dimensions that the likelihood reads it from.

    Which these are is the likelihood's to say, and no size tells: classes and labels lie along dimension 1,
    the parameters of a number along the last ones.
    """
    if len(constant) == 1:
        return constant.expand(logits.shape)
    if isinstance(likelihood, (Categorical, BinaryLikelihood)):
        if logits.dim() < 2 or logits.shape[1] != len(constant):
            raise _misfit(likelihood, logits, f"[N, {len(constant)}, ...]")
        return along_classes(constant, logits).expand(logits.shape)
    sizes = [n if isinstance(n, int) else int(getattr(likelihood, n)) for n in likelihood.parameter_shape]
    # A single number has no dimension of its own; what describes it may have.
    shape = torch.Size(sizes[1:] if sizes[0] == 1 else sizes)
    if logits.shape[logits.dim() - len(shape) :] != shape:
        raise _misfit(likelihood, logits, f"[..., {', '.join(map(str, shape))}]")
    return constant.reshape(shape).expand(logits.shape)


def _misfit(likelihood: Likelihood, logits: Tensor, expected: str) -> ShapeError:
    return ShapeError(
        f"logits has shape {list(logits.shape)}; a {type(likelihood).__name__} takes {expected} here."
    )


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
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in the NLL of each target under the model and under the prior, in nats.

        Args:
            model_nll: of the model, any shape; 0 where a target is left out.
            prior_nll: of the constant prediction, in the same shape: see `constant_nll`.
            count: what they count as: the likelihood's ``count(target)``. By default each is one.
            mask: instead of a count: False where a value is left out.
            sample_weight: instead of a count: how often each value counts.

        Raises:
            ShapeError: the shapes differ.
            OptionError: a count beside a mask or weights.
        """
        check_tensor("model_nll", model_nll)
        check_same_shape(model_nll, prior_nll, name="prior_nll")
        (model, prior), number = summed([model_nll, prior_nll], count, mask, sample_weight)
        self._add("model", model)
        self._add("prior", prior)
        self._add("count", number)

    def compute(self) -> LossSplit:
        """Both losses and their difference; NaN over nothing."""
        count = float(self._total("count"))
        if not count:
            return LossSplit(math.nan, math.nan, math.nan, math.nan)
        prior, model = float(self._total("prior")) / count, float(self._total("model")) / count
        gain = prior - model
        return LossSplit(prior, model, gain, gain / prior if prior else math.nan)
