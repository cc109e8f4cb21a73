"""A run's options: what ``likelihead train`` was asked for, and ``config.toml``."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from likelihead.errors import OptionError, RunError
from likelihead.train.option import KINDS, kind_of
from likelihead.train.options import BY_NAME, OPTIONS

__all__ = ["TrainConfig", "contradictions"]

# Stands for an option that was not given: the kind of data decides.
_BY_KIND: Any = None

#: Options that came after the first release. A run from before them is one with their defaults.
_LATER = (
    *("sample_weight", "strict", "separator", "decimal", "missing", "encoding", "levels", "order"),
    *("overlap", "overlap_weight", "label_prior"),
)


@dataclass(frozen=True)
class TrainConfig:
    """The options of one training run; :mod:`likelihead.train.options` says what each means.

    An option that is left out takes the default of the kind of data: tables, text or images.

    Attributes:
        data: a bundled set's name, a file or a folder.
        kind: of the data: ``table``, ``language`` or ``images``; told by the data and the task.

    >>> TrainConfig(data="iris", hidden=(7,), activation="tanh").check().epochs
    100
    >>> TrainConfig(data="stdlib", task="language").network
    'gru'
    """

    data: str
    target: str | tuple[str, ...] | None = None
    sample_weight: str = _BY_KIND
    strict: bool = _BY_KIND
    separator: str = _BY_KIND
    decimal: str = _BY_KIND
    missing: tuple[str, ...] = _BY_KIND
    encoding: str = _BY_KIND
    task: str = _BY_KIND
    levels: tuple[float, ...] = _BY_KIND
    order: tuple[str, ...] = _BY_KIND
    output: str = _BY_KIND
    hidden: tuple[int, ...] = _BY_KIND
    activation: str = _BY_KIND
    network: str = _BY_KIND
    epochs: int = _BY_KIND
    steps: int = _BY_KIND
    batch_size: int = _BY_KIND
    lr: float = _BY_KIND
    optimizer: str = _BY_KIND
    weight_decay: float = _BY_KIND
    label_smoothing: float = _BY_KIND
    label_prior: str = _BY_KIND
    overlap: str = _BY_KIND
    overlap_weight: float = _BY_KIND
    class_weight: str = _BY_KIND
    logit_adjustment: float = _BY_KIND
    resample: str = _BY_KIND
    focal: float = _BY_KIND
    calibrate: str = _BY_KIND
    tune_thresholds: bool = _BY_KIND
    teacher: str = _BY_KIND
    temperature: float = _BY_KIND
    context: int = _BY_KIND
    tokenizer: str = _BY_KIND
    packing: str = _BY_KIND
    masks: str = _BY_KIND
    ignore_colour: str = _BY_KIND
    tile: int = _BY_KIND
    image_size: int = _BY_KIND
    skip_bad: bool = _BY_KIND
    seed: int = _BY_KIND
    test_fraction: float = _BY_KIND
    memory: int = _BY_KIND
    checkpoint_every: int = _BY_KIND
    guard: str = _BY_KIND
    kind: str = _BY_KIND

    def __post_init__(self) -> None:
        given: dict[str, Any] = vars(self)
        kind = given["kind"] or kind_of(self.data, given["task"] or "auto")
        object.__setattr__(self, "kind", kind)
        for option in OPTIONS:
            if given[option.name] is None:
                object.__setattr__(self, option.name, option.default_for(kind, given["network"] or ""))

    def check(self) -> TrainConfig:
        """Verify each option by itself.

        Raises:
            OptionError: an option is outside its range; the message says which and what is allowed.
        """
        if self.kind not in KINDS:
            raise OptionError(f"kind is {self.kind!r}; expected one of {', '.join(KINDS)}")
        for option in OPTIONS:
            option.check(getattr(self, option.name))
        return self

    def check_for(self, task: str) -> None:
        """Verify that each option means something for the task.

        Raises:
            OptionError: an option that the task would ignore.
        """
        for option in OPTIONS:
            option.check_for(getattr(self, option.name), self.kind, task)

    def digest(self) -> str:
        """SHA-256 over the options: a checkpoint belongs to one configuration.

        >>> TrainConfig(data="iris").digest() == TrainConfig(data="iris", seed=1).digest()
        False
        """
        values = dataclasses.asdict(self)
        for name in _LATER:
            if values[name] == BY_NAME[name].default_for(self.kind):
                del values[name]
        canonical = json.dumps(values, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """The options as plain values, without those that are None."""
        values = dataclasses.asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items() if v is not None}

    def applying(self, task: str) -> dict[str, Any]:
        """:meth:`to_dict` without the options that mean nothing for the task: what a report shows.

        >>> "context" in TrainConfig(data="iris").applying("multiclass")
        False
        """
        return {
            name: value
            for name, value in self.to_dict().items()
            if name not in BY_NAME or BY_NAME[name].applies(self.kind, task)
        }

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
                if field.name == "target" or field.name in _LATER:
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
            option = BY_NAME[name].flag if name in BY_NAME else name
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
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    if value is None:
        return type(None) in get_args(hint)
    if isinstance(value, tuple):
        item = {tuple[int, ...]: int, tuple[float, ...]: float}.get(hint, str)
        return all(_is_a(v, item) for v in value)
    return isinstance(value, str)
