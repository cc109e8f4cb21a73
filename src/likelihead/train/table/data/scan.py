"""What one column holds, gathered batch by batch over the whole file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from likelihead.errors import DataError
from likelihead.train.table.data.columns import (
    KINDS,
    Kind,
    as_numbers,
    class_key,
    native_kind,
    tidy,
)
from likelihead.train.table.data.hashing import Ints
from likelihead.train.table.data.schema import Column
from likelihead.train.table.data.sentinel import Ends
from likelihead.train.table.data.source import short

__all__ = ["CATEGORY_LIMIT", "ColumnScan", "Moments", "first_bad_cell"]

#: A text column with more distinct values than this in the training rows is not used.
CATEGORY_LIMIT = 64

Bools = NDArray[np.bool_]

# A number as people write it: with a decimal comma, thousands separators or a percent sign as well.
_NUMBER_LIKE = r"^[+-]?\.?[0-9][0-9., ']*([eE][+-]?[0-9]+)?%?$"


@dataclass
class Moments:
    """Count, mean and sum of squared deviations, merged by the rule of Chan, Golub and LeVeque (1979).

    Of weighted values the count is the sum of their weights.
    """

    count: float = 0
    mean: float = 0.0
    squares: float = 0.0

    def update(self, values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> None:
        """Merge a batch of finite values, with positive weights where they have any."""
        if not values.size:
            return
        # An overflow becomes an infinite deviation, which finish() reports.
        with np.errstate(over="ignore", invalid="ignore"):
            size: float = values.size
            if weights is None:
                mean = float(values.mean())
                squares = float(np.square(values - mean).sum())
            else:
                size = float(weights.sum())
                mean = float((weights / size * values).sum())
                squares = float((weights * np.square(values - mean)).sum())
            total = self.count + size
            delta = mean - self.mean
            self.squares += squares + delta * delta * (self.count * size / total)
            self.mean += delta * (size / total)
        self.count = total

    @property
    def std(self) -> float:
        """The standard deviation, divisor n."""
        return math.sqrt(self.squares / self.count) if self.count and self.squares >= 0 else math.nan


def first_bad_cell(array: Any, kind: Kind) -> tuple[int, str]:
    """Position and text of the first cell of a tidy text column that has no such meaning."""
    # Halving finds it with few casts, and by the same rule that refused the column.
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            as_numbers(array.slice(low, middle - low), kind)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low, class_key(array[low].as_py())


@dataclass
class ColumnScan:
    """One column: its surviving meanings, its missing cells, its moments and its categories.

    Moments and categories are the training rows' alone, so that nothing of the test rows leaks into
    the encoding.
    """

    name: str
    meanings: list[Kind] | None = None
    native: bool = False
    missing: int = 0
    missing_train: int = 0
    first_missing: int | None = None
    moments: Moments = field(default_factory=Moments)
    low: float = math.inf
    high: float = -math.inf
    infinite: int | None = None
    refused: dict[Kind, tuple[int, str]] = field(default_factory=dict)
    categories: dict[str, int] | None = field(default_factory=dict)
    texts_train: int = 0
    rows: int = 0
    rows_train: int = 0
    mostly_numbers: bool = False
    counts_rows: bool = True
    first_row: int | None = None
    ends: Ends = field(default_factory=Ends)

    def update(
        self, raw: Any, row_numbers: Ints, train: Bools, weights: NDArray[np.float64] | None = None
    ) -> Any:
        """Take in a batch of the column; returns it tidied."""
        if self.meanings is None:
            native = native_kind(raw.type)
            self.native = native is not None
            self.meanings = list(KINDS) if native is None else [native]
        array = tidy(raw)
        self.rows += len(array)
        if self.first_row is None and len(array):
            self.first_row = int(row_numbers[0])
        self.rows_train += int(train.sum())
        if self.meanings == ["unread"]:
            return array
        self._count_missing(array, row_numbers, train)
        if array.null_count == len(array):
            self.counts_rows = False
            return array
        self._try_meanings(array, row_numbers, train, weights)
        if not self.native:
            self._count_categories(array, train)
        return array

    def _count_missing(self, array: Any, row_numbers: Ints, train: Bools) -> None:
        if not array.null_count:
            return
        gone = array.is_null().to_numpy(zero_copy_only=False)
        if self.first_missing is None:
            self.first_missing = int(row_numbers[int(np.argmax(gone))])
        self.missing += int(gone.sum())
        self.missing_train += int((gone & train).sum())
        self.counts_rows = False

    def _try_meanings(
        self, array: Any, row_numbers: Ints, train: Bools, weights: NDArray[np.float64] | None
    ) -> None:
        values: NDArray[np.float64] | None = None
        for meaning in list(self.meanings or ()):
            try:
                tried = as_numbers(array, meaning)
            except pa.ArrowInvalid:
                position, text = first_bad_cell(array, meaning)
                self.refused[meaning] = (int(row_numbers[position]), text)
                if meaning == "number":
                    alike = pc.match_substring_regex(array, _NUMBER_LIKE)
                    self.mostly_numbers = self.moments.count > 0 or 2 * (pc.sum(alike).as_py() or 0) > len(
                        array
                    )
                (self.meanings or []).remove(meaning)
                continue
            values = tried if values is None else values
        if values is None:
            self.counts_rows = False
            return
        infinite = np.isinf(values)
        if infinite.any():
            if self.infinite is None:
                self.infinite = int(row_numbers[int(np.argmax(infinite))])
            values = np.where(infinite, math.nan, values)
        present = values[~np.isnan(values)]
        if present.size:
            self.low, self.high = min(self.low, float(present.min())), max(self.high, float(present.max()))
        self.ends.update(present)
        chosen = train & ~np.isnan(values)
        self.moments.update(values[chosen], None if weights is None else weights[chosen])
        if self.counts_rows:
            self.counts_rows = bool((values == self.low + (row_numbers - (self.first_row or 1))).all())

    def _count_categories(self, array: Any, train: Bools) -> None:
        chosen = array.filter(pa.array(train)).drop_null()
        self.texts_train += len(chosen)
        if self.categories is None:
            return
        for entry in pc.value_counts(chosen).to_pylist():
            text = entry["values"]
            self.categories[text] = self.categories.get(text, 0) + entry["counts"]
            if len(self.categories) > CATEGORY_LIMIT:
                self.categories = None
                return

    @property
    def kind(self) -> Kind:
        """What the column holds, now that the whole file is read."""
        if self.missing == self.rows or not self.meanings:
            return "text"
        return self.meanings[0]

    def finish(self, path: str) -> Column | str:
        """The feature column, or the reason why it is not used.

        Raises:
            DataError: an infinite cell, or numbers too large to standardise.
        """
        kind = self.kind
        if self.missing == self.rows:
            return "every cell is missing"
        if kind == "unread":
            return "its type is neither number, boolean, date nor text"
        if kind == "text":
            return self._finish_text()
        if self.infinite is not None:
            raise DataError(
                "an infinite value: replace it by a number, or leave the cell empty to have it imputed",
                path=path,
                row=self.infinite,
                column=self.name,
            )
        if self.moments.count == 0:
            return "every cell of the training rows is missing"
        std, mean = self.moments.std, self.moments.mean
        if not math.isfinite(std) or not math.isfinite(mean):
            raise DataError(
                f"values up to {max(abs(self.low), abs(self.high)):g} are too large to standardise: "
                "rescale the column",
                path=path,
                column=self.name,
            )
        if self.low == self.high:
            return f"constant: every value is {self.low:g}"
        # Rounding leaves a deviation near eps * |mean| on equal values; that is no spread.
        if std <= 1e-14 * abs(mean):
            return f"constant in the training rows: every value is {mean:g}"
        if self.counts_rows and self.rows > 2:
            return f"a row counter: it rises by one with each row from {self.low:g}"
        if kind == "boolean":
            return Column(self.name, "boolean", mean=mean)
        return Column(self.name, "date" if kind == "date" else "number", mean=mean, std=std)

    @property
    def blame(self) -> str:
        """Which cell made a column of numbers text; empty where none did."""
        if self.kind != "text" or not self.mostly_numbers:
            return ""
        row, text = self.refused["number"]
        return f"read as text because of {short(text)} in row {row}"

    @property
    def mark(self) -> str:
        """What may stand for a missing number in a column that is text because of it; empty where nothing."""
        text = self.refused["number"][1] if self.blame else ""
        return text if len(text) < 12 and not any(char.isdigit() for char in text) else ""

    def _finish_text(self) -> Column | str:
        blame = f"; {self.blame}" if self.blame else ""
        if self.categories is None:
            return f"text with more than {CATEGORY_LIMIT} distinct values{blame}"
        distinct = len(self.categories)
        if distinct == self.texts_train and distinct > 2:
            return f"text that differs in every row (an id or free text){blame}"
        has_missing = self.missing_train > 0
        if distinct + has_missing <= 1:
            return (
                f"constant: every text is {short(next(iter(self.categories)))}"
                if distinct
                else "no text in the training rows"
            )
        return Column(
            self.name, "category", categories=tuple(sorted(self.categories)), missing_category=has_missing
        )
