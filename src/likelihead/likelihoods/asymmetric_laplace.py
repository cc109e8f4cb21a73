"""The distribution whose negative log-likelihood is the pinball loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all

__all__ = ["AsymmetricLaplace"]


class AsymmetricLaplace(Distribution):
    r"""An exponential to each side of ``loc``, so weighed that ``loc`` is the quantile of level :math:`\tau`.

    .. math:: p(y) = \frac{\tau (1 - \tau)}{\sigma}
              \exp\Bigl(-\rho_\tau\Bigl(\frac{y - q}{\sigma}\Bigr)\Bigr),
              \qquad \rho_\tau(u) = \max(\tau u, (\tau - 1) u)

    Args:
        loc: q.
        scale: :math:`\sigma`, positive.
        level: :math:`\tau`, between 0 and 1.

    >>> AsymmetricLaplace(0.0, 1.0, 0.9).cdf(torch.tensor(0.0))
    tensor(0.9000)

    References:
        Koenker, Machado (1999), Goodness of Fit and Related Inference Processes for Quantile Regression.
    """

    arg_constraints = {  # noqa: RUF012 (as in torch.distributions)
        "loc": constraints.real,
        "scale": constraints.positive,
        "level": constraints.unit_interval,
    }
    support = constraints.real
    has_rsample = True

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float,
        level: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale, self.level = broadcast_all(loc, scale, level)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> AsymmetricLaplace:
        """The same distribution in a larger batch shape."""
        loc, scale, level = (value.expand(batch_shape) for value in (self.loc, self.scale, self.level))
        return AsymmetricLaplace(loc, scale, level, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean, on the side of the longer tail."""
        return self.loc + self.scale * (1 - 2 * self.level) / (self.level * (1 - self.level))

    @property
    def mode(self) -> Tensor:
        """The quantile."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The variance."""
        product = self.level * (1 - self.level)
        return self.scale.square() * (1 - 2 * product) / product.square()

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density, in nats."""
        if self._validate_args:
            self._validate_sample(value)
        u = (value - self.loc) / self.scale
        pinball = torch.maximum(self.level * u, (self.level - 1) * u)
        return torch.log(self.level) + torch.log1p(-self.level) - torch.log(self.scale) - pinball

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most this value."""
        u = (value - self.loc) / self.scale
        below = self.level * torch.exp((1 - self.level) * u.clamp_max(0))
        above = -torch.expm1(torch.log1p(-self.level) - self.level * u.clamp_min(0))
        return torch.where(u < 0, below, above)

    def icdf(self, value: Tensor) -> Tensor:
        """The value of which a share ``value`` lies below."""
        below = torch.log(value / self.level) / (1 - self.level)
        above = -torch.log((1 - value) / (1 - self.level)) / self.level
        return self.loc + self.scale * torch.where(value < self.level, below, above)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A sample through which gradients flow: the difference of two exponentials."""
        shape = self._extended_shape(torch.Size(sample_shape))
        up, down = (torch.empty(shape, dtype=self.loc.dtype, device=self.loc.device) for _ in range(2))
        up, down = up.exponential_(), down.exponential_()
        return self.loc + self.scale * (up / self.level - down / (1 - self.level))

    def entropy(self) -> Tensor:
        """The differential entropy, in nats."""
        return 1 + torch.log(self.scale) - torch.log(self.level) - torch.log1p(-self.level)
