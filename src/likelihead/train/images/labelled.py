"""Images with a class or with labels, from a folder."""

from __future__ import annotations

import os

import numpy as np

from likelihead.errors import DataError
from likelihead.train.config import TrainConfig
from likelihead.train.images.decode import read_image
from likelihead.train.images.folder import Listing
from likelihead.train.images.pictures import Scaled, Side
from likelihead.train.images.survey import ImageData, digest_of, make_schema, split, surveyed

__all__ = ["load_labelled"]


def load_labelled(config: TrainConfig, task: str, listing: Listing) -> ImageData:
    survey, good = surveyed(config, listing, lambda index, image: None)
    files = [listing.images[index] for index in good]
    if task == "multiclass":
        targets = np.array([listing.classes[index] for index in good], dtype=np.int64)
        train, test = split(config, targets)
        counts, test_counts = (
            tuple(np.bincount(targets[side], minlength=len(listing.names)).tolist()) for side in (train, test)
        )
        what = "image"
    else:
        targets = np.array([listing.labels[index] for index in good], dtype=np.float32)
        train, test = split(config, np.zeros(len(good), dtype=np.int64))
        counts, test_counts = (
            tuple(int(n) for n in np.nansum(targets[side], axis=0)) for side in (train, test)
        )
        what = "yes"
    for name, count in zip(listing.names, counts, strict=True):
        if not count:
            raise DataError(
                f"{'label' if task == 'multilabel' else 'class'} {name!r} has no {what} among the "
                f"{len(train)} training images, so that it cannot be learnt; add some, take another "
                "--seed, or leave it out",
                path=config.data,
            )
    if task == "multilabel" and bool(np.isnan(targets[test]).all()):
        raise DataError(
            f"no label of the {len(test)} test images is known; give more images, or another --seed",
            path=config.data,
        )
    statistics = survey.statistics(train)
    edges = (config.image_size, config.image_size)
    schema = make_schema(
        config,
        task,
        listing.names,
        counts,
        statistics,
        edges,
        (len(train), len(test)),
        digest=digest_of(files, targets.tobytes()),
    )
    names = [os.path.relpath(path, config.data) for path in files]
    pictures = Scaled(names, lambda index: read_image(files[index], statistics[0]), targets, edges)
    notes = (*listing.notes, *survey.notes)
    return ImageData(schema, Side(pictures, train), Side(pictures, test), test_counts, config.data, notes)
