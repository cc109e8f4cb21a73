"""What the target holds, and which task it makes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np

from likelihead.errors import DataError
from likelihead.train.option import TASKS
from likelihead.train.table.data.bundled import BUNDLED
from likelihead.train.table.data.columns import as_numbers, canonical, class_key, is_number
from likelihead.train.table.data.encode import Floats, label_error, missing_target, split_set
from likelihead.train.table.data.hashing import Ints
from likelihead.train.table.data.numbers import Spread
from likelihead.train.table.data.scan import Bools, ColumnScan
from likelihead.train.table.data.schema import COUNTS, EXCLUSIVE, Schema, TargetSchema, Task
from likelihead.train.table.data.source import nearest, short

__all__ = ["AUTO_CLASSES", "CLASS_LIMIT", "TargetScan"]

#: More distinct values than this are no classes, whatever the task is called.
CLASS_LIMIT = 10_000
#: A numeric target with at most this many distinct whole values is taken for classes.
AUTO_CLASSES = 20

# Their scale is taken from the quartiles.
_ROBUST = ("robust-regression", "quantile")
# From this ratio of the variance to the mean on, counts are called wide.
_WIDE = 1.5

_Values = Literal["number", "boolean", "text"]


@dataclass
class Tally:
    """How often a class or label occurs, where first, and where last in the training rows.

    ``weight`` is what its training rows weigh: each 1 without a column of weights.
    """

    rows: int = 0
    train: int = 0
    first: int = 0
    last: int = 0
    weight: float = 0

    def add(self, row_numbers: Ints, train: Bools, weights: Floats | None = None) -> None:
        """Count the rows of a batch that have it."""
        self.first = self.first or int(row_numbers[0])
        if train.any():
            self.last = int(row_numbers[train][-1])
        self.rows += len(row_numbers)
        self.train += int(train.sum())
        self.weight += int(train.sum()) if weights is None else float(weights[train].sum())

    def merge(self, other: Tally) -> None:
        """Count another spelling's rows as well."""
        self.first, self.last = min(self.first or other.first, other.first), max(self.last, other.last)
        self.rows += other.rows
        self.train += other.train
        self.weight += other.weight


