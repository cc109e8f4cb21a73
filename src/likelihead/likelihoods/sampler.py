"""A sampler that draws every class equally often."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

from likelihead.errors import DTypeError, OptionError, ShapeError

__all__ = ["BalancedSampler"]


class BalancedSampler(Sampler[int]):
    """Row numbers such that every class comes up equally often, up to one.

    A rare class is repeated, each time in a new order; of a frequent class an epoch shows a part, a new one
    each time. The order depends on (seed, epoch) alone, so that a run that is resumed sees the same rows.

    Training on it changes the prior that the model learns to that of equally frequent classes: its
    probabilities are those of a balanced world, and `likelihead.evaluate.adjust_prior` brings them back.

    Args:
        target: class indices ``[N]``; rows with ``ignore_index`` are never drawn.
        num_samples: rows of an epoch; by default as many as there are that can be drawn.
        seed: of the order.
        ignore_index: a class index that is left out.

    Raises:
        OptionError: no row can be drawn.
        ShapeError, DTypeError: the target is no list of class indices.

    >>> sampler = BalancedSampler(torch.tensor([0, 0, 0, 0, 0, 1]))
    >>> sorted(torch.tensor([0, 0, 0, 0, 0, 1])[list(sampler)].tolist())
    [0, 0, 0, 1, 1, 1]

    Resumed in the middle of an epoch:

    >>> whole = list(sampler)
    >>> sampler.set_epoch(0, start=4)
    >>> list(sampler) == whole[4:]
    True
    """

    def __init__(
        self, target: Tensor, *, num_samples: int | None = None, seed: int = 0, ignore_index: int = -100
    ) -> None:
        if target.is_floating_point() or target.is_complex():
            raise DTypeError(f"target is {target.dtype}; expected class indices as integers.", code="LH202")
        if target.dim() != 1:
            raise ShapeError(f"target has shape {list(target.shape)}; expected [N], one class for each row.")
        if num_samples is not None and num_samples < 1:
            raise OptionError(f"num_samples is {num_samples}; expected at least 1, or None.")
        classes = target.detach().cpu().long()
        rows = (classes != ignore_index).nonzero().flatten()
        if not len(rows):
            raise OptionError("target has no row that counts; expected at least one class index.")
        classes, by_class = classes[rows].sort(stable=True)
        sizes = torch.unique_consecutive(classes, return_counts=True)[1].tolist()
        self.rows_of = torch.split(rows[by_class], sizes)
        self.num_samples = len(rows) if num_samples is None else num_samples
        self.seed, self.epoch, self.start = seed, 0, 0

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch, and how many of its rows have been seen already.

        Raises:
            OptionError: a start outside the epoch.
        """
        if not 0 <= start <= self.num_samples:
            raise OptionError(f"start is {start}; expected 0 to {self.num_samples}, the rows of an epoch.")
        self.epoch, self.start = epoch, start

    def order(self, epoch: int) -> Tensor:
        """All row numbers of an epoch, in their order."""
        digest = hashlib.sha256(f"balanced {self.seed} {epoch}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        quota, left = divmod(self.num_samples, len(self.rows_of))
        # Which classes get one more is drawn anew for each epoch.
        favoured = set(torch.randperm(len(self.rows_of), generator=generator)[:left].tolist())
        drawn = []
        for index, rows in enumerate(self.rows_of):
            wanted = quota + (index in favoured)
            # Whole passes over the rows, each in an order of its own, before any comes up once more.
            keys = torch.rand(-(-wanted // len(rows)), len(rows), generator=generator, dtype=torch.float64)
            drawn.append(rows[keys.argsort(dim=1, stable=True).flatten()[:wanted]])
        together = torch.cat(drawn)
        return together[torch.randperm(len(together), generator=generator)]

    def __iter__(self) -> Iterator[int]:
        yield from self.order(self.epoch)[self.start :].tolist()

    def __len__(self) -> int:
        return self.num_samples - self.start
