"""A real number: the Gaussian likelihood, with a known or a predicted variance."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributions import Normal

from likelihead.core.domains import POSITIVE, REAL
from likelihead.core.links import IDENTITY, at_least_float32, with_spare_digits
from likelihead.core.options import real_number, whole_number
from likelihead.core.reduction import Reduction
from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.guard.check import check_call
from likelihead.likelihoods.base import Likelihood, Targets, register
from likelihead.likelihoods.checks import check_in_domain, check_same_shape, check_tensor
from likelihead.likelihoods.divergence import expm1_excess

__all__ = ["Gaussian"]

_LOG_2PI = math.log(2 * math.pi)


@register
class Gaussian(Likelihood):
    r"""A real number, normally distributed around what the head puts out.

    .. math:: -\log p(y) = \frac{(y - \mu)^2}{2 \sigma^2} + \frac{1}{2} \log(2 \pi \sigma^2)

    The constant is included, so that the loss is a likelihood and compares with others; ``GaussianNLLLoss``
    has it under ``full=True``. With variance 1, ``MSELoss`` is twice the value less ``log(2 * pi)``; the
    minimum is the same and the gradient is half of MSELoss's.

    Shape:
        - logits: with a known variance the means, of any shape; with a predicted one ``[..., 2]``, the mean
          and the logarithm of the variance.
        - target: the shape of the means, of any real dtype.

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

    def __init__(
        self,
        variance: float | Literal["predicted"] = 1.0,
        *,
        num_outputs: int = 1,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if isinstance(variance, str):
            if variance != "predicted":
                raise OptionError(f"variance is {variance!r}; expected a positive number, or 'predicted'.")
            self.parameter_shape = ("num_outputs", 2)
        else:
            variance = real_number("variance", variance)
        if not isinstance(variance, str) and not bool(
            POSITIVE.contains(torch.tensor(float(variance), dtype=torch.float64))
        ):
            raise OptionError(f"variance is {variance}; expected a positive finite number, or 'predicted'.")
        num_outputs = whole_number("num_outputs", num_outputs)
        if num_outputs < 1:
            raise OptionError(f"num_outputs is {num_outputs}; expected at least 1.")
        self.variance = variance
        self.num_outputs = num_outputs

    @classmethod
    def from_targets(cls, targets: Targets, **options: Any) -> Gaussian:
        """The likelihood with the targets' mean and variance kept.

        The variance stays what ``variance=`` says: 1, unless given.

        >>> Gaussian.from_targets(torch.tensor([1.0, 3.0])).baseline_nll()
        tensor(1.4189, dtype=torch.float64)
        """
        likelihood = cls(**options)
        likelihood.summary = likelihood.summarise(targets)
        return likelihood

    def _mean_and_log_variance(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        check_tensor("logits", logits)
        values = at_least_float32(logits)
        if not isinstance(self.variance, str):
            return values, torch.full_like(values, math.log(self.variance))
        if values.dim() == 0 or values.shape[-1] != 2:
            raise ShapeError(
                f"logits has shape {list(values.shape)}; a Gaussian with a predicted variance takes [..., "
                "2]: the mean "
                "and the logarithm of the variance."
            )
        mean, log_variance = values.unbind(-1)
        return mean, log_variance

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

    def _terms(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The error, the precision and the logarithm of the variance of each target."""
        mean, log_variance = self._mean_and_log_variance(logits)
        check_same_shape(mean, target)
        if target.is_complex() or target.dtype == torch.bool:
            raise DTypeError(f"target is {target.dtype}; expected real numbers. A yes or no is a Bernoulli.")
        target = target.to(mean.dtype)
        check_call("mse", mean, target, default_action="raise")
        if not isinstance(self.variance, str):
            return target - mean, torch.full_like(mean, 1 / self.variance), log_variance
        return target - mean, torch.exp(-log_variance), log_variance

    def nll(self, logits: Tensor, target: Tensor) -> Tensor:
        r"""Negative log-likelihood of each number, in nats, the constant included.

        .. math:: \frac{(y - \mu)^2}{2 \sigma^2} + \frac{1}{2} \log(2 \pi \sigma^2)

        Shape:
            - returns: the target's shape, float32 at least.

        Raises:
            ShapeError: the target's shape is not that of the means: it would broadcast (LH302).
            DTypeError: a bool or complex target.

        >>> Gaussian().nll(torch.tensor([0.0]), torch.tensor([1.0]))
        tensor([1.4189])
        """
        error, precision, log_variance = self._terms(logits, target)
        return 0.5 * (error.square() * precision + (log_variance + _LOG_2PI))

    def count(self, target: Tensor) -> int:
        """The number of targets."""
        return target.numel()

    def residual(self, logits: Tensor, target: Tensor) -> Tensor:
        r"""The gradient of ``nll(logits, target).sum()``: :math:`(\mu - y) / \sigma^2`.

        With a predicted variance, beside it the gradient with respect to the logarithm of the variance,
        :math:`\frac{1}{2} (1 - (y - \mu)^2 / \sigma^2)`.
        """
        error, precision, _ = self._terms(logits, target)
        of_mean = -error * precision
        if not isinstance(self.variance, str):
            return of_mean
        return torch.stack([of_mean, 0.5 * (1 - error.square() * precision)], dim=-1)

    # -- the best constant prediction: the summary is the number, the mean and the sum of squares around it

    def _summarise(self, targets: Tensor) -> Tensor:
        y = targets.double()
        check_in_domain(y, self.target_domain, code="LH801")
        if self.num_outputs > 1 and (y.dim() == 0 or y.shape[-1] != self.num_outputs):
            raise ShapeError(
                f"targets have shape {list(y.shape)}; expected [..., {self.num_outputs}], num_outputs in "
                "the last place."
            )
        y = y.reshape(-1, self.num_outputs)
        if y.shape[0] == 0:
            return y.new_zeros(3, self.num_outputs)
        mean = y.mean(0)
        return torch.stack([torch.full_like(mean, y.shape[0]), mean, (y - mean).square().sum(0)])

    def _merge(self, first: Tensor, second: Tensor) -> Tensor:
        # Chan, Golub, LeVeque 1983: sums of squares around the mean, which do not cancel as raw squares do.
        (n1, mean1, spread1), (n2, mean2, spread2) = first, second
        total = n1 + n2
        share = torch.where(total > 0, n2 / total.clamp_min(1), torch.zeros_like(total))
        shift = mean2 - mean1
        return torch.stack([total, mean1 + share * shift, spread1 + spread2 + shift.square() * n1 * share])

    def _baseline(self, summary: Tensor) -> Tensor:
        number, _, spread = summary
        variance = spread / number.clamp_min(1)
        if isinstance(self.variance, str):
            # One constant that never errs may claim any precision: the infimum is -inf.
            nll = 0.5 * (torch.log(variance) + (1 + _LOG_2PI))
        else:
            nll = 0.5 * (variance / self.variance + (math.log(self.variance) + _LOG_2PI))
        baseline: Tensor = torch.where(number > 0, nll, torch.zeros_like(nll)).mean()
        return baseline

    def _best_bias(self, summary: Tensor, smoothing: float) -> Tensor:
        number, mean, spread = summary.unbind(0)
        if not isinstance(self.variance, str):
            return mean
        # Targets that never vary say nothing of the variance: as many examples of variance 1 as asked for do.
        spread = torch.where(spread > 0, spread, torch.full_like(spread, smoothing))
        return torch.stack([mean, torch.log(spread / number.clamp_min(1))], dim=-1).flatten()

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"variance={self.variance!r}, num_outputs={self.num_outputs}, reduction={self.reduction!r}"
