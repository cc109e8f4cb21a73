"""What every loader of images needs: a first look at each of them, a split, tiles that fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likelihead.errors import DataError, OptionError
from likelihead.train.config import TrainConfig
from likelihead.train.images.decode import UndecodableError, read_image, unit
from likelihead.train.images.folder import Listing
from likelihead.train.images.large import row_bands
from likelihead.train.images.pictures import Side
from likelihead.train.images.schema import ImageSchema

__all__ = ["ImageData", "Survey", "digest_of", "make_schema", "split", "surveyed", "tile_edges"]


@dataclass(frozen=True)
class ImageData:
    """Images to train on and to test on.

    Attributes:
        schema: what they look like.
        train, test: the two sides.
        test_counts: of the test images, what ``schema.counts`` are of the training images.
        path: where they come from.
        notes: what was left out or inferred.
    """

    schema: ImageSchema
    train: Side
    test: Side
    test_counts: tuple[int, ...]
    path: str
    notes: tuple[str, ...] = ()


@dataclass
class Survey:
    """What reading every image once has told."""

    sizes: list[tuple[int, int]] = field(default_factory=list)
    sums: list[NDArray[np.float64]] = field(default_factory=list)
    channels: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, image: NDArray[Any]) -> None:
        self.sizes.append((image.shape[0], image.shape[1]))
        self.channels.append(image.shape[2])
        sums = np.zeros((2, image.shape[2]))
        for rows in row_bands(*image.shape[:2]):
            pixels = unit(image[rows]).astype(np.float64).reshape(-1, image.shape[2])
            sums += np.stack([pixels.sum(0), np.square(pixels).sum(0)])
        self.sums.append(np.broadcast_to(sums, (2, 3)) if image.shape[2] == 1 else sums)

    def statistics(self, train: Sequence[int]) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
        """Channels, and the mean and standard deviation of each over the training images' pixels."""
        count = sum(self.sizes[i][0] * self.sizes[i][1] for i in train)
        first, second = sum((self.sums[i] for i in train), np.zeros((2, 3))) / count
        channels = max(self.channels)
        std = np.sqrt(np.maximum(second - first**2, 0))
        std[std < 1e-3] = 1.0  # images of one colour
        return channels, tuple(first[:channels].tolist()), tuple(std[:channels].tolist())


def make_schema(
    config: TrainConfig,
    task: Any,
    names: Sequence[str],
    counts: Sequence[int],
    statistics: tuple[int, tuple[float, ...], tuple[float, ...]],
    edges: tuple[int, int],
    images: tuple[int, int],
    **more: Any,
) -> ImageSchema:
    channels, mean, std = statistics
    return ImageSchema(
        task=task,
        names=tuple(names),
        counts=tuple(counts),
        channels=channels,
        mean=mean,
        std=std,
        edges=edges,
        train_images=images[0],
        test_images=images[1],
        seed=config.seed,
        test_fraction=config.test_fraction,
        **more,
    )


def tile_edges(config: TrainConfig, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """``--tile``, or less where no image is so large."""
    stride = 2 ** (len(config.hidden) - 1)
    least = 2 * stride
    if config.tile % stride or config.tile < least:
        nearest = max(least, round(config.tile / stride) * stride)
        raise OptionError(
            f"--tile is {config.tile}; with the {len(config.hidden)} levels of --hidden it must be a "
            f"multiple of {stride}, and at least {least}: {nearest} would do"
        )
    height, width = (max(least, -(-max(size[axis] for size in sizes) // stride) * stride) for axis in (0, 1))
    return min(config.tile, height), min(config.tile, width)


def surveyed(
    config: TrainConfig, listing: Listing, look: Callable[[int, NDArray[Any]], None]
) -> tuple[Survey, list[int]]:
    """Read every image once; those that do not decode are left out if they may be."""
    survey, good = Survey(), list[int]()
    for index, path in enumerate(listing.images):
        try:
            image = read_image(path)
            look(index, image)
        except UndecodableError as error:
            if not config.skip_bad:
                raise
            survey.notes.append(f"left out: {error}")
            continue
        survey.add(image)
        good.append(index)
    if len(good) < 2:
        raise DataError(
            f"has {len(good)} image{'s' * (len(good) != 1)} that can be used; at least two are needed, to "
            "train and to test on",
            path=config.data,
        )
    return survey, good


def split(config: TrainConfig, classes: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Training and test images: as many of each class as its share."""
    draw = np.random.default_rng([config.seed, 3])
    tests: list[int] = []
    for each in np.unique(classes):
        members = draw.permutation(np.flatnonzero(classes == each))
        tests += members[: min(round(config.test_fraction * len(members)), len(members) - 1)].tolist()
    if not tests:
        # So few images that no class can give its share: one of the largest class.
        members = np.flatnonzero(classes == np.bincount(classes).argmax())
        if len(members) < 2:
            raise DataError(
                "every class has one image; at least one needs two, to train and to test on", path=config.data
            )
        tests = [int(draw.permutation(members)[0])]
    chosen = set(tests)
    return [i for i in range(len(classes)) if i not in chosen], sorted(chosen)


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.digest()


def digest_of(files: Sequence[Path], targets: bytes = b"") -> str:
    """SHA-256 over the files' names and content, and over targets that are in no file of theirs.

    Raises:
        DataError: a file cannot be read.
    """
    digest = hashlib.sha256(targets)
    for path in files:
        try:
            content = _digest(path)
        except OSError as error:
            raise DataError(
                f"cannot be read: {(error.strerror or str(error)).lower()}", path=str(path)
            ) from error
        digest.update(path.name.encode("utf-8", "surrogateescape") + b"\0" + content)
    return digest.hexdigest()
