"""The data sets that come with scikit-learn: real data, no network."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from likelihead.errors import DataError

__all__ = ["BUNDLED", "TableSource", "bundled"]

BUNDLED = ("iris", "digits", "wine", "breast-cancer")


class TableSource:
    """A table in memory."""

    def __init__(self, path: str, table: Any, default_target: str | None = None) -> None:
        self.path = path
        self.names: tuple[str, ...] = tuple(table.column_names)
        self.default_target = default_target
        self._table = table

    def batches(self, columns: Collection[str] | None = None) -> Iterator[Any]:
        """Record batches of the named columns."""
        names = [name for name in self.names if columns is None or name in columns]
        yield from self._table.select(names).to_batches(max_chunksize=8192)


def bundled(name: str) -> TableSource:
    """One of :data:`BUNDLED` as a table with its class names in the column ``target``.

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DataError(
            f"{name} comes with scikit-learn, which is not installed: pip install 'likelihead[train]'"
        ) from error

    loader = getattr(datasets, f"load_{name.replace('-', '_')}")
    data = loader()
    features = np.asarray(data.data, dtype=np.float64)
    columns = {str(column): pa.array(features[:, index]) for index, column in enumerate(data.feature_names)}
    names = [str(class_name) for class_name in data.target_names]
    columns["target"] = pa.array([names[index] for index in data.target])
    return TableSource(name, pa.table(columns), "target")
