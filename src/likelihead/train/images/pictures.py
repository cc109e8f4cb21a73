"""Images by number, with what is known of each: read when they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likelihead.errors import DataError
from likelihead.train.images.decode import read_image, scaled, unit
from likelihead.train.images.large import in_file
from likelihead.train.images.masks import encoded, raw_mask
from likelihead.train.images.schema import Coding

__all__ = ["CACHE_BYTES", "MaskedFiles", "Pictures", "Scaled", "Segmented", "Side", "Targets", "as_batch"]

CACHE_BYTES = 2**28
"""Decoded images and masks that are kept."""


_FILES = 4
"""Large ones that are kept, in temporary files."""


class Pictures(Protocol):
    """Images by number."""

    @property
    def names(self) -> Sequence[str]:
        """Of the files."""

    def image(self, index: int) -> NDArray[Any]:
        """``[H, W, C]``, uint8 or uint16."""


class Segmented(Pictures, Protocol):
    """Images with masks."""

    def size(self, index: int) -> tuple[int, int]:
        """Height and width."""

    def mask(self, index: int) -> NDArray[np.int16]:
        """``[H, W]``, class indices or :data:`likelihead.train.images.schema.IGNORE`."""


class Targets(Pictures, Protocol):
    """Images with a class or with labels."""

    def target(self, index: int) -> NDArray[Any]:
        """``[]``, the class's index, or ``[L]`` labels."""


class _Cache:
    """The arrays that were asked for last, up to so many bytes of memory, and a few in files.

    An image and its mask are always kept, or each tile of a large one would decode both again.
    """

    def __init__(self, budget: int = CACHE_BYTES) -> None:
        self._budget, self._bytes, self._files = budget, 0, 0
        self._kept: OrderedDict[tuple[str, int], NDArray[Any]] = OrderedDict()

    def get(self, kind: str, index: int, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        key = (kind, index)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        array = make()
        self._kept[key] = array
        self._count(array, 1)
        while (self._bytes > self._budget or self._files > _FILES) and len(self._kept) > 2:
            _, old = self._kept.popitem(last=False)
            self._count(old, -1)
        return array

    def _count(self, array: NDArray[Any], sign: int) -> None:
        if in_file(array):
            self._files += sign
        else:
            self._bytes += sign * array.nbytes


class MaskedFiles:
    """Image files, and the masks of each where they have any.

    Args:
        images, masks: the files.
        sizes: height and width of each image; empty to read them when they are asked for.
        channels: 1 or 3.
        coding, classes: of the masks.
    """

    def __init__(
        self,
        images: Sequence[Path],
        masks: Sequence[Path],
        sizes: Sequence[tuple[int, int]],
        channels: int,
        coding: Coding | None,
        classes: Sequence[str],
    ) -> None:
        self._images, self._masks, self._sizes = images, masks, sizes
        self._channels, self._coding, self._classes = channels, coding, classes
        self.names: Sequence[str] = [path.name for path in images]
        self._cache = _Cache()

    def __len__(self) -> int:
        return len(self._images)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width."""
        return self._sizes[index] if self._sizes else self.image(index).shape[:2]

    def image(self, index: int) -> NDArray[Any]:
        """``[H, W, C]``.

        Raises:
            DataError: it cannot be read or decoded.
        """
        return self._cache.get("image", index, lambda: read_image(self._images[index], self._channels))

    def mask(self, index: int) -> NDArray[np.int16]:
        """``[H, W]``.

        Raises:
            DataError: it cannot be read or decoded, has another size than the image, or a value of no class.
        """
        return self._cache.get("mask", index, lambda: self._mask(index))

    def _mask(self, index: int) -> NDArray[np.int16]:
        path, coding = self._masks[index], self._coding
        if coding is None:
            raise DataError("is a mask, but the run knows none", path=str(path))
        raw = raw_mask(path, coding.kind, coding.ignore)
        check_size(self._images[index], self.size(index), path, raw.shape)
        return encoded(raw, coding, self._classes, str(path))


class Scaled:
    """Images scaled to one size, each with its target; kept when they were read, within bounds.

    Args:
        names: of the files.
        read: gives an image.
        targets: of each image.
        edges: height and width.
    """

    def __init__(
        self,
        names: Sequence[str],
        read: Callable[[int], NDArray[Any]],
        targets: NDArray[Any] | None,
        edges: tuple[int, int],
    ) -> None:
        self.names, self._read, self._targets, self._edges = names, read, targets, edges
        self._cache = _Cache()

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> NDArray[Any]:
        """``[H, W, C]``, scaled."""
        return self._cache.get("image", index, lambda: scaled(self._read(index), self._edges))

    def target(self, index: int) -> NDArray[Any]:
        """The class's index, or the labels."""
        if self._targets is None:
            raise DataError("the images have no targets", path=self.names[index])
        target: NDArray[Any] = self._targets[index]
        return target


class Side:
    """Some of the images: those to train on, or to test on.

    Args:
        of: all images.
        indices: which.
    """

    def __init__(self, of: Any, indices: Sequence[int]) -> None:
        self._of, self._indices = of, [int(index) for index in indices]
        self.names: Sequence[str] = [of.names[index] for index in self._indices]

    def __len__(self) -> int:
        return len(self._indices)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width."""
        size: tuple[int, int] = self._of.size(self._indices[index])
        return size

    def image(self, index: int) -> NDArray[Any]:
        """See :class:`Pictures`."""
        image: NDArray[Any] = self._of.image(self._indices[index])
        return image

    def mask(self, index: int) -> NDArray[np.int16]:
        """See :class:`Segmented`."""
        mask: NDArray[np.int16] = self._of.mask(self._indices[index])
        return mask

    def target(self, index: int) -> NDArray[Any]:
        """See :class:`Targets`."""
        target: NDArray[Any] = self._of.target(self._indices[index])
        return target


def check_size(image: Path, size: tuple[int, int], mask: Path, mask_size: tuple[int, ...]) -> None:
    """Refuse a mask of another size than its image.

    Raises:
        DataError: the sizes differ.
    """
    if tuple(mask_size) != tuple(size):
        raise DataError(
            f"is {mask_size[1]} pixels wide and {mask_size[0]} high, but its image {image.name} is {size[1]} "
            f"wide and {size[0]} high; give a mask of the image's size",
            path=str(mask),
        )


def as_batch(images: Sequence[NDArray[Any]], mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images of one size as the network takes them, ``[B, C, H, W]``, with the channels last in memory."""
    pixels = torch.from_numpy(np.stack([unit(image) for image in images]))
    return ((pixels - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)
