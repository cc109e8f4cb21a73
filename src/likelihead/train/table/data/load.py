"""From a name on the command line to a data set: open, look through, split, encode."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from likelihead.errors import DataError, OptionError
from likelihead.train.table.data.dataset import Dataset, Split
from likelihead.train.table.data.encode import Encoder
from likelihead.train.table.data.hashing import Ints, is_test
from likelihead.train.table.data.notes import encoding_notes, listed, split_notes
from likelihead.train.table.data.opening import open_source
from likelihead.train.table.data.schema import Schema
from likelihead.train.table.data.source import Source, nearest
from likelihead.train.table.data.stream import Block
from likelihead.train.table.data.survey import Survey, choose_target

__all__ = ["MEMORY_FLOOR", "load", "load_for_schema"]

#: The least memory budget: a few blocks of a file have to fit.
MEMORY_FLOOR = 1 << 20

_PIECE = 4 << 20

_TASKS = ("auto", "binary", "multiclass", "multilabel", "regression")


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
    every epoch reads the file again and mixes the rows in a buffer of an eighth of ``memory``.

    A column of text is taken, over the whole file, for the first of these that all its cells are: true
    and false, numbers, ISO dates (as days since 1970), text. Numbers and dates are standardised by the
    training rows' mean and deviation, text is one-hot encoded. Not used, and noted: a column that is
    constant, counts the rows, differs in every row, or has more than :data:`CATEGORY_LIMIT` distinct
    texts. An empty cell, ``NA``, ``nan``, ``null``, ``None`` or ``?`` is missing: the training mean
    stands in for a number, a category of its own for a text. A missing target is an error.

    Args:
        source: ``iris``, ``digits``, ``wine``, ``breast-cancer``, or a CSV, Parquet or JSON-lines file.
        target: the target's column, or several, also as ``"a,b"``; by default the column named ``target``,
            ``label``, ``class`` or ``y``, otherwise the last one.
        task: ``auto``, ``binary``, ``multiclass``, ``multilabel`` or ``regression``.
        memory: bytes for the rows.
        seed: of the split: row ``r`` is a test row if its SplitMix64 hash under the seed, as a number in
            [0, 1), is below ``test_fraction``. Where that leaves a class without a training row, or no
            test row at all, a row changes sides, which is noted.
        test_fraction: the expected part of the test rows, in [0, 1).

    Raises:
        DataError: the file cannot be read, or does not hold what was asked for.
        OptionError: an option outside its range.

    >>> load("iris").describe()
    'iris: 150 rows (123 to train on, 27 to test), 4 features, multiclass of 3 classes, held in memory'
    """
    _check_options(task, memory, test_fraction)
    opened = open_source(source)
    columns, notes = choose_target(opened, target)
    survey = Survey(opened, columns, seed, test_fraction, ())
    moved = survey.rows_to_move(task)
    if moved:
        survey = Survey(opened, columns, seed, test_fraction, moved)
    schema = survey.schema(task)
    notes += survey.notes(schema)
    encoder = Encoder(schema, opened.path)
    splits = _splits(opened, encoder, survey.rows, memory, need_target=True)
    notes += split_notes(schema, len(splits[1]))
    if not splits[0].in_memory:
        notes.append(
            f"the rows take more than half of the memory budget: each epoch reads the file and mixes about "
            f"{_window(schema, memory)} rows at a time; shuffle a file that is sorted"
        )
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
    if not rows:
        raise DataError("the file has no rows: add some below the header", path=opened.path)
    encoder = Encoder(schema, opened.path)
    splits = _splits(opened, encoder, rows, memory, need_target=need_target, only_test=True)
    if not splits[2].in_memory:
        for _ in _blocks(opened, encoder, "all", need_target):
            pass
    known = {column.name for column in schema.columns} | set(schema.target.columns)
    known |= {name for name, _ in schema.dropped}
    notes = encoding_notes(encoder)
    extra = [name for name in opened.names if name not in known]
    if extra:
        notes.append(f"ignored, as the model was not trained on it: {listed(extra)}")
    return Dataset(opened.path, schema, *splits, opened, notes)


def _check_options(task: str, memory: int, test_fraction: float) -> None:
    if task not in _TASKS:
        raise OptionError(f"task is {task!r}: give one of {', '.join(_TASKS)}")
    if memory < MEMORY_FLOOR:
        raise OptionError(f"memory is {memory} bytes: give at least {MEMORY_FLOOR} (1 MiB)")
    if not 0.0 <= test_fraction < 1.0:
        raise OptionError(f"test_fraction is {test_fraction}: give a number of 0 or more, below 1")


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


def _row_bytes(schema: Schema, need_target: bool = True) -> int:
    outputs = (len(schema.labels) or 1) if need_target else 0
    return 8 * (schema.num_features + outputs + 1)


def _window(schema: Schema, memory: int) -> int:
    return max(2, memory // 8 // _row_bytes(schema))


def _blocks(source: Source, encoder: Encoder, part: str, need_target: bool) -> Iterator[Block]:
    schema, first = encoder.schema, 1
    # One-hot columns can make a small batch of cells a large block.
    step = max(16, _PIECE // _row_bytes(schema))
    for batch in source.batches(_used_columns(schema, need_target)):
        for start in range(0, batch.num_rows, step):
            piece = batch.slice(start, step)
            rows = np.arange(first, first + piece.num_rows, dtype=np.int64)
            features = encoder.features(piece, first)
            block = Block(rows, features, encoder.target(piece, first) if need_target else None)
            first += piece.num_rows
            if part == "all":
                yield block
                continue
            test = is_test(rows, schema.seed, schema.test_fraction, schema.moved)
            yield block.take(test if part == "test" else ~test)


def _splits(
    source: Source, encoder: Encoder, rows: int, memory: int, *, need_target: bool, only_test: bool = False
) -> tuple[Split, Split, Split]:
    schema, held = encoder.schema, None
    if rows * _row_bytes(schema, need_target) <= memory // 2:
        held = _hold(_blocks(source, encoder, "all", need_target), rows)

    def split(name: str, size: int, index: Ints | None = None) -> Split:
        part = "all" if only_test else name
        return Split(
            name,
            size,
            blocks=lambda: _blocks(source, Encoder(schema, source.path), part, need_target),
            window=_window(schema, memory),
            held=held,
            index=index,
        )

    everything = split("all", rows)
    if only_test:
        return split("train", 0, np.zeros(0, np.int64)), split("test", rows), everything
    train_index = test_index = None
    if held is not None:
        test = is_test(held.rows, schema.seed, schema.test_fraction, schema.moved)
        train_index, test_index = np.flatnonzero(~test), np.flatnonzero(test)
    train_rows = schema.train_rows
    return split("train", train_rows, train_index), split("test", rows - train_rows, test_index), everything


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
