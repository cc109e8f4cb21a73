"""A real number with outliers: the Student-t likelihood."""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal
from torch.distributions import StudentT as StudentTDistribution

from likelihead.core.domains import REAL
from likelihead.core.links import IDENTITY, at_least_float32, with_spare_digits
from likelihead.core.options import real_number
from likelihead.core.reduction import Reduction
from likelihead.errors import OptionError
from likelihead.likelihoods.base import register
from likelihead.likelihoods.checks import check_same_shape, positive_number
from likelihead.likelihoods.divergence import expm1_excess
from likelihead.likelihoods.observed import ObservedLikelihood
from likelihead.likelihoods.special import LOG_2PI

__all__ = ["StudentT"]

_MANY = 100.0  # degrees of freedom from which the series have every digit
_FAR = 1e3
_STEPS = 2000
_NODES = 256


@register
class StudentT(ObservedLikelihood):
    r"""A real number around what the head puts out, with long tails: outliers pull little.

    .. math:: -\log p(y) = \frac{\nu + 1}{2} \log\Bigl(1 + \frac{t^2}{\nu}\Bigr) + \log \sigma + c_\nu,
              \qquad c_\nu = \log \frac{\Gamma(\nu / 2) \sqrt{\nu \pi}}{\Gamma((\nu + 1) / 2)},
              \qquad t = \frac{y - \mu}{\sigma}

    with :math:`\nu` the degrees of freedom and :math:`\sigma` the scale, which is the standard deviation for
    :math:`\nu \to \infty` alone, where the likelihood is a Gaussian. The pull of an error,
    :math:`\frac{\nu + 1}{\sigma} \frac{t}{\nu + t^2}`, is largest at :math:`t = \sqrt{\nu}` and falls beyond.

    Shape:
        - logits: with a known scale the locations, of any shape; with a predicted one ``[..., 2]``, the
          location and the logarithm of the scale.
        - target: the shape of the locations, of any real dtype; NaN where it is missing.

    Args:
        df: the degrees of freedom :math:`\nu`, positive; ``math.inf`` is a Gaussian.
        scale: the known :math:`\sigma`, or ``"predicted"``: the head puts out each example's own.
        num_outputs: how many numbers an example has; see `Gaussian` for the head's shape.
        reduction: see `Likelihood`.

    Raises:
        OptionError: degrees of freedom or a scale that are not positive.

    >>> likelihood = StudentT(4.0)
    >>> likelihood.nll(torch.zeros(3), torch.tensor([0.0, 1.0, 100.0]))
    tensor([ 0.9808,  1.5387, 20.5419])
    """

    name = "student_t"
    task = "robust-regression"
    link = IDENTITY
    target_domain = REAL
    parameter_shape: tuple[str | int, ...] = ("num_outputs",)
    described = "a StudentT with a predicted scale, of the location and the logarithm of the scale,"

    def __init__(
        self,
        df: float = 4.0,
        scale: float | Literal["predicted"] = 1.0,
        *,
        num_outputs: int = 1,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(num_outputs=num_outputs, reduction=reduction)
        df = real_number("df", df)
        if not df > 0:
            raise OptionError(f"df is {df!r}; expected a positive number of degrees of freedom, or math.inf.")
        if isinstance(scale, str):
            if scale != "predicted":
                raise OptionError(f"scale is {scale!r}; expected a positive number, or 'predicted'.")
            self.parameter_shape = ("num_outputs", 2)
            self.parameters_of_target = 2
        else:
            scale = positive_number("scale", scale, or_else="'predicted'")
        self.df = float(df)
        self._is_normal = math.isinf(self.df)
        self._known_log_scale = 0.0 if isinstance(scale, str) else math.log(scale)
        self._constant = _constant(self.df)  # here, since a compiler does not trace into math.lgamma
        self.scale = scale

    def _log_scale(self, outputs: tuple[Tensor, ...]) -> Tensor:
        if isinstance(self.scale, str):
            return outputs[1]
        return torch.full_like(outputs[0], self._known_log_scale)

    def distribution(self, logits: Tensor) -> Distribution:
        """The Student-t distribution of each target; a normal one for infinite degrees of freedom."""
        outputs = self._along_last(at_least_float32(logits))
        scale = torch.exp(self._log_scale(outputs))
        if self._is_normal:
            return Normal(outputs[0], scale)
        return StudentTDistribution(torch.full_like(scale, self.df), outputs[0], scale)

    def predict(
        self, logits: Tensor, *, threshold: float | Tensor | None = None, cost: Tensor | None = None
    ) -> Tensor:
        """The location, which is the mode, the median, and the mean where there is one (``df`` above 1).

        Raises:
            OptionError: a threshold or a cost matrix is given; a real number is not decided by one.
        """
        if threshold is not None or cost is not None:
            raise OptionError(
                "a StudentT predicts its location; threshold= and cost= are for classes and labels."
            )
        return at_least_float32(self._along_last(logits)[0])

    def _nll(self, outputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        log_scale = self._log_scale(outputs)
        t = (y - outputs[0]) * torch.exp(-log_scale)
        if self._is_normal:
            return 0.5 * (t.square() + LOG_2PI) + log_scale
        # The square of an outlier may be infinite where its logarithm is a plain number.
        u = (t / math.sqrt(self.df)).abs()
        is_far = u > _FAR
        far, near = torch.where(is_far, u, _FAR), torch.where(is_far, 0, t)
        of_far = 2 * torch.log(far) + torch.log1p(1 / far.square())
        of_near = torch.log1p(near.square() / self.df)
        return 0.5 * (self.df + 1) * torch.where(is_far, of_far, of_near) + (log_scale + self._constant)

    def _gradient(self, outputs: tuple[Tensor, ...], y: Tensor) -> tuple[Tensor, ...]:
        r"""The closed form: :math:`-\frac{\nu + 1}{\sigma} \frac{t}{\nu + t^2}`.

        With a predicted scale, beside it the derivative by its logarithm, :math:`1 - (\nu + 1) \frac{t^2}{\nu
        + t^2}`.
        """
        precision = torch.exp(-self._log_scale(outputs))
        t = (y - outputs[0]) * precision
        if self._is_normal:
            pull, share = t, t.square()
        else:
            u = t / math.sqrt(self.df)
            is_far = u.abs() > 1
            inverse = 1 / torch.where(is_far, u, 1)
            near = torch.where(is_far, 0, u)
            slope = torch.where(is_far, inverse / (1 + inverse.square()), near / (1 + near.square()))
            pull = (self.df + 1) / math.sqrt(self.df) * slope
            share = (self.df + 1) * torch.where(
                is_far, 1 / (1 + inverse.square()), near.square() / (1 + near.square())
            )
        if not isinstance(self.scale, str):
            return (-pull * precision,)
        return -pull * precision, 1 - share

    def entropy(self, logits: Tensor) -> Tensor:
        r"""The differential entropy, in nats; may be negative.

        .. math:: \log \sigma + \frac{\nu + 1}{2} \Bigl[\psi\bigl(\tfrac{\nu + 1}{2}\bigr) -
                  \psi\bigl(\tfrac{\nu}{2}\bigr)\Bigr] + c_\nu
        """
        outputs = self._along_last(at_least_float32(logits))
        return self._log_scale(outputs) + (self._constant + _mean_part(self.df))

    def kl(self, logits_p: Tensor, logits_q: Tensor) -> Tensor:
        r"""The divergence of p from q, in nats; never negative.

        For one degree of freedom the closed form :math:`\log(1 + \sinh^2 \frac{r}{2} + \frac{(\mu_p -
        \mu_q)^2}{4 \sigma_p \sigma_q})` with :math:`r = \log \sigma_p - \log \sigma_q` (Chyzak, Nielsen
        2019); for infinite ones, that of a Gaussian. Else there is none: a Gauss-Gegenbauer rule of 256
        nodes, which gives 10 digits up to scales ten times as large as each other and locations ten scales
        apart, and fewer beyond.
        """
        check_same_shape(logits_p, logits_q, name="logits_q")
        p, q = (self._along_last(with_spare_digits(logits)) for logits in (logits_p, logits_q))
        log_p, log_q = self._log_scale(p), self._log_scale(q)
        log_ratio = log_p - log_q
        shift = (p[0] - q[0]) * torch.exp(-log_q)
        if self._is_normal:
            divergence = 0.5 * (shift.square() + expm1_excess(2 * log_ratio))
        elif self.df == 1.0:
            distance = (0.5 * shift).square() * torch.exp(-log_ratio)
            divergence = torch.log1p(torch.sinh(0.5 * log_ratio).square() + distance)
        else:
            nodes, weights = (x.to(shift) for x in _gegenbauer(self.df))
            sine, cosine = nodes.square(), 1 - nodes.square()
            # With t = sqrt(df) tan(angle), (1 + t_q ** 2 / df) / (1 + t_p ** 2 / df) at angles of both signs.
            ratio, delta = torch.exp(log_ratio).unsqueeze(-1), (shift / math.sqrt(self.df)).unsqueeze(-1)
            both = cosine + ratio.square() * sine + delta.square() * cosine
            cross = 2 * ratio * delta * (sine * cosine).sqrt()
            mean = (weights * 0.5 * (torch.log(both - cross) + torch.log(both + cross))).sum(-1)
            divergence = (0.5 * (self.df + 1) * mean - log_ratio).clamp_min(0)
            divergence = torch.where((shift == 0) & (log_ratio == 0), 0, divergence)
        return divergence.to(at_least_float32(logits_p).dtype)

    def _best_outputs(self, values: Tensor, weights: Tensor, smoothing: float | None) -> Tensor:
        total = weights.sum()
        is_scale = isinstance(self.scale, str)
        mean = (weights * values).sum() / total
        spread = (weights * (values - mean).square()).sum() / total
        if is_scale and not bool(spread > 0):
            return self._without_spread(mean, total, smoothing)
        if is_scale and self._is_normal:
            return torch.stack([mean, 0.5 * spread.log()])
        # The likelihood of the location may have several peaks: climb from several places, keep the highest.
        order = weights.cumsum(0) / total
        starts = [mean, *(values[(order >= share).nonzero()[0, 0]] for share in (0.5, 0.1, 0.3, 0.7, 0.9))]
        scale = spread.sqrt() if is_scale else torch.full_like(spread, float(self.scale))
        climbed = [self._climb(start, scale, values, weights) for start in starts]
        losses = torch.stack(
            [(weights * self._nll(tuple(o.expand_as(values) for o in c), values)).sum() for c in climbed]
        )
        best = climbed[int(losses.argmin())]
        if is_scale and bool(best[1] < 0.5 * spread.log() - 30):
            # More than df / (df + 1) of the values are equal: the scale goes to 0 around them.
            return self._without_spread(best[0], total, smoothing)
        return best

    def _without_spread(self, location: Tensor, total: Tensor, smoothing: float | None) -> Tensor:
        """Values that never vary say nothing of the scale: as many of scale 1 as asked for do."""
        log_scale = (
            torch.full_like(location, -math.inf) if smoothing is None else 0.5 * torch.log(smoothing / total)
        )
        return torch.stack([location, log_scale])

    def _climb(self, location: Tensor, scale: Tensor, values: Tensor, weights: Tensor) -> Tensor:
        """The nearest best location, and scale where it is predicted: expectation-maximisation."""
        square, df = scale.square(), self.df
        for _ in range(_STEPS):
            t2 = (values - location).square() / square
            share = weights * ((df + 1) / (df + t2)) if not self._is_normal else weights
            moved = (share * values).sum() / share.sum()
            step = (moved - location).abs()
            location = moved
            if isinstance(self.scale, str):
                # Divided by the shares and not by their number: the same place, reached faster.
                wider = (share * (values - location).square()).sum() / share.sum()
                step = step + (wider.log() - square.log()).abs() * square.sqrt()
                square = wider.clamp_min(1e-290)
            if not bool(step > 1e-15 * square.sqrt()):
                break
        if not isinstance(self.scale, str):
            return location.reshape(1)
        return torch.stack([location, 0.5 * square.log()])

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"df={self.df}, scale={self.scale!r}, {super().extra_repr()}"


def _constant(df: float) -> float:
    """What the NLL is at its location with a scale of 1."""
    if df < _MANY:
        return math.lgamma(df / 2) - math.lgamma((df + 1) / 2) + 0.5 * math.log(df * math.pi)
    inverse = 2 / df
    square = inverse * inverse
    return 0.5 * LOG_2PI + inverse * (1 / 8 - square * (1 / 192 - square * (1 / 640 - square * 17 / 14336)))


def _mean_part(df: float) -> float:
    """The mean of ``(df + 1) / 2 * log(1 + t ** 2 / df)``."""
    if math.isinf(df):
        return 0.5
    half = df / 2
    if df < _MANY:
        psi = torch.digamma(torch.tensor([half + 0.5, half], dtype=torch.float64, device="cpu"))
        return 0.5 * (df + 1) * float(psi[0] - psi[1])
    inverse = 1 / half
    square = inverse * inverse
    return (half + 0.5) * inverse * (0.5 + inverse * (1 / 8 - square * (1 / 64 - square / 128)))


@cache
def _gegenbauer(df: float) -> tuple[Tensor, Tensor]:
    """Nodes and weights, summing to 1, of the mean over the sine of the angle (Golub, Welsch 1969)."""
    order = (df - 1) / 2
    k = torch.arange(1, _NODES, dtype=torch.float64, device="cpu")
    squares = k * (k + 2 * order - 1) / (4 * (k + order) * (k + order - 1))
    squares[0] = 1 / (2 * (1 + order))
    beside = squares.sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return nodes, vectors[0].square()
