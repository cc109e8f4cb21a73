"""Figures from their definitions, in NumPy and plain Python; this file must not import likelihead."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def smooth_ece_at(confidence: Array, outcome: Array, sigma: float, points: int = 4001) -> float:
    """The integral of the smoothed residuals, each pair by itself: no grid for the data, no transform."""
    t = np.linspace(0.0, 1.0, points)
    density = np.zeros(points)
    for p, y in zip(confidence, outcome, strict=True):
        for image in range(-math.ceil(9 * sigma / 2) - 1, math.ceil(9 * sigma / 2) + 2):
            for centre in (2 * image + p, 2 * image - p):
                density += (y - p) * np.exp(-0.5 * ((t - centre) / sigma) ** 2)
    density = np.abs(density) / (sigma * math.sqrt(2 * math.pi) * len(confidence))
    return float((density[:-1] + density[1:]).sum() / 2 / (points - 1))


def smooth_ece(confidence: Array, outcome: Array, points: int = 4001) -> float:
    """The fixed point, by bisection."""
    low, high = 1e-4, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if smooth_ece_at(confidence, outcome, middle, points) > middle:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def ece_width(confidence: list[float], outcome: list[float], bins: int) -> float:
    """Bins (low, high] of equal width, the first closed."""
    total = 0.0
    for b in range(bins):
        inside = [
            i for i, p in enumerate(confidence) if b / bins < p <= (b + 1) / bins or (b == 0 and p == 0)
        ]
        total += abs(math.fsum(outcome[i] - confidence[i] for i in inside))
    return total / len(confidence)


def ece_mass(confidence: list[float], outcome: list[float], bins: int) -> float:
    """Bins by rank; equal confidences go to the bin of the first of them."""
    order = sorted(range(len(confidence)), key=lambda i: confidence[i])
    groups: dict[int, list[int]] = {}
    first: dict[float, int] = {}
    for rank, i in enumerate(order):
        # Bin b holds the ranks up to ceil(n (b + 1) / bins) - 1.
        b = next(b for b in range(bins) if rank <= -(-len(order) * (b + 1) // bins) - 1)
        groups.setdefault(first.setdefault(confidence[i], b), []).append(i)
    gaps = [abs(math.fsum(outcome[i] - confidence[i] for i in group)) for group in groups.values()]
    return math.fsum(gaps) / len(confidence)


def brier_parts(probs: list[float], outcome: list[float], bins: int) -> tuple[float, float, float]:
    """Reliability, resolution and uncertainty of Murphy's decomposition over bins of equal width."""
    n, base = len(probs), math.fsum(outcome) / len(probs)
    reliability = resolution = 0.0
    for b in range(bins):
        inside = [i for i, p in enumerate(probs) if b / bins < p <= (b + 1) / bins or (b == 0 and p == 0)]
        if inside:
            said = math.fsum(probs[i] for i in inside) / len(inside)
            came = math.fsum(outcome[i] for i in inside) / len(inside)
            reliability += len(inside) * (said - came) ** 2 / n
            resolution += len(inside) * (came - base) ** 2 / n
    return reliability, resolution, base * (1 - base)
