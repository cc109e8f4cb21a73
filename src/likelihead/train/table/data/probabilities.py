"""Soft targets: a column for each class, which holds the class's probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from likelihead.core.rounding import PRIOR_TOLERANCE
from likelihead.errors import DataError
from likelihead.train.table.data.columns import as_numbers, tidy
from likelihead.train.table.data.hashing import Ints
from likelihead.train.table.data.scan import first_bad_cell
from likelihead.train.table.data.schema import Schema, TargetSchema, Task
from likelihead.train.table.data.sides import Bools
from likelihead.train.table.data.source import row_number, short

if TYPE_CHECKING:
    from likelihead.train.table.data.target import Tally

__all__ = ["PREFIXES", "TOLERANCE", "ProbabilityScan", "class_names", "read_probabilities"]

#: How far from one the probabilities of a row may sum: printed with three decimals, or of float32.
TOLERANCE = PRIOR_TOLERANCE

#: What is taken off the columns' names where all have it; the first is what `likelihead predict` writes.
PREFIXES = ("prob_", "p_")


def class_names(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The classes' names from those of their columns.

    >>> class_names(("prob_cat", "prob_dog")), class_names(("cat", "p_dog"))
    (('cat', 'dog'), ('cat', 'p_dog'))
    """
    for prefix in PREFIXES:
        if all(name.startswith(prefix) and name != prefix for name in columns):
            return tuple(name.removeprefix(prefix) for name in columns)
    return columns


def read_probabilities(
    batch: Any, columns: tuple[str, ...], path: str, first_row: int | Ints
) -> NDArray[np.float64]:
    """The probabilities ``[rows, C]`` of a batch, each row divided by its sum.

    Raises:
        DataError: a cell is missing, no number or negative, or a row does not sum to one.
    """
    values = np.stack([_column(batch, name, path, first_row) for name in columns], axis=1)
    negative = values < 0
    if negative.any():
        row, column = np.argwhere(negative)[0]
        raise DataError(
            f"the probability is {values[row, column]:g}: correct the cell, probabilities are 0 or more",
            path=path,
            row=row_number(first_row, int(row)),
            column=columns[column],
        )
    total = values.sum(axis=1)
    off = ~(np.abs(total - 1) <= TOLERANCE)
    if off.any():
        row = int(np.argmax(off))
        raise DataError(
            f"the probabilities sum to {total[row]:.9g}, not to 1 (within 0.001): correct the row, "
            "or give all classes' columns with --target",
            path=path,
            row=row_number(first_row, row),
            column=", ".join(columns[:3]) + (", ..." if len(columns) > 3 else ""),
        )
    shares: NDArray[np.float64] = values / total[:, None]
    return shares


def _column(batch: Any, name: str, path: str, first_row: int | Ints) -> NDArray[np.float64]:
    array = tidy(batch.column(name))
    gone = array.is_null().to_numpy(zero_copy_only=False)
    if gone.any():
        raise DataError(
            "the probability is missing (empty, NaN or NA): fill it in or leave the row out",
            path=path,
            row=row_number(first_row, int(np.argmax(gone))),
            column=name,
        )
    try:
        return as_numbers(array, "number")
    except pa.ArrowInvalid as error:
        position, text = first_bad_cell(array, "number")
        raise DataError(
            f"{short(text)} is no probability: correct the cell, or take the column out of --target",
            path=path,
            row=row_number(first_row, position),
            column=name,
        ) from error


class ProbabilityScan:
    """Several probability columns, gathered over the whole file; see :class:`TargetScan`."""

    def __init__(self, columns: tuple[str, ...], path: str) -> None:
        self.columns, self.path = columns, path
        self.mass = np.zeros(len(columns))

    def update(
        self, batch: Any, row_numbers: Ints, train: Bools, weights: NDArray[np.float64] | None = None
    ) -> None:
        """Take in a batch.

        Raises:
            DataError: a row that is no distribution.
        """
        values = read_probabilities(batch, self.columns, self.path, row_numbers)
        self.mass += (values if weights is None else values * weights[:, None])[train].sum(axis=0)

    def finish(self, task: str) -> tuple[Task, TargetSchema, str]:
        """The task, the target's schema and the reason for the task."""
        names = class_names(self.columns)
        counts = tuple(float(mass) for mass in self.mass)
        target = TargetSchema("probs", self.columns, "number", names, counts)
        return "multiclass", target, f"the task {task} was asked for; the targets are probabilities"

    def classes(self, task: str) -> dict[str, Tally]:
        """No rows of a class: every row may have a share of each."""
        return {}

    def number_notes(self, schema: Schema) -> list[str]:
        """None: no number is a target."""
        return []

    def constant_labels(self, target: TargetSchema) -> list[str]:
        """None: this is about yes or no."""
        return []
