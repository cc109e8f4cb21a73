"""Class masks, focal losses and labels drawn towards a prior, by their formulas, in mpmath."""

from __future__ import annotations

from collections.abc import Sequence

from mpmath import mp, mpf

mp.dps = 60


def log_softmax(logits: Sequence[float], where: Sequence[bool]) -> list[mpf]:
    """Log-probabilities of the classes that can be; minus infinity for the others."""
    allowed = [mpf(z) for z, on in zip(logits, where, strict=True) if on]
    total = mp.log(mp.fsum(mp.exp(z) for z in allowed))
    return [mpf(z) - total if on else -mp.inf for z, on in zip(logits, where, strict=True)]


def masked_nll(logits: Sequence[float], target: int, where: Sequence[bool], smoothing: float) -> mpf:
    """NLL of a target that can be, with the smoothing spread over the classes that can be."""
    log_p = log_softmax(logits, where)
    allowed = [value for value, on in zip(log_p, where, strict=True) if on]
    return -(1 - mpf(smoothing)) * log_p[target] - mpf(smoothing) / len(allowed) * mp.fsum(allowed)


def masked_slopes(logits: Sequence[float], target: int, where: Sequence[bool], smoothing: float) -> list[mpf]:
    """The gradient of `masked_nll`: probability less share; 0 for a class that cannot be."""
    log_p = log_softmax(logits, where)
    each = mpf(smoothing) / sum(where)
    shares = [(1 - mpf(smoothing)) * (k == target) + each for k in range(len(log_p))]
    return [mp.exp(lp) - s if on else mpf(0) for lp, s, on in zip(log_p, shares, where, strict=True)]


def smoothed_bce(logit: float, label: float, smoothing: float, prior: float) -> mpf:
    """Binary cross-entropy of a label that is drawn towards a prior."""
    x, e = mpf(logit), mpf(smoothing)
    t = (1 - e) * mpf(label) + e * mpf(prior)
    return t * mp.log1p(mp.exp(-x)) + (1 - t) * mp.log1p(mp.exp(x))
