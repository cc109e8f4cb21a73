"""A data set, ready to train on: its splits yield batches of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.likelihoods.sampler import BalancedSampler
from likelihead.train.table.data.hashing import Ints, hash_rows, key
from likelihead.train.table.data.schema import Schema, Task
from likelihead.train.table.data.source import Source, raw_rows
from likelihead.train.table.data.stream import Block, Blocks, in_order, mixed

__all__ = ["Batch", "Dataset", "Split"]


class Batch(NamedTuple):
    """Some rows as tensors.

    Attributes:
        features, target: as :meth:`Split.batches` says.
        rows: ``[B]``, the rows' numbers.
        weight: ``[B]``, what each counts; None where each counts once.
    """

    features: Tensor
    target: Tensor
    rows: Tensor
    weight: Tensor | None


class Split:
    """Some of the rows: the training rows, the test rows or all of them.

    Attributes:
        name: ``train``, ``test`` or ``all``.
    """

    def __init__(
        self,
        name: str,
        size: int,
        *,
        blocks: Blocks,
        window: int,
        held: Block | None = None,
        index: Ints | None = None,
    ) -> None:
        self.name = name
        self._size, self._blocks, self._window = size, blocks, window
        self._held, self._index = held, index
        self._sampler: BalancedSampler | None = None

    def __len__(self) -> int:
        """The number of rows."""
        return self._size

    @property
    def in_memory(self) -> bool:
        """Whether the encoded rows are held; otherwise each pass reads the file again."""
        return self._held is not None

    def num_batches(self, batch_size: int) -> int:
        """How many batches an epoch has; the last one may be smaller."""
        return -(-self._size // _checked(batch_size))

    def batches(
        self,
        batch_size: int,
        *,
        epoch: int = 0,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        start: int = 0,
        shuffle: bool = True,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch.

        The order depends on (seed, epoch) alone, and on the memory budget where the rows are streamed:
        held rows are sorted by a hash; streamed rows pass through a buffer that gives away a random half
        whenever it is full, so a row moves about as far as the buffer is long.

        Args:
            batch_size: rows per batch.
            epoch: the order's first ingredient.
            seed: its second.
            dtype: of the features and of a target that is not a class index.
            start: how many batches to leave out, for going on where an epoch was left.
            shuffle: False for the file's order.

        Shape:
            - features: ``[B, num_features]``.
            - target: ``[B]`` int64 class indices or ``[B, C]`` probabilities (multiclass), ``[B]`` 0 or 1
              (binary), ``[B, L]`` 0 or 1 (multilabel), ``[B]`` standardised values (regression).

        Raises:
            OptionError: the split has no target, or ``batch_size`` or ``start`` is out of range.
        """
        for features, target, _ in self.numbered_batches(
            batch_size, epoch=epoch, seed=seed, dtype=dtype, start=start, shuffle=shuffle
        ):
            yield features, target

    def numbered_batches(
        self,
        batch_size: int,
        *,
        epoch: int = 0,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        start: int = 0,
        shuffle: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The batches with the row numbers ``[B]``, int64, as the third tensor."""
        for features, target, rows, _ in self.weighted_batches(
            batch_size, epoch=epoch, seed=seed, dtype=dtype, start=start, shuffle=shuffle
        ):
            yield features, target, rows

    def weighted_batches(
        self,
        batch_size: int,
        *,
        epoch: int = 0,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        start: int = 0,
        shuffle: bool = False,
    ) -> Iterator[Batch]:
        """The batches with the row numbers and the sample weights."""
        for block in self._ordered(batch_size, epoch=epoch, seed=seed, start=start, shuffle=shuffle):
            yield self._tensors(block, dtype)

    def _tensors(self, block: Block, dtype: torch.dtype) -> Batch:
        if block.target is None:
            raise OptionError("the file was read without its target: load it with need_target=True")
        target = torch.from_numpy(block.target)
        return Batch(
            torch.from_numpy(block.features).to(dtype),
            target.to(dtype) if target.is_floating_point() else target,
            torch.from_numpy(block.rows),
            None if block.weight is None else torch.from_numpy(block.weight).to(dtype),
        )

    def balanced_batches(
        self,
        batch_size: int,
        *,
        epoch: int = 0,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        start: int = 0,
    ) -> Iterator[Batch]:
        """As many rows as there are, every class drawn equally often, in batches with their row numbers.

        Raises:
            OptionError: the rows are not held in memory, or an option is out of range.
        """
        held, index = self._held, self._index
        if held is None or held.target is None or index is None:
            raise OptionError(
                "--resample balanced draws rows again and again, and these are streamed from the file; "
                "give more --memory, or use --class-weight balanced"
            )
        if self._sampler is None or self._sampler.seed != seed:
            classes = torch.from_numpy(held.target[index]).long()
            self._sampler = BalancedSampler(classes, seed=seed)
        order = index[self._sampler.order(epoch).numpy()]
        for first in range(start * _checked(batch_size), len(order), batch_size):
            block = held.take(order[first : first + batch_size])
            yield self._tensors(block, dtype)

    def feature_batches(
        self, batch_size: int, *, dtype: torch.dtype = torch.float32
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Features and row numbers in the file's order, for predicting; needs no target."""
        for features, rows, _ in self.weighted_features(batch_size, dtype=dtype):
            yield features, rows

    def weighted_features(
        self, batch_size: int, *, dtype: torch.dtype = torch.float32
    ) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """:meth:`feature_batches` with the sample weights; None where each row counts once."""
        for block in self._ordered(batch_size, epoch=0, seed=0, start=0, shuffle=False):
            weight = None if block.weight is None else torch.from_numpy(block.weight).to(dtype)
            yield torch.from_numpy(block.features).to(dtype), torch.from_numpy(block.rows), weight

    def _ordered(
        self, batch_size: int, *, epoch: int, seed: int, start: int, shuffle: bool
    ) -> Iterator[Block]:
        _checked(batch_size)
        if start < 0:
            raise OptionError(f"start is {start}: give the number of batches to leave out, 0 or more")
        if self._held is not None:
            yield from self._from_memory(self._held, batch_size, key(seed, epoch) if shuffle else None, start)
        elif shuffle:
            yield from mixed(self._blocks(), batch_size, self._window, key(seed, epoch), start)
        else:
            yield from in_order(self._blocks(), batch_size, start)

    def _from_memory(
        self, held: Block, batch_size: int, order_key: int | None, start: int
    ) -> Iterator[Block]:
        order = np.arange(len(held), dtype=np.int64) if self._index is None else self._index
        if order_key is not None:
            order = order[np.argsort(hash_rows(held.rows[order], order_key), kind="stable")]
        for first in range(start * batch_size, self._size, batch_size):
            yield held.take(order[first : first + batch_size])


def _checked(batch_size: int) -> int:
    if batch_size < 1:
        raise OptionError(f"batch_size is {batch_size}: give a number of rows, 1 or more")
    return batch_size


@dataclass
class Dataset:
    """Rows to train and test on, or a file read by the schema of a model.

    Attributes:
        path: the file, or the bundled set's name.
        schema: columns, target and split.
        train, test: the two parts; ``train`` is empty for a file read by :func:`load_for_schema`.
        all: every row in the file's order.
        notes: what was inferred, imputed and left out, one sentence each.
        calibration: rows that are neither trained nor tested on; None where none were asked for.
    """

    path: str
    schema: Schema
    train: Split
    test: Split
    all: Split
    source: Source
    notes: list[str] = field(default_factory=list)
    calibration: Split | None = None

    @property
    def task(self) -> Task:
        """``binary``, ``multiclass``, ``multilabel`` or ``regression``."""
        return self.schema.task

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The encoded features' names."""
        return self.schema.feature_names

    @property
    def num_features(self) -> int:
        """The network's number of inputs."""
        return self.schema.num_features

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of their indices."""
        return self.schema.classes

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of a multilabel task."""
        return self.schema.labels

    @property
    def num_outputs(self) -> int:
        """The network's number of outputs."""
        return self.schema.num_outputs

    @property
    def class_counts(self) -> tuple[float, ...]:
        """How many training rows each class or label has."""
        return self.schema.target.counts

    def raw_rows(self, rows: Iterable[int]) -> dict[int, dict[str, str]]:
        """The cells of some rows as the file has them, by row number; one pass over the file."""
        return raw_rows(self.source, rows)

    def describe(self) -> str:
        """One line: rows, features, task, and whether the rows are held or streamed."""
        outputs = self.schema.target.names
        named = (
            f" of {len(outputs)} {'labels' if self.task == 'multilabel' else 'classes'}" if outputs else ""
        )
        features = "feature" if self.num_features == 1 else "features"
        held = f"{len(self.calibration)} to calibrate, " if self.calibration is not None else ""
        where = "held in memory" if self.all.in_memory else "streamed from the file"
        parts = f"{len(self.train)} to train on, {held}{len(self.test)} to test"
        return (
            f"{self.path}: {len(self.all)} rows ({parts}), "
            f"{self.num_features} {features}, {self.task}{named}, {where}"
        )
