"""A run's options: what ``likelihead train`` was asked for, and ``config.toml``."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from likelihead.errors import OptionError, RunError
from likelihead.train.models import ACTIVATIONS

__all__ = ["OPTIMIZERS", "OUTPUTS", "TASKS", "TrainConfig", "contradictions"]

TASKS = ("auto", "binary", "multiclass", "multilabel", "regression")
OUTPUTS = ("logits", "log-probs")
OPTIMIZERS = ("adam", "adamw", "sgd")
GUARD_LEVELS = ("off", "cheap", "full")


@dataclass(frozen=True)
class TrainConfig:
    """The options of one training run.

    Attributes:
        data: a bundled set's name or a file.
        target: the target's column, or columns of 0 and 1 (multilabel); None lets the data decide.
        task: what the target means; ``"auto"`` infers it.
        output: what the network ends in: logits, or log-probabilities behind a log-softmax.
        hidden: widths of the hidden layers; none makes a linear model.
        activation: the hidden layers' activation.
        epochs, batch_size, lr, optimizer, weight_decay: of the optimisation. Without a little weight decay a
            network of the default size learns a few hundred noisy rows by heart, and ends above the baseline.
        label_smoothing: in [0, 1), multiclass only.
        class_weight: ``"none"``, ``"balanced"`` or a file of weights.
        seed: of the initial weights, the split and the order of the batches.
        test_fraction: share of the rows that is held out.
        memory: bytes of data kept in memory; larger files stream.
        checkpoint_every: steps between checkpoints.
        guard: level of the checks made on each loss call.

    >>> TrainConfig(data="iris", hidden=(7,), activation="tanh").check().epochs
    100
    """

    data: str
    target: str | tuple[str, ...] | None = None
    task: str = "auto"
    output: str = "logits"
    hidden: tuple[int, ...] = (32,)
    activation: str = "tanh"
    epochs: int = 100
    batch_size: int = 32
    lr: float = 0.01
    optimizer: str = "adam"
    weight_decay: float = 0.002
    label_smoothing: float = 0.0
    class_weight: str = "none"
    seed: int = 0
    test_fraction: float = 0.2
    memory: int = 2**30
    checkpoint_every: int = 500
    guard: str = "cheap"

    def check(self) -> TrainConfig:
        """Verify each option by itself.

        Raises:
            OptionError: an option is outside its range; the message says which and what is allowed.
        """
        _one_of("task", self.task, TASKS)
        _one_of("output", self.output, OUTPUTS)
        _one_of("activation", self.activation, tuple(ACTIVATIONS))
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("guard", self.guard, GUARD_LEVELS)
        for width in self.hidden:
            _range("hidden", width, width >= 1, "widths of at least 1 (or 'none' for a linear model)")
        _range("epochs", self.epochs, self.epochs >= 1, "at least 1")
        _range("batch_size", self.batch_size, self.batch_size >= 1, "at least 1")
        _range("lr", self.lr, math.isfinite(self.lr) and self.lr > 0, "a positive number")
        decay = self.weight_decay
        _range("weight_decay", decay, math.isfinite(decay) and decay >= 0, "0 or a positive number")
        _range("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "in [0, 1)")
        _range("seed", self.seed, 0 <= self.seed < 2**63, "in [0, 2**63)")
        _range("test_fraction", self.test_fraction, 0 < self.test_fraction < 1, "in (0, 1)")
        _range("memory", self.memory, self.memory >= 2**20, "at least 1MiB")
        _range("checkpoint_every", self.checkpoint_every, self.checkpoint_every >= 1, "at least 1")
        return self

    def check_for(self, task: str) -> None:
        """Verify that each option means something for the task.

        Raises:
            OptionError: an option that the task would ignore.
        """
        if self.output == "log-probs" and task not in ("binary", "multiclass"):
            raise OptionError(
                f"--output log-probs does not apply to a {task} task, whose likelihood is not over exclusive "
                "classes; use --output logits"
            )
        if self.label_smoothing and task != "multiclass":
            raise OptionError(
                f"--label-smoothing {self.label_smoothing} does not apply to a {task} task; it is for "
                "multiclass"
            )
        if self.class_weight != "none" and task == "regression":
            raise OptionError(
                f"--class-weight {self.class_weight} does not apply to a regression task: it has no classes"
            )

    def digest(self) -> str:
        """SHA-256 over the options: a checkpoint belongs to one configuration.

        >>> TrainConfig(data="iris").digest() == TrainConfig(data="iris", seed=1).digest()
        False
        """
        canonical = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """The options as plain values, without those that are None."""
        values = dataclasses.asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items() if v is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, origin: Path) -> TrainConfig:
        """The inverse of :meth:`to_dict`.

        Args:
            values: the options.
            origin: the file that the values come from, for the error's message.

        Raises:
            RunError: an option that is missing, unknown or of another type.
        """
        hints = get_type_hints(cls)
        unknown = sorted(set(values) - set(hints))
        if unknown:
            raise RunError(f"{origin}: unknown option {unknown[0]!r}; it is of another version or was edited")
        taken: dict[str, Any] = {}
        for field in fields(cls):
            if field.name not in values:
                if field.name == "target":
                    continue
                raise RunError(f"{origin}: option {field.name!r} is missing; it was edited or is incomplete")
            value = values[field.name]
            value = tuple(value) if isinstance(value, list) else value
            if not _is_a(value, hints[field.name]):
                raise RunError(f"{origin}: {field.name} is {value!r}, which is not of its type")
            taken[field.name] = float(str(value)) if hints[field.name] is float else value
        try:
            return cls(**taken).check()
        except OptionError as error:
            raise RunError(f"{origin}: {error}") from error


def contradictions(config: TrainConfig, given: Mapping[str, Any]) -> None:
    """Refuse options that differ from those of the run that is being resumed.

    Raises:
        OptionError: names the first one with both values.
    """
    for name, value in given.items():
        stored = getattr(config, name)
        if value != stored:
            option = name if name == "data" else f"--{name.replace('_', '-')}"
            raise OptionError(
                f"{option} is {_shown(value)}, but the run to resume was started with {_shown(stored)}; "
                "leave it out to resume, or start a new run"
            )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(str(v) for v in value) or "none"
    return str(value)


def _is_a(value: object, hint: Any) -> bool:
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    if value is None:
        return type(None) in get_args(hint)
    if isinstance(value, tuple):
        item = int if hint == tuple[int, ...] else str
        return all(_is_a(v, item) for v in value)
    return isinstance(value, str)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionError(f"{name} is {value!r}; expected one of {', '.join(allowed)}")


def _range(name: str, value: object, ok: bool, expected: str) -> None:
    if not ok:
        raise OptionError(f"{name} is {value!r}; expected {expected}")
