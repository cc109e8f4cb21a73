"""From a name on the command line to a data set: open, look through, split, encode."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from likelihead.errors import DataError, OptionError
from likelihead.train.footprint import require_rows
from likelihead.train.table.data.bundled import trainable
from likelihead.train.table.data.dataset import Dataset, Split
from likelihead.train.table.data.encode import Encoder
from likelihead.train.table.data.hashing import Ints
from likelihead.train.table.data.notes import encoding_notes, left_out, listed, split_notes
from likelihead.train.table.data.read_as import open_as
from likelihead.train.table.data.reading import AUTO, Reading
from likelihead.train.table.data.row_weights import WithoutColumn, check_weight_column, kept_rows
from likelihead.train.table.data.schema import Schema, Task
from likelihead.train.table.data.sides import Part, Sides
from likelihead.train.table.data.source import Source, nearest
from likelihead.train.table.data.stream import Block
from likelihead.train.table.data.survey import Survey, ask_for_target, choose_target

__all__ = ["MEMORY_FLOOR", "load", "load_for_schema"]

#: The least memory budget: a few blocks of a file have to fit.
MEMORY_FLOOR = 1 << 20

_PIECE = 4 << 20

_TASKS = ("auto", *get_args(Task))


def load(
    source: str,
    *,
    target: str | Sequence[str] | None = None,
    task: str = "auto",
    memory: int = 1 << 30,
    seed: int = 0,
    test_fraction: float = 0.2,
    calibration_fraction: float = 0.0,
    sample_weight: str = "",
    order: Sequence[str] = (),
    reading: Reading = AUTO,
    strict: bool = False,
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
    stands in for a number, a category of its own for a text. A row without a target is left out and counted.

    Args:
        source: a bundled set (:data:`BUNDLED`), or a CSV, Parquet or JSON-lines file.
        target: the target's column, or several, also as ``"a,b"``; by default the column named ``target``,
            ``label``, ``class`` or ``y``, otherwise the last one. Several are 0/1 labels, or, where the task
            is multiclass, the probabilities of the classes.
        task: ``auto``, or one of :data:`Task`; ``auto`` takes ``binary``, ``multiclass``, ``multilabel`` or
            ``regression``.
        memory: bytes for the rows.
        seed: of the split: row ``r`` is a test row if its SplitMix64 hash under the seed, as a number in
            [0, 1), is below ``test_fraction``. Where that leaves a class without a training row, or no
            test row at all, a row changes sides, which is noted.
        test_fraction: the expected part of the test rows, in [0, 1).
        calibration_fraction: the expected part of the other rows that is held out of the training, in
            [0, 1); their targets and statistics are not the training's.
        sample_weight: a column of weights, which is no feature; a row of weight 0 is as if it were not
            there. The training rows' statistics and the counts of the classes are weighted, so that a whole
            number is as good as that many rows.
        order: the classes of an ordinal task from the lowest to the highest; by default as numbers.
        reading: how the file is to be read.
        strict: whether a row without a target is an error.

    Raises:
        DataError: the file cannot be read, or does not hold what was asked for.
        OptionError: an option outside its range.

    >>> load("iris").describe()
    'iris: 150 rows (123 to train on, 27 to test), 4 features, multiclass of 3 classes, held in memory'
    """
    _check_options(task, memory, test_fraction)
    opened, reading, notes = open_as(source, reading)
    check_weight_column(opened, sample_weight, target)
    columns, chosen = choose_target(WithoutColumn(opened, sample_weight) if sample_weight else opened, target)
    notes += chosen
    sides = Sides(seed, test_fraction, calibration_fraction, trainable=trainable(source))
    guessed = any("the last column" in note for note in chosen)
    more: dict[str, Any] = {"strict": strict, "weight": sample_weight, "order": order}
    survey = Survey(opened, columns, task, sides, guessed=guessed, **more)
    doubt = survey.doubt() if guessed else ""
    if doubt:
        raise ask_for_target(opened, doubt)
    moved = survey.rows_to_move()
    if moved:
        sides = sides.moving(moved)
        survey = Survey(opened, columns, task, sides, **more)
    schema = replace(survey.schema(), reading=reading)
    if calibration_fraction and not survey.sizes["calibration"]:
        raise DataError(
            f"none of the {survey.sizes['train']} training rows was drawn to calibrate on: leave out "
            "--calibrate and --tune-thresholds, or give more rows",
            path=opened.path,
        )
    notes += survey.notes(schema)
    splits = _splits(opened, Encoder(schema, opened.path), survey, memory)
    notes += split_notes(schema, survey.rows, survey.sizes)
    if not splits[0].in_memory:
        notes.append(
            f"the rows take more than half of the memory budget: each epoch reads the file and mixes about "
            f"{_window(schema, memory)} rows at a time; shuffle a file that is sorted"
        )
    train, test, everything, held_out = splits
    return Dataset(
        opened.path,
        schema,
        train,
        test,
        everything,
        opened,
        notes,
        calibration=held_out if calibration_fraction else None,
    )


