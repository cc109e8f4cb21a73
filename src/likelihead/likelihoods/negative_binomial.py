"""A count that varies more than a Poisson variable: the negative binomial likelihood."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import NegativeBinomial as NegativeBinomialDistribution

from likelihead.core.links import at_least_float32, with_spare_digits
from likelihead.core.reduction import Reduction
from likelihead.errors import OptionError
from likelihead.likelihoods.base import register
from likelihead.likelihoods.checks import check_same_shape, positive_number
from likelihead.likelihoods.divergence import expm1_excess
from likelihead.likelihoods.poisson import CountLikelihood
from likelihead.likelihoods.special import (
    LOG_2PI,
    log1p_excess,
    psi_remainder,
    softplus,
    stirling_error,
)

__all__ = ["NegativeBinomial"]

_LOG_HALF = math.log(0.5)
_LOG_BOUND = 60.0  # beyond it the dispersion is 0 or infinite for every count that a float can hold
_NODES = 400
_LEAST_LOG_DISPERSION = -8.0  # a start from which the dispersion can still grow


@register
class NegativeBinomial(CountLikelihood):
    r"""A count with mean :math:`\mu = e^z` and variance :math:`\mu + \alpha \mu^2`.

    .. math:: -\log P(y) = \log y! + \log \Gamma(r) - \log \Gamma(y + r) + r \log(1 + \alpha \mu)
              + y \log\Bigl(1 + \frac{1}{\alpha \mu}\Bigr), \qquad r = \frac{1}{\alpha}

    A Poisson variable whose rate is itself gamma-distributed with relative variance :math:`\alpha`, the
    *dispersion*. With :math:`\alpha \to 0` it becomes `Poisson`, and is computed so that no digit is lost
    on the way there.

    Where an example was watched for longer, add the logarithm of that exposure to the (first) logit.

    Shape:
        - logits: with a known dispersion the log of the means, of any shape; with a predicted one
          ``[..., 2]``, the logarithm of the mean and the logarithm of the dispersion.
        - target: the shape of the means, of any real dtype: whole numbers from 0 up; NaN where it is missing.

    Args:
        dispersion: the known :math:`\alpha`, or ``"predicted"``: the head puts out each example's own.
        num_outputs: how many counts an example has; see `Gaussian` for the head's shape.
        reduction: see `Likelihood`.

    Raises:
        OptionError: a dispersion that is not positive and finite.

    >>> likelihood = NegativeBinomial(0.5)
    >>> likelihood(torch.tensor([[0.0], [1.0]]), torch.tensor([[0], [4]]))
    tensor(1.5619)
    >>> NegativeBinomial("predicted").nll(torch.tensor([[1.0, -0.6931]]), torch.tensor([4]))
    tensor([2.3130])
    """

    name = "negative_binomial"
    task = "overdispersed-count"
    described = "a NegativeBinomial with a predicted dispersion, of the logarithms of mean and dispersion,"

    def __init__(
        self,
        dispersion: float | Literal["predicted"] = "predicted",
        *,
        num_outputs: int = 1,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(num_outputs=num_outputs, reduction=reduction)
        if isinstance(dispersion, str):
            if dispersion != "predicted":
                raise OptionError(
                    f"dispersion is {dispersion!r}; expected a positive number, or 'predicted'."
                )
            self.parameter_shape = ("num_outputs", 2)
            self.parameters_of_target = 2
        else:
            dispersion = positive_number(
                "dispersion", dispersion, or_else="'predicted'. One of 0 is a Poisson"
            )
        self.dispersion = dispersion
        self._known = 0.0 if isinstance(dispersion, str) else math.log(dispersion)

    def _log_dispersion(self, outputs: tuple[Tensor, ...]) -> Tensor:
        if isinstance(self.dispersion, str):
            return outputs[1].clamp(-_LOG_BOUND, _LOG_BOUND)
        return torch.full_like(outputs[0], self._known)

    def distribution(self, logits: Tensor) -> NegativeBinomialDistribution:
        r"""The negative binomial distribution of each count; its ``total_count`` is :math:`1 / \alpha`."""
        outputs = self._along_last(at_least_float32(logits))
        log_dispersion = self._log_dispersion(outputs)
        return NegativeBinomialDistribution(torch.exp(-log_dispersion), logits=outputs[0] + log_dispersion)

    def _nll(self, outputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        z, log_a = outputs[0], self._log_dispersion(outputs)
        a, r = torch.exp(log_a), torch.exp(-log_a)
        is_some = y > 0
        some = torch.where(is_some, y, 1)
        of_some = (
            _deviance(torch.log(some), z, log_a)
            + 0.5 * (torch.log1p(a * some) + LOG_2PI + torch.log(some))
            + (stirling_error(some) + stirling_error(r) - stirling_error(some + r))
        )
        of_none = _of_none(z, log_a)
        # A count below 0 has no value; where values are read it is refused.
        return torch.where(is_some, of_some, torch.where(y == 0, of_none, torch.nan))

    def _gradient(self, outputs: tuple[Tensor, ...], y: Tensor) -> tuple[Tensor, ...]:
        r"""The closed form: :math:`(\mu - y) / (1 + \alpha \mu)`.

        With a predicted dispersion, beside it the derivative by its logarithm,
        :math:`r\,[\log(1 + w) - w + \psi(y + r) - \psi(r) - \log(1 + \alpha y)]` with :math:`w = (y - \mu) /
        (r + \mu)`.
        """
        z, log_a = outputs[0], self._log_dispersion(outputs)
        a, r = torch.exp(log_a), torch.exp(-log_a)
        is_some = y > 0
        some = torch.where(is_some, y, 1)
        d = z - torch.log(some)
        is_near = is_some & (d.abs() < 1)
        no, yes = torch.sigmoid(-(z + log_a)), torch.sigmoid(z + log_a)
        near = some * torch.expm1(torch.where(is_near, d, 0)) * no
        of_mean = torch.where(is_near, near, r * yes - y * no)
        of_mean = torch.where(y >= 0, of_mean, torch.nan)
        if not isinstance(self.dispersion, str):
            return (of_mean,)
        ay = a * torch.where(is_some, y, 0)
        w = -a * of_mean  # (y - mu) / (r + mu)
        is_small = w.abs() < 0.5
        log_ratio = torch.where(
            is_small, log1p_excess(torch.where(is_small, w, 0)), torch.log1p(ay) - softplus(z + log_a) - w
        )
        rest = 0.5 * ay / (1 + ay) + r * (psi_remainder(r) - psi_remainder(some + r))
        of_dispersion = r * log_ratio + torch.where(is_some, rest, 0)
        inside = outputs[1].abs() <= _LOG_BOUND
        return of_mean, torch.where(inside, of_dispersion, 0)

    def entropy(self, logits: Tensor) -> Tensor:
        r"""The entropy :math:`-\sum_k P(k) \log P(k)`, in nats, from an integral that takes 400 nodes."""
        outputs = self._along_last(with_spare_digits(logits))
        z, log_a = outputs[0], self._log_dispersion(outputs)
        zero = torch.zeros_like(z)
        entropy = _expected_ratio(z, log_a, zero, -log_a) + _linear_part(z, log_a, z, log_a)
        return entropy.to(at_least_float32(logits).dtype)

    def kl(self, logits_p: Tensor, logits_q: Tensor) -> Tensor:
        """The divergence of p from q, in nats; never negative.

        In closed form where the dispersions are one; else from an integral that takes 400 nodes.
        """
        check_same_shape(logits_p, logits_q, name="logits_q")
        p, q = (self._along_last(with_spare_digits(logits)) for logits in (logits_p, logits_q))
        a_p, a_q = self._log_dispersion(p), self._log_dispersion(q)
        closed = _deviance(p[0], q[0], a_q)
        if isinstance(self.dispersion, str):
            numeric = (
                _expected_ratio(p[0], a_p, -a_p, -a_q)
                + _linear_part(p[0], a_p, q[0], a_q)
                - _linear_part(p[0], a_p, p[0], a_p)
            )
            closed = torch.where(a_p == a_q, closed, numeric)
        return closed.clamp_min(0).to(at_least_float32(logits_p).dtype)

    def _best_outputs(self, values: Tensor, weights: Tensor, smoothing: float | None) -> Tensor:
        log_mean = self._log_mean(values, weights, smoothing)
        if not isinstance(self.dispersion, str):
            return log_mean.reshape(1)
        if not bool(torch.isfinite(log_mean)):
            return torch.stack([log_mean, torch.zeros_like(log_mean)])  # any dispersion is best
        log_dispersion = self._best_log_dispersion(log_mean, values, weights)
        if smoothing is not None:
            log_dispersion = log_dispersion.clamp_min(_LEAST_LOG_DISPERSION)
        return torch.stack([log_mean, log_dispersion])

    def _best_log_dispersion(self, log_mean: Tensor, values: Tensor, weights: Tensor) -> Tensor:
        """Where the derivative by the dispersion changes its sign, from below; by halving."""
        z = log_mean.expand_as(values)

        def slope(log_dispersion: Tensor) -> Tensor:
            return (weights * self._gradient((z, log_dispersion.expand_as(z)), values)[1]).sum()

        grid = torch.linspace(-30, 30, 121, dtype=z.dtype, device=z.device)
        table = (len(values), len(grid))  # distinct counts, so a short one
        outputs = (z.unsqueeze(1).expand(table), grid.expand(table))
        losses = weights @ self._nll(outputs, values.unsqueeze(1).expand(table))
        best = int(losses.argmin())
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
        if best == 0 or bool(slope(low) >= 0):
            return low  # no more spread than a Poisson variable has
        for _ in range(54):  # an interval of 1, to the last digit
            middle = 0.5 * (low + high)
            if bool(slope(middle) < 0):
                low = middle
            else:
                high = middle
        return 0.5 * (low + high)

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"dispersion={self.dispersion!r}, {super().extra_repr()}"


def _deviance(log_y: Tensor, z: Tensor, log_a: Tensor) -> Tensor:
    r"""How much likelier a count y is under its own mean than under :math:`e^z`; not negative.

    .. math:: (r + y) \log\frac{r + \mu}{r + y} + y \log\frac{y}{\mu}

    Near its minimum at :math:`d = z - \log y = 0` it is of second order, and so is its derivative by the
    dispersion everywhere. With :math:`q = y / (r + y)`, :math:`E(d) = e^d - 1 - d` and :math:`L(u) = \log(1 +
    u) - u`, both are kept to the last digits, the derivatives by automatic differentiation too, by

    .. math:: y E(d) + (r + y) L(q (e^d - 1)) = r E(-d) + (r + y) L((1 - q) (e^{-d} - 1))

    the first where :math:`q < \frac12`, the second elsewhere.
    """
    y, a, r = torch.exp(log_y), torch.exp(log_a), torch.exp(-log_a)
    d, ay = z - log_y, a * y
    is_ruled = ay > 1
    is_close = d.abs() < 1
    # Under a small dispersion the first form serves until the mean reaches half of 1 / a.
    is_first = ~is_ruled & (is_close | (z + log_a < _LOG_HALF))
    is_second = is_ruled & is_close
    # Each branch sees harmless values where another is taken.
    d1, ay1 = torch.where(is_first, d, 0), torch.where(is_first, ay, 0)
    first = y * expm1_excess(d1) + (r + y) * log1p_excess(ay1 / (1 + ay1) * torch.expm1(d1))
    d2, ay2 = torch.where(is_second, d, 0), torch.where(is_second, ay, 1)
    second = r * expm1_excess(-d2) + (r + y) * log1p_excess(torch.expm1(-d2) / (1 + ay2))
    is_near = is_first | is_second
    far_d = torch.where(is_near, 1.0, d)
    far_x = torch.where(is_near, log_y + 1.0, z) + log_a
    more = softplus(far_x) - torch.log1p(ay)
    less = softplus(-far_x) - torch.log1p(1 / torch.where(is_ruled, ay, 1))
    far = r * more + y * torch.where(is_ruled, less, more - far_d)
    return torch.where(is_first, first, torch.where(is_second, second, far))


def _of_none(z: Tensor, log_a: Tensor) -> Tensor:
    r"""The NLL of a count of 0, :math:`r \log(1 + \alpha \mu)`.

    Its derivative by the dispersion is of second order in :math:`\alpha \mu`, so :math:`\mu` is taken out.
    """
    x, r = z + log_a, torch.exp(-log_a)
    is_small = x < _LOG_HALF
    small_z = torch.where(is_small, z, 0)
    small = torch.exp(small_z) + r * log1p_excess(torch.exp(torch.where(is_small, x, _LOG_HALF)))
    return torch.where(is_small, small, r * softplus(torch.where(is_small, 0, x)))


def _linear_part(z_p: Tensor, a_p: Tensor, z_q: Tensor, a_q: Tensor) -> Tensor:
    """What of the expected NLL of q under p needs only the mean of p."""
    x = z_q + a_q
    return torch.exp(z_p) * softplus(-x) + torch.exp(-a_q) * softplus(x)


def _expected_ratio(z: Tensor, log_a: Tensor, log_c: Tensor, log_e: Tensor) -> Tensor:
    r"""The mean of :math:`\log \frac{\Gamma(Y + c)}{\Gamma(c)} - \log \frac{\Gamma(Y + e)}{\Gamma(e)}`.

    With Malmstén's integral for each, and G the generating function of Y, of which all is known:

    .. math:: \int_0^\infty \frac{(e^{-et} - e^{-ct})\,(1 - G(e^{-t}))}{1 - e^{-t}}\,\frac{dt}{t}

    by the trapezoid rule in :math:`\log t`, which converges as fast as the integrand falls off at both ends.
    """
    c, e = torch.exp(log_c), torch.exp(log_e)
    least = torch.minimum(c, e)
    with torch.no_grad():
        low = -40.0 - torch.clamp_min(z + torch.maximum(log_c, log_e), 0.0)
        high = math.log(45.0) - torch.log(least.clamp_max(1.0))
        step = (high - low) / (_NODES - 1)
        place = torch.arange(_NODES, dtype=z.dtype, device=z.device)
        t = torch.exp(low.unsqueeze(-1) + step.unsqueeze(-1) * place)
    c, e, least = c.unsqueeze(-1), e.unsqueeze(-1), least.unsqueeze(-1)
    gap = c - e
    difference = torch.sign(gap) * torch.exp(-least * t) * -torch.expm1(-gap.abs() * t)
    complement = -torch.expm1(-t)
    x, r = (z + log_a).unsqueeze(-1), torch.exp(-log_a).unsqueeze(-1)
    unlikely = -torch.expm1(-r * softplus(x + torch.log(complement)))
    return (difference * unlikely / complement).sum(-1) * step
