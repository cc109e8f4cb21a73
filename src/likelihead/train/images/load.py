"""Read a set of images: its classes, its split, and what its training images are like on average."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from likelihead.errors import OptionError
from likelihead.report.pictures import class_colours
from likelihead.train.config import TrainConfig
from likelihead.train.images.digit_scenes import EDGE, LABELS, MASK_NAMES, SCENES, DigitScenes
from likelihead.train.images.folder import class_folders, folder_task, labels_file, mask_pairs
from likelihead.train.images.labelled import load_labelled
from likelihead.train.images.masked import load_masked
from likelihead.train.images.pictures import Scaled, Side
from likelihead.train.images.schema import IGNORE, Coding
from likelihead.train.images.survey import ImageData, Survey, make_schema, tile_edges
from likelihead.train.option import IMAGE_SETS, KINDS

__all__ = ["load"]


def load(config: TrainConfig) -> ImageData:
    """The images of a run.

    Raises:
        OptionError: an option that the task would ignore.
        DataError: the images cannot be read, or cannot be learnt from.
    """
    bundled = config.data in IMAGE_SETS
    allowed = ("segmentation", "multilabel") if bundled else KINDS["images"]
    if config.task != "auto" and config.task not in allowed:
        raise OptionError(
            f"--task {config.task} does not apply to {config.data if bundled else 'a folder of images'}; "
            f"expected {' or '.join(allowed)}"
        )
    auto = "segmentation" if bundled else ""
    task = config.task if config.task != "auto" else auto or folder_task(Path(config.data), config.masks)
    config.check_for(task)
    if not config.hidden:
        raise OptionError(
            "--hidden none leaves a network of images without a level; give its channels, such as 16,32,64"
        )
    if bundled:
        return _scenes(config, task)
    root = Path(config.data)
    if task == "segmentation":
        return load_masked(config, mask_pairs(root, config.masks))
    listing = class_folders(root) if task == "multiclass" else labels_file(root)
    return load_labelled(config, task, listing)


def _scenes(config: TrainConfig, task: str) -> ImageData:
    if task == "segmentation" and (config.masks or config.ignore_colour):
        given = "--masks" if config.masks else "--ignore-colour"
        raise OptionError(f"{given} does not apply to digit-scenes, which has masks of its own")
    if config.skip_bad:
        raise OptionError("--skip-bad does not apply to digit-scenes, which is made anew")
    tests = max(1, round(config.test_fraction * SCENES))
    settings: dict[str, Any] = {"seed": config.seed, "test_fraction": config.test_fraction}
    train = DigitScenes("train", SCENES - tests, partial=task == "multilabel", **settings)
    test = DigitScenes("test", tests, **settings)
    survey = Survey()
    for index in range(len(train)):
        survey.add(train.image(index))
    channels, mean, std = survey.statistics(range(len(train)))
    notes: tuple[str, ...] = (
        f"scenes of {EDGE} by {EDGE} pixels, of scikit-learn's handwritten digits; {len(test.digit_numbers)} "
        "of the 1797 digits are in test scenes alone",
    )
    coding: Coding | None = None
    if task == "segmentation":
        names, edges = MASK_NAMES, tile_edges(config, [(EDGE, EDGE)])
        colours = [int(colour[i : i + 2], 16) for colour in class_colours(len(names)) for i in (1, 3, 5)]
        coding = Coding("index", tuple(range(len(names))), "255", tuple(colours))
        counts, test_counts = (
            _counted((s.mask(i) for i in range(len(s))), len(names)) for s in (train, test)
        )
        sides = [Side(s, range(len(s))) for s in (train, test)]
    else:
        names, edges = LABELS, (config.image_size, config.image_size)
        targets = [np.stack([s.labels(i) for i in range(len(s))]) for s in (train, test)]
        counts, test_counts = (tuple(int(n) for n in np.nansum(t, axis=0)) for t in targets)
        unknown = int(np.isnan(targets[0]).sum())
        notes += (
            f"{unknown} of {targets[0].size} training labels are missing: they are left out of the loss and "
            "its count",
        )
        sides = [
            Side(Scaled(s.names, s.image, t, edges), range(len(s)))
            for s, t in zip((train, test), targets, strict=True)
        ]
    schema = make_schema(
        config, task, names, counts, (channels, mean, std), edges, (len(train), len(test)), coding=coding
    )
    return ImageData(schema, sides[0], sides[1], test_counts, config.data, notes)


def _counted(masks: Any, classes: int) -> tuple[int, ...]:
    total = np.zeros(classes, dtype=np.int64)
    for mask in masks:
        total += np.bincount(mask[mask != IGNORE], minlength=classes)
    return tuple(total.tolist())
