"""Values and gradients of rows of logits in extended precision; this file must not import likelihead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Wide = NDArray[np.longdouble]


@dataclass
class Scores:
    """What there is of each row, and its derivatives by the logits."""

    nll: Wide
    lse: Wide
    entropy: Wide
    above: Wide  # how far lse is above the largest logit
    slopes: tuple[Wide, Wide, Wide]  # of nll, lse and entropy
    sizes: tuple[Wide, Wide, Wide]  # of what they are computed from, and rounded to; without the cap's slope


def scores(logits: Tensor, target: Tensor, ignore_index: int, softcap: float) -> Scores:
    """Of ``[N, V]`` logits; where a row has no largest finite logit, nothing is promised."""
    z = logits.to(torch.float64).numpy().astype(np.longdouble)
    bent = np.ones_like(z)
    if softcap:
        tanh = np.tanh(z / np.longdouble(softcap))
        z, bent = np.longdouble(softcap) * tanh, 1 - tanh * tanh
    rows = np.arange(len(z))
    top = z.argmax(1)
    gap = z[rows, top][:, None] - z
    exps = np.exp(-gap)
    others = exps.copy()
    others[rows, top] = 0
    rest = others.sum(1)
    p = exps / (1 + rest)[:, None]
    share = np.where(p == 0, 0, p * np.where(p == 0, 0, gap))
    mean_gap = share.sum(1)
    above = np.log1p(rest)

    y = target.long().numpy()
    kept = y != ignore_index
    y = np.where(kept, y, 0)
    without = exps.copy()
    without[rows, y] = 0
    of_nll = p.copy()
    of_nll[rows, y] = -without.sum(1) / (1 + rest)
    of_nll[~kept] = 0
    return Scores(
        nll=np.where(kept, gap[rows, y] + above, 0),
        lse=z[rows, top] + above,
        entropy=above + mean_gap,
        above=above,
        slopes=(of_nll * bent, p * bent, (share - p * mean_gap[:, None]) * bent),
        sizes=(abs(of_nll), p, share + p * mean_gap[:, None]),
    )


def wide(values: Tensor) -> Wide:
    """What a tensor holds, in the oracle's numbers."""
    held: NDArray[Any] = values.to(torch.float64).numpy()
    return held.astype(np.longdouble)
