"""From a name on the command line to a data set: open, look through, split, encode."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from likelihead.errors import DataError, OptionError
from likelihead.train.data.dataset import Dataset, Split
from likelihead.train.data.encode import Encoder
from likelihead.train.data.hashing import Ints, in_test
from likelihead.train.data.opening import open_source
from likelihead.train.data.scan import Bools, ColumnScan
from likelihead.train.data.schema import Column, Schema
from likelihead.train.data.source import Source, nearest
from likelihead.train.data.stream import Block
from likelihead.train.data.target import TargetScan, Tally

__all__ = ["MEMORY_FLOOR", "load", "load_for_schema"]

#: The least memory budget: a few blocks of a file have to fit.
MEMORY_FLOOR = 1 << 20

_TASKS = ("auto", "binary", "multiclass", "multilabel", "regression")
_TARGET_NAMES = ("target", "label", "class", "y")


def load(
    source: str,
    *,
    target: str | Sequence[str] | None = None,
    task: str = "auto",
    memory: int = 1 << 30,
    seed: int = 0,
    test_fraction: float = 0.2,
) -> Dataset:
    """A data set to train on.

    The file is read once to find types, categories, classes and the training rows' statistics, and once
    more to encode it. If the encoded rows (float64) take more than half of ``memory``, they are not held:
    every epoch reads the file again, in a buffer of an eighth of ``memory``.

    Args:
        source: ``iris``, ``digits``, ``wine``, ``breast-cancer``, or a CSV, Parquet or JSON-lines file.
        target: the target's column, or several, also as ``"a,b"``; by default the column named ``target``,
            ``label``, ``class`` or ``y``, otherwise the last one.
        task: ``auto``, ``binary``, ``multiclass``, ``multilabel`` or ``regression``.
        memory: bytes for the rows.
        seed: of the split: row ``r`` is a test row if its hash under the seed is below ``test_fraction``.
        test_fraction: the expected part of the test rows, in [0, 1).

    Raises:
        DataError: the file cannot be read, or does not hold what was asked for.
        OptionError: an option outside its range.

    >>> load("iris").describe()
    'iris: 150 rows (123 to train on, 27 to test), 4 features, multiclass of 3 classes, held in memory'
    """
    _check_options(task, memory, test_fraction)
    opened = open_source(source)
    columns, notes = _choose_target(opened, target)
    survey = _Survey(opened, columns, seed, test_fraction, ())
    schema = survey.schema(task)
    moved = survey.rows_to_move(schema)
    if moved:
        survey = _Survey(opened, columns, seed, test_fraction, moved)
        schema = survey.schema(task)
    notes += survey.notes(schema)
    encoder = Encoder(schema, opened.path)
    splits = _splits(opened, encoder, survey.rows, memory, need_target=True)
    notes += _moved_notes(schema, splits)
    return Dataset(opened.path, schema, *splits, opened, notes)


def load_for_schema(source: str, schema: Schema, *, need_target: bool, memory: int = 1 << 30) -> Dataset:
    """A file read by the schema of a trained model; all of its rows are in ``test`` and ``all``.

    The whole file is read and checked before this returns. Columns that the schema does not know are
    ignored, with a note; a category that training did not have is encoded as none of the known ones.

    Args:
        source: as for :func:`load`.
        schema: the trained model's.
        need_target: whether the target is read as well, for evaluating.
        memory: as for :func:`load`.

    Raises:
        DataError: a column is missing, a cell cannot be read as in training, or (with ``need_target``) a
            class was not in the training data.
    """
    _check_options("auto", memory, 0.0)
    opened = open_source(source)
    _check_columns(opened, schema, need_target)
    rows = sum(batch.num_rows for batch in opened.batches(_used_columns(schema, need_target)[:1]))
    encoder = Encoder(schema, opened.path)
    _, test, everything = _splits(opened, encoder, rows, memory, need_target=need_target, only_test=True)
    if not everything.in_memory:
        for _ in _blocks(opened, encoder, "all", need_target):
            pass
    empty = Split("train", 0, blocks=lambda: iter(()), window=2)
    known = {column.name for column in schema.columns} | set(schema.target.columns)
    known |= {name for name, _ in schema.dropped}
    notes = _encoding_notes(encoder)
    extra = [name for name in opened.names if name not in known]
    if extra:
        notes.append(f"ignored, as the model was not trained on it: {_listed(extra)}")
    return Dataset(opened.path, schema, empty, test, everything, opened, notes)


def _check_options(task: str, memory: int, test_fraction: float) -> None:
    if task not in _TASKS:
        raise OptionError(f"task is {task!r}: give one of {', '.join(_TASKS)}")
    if memory < MEMORY_FLOOR:
        raise OptionError(f"memory is {memory} bytes: give at least {MEMORY_FLOOR} (1 MiB)")
    if not 0.0 <= test_fraction < 1.0:
        raise OptionError(f"test_fraction is {test_fraction}: give a number of 0 or more, below 1")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _choose_target(source: Source, asked: str | Sequence[str] | None) -> tuple[tuple[str, ...], list[str]]:
    if asked is not None:
        # A name with a comma in it is taken as it stands where the file has it.
        whole = [asked] if isinstance(asked, str) else list(asked)
        names = [
            part
            for name in whole
            for part in ([name] if name in source.names else [piece.strip() for piece in name.split(",")])
            if part
        ]
        if not names:
            raise OptionError("target is empty: name the target's column")
        for name in names:
            if name not in source.names:
                raise DataError(f"no target column {name!r}: {nearest(name, source.names)}", path=source.path)
        repeated = [name for index, name in enumerate(names) if name in names[:index]]
        if repeated:
            raise OptionError(f"target names {repeated[0]!r} twice: name each column once")
        chosen, note = tuple(names), []
    elif source.default_target is not None:
        chosen, note = (source.default_target,), []
    else:
        by_name = [name for wanted in _TARGET_NAMES for name in source.names if name.lower() == wanted]
        chosen = (by_name[0] if by_name else source.names[-1],)
        why = "by its name" if by_name else "the last column; choose another with --target"
        note = [f"target: {chosen[0]} ({why})"]
    if len(source.names) == len(chosen):
        raise DataError(
            f"no column is left for features beside the target ({_listed(chosen)}): add columns, or check --target",
            path=source.path,
        )
    return chosen, note


def _check_columns(source: Source, schema: Schema, need_target: bool) -> None:
    for column in schema.columns:
        if column.name not in source.names:
            raise DataError(
                f"column {column.name!r}, which the model was trained on, is missing: "
                f"{nearest(column.name, source.names)}",
                path=source.path,
            )
    for name in schema.target.columns if need_target else ():
        if name not in source.names:
            raise DataError(
                f"target column {name!r} is missing: {nearest(name, source.names)}; "
                "without a target use `likelihead predict`",
                path=source.path,
            )


def _used_columns(schema: Schema, need_target: bool) -> list[str]:
    return [column.name for column in schema.columns] + (list(schema.target.columns) if need_target else [])


class _Survey:
    """The pass that finds out what the file holds."""

    def __init__(
        self, source: Source, target: tuple[str, ...], seed: int, fraction: float, moved: tuple[int, ...]
    ) -> None:
        self.source, self.seed, self.fraction, self.moved = source, seed, fraction, moved
        self.columns = [ColumnScan(name) for name in source.names if name not in target]
        self.target = TargetScan(target, source.path)
        self.rows = self.train_rows = 0
        for batch in source.batches():
            numbers = np.arange(self.rows + 1, self.rows + 1 + batch.num_rows, dtype=np.int64)
            train = ~_is_test(numbers, seed, fraction, moved)
            self.target.update(batch, numbers, train)
            for column in self.columns:
                column.update(batch.column(column.name), numbers, train)
            self.rows += batch.num_rows
            self.train_rows += int(train.sum())
        if self.rows < 2:
            raise DataError(
                "the file has one row only: give at least two"
                if self.rows
                else "the file has no rows, only column names: add rows below the header",
                path=source.path,
            )

    def schema(self, task: str) -> Schema:
        """The schema, and the reason for the task in ``self.reason``."""
        chosen, target, self.reason = self.target.finish(task)
        columns: list[Column] = []
        dropped: list[tuple[str, str]] = []
        for scan in self.columns:
            found = scan.finish(self.source.path)
            if isinstance(found, Column):
                columns.append(found)
            else:
                dropped.append((scan.name, found))
        if not columns:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in dropped[:4])
            raise DataError(f"no column can be used as a feature ({reasons}): check the file", path=self.source.path)
        return Schema(
            chosen,
            tuple(columns),
            target,
            tuple(dropped),
            self.seed,
            self.fraction,
            self.moved,
            self.train_rows,
        )

    def rows_to_move(self, schema: Schema) -> tuple[int, ...]:
        """Rows whose side the hash gets wrong: no class without a training row, no side without a row."""
        if self.moved:
            return ()
        tallies = self.target.tally(schema.target)
        moved = [tally.first for tally in tallies.values() if tally.train == 0]
        train_rows = self.train_rows + len(moved)
        if train_rows == 0:
            moved.append(1)
        elif train_rows == self.rows and self.fraction > 0:
            # The last row of the largest class: no class loses its only training row by it.
            largest: Tally | None = max(tallies.values(), key=lambda tally: tally.rows, default=None)
            row = self.rows if largest is None else largest.last
            moved = [other for other in moved if other != row] if row in moved else [*moved, row]
        return tuple(sorted(moved))

    def notes(self, schema: Schema) -> list[str]:
        """What was inferred, imputed and left out."""
        notes = [f"task: {self.reason}"]
        target = schema.target
        if schema.task == "binary":
            notes.append(f"the positive class is {target.names[1]!r} (of {', '.join(map(repr, target.names))})")
        if schema.task == "multilabel":
            constant = self.target.constant_labels(target)
            if constant:
                notes.append(f"labels that never change in the training rows: {_listed(constant)}")
        if schema.task == "regression":
            notes.append(f"the target is standardised in training: mean {target.mean:g}, deviation {target.std:g}")
        kinds = {column.name: column for column in schema.columns}
        for scan in self.columns:
            column = kinds.get(scan.name)
            if column is not None and scan.missing:
                notes.append(_imputed(column, scan.missing))
            if column is not None and column.kind == "category" and scan.refused.get("number"):
                row, text = scan.refused["number"]
                if scan.moments.count:
                    notes.append(f"{scan.name}: read as text because of {text!r} in row {row}")
        notes += [f"{name}: not used ({reason})" for name, reason in schema.dropped]
        return notes


def _imputed(column: Column, count: int) -> str:
    cells = f"{column.name}: {count} missing {'cell' if count == 1 else 'cells'}"
    if column.kind == "category":
        return f"{cells}, encoded as {'a category of its own' if column.missing_category else 'no category'}"
    return f"{cells}, replaced by the training mean {column.mean:g}"


def _encoding_notes(encoder: Encoder) -> list[str]:
    columns = {column.name: column for column in encoder.schema.columns}
    notes = [_imputed(columns[name], count) for name, count in encoder.missing.items() if count]
    notes += [
        f"{name}: {count} {'cell' if count == 1 else 'cells'} with a text that training did not have, "
        "encoded as no category"
        for name, count in encoder.unknown.items()
        if count
    ]
    return notes


def _moved_notes(schema: Schema, splits: tuple[Split, Split, Split]) -> list[str]:
    train, test, _ = splits
    notes = []
    if schema.moved:
        rows = _listed([str(row) for row in schema.moved])
        notes.append(f"rows moved between training and test so that neither lacks a class or is empty: {rows}")
    if len(test) and len(test) < 20:
        notes.append(f"only {len(test)} test rows: the test figures are rough")
    return notes


def _is_test(numbers: Ints, seed: int, fraction: float, moved: tuple[int, ...]) -> Bools:
    test = in_test(numbers, seed, fraction)
    return test ^ np.isin(numbers, moved) if moved else test


def _blocks(source: Source, encoder: Encoder, part: str, need_target: bool) -> Iterator[Block]:
    schema, first = encoder.schema, 1
    for batch in source.batches(_used_columns(schema, need_target)):
        rows = np.arange(first, first + batch.num_rows, dtype=np.int64)
        block = Block(
            rows, encoder.features(batch, first), encoder.target(batch, first) if need_target else None
        )
        first += batch.num_rows
        if part == "all":
            yield block
            continue
        test = _is_test(rows, schema.seed, schema.test_fraction, schema.moved)
        yield block.take(test if part == "test" else ~test)


def _splits(
    source: Source, encoder: Encoder, rows: int, memory: int, *, need_target: bool, only_test: bool = False
) -> tuple[Split, Split, Split]:
    schema = encoder.schema
    outputs = (len(schema.labels) or 1) if need_target else 0
    row_bytes = 8 * (schema.num_features + outputs + 1)
    window = max(2, memory // 8 // row_bytes)
    held = _hold(_blocks(source, encoder, "all", need_target), rows) if rows * row_bytes <= memory // 2 else None
    numbers = np.arange(1, rows + 1, dtype=np.int64) if held is not None or not only_test else None

    def split(name: str, size: int, index: Ints | None) -> Split:
        part = "all" if only_test else name
        return Split(
            name,
            size,
            blocks=lambda: _blocks(source, Encoder(schema, source.path), part, need_target),
            window=window,
            held=held,
            index=index,
        )

    everything = split("all", rows, None)
    if only_test:
        return everything, split("test", rows, None), everything
    test_index, train_index, test_size = None, None, 0
    if held is not None and numbers is not None:
        test = _is_test(numbers, schema.seed, schema.test_fraction, schema.moved)
        test_index, train_index = np.flatnonzero(test), np.flatnonzero(~test)
    test_size = rows - schema.train_rows
    return split("train", schema.train_rows, train_index), split("test", test_size, test_index), everything


def _hold(blocks: Iterator[Block], rows: int) -> Block:
    """All blocks in arrays that are made once, at their full size."""
    first = next(blocks, None)
    if first is None:
        empty: Any = np.zeros((0, 0))
        return Block(np.zeros(0, dtype=np.int64), empty, None)
    target = None if first.target is None else np.empty((rows, *first.target.shape[1:]), first.target.dtype)
    held = Block(np.empty(rows, np.int64), np.empty((rows, first.features.shape[1])), target)
    at = 0
    for block in itertools.chain([first], blocks):
        chosen = slice(at, at + len(block))
        held.rows[chosen], held.features[chosen] = block.rows, block.features
        if held.target is not None and block.target is not None:
            held.target[chosen] = block.target
        at += len(block)
    return held
