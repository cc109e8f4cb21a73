"""CSV: one header line; what stands between cells and the encoding are told from the head of the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from likelihead.errors import DataError
from likelihead.train.table.data.columns import MISSING, is_number
from likelihead.train.table.data.dialect import encoding_of, read_dialect
from likelihead.train.table.data.source import check_names, short
from likelihead.train.table.data.text_file import LINE_LIMIT, Stamp, check_text, open_bytes, reading

__all__ = ["CsvFile"]

# One size for every memory budget, so that means and deviations are summed in the same pieces. Arrow
# reads several blocks ahead, and each grows manyfold on its way to float64: small ones bound the memory,
# and are faster besides.
_BLOCK = 1 << 18


class CsvFile:
    """A CSV file; every cell is handed over as text, and the meaning is found later.

    Args:
        path: the file.
        separator: between cells; ``auto`` tells it from the first rows.
        encoding: a codec's name, or ``auto``.

    Attributes:
        dialect: how the file is written, with its first rows.
    """

    default_target: str | None = None

    def __init__(self, path: str, separator: str = "auto", encoding: str = "auto") -> None:
        self.path = path
        encoding = encoding_of(path, encoding)
        found = check_text(path, header_lines=1, encoding=encoding)
        self._stamp = Stamp(path)
        self._block = max(_BLOCK, 4 * found.longest)
        self.dialect = read_dialect(path, separator, encoding)
        header = self.dialect.header
        self.names = tuple(name.strip() or f"column {place}" for place, name in enumerate(header, 1))
        check_names(path, self.names)
        if found.quotes or self.dialect.quote != '"':
            self._check_quotes()
        self._refuse_data_as_names()

    def _refuse_data_as_names(self) -> None:
        """Refuse a first line that is a row: a value for a name would be wrong, and the row would be lost."""
        if all(is_number(name) for name in self.names):
            raise DataError(
                f"the first line holds only numbers ({', '.join(self.names[:4])}): "
                "put a line with the columns' names above it",
                path=self.path,
            )
        numbers = [name for name in self.names if is_number(name)]
        columns = list(zip(*(r for r in self.dialect.rows if len(r) == len(self.names)), strict=True))
        again = [
            name
            for name, cells in zip(self.names, columns, strict=False)
            if not is_number(name) and name not in MISSING and name in map(str.strip, cells)
        ]
        if len(again) > 1 or (again and numbers):
            raise DataError(
                f"the first line is a row, not the columns' names ({', '.join(map(short, again[:3]))} "
                f"stand below it as well): put a line with the names above it",
                path=self.path,
            )

    def _check_quotes(self) -> None:
        """Refuse quotes that do not match; Arrow would take all rows up to the next quote for one cell."""
        rows = -1
        limit = csv.field_size_limit(LINE_LIMIT)
        try:
            with reading(self.path), open_bytes(self.path, self.dialect.encoding) as handle:
                text = io.TextIOWrapper(handle, encoding="utf-8-sig", newline="")
                for _ in range(self.dialect.skipped):
                    next(text)
                quote = self.dialect.quote
                for cells in csv.reader(text, delimiter=self.dialect.separator, quotechar=quote, strict=True):
                    rows += bool(cells)
        except csv.Error as error:
            raise DataError(
                f"the quotes do not match ({error}): close the quote that is opened here, or double a quote "
                "that is part of the text",
                path=self.path,
                row=max(rows + 1, 1),
            ) from error
        finally:
            csv.field_size_limit(limit)

    def batches(self, columns: Collection[str] | None = None) -> Iterator[Any]:
        """Record batches of text columns.

        Raises:
            DataError: a row with more or fewer cells than the header, or a quote that is not closed.
        """
        self._stamp.check()
        if not self.dialect.has_rows:
            return
        chosen = [name for name in self.names if columns is None or name in columns]
        ragged: list[Any] = []

        def refuse(row: Any) -> str:
            ragged.append(row)
            return "error"

        dialect = self.dialect
        # Arrow unpacks a file by its name.
        source = self.path if dialect.encoding == "utf-8" else open_bytes(self.path, dialect.encoding)
        try:
            with arrow_csv.open_csv(
                source,
                read_options=arrow_csv.ReadOptions(
                    use_threads=False,
                    block_size=self._block,
                    skip_rows=dialect.skipped,
                    skip_rows_after_names=1,
                    column_names=list(self.names),
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=dialect.separator,
                    quote_char=dialect.quote,
                    newlines_in_values=True,
                    invalid_row_handler=refuse,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={name: pa.string() for name in self.names},
                    include_columns=chosen,
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            ) as reader:
                for batch in reader:
                    if batch.num_rows:
                        yield batch
        except pa.ArrowInvalid as error:
            if ragged:
                raise self._ragged(ragged[0]) from error
            first_line = str(error).splitlines()[0]
            raise DataError(
                f"the rows cannot be told apart ({first_line}): "
                "look for a quote that is opened and not closed",
                path=self.path,
            ) from error

    def _ragged(self, row: Any) -> DataError:
        cells = f"{row.actual_columns} {'cell' if row.actual_columns == 1 else 'cells'}"
        return DataError(
            f"{cells} where the header names {row.expected_columns}: add or remove cells, and quote a cell "
            "that holds the separator",
            path=self.path,
            row=None if row.number is None else row.number - 1 - self.dialect.skipped,
        )
