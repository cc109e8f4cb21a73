"""Start a run, or go on with one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from likelihead.core.atomic import write_bytes
from likelihead.errors import RunError
from likelihead.train import toml
from likelihead.train.atomic import clean_temporaries
from likelihead.train.checkpoint import latest
from likelihead.train.config import TrainConfig, contradictions
from likelihead.train.kinds import kind_module
from likelihead.train.loop import Observer, Trainer
from likelihead.train.option import IMAGE_SETS, TEXT_SETS
from likelihead.train.outcome import Outcome, finish
from likelihead.train.problem import SavedSchema
from likelihead.train.resolved import Resolved
from likelihead.train.run import (
    CHECKPOINTS,
    CONFIG,
    METRICS,
    SCHEMA,
    check_new,
    created,
    opened,
    read_schema,
)
from likelihead.train.stored import digest_of, stored
from likelihead.train.table.data import BUNDLED
from likelihead.train.table.data.schema import LATER_FIELDS

__all__ = ["absolute", "resume", "train"]


def train(
    config: TrainConfig,
    *,
    out: Path | None = None,
    observer: Observer | None = None,
    stop: Callable[[], int | None] = lambda: None,
) -> Outcome:
    """Train from the beginning.

    Args:
        config: the options.
        out: the run's folder; None takes ``runs/<data>-<n>``.
        observer: told of each step.
        stop: asked after each step; a signal's number ends the run with
            :class:`likelihead.train.Interrupted`.

    Raises:
        OptionError: an option outside its range, or one that the task would ignore.
        DataError: the data cannot be read.
        RunError: the folder cannot be written.
        DomainError: the training diverged.
    """
    config.check()
    check_new(out, config.data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        problem = kind_module(config.kind).begin(config)
        resolved = problem.resolved

        def trainer_in(folder: Path) -> Trainer:
            return Trainer(folder, problem, digest=digest_of(config, resolved), stop=stop)

        def fill(folder: Path) -> None:
            (folder / CHECKPOINTS).mkdir()
            write_bytes(folder / CONFIG, _toml(config, resolved))
            write_bytes(folder / SCHEMA, problem.schema.to_json().encode())
            write_bytes(folder / METRICS, b"")
            # A run can be resumed from its first moment on.
            trainer_in(folder).save()

        with created(out, config.data, fill) as folder:
            return _to_the_end(trainer_in(folder), observer)


def resume(
    folder: Path,
    *,
    given: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    stop: Callable[[], int | None] = lambda: None,
) -> Outcome:
    """Go on with a run from its newest checkpoint, to the same bits as if it had never stopped.

    Args:
        folder: the run's folder.
        given: options that were asked for besides; they must be those of the run.
        observer: told of each step.
        stop: asked after each step; a signal's number ends the run with :class:`Interrupted`.

    Raises:
        RunError: no run folder, the data changed since, or it cannot be written.
        OptionError: an option that contradicts the run's.
        CheckpointError: the newest checkpoint is damaged; the message names the one before it.
    """
    config, resolved = stored(folder)
    contradictions(config, given or {})
    with opened(folder):
        clean_temporaries(folder)
        path = latest(folder / CHECKPOINTS)
        with torch.random.fork_rng(devices=[]):
            problem = kind_module(config.kind).again(config, resolved)
            _check_schema(folder, problem.schema)
            trainer = Trainer(folder, problem, digest=digest_of(config, resolved), stop=stop)
            trainer.restore(path)
            return _to_the_end(trainer, observer)


def _to_the_end(trainer: Trainer, observer: Observer | None) -> Outcome:
    threads = torch.get_num_threads()
    torch.set_num_threads(trainer.problem.resolved.threads)
    try:
        trainer.run(observer)
        return finish(trainer)
    except RunError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        again = f"likelihead train --resume --out {shlex.quote(str(trainer.folder))}"
        raise RunError(f"{error}; what was saved is intact, go on with `{again}`") from error
    finally:
        torch.set_num_threads(threads)


def absolute(data: str) -> str:
    """The data's name as a run keeps it: a file's with its whole path, to resume from any folder."""
    return data if data in (*BUNDLED, *IMAGE_SETS, *TEXT_SETS) else str(Path(data).absolute())


def _toml(config: TrainConfig, resolved: Resolved) -> bytes:
    head = "# Made by `likelihead train`. Resuming needs it as it is.\n\n"
    return (head + toml.dumps({"options": config.to_dict(), "resolved": resolved.to_dict()})).encode()


def _check_schema(folder: Path, schema: SavedSchema) -> None:
    known, found = read_schema(folder), json.loads(schema.to_json())
    for name in LATER_FIELDS:
        if name not in known:
            found.pop(name, None)
    if known != found:
        raise RunError(
            f"the data of {folder} changed since the run began (its columns, classes or training statistics "
            "differ from schema.json); restore the data, or start a new run"
        )
