"""Start a run, or go on with one."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from likelihead.errors import RunError
from likelihead.likelihoods import Likelihood
from likelihead.train import toml
from likelihead.train.atomic import clean_temporaries, write_bytes
from likelihead.train.checkpoint import latest
from likelihead.train.config import TrainConfig, contradictions
from likelihead.train.data import BUNDLED, Dataset, Schema, load
from likelihead.train.loop import EVAL_BATCH, Observer, Trainer
from likelihead.train.metrics import Mean
from likelihead.train.models import MLP
from likelihead.train.network import DTYPE, Resolved, build_model, criterion, plain, row_nll
from likelihead.train.outcome import Outcome, finish
from likelihead.train.run import CHECKPOINTS, CONFIG, METRICS, SCHEMA, created, opened, read_schema, read_toml
from likelihead.train.weights import class_weights

# Multiplications in a step below which several threads wait for each other longer than they work.
_ONE_THREAD = 2**22

__all__ = ["absolute", "digest_of", "resume", "stored", "train"]


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
    data = _load(config)
    config.check_for(data.task)
    weights = class_weights(config.class_weight, data.schema)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model, likelihood, resolved = _prepare(config, data, weights)

        def trainer_in(folder: Path) -> Trainer:
            digest = digest_of(config, resolved)
            return Trainer(folder, config, resolved, data, model, likelihood, digest=digest, stop=stop)

        def fill(folder: Path) -> None:
            (folder / CHECKPOINTS).mkdir()
            write_bytes(folder / CONFIG, _toml(config, resolved))
            write_bytes(folder / SCHEMA, data.schema.to_json().encode())
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
        data = _load(config)
        _check_schema(folder, data.schema)
        with torch.random.fork_rng(devices=[]):
            likelihood = criterion(config, data.schema, resolved.class_weights)
            model = build_model(config, data.schema, likelihood)
            digest = digest_of(config, resolved)
            trainer = Trainer(folder, config, resolved, data, model, likelihood, digest=digest, stop=stop)
            trainer.restore(path)
            return _to_the_end(trainer, observer)


def _to_the_end(trainer: Trainer, observer: Observer | None) -> Outcome:
    threads = torch.get_num_threads()
    torch.set_num_threads(trainer.resolved.threads)
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


def stored(folder: Path) -> tuple[TrainConfig, Resolved]:
    """The configuration of a run.

    Raises:
        RunError: it is no run folder, or its configuration is damaged.
    """
    values, origin = read_toml(folder), folder / CONFIG
    config = TrainConfig.from_dict(values["options"], origin=origin)
    return config, Resolved.from_dict(values["resolved"], origin=str(origin))


def absolute(data: str) -> str:
    """The data's name as a run keeps it: a file's with its whole path, to resume from any folder."""
    return data if data in BUNDLED else str(Path(data).absolute())


def _load(config: TrainConfig) -> Dataset:
    return load(
        config.data,
        target=config.target,
        task=config.task,
        memory=config.memory,
        seed=config.seed,
        test_fraction=config.test_fraction,
    )


def _prepare(
    config: TrainConfig, data: Dataset, weights: tuple[float, ...]
) -> tuple[MLP, Likelihood, Resolved]:
    likelihood, unweighted = criterion(config, data.schema, weights), plain(config, data.schema)
    model = build_model(config, data.schema, likelihood)
    _set_bias(likelihood, model, data)
    # The baseline is that of the plain likelihood, whatever weights the training has.
    reference = build_model(config, data.schema, unweighted) if weights or config.label_smoothing else model
    _set_bias(unweighted, reference, data)
    with torch.no_grad():
        constant = reference(torch.zeros(1, data.num_features, dtype=DTYPE)).flatten()
        baseline = Mean()
        for features, target in data.test.batches(EVAL_BATCH, dtype=DTYPE, shuffle=False):
            output = constant.expand(len(features), -1).reshape(model(features).shape)
            baseline.add(row_nll(unweighted, data.schema, output, target))
    parameters = sum(p.numel() for p in model.parameters())
    resolved = Resolved(
        task=data.task,
        likelihood=likelihood.name,
        layers=tuple(model.widths),
        parameters=parameters,
        dtype=str(DTYPE).removeprefix("torch."),
        threads=1 if config.batch_size * parameters < _ONE_THREAD else torch.get_num_threads(),
        class_weights=weights,
        constant=tuple(constant.tolist()),
        baseline_nll=baseline.value,
    )
    return model, likelihood, resolved


def _set_bias(likelihood: Likelihood, model: MLP, data: Dataset) -> None:
    batches = data.train.batches(EVAL_BATCH, dtype=DTYPE, shuffle=False)
    targets = (target.unsqueeze(1) if model.flat and target.dim() == 1 else target for _, target in batches)
    likelihood.init_bias_(model.head, targets)


def _toml(config: TrainConfig, resolved: Resolved) -> bytes:
    head = "# Made by `likelihead train`. Resuming needs it as it is.\n\n"
    return (head + toml.dumps({"options": config.to_dict(), "resolved": resolved.to_dict()})).encode()


def digest_of(config: TrainConfig, resolved: Resolved) -> str:
    """SHA-256 over a run's configuration, which its checkpoints and its model hold as well."""
    content = json.dumps([config.digest(), resolved.to_dict()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _check_schema(folder: Path, schema: Schema) -> None:
    if read_schema(folder) != schema:
        raise RunError(
            f"the data of {folder} changed since the run began (its columns, classes or training statistics "
            "differ from schema.json); restore the data, or start a new run"
        )
