"""A count: the Poisson likelihood."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Poisson as PoissonDistribution

from likelihead.core.domains import COUNT
from likelihead.core.links import LOG_MEAN, at_least_float32, with_spare_digits
from likelihead.errors import OptionError
from likelihead.likelihoods.base import register
from likelihead.likelihoods.checks import check_same_shape
from likelihead.likelihoods.divergence import expm1_excess
from likelihead.likelihoods.observed import ObservedLikelihood
from likelihead.likelihoods.special import LOG_2PI, stirling_error

__all__ = ["CountLikelihood", "Poisson"]

_FEW = 60.0  # from this mean on the entropy's series has every digit
_OUTCOMES = 256  # a Poisson variable of mean 60 is never larger
_ENTROPY = (-1 / 12, -1 / 24, -19 / 360, -9 / 80, -863 / 2520, -1375 / 1008, -33953 / 5040, -57281 / 1440)


class CountLikelihood(ObservedLikelihood):
    """What the likelihoods of counts share: whole numbers from 0 up, and a mean by its logarithm."""

    link = LOG_MEAN
    target_domain = COUNT
    domain_code = None
    reads_targets = True
    parameter_shape: tuple[str | int, ...] = ("num_outputs",)

    def predict(
        self, logits: Tensor, *, threshold: float | Tensor | None = None, cost: Tensor | None = None
    ) -> Tensor:
        """The mean of the count, :math:`e^z`; for the most probable count see `distribution`.

        Raises:
            OptionError: a threshold or a cost matrix is given.
        """
        if threshold is not None or cost is not None:
            raise OptionError(
                f"a {type(self).__name__} predicts its mean; threshold= and cost= are for classes and labels."
            )
        return torch.exp(at_least_float32(self._along_last(logits)[0]))

    def log_probs(self, logits: Tensor, *, up_to: int | None = None) -> Tensor:
        """The log-probabilities of the counts 0 to ``up_to``, along a new last dimension.

        Raises:
            OptionError: no ``up_to``: there is no largest count.
        """
        if up_to is None or up_to < 0:
            raise OptionError(
                "the counts have no end; say up to which, up_to=20 for one. A single one is "
                "distribution(logits).log_prob(count)."
            )
        outputs = self._along_last(with_spare_digits(logits))
        counts = torch.arange(up_to + 1, dtype=outputs[0].dtype, device=logits.device)
        shape = (*outputs[0].shape, up_to + 1)
        log_probs = -self._nll(
            tuple(output.unsqueeze(-1).expand(shape) for output in outputs), counts.expand(shape)
        )
        return log_probs.to(at_least_float32(logits).dtype)

    def probs(self, logits: Tensor, *, up_to: int | None = None) -> Tensor:
        """The probabilities of the counts 0 to ``up_to``, along a new last dimension.

        Raises:
            OptionError: no ``up_to``: there is no largest count.
        """
        return torch.exp(self.log_probs(logits, up_to=up_to))

    def _log_mean(self, values: Tensor, weights: Tensor, smoothing: float | None) -> Tensor:
        """The logarithm of the mean of the values; ``smoothing`` events where there was none."""
        events = (values * weights).sum()
        if smoothing is not None:
            events = torch.where(events > 0, events, smoothing)
        return torch.log(events / weights.sum())


@register
class Poisson(CountLikelihood):
    r"""A count of events that come one by one at a constant rate, with the logarithm of its mean.

    .. math:: -\log P(y) = e^z - y z + \log y!, \qquad \frac{\partial}{\partial z} = e^z - y

    The constant is included, so that the loss is a likelihood and compares with others; ``PoissonNLLLoss``
    leaves it out, or approximates it under ``full=True``. It is computed as

    .. math:: y\,(e^d - 1 - d) + \tfrac12 \log 2\pi y + \delta(y), \qquad d = z - \log y

    with :math:`\delta` what Stirling's formula leaves, so that counts of millions lose no digits.

    Where an example was watched for longer, or is larger, add the logarithm of that exposure to the logits:
    ``likelihood(logits + log_exposure, target)``. The head then predicts the rate.

    Shape:
        - logits: the log of the means, of any shape.
        - target: the same shape, of any real dtype: whole numbers from 0 up; NaN where it is missing.

    Args:
        num_outputs: how many counts an example has; the width of `head`.
        reduction: see `Likelihood`.

    >>> likelihood = Poisson()
    >>> logits = torch.tensor([[0.0], [1.0]])
    >>> likelihood(logits, torch.tensor([[0], [4]]))
    tensor(1.4482)
    >>> likelihood.predict(logits).flatten()
    tensor([1.0000, 2.7183])
    """

    name = "poisson"
    task = "count"

    def distribution(self, logits: Tensor) -> PoissonDistribution:
        """The Poisson distribution of each count."""
        return PoissonDistribution(torch.exp(at_least_float32(self._along_last(logits)[0])))

    def _nll(self, outputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        (z,) = outputs
        is_some = y > 0
        some = torch.where(is_some, y, 1)
        d = torch.where(is_some, z - torch.log(some), 0)
        of_some = some * expm1_excess(d) + 0.5 * (LOG_2PI + torch.log(some)) + stirling_error(some)
        of_none = torch.exp(torch.where(is_some, 0, z))
        # A count below 0 has no value; where values are read it is refused.
        return torch.where(is_some, of_some, torch.where(y == 0, of_none, torch.nan))

    def _gradient(self, outputs: tuple[Tensor, ...], y: Tensor) -> tuple[Tensor, ...]:
        r"""The closed form: :math:`e^z - y`."""
        (z,) = outputs
        some = torch.where(y > 0, y, 1)
        of_some = some * torch.expm1(z - torch.log(some))
        return (torch.where(y > 0, of_some, torch.where(y == 0, torch.exp(z), torch.nan)),)

    def entropy(self, logits: Tensor) -> Tensor:
        r"""The entropy :math:`-\sum_k P(k) \log P(k)`, in nats.

        Summed up to a mean of 60, and from its asymptotic series beyond (Evans, Boersma 1988).
        """
        (z,) = self._along_last(with_spare_digits(logits))
        is_few = torch.exp(z.detach()) < _FEW
        few = torch.where(is_few, z, 0).unsqueeze(-1)
        counts = torch.arange(_OUTCOMES, dtype=z.dtype, device=z.device)
        nll = self._nll((few.expand(*z.shape, _OUTCOMES),), counts.expand(*z.shape, _OUTCOMES))
        summed = (torch.exp(-nll) * nll).sum(-1)
        many = torch.where(is_few, torch.full_like(z, 10.0), z)
        inverse = torch.exp(-many)
        series = torch.zeros_like(z)
        for coefficient in reversed(_ENTROPY):
            series = inverse * (coefficient + series)
        entropy = torch.where(is_few, summed, 0.5 * (LOG_2PI + 1 + many) + series)
        return entropy.to(at_least_float32(logits).dtype)

    def kl(self, logits_p: Tensor, logits_q: Tensor) -> Tensor:
        r"""The divergence of p from q, in nats; never negative.

        .. math:: \mu_p (e^d - 1 - d), \qquad d = z_q - z_p
        """
        check_same_shape(logits_p, logits_q, name="logits_q")
        (p,), (q,) = (self._along_last(with_spare_digits(logits)) for logits in (logits_p, logits_q))
        return (torch.exp(p) * expm1_excess(q - p)).to(at_least_float32(logits_p).dtype)

    def _best_outputs(self, values: Tensor, weights: Tensor, smoothing: float | None) -> Tensor:
        return self._log_mean(values, weights, smoothing).reshape(1)
