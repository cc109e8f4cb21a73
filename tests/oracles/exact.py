"""Losses in 60 decimal digits, from the definitions; this file must not import likelihead."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mpmath as mp
import torch
from torch import Tensor

mp.mp.dps = 60


def categorical_nll(
    row: Sequence[float],
    target: int | Sequence[float],
    *,
    weight: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_offset: Sequence[float] | None = None,
) -> tuple[mp.mpf, list[mp.mpf], mp.mpf]:
    """Loss, gradient with respect to the logits, and logsumexp of one row."""
    size = len(row)
    x = [mp.mpf(v) for v in row]
    slope = [mp.mpf(1)] * size
    if softcap is not None:
        cap = mp.mpf(softcap)
        slope = [1 - mp.tanh(v / cap) ** 2 for v in x]
        x = [cap * mp.tanh(v / cap) for v in x]
    if logit_offset is not None:
        x = [v + mp.mpf(b) for v, b in zip(x, logit_offset, strict=True)]
    w = [mp.mpf(1)] * size if weight is None else [mp.mpf(v) for v in weight]
    eps = mp.mpf(label_smoothing)
    if isinstance(target, int):
        q = [(1 - eps if k == target else mp.mpf(0)) + eps / size for k in range(size)]
    else:
        q = [(1 - eps) * mp.mpf(t) + eps / size for t in target]
    q = [a * b for a, b in zip(q, w, strict=True)]
    if isinstance(target, int):
        # torch weighs the one-hot part by the target's class and the smoothing part by each class.
        q = [eps / size * w[k] + ((1 - eps) * w[k] if k == target else 0) for k in range(size)]

    top = max(x)
    exps = [mp.e ** (v - top) for v in x]
    total = mp.fsum(exps)
    lse = top + mp.log(total)
    p = [e / total for e in exps]
    # For finite logits; 60 digits leave room for the cancellation of a confident prediction.
    loss = mp.fsum(a * (lse - v) for a, v in zip(q, x, strict=True) if a) + mp.mpf(z_loss) * lse**2
    mass = mp.fsum(q)
    z = mp.mpf(z_loss)
    gradient = [(mass * p[k] - q[k] + 2 * z * lse * p[k]) * slope[k] for k in range(size)]
    return loss, gradient, lse


def bernoulli_nll(x: float, t: float, pos_weight: float = 1.0) -> tuple[mp.mpf, mp.mpf]:
    """Loss and gradient with respect to the logit."""
    logit, label, pi = mp.mpf(x), mp.mpf(t), mp.mpf(pos_weight)
    loss = pi * label * _softplus(-logit) + (1 - label) * _softplus(logit)
    gradient = (1 - label) / (1 + mp.e ** (-logit)) - pi * label / (1 + mp.e**logit)
    return loss, gradient


def _softplus(x: mp.mpf) -> mp.mpf:
    return mp.log1p(mp.e**x) if x < 0 else x + mp.log1p(mp.e**-x)


def ulps(got: float, exact: mp.mpf, dtype: torch.dtype) -> float:
    """The error in units of the last place that ``exact`` has in ``dtype``."""
    info = torch.finfo(dtype)
    if math.isnan(got) or math.isinf(got):
        return math.inf
    size = abs(exact)
    if size < info.smallest_normal:
        unit = mp.mpf(info.smallest_normal) * mp.mpf(info.eps)
    else:
        unit = mp.mpf(2) ** mp.floor(mp.log(size, 2)) * mp.mpf(info.eps)
    return float(abs(mp.mpf(got) - exact) / unit)


def worst_ulps(got: Tensor, exact: Sequence[mp.mpf], dtype: torch.dtype) -> float:
    """The largest error of a tensor's elements, in units of the last place."""
    values = got.detach().double().flatten().tolist()
    return max((ulps(g, e, dtype) for g, e in zip(values, exact, strict=True)), default=0.0)
