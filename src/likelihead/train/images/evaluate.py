"""Score a trained run on other images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from likelihead.errors import DataError
from likelihead.train.images.classify import image_batches
from likelihead.train.images.others import images_to_score
from likelihead.train.images.tally import PixelTally
from likelihead.train.images.tiles import pieces
from likelihead.train.images.trained import check_finite, load_run
from likelihead.train.table.metrics import Tally

__all__ = ["evaluate"]


def evaluate(run: Path, data: str, *, memory: int = 2**30) -> dict[str, Any]:
    """The figures of a run on other images, by name; undefined ones are None.

    Of a segmentation they are per labelled pixel, and the images are cut into tiles that fit into memory
    whatever their size; else per image. The baseline is the best constant prediction of the training
    targets.

    Args:
        run: the run's folder.
        data: ``digit-scenes``, whose test scenes are scored, or a folder of the form of the training data.
        memory: not needed: images are read one after another.

    Raises:
        RunError: no finished run folder.
        CheckpointError: the model's file is damaged.
        DataError: the images cannot be read, or have a class that training did not have.
    """
    trained = load_run(run)
    others = images_to_score(trained, data)
    side, schema = others.side, trained.schema
    if schema.task == "segmentation":
        pixels = PixelTally(trained.likelihood, schema)
        for piece in pieces(trained.model, side, range(len(side)), schema.edges, schema.mean, schema.std):
            check_finite(piece.logits, side.names[piece.indices[0]])
            pixels.add(piece.logits, piece.classes(side))
        figures = {"images": len(side), **pixels.figures(trained.resolved.constant)}
        if not figures["pixels"]:
            raise DataError("no pixel of any mask is labelled; there is nothing to score", path=data)
    else:
        constant = trained.resolved.constant
        tally = Tally(trained.likelihood, schema.as_table(), constant, trained.likelihood)
        with torch.no_grad():
            for images, numbers in image_batches(side, schema):
                logits = check_finite(trained.model(images), side.names[numbers[0]])
                tally.add(logits, torch.from_numpy(np.stack([side.target(index) for index in numbers])))
        figures = tally.figures()
        figures = {"images": figures.pop("rows"), **figures}
    return {"run": str(run), "data": data, "task": schema.task, **figures, "notes": others.notes}
