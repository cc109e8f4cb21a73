"""Focal losses and class weights from their definitions, in mpmath."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath
from mpmath import mpf

DIGITS = 700  # e^-1400 must not vanish beside 1


def focal(logits: Sequence[float], target: int, gamma: float) -> tuple[mpf, list[mpf]]:
    """The loss of one example, and its gradient by the chain rule."""
    with mpmath.workdps(DIGITS):
        z = [mpf(x) for x in logits]
        exps = [mpmath.exp(x - max(z)) for x in z]
        p = [e / mpmath.fsum(exps) for e in exps]
        miss, log_p = 1 - p[target], mpmath.log(p[target])
        slope = -(miss ** mpf(gamma)) / p[target]
        if gamma:
            slope += mpf(gamma) * miss ** (mpf(gamma) - 1) * log_p
        inner = [p[target] * ((1 if k == target else 0) - p[k]) for k in range(len(z))]
        return -(miss ** mpf(gamma)) * log_p, [slope * d for d in inner]


def binary_focal(logit: float, target: float, gamma: float, alpha: float | None = None) -> mpf:
    """The loss of one yes or no; the target may be a probability."""
    with mpmath.workdps(DIGITS):
        y, p = mpf(target), 1 / (1 + mpmath.exp(-mpf(logit)))
        nll = -(y * mpmath.log(p) if y else 0) - ((1 - y) * mpmath.log(1 - p) if y != 1 else 0)
        scale = 1 if alpha is None else mpf(alpha) * y + (1 - mpf(alpha)) * (1 - y)
        return scale * (y * (1 - p) + (1 - y) * p) ** mpf(gamma) * nll


def effective_number_weights(counts: Sequence[int], beta: float) -> list[mpf]:
    """Cui et al. (2019), scaled to a sum of C."""
    with mpmath.workdps(DIGITS):
        raw = [(1 - mpf(beta)) / (1 - mpf(beta) ** n) for n in counts]
        return [w * len(counts) / mpmath.fsum(raw) for w in raw]
