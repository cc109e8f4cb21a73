"""A column of weights, one for each row, and the rows that stay when some are left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from likelihead.errors import DataError, OptionError
from likelihead.train.table.data.columns import as_numbers, native_kind, tidy
from likelihead.train.table.data.encode import without_target
from likelihead.train.table.data.hashing import Ints
from likelihead.train.table.data.scan import first_bad_cell
from likelihead.train.table.data.source import Source, nearest, row_number, short

__all__ = [
    "Total",
    "WithoutColumn",
    "check_weight_column",
    "kept_rows",
    "read_weights",
]

# Sums, squares and ratios of weights within these are finite.
_LOWEST, _HIGHEST = 1e-100, 1e100
_REMEDY = "a weight is 0 (the row is left out) or a positive number"


class WithoutColumn:
    """A source as if it lacked a column: the one of the weights is no target by default, and no feature."""

    def __init__(self, source: Source, column: str) -> None:
        self.source, self.column = source, column
        self.path, self.default_target = source.path, source.default_target
        self.names = [name for name in source.names if name != column]

    def batches(self, columns: Collection[str] | None = None) -> Iterator[Any]:
        """Record batches of the named columns, or of all others."""
        return self.source.batches(self.names if columns is None else columns)


@dataclass
class Total:
    """The weights of some rows, summed.

    Attributes:
        rows: how many there are.
        weight: the sum of their weights.
        squares: the sum of the squares.

    >>> total = Total()
    >>> total.add(np.array([1.0, 3.0]))
    >>> total.rows, total.weight, total.effective
    (2, 4.0, 1.6)
    """

    rows: int = 0
    weight: float = 0.0
    squares: float = 0.0

    def add(self, weights: NDArray[np.float64]) -> None:
        """Take in a batch."""
        self.rows += len(weights)
        self.weight += float(weights.sum())
        self.squares += float(np.square(weights).sum())

    @property
    def effective(self) -> float:
        r"""The effective sample size, :math:`(\sum w)^2 / \sum w^2`, after Kish (1965): 0 of no row.

        As many rows of equal weight would leave a mean as uncertain.
        """
        return self.weight * (self.weight / self.squares) if self.squares else 0.0


def check_weight_column(source: Source, column: str, target: str | Sequence[str] | None) -> None:
    """Refuse a column of weights that is not there, or is the target.

    Raises:
        DataError: there is no such column.
        OptionError: it is named as the target as well.
    """
    if not column:
        return
    if column not in source.names:
        raise DataError(
            f"no column {column!r} of weights (--sample-weight): {nearest(column, source.names)}",
            path=source.path,
        )
    asked = [target] if isinstance(target, str) else list(target or [source.default_target or ""])
    named = [part.strip() for name in asked for part in ([name] if name in source.names else name.split(","))]
    if column in named:
        raise OptionError(
            f"--sample-weight and --target both name the column {column!r}; a weight is no target"
        )


def read_weights(batch: Any, column: str, path: str, first_row: int | Ints) -> NDArray[np.float64]:
    """The weights ``[rows]`` of a batch.

    Raises:
        DataError: a cell is missing, no number, negative, infinite, or too large or small to sum.
    """
    array = tidy(batch.column(column))
    gone = array.is_null().to_numpy(zero_copy_only=False)
    if gone.any():
        raise DataError(
            f"the weight is missing (empty, NaN or NA): fill it in; {_REMEDY}",
            path=path,
            row=row_number(first_row, int(np.argmax(gone))),
            column=column,
        )
    try:
        values = as_numbers(array, "number")
    except pa.ArrowInvalid as error:
        if native_kind(array.type) is not None:
            raise DataError(
                f"the column holds values of type {array.type}, no weights: {_REMEDY}",
                path=path,
                column=column,
            ) from error
        position, text = first_bad_cell(array, "number")
        raise DataError(
            f"{short(text)} is no weight: {_REMEDY}",
            path=path,
            row=row_number(first_row, position),
            column=column,
        ) from error
    wrong = ~((values == 0) | ((values >= _LOWEST) & (values <= _HIGHEST)))
    if wrong.any():
        position = int(np.argmax(wrong))
        value = values[position]
        allowed = _REMEDY if value < 0 or np.isinf(value) else f"{_REMEDY} from {_LOWEST:g} to {_HIGHEST:g}"
        raise DataError(
            f"the weight is {value:g}: {allowed}",
            path=path,
            row=row_number(first_row, position),
            column=column,
        )
    return values


def kept_rows(
    batch: Any, rows: Ints, target: Sequence[str], weight: str, path: str
) -> tuple[Any, Ints, NDArray[np.float64] | None, int]:
    """The rows of a batch that have a target and weigh something, with their numbers and weights.

    Of a row without a target the weight is not read, and of a row of weight 0 nothing else.

    Args:
        batch: the rows.
        rows: their numbers.
        target: the target's columns; none where a row may lack it.
        weight: the column of weights; empty where each row counts once.
        path: what messages call the file.

    Returns:
        The rows, their numbers, their weights or None, and how many had no target.
    """
    gone = without_target(batch, target)
    if gone.any():
        batch, rows = batch.filter(pa.array(~gone)), rows[~gone]
    lacking = int(gone.sum())
    if not weight:
        return batch, rows, None, lacking
    weights = read_weights(batch, weight, path, rows)
    kept = weights > 0
    if kept.all():
        return batch, rows, weights, lacking
    return batch.filter(pa.array(kept)), rows[kept], weights[kept], lacking