def load_for_schema(
    source: str,
    schema: Schema,
    *,
    need_target: bool,
    memory: int = 1 << 30,
    reading: Reading | None = None,
    strict: bool = False,
) -> Dataset:
    """A file read by the schema of a trained model; all of its rows are in ``test`` and ``all``.

    The whole file is read and checked before this returns. Columns that the schema does not know are
    ignored, with a note; a category that training did not have is encoded as none of the known ones.

    Args:
        source: as for :func:`load`.
        schema: the trained model's.
        need_target: whether the target is read as well, for evaluating.
        memory: as for :func:`load`.
        reading: how the file is to be read; None reads it as the training data were.
        strict: whether a row without a target is an error, where the target is read.

    Raises:
        DataError: a column is missing, a cell cannot be read as in training, or (with ``need_target``) a
            class was not in the training data.
    """
    _check_options("auto", memory, 0.0)
    opened, _, taken = open_as(source, schema.reading if reading is None else reading)
    _check_columns(opened, schema, need_target)
    weight = schema.weight if need_target and schema.weight in opened.names else ""
    needed = () if strict or not need_target else schema.target.columns
    read = [*needed, weight] if weight else needed
    rows = total = lacking = 0
    for batch in opened.batches(read or _used_columns(schema, need_target)[:1]):
        numbers = np.arange(total + 1, total + 1 + batch.num_rows, dtype=np.int64)
        total += batch.num_rows
        _, kept, _, gone = kept_rows(batch, numbers, needed, weight, opened.path)
        rows, lacking = rows + len(kept), lacking + gone
    if not total:
        raise DataError("the file has no rows: add some below the header", path=opened.path)
    if not rows and lacking < total:
        raise DataError("every row has the weight 0: there is none to score", path=opened.path, column=weight)
    if not rows:
        raise DataError(
            "no row has a target: fill them in, or use `likelihead predict`",
            path=opened.path,
            column=", ".join(needed),
        )
    encoder = Encoder(schema, opened.path)
    held = _held(opened, encoder, rows, memory, need_target, strict, weight)
    if held is None:
        for _ in _blocks(opened, encoder, need_target, strict=strict, weight=weight):
            pass

    def split(name: str, size: int, index: Ints | None = None) -> Split:
        return Split(
            name,
            size,
            blocks=lambda: _blocks(
                opened, Encoder(schema, opened.path), need_target, strict=strict, weight=weight
            ),
            window=_window(schema, memory),
            held=held,
            index=index,
        )

    splits = split("train", 0, np.zeros(0, np.int64)), split("test", rows), split("all", rows)
    known = {column.name for column in schema.columns} | set(schema.target.columns)
    known |= {schema.weight, *(name for name, _ in schema.dropped)}
    notes = [*taken, *encoding_notes(encoder)]
    if lacking:
        notes.append(left_out(lacking, total, needed))
    if rows + lacking < total:
        notes.append(f"rows left out for their weight of 0: {total - lacking - rows}")
    if need_target and schema.weight and not weight:
        notes.append(f"there is no column {schema.weight!r} of weights here: every row counts once")
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


