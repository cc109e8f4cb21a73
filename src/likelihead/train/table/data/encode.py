"""From the file's cells to tensors, by a schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from likelihead.errors import DataError
from likelihead.train.table.data.columns import Kind, as_numbers, canonical, class_key, native_kind, tidy
from likelihead.train.table.data.hashing import Ints
from likelihead.train.table.data.numbers import check_counts
from likelihead.train.table.data.probabilities import read_probabilities
from likelihead.train.table.data.scan import first_bad_cell
from likelihead.train.table.data.schema import COUNTS, Column, Schema
from likelihead.train.table.data.source import nearest, row_number, short

__all__ = ["Encoder", "encode_table", "split_set", "without_target"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
# Further out, float32 activations are on their way to infinity.
_FAR = 1e30
_NAMED = {"number": "a number", "boolean": "true or false", "date": "a date (2024-12-31)"}


def split_set(text: str) -> list[str]:
    """The labels of a cell of ``a;b;c``; a lone ``;`` is the empty set.

    >>> split_set("b; a"), split_set(";")
    (['b', 'a'], [])
    """
    return [part.strip() for part in text.split(";") if part.strip()]


class Encoder:
    """Encodes batches of one file and counts what it met: missing cells and unknown categories."""

    def __init__(self, schema: Schema, path: str) -> None:
        self.schema, self.path = schema, path
        self.missing: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self._index = {name: index for index, name in enumerate(schema.target.names)}

    def features(self, batch: Any, first_row: int | Ints) -> Floats:
        """The features ``[rows, num_features]`` of a batch.

        Args:
            batch: the rows.
            first_row: the number of the first of them; or of each, where some were left out.
        """
        encoded = np.zeros((batch.num_rows, self.schema.num_features))
        at = 0
        for column in self.schema.columns:
            array = tidy(batch.column(column.name))
            self.missing[column.name] += array.null_count
            width = len(column.feature_names)
            if column.kind == "category":
                self._one_hot(array, column, encoded[:, at : at + width])
            else:
                values = self._numbers(array, column.kind, column.name, first_row)
                values = np.where(np.isnan(values), column.mean, values)
                if column.kind != "boolean":
                    values = self._standardised(values, column.mean, column.std, column.name, first_row)
                encoded[:, at] = values
            at += width
        return encoded

    def _numbers(self, array: Any, kind: Kind, name: str, first_row: int | Ints) -> Floats:
        if array.null_count == len(array):
            return np.full(len(array), np.nan)
        try:
            values = as_numbers(array, kind)
        except pa.ArrowInvalid as error:
            position, text = first_bad_cell(array, kind)
            raise DataError(
                f"{short(text)} is not {_NAMED[kind]}, which the column held in training: correct the cell "
                "or leave it empty",
                path=self.path,
                row=row_number(first_row, position),
                column=name,
            ) from error
        infinite = np.isinf(values)
        if infinite.any():
            raise DataError(
                "an infinite value: replace it by a number, or leave the cell empty to have it imputed",
                path=self.path,
                row=row_number(first_row, int(np.argmax(infinite))),
                column=name,
            )
        return values

    def _standardised(
        self, values: Floats, mean: float, std: float, name: str, first_row: int | Ints
    ) -> Floats:
        with np.errstate(over="ignore"):
            values = (values - mean) / std
        far = np.abs(values) > _FAR
        if far.any():
            raise DataError(
                f"a value more than {_FAR:g} standard deviations from the training mean: correct the cell",
                path=self.path,
                row=row_number(first_row, int(np.argmax(far))),
                column=name,
            )
        return values

    def _one_hot(self, array: Any, column: Column, out: Floats) -> None:
        if native_kind(array.type) is not None:
            array = pa.array(
                [None if cell is None else class_key(cell) for cell in array.to_pylist()], pa.string()
            )
        found = pc.index_in(array, value_set=pa.array(column.categories, pa.string()))
        codes = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
        gone = array.is_null().to_numpy(zero_copy_only=False)
        self.unknown[column.name] += int(((codes < 0) & ~gone).sum())
        if column.missing_category:
            codes = np.where(gone, len(column.categories), codes)
        known = np.flatnonzero(codes >= 0)
        out[known, codes[known]] = 1.0

    def target(self, batch: Any, first_row: int | Ints) -> Floats | Ints:
        """The target: ``[rows]``, int64 for multiclass and float64 otherwise, or ``[rows, labels]``.

        Of probability columns ``[rows, C]``, float64.
        """
        target = self.schema.target
        if target.form == "probs":
            return read_probabilities(batch, target.columns, self.path, first_row)
        if target.form == "labels":
            return np.stack([self._label(batch, name, first_row) for name in target.columns], axis=1)
        name = target.columns[0]
        array = tidy(batch.column(name))
        self._refuse_missing(array, name, first_row)
        if target.form == "number":
            values = self._numbers(array, "number", name, first_row)
            if self.schema.task in COUNTS:
                check_counts(values, name, self.path, first_row, self.schema.task)
            return self._standardised(values, target.mean, target.std, name, first_row)
        if target.form == "sets":
            return self._sets(array, name, first_row)
        encoded = array.dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        indices = np.zeros(len(encoded.dictionary), dtype=np.int64)
        for code, value in enumerate(encoded.dictionary.to_pylist()):
            class_name = canonical(class_key(value), target.values)
            if class_name not in self._index:
                self._refuse_class(
                    "class", class_name, row_number(first_row, int(np.argmax(codes == code))), name
                )
            indices[code] = self._index[class_name]
        chosen: Ints = indices[codes]
        return chosen if self.schema.task in ("multiclass", "ordinal") else chosen.astype(np.float64)

    def _label(self, batch: Any, name: str, first_row: int | Ints) -> Floats:
        array = tidy(batch.column(name))
        self._refuse_missing(array, name, first_row)
        try:
            values = as_numbers(array, "boolean")
        except pa.ArrowInvalid:
            try:
                values = as_numbers(array, "number")
            except pa.ArrowInvalid as error:
                position, text = first_bad_cell(array, "number")
                raise label_error(text, self.path, row_number(first_row, position), name) from error
        outside = (values != 0) & (values != 1)
        if outside.any():
            position = int(np.argmax(outside))
            raise label_error(
                class_key(array[position].as_py()), self.path, row_number(first_row, position), name
            )
        return values

    def _sets(self, array: Any, name: str, first_row: int | Ints) -> Floats:
        values = np.zeros((len(array), len(self._index)))
        encoded = array.dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        for code, cell in enumerate(encoded.dictionary.to_pylist()):
            rows = np.flatnonzero(codes == code)
            for part in split_set(class_key(cell)):
                label = canonical(part, self.schema.target.values)
                if label not in self._index:
                    self._refuse_class("label", label, row_number(first_row, int(rows[0])), name)
                values[rows, self._index[label]] = 1.0
        return values

    def _refuse_missing(self, array: Any, name: str, first_row: int | Ints) -> None:
        if array.null_count:
            gone = array.is_null().to_numpy(zero_copy_only=False)
            sets = self.schema.target.form == "sets"
            raise missing_target(self.path, row_number(first_row, int(np.argmax(gone))), name, sets=sets)

    def _refuse_class(self, what: str, found: str, row: int, name: str) -> None:
        hint = nearest(found, self._index, "training had")
        raise DataError(
            f"the {what} {short(found)} was not in the training data ({hint}): correct the cell, "
            "leave the row out, or train again with it",
            path=self.path,
            row=row,
            column=name,
        )


def without_target(batch: Any, columns: Sequence[str]) -> Bools:
    """Which rows of a batch have no target; of several columns: none in any of them."""
    gone: Bools = np.full(batch.num_rows, bool(columns))
    for name in columns:
        array = tidy(batch.column(name))
        gone &= array.is_null().to_numpy(zero_copy_only=False) if array.null_count else False
    return gone


def label_error(text: str, path: str, row: int, column: str, *, hint: str = "") -> DataError:
    """A cell of a multilabel column that is neither 0 nor 1."""
    return DataError(
        f"{short(text)} where a label is 0 or 1: correct the cell, or take the column out of --target{hint}",
        path=path,
        row=row,
        column=column,
    )


def missing_target(path: str, row: int, column: str, *, sets: bool) -> DataError:
    """A row without a target; in a column of label sets, no label at all is written ``;``."""
    no_label = "write ';' where no label applies, " if sets else ""
    return DataError(
        f"the target is missing (empty, NaN or NA): {no_label}fill it in or leave the row out",
        path=path,
        row=row,
        column=column,
    )


def encode_table(table: Any, schema: Schema) -> torch.Tensor:
    """The features of a table held in memory, float64."""
    absent = [column.name for column in schema.columns if column.name not in table.column_names]
    if absent:
        raise DataError(f"column {absent[0]!r} is missing: {nearest(absent[0], table.column_names)}")
    batches = table.to_batches() if isinstance(table, pa.Table) else [table]
    encoder, first, parts = Encoder(schema, "the table"), 1, [np.zeros((0, schema.num_features))]
    for batch in batches:
        parts.append(encoder.features(batch, first))
        first += batch.num_rows
    return torch.from_numpy(np.concatenate(parts))
