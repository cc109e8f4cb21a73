"""A finished run on text, read back to evaluate and to sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from likelihead.errors import CheckpointError, OptionError
from likelihead.train.config import TrainConfig
from likelihead.train.language.corpus import LanguageSchema
from likelihead.train.language.models import LanguageModel
from likelihead.train.language.network import build_model
from likelihead.train.language.tokens import Tokenizer
from likelihead.train.run import MODEL
from likelihead.train.stored import finished, stored

__all__ = ["Trained", "load_run"]


@dataclass(frozen=True)
class Trained:
    """A trained network with its tokenizer.

    Attributes:
        config, schema: of the run.
        model: the network, in evaluation mode.
        tokenizer: the run's.
    """

    config: TrainConfig
    schema: LanguageSchema
    model: LanguageModel
    tokenizer: Tokenizer


def load_run(folder: Path) -> Trained:
    """Read a run folder, with everything in it verified.

    Raises:
        OptionError: the run is of another task.
        RunError: it is no run folder, its training is not finished, or its files belong to different runs.
        CheckpointError: the model's file is damaged.
    """
    config, resolved = stored(folder)
    if resolved.task != "language":
        raise OptionError(
            f"{folder} is the run of a {resolved.task} task, which writes no text; give a run of "
            "`likelihead train TEXT --task language`"
        )
    run = finished(folder)
    try:
        schema = LanguageSchema.from_json(run.metadata["schema"])
        tokenizer = schema.open_tokenizer()
        with torch.random.fork_rng(devices=[]):
            model = build_model(run.config, schema.vocabulary)
        model.load_state_dict(run.tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{folder / MODEL} does not fit {folder}/config.toml ({reason}); the files are of different "
            "runs, or config.toml was edited: restore them"
        ) from error
    model.eval()
    return Trained(config, schema, model, tokenizer)
