"""The data sets that come with scikit-learn, and two made of its digits: real data, no network."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from likelihead.errors import DataError
from likelihead.train.table.data.hashing import Ints, hash_rows, key

__all__ = ["BUNDLED", "LONG_TAIL", "ONE_VS_REST", "TableSource", "bundled", "trainable"]

LONG_TAIL, ONE_VS_REST = "digits-long-tail", "digits-one-vs-rest"

BUNDLED = ("iris", "digits", "wine", "breast-cancer", LONG_TAIL, ONE_VS_REST)

#: How many times more often the first digit of ``digits-long-tail`` is trained on than the last.
LONG_TAIL_RATIO = 50
#: What ``digits-one-vs-rest`` tells from the others: the digit that the others are most often taken for.
RARE_DIGIT = "8"

_ORIGINALS = {LONG_TAIL: "digits", ONE_VS_REST: "digits"}


class TableSource:
    """A table in memory."""

    def __init__(self, path: str, table: Any, default_target: str | None = None) -> None:
        self.path = path
        self.names: tuple[str, ...] = tuple(table.column_names)
        self.default_target = default_target
        self._table = table

    def column(self, name: str) -> Any:
        """One column as a whole."""
        return self._table.column(name)

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

    loader = getattr(datasets, f"load_{_ORIGINALS.get(name, name).replace('-', '_')}")
    data = loader()
    features = np.asarray(data.data, dtype=np.float64)
    columns = {str(column): pa.array(features[:, index]) for index, column in enumerate(data.feature_names)}
    names = [str(class_name) for class_name in data.target_names]
    target = [names[index] for index in data.target]
    if name == ONE_VS_REST:
        # The positive class of a binary task is the second by its name.
        target = ["eight" if digit == RARE_DIGIT else "any other" for digit in target]
    columns["target"] = pa.array(target)
    return TableSource(name, pa.table(columns), "target")


def trainable(name: str) -> Ints | None:
    r"""The only rows of a bundled set that may be trained on; None for all of any other data.

    Of ``digits-long-tail`` class k keeps the share :math:`50^{-k/9}` of its rows: all zeros and every
    fiftieth nine. Only training is thinned. The test rows are those of ``digits`` under the same seed, every
    digit about as often as the others: a recall measured on one or two rows would say nothing.
    """
    if name != LONG_TAIL:
        return None
    digits = np.array(bundled(name).column("target").to_pylist(), dtype=np.int64)
    kept = []
    for digit in range(10):
        rows = np.flatnonzero(digits == digit) + 1
        share = LONG_TAIL_RATIO ** (-digit / 9)
        in_order = rows[np.argsort(hash_rows(rows, key(digit)), kind="stable")]
        kept.append(in_order[: round(share * len(rows))])
    return np.sort(np.concatenate(kept))
