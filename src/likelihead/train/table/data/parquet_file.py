"""Parquet: columns with types of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from likelihead.errors import DataError
from likelihead.train.table.data.source import check_names
from likelihead.train.table.data.text_file import Stamp

__all__ = ["ParquetFile"]

_BLOCK = 1 << 18


class ParquetFile:
    """A Parquet file, read a batch of rows at a time, whatever the size of its row groups."""

    default_target: str | None = None

    def __init__(self, path: str) -> None:
        self.path = path
        with self._opened() as file:
            self.names = tuple(file.schema_arrow.names)
        self._stamp = Stamp(path)
        check_names(path, self.names)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            # Without these, Arrow holds a whole row group in memory.
            with pq.ParquetFile(
                self.path, buffer_size=_BLOCK, pre_buffer=False, page_checksum_verification=True
            ) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, DataError):
                raise
            first_line = (str(error).splitlines() or ["no reason given"])[0].rstrip(".")
            raise DataError(
                f"the Parquet file is cut off, damaged or of another kind ({first_line}): make it anew",
                path=self.path,
            ) from error

    def batches(self, columns: Collection[str] | None = None) -> Iterator[Any]:
        """Record batches of the named columns."""
        self._stamp.check()
        chosen = [name for name in self.names if columns is None or name in columns]
        rows = min(65_536, max(64, _BLOCK // (8 * max(1, len(self.names)))))
        with self._opened() as file:
            for batch in file.iter_batches(batch_size=rows, columns=chosen, use_threads=False):
                if batch.num_rows:
                    yield batch
