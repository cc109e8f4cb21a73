"""What a step is given: rows of tokens and the tokens that follow, packed or padded.

Both are functions of the texts, the options and the number of the step, so that a resumed run goes on with
the same batches. Each pass takes the documents in another order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likelihead.train.language.corpus import Text

__all__ = ["IGNORED", "Batch", "Batches", "Packed", "Padded"]

IGNORED = -100
"""The target that is not scored: padding."""


@dataclass(frozen=True)
class Batch:
    """Rows of a step.

    Attributes:
        inputs: ``[B, T]`` token ids.
        targets: ``[B, T]``, the token behind each input; ``IGNORED`` in the padding.
        goes_on: whether each row goes on where the row of the step before ended.
    """

    inputs: Tensor
    targets: Tensor
    goes_on: bool


class Batches(ABC):
    """The batches of one pass after another.

    Attributes:
        per_pass: steps in a pass over the texts.
    """

    per_pass: int

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from the run's start."""


class Packed(Batches):
    """All documents one after another, cut into as many streams as a batch has rows.

    A step takes the next ``context`` tokens of each stream, so that a recurrent state can be carried on. No
    token is left out: the last stream's end is padded.

    Args:
        text: the training text.
        rows: of a batch; no more than there are tokens.
        context: tokens in a row.
        seed: of the documents' order.
    """

    def __init__(self, text: Text, rows: int, context: int, seed: int) -> None:
        self.text, self.context, self.seed = text, context, seed
        # The last document is followed by one more separator, which is a target alone.
        self.rows = min(rows, text.tokens)
        self.length = -(-text.tokens // self.rows)
        self.per_pass = -(-self.length // context)
        self._order: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None

    def batch(self, step: int) -> Batch:
        """The next tokens of each stream."""
        number, chunk = divmod(step, self.per_pass)
        begin = chunk * self.context
        length = min(self.context, self.length - begin)
        taken = np.full((self.rows, length + 1), -1, dtype=np.int64)
        for row in range(self.rows):
            found = self._take(number, row * self.length + begin, length + 1)
            taken[row, : len(found)] = found
        inputs, targets = torch.from_numpy(taken[:, :-1]), torch.from_numpy(taken[:, 1:])
        separator = int(self.text.ids[0])
        return Batch(
            torch.where(inputs < 0, separator, inputs),
            torch.where(targets < 0, IGNORED, targets),
            goes_on=chunk > 0,
        )

    def _take(self, number: int, begin: int, length: int) -> NDArray[np.int64]:
        """Tokens of the stream of a pass, up to its end."""
        order, ends = self._pass(number)
        parts = []
        total = self.text.tokens
        at, end = begin, min(begin + length, total)
        document = int(np.searchsorted(ends, at, side="right"))
        while at < end:
            ids = self.text.document(int(order[document]))
            first = at - (int(ends[document]) - len(ids))
            part = ids[first : first + end - at]
            parts.append(part)
            at += len(part)
            document += 1
        if begin <= total < begin + length:
            parts.append(self.text.ids[:1])  # the separator behind the last document
        return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)

    def _pass(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The documents' order in a pass, and where each ends."""
        if self._order is None or self._order[0] != number:
            order = _shuffled(len(self.text), self.seed, number)
            sizes = np.diff(self.text.starts)
            self._order = number, order, np.cumsum(sizes[order])
        return self._order[1:]


class Padded(Batches):
    """Rows of one document each, in any order; shorter rows are padded, and the padding is not scored.

    A document longer than the context becomes several rows.

    Args:
        text: the training text.
        rows: of a batch.
        context: most tokens in a row.
        seed: of the rows' order.
    """

    def __init__(self, text: Text, rows: int, context: int, seed: int) -> None:
        self.text, self.context, self.seed = text, context, seed
        self.rows = rows
        per_document = -(-np.diff(text.starts) // context)
        self._document = np.repeat(np.arange(len(text)), per_document)
        self._chunk = np.arange(len(self._document)) - np.repeat(
            np.cumsum(per_document) - per_document, per_document
        )
        self.per_pass = -(-len(self._document) // rows)
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def batch(self, step: int) -> Batch:
        """The next rows, as wide as the longest."""
        number, chunk = divmod(step, self.per_pass)
        if self._order is None or self._order[0] != number:
            self._order = number, _shuffled(len(self._document), self.seed, number)
        found = [self.row(int(i)) for i in self._order[1][chunk * self.rows : (chunk + 1) * self.rows]]
        return padded(found, int(self.text.ids[0]), max(len(row) for row in found) - 1)

    def row(self, index: int) -> NDArray[np.int64]:
        """The tokens of a row, and the one behind them."""
        begin = int(self._chunk[index]) * self.context
        ids = self.text.document(int(self._document[index]))
        row = ids[begin : begin + self.context + 1].astype(np.int64)
        ended = begin + self.context >= len(ids)
        return np.append(row, int(self.text.ids[0])) if ended else row


def padded(rows: list[NDArray[np.int64]], separator: int, width: int) -> Batch:
    """Rows of different lengths as one batch of a width; what is behind a row's end is not scored."""
    inputs = np.full((len(rows), width), separator, dtype=np.int64)
    targets = np.full((len(rows), width), IGNORED, dtype=np.int64)
    for i, row in enumerate(rows):
        inputs[i, : len(row) - 1] = row[:-1]
        targets[i, : len(row) - 1] = row[1:]
    return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), goes_on=False)


def _shuffled(count: int, seed: int, number: int) -> NDArray[np.int64]:
    """An order of ``count`` things; NumPy keeps the bits of this generator from version to version."""
    key = np.random.Philox(key=np.array([seed, number], dtype=np.uint64))
    return np.argsort(key.random_raw(count), kind="stable")
