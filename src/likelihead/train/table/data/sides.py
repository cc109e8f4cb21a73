"""Which rows are trained on, which are tested on, and which are held out for calibration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from likelihead.train.table.data.hashing import Ints, in_test, key

__all__ = ["Bools", "Part", "Sides"]

Bools: TypeAlias = NDArray[np.bool_]
Part: TypeAlias = Literal["train", "test", "calibration"]

# Any constant: the held-out rows are chosen by another hash than the test rows.
_CALIBRATION = 0xCA1


@dataclass(frozen=True)
class Sides:
    """The part that each row belongs to, a function of the row's number.

    A row of a thinned set that is neither tested on nor trainable belongs to no part.

    Attributes:
        seed: of both hashes.
        test_fraction: the share of all rows that is tested on.
        calibration_fraction: the share of the other rows that is held out of the training.
        moved: rows whose hash is overruled: a test row or a held-out row is trained on, a training row is
            tested on.
        trainable: the only rows that may be trained on or held out, rising; None for all.

    >>> sides = Sides(0, 0.2, 0.25)
    >>> rows = np.arange(1, 1001)
    >>> [int(sides.of(rows, part).sum()) for part in ("train", "test", "calibration")]
    [597, 214, 189]
    """

    seed: int = 0
    test_fraction: float = 0.2
    calibration_fraction: float = 0.0
    moved: tuple[int, ...] = ()
    trainable: Ints | None = None

    def of(self, rows: Ints, part: Part) -> Bools:
        """Whether each row belongs to a part."""
        test = in_test(rows, self.seed, self.test_fraction)
        held = self._held(rows) & ~test
        out = np.zeros_like(test) if self.trainable is None else ~np.isin(rows, self.trainable) & ~test
        if self.moved:
            moved = np.isin(rows, self.moved)
            test, held, out = (
                np.where(moved, ~(test | held | out), test),
                held & ~moved,
                out & ~moved,
            )
        if part == "test":
            return test
        return held & ~out if part == "calibration" else ~(test | held | out)

    def _held(self, rows: Ints) -> Bools:
        if not self.calibration_fraction:
            return np.zeros(len(rows), dtype=np.bool_)
        return in_test(rows, key(self.seed, _CALIBRATION), self.calibration_fraction)

    def moving(self, rows: tuple[int, ...]) -> Sides:
        """The same with these rows moved."""
        return replace(self, moved=rows)
