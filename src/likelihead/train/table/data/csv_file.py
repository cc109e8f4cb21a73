"""CSV: comma, semicolon or tab between cells, one header line, UTF-8."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from likelihead.errors import DataError
from likelihead.train.table.data.columns import is_number
from likelihead.train.table.data.source import check_names
from likelihead.train.table.data.text_file import LINE_LIMIT, Stamp, check_text, open_bytes, reading

__all__ = ["CsvFile"]

# One size for every memory budget, so that means and deviations are summed in the same pieces. Arrow
# reads several blocks ahead, and each grows manyfold on its way to float64: small ones bound the memory,
# and are faster besides.
_BLOCK = 1 << 18


class CsvFile:
    """A CSV file; every cell is handed over as text, and the meaning is found later."""

    default_target: str | None = None

    def __init__(self, path: str) -> None:
        self.path = path
        found = check_text(path, header_lines=1)
        self._stamp = Stamp(path)
        self._block = max(_BLOCK, 4 * found.longest)
        self._delimiter, self._raw_names = self._header()
        self.names = tuple(name.strip() or f"column {place}" for place, name in enumerate(self._raw_names, 1))
        check_names(path, self.names)
        if found.quotes:
            self._check_quotes()
        if all(is_number(name) for name in self.names):
            raise DataError(
                f"the first line holds only numbers ({', '.join(self.names[:4])}): "
                "put a line with the columns' names above it",
                path=path,
            )

    def _header(self) -> tuple[str, list[str]]:
        with reading(self.path), open_bytes(self.path) as handle:
            text = io.TextIOWrapper(handle, encoding="utf-8-sig", newline="")
            line = next((line for line in text if line.strip()), "")
            if self.path.lower().removesuffix(".gz").endswith(".tsv"):
                delimiter = "\t"
            else:
                # The most frequent of the three; a comma where two are as frequent.
                delimiter = max(",;\t", key=line.count)
            try:
                names = next(
                    csv.reader([line, *text] if line.count('"') % 2 else [line], delimiter=delimiter)
                )
            except csv.Error as error:
                raise DataError(
                    f"the header cannot be read ({error}): check its quotes", path=self.path
                ) from error
            # Arrow takes a header without a line end for an empty file.
            self._has_rows = any(line.strip() for line in text)
        return delimiter, names

    def _check_quotes(self) -> None:
        """Refuse quotes that do not match; Arrow would take all rows up to the next quote for one cell."""
        rows = -1
        limit = csv.field_size_limit(LINE_LIMIT)
        try:
            with reading(self.path), open_bytes(self.path) as handle:
                text = io.TextIOWrapper(handle, encoding="utf-8-sig", newline="")
                for cells in csv.reader(text, delimiter=self._delimiter, strict=True):
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
        if not self._has_rows:
            return
        chosen = [
            (raw, name)
            for raw, name in zip(self._raw_names, self.names, strict=True)
            if columns is None or name in columns
        ]
        ragged: list[Any] = []

        def refuse(row: Any) -> str:
            ragged.append(row)
            return "error"

        try:
            with arrow_csv.open_csv(
                self.path,
                read_options=arrow_csv.ReadOptions(use_threads=False, block_size=self._block),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=refuse
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={raw: pa.string() for raw in self._raw_names},
                    include_columns=[raw for raw, _ in chosen],
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            ) as reader:
                for batch in reader:
                    if batch.num_rows:
                        yield batch.rename_columns([name for _, name in chosen])
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
            row=None if row.number is None else row.number - 1,
        )
