"""The shape of an elementwise call: as few dimensions as its tensors' strides allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

__all__ = ["EACH", "NUMBER", "PER_COLUMN", "PER_ROW", "Layout", "lay_out"]

# How a tensor of the call lies over its rows and columns; 0 is one that is absent.
EACH, PER_COLUMN, PER_ROW, NUMBER = 1, 2, 3, 4


@dataclass(frozen=True)
class Layout:
    """Rows and columns, and where each tensor has them.

    Attributes:
        rows, columns: their product is the number of elements.
        sizes: of the dimensions that make up the rows, innermost first.
        strides: for each tensor those of ``sizes``, last that of the columns; None for one that is absent.
        modes: for each tensor, `EACH` to `NUMBER`, or 0 for one that is absent.
    """

    rows: int
    columns: int
    sizes: tuple[int, ...]
    strides: tuple[tuple[int, ...] | None, ...]
    modes: tuple[int, ...]

    @property
    def flat(self) -> bool:
        """Whether the elements lie one after the other in each tensor that has one for each."""
        pairs = zip(self.modes, self.strides, strict=True)
        return not self.sizes and all(mode != EACH or strides == (1,) for mode, strides in pairs)

    @property
    def vectors(self) -> tuple[int, ...]:
        """For each tensor a power of 2 that divides the place of every row; last, one of the columns."""
        columns = _power_of_2(self.columns)
        return (*(_power_of_2(*s[:-1]) if s else 1 for s in self.strides), columns)


def _power_of_2(*numbers: int) -> int:
    """The largest, to 16, that divides them all."""
    return next(v for v in (16, 8, 4, 2, 1) if not any(n % v for n in numbers))


def lay_out(shape: Sequence[int], strides: Sequence[Sequence[int] | None], order: Sequence[int]) -> Layout:
    """Merge the dimensions of a call, sorted as in the tensor with the strides ``order``.

    ``strides`` has an entry for each tensor, expanded to ``shape``: a stride of 0 where it is broadcast.
    """
    dims = sorted((d for d in range(len(shape)) if shape[d] != 1), key=lambda d: -order[d])
    merged: list[tuple[int, list[int | None]]] = []  # size, and stride for each tensor
    for d in dims:
        size, own = shape[d], [None if s is None else s[d] for s in strides]
        if merged and all(n is None or b == n * size for b, n in zip(merged[-1][1], own, strict=True)):
            merged[-1] = (merged[-1][0] * size, own)
        else:
            merged.append((size, own))
    columns, of_columns = merged.pop() if merged else (1, [None if s is None else 1 for s in strides])
    if not merged and any(column not in (None, 0, 1) for column in of_columns):
        merged = [(1, [None if s is None else 0 for s in strides])]  # one row, with gaps
    outer = merged[::-1]
    found: list[tuple[int, ...] | None] = []
    modes: list[int] = []
    for i, column in enumerate(of_columns):
        if column is None:
            found.append(None)
            modes.append(0)
            continue
        of_rows = tuple(own[i] or 0 for _, own in outer)
        found.append((*of_rows, column))
        by_row = any(of_rows)
        if column:
            modes.append(EACH if by_row or not outer else PER_COLUMN)
        else:
            modes.append(PER_ROW if by_row else NUMBER)
    sizes = tuple(size for size, _ in outer)
    return Layout(prod(sizes), columns, sizes, tuple(found), tuple(modes))
