"""What the likelihoods should say, in mpmath with 60 digits, from the textbook formulas."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath
from mpmath import mpf

DIGITS = 60


def _numbers(values: Sequence[float]) -> list[mpf]:
    return [mpf(value) for value in values]


def softmax(logits: Sequence[float]) -> list[mpf]:
    """The probabilities of one example."""
    with mpmath.workdps(DIGITS):
        z = _numbers(logits)
        top = max(z)
        exps = [mpmath.exp(x - top) for x in z]
        total = mpmath.fsum(exps)
        return [e / total for e in exps]


def logsumexp(logits: Sequence[float]) -> mpf:
    """The logarithm of the sum of the exponentials."""
    with mpmath.workdps(DIGITS):
        z = _numbers(logits)
        top = max(z)
        return top + mpmath.log(mpmath.fsum(mpmath.exp(x - top) for x in z))


def effective(
    logits: Sequence[float], softcap: float | None = None, offset: Sequence[float] | None = None
) -> list[mpf]:
    """Logits after the cap and the offset."""
    with mpmath.workdps(DIGITS):
        z = _numbers(logits)
        if softcap is not None:
            z = [mpf(softcap) * mpmath.tanh(x / mpf(softcap)) for x in z]
        if offset is not None:
            z = [x + b for x, b in zip(z, _numbers(offset), strict=True)]
        return z


def categorical_nll(
    logits: Sequence[float],
    target: Sequence[float],
    *,
    weight: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    offset: Sequence[float] | None = None,
) -> mpf:
    """The loss of one example; the target is a row of probabilities (one-hot for a class index)."""
    with mpmath.workdps(DIGITS):
        z = effective(logits, softcap, offset)
        w = [mpf(1)] * len(z) if weight is None else _numbers(weight)
        eps = mpf(label_smoothing)
        q = [(1 - eps) * t + eps / len(z) for t in _numbers(target)]
        lse = logsumexp(z)
        nll = mpmath.fsum(w[k] * q[k] * (lse - z[k]) for k in range(len(z)) if q[k])
        return nll + mpf(z_loss) * lse**2


def categorical_residual(
    logits: Sequence[float],
    target: Sequence[float],
    *,
    weight: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    offset: Sequence[float] | None = None,
) -> list[mpf]:
    """The gradient of `categorical_nll` with respect to the logits."""
    with mpmath.workdps(DIGITS):
        z = effective(logits, softcap, offset)
        w = [mpf(1)] * len(z) if weight is None else _numbers(weight)
        eps = mpf(label_smoothing)
        a = [w[k] * ((1 - eps) * mpf(target[k]) + eps / len(z)) for k in range(len(z))]
        p, total, lse = softmax(z), mpmath.fsum(a), logsumexp(z)
        slope = [mpf(1)] * len(z)
        if softcap is not None:
            slope = [1 - mpmath.tanh(mpf(x) / mpf(softcap)) ** 2 for x in logits]
        return [(total * p[k] - a[k] + 2 * mpf(z_loss) * lse * p[k]) * slope[k] for k in range(len(z))]


def categorical_log_probs(logits: Sequence[float]) -> list[mpf]:
    """The log-probabilities of one example."""
    with mpmath.workdps(DIGITS):
        lse = logsumexp(logits)
        return [x - lse for x in _numbers(logits)]


def entropy(probs: Sequence[mpf]) -> mpf:
    """The entropy of a row of probabilities."""
    with mpmath.workdps(DIGITS):
        return -mpmath.fsum(p * mpmath.log(p) for p in probs if p)


def kl(p: Sequence[mpf], q: Sequence[mpf]) -> mpf:
    """The divergence of p from q."""
    with mpmath.workdps(DIGITS):
        return mpmath.fsum(a * (mpmath.log(a) - mpmath.log(b)) for a, b in zip(p, q, strict=True) if a)


def sigmoid(logit: float) -> list[mpf]:
    """The probabilities of no and of yes."""
    with mpmath.workdps(DIGITS):
        e = mpmath.exp(-mpf(logit))
        return [e / (1 + e), 1 / (1 + e)]


def bernoulli_nll(logit: float, target: float, pos_weight: float = 1.0) -> mpf:
    """The loss of one yes or no."""
    with mpmath.workdps(DIGITS):
        no, yes = sigmoid(logit)
        y = mpf(target)
        return -(mpf(pos_weight) * y * mpmath.log(yes) if y else 0) - (
            (1 - y) * mpmath.log(no) if y != 1 else 0
        )


def bernoulli_residual(logit: float, target: float, pos_weight: float = 1.0) -> mpf:
    """The gradient of `bernoulli_nll`."""
    with mpmath.workdps(DIGITS):
        no, yes = sigmoid(logit)
        return (1 - mpf(target)) * yes - mpf(pos_weight) * mpf(target) * no


def gaussian_nll(mean: float, target: float, variance: float) -> mpf:
    """The loss of one number."""
    with mpmath.workdps(DIGITS):
        v = mpf(variance)
        return (mpf(target) - mpf(mean)) ** 2 / (2 * v) + mpmath.log(2 * mpmath.pi * v) / 2


def gaussian_kl(mean_p: float, log_variance_p: float, mean_q: float, log_variance_q: float) -> mpf:
    """The divergence of one normal from another."""
    with mpmath.workdps(DIGITS):
        r = mpf(log_variance_p) - mpf(log_variance_q)
        shift = (mpf(mean_p) - mpf(mean_q)) ** 2 / mpmath.exp(log_variance_q)
        return (shift + mpmath.exp(r) - r - 1) / 2


def poisson_nll(z: float, y: float) -> mpf:
    """The loss of one count."""
    with mpmath.workdps(DIGITS):
        return mpmath.exp(mpf(z)) - mpf(y) * mpf(z) + mpmath.loggamma(mpf(y) + 1)


def poisson_residual(z: float, y: float) -> mpf:
    """The gradient of `poisson_nll`."""
    with mpmath.workdps(DIGITS):
        return mpmath.exp(mpf(z)) - mpf(y)


def negative_binomial_nll(z: float, log_dispersion: float, y: float) -> mpf:
    """The loss of one count, with the dispersion by its logarithm."""
    with mpmath.workdps(2 * DIGITS):
        r, x, y = mpmath.exp(-mpf(log_dispersion)), mpf(z) + mpf(log_dispersion), mpf(y)
        gammas = mpmath.loggamma(y + 1) + mpmath.loggamma(r) - mpmath.loggamma(y + r)
        return gammas + r * mpmath.log1p(mpmath.exp(x)) + y * mpmath.log1p(mpmath.exp(-x))


def negative_binomial_residual(z: float, log_dispersion: float, y: float) -> list[mpf]:
    """The gradient of `negative_binomial_nll` by both logarithms."""
    with mpmath.workdps(2 * DIGITS):
        r, mean, y = mpmath.exp(-mpf(log_dispersion)), mpmath.exp(mpf(z)), mpf(y)
        of_mean = (mean - y) / (1 + mean / r)
        gammas = mpmath.psi(0, y + r) - mpmath.psi(0, r)
        return [of_mean, r * (gammas - mpmath.log1p(mean / r)) + of_mean]


def student_t_nll(location: float, log_scale: float, y: float, df: float) -> mpf:
    """The loss of one number."""
    with mpmath.workdps(DIGITS):
        n, s = mpf(df), mpf(log_scale)
        t = (mpf(y) - mpf(location)) / mpmath.exp(s)
        constant = mpmath.loggamma(n / 2) - mpmath.loggamma((n + 1) / 2) + mpmath.log(n * mpmath.pi) / 2
        return (n + 1) / 2 * mpmath.log1p(t * t / n) + s + constant


def student_t_residual(location: float, log_scale: float, y: float, df: float) -> list[mpf]:
    """The gradient of `student_t_nll` by location and log-scale."""
    with mpmath.workdps(DIGITS):
        n, scale = mpf(df), mpmath.exp(mpf(log_scale))
        t = (mpf(y) - mpf(location)) / scale
        return [-(n + 1) / scale * t / (n + t * t), 1 - (n + 1) * t * t / (n + t * t)]


def quantile_nll(at: float, y: float, level: float, scale: float) -> mpf:
    """The loss of one number by one quantile."""
    with mpmath.workdps(DIGITS):
        u, tau = (mpf(y) - mpf(at)) / mpf(scale), mpf(level)
        return max(tau * u, (tau - 1) * u) - mpmath.log(tau * (1 - tau) / mpf(scale))


def cumulative_probability(score: float, thresholds: Sequence[float], k: int) -> mpf:
    """The probability of class k."""
    with mpmath.workdps(10 * DIGITS):
        ends = [-mpmath.inf, *(mpf(t) - mpf(score) for t in thresholds), mpmath.inf]
        low, high = (1 / (1 + mpmath.exp(-x)) for x in ends[k : k + 2])
        return high - low


def cumulative_shares(score: float, thresholds: Sequence[float], k: int) -> tuple[mpf, mpf]:
    """The probability of a class above k and of one below: their difference is the loss's derivative."""
    with mpmath.workdps(10 * DIGITS):
        ends = [-mpmath.inf, *(mpf(t) - mpf(score) for t in thresholds), mpmath.inf]
        low, high = ends[k : k + 2]
        return 1 / (1 + mpmath.exp(high)), 1 / (1 + mpmath.exp(-low))