@dataclass
class TargetScan:
    """One target column, or several 0/1 columns, gathered over the whole file."""

    columns: tuple[str, ...]
    path: str
    task: str = "auto"
    order: tuple[str, ...] = ()
    rows: int = 0
    scans: dict[str, ColumnScan] = field(default_factory=dict)
    tallies: dict[str, Tally] | None = field(default_factory=dict)
    labels: dict[str, Tally] | None = field(default_factory=dict)
    positives: dict[str, Tally] = field(default_factory=dict)
    outside: tuple[int, str, str] | None = None
    has_sets: bool = False
    train_weight: float = 0
    spread: Spread = field(default_factory=Spread)

    def __post_init__(self) -> None:
        self.scans = {name: ColumnScan(name) for name in self.columns}
        self.positives = {name: Tally() for name in self.columns}

    def update(self, batch: Any, row_numbers: Ints, train: Bools, weights: Floats | None = None) -> None:
        """Take in a batch.

        Raises:
            DataError: a row without a target, or a target that is no number, truth value, text or date.
        """
        self.rows += batch.num_rows
        self.train_weight += int(train.sum()) if weights is None else float(weights[train].sum())
        for name in self.columns:
            scan = self.scans[name]
            array = scan.update(batch.column(name), row_numbers, train, weights)
            if scan.meanings == ["unread"]:
                raise DataError(
                    f"a target of type {array.type} cannot be read: use numbers, true and false, or text",
                    path=self.path,
                    column=name,
                )
            if scan.first_missing is not None:
                sets = self.has_sets or any(";" in class_key(cell) for cell in array.drop_null().to_pylist())
                raise missing_target(self.path, scan.first_missing, name, sets=sets)
            if scan.infinite is not None and "number" in (scan.meanings or ()):
                raise DataError(
                    "the target is infinite: correct the cell or leave the row out",
                    path=self.path,
                    row=scan.infinite,
                    column=name,
                )
            if self.task in _ROBUST and "number" in (scan.meanings or ()):
                values = as_numbers(array, "number")[train]
                self.spread.update(values, None if weights is None else weights[train])
            self._tally(name, array, row_numbers, train, weights)

    def _tally(self, name: str, array: Any, row_numbers: Ints, train: Bools, weights: Floats | None) -> None:
        if self.tallies is None and self.labels is None and len(self.columns) == 1:
            return
        encoded = array.dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
        for code, value in enumerate(encoded.dictionary.to_pylist()):
            text, chosen = class_key(value), order[bounds[code] : bounds[code + 1]]
            rows, in_train = row_numbers[chosen], train[chosen]
            weigh = None if weights is None else weights[chosen]
            if len(self.columns) > 1:
                self._tally_label_column(name, text, rows, in_train, weigh)
                continue
            self.has_sets = self.has_sets or ";" in text
            if self.tallies is not None:
                self.tallies.setdefault(text, Tally()).add(rows, in_train, weigh)
                self.tallies = None if len(self.tallies) > CLASS_LIMIT else self.tallies
            if self.labels is not None:
                for label in dict.fromkeys(split_set(text)):
                    self.labels.setdefault(label, Tally()).add(rows, in_train, weigh)
                self.labels = None if len(self.labels) > CLASS_LIMIT else self.labels
            if self.tallies is None and self.labels is None:
                return

    def _tally_label_column(
        self, name: str, text: str, rows: Ints, train: Bools, weights: Floats | None
    ) -> None:
        value = {"true": "1", "false": "0"}.get(text.lower(), text)
        value = canonical(value, "number")
        if value == "1":
            self.positives[name].add(rows, train, weights)
        elif value != "0" and (self.outside is None or int(rows[0]) < self.outside[0]):
            self.outside = (int(rows[0]), name, text)

    def finish(self, task: str) -> tuple[Task, TargetSchema, str]:
        """The task, the target's schema and the reason for the task.

        Raises:
            DataError: the target does not fit the task, or fits none.
        """
        if len(self.columns) > 1:
            return self._finish_label_columns(task)
        scan = self.scans[self.columns[0]]
        if task == "auto":
            chosen, reason = self._infer(scan)
        else:
            chosen, reason = task, f"the task {task} was asked for"
        if chosen in ("regression", *_ROBUST, *COUNTS):
            return cast("Task", chosen), self._number(scan, chosen), reason
        if chosen == "multilabel":
            return "multilabel", self._sets(scan), reason
        return self._classes(chosen, scan, reason)

    def _fail(self, message: str, *, row: int | None = None, column: str | None = None) -> DataError:
        return DataError(message, path=self.path, row=row, column=column or self.columns[0])

    def _infer(self, scan: ColumnScan) -> tuple[str, str]:
        if scan.kind == "boolean":
            return "binary", "binary: the target is true or false"
        if self.has_sets:
            return "multilabel", "multilabel: the target's cells are sets a;b;c"
        if scan.kind == "number":
            distinct = self._merged(scan)
            whole = distinct is not None and all(_is_whole(name) for name in distinct)
            if distinct is not None and len(distinct) == 2 and whole:
                return "binary", "binary: the target has two whole values"
            if distinct is not None and whole and len(distinct) <= min(AUTO_CLASSES, max(2, self.rows // 2)):
                return "multiclass", _whole_values(distinct, self.path)
            return "regression", _many_values(distinct if whole else None)
        distinct = self._merged(scan)
        if distinct is not None and len(distinct) == 2:
            return "binary", "binary: the target has two texts"
        blame = f", {scan.blame}" if scan.blame else ""
        return "multiclass", f"multiclass: the target is text{blame}"

    def _values(self, scan: ColumnScan) -> _Values:
        if scan.kind == "number":
            return "number"
        return "boolean" if scan.kind == "boolean" else "text"

    def _merged(self, scan: ColumnScan) -> dict[str, Tally] | None:
        return None if self.tallies is None else _merge(self.tallies, self._values(scan))

    def _number(self, scan: ColumnScan, task: str) -> TargetSchema:
        if scan.kind != "number":
            if scan.kind == "boolean":
                raise self._fail("the target is true or false, no number to regress on: use --task binary")
            row, text = scan.refused.get("number", (None, "a date"))
            raise self._fail(
                f"{short(text)} is no number to regress on: correct the cell, or use --task multiclass",
                row=row,
            )
        mean, std = scan.moments.mean, scan.moments.std
        if scan.low == scan.high:
            raise self._fail(
                f"every row has the target {scan.low:g}: there is nothing to learn, check --target"
            )
        if not np.isfinite(std):
            raise self._fail(
                f"targets up to {max(abs(scan.low), abs(scan.high)):g} are too large: rescale them"
            )
        if task in COUNTS:
            return TargetSchema("number", self.columns, "number")
        if task in _ROBUST:
            middle, deviation = self.spread.scale()
            # More than half of the rows may share one value.
            mean, std = middle, deviation or std
        # Training rows that all share one value still need a scale.
        if std <= 1e-14 * abs(mean):
            std = 1.0
        return TargetSchema("number", self.columns, "number", mean=mean, std=std)

    def _classes(self, task: str, scan: ColumnScan, reason: str) -> tuple[Task, TargetSchema, str]:
        values = self._values(scan)
        merged = self._merged(scan)
        lonely = [name for name, tally in (merged or {}).items() if tally.rows == 1]
        if scan.blame and (merged is None or lonely):
            row, text = scan.refused["number"]
            raise self._fail(
                f"{short(text)} is no number, as the target's other cells are: correct the cell", row=row
            )
        if merged is None:
            hint = "use --task regression" if values == "number" else "name a column of classes with --target"
            raise self._fail(f"more than {CLASS_LIMIT} distinct values are no classes: {hint}")
        names = self._ordered(merged, values) if task == "ordinal" else _in_order(merged)
        if len(names) == 1:
            raise self._fail(
                f"one class only ({short(names[0])}): there is nothing to tell apart, check --target"
            )
        if task == "binary" and len(names) != 2:
            shown = ", ".join(map(short, names[:6])) + (", ..." if len(names) > 6 else "")
            raise self._fail(
                f"a binary target has two classes, this one {len(names)} ({shown}): use --task multiclass"
            )
        fractional = [name for name in names if values == "number" and not _is_whole(name)]
        if fractional and len(names) > AUTO_CLASSES:
            first = min(fractional, key=lambda name: merged[name].first)
            raise self._fail(
                f"{len(names)} distinct numbers, fractional ones among them ({first}), are no classes: "
                "use --task regression",
                row=merged[first].first,
            )
        if len(lonely) == len(names) and len(names) > 2:
            raise self._fail(
                f"each of the {len(names)} rows has a class of its own: this is an id or free text, "
                "name the column of classes with --target"
            )
        if lonely:
            raise self._fail(
                f"the class {short(lonely[0])} has one row only, which cannot be both trained on and tested: "
                "add rows of it, leave it out or merge it with another class",
                row=merged[lonely[0]].first,
            )
        target = TargetSchema(
            "classes", self.columns, values, tuple(names), tuple(merged[name].weight for name in names)
        )
        return cast("Task", task if task in EXCLUSIVE else "multiclass"), target, reason

    def _ordered(self, merged: dict[str, Tally], values: _Values) -> list[str]:
        """The classes of an ordinal task from the lowest to the highest."""
        if not self.order:
            if values == "number" or len(merged) == 1:
                return _in_order(merged)
            shown = ",".join(sorted(merged)[:6]) + (",..." if len(merged) > 6 else "")
            raise self._fail(
                f"the classes are texts, of which --task ordinal needs the order: give --order, as in "
                f"--order {shown} from the lowest to the highest"
            )
        order = [canonical(name, values) for name in self.order]
        for name, tally in merged.items():
            if name not in order:
                raise self._fail(
                    f"the class {short(name)} is not in --order {','.join(self.order)}: name every class",
                    row=tally.first,
                )
        for name in order:
            if name not in merged:
                raise self._fail(
                    f"no row has the class {short(name)} of --order: {nearest(name, merged, 'there are')}"
                )
        return order

    def number_notes(self, schema: Schema) -> list[str]:
        """How the target is scaled, or how counts are spread."""
        target, moments = schema.target, self.scans[self.columns[0]].moments
        if schema.task not in COUNTS:
            what = "median" if schema.task in _ROBUST else "mean"
            by = ", by the quartiles" if schema.task in _ROBUST else ""
            scale = f"{what} {target.mean:g}, deviation {target.std:g}{by}"
            return [f"the target is standardised in training: {scale}"]
        ratio = moments.std**2 / moments.mean if moments.mean else math.nan
        more = ""
        if schema.task == "count" and ratio > _WIDE:
            more = "; where the features do not explain that, --task overdispersed-count is the better model"
        return [
            f"the counts have the mean {moments.mean:g} in the training rows, and a variance of {ratio:.3g} "
            f"times that{more}"
        ]

    def _sets(self, scan: ColumnScan) -> TargetSchema:
        values: _Values = "text"
        if scan.kind in ("number", "boolean") and not self.has_sets:
            return self._one_label_column(scan)
        if self.labels is None:
            raise self._fail(f"more than {CLASS_LIMIT} distinct labels: name another column with --target")
        if all(is_number(label) for label in self.labels):
            values = "number"
        merged = _merge(self.labels, values)
        names = _in_order(merged)
        self._refuse_constant({name: merged[name] for name in names})
        return TargetSchema(
            "sets", self.columns, values, tuple(names), tuple(merged[name].weight for name in names)
        )

    def _one_label_column(self, scan: ColumnScan) -> TargetSchema:
        name = self.columns[0]
        tally = Tally()
        for text, found in (self.tallies or {}).items():
            value = canonical({"true": "1", "false": "0"}.get(text.lower(), text), "number")
            if value == "1":
                tally.merge(found)
            elif value != "0":
                raise label_error(text, self.path, found.first, name)
        if self.tallies is None:
            raise self._fail(
                f"more than {CLASS_LIMIT} distinct values where a label is 0 or 1: use --task regression"
            )
        self._refuse_constant({name: tally})
        return TargetSchema("labels", self.columns, "number", self.columns, (tally.weight,))

    def _finish_label_columns(self, task: str) -> tuple[Task, TargetSchema, str]:
        if task not in ("auto", "multilabel"):
            raise self._fail(
                f"{len(self.columns)} target columns make a multilabel task, not {task}: "
                "name one column with --target, or use --task multilabel",
                column=", ".join(self.columns),
            )
        if self.outside is not None:
            row, name, text = self.outside
            raise label_error(text, self.path, row, name, hint=_probability_hint(task, text))
        self._refuse_constant(self.positives)
        counts = tuple(self.positives[name].weight for name in self.columns)
        target = TargetSchema("labels", self.columns, "number", self.columns, counts)
        return "multilabel", target, f"multilabel: {len(self.columns)} target columns"

    def _refuse_constant(self, labels: dict[str, Tally]) -> None:
        if all(tally.rows in (0, self.rows) for tally in labels.values()):
            raise self._fail("no label differs between the rows: there is nothing to learn, check --target")

    def classes(self, task: str) -> dict[str, Tally]:
        """The rows of each class; empty where the task has none."""
        if len(self.columns) > 1:
            return {}
        scan = self.scans[self.columns[0]]
        chosen = self._infer(scan)[0] if task == "auto" else task
        return (self._merged(scan) or {}) if chosen in EXCLUSIVE else {}

    def constant_labels(self, target: TargetSchema) -> list[str]:
        """The labels that every training row has, or none."""
        return [
            name
            for name, count in zip(target.names, target.counts, strict=True)
            if not count or math.isclose(count, self.train_weight, rel_tol=1e-12)
        ]


def _many_values(whole: dict[str, Tally] | None) -> str:
    """The reason for a regression, and what else whole numbers may be."""
    said = "regression: the target is a number with many or fractional values"
    if whole is None or min(int(name) for name in whole) < 0:
        return said
    return f"{said}; all are whole, 0 or more: if they count something, the other reading is --task count"


def _whole_values(distinct: dict[str, Tally], path: str) -> str:
    """The reason for classes, and what else grades and counts may be."""
    said = f"multiclass: the target has {len(distinct)} whole values"
    numbers = sorted(int(name) for name in distinct)
    if len(numbers) < 3 or path in BUNDLED:
        return said
    other = " or --task ordinal" if "ordinal" in TASKS else ""
    return (
        f"{said}, {numbers[0]} to {numbers[-1]}; if they are grades or counts, more or less of one thing, "
        f"the other reading is --task regression{other}"
    )


def _merge(tallies: dict[str, Tally], values: str) -> dict[str, Tally]:
    merged: dict[str, Tally] = {}
    for text, tally in tallies.items():
        merged.setdefault(canonical(text, values), Tally()).merge(tally)
    return merged


def _probability_hint(task: str, text: str) -> str:
    share = task == "auto" and is_number(text) and 0 < float(text) < 1
    return "; the probabilities of classes take --task multiclass" if share else ""


def _is_whole(name: str) -> bool:
    return name.lstrip("+-").isdigit()


def _in_order(names: dict[str, Tally]) -> list[str]:
    """Numeric names by value, others by code point."""
    if all(is_number(name) for name in names):
        return sorted(names, key=lambda name: (float(name), name))
    return sorted(names)
