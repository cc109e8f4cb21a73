"""Predict with a trained run on images: a mask for each, or a line for each."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likelihead.core.output import OutputFolder
from likelihead.errors import DataError, OptionError
from likelihead.train.images.classify import image_batches
from likelihead.train.images.large import roomy
from likelihead.train.images.masks import mask_image
from likelihead.train.images.others import Others, images_to_predict
from likelihead.train.images.tiles import pieces
from likelihead.train.images.trained import TrainedImages, check_finite, load_run
from likelihead.train.table.cost import read_cost
from likelihead.train.table.predict import FORMATS, predictions_file

__all__ = ["predict"]


def predict(
    run: Path,
    data: str,
    *,
    out: Path | None = None,
    stream: BinaryIO | None = None,
    probs: bool = False,
    threshold: float | None = None,
    cost: Path | None = None,
    memory: int = 2**30,
    overwrite: bool = False,
) -> list[str]:
    """Predict every image of a folder.

    A segmentation writes a mask for each image into the folder ``out``, a PNG of the image's name with the
    values, or the colours, of the training masks. Other tasks write a line for each image, as tables do.

    Args:
        run: the run's folder.
        data: an image, a folder of images, or ``digit-scenes``, whose test scenes are taken.
        out: the folder of masks, or the file of lines, whose name ends in a key of
            :data:`likelihead.train.table.predict.FORMATS`.
        stream: without ``out``, where CSV goes.
        probs: whether the probabilities are given as well; not of a segmentation.
        threshold: of a yes (multilabel, and a segmentation into two classes).
        cost: a file with a cost matrix.
        memory: not needed: images are read one after another.
        overwrite: whether files that are there already may be replaced; never an input.

    Returns:
        What is to be known about the images.

    Raises:
        OptionError: an option that does not apply, or ``out`` of an unknown format.
        RunError: no finished run folder, or ``out`` cannot be written.
        CheckpointError: the model's file is damaged.
        DataError: the images cannot be read.
    """
    trained = load_run(run)
    if trained.schema.task == "segmentation":
        if out is None:
            raise OptionError("a segmentation predicts masks; name the folder for them with --out")
        return _masks(trained, data, out, probs, threshold, cost, overwrite)
    if out is not None and out.suffix.lower() not in FORMATS:
        raise OptionError(f"--out {out}: expected a name that ends in {', '.join(FORMATS)}")
    output = None if out is None else predictions_file(out, (data, cost), overwrite)
    lines = _Lines(trained, probs, threshold, cost)
    others = images_to_predict(trained, data)
    with contextlib.ExitStack() as stack:
        if out is not None and output is not None:
            write = stack.enter_context(FORMATS[out.suffix.lower()](stack.enter_context(output.open())))
        elif stream is not None:
            write = stack.enter_context(FORMATS[".csv"](stream))
        else:
            raise OptionError("give either out or stream")
        with torch.no_grad():
            for images, numbers in image_batches(others.side, trained.schema):
                names = [others.side.names[number] for number in numbers]
                write(lines.columns(check_finite(trained.model(images), names[0]), names))
    return others.notes


class _Lines:
    """What is written of each image, and how it is decided.

    Args:
        trained: the run.
        probs, threshold, cost: as in :func:`predict`.
    """

    def __init__(
        self, trained: TrainedImages, probs: bool, threshold: float | None, cost: Path | None
    ) -> None:
        self.likelihood, self.schema, self.probs = trained.likelihood, trained.schema, probs
        is_labels = self.schema.task == "multilabel"
        _check_threshold(threshold, cost, is_labels, f"a {self.schema.task} run; it is for labels")
        self.threshold, self.cost = threshold, None
        self.decisions: Sequence[str] = self.schema.names
        if cost is not None:
            outcomes = ("0", "1") if is_labels else self.schema.names
            self.cost, decisions = read_cost(cost, outcomes, more_decisions=not is_labels)
            self.decisions = self.schema.names if is_labels else decisions

    def columns(self, logits: Tensor, images: list[str]) -> dict[str, list[Any]]:
        """The columns of a batch: ``image``, ``prediction`` and ``prob_<class>``."""
        decided = self.likelihood.predict(logits, threshold=self.threshold, cost=self.cost)
        columns: dict[str, list[Any]] = {"image": images}
        if self.schema.task == "multilabel":
            for index, name in enumerate(self.schema.names):
                columns[f"prediction_{name}"] = decided[:, index].tolist()
        else:
            columns["prediction"] = [self.decisions[index] for index in decided.tolist()]
        if self.probs:
            probs = self.likelihood.probs(logits)
            columns |= {f"prob_{name}": probs[:, i].tolist() for i, name in enumerate(self.schema.names)}
        return columns


def _check_threshold(threshold: float | None, cost: Path | None, applies: bool, where: str) -> None:
    if threshold is None:
        return
    if cost is not None:
        raise OptionError("--threshold and --cost are both given; a cost matrix sets the threshold: give one")
    if not applies:
        raise OptionError(f"--threshold does not apply to {where}")
    if not 0 <= threshold <= 1:
        raise OptionError(f"--threshold is {threshold}; expected a probability in [0, 1]")


def _masks(
    trained: TrainedImages,
    data: str,
    out: Path,
    probs: bool,
    threshold: float | None,
    cost: Path | None,
    overwrite: bool,
) -> list[str]:
    schema = trained.schema
    if probs:
        raise OptionError("--probs does not apply to a segmentation, which writes masks")
    _check_threshold(
        threshold, cost, schema.is_binary, f"a segmentation into {len(schema.names)} classes; it is for two"
    )
    costs = None if cost is None else read_cost(cost, schema.names, more_decisions=False)[0]
    others = images_to_predict(trained, data)
    names = _files(others)
    folder = OutputFolder(
        out, names, inputs=[data, trained.config.masks or Path(data) / "masks"], overwrite=overwrite
    )
    with folder.open() as write:
        for index, classes in _predicted(trained, others, threshold, costs):
            content = io.BytesIO()
            mask_image(classes, schema.coding).save(content, format="PNG")
            write(names[index], content.getvalue())
    return others.notes


def _files(others: Others) -> list[str]:
    """Where the masks go: names that no two images share."""
    files = [f"{Path(name).stem}.png" for name in others.side.names]
    often = Counter(files)
    for name, file in zip(others.side.names, files, strict=True):
        if often[file] > 1:
            raise DataError(f"two images would have the mask {file}; rename {name}", path=others.path)
    return files


def _predicted(
    trained: TrainedImages, others: Others, threshold: float | None, cost: Tensor | None
) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """The classes of each image, whole."""
    schema, side = trained.schema, others.side
    unfinished: dict[int, NDArray[np.int16]] = {}
    for piece in pieces(trained.model, side, range(len(side)), schema.edges, schema.mean, schema.std):
        check_finite(piece.logits, side.names[piece.indices[0]])
        decided = trained.likelihood.predict(piece.logits, threshold=threshold, cost=cost)
        decided = decided.squeeze(1) if schema.is_binary else decided
        for index, part in zip(piece.indices, decided, strict=True):
            height, width = side.size(index)
            if index not in unfinished:
                unfinished[index] = roomy((height, width), np.int16)
            unfinished[index][piece.rows, piece.columns] = part.numpy()
            if piece.rows.stop == height and piece.columns.stop == width:
                yield index, unfinished.pop(index)
