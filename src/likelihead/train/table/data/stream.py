"""Blocks of encoded rows, and an order for them that needs bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from likelihead.train.table.data.hashing import Ints, hash_rows, key

__all__ = ["Block", "Blocks", "in_order", "join", "mixed"]


@dataclass(frozen=True)
class Block:
    """Encoded rows: their numbers, features and targets (None where the file is only predicted on).

    ``weight`` is None where each row counts once.
    """

    rows: Ints
    features: NDArray[np.float64]
    target: NDArray[np.float64] | Ints | None
    weight: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: slice | NDArray[np.int64] | NDArray[np.bool_]) -> Block:
        """Some of the rows, as a copy, so that no view keeps a whole block alive."""
        target: Any = None if self.target is None else self.target[chosen].copy()
        weight = None if self.weight is None else self.weight[chosen].copy()
        return Block(self.rows[chosen].copy(), self.features[chosen].copy(), target, weight)


Blocks: TypeAlias = Callable[[], Iterator[Block]]


def join(blocks: Sequence[Block]) -> Block:
    """One block out of several."""
    targets: list[Any] = [block.target for block in blocks if block.target is not None]
    weights = [block.weight for block in blocks if block.weight is not None]
    return Block(
        np.concatenate([block.rows for block in blocks]),
        np.concatenate([block.features for block in blocks]),
        np.concatenate(targets) if targets else None,
        np.concatenate(weights) if weights else None,
    )


def in_order(blocks: Iterator[Block], batch_size: int, start: int = 0) -> Iterator[Block]:
    """Batches of ``batch_size`` rows in the order of the blocks; the first ``start`` are left out."""
    waiting: list[Block] = []
    held = 0
    skip = start * batch_size
    for block in blocks:
        if skip >= len(block):
            skip -= len(block)
            continue
        piece = block.take(slice(skip, None)) if skip else block
        skip = 0
        waiting.append(piece)
        held += len(piece)
        if held < batch_size:
            continue
        joined = join(waiting)
        whole = held - held % batch_size
        for first in range(0, whole, batch_size):
            yield joined.take(slice(first, first + batch_size))
        waiting = [joined.take(slice(whole, None))] if held > whole else []
        held -= whole
    if held:
        yield join(waiting)


def mixed(
    blocks: Iterator[Block], batch_size: int, window: int, order_key: int, start: int = 0
) -> Iterator[Block]:
    """The rows in an order that mixes them over about ``window`` rows, in batches.

    A buffer of ``window`` rows fills, gives away a half chosen by a hash of the row numbers, and fills
    again; what is left at the end comes in hashed order. The order depends on the blocks' rows, the
    window and the key, and on nothing else.
    """
    return in_order(_halves(blocks, max(2, window), order_key), batch_size, start)


def _halves(blocks: Iterator[Block], window: int, order_key: int) -> Iterator[Block]:
    waiting: list[Block] = []
    held = step = 0
    for block in blocks:
        first = 0
        while first < len(block):
            piece = block.take(slice(first, first + window - held))
            first += len(piece)
            waiting.append(piece)
            held += len(piece)
            if held < window:
                continue
            joined = join(waiting)
            order = np.argsort(hash_rows(joined.rows, key(order_key, step)), kind="stable")
            step += 1
            half = window // 2
            yield joined.take(order[:half])
            # Kept rows stay in the file's order: their next hash decides anew.
            waiting = [joined.take(np.sort(order[half:]))]
            held -= half
    if held:
        joined = join(waiting)
        yield joined.take(np.argsort(hash_rows(joined.rows, key(order_key, step)), kind="stable"))
