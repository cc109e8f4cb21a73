"""What every text format shares: opening, unpacking, and the check that it is text at all."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple, cast

import numpy as np

from likelihead.errors import DataError

__all__ = ["LINE_LIMIT", "Found", "Stamp", "check_text", "open_bytes", "reading"]

#: A longer line than this is taken for a file that is no table.
LINE_LIMIT = 64 << 20

_CHUNK = 1 << 20
_MAGIC = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet (export it as CSV)"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet (export it as CSV)"),
    (b"PAR1", "a Parquet file (call it .parquet)"),
    (b"ARROW1", "an Arrow file (save it as .parquet)"),
    (b"\x1f\x8b", "gzip-compressed (let its name end in .gz)"),
    (b"BZh", "bzip2-compressed (unpack it)"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed (unpack it)"),
    (b"SQLite format", "an SQLite database (export the table as CSV)"),
)


class Found(NamedTuple):
    """What :func:`check_text` saw: the bytes of the longest line, and whether there is a double quote."""

    longest: int
    quotes: bool


class Stamp:
    """A file's size and time of change, to notice that it changed between two passes."""

    def __init__(self, path: str) -> None:
        self._path, self._seen = path, self._look(path)

    @staticmethod
    def _look(path: str) -> tuple[int, int]:
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns

    def check(self) -> None:
        """Raise a DataError if the file is not what it was."""
        if self._look(self._path) != self._seen:
            raise DataError("the file changed while it was in use: start again", path=self._path)


def open_bytes(path: str, encoding: str = "utf-8") -> IO[bytes]:
    """The file's bytes in UTF-8, unpacked where its name ends in ``.gz``."""
    if encoding != "utf-8":
        return cast("IO[bytes]", io.BufferedReader(_Recoded(open_bytes(path), encoding), _CHUNK))
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.lower().endswith(".gz") else open(path, "rb")


class _Recoded(io.RawIOBase):
    """Text of another encoding as UTF-8, piece by piece."""

    def __init__(self, raw: IO[bytes], encoding: str) -> None:
        self._raw, self._left, self._is_done = raw, b"", False
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left and not self._is_done:
            data = self._raw.read(_CHUNK)
            self._is_done = not data
            self._left = self._decoder.decode(data, self._is_done).encode()
        piece, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._raw.close()
        super().close()


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turns what opening, reading and unpacking raise into a DataError."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"the compressed file is damaged or cut off ({error}): make it anew", path=path
        ) from error
    except OSError as error:
        raise DataError(
            f"the file cannot be read ({error.strerror or error}): check it and its permissions", path=path
        ) from error


def check_text(path: str, header_lines: int, encoding: str = "utf-8") -> Found:
    """Make sure that a file is text of an encoding (UTF-8 unless another is asked for) without NUL bytes.

    Raises:
        DataError: the file is empty, binary, or not UTF-8; names the line and the byte.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = lines = longest = current = 0
    blank, quotes = True, False
    with reading(path), open_bytes(path, encoding) as handle:
        while chunk := _read(handle, path, encoding):
            if offset == 0:
                _refuse_magic(path, chunk)
            nul = chunk.find(b"\0")
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk if nul < 0 else chunk[:nul])
            except UnicodeDecodeError as error:
                raise _not_utf8(path, chunk, error.start - pending, offset, lines, header_lines) from error
            if nul >= 0:
                raise _at(
                    path, chunk, nul, offset, lines, header_lines, "a NUL byte: the file is binary or damaged"
                )
            quotes = quotes or b'"' in chunk
            blank = blank and not chunk.strip(b"\xef\xbb\xbf \t\r\n")
            data = np.frombuffer(chunk, np.uint8)
            ends = np.flatnonzero((data == 10) | (data == 13))
            if ends.size:
                longest = max(longest, current + int(ends[0]), int(np.diff(ends).max(initial=0)))
                current = len(chunk) - 1 - int(ends[-1])
            else:
                current += len(chunk)
            longest = max(longest, current)
            if longest > LINE_LIMIT:
                raise DataError(
                    f"near line {lines + 1} a line is longer than {LINE_LIMIT >> 20} MiB: "
                    "this is no table of rows",
                    path=path,
                )
            lines += chunk.count(b"\n")
            offset += len(chunk)
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise _not_utf8(path, b"", -pending, offset, lines, header_lines) from error
    if blank:
        raise DataError("the file is empty: check that it was written to its end", path=path)
    return Found(longest, quotes)


def _read(handle: IO[bytes], path: str, encoding: str) -> bytes:
    try:
        return handle.read(_CHUNK)
    except UnicodeError as error:
        raise DataError(
            f"the file is not text in {encoding} ({error}): name its encoding with --encoding", path=path
        ) from error


def _refuse_magic(path: str, chunk: bytes) -> None:
    for magic, name in _MAGIC:
        if chunk.startswith(magic):
            raise DataError(f"the file is not text but {name}", path=path)
    if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError("the file is UTF-16 text: save it as UTF-8, or give --encoding utf-16", path=path)


def _not_utf8(path: str, chunk: bytes, at: int, offset: int, lines: int, header_lines: int) -> DataError:
    byte = f"0x{chunk[at]:02x}" if 0 <= at < len(chunk) else "the last one"
    return _at(path, chunk, at, offset, lines, header_lines, f"byte {byte} is not UTF-8 text")


def _at(path: str, chunk: bytes, at: int, offset: int, lines: int, header_lines: int, what: str) -> DataError:
    line = lines + chunk[: max(at, 0)].count(b"\n") + 1
    row = line - header_lines
    return DataError(
        f"{what} (line {line}, byte {offset + at}): save the file as UTF-8 text, or name its encoding with "
        "--encoding",
        path=path,
        row=row if row > 0 else None,
    )
