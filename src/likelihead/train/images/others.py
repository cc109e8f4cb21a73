"""Other images, read as training read its own: to evaluate, with what is known of them, or to predict."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likelihead.errors import DataError
from likelihead.train.images.decode import UndecodableError, read_image
from likelihead.train.images.digit_scenes import SCENES, DigitScenes
from likelihead.train.images.folder import Listing, class_folders, labels_file, mask_pairs, only_images
from likelihead.train.images.masks import mask_kind
from likelihead.train.images.pictures import MaskedFiles, Scaled, Side
from likelihead.train.images.trained import TrainedImages
from likelihead.train.option import IMAGE_SETS

__all__ = ["Others", "images_to_predict", "images_to_score"]


class Others:
    """Images that a finished run is asked about.

    Attributes:
        side: the images, all of them.
        path: where they come from.
        notes: what was left out.
    """

    def __init__(self, side: Side, path: str, notes: Sequence[str]) -> None:
        self.side, self.path, self.notes = side, path, list(notes)


def images_to_score(trained: TrainedImages, data: str) -> Others:
    """Images with masks, classes or labels.

    Raises:
        DataError: they cannot be read, or have a class or a label that training did not have.
    """
    if data in IMAGE_SETS:
        return _scenes(trained)
    root, schema = Path(data), trained.schema
    if schema.task == "segmentation":
        # The masks of the run's own images are where they were in training.
        own = trained.config.masks if Path(trained.config.data).absolute() == root.absolute() else ""
        return _pixels(trained, mask_pairs(root, own), data)
    if not root.is_dir():
        raise DataError("is no folder; give a folder of images", path=data)
    if schema.task == "multiclass":
        listing = class_folders(root, least=1)
        classes = [_known(listing.names[c], schema.names, "class", data) for c in listing.classes]
        return _scaled(trained, listing, np.array(classes, dtype=np.int64), data)
    listing = labels_file(root)
    targets = np.full((len(listing.images), len(schema.names)), math.nan, dtype=np.float32)
    columns = [_known(name, schema.names, "label", data) for name in listing.names]
    missing = [name for name in schema.names if name not in listing.names]
    if missing:
        raise DataError(f"labels.csv has no label {missing[0]!r}, which the run was trained on", path=data)
    targets[:, columns] = np.array(listing.labels, dtype=np.float32)
    if bool(np.isnan(targets).all()):
        raise DataError("labels.csv knows no label of any image; there is nothing to score", path=data)
    return _scaled(trained, listing, targets, data)


def images_to_predict(trained: TrainedImages, data: str) -> Others:
    """Images alone.

    Raises:
        DataError: there is none, or they cannot be read.
    """
    if data in IMAGE_SETS:
        return _scenes(trained)
    listing = only_images(Path(data))
    if trained.schema.task == "segmentation":
        return _pixels(trained, listing, data)
    return _scaled(trained, listing, None, data)


def _scenes(trained: TrainedImages) -> Others:
    schema, config = trained.schema, trained.config
    if schema.digest:
        raise DataError("digit-scenes has other classes than the run; give a folder of images")
    tests = max(1, round(config.test_fraction * SCENES))
    scenes = DigitScenes("test", tests, seed=config.seed, test_fraction=config.test_fraction)
    notes = ["digit-scenes: the run's test scenes, of digits that it was not trained on"]
    numbers = range(len(scenes))
    if schema.task == "segmentation":
        return Others(Side(scenes, numbers), config.data, notes)
    targets = np.stack([scenes.labels(index) for index in numbers])
    return Others(
        Side(Scaled(scenes.names, scenes.image, targets, schema.edges), numbers), config.data, notes
    )


def _pixels(trained: TrainedImages, listing: Listing, data: str) -> Others:
    schema = trained.schema
    files, notes = _decodable(trained, listing)
    images = [listing.images[i] for i in files]
    masks = [listing.masks[i] for i in files] if listing.masks else []
    pictures = MaskedFiles(images, masks, [], schema.channels, schema.coding, schema.names)
    return Others(Side(pictures, range(len(images))), data, notes)


def _scaled(
    trained: TrainedImages, listing: Listing, targets: NDArray[np.generic] | None, data: str
) -> Others:
    schema = trained.schema
    files, notes = _decodable(trained, listing)
    images = [listing.images[i] for i in files]
    root = data if Path(data).is_dir() else os.path.dirname(data)
    names = [os.path.relpath(path, root or ".") for path in images]
    kept = None if targets is None else targets[files]
    pictures = Scaled(names, lambda index: read_image(images[index], schema.channels), kept, schema.edges)
    return Others(Side(pictures, range(len(images))), data, [*listing.notes, *notes])


def _decodable(trained: TrainedImages, listing: Listing) -> tuple[list[int], list[str]]:
    """The images to take: all, or, of a run that leaves out bad files, those that decode."""
    numbers = list(range(len(listing.images)))
    if not trained.config.skip_bad:
        return numbers, []
    good, notes = list[int](), list[str]()
    for number in numbers:
        try:
            read_image(listing.images[number])
            if listing.masks:
                mask_kind(listing.masks[number])
        except UndecodableError as error:
            notes.append(f"left out: {error}")
            continue
        good.append(number)
    if not good:
        raise DataError("has no image that decodes", path=str(listing.images[0].parent))
    return good, notes


def _known(name: str, names: Sequence[str], what: str, data: str) -> int:
    if name not in names:
        raise DataError(
            f"has the {what} {name!r}, which training did not have; it had {', '.join(names[:12])}", path=data
        )
    return names.index(name)
