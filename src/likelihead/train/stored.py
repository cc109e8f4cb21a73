"""What a run's folder says: its configuration, and a finished run's model, all of it verified."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path

from torch import Tensor

from likelihead.errors import RunError
from likelihead.train.config import TrainConfig
from likelihead.train.resolved import LATER, Resolved
from likelihead.train.run import CONFIG, MODEL, SCHEMA, read_model, read_schema, read_toml

__all__ = ["Finished", "digest_of", "finished", "stored"]


@dataclass(frozen=True)
class Finished:
    """A run whose training is done.

    Attributes:
        config, resolved: of the run.
        tensors: of the model.
        metadata: what the model's file says besides, its ``schema`` as JSON among it.
    """

    config: TrainConfig
    resolved: Resolved
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def stored(folder: Path) -> tuple[TrainConfig, Resolved]:
    """The configuration of a run.

    Raises:
        RunError: it is no run folder, or its configuration is damaged.
    """
    values, origin = read_toml(folder), folder / CONFIG
    config = TrainConfig.from_dict(values["options"], origin=origin)
    return config, Resolved.from_dict(values["resolved"], origin=str(origin))


def digest_of(config: TrainConfig, resolved: Resolved) -> str:
    """SHA-256 over a run's configuration, which its checkpoints and its model hold as well."""
    values = resolved.to_dict()
    for field in fields(Resolved):
        # What a run from before the field does not say either.
        if field.name in LATER and getattr(resolved, field.name) == field.default:
            del values[field.name]
    content = json.dumps([config.digest(), values], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def finished(folder: Path) -> Finished:
    """Read the folder of a finished run, and verify that its files belong together.

    Raises:
        RunError: it is no run folder, its training is not finished, or its files belong to different runs.
        CheckpointError: the model's file is damaged.
    """
    config, resolved = stored(folder)
    tensors, metadata = read_model(folder)
    if metadata.get("format") != "likelihead.model":
        raise RunError(
            f"{folder / MODEL} is not a model that `likelihead train` wrote; restore the run's own file"
        )
    if metadata.get("task") != resolved.task:
        raise RunError(
            f"{folder / MODEL} was trained for a {metadata.get('task')} task, but config.toml is of a "
            f"{resolved.task} task; the files are of different runs: restore them"
        )
    if metadata.get("run") != digest_of(config, resolved):
        raise RunError(
            f"{folder / CONFIG} is not the one that {MODEL} was trained with: it was edited, "
            "or is of another run; restore it"
        )
    if read_schema(folder) != json.loads(metadata["schema"]):
        raise RunError(
            f"{folder / SCHEMA} does not belong to {MODEL}; the files are of different runs: restore them"
        )
    return Finished(config, resolved, tensors, metadata)