def _used_columns(schema: Schema, need_target: bool, weight: str = "") -> list[str]:
    used = [column.name for column in schema.columns] + (list(schema.target.columns) if need_target else [])
    return [*used, weight] if weight else used


def _row_bytes(schema: Schema, need_target: bool = True) -> int:
    several = schema.labels or (schema.target.names if schema.soft else ())
    outputs = (len(several) or 1) if need_target else 0
    return 8 * (schema.num_features + outputs + 1 + bool(schema.weight))


def _window(schema: Schema, memory: int) -> int:
    return max(2, memory // 8 // _row_bytes(schema))


def _blocks(
    source: Source,
    encoder: Encoder,
    need_target: bool,
    sides: Sides | None = None,
    part: Part = "train",
    *,
    strict: bool = False,
    weight: str = "",
) -> Iterator[Block]:
    """The rows of a part; without sides, all of them: where targets are needed, those that have one.

    Rows of weight 0 are none.
    """
    schema, first = encoder.schema, 1
    # One-hot columns can make a small batch of cells a large block.
    step = max(16, _PIECE // _row_bytes(schema))
    for batch in source.batches(_used_columns(schema, need_target, weight)):
        for start in range(0, batch.num_rows, step):
            piece = batch.slice(start, step)
            rows = np.arange(first, first + piece.num_rows, dtype=np.int64)
            first += piece.num_rows
            needed = () if strict or not need_target else schema.target.columns
            piece, rows, weights, _ = kept_rows(piece, rows, needed, weight, source.path)
            if not len(rows):
                continue
            features = encoder.features(piece, rows)
            block = Block(rows, features, encoder.target(piece, rows) if need_target else None, weights)
            yield block if sides is None else block.take(sides.of(rows, part))


def _held(
    source: Source,
    encoder: Encoder,
    rows: int,
    memory: int,
    need_target: bool,
    strict: bool = False,
    weight: str = "",
) -> Block | None:
    """All rows, where half of the memory budget holds them."""
    needed = rows * _row_bytes(encoder.schema, need_target)
    if needed > memory // 2:
        return None
    require_rows(needed, rows, encoder.schema.num_features)
    return _hold(_blocks(source, encoder, need_target, strict=strict, weight=weight), rows)


def _splits(
    source: Source, encoder: Encoder, survey: Survey, memory: int
) -> tuple[Split, Split, Split, Split]:
    """The training rows, the test rows, all rows, and those held out for calibration."""
    schema, sides, weight = encoder.schema, survey.sides, survey.weight
    held = _held(source, encoder, survey.rows, memory, True, weight=weight)

    def split(name: str, size: int, part: Part | None = None) -> Split:
        index = None if held is None or part is None else np.flatnonzero(sides.of(held.rows, part))
        return Split(
            name,
            size,
            blocks=lambda: _blocks(
                source,
                Encoder(schema, source.path),
                True,
                None if part is None else sides,
                part or "train",
                weight=weight,
            ),
            window=_window(schema, memory),
            held=held,
            index=index,
        )

    sizes = survey.sizes
    return (
        split("train", sizes["train"], "train"),
        split("test", sizes["test"], "test"),
        split("all", survey.rows),
        split("calibration", sizes["calibration"], "calibration"),
    )


def _hold(blocks: Iterator[Block], rows: int) -> Block:
    """All blocks in arrays that are made once, at their full size."""
    first = next(blocks, None)
    if first is None:
        empty: Any = np.zeros((0, 0))
        return Block(np.zeros(0, dtype=np.int64), empty, None)
    target = None if first.target is None else np.empty((rows, *first.target.shape[1:]), first.target.dtype)
    weight = None if first.weight is None else np.empty(rows)
    held = Block(np.empty(rows, np.int64), np.empty((rows, first.features.shape[1])), target, weight)
    at = 0
    for block in itertools.chain([first], blocks):
        chosen = slice(at, at + len(block))
        held.rows[chosen], held.features[chosen] = block.rows, block.features
        if held.target is not None and block.target is not None:
            held.target[chosen] = block.target
        if held.weight is not None and block.weight is not None:
            held.weight[chosen] = block.weight
        at += len(block)
    return held
