"""A finished run on images, read back to predict and to evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from likelihead.errors import CheckpointError, DataError, OptionError
from likelihead.likelihoods import Likelihood
from likelihead.train.config import TrainConfig
from likelihead.train.images.network import ImageNet, build_model, plain
from likelihead.train.images.schema import ImageSchema
from likelihead.train.resolved import Resolved
from likelihead.train.run import MODEL
from likelihead.train.stored import finished

__all__ = ["TrainedImages", "check_finite", "load_run"]


@dataclass(frozen=True)
class TrainedImages:
    """A trained network with its likelihood.

    Attributes:
        config, resolved, schema: of the run.
        model: the network, in evaluation mode.
        likelihood: the plain one, for the network's logits.
    """

    config: TrainConfig
    resolved: Resolved
    schema: ImageSchema
    model: ImageNet
    likelihood: Likelihood


def load_run(folder: Path) -> TrainedImages:
    """Read a run folder, with everything in it verified.

    Raises:
        RunError: it is no run folder, its training is not finished, or its files belong to different runs.
        CheckpointError: the model's file is damaged.
    """
    run = finished(folder)
    schema = ImageSchema.from_json(run.metadata["schema"])
    try:
        likelihood = plain(run.config, schema)
        with torch.random.fork_rng(devices=[]):
            model = build_model(run.config, schema, likelihood)
        model.load_state_dict(run.tensors)
    except (KeyError, ValueError, RuntimeError, OptionError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{folder / MODEL} does not fit {folder}/config.toml ({reason}); the files are of different "
            "runs, or config.toml was edited: restore them"
        ) from error
    model.eval()
    return TrainedImages(run.config, run.resolved, schema, model, likelihood)


def check_finite(logits: torch.Tensor, name: str) -> torch.Tensor:
    """The logits, if they are finite.

    Raises:
        DataError: they are not; the message names the image.
    """
    if not bool(torch.isfinite(logits).all()):
        raise DataError("the network's output is not finite; train again with a lower --lr", path=name)
    return logits
