"""Which reader a name belongs to."""

from __future__ import annotations

import os
from pathlib import Path

from likelihead.errors import DataError, OptionError
from likelihead.train.table.data.bundled import BUNDLED, bundled
from likelihead.train.table.data.csv_file import CsvFile
from likelihead.train.table.data.json_lines import JsonLines
from likelihead.train.table.data.parquet_file import ParquetFile
from likelihead.train.table.data.source import Source, near

__all__ = ["SUFFIXES", "open_source"]

_CSV, _JSON, _PARQUET = (".csv", ".tsv", ".txt"), (".jsonl", ".ndjson"), (".parquet", ".pq")

#: The endings of the files that are read; those of text also with ``.gz`` behind.
SUFFIXES = (*_CSV, *_JSON, *_PARQUET)


def open_source(name: str, *, separator: str = "auto", encoding: str = "auto") -> Source:
    """The bundled set or the file of this name.

    Args:
        name: of the set or the file.
        separator: of a CSV file; ``auto`` tells it from its head.
        encoding: likewise.

    Raises:
        OptionError: a separator or an encoding for what is no CSV file.
        DataError: there is no such set or file, or it is not one that can be read.
    """
    if name in BUNDLED:
        _only_csv(name, separator, encoding)
        return bundled(name)
    path = Path(name)
    _check_path(name, path)
    suffix = path.suffix.lower()
    packed = suffix == ".gz"
    if packed:
        suffix = Path(path.stem).suffix.lower()
    if suffix in _CSV:
        return CsvFile(name, separator, encoding)
    _only_csv(name, separator, encoding)
    if suffix in _JSON:
        return JsonLines(name)
    if suffix in _PARQUET and not packed:
        return ParquetFile(name)
    shown = "".join(path.suffixes[-2:]) if packed else path.suffix
    hint = "; one object per line is called .jsonl" if suffix == ".json" else ""
    raise DataError(
        f"{'files ending in ' + shown if shown else 'files without an ending'} are not read: give "
        f"{', '.join(SUFFIXES)} (text also with .gz){hint}",
        path=name,
    )


def _only_csv(name: str, separator: str, encoding: str) -> None:
    for option, value in (("--separator", separator), ("--encoding", encoding)):
        if value != "auto":
            raise OptionError(
                f"{option} {value} does not apply to {name}, which is no CSV file: leave it out"
            )


def _check_path(name: str, path: Path) -> None:
    if not name:
        raise DataError(f"the name of the data is empty: give a file or one of {', '.join(BUNDLED)}")
    try:
        if path.is_dir():
            raise DataError("this is a folder: name a file in it", path=name)
        if path.is_symlink() and not path.exists():
            raise DataError("this is a link that leads nowhere: mend it, or name the file itself", path=name)
        if not path.exists():
            # Names are compared without the folder, which is alike in all of them.
            beside = path.parent.iterdir() if path.parent.is_dir() else ()
            files = {entry.name: str(entry) for entry in beside if entry.is_file()}
            close = near(path.name, [*BUNDLED, *files])
            close = files.get(close, close) if close else None
            hint = f"did you mean {close!r}?" if close else f"the bundled sets are {', '.join(BUNDLED)}"
            raise DataError(f"there is no such file: {hint}", path=name)
        if not path.is_file():
            raise DataError(
                "this is no regular file, and it has to be read more than once: save it to a file", path=name
            )
        if not os.access(path, os.R_OK):
            raise DataError("the file may not be read: change its permissions", path=name)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"the file cannot be opened ({error}): check the name", path=name) from error
