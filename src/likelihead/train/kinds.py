"""The packages of the kinds of data, imported when a run needs them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from likelihead.errors import OptionError
from likelihead.train.config import TrainConfig
from likelihead.train.problem import Problem
from likelihead.train.resolved import Resolved

__all__ = ["Kind", "kind_module", "prior_option", "table_options"]


class Kind(Protocol):
    """What the package of a kind of data offers."""

    def begin(self, config: TrainConfig) -> Problem:
        """A new run's problem; checks that no option is given that the task ignores."""

    def again(self, config: TrainConfig, resolved: Resolved) -> Problem:
        """The problem of a run that goes on."""

    def evaluate(self, run: Path, data: str, *, memory: int, **more: Any) -> dict[str, Any]:
        """The figures of a finished run on other data."""

    def predict(
        self,
        run: Path,
        data: str,
        *,
        out: Path | None,
        stream: BinaryIO | None,
        probs: bool,
        threshold: float | None,
        cost: Path | None,
        memory: int,
        **more: Any,
    ) -> list[str]:
        """Write the predictions of a finished run; returns notes for the console."""


def prior_option(prior: str | None, kind: str) -> dict[str, Any]:
    """The prior of the deployment as an option of those kinds that have one: tables.

    Raises:
        OptionError: it was given, and the kind has none.
    """
    if prior is None:
        return {}
    if kind != "table":
        raise OptionError(f"--prior is for the classes of tables; this run is of {kind} data")
    return {"prior": prior}


def table_options(kind: str, **options: Any) -> dict[str, Any]:
    """Those options that are given, which only tables have.

    Raises:
        OptionError: one was given, and the run is of another kind of data.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if kind != "table":
            named = f"--{next(iter(value))}" if isinstance(value, dict) else f"--{name}"
            raise OptionError(f"{named} is for tables; this run is of {kind} data")
    return given


def kind_module(kind: str) -> Kind:
    """The package of a kind of data: ``likelihead.train.<kind>``."""
    return cast(Kind, import_module(f"likelihead.train.{kind}"))
