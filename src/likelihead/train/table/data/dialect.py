"""How a text table is written: its encoding, what stands between cells, its quotes, and its first rows.

All of it is told from the head of the file, unless it was asked for.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from likelihead.errors import DataError, OptionError
from likelihead.train.table.data.text_file import LINE_LIMIT, open_bytes, reading

__all__ = ["SEPARATORS", "Dialect", "encoding_of", "read_dialect", "separator_of"]

#: What may stand between cells, with the words for those that are awkward to write.
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " ", "\\t": "\t"}

_HEAD_BYTES = 1 << 20
_HEAD_ROWS = 2000
_CANDIDATES = ",;\t|"
_EXCEL = re.compile(r'^"?sep=(.)"?$', re.IGNORECASE)
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# Bytes that no text in Windows-1252 has.
_UNUSED = re.compile(rb"[\x81\x8d\x8f\x90\x9d\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        encoding: a codec's name; ``utf-8`` with or without a byte order mark.
        separator: between cells.
        quote: around cells that hold it.
        skipped: lines above the header: blank ones, and Excel's ``sep=;``.
        header: the cells of the header.
        rows: those of the first rows below it.
        has_rows: whether there is any row.
    """

    encoding: str
    separator: str
    quote: str
    skipped: int
    header: list[str]
    rows: list[list[str]]
    has_rows: bool


def separator_of(asked: str) -> str:
    r"""A separator from how it is written on the command line.

    Raises:
        OptionError: it is no single character.

    >>> separator_of("tab"), separator_of(";"), separator_of("\\t")
    ('\t', ';', '\t')
    """
    found = SEPARATORS.get(asked.lower(), asked)
    if len(found) != 1 or found in "\"'\r\n" or found.isalnum() or ord(found) > 127:
        raise OptionError(
            f"separator is {asked!r}; expected one character, or one of {', '.join(list(SEPARATORS)[:5])}"
        )
    return found


def encoding_of(path: str, asked: str = "auto") -> str:
    """The encoding of a file: what was asked for, or what its head tells.

    A byte order mark and zero bytes tell UTF-16. Text that is not UTF-8 anywhere is taken for Windows-1252;
    where some of it is UTF-8 the file is damaged, and left to the reader to refuse.

    Raises:
        OptionError: there is no such encoding.
    """
    if asked != "auto":
        try:
            return codecs.lookup(asked).name
        except LookupError as error:
            raise OptionError(
                f"encoding is {asked!r}, which is unknown; expected utf-8, cp1252, latin-1, utf-16 or another"
            ) from error
    with reading(path), open_bytes(path) as handle:
        head = handle.read(_HEAD_BYTES)
        is_whole = not handle.read(1)
    for mark, name in _UTF16.items():
        if head.startswith(mark) and len(head) > 2:
            return name
    if len(head) >= 4 and 0 in head[:64]:
        # Text of mostly Latin letters: each second byte is zero.
        even, odd = head[0:2000:2], head[1:2000:2]
        for name, zeros, letters in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
            if zeros.count(0) > 0.7 * len(zeros) and 0 not in letters:
                return name
        return "utf-8"
    return "utf-8" if _is_utf8(head, is_whole) or not _is_western(head) else "cp1252"


def _is_utf8(head: bytes, is_whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=is_whole)
    except UnicodeDecodeError:
        return False
    return True


def _is_western(head: bytes) -> bool:
    """Whether bytes that are not UTF-8 are text in Windows-1252: letters beside letters, nothing of UTF-8."""
    if _UNUSED.search(head):
        return False
    loose = head.decode("utf-8", "surrogateescape")
    high = [char for char in loose if char > "\x7f"]
    bad = sum("\udc80" <= char <= "\udcff" for char in high)
    # A letter with an accent stands beside a plain one, a cut UTF-8 sequence often at the end.
    return (
        bad == len(high)
        and head[-1] < 0x80
        and bad <= 0.3 * len(head)
        and re.search(rb"[A-Za-z][\x80-\xfe]|[\x80-\xfe][A-Za-z]", head) is not None
    )


