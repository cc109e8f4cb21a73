"""Does a stated confidence come true as often as it says?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bin", "Reliability", "reliability"]


@dataclass(frozen=True)
class Bin:
    """The predictions whose confidence lies in ``(low, high]``; the first bin holds 0 as well.

    ``confidence`` is their mean, ``observed`` the share that came true; both NaN in an empty bin. Of weighted
    predictions the count is the sum of the weights.
    """

    low: float
    high: float
    count: float
    confidence: float
    observed: float


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram's numbers: bins of equal width, and the expected calibration error."""

    bins: tuple[Bin, ...]
    ece: float


def reliability(
    confidence: NDArray[Any], outcome: NDArray[Any], bins: int = 10, *, weights: NDArray[Any] | None = None
) -> Reliability:
    r"""Bin predictions by confidence and compare each bin's mean confidence with its outcome.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{N} \, |\mathrm{observed}_b - \mathrm{confidence}_b|

    Shape:
        - confidence: ``[N]``, in [0, 1].
        - outcome: ``[N]``, 1 (or True) where the prediction came true.
        - weights: ``[N]``, how much each counts.

    >>> r = reliability(np.array([0.95, 0.95, 0.55, 0.55]), np.array([1, 1, 1, 0]))
    >>> round(r.ece, 6), [b.count for b in r.bins]
    (0.05, [0, 0, 0, 0, 0, 2, 0, 0, 0, 2])

    References:
        Guo et al. (2017), On Calibration of Modern Neural Networks.
    """
    confidence = np.asarray(confidence, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = np.searchsorted(edges[1:-1], confidence)  # left: a value on an edge belongs to the bin below it
    outcome = np.asarray(outcome, dtype=np.float64)
    each = np.ones(len(confidence)) if weights is None else np.asarray(weights, dtype=np.float64)
    count = np.bincount(which, weights=weights, minlength=bins)
    said = np.bincount(which, weights=each * confidence, minlength=bins)
    came = np.bincount(which, weights=each * outcome, minlength=bins)
    filled = np.where(count > 0, count, 1)
    rows = tuple(
        Bin(
            float(edges[b]),
            float(edges[b + 1]),
            count[b].item(),
            float(said[b] / filled[b]) if count[b] else float("nan"),
            float(came[b] / filled[b]) if count[b] else float("nan"),
        )
        for b in range(bins)
    )
    total = count.sum()
    ece = float(np.abs(came - said).sum() / total) if total else float("nan")
    return Reliability(rows, ece)
