"""A table as it was asked to be read: the dialect of a text file, and what stands for a missing cell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from likelihead.errors import OptionError
from likelihead.train.table.data.columns import is_number, native_kind
from likelihead.train.table.data.csv_file import CsvFile
from likelihead.train.table.data.forms import MARKS, describe_forms, find_forms, rewritten
from likelihead.train.table.data.opening import open_source
from likelihead.train.table.data.reading import Reading
from likelihead.train.table.data.source import Source

__all__ = ["open_as"]

_WORDS = {"\t": "tabs", " ": "spaces"}


def open_as(name: str, reading: Reading) -> tuple[Source, Reading, list[str]]:
    """A file or bundled set, how it is read, and a line on what was taken from its head.

    Args:
        name: as :func:`open_source` takes it.
        reading: as asked for, with what was found in the training data, which decides where the head of this
            file does not.

    Raises:
        DataError: it cannot be read, or not in one way only.
        OptionError: an option that the file's format does not have, or out of range.
    """
    if reading.decimal not in ("auto", ",", "."):
        raise OptionError(f"decimal is {reading.decimal!r}; expected , or . (or auto)")
    source = open_source(name, separator=reading.separator, encoding=reading.encoding)
    known, notes = dict(reading.forms), list[str]()
    forms: dict[str, str] = {}
    marks: tuple[str, ...] = ()
    if isinstance(source, CsvFile) and not (reading.as_written and reading.decimal == "auto"):
        dialect = source.dialect
        markers = {*reading.missing}
        rows = [["" if cell.strip() in markers else cell for cell in row] for row in dialect.rows]
        forms = find_forms(
            source.names,
            rows,
            decimal=reading.decimal,
            separator=dialect.separator,
            known=known,
            path=source.path,
        )
        marks = _marks(source.names, rows, reading.marks)
        notes = _described(source, forms, marks)
    found = replace(reading, forms=tuple(forms.items()), marks=marks)
    if not forms and not marks and not reading.missing:
        return source, found, notes
    return _Read(source, found), found, notes


def _marks(names: Sequence[str], rows: Sequence[Sequence[str]], known: Sequence[str]) -> tuple[str, ...]:
    """The columns of numbers in which a dash or the like stands for a missing one."""
    chosen = []
    for index, name in enumerate(names):
        cells = [row[index].strip() for row in rows if len(row) == len(names)]
        held = [cell for cell in cells if cell in MARKS]
        others = [cell for cell in cells if cell and cell not in MARKS]
        digits = sum(cell[-1:].isdigit() for cell in others)
        if name in known or (held and others and digits == len(others) and len(others) > len(held)):
            chosen.append(name)
    return tuple(chosen)


def _described(source: CsvFile, forms: Mapping[str, str], marks: Sequence[str]) -> list[str]:
    """What was taken from the head, where it is not what everybody expects; one line."""
    dialect = source.dialect
    parts = []
    if dialect.separator != "," and not source.path.lower().removesuffix(".gz").endswith(".tsv"):
        parts.append(f"{_WORDS.get(dialect.separator, repr(dialect.separator))} between cells")
    if dialect.encoding != "utf-8":
        parts.append(f"encoding {dialect.encoding}")
    if dialect.quote != '"':
        parts.append("single quotes")
    parts += describe_forms(forms)
    if marks:
        parts.append(f"a dash or the like is missing ({', '.join(marks[:3])}{', ...' * (len(marks) > 3)})")
    remedy = "if that is wrong: --separator, --decimal, --encoding"
    return [f"read with {', '.join(parts)}; {remedy}"] if parts else []


class _Read:
    """A source whose cells are rewritten, and missing where they are marked so."""

    def __init__(self, source: Source, reading: Reading) -> None:
        self._source, self._forms, self._marks = source, dict(reading.forms), set(reading.marks)
        self.path, self.names, self.default_target = source.path, source.names, source.default_target
        self._texts = [marker.strip() for marker in reading.missing]
        self._numbers = [float(marker) for marker in self._texts if is_number(marker)]

    def batches(self, columns: Collection[str] | None = None) -> Iterator[Any]:
        """See :class:`Source`."""
        for batch in self._source.batches(columns):
            names = batch.schema.names
            arrays = [self._column(batch.column(index), name) for index, name in enumerate(names)]
            yield pa.RecordBatch.from_arrays(arrays, names=names)

    def _column(self, array: Any, name: str) -> Any:
        if name in self._forms:
            array = rewritten(array, self._forms[name])
        is_text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
        if is_text:
            texts = [*self._texts, *(MARKS if name in self._marks else ())]
            if not texts:
                return array
            text = pc.utf8_trim_whitespace(array)
            gone = pc.is_in(text, value_set=pa.array(texts, array.type))
            if self._numbers:
                # -200 is also -200.0; what is no number compares as missing.
                like = pc.match_substring_regex(text, r"^[+-]?[0-9]*\.?[0-9]+(\.0*)?$")
                like = pc.and_(like, pc.match_substring_regex(text, r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$"))
                values = pc.cast(pc.if_else(pc.fill_null(like, False), text, None), pa.float64())
                same = pc.is_in(values, value_set=pa.array(self._numbers, pa.float64()))
                gone = pc.or_(gone, pc.and_(pc.is_valid(values), same))
            return pc.if_else(gone, pa.scalar(None, array.type), array)
        if self._numbers and native_kind(array.type) == "number" and not pa.types.is_temporal(array.type):
            values = pc.cast(array, pa.float64(), safe=False)
            gone = pc.is_in(values, value_set=pa.array(self._numbers, pa.float64()))
            return pc.if_else(gone, pa.scalar(None, array.type), array)
        return array
