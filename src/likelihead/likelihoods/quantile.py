"""Quantiles of a real number: the asymmetric Laplace likelihood, whose gradient is the pinball loss's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from likelihead.core.domains import REAL
from likelihead.core.links import IDENTITY, at_least_float32, with_spare_digits
from likelihead.core.options import as_number, check_flag, real_number, shown
from likelihead.core.reduction import Reduction
from likelihead.errors import DTypeError, OptionError
from likelihead.likelihoods.asymmetric_laplace import AsymmetricLaplace
from likelihead.likelihoods.base import register
from likelihead.likelihoods.checks import check_same_shape, positive_number
from likelihead.likelihoods.divergence import expm1_excess
from likelihead.likelihoods.observed import ObservedLikelihood
from likelihead.likelihoods.special import softplus

__all__ = ["Quantile"]

_LEAST_GAP = 1e-6  # of the spread of the targets, between two quantiles that coincide there


@register
class Quantile(ObservedLikelihood):
    r"""One or several quantiles of a real number: for the level 0.9 the head puts out what 90% lie below.

    .. math:: -\log p(y) = \sum_k \rho_{\tau_k}\Bigl(\frac{y - q_k}{\sigma}\Bigr) -
              \log \frac{\tau_k (1 - \tau_k)}{\sigma}, \qquad \rho_\tau(u) = \max(\tau u, (\tau - 1) u)

    :math:`\rho_\tau` is the *pinball* (quantile, check) loss. With ``scale`` 1 the value is the sum of the
    pinball losses over the levels plus a constant, so minimum and gradient are theirs; the constant makes it
    the negative log-likelihood of an asymmetric Laplace distribution around each quantile. Several levels are
    fitted side by side: each scores the same number by a distribution of its own (a composite likelihood).

    Shape:
        - logits: for one level the quantiles, of any shape; for K levels ``[..., K]``, in the levels' order.
        - target: the shape of the quantiles of one level, of any real dtype; NaN where it is missing.

    Args:
        levels: one number between 0 and 1, or several that increase.
        scale: :math:`\sigma`, the size of a usual error. It scales the gradient and changes no minimum.
        ordered: the head puts out the lowest quantile and, through a softplus, the distances from each to the
            next, so that quantiles cannot cross.
        num_outputs: how many numbers an example has; with K levels the head's ``[N, M * K]`` becomes ``[N, M,
            K]`` by ``.unflatten(-1, (M, K))``.
        reduction: see `Likelihood`.

    Raises:
        OptionError: levels that are not between 0 and 1 or do not increase, or a scale that is not positive.

    >>> likelihood = Quantile([0.1, 0.5, 0.9])
    >>> logits = torch.tensor([[-1.0, 0.0, 2.0]])
    >>> likelihood(logits, torch.tensor([1.0]))
    tensor(7.0022)
    >>> likelihood.residual(logits, torch.tensor([1.0]))
    tensor([[-0.1000, -0.5000,  0.1000]])

    References:
        Koenker, Bassett (1978), Regression Quantiles.
    """

    name = "quantile"
    task = "quantile"
    link = IDENTITY
    target_domain = REAL
    parameter_shape: tuple[str | int, ...] = ("num_outputs",)
    described = "a Quantile of several levels, with the levels last,"

    def __init__(
        self,
        levels: float | Sequence[float] = (0.1, 0.5, 0.9),
        *,
        scale: float = 1.0,
        ordered: bool = False,
        num_outputs: int = 1,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(num_outputs=num_outputs, reduction=reduction)
        listed = _listed(levels)
        if not listed or not all(0 < level < 1 for level in listed):
            raise OptionError(
                f"levels is {levels}; expected numbers between 0 and 1, such as [0.1, 0.5, 0.9]."
            )
        if any(low >= high for low, high in pairwise(listed)):
            raise OptionError(f"levels is {levels}; expected levels that increase: {sorted(set(listed))}.")
        scale = positive_number("scale", scale)
        check_flag("ordered", ordered)
        if ordered and len(listed) == 1:
            raise OptionError("ordered=True keeps several quantiles in order; there is one level.")
        self.levels, self.scale, self.ordered = listed, float(scale), ordered
        self.num_levels = self.parameters_of_target = len(listed)
        if len(listed) > 1:
            self.parameter_shape = ("num_outputs", "num_levels")

    def _quantiles(self, outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not self.ordered:
            return outputs
        quantiles = [outputs[0]]
        for output in outputs[1:]:
            quantiles.append(quantiles[-1] + softplus(output))
        return tuple(quantiles)

    def distribution(self, logits: Tensor) -> AsymmetricLaplace:
        """The asymmetric Laplace distribution of each quantile; with K levels they are last: ``[..., K]``."""
        quantiles = self.predict(logits)
        levels = torch.tensor(self.levels, dtype=quantiles.dtype, device=quantiles.device)
        return AsymmetricLaplace(quantiles, self.scale, levels if self.num_levels > 1 else levels[0])

    def predict(
        self, logits: Tensor, *, threshold: float | Tensor | None = None, cost: Tensor | None = None
    ) -> Tensor:
        """The quantiles, in the logits' shape.

        Raises:
            OptionError: a threshold or a cost matrix is given; a real number is not decided by one.
        """
        if threshold is not None or cost is not None:
            raise OptionError(
                "a Quantile predicts its quantiles; threshold= and cost= are for classes and labels. The "
                "cheapest prediction under unequal costs of too much and too little is itself a quantile."
            )
        outputs = self._along_last(at_least_float32(logits))
        return self._together(self._quantiles(outputs))

    def _nll(self, outputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        total = torch.zeros_like(y)
        for quantile, level in zip(self._quantiles(outputs), self.levels, strict=True):
            u = (y - quantile) / self.scale
            # Met exactly, a quantile has no gradient: of all that are right there it is the least.
            total = total + level * torch.relu(u) + (1 - level) * torch.relu(-u) + self._constant(level)
        return total

    def _constant(self, level: float) -> float:
        return math.log(self.scale) - math.log(level) - math.log1p(-level)

    def _gradient(self, outputs: tuple[Tensor, ...], y: Tensor) -> tuple[Tensor, ...]:
        r"""The closed form: :math:`([y < q] - \tau) / \sigma`, and 0 where the two are equal."""
        slopes = []
        for quantile, level in zip(self._quantiles(outputs), self.levels, strict=True):
            slope = torch.where(y > quantile, torch.full_like(y, -level), 1 - level)
            slopes.append(torch.where(y == quantile, 0, slope) / self.scale)
        if not self.ordered:
            return tuple(slopes)
        # Each output moves its own quantile and all above it.
        above = torch.stack(slopes, -1).flip(-1).cumsum(-1).flip(-1).unbind(-1)
        return (above[0], *(s * torch.sigmoid(o) for s, o in zip(above[1:], outputs[1:], strict=True)))

    def entropy(self, logits: Tensor) -> Tensor:
        r"""The differential entropy, in nats: :math:`\sum_k 1 - \log(\tau_k (1 - \tau_k) / \sigma)`."""
        first = self._along_last(at_least_float32(logits))[0]
        return torch.full_like(first, sum(1 + self._constant(level) for level in self.levels))

    def kl(self, logits_p: Tensor, logits_q: Tensor) -> Tensor:
        r"""The divergence of p from q, in nats, summed over the levels; never negative.

        .. math:: \frac{1 - \tau}{\tau} \bigl(e^{-\tau \delta} - 1 + \tau \delta\bigr), \qquad \delta =
                  \frac{q_q - q_p}{\sigma} \ge 0

        and with :math:`1 - \tau` and :math:`-\delta` where :math:`\delta` is negative.
        """
        check_same_shape(logits_p, logits_q, name="logits_q")
        p, q = (self._quantiles(self._along_last(with_spare_digits(x))) for x in (logits_p, logits_q))
        total = torch.zeros_like(p[0])
        for low, high, level in zip(p, q, self.levels, strict=True):
            delta = (high - low) / self.scale
            up = (1 - level) / level * expm1_excess(-level * delta.clamp_min(0))
            down = level / (1 - level) * expm1_excess((1 - level) * delta.clamp_max(0))
            total = total + up + down
        return total.to(at_least_float32(logits_p).dtype)

    def _best_outputs(self, values: Tensor, weights: Tensor, smoothing: float | None) -> Tensor:
        share = weights.cumsum(0) / weights.sum()
        levels = torch.tensor(self.levels, dtype=values.dtype, device=values.device)
        # The lowest value that has at least this share at or below it; rounding must not step over one.
        place = torch.searchsorted(share, levels - 1e-12).clamp_max(len(values) - 1)
        quantiles = values[place]
        if not self.ordered:
            return quantiles
        gaps = quantiles.diff()
        if smoothing is not None:
            spread = values[-1] - values[0]
            gaps = gaps.clamp_min(_LEAST_GAP * float(spread if spread > 0 else 1.0))
        # The inverse of softplus, log(exp(gap) - 1), without overflow.
        return torch.cat([quantiles[:1], gaps + torch.log(-torch.expm1(-gaps))])

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"levels={list(self.levels)}, scale={self.scale}, {super().extra_repr()}"


def _listed(levels: object) -> tuple[float, ...]:
    """One level, or several, as numbers."""
    if not isinstance(levels, bool) and as_number(levels) is not None:
        return (float(real_number("levels", levels)),)
    if isinstance(levels, Tensor) and levels.requires_grad:
        raise DTypeError("levels is a tensor with gradient; expected numbers: levels.tolist().")
    listed = levels.tolist() if hasattr(levels, "tolist") else levels
    if not isinstance(listed, Sequence) or isinstance(listed, (str, bytes)):
        raise DTypeError(f"levels is {shown(levels)}; expected a number or a list of numbers.")
    return tuple(float(real_number("levels", level)) for level in listed)
