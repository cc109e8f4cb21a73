"""Targets that are numbers: counts, and the scale of those that have outliers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from likelihead.errors import DataError
from likelihead.train.table.data.hashing import Ints
from likelihead.train.table.data.source import row_number

__all__ = ["Spread", "check_counts"]

# More values than these are thinned: a median of so many is exact enough.
_KEPT = 1 << 20
_IQR_OF_NORMAL = 1.3489795003921634


def check_counts(
    values: NDArray[np.float64], column: str, path: str, first_row: int | Ints, task: str
) -> None:
    """Refuse what is no count.

    Raises:
        DataError: a number that is negative, or not whole.
    """
    wrong = (values < 0) | (values != np.floor(values))
    if wrong.any():
        position = int(np.argmax(wrong))
        raise DataError(
            f"{values[position]:g} is no count: --task {task} takes whole numbers, 0 or more; correct the "
            "cell, or use --task regression",
            path=path,
            row=row_number(first_row, position),
            column=column,
        )


@dataclass
class Spread:
    """The median and the quartiles of the training rows' targets, which a few outliers do not move.

    All values are kept up to about a million, and every second, fourth, ... of more.
    """

    values: list[NDArray[np.float64]] = field(default_factory=list)
    weights: list[NDArray[np.float64]] = field(default_factory=list)
    held: int = 0
    seen: int = 0
    step: int = 1

    def update(self, values: NDArray[np.float64], weights: NDArray[np.float64] | None) -> None:
        """Take in a batch."""
        chosen = slice((-self.seen) % self.step, None, self.step)
        self.seen += len(values)
        self.values.append(values[chosen].copy())
        self.weights.append((np.ones(len(values)) if weights is None else weights)[chosen].copy())
        self.held += len(self.values[-1])
        if self.held > 2 * _KEPT:
            self.values = [np.concatenate(self.values)[::2]]
            self.weights = [np.concatenate(self.weights)[::2]]
            self.held, self.step = len(self.values[0]), 2 * self.step

    def quantiles(self, levels: tuple[float, ...]) -> list[float]:
        """The least values that so much of the weight does not exceed."""
        values, weights = np.concatenate(self.values), np.concatenate(self.weights)
        order = np.argsort(values, kind="stable")
        reached = np.cumsum(weights[order])
        # A rounding of the sum must not pass over the value that reaches the level.
        places = np.searchsorted(reached, [level * reached[-1] * (1 - 1e-12) for level in levels])
        return [float(values[order[place]]) for place in places]

    def scale(self) -> tuple[float, float]:
        """The median, and the deviation that a normal distribution with these quartiles has; 0 of a spike."""
        low, middle, high = self.quantiles((0.25, 0.5, 0.75))
        return middle, (high - low) / _IQR_OF_NORMAL