def read_dialect(path: str, separator: str = "auto", encoding: str = "utf-8") -> Dialect:
    """Look at a file's head.

    Args:
        path: the file; its encoding is verified already.
        separator: as asked for.
        encoding: of the file.

    Raises:
        DataError: the header's quotes do not match.
        OptionError: the separator is none.
    """
    with reading(path), open_bytes(path, encoding) as handle:
        text = io.TextIOWrapper(handle, encoding="utf-8-sig", newline="")
        # To the end of a line.
        head = text.read(_HEAD_BYTES) + text.readline()
        has_more = bool(text.read(1))
    lines = list(io.StringIO(head, newline=""))
    skipped = _blank(lines)
    match = _EXCEL.match(lines[skipped].strip("\r\n")) if skipped < len(lines) - 1 else None
    if match is not None:
        skipped += 1 + _blank(lines[skipped + 1 :])
    lines = lines[skipped:]
    quote = _quote(lines)
    if separator != "auto":
        chosen = separator_of(separator)
    elif match is not None:
        chosen = match[1]
    elif path.lower().removesuffix(".gz").endswith(".tsv"):
        chosen = "\t"
    else:
        chosen = _separator(lines, quote)
    rows = iter(_parsed(lines, chosen, quote))
    try:
        header = next(rows, [])
    except csv.Error as error:
        raise DataError(f"the header cannot be read ({error}): check its quotes", path=path) from error
    first: list[list[str]] = []
    # Quotes that do not match are told later, with their row.
    with contextlib.suppress(csv.Error):
        first.extend(islice((row for row in rows if row), _HEAD_ROWS))
    # Arrow takes a header without a line end for an empty file.
    has_rows = has_more or any(line.strip() for line in lines[1:])
    return Dialect(encoding, chosen, quote, skipped, header, first, has_rows)


def _blank(lines: list[str]) -> int:
    return next((index for index, line in enumerate(lines) if line.strip()), 0)


def _parsed(lines: Iterable[str], separator: str, quote: str) -> Iterable[list[str]]:
    limit = csv.field_size_limit(LINE_LIMIT)
    try:
        yield from csv.reader(lines, delimiter=separator, quotechar=quote)
    finally:
        csv.field_size_limit(limit)


def _separator(lines: list[str], quote: str) -> str:
    """The one that cuts the rows into as many cells as the header, and into the most of them."""
    best, chosen = (-1.0, 0), ","
    for candidate in _CANDIDATES:
        widths = _widths(lines[:200], candidate, quote)
        if not widths or widths[0] < 2:
            continue
        alike = [width == widths[0] for width in widths[1:]]
        score = (sum(alike) / len(alike) if alike else 0.0, widths[0])
        if score > best:
            best, chosen = score, candidate
    if best[1] == 0:
        widths = _widths(lines[:200], " ", quote)
        if len(widths) > 2 and widths[0] > 1 and len(set(widths)) == 1:
            return " "
    return chosen


def _widths(lines: list[str], separator: str, quote: str) -> list[int]:
    widths: list[int] = []
    with contextlib.suppress(csv.Error):
        widths.extend(len(row) for row in _parsed(lines, separator, quote) if row)
    return widths


def _quote(lines: list[str]) -> str:
    """A single quote where a column has all its cells in such."""
    sample = [line.strip("\r\n") for line in lines[1:60] if line.strip()]
    if len(sample) < 3 or any('"' in line for line in sample):
        return '"'
    for candidate in _CANDIDATES:
        rows = [[cell.strip() for cell in line.split(candidate)] for line in sample]
        width = len(rows[0])
        if width < 2 or any(len(row) != width for row in rows):
            continue
        for cells in zip(*rows, strict=True):
            if all(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in cells):
                return "'"
    return '"'
