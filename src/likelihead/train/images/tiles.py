"""Tiles: pieces of images to train on, and pieces with a margin whose answers join without a seam."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likelihead.train.images.network import ImageNet
from likelihead.train.images.pictures import Segmented, as_batch

__all__ = ["Piece", "cut", "drawn_starts", "pieces", "tiles_in", "windows"]

_BATCH_PIXELS = 2**17


def tiles_in(size: tuple[int, int], edges: tuple[int, int]) -> tuple[int, int]:
    """How many tiles an image counts as, down and across.

    >>> tiles_in((48, 130), (48, 64))
    (1, 3)
    """
    return -(-size[0] // edges[0]), -(-size[1] // edges[1])


def drawn_starts(length: int, edge: int, count: int, draw: np.random.Generator) -> list[int]:
    """Where ``count`` tiles begin along a side: one drawn in each of as many stretches of the same length.

    The stretches reach over both ends, where tiles are moved back into the image, so that its borders are
    seen often as well.
    """
    if length <= edge:
        return [0] * count
    low, high = -edge / 2, length - edge / 2
    places = low + (np.arange(count) + draw.random(count)) / count * (high - low)
    return [int(start) for start in np.clip(np.round(places), 0, length - edge)]


def cut(
    array: NDArray[Any], top: int, left: int, edges: tuple[int, int], fill: int | None = None
) -> NDArray[Any]:
    """A tile; where the image ends before it does, its border goes on, or ``fill`` follows."""
    tile = array[top : top + edges[0], left : left + edges[1]]
    missing = [(0, edges[0] - tile.shape[0]), (0, edges[1] - tile.shape[1]), *[(0, 0)] * (tile.ndim - 2)]
    if not any(after for _, after in missing):
        return tile
    if fill is None:
        return np.pad(tile, missing, mode="edge")
    return np.pad(tile, missing, constant_values=fill)


def windows(length: int, edge: int, margin: int) -> list[tuple[slice, slice]]:
    """A side in stretches of ``edge``: what each answers for, and what it sees, with a margin around.

    >>> windows(10, 4, 2)
    [(slice(0, 4, None), slice(0, 6, None)), (slice(4, 8, None), slice(2, 10, None)), \
(slice(8, 10, None), slice(6, 10, None))]
    """
    return [
        (slice(a, min(a + edge, length)), slice(max(a - margin, 0), min(a + edge + margin, length)))
        for a in range(0, length, edge)
    ]


def _meet(first: slice, second: slice) -> bool:
    return bool(first.start < second.stop and second.start < first.stop)


@dataclass(frozen=True)
class Piece:
    """The network's answer on a part of some images of one size.

    Attributes:
        indices: the images.
        rows, columns: the part.
        logits: ``[B, K, h, w]``.
    """

    indices: list[int]
    rows: slice
    columns: slice
    logits: Tensor

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """The same part of an array ``[H, W, ...]``."""
        part: NDArray[Any] = array[self.rows, self.columns]
        return part

    def classes(self, pictures: Segmented) -> Tensor:
        """The same part of the images' masks, ``[B, h, w]``."""
        masks = [self.of(pictures.mask(index)) for index in self.indices]
        return torch.from_numpy(np.stack(masks).astype(np.int64))


def pieces(
    model: ImageNet,
    pictures: Segmented,
    indices: Sequence[int],
    edges: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    part: tuple[slice, slice] | None = None,
) -> Iterator[Piece]:
    """The network's answers on whole images, or, where they are larger than a tile, piece by piece.

    A piece is seen with a margin as wide as the network's reach, at places that its coarsest level divides
    by; so its answer is that of the network on the whole image. The memory it takes does not depend on the
    image's size. With a ``part``, rows and columns, the pieces that lie outside of it are left out.
    """
    waiting: list[int] = []

    def answer(batch: list[int], rows: tuple[slice, slice], columns: tuple[slice, slice]) -> Piece:
        seen = [pictures.image(index)[rows[1], columns[1]] for index in batch]
        with torch.no_grad():
            logits = model(as_batch(seen, mean, std))
        top, left = rows[0].start - rows[1].start, columns[0].start - columns[1].start
        height, width = rows[0].stop - rows[0].start, columns[0].stop - columns[0].start
        logits = logits[..., top : top + height, left : left + width]
        return Piece(batch, rows[0], columns[0], logits)

    def whole(batch: list[int]) -> Piece:
        height, width = pictures.size(batch[0])
        return answer(batch, (slice(0, height),) * 2, (slice(0, width),) * 2)

    for index in indices:
        height, width = pictures.size(index)
        small = height <= edges[0] and width <= edges[1]
        if waiting and (not small or pictures.size(waiting[0]) != (height, width)):
            yield whole(waiting)
            waiting = []
        if small:
            waiting.append(index)
            if len(waiting) * height * width >= _BATCH_PIXELS:
                yield whole(waiting)
                waiting = []
            continue
        for rows in windows(height, edges[0], model.reach):
            for columns in windows(width, edges[1], model.reach):
                if part is None or (_meet(rows[0], part[0]) and _meet(columns[0], part[1])):
                    yield answer([index], rows, columns)
    if waiting:
        yield whole(waiting)
