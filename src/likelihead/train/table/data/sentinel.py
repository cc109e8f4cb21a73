"""Numbers that look as if they stood for a missing cell: -200 or 9999, far from all the others."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ends", "suspected"]

#: What people and instruments write where there is no value.
_USUAL = frozenset(
    sign * value for value in (9, 99, 999, 9999, 99999, 999999, 9999999, 8888, 7777) for sign in (1.0, -1.0)
) | {-1.0, -100.0, -200.0, -500.0, -1000.0, -32768.0, 32767.0, 65535.0}

#: Fewer cells of a value than this may be measured ones.
_LEAST = 3


@dataclass
class _End:
    """The most extreme value of one side, how often it occurs, and the one next to it."""

    value: float = math.inf
    count: int = 0
    beside: float = math.inf

    def update(self, values: NDArray[np.float64]) -> None:
        """Take in a batch, in which small is extreme."""
        low = float(values.min())
        if low < self.value:
            self.beside, self.value, self.count = self.value, low, 0
        same = values == self.value
        self.count += int(same.sum())
        others = values[~same]
        if others.size:
            self.beside = min(self.beside, float(others.min()))


@dataclass
class Ends:
    """Both ends of a column of numbers, batch by batch."""

    low: _End = field(default_factory=_End)
    high: _End = field(default_factory=_End)

    def update(self, values: NDArray[np.float64]) -> None:
        """Take in a batch of finite values."""
        if values.size:
            self.low.update(values)
            self.high.update(-values)

    def suspect(self) -> tuple[float, int] | None:
        """A usual mark for a missing cell that is far from all other values, and how often it occurs.

        Far is further than the others are from each other; or, of a negative number, that no other is
        negative and it is ten times as far from zero as the next.

        >>> ends = Ends()
        >>> ends.update(np.array([-200.0, 0.2, -200.0, 1.5, -200.0, 2.2]))
        >>> ends.suspect()
        (-200.0, 3)
        """
        for end, other, sign in ((self.low, self.high, 1.0), (self.high, self.low, -1.0)):
            value, beside, far = sign * end.value, sign * end.beside, -sign * other.value
            if end.count < _LEAST or value not in _USUAL or not math.isfinite(beside):
                continue
            gap, spread = abs(beside - value), abs(far - beside)
            alone_below = sign > 0 and value < -1 and beside >= 0
            if (gap > spread and abs(value) > 9) or alone_below:
                return value, end.count
        return None


def suspected(columns: Iterable[tuple[str, Ends]], rows: int) -> list[str]:
    """A line for each suspected number, with the columns that hold it."""
    found: dict[float, list[tuple[str, int]]] = {}
    for name, ends in columns:
        suspect = ends.suspect()
        if suspect is not None:
            found.setdefault(suspect[0], []).append((name, suspect[1]))
    notes = []
    for value, columns_of in found.items():
        name, count = max(columns_of, key=lambda pair: pair[1])
        others = f", and {len(columns_of) - 1} other columns hold it" if len(columns_of) > 1 else ""
        notes.append(
            f"{name} holds {value:g} in {count} of {rows} rows, far from the rest{others}; if it means a "
            f"missing cell: --missing {value:g}"
        )
    return notes
