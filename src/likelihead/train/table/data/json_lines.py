"""JSON lines: one object per line, its keys are the columns."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa

from likelihead.errors import DataError
from likelihead.train.table.data.columns import class_key
from likelihead.train.table.data.source import check_names
from likelihead.train.table.data.text_file import Stamp, check_text, open_bytes, reading

__all__ = ["JsonLines"]

_BLOCK = 1 << 18
_COLUMN_LIMIT = 10_000


class JsonLines:
    """A file of JSON objects; values are handed over as text, lists as ``a;b;c``.

    The standard library's parser reads it line by line: Arrow's takes the types from the first block
    and cannot name the line of a mistake.
    """

    default_target: str | None = None

    def __init__(self, path: str) -> None:
        self.path = path
        check_text(path, header_lines=0)
        self._stamp = Stamp(path)
        names: dict[str, None] = {}
        # A key may turn up in any line, so the columns are known after the last one.
        for row, fields in self._objects():
            names.update(dict.fromkeys(fields))
            if len(names) > _COLUMN_LIMIT:
                raise DataError(
                    f"more than {_COLUMN_LIMIT} different keys are no columns", path=path, row=row
                )
        self._raw_names = tuple(names)
        self.names = tuple(name.strip() or "(empty)" for name in names)
        check_names(path, self.names)

    def _objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        row = 0
        with reading(self.path), open_bytes(self.path) as handle:
            for line, data in enumerate(handle, 1):
                text = data.decode("utf-8-sig" if line == 1 else "utf-8").strip()
                if not text:
                    continue
                row += 1
                yield row, self._parse(text, row, line)

    def _parse(self, text: str, row: int, line: int) -> dict[str, Any]:
        try:
            found = json.loads(text, object_pairs_hook=self._unique)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise DataError(
                f"line {line} is no JSON ({reason}): correct it", path=self.path, row=row
            ) from error
        if not isinstance(found, dict):
            raise DataError(
                f'line {line} holds no object: write {{"column": value, ...}} on each line',
                path=self.path,
                row=row,
            )
        if "\\u" in text:
            try:
                json.dumps(found, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    f"line {line} has half of a surrogate pair, {error.object[error.start]!a}: "
                    "write both, or the character itself",
                    path=self.path,
                    row=row,
                ) from error
        return found

    @staticmethod
    def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            keys = [name for name, _ in pairs]
            raise ValueError(
                f"the key {next(name for name in keys if keys.count(name) > 1)!r} stands there twice"
            )
        return fields

    def batches(self, columns: Collection[str] | None = None) -> Iterator[Any]:
        """Record batches of text columns; a key that a line does not have is a missing cell."""
        self._stamp.check()
        chosen = [
            (raw, name)
            for raw, name in zip(self._raw_names, self.names, strict=True)
            if columns is None or name in columns
        ]
        cells: list[list[str | None]] = [[] for _ in chosen]
        size = 0
        for row, fields in self._objects():
            for column, (raw, name) in zip(cells, chosen, strict=True):
                text = self._text(fields.get(raw), row, name)
                size += 16 + len(text or "")
                column.append(text)
            if size > _BLOCK:
                yield _batch(cells, chosen)
                cells, size = [[] for _ in chosen], 0
        if cells and cells[0]:
            yield _batch(cells, chosen)

    def _text(self, value: object, row: int, name: str) -> str | None:
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool | int | float):
            return class_key(value)
        if isinstance(value, list) and not any(
            part is None or isinstance(part, list | dict) for part in value
        ):
            parts = [part if isinstance(part, str) else class_key(part) for part in value]
            if any(";" in part for part in parts):
                raise DataError(
                    "a label may not hold ';', which separates labels", path=self.path, row=row, column=name
                )
            return ";".join(parts) or ";"
        raise DataError(
            "a nested value: write numbers, true and false, text, or a list of labels",
            path=self.path,
            row=row,
            column=name,
        )


def _batch(cells: list[list[str | None]], chosen: list[tuple[str, str]]) -> Any:
    return pa.RecordBatch.from_arrays(
        [pa.array(column, pa.string()) for column in cells], [name for _, name in chosen]
    )
