"""Seconds that may be spent, by a clock that can be another than the wall's."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


class Budget:
    """What is left of some seconds.

    Args:
        seconds: in all.
        clock: seconds from any beginning.

    >>> now = iter([0.0, 40.0, 40.0])
    >>> budget = Budget(60, lambda: next(now))
    >>> budget.fits(30), budget.fits(30, share=0.5)
    (False, False)
    """

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._start = clock()

    def spent(self) -> float:
        return self._clock() - self._start

    def left(self, share: float = 1.0) -> float:
        """Seconds left until this share of all of them is spent."""
        return self.seconds * share - self.spent()

    def fits(self, estimate: float, share: float = 1.0) -> bool:
        return estimate <= self.left(share)


class Rehearsed:
    """A clock that stands still until it is told that something took so long."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds
