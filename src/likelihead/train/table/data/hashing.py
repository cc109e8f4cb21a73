"""The integer hash behind the split and the shuffle.

Both are functions of the row's number and a seed alone: no generator's state has to be kept or
restored, the answer is the same whether a file is held in memory or streamed, and on every machine.
The hash is SplitMix64's finaliser (Steele, Lea and Flood, 2014), applied twice with the key between.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["hash_rows", "in_test", "key"]

UInts: TypeAlias = NDArray[np.uint64]
Ints: TypeAlias = NDArray[np.int64]

_MASK = (1 << 64) - 1
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _mix(values: UInts) -> UInts:
    values = values + np.uint64(_GOLDEN)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_FIRST)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_SECOND)
    mixed: UInts = values ^ (values >> np.uint64(31))
    return mixed


def _mix_one(value: int) -> int:
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)


def key(*parts: int) -> int:
    """One 64-bit key out of several integers; their order counts.

    >>> key(0, 1) != key(1, 0)
    True
    """
    folded = 0
    for part in parts:
        folded = _mix_one(folded ^ _mix_one(part & _MASK))
    return folded


def hash_rows(rows: Ints, key: int) -> UInts:
    """A 64-bit hash of each row number under a key.

    >>> hash_rows(np.array([1, 2]), 0).tolist() == hash_rows(np.array([2, 1]), 0).tolist()[::-1]
    True
    """
    return _mix(_mix(rows.astype(np.uint64)) ^ np.uint64(key))


def in_test(rows: Ints, seed: int, fraction: float) -> NDArray[np.bool_]:
    """Whether each row belongs to the test rows: its hash, as a number in [0, 1), is below ``fraction``.

    >>> bool(in_test(np.arange(1, 5), 0, 0.0).any())
    False
    """
    unit = (hash_rows(rows, key(seed)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    test: NDArray[np.bool_] = unit < fraction
    return test
