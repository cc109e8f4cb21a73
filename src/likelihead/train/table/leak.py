"""Columns that give the target away: one alone predicts it almost perfectly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from likelihead.train.table.data import Dataset, Schema
from likelihead.train.table.network import EVAL_BATCH

__all__ = ["leaks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Of the rows that a rule has not seen, the share that it gets right for a warning.
_RIGHT = 0.995
#: What is left of the mistakes (or of the variance) of the best constant, at most.
_LEFT = 0.02
_VARIANCE_LEFT = 1e-3
_LEAST_ROWS = 20
_ROWS_FOR_BLOCKS = 50
_CELLS = 4_000_000
_ROWS = 20_000
_LABELS = 20


def leaks(data: Dataset) -> list[str]:
    """A warning for each column that alone predicts the target almost perfectly.

    The training rows, or the first of many, are halved. On each half a rule of one column is learnt and asked
    about the other: a text's rule is the class that it most often has, a number's is the class of the nearest
    number, which finds any division into intervals. A text that differs in every row is no feature and a rule
    of it says nothing of other rows.

    Args:
        data: the data set; its training rows alone are looked at.
    """
    schema = data.schema
    if schema.soft or len(data.train) < _LEAST_ROWS:
        return []
    features, target = _sample(data)
    if len(features) < _LEAST_ROWS:
        return []
    found: list[str] = []
    at = 0
    for column in schema.columns:
        width = len(column.feature_names)
        cells = features[:, at : at + width]
        at += width
        # One number for each text, whose distances mean nothing: only equals are compared.
        is_text = column.kind in ("category", "boolean")
        values = cells @ np.arange(1.0, width + 1) if column.kind == "category" else cells[:, 0]
        found += [_warning(column.name, what) for what in _given_away(schema, values, target, is_text)]
    return found


def _warning(column: str, what: str) -> str:
    return (
        f"warning: {column} alone gives {what} away; if it is known only together with the target, take it "
        "out of the data"
    )


def _sample(data: Dataset) -> tuple[Floats, Floats]:
    most = max(_LEAST_ROWS, min(_ROWS, _CELLS // max(1, data.num_features)))
    parts: list[tuple[Floats, Floats]] = []
    held = 0
    for features, target in _batches(data):
        parts.append((features, target))
        held += len(features)
        if held >= most:
            break
    features = np.concatenate([part[0] for part in parts])[:most]
    return features, np.concatenate([part[1] for part in parts])[:most]


def _batches(data: Dataset) -> Iterator[tuple[Floats, Floats]]:
    import torch

    for features, target in data.train.batches(EVAL_BATCH, dtype=torch.float64, shuffle=True):
        yield features.numpy(), target.numpy()


def _given_away(schema: Schema, values: Floats, target: Floats, is_text: bool) -> Iterator[str]:
    """What of the target a column's values give away, in words."""
    if schema.numeric:
        if not is_text and _variance_left(values, target) <= _VARIANCE_LEFT:
            yield f"the target ({schema.target.columns[0]})"
        return
    if schema.task == "multilabel":
        for index, name in enumerate(schema.target.names[:_LABELS]):
            if _is_given_away(values, target[:, index].astype(np.int64), is_text):
                yield f"the label {name}"
        return
    if _is_given_away(values, target.astype(np.int64), is_text):
        yield f"the target ({schema.target.columns[0]})"


def _is_given_away(values: Floats, classes: Ints, is_text: bool) -> bool:
    counts = np.bincount(classes)
    rows, wrong_without = len(classes), len(classes) - int(counts.max())
    # A class of a few rows would be found by chance.
    if wrong_without < 5:
        return False
    if not is_text and rows >= _ROWS_FOR_BLOCKS and _in_blocks(values, classes):
        return True
    wrong = 0
    most = min((1 - _RIGHT) * rows, _LEFT * wrong_without)
    rule = _by_text if is_text else _by_nearest
    for one, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        said = rule(values[one], classes[one], values[other], len(counts))
        wrong += int((said != classes[other]).sum())
        if wrong > most:
            return False
    return True


def _in_blocks(values: Floats, classes: Ints) -> bool:
    """Whether each class has an interval of its own, as where rows were numbered class after class."""
    order = np.lexsort((classes, values))
    sorted_values, sorted_classes = values[order], classes[order]
    changes = np.flatnonzero(sorted_classes[1:] != sorted_classes[:-1])
    apart = bool((sorted_values[changes + 1] != sorted_values[changes]).all())
    return apart and len(changes) + 1 == len(np.unique(classes))


def _by_text(known: Floats, classes: Ints, asked: Floats, count: int) -> Ints:
    """The class that each value most often has; the most frequent of all for a new value."""
    distinct, codes = np.unique(known, return_inverse=True)
    table = np.zeros((len(distinct), count), dtype=np.int64)
    np.add.at(table, (codes.ravel(), classes), 1)
    best = table.argmax(1)
    place = np.searchsorted(distinct, asked).clip(max=len(distinct) - 1)
    other = int(np.bincount(classes).argmax())
    return np.where(distinct[place] == asked, best[place], other)


def _by_nearest(known: Floats, classes: Ints, asked: Floats, count: int) -> Ints:
    """The class that the nearest value most often has."""
    distinct, codes = np.unique(known, return_inverse=True)
    if count * len(distinct) > _CELLS:
        return np.full(len(asked), -1, dtype=np.int64)
    table = np.zeros((len(distinct), count), dtype=np.int64)
    np.add.at(table, (codes.ravel(), classes), 1)
    return np.asarray(table.argmax(1)[_nearest(distinct, asked)], dtype=np.int64)


def _nearest(distinct: Floats, asked: Floats) -> Ints:
    after = np.searchsorted(distinct, asked).clip(1, max(1, len(distinct) - 1))
    if len(distinct) == 1:
        return np.zeros(len(asked), dtype=np.int64)
    is_before = asked - distinct[after - 1] <= distinct[after] - asked
    return np.asarray(np.where(is_before, after - 1, after), dtype=np.int64)


def _variance_left(values: Floats, target: Floats) -> float:
    """The share of the target's variance that is left after drawing lines between neighbours."""
    left = 0.0
    for one, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        distinct, codes = np.unique(values[one], return_inverse=True)
        sums = np.bincount(codes.ravel(), weights=target[one])
        means = sums / np.bincount(codes.ravel())
        said = np.interp(values[other], distinct, means)
        left += float(np.square(said - target[other]).sum())
    total = float(np.square(target - target.mean()).sum())
    return left / total if total > 0 else 1.0
