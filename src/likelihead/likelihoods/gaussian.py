"""A real number: the Gaussian likelihood, with a known or a predicted variance."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributions import Normal

from likelihead.core.domains import REAL
from likelihead.core.links import IDENTITY, at_least_float32, with_spare_digits
from likelihead.core.reduction import Reduction
from likelihead.errors import OptionError
from likelihead.likelihoods.base import Targets, register
from likelihead.likelihoods.checks import check_same_shape, positive_number
from likelihead.likelihoods.divergence import expm1_excess
from likelihead.likelihoods.real import RealLikelihood

__all__ = ["Gaussian"]

_LOG_2PI = math.log(2 * math.pi)


@register
class Gaussian(RealLikelihood):
    r"""A real number, normally distributed around what the head puts out.

    .. math:: -\log p(y) = \frac{(y - \mu)^2}{2 \sigma^2} + \frac{1}{2} \log(2 \pi \sigma^2)

    The constant is included, so that the loss is a likelihood and compares with others; ``GaussianNLLLoss``
    has it under ``full=True``. With variance 1, ``MSELoss`` is twice the value less ``log(2 * pi)``; the
    minimum is the same and the gradient is half of MSELoss's.

    Shape:
        - logits: with a known variance the means, of any shape; with a predicted one ``[..., 2]``, the mean
          and the logarithm of the variance.
        - target: the shape of the means, of any real dtype; NaN where it is missing.

    Args:
        variance: the known variance, or ``"predicted"``: the head puts out each example's own.
        num_outputs: how many numbers an example has; the width of `head`. With a predicted variance and more
            than one, the head's ``[N, 2 * K]`` becomes ``[N, K, 2]`` by ``.unflatten(-1, (K, 2))``.
        reduction: see `Likelihood`.

    Raises:
        OptionError: a variance that is not positive and finite.

    >>> likelihood = Gaussian()
    >>> likelihood(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [4.0]]))
    tensor(1.9189)
    >>> Gaussian("predicted").nll(torch.tensor([[0.0, 2.0]]), torch.tensor([1.0]))
    tensor([1.9866])
    """

    name = "gaussian"
    task = "regression"
    link = IDENTITY
    target_domain = REAL
    parameter_shape: tuple[str | int, ...] = ("num_outputs",)
    described = "a Gaussian with a predicted variance, of the mean and the logarithm of the variance,"

    def __init__(
        self,
        variance: float | Literal["predicted"] = 1.0,
        *,
        num_outputs: int = 1,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(num_outputs=num_outputs, reduction=reduction)
        if isinstance(variance, str):
            if variance != "predicted":
                raise OptionError(f"variance is {variance!r}; expected a positive number, or 'predicted'.")
            self.parameter_shape = ("num_outputs", 2)
            self.parameters_of_target = 2
        else:
            variance = positive_number("variance", variance, or_else="'predicted'")
        self.variance = variance

    @classmethod
    def from_targets(
        cls, targets: Targets, *, sample_weight: Targets | None = None, **options: Any
    ) -> Gaussian:
        """The likelihood with the targets' mean and variance kept.

        The variance stays what ``variance=`` says: 1, unless given.

        >>> Gaussian.from_targets(torch.tensor([1.0, 3.0])).baseline_nll()
        tensor(1.4189, dtype=torch.float64)
        """
        likelihood = cls(**options)
        likelihood.summary = likelihood.summarise(targets, sample_weight=sample_weight)
        return likelihood

    def _mean_and_log_variance(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self._along_last(at_least_float32(logits))
        if isinstance(self.variance, str):
            return outputs[0], outputs[1]
        return outputs[0], torch.full_like(outputs[0], math.log(self.variance))

    def distribution(self, logits: Tensor) -> Normal:
        """The normal distribution of each target."""
        mean, log_variance = self._mean_and_log_variance(logits)
        return Normal(mean, torch.exp(0.5 * log_variance))

    def predict(
        self, logits: Tensor, *, threshold: float | Tensor | None = None, cost: Tensor | None = None
    ) -> Tensor:
        """The mean, which is also the mode and the median.

        Raises:
            OptionError: a threshold or a cost matrix is given; a real number is not decided by one.
        """
        if threshold is not None or cost is not None:
            raise OptionError(
                "a Gaussian predicts its mean; threshold= and cost= are for classes and labels."
            )
        return self._mean_and_log_variance(logits)[0]

    def entropy(self, logits: Tensor) -> Tensor:
        r"""The differential entropy :math:`\frac{1}{2} \log(2 \pi e \sigma^2)`, in nats; may be negative."""
        return 0.5 * (self._mean_and_log_variance(logits)[1] + (1 + _LOG_2PI))

    def kl(self, logits_p: Tensor, logits_q: Tensor) -> Tensor:
        r"""The divergence of p from q, in nats; never negative.

        .. math:: \frac{(\mu_p - \mu_q)^2}{2 \sigma_q^2} + \frac{1}{2} (e^r - 1 - r),
                  \qquad r = \log \sigma_p^2 - \log \sigma_q^2
        """
        check_same_shape(logits_p, logits_q, name="logits_q")
        mean_p, log_variance_p = self._mean_and_log_variance(with_spare_digits(logits_p))
        mean_q, log_variance_q = self._mean_and_log_variance(with_spare_digits(logits_q))
        shift = (mean_p - mean_q).square() * torch.exp(-log_variance_q)
        divergence = 0.5 * (shift + expm1_excess(log_variance_p - log_variance_q))
        return divergence.to(at_least_float32(logits_p).dtype)

    @staticmethod
    def _wide(logits: Tensor) -> Tensor:
        return at_least_float32(logits)  # one difference of what is given: there are no digits to spare

    def _nll(self, outputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        if isinstance(self.variance, str):
            mean, log_variance = outputs
            return 0.5 * ((y - mean).square() * torch.exp(-log_variance) + (log_variance + _LOG_2PI))
        constant = math.log(self.variance) + _LOG_2PI
        return 0.5 * ((y - outputs[0]).square() * (1 / self.variance) + constant)

    def _gradient(self, outputs: tuple[Tensor, ...], y: Tensor) -> tuple[Tensor, ...]:
        r"""The closed form: :math:`(\mu - y) / \sigma^2`.

        With a predicted variance, beside it the derivative by the logarithm of the variance,
        :math:`\frac{1}{2} (1 - (y - \mu)^2 / \sigma^2)`.
        """
        error = y - outputs[0]
        if not isinstance(self.variance, str):
            return (-error * (1 / self.variance),)
        precision = torch.exp(-outputs[1])
        return -error * precision, 0.5 * (1 - error.square() * precision)

    # -- the best constant prediction: the summary is the number, the mean and the sum of squares around it

    def _summarise(self, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        y, weight = self._observed(targets, sample_weight)
        number = weight.sum(0)
        mean = (weight * y).sum(0) / torch.where(number > 0, number, 1)
        return torch.stack([number, mean, (weight * (y - mean).square()).sum(0)])

    def _merge(self, first: Tensor, second: Tensor) -> Tensor:
        # Chan, Golub, LeVeque 1983: sums of squares around the mean, which do not cancel as raw squares do.
        (n1, mean1, spread1), (n2, mean2, spread2) = first, second
        total = n1 + n2
        share = n2 / torch.where(total > 0, total, 1)
        shift = mean2 - mean1
        return torch.stack([total, mean1 + share * shift, spread1 + spread2 + shift.square() * n1 * share])

    def _baseline(self, summary: Tensor) -> Tensor:
        number, _, spread = summary
        variance = spread / torch.where(number > 0, number, 1)
        if isinstance(self.variance, str):
            # One constant that never errs may claim any precision: the infimum is -inf.
            nll = 0.5 * (torch.log(variance) + (1 + _LOG_2PI))
        else:
            nll = 0.5 * (variance / self.variance + (math.log(self.variance) + _LOG_2PI))
        # Outputs with missing targets count less, as they do in the mean of the loss.
        total = number.sum()
        baseline: Tensor = torch.where(number > 0, nll * number, 0).sum() / torch.where(total > 0, total, 1)
        return baseline

    def _best_bias(self, summary: Tensor, smoothing: float) -> Tensor:
        number, mean, spread = summary.unbind(0)
        if not isinstance(self.variance, str):
            return mean
        # Targets that never vary say nothing of the variance: as many examples of variance 1 as asked for do.
        spread = torch.where(spread > 0, spread, torch.full_like(spread, smoothing))
        return torch.stack([mean, torch.log(spread / torch.where(number > 0, number, 1))], dim=-1).flatten()

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"variance={self.variance!r}, num_outputs={self.num_outputs}, reduction={self.reduction!r}"
