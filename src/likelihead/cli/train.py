"""``likelihead train``: a network on a bundled set or a data file, with a report."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from likelihead.train.options import OPTIONS

if TYPE_CHECKING:
    from likelihead.train import Interrupted, Outcome

__all__ = ["INTERRUPTED", "TERMINATED", "command"]

INTERRUPTED, TERMINATED = 130, 143

# Options that name a file, which a run keeps with its whole path, and the values that do not.
_PATHS: dict[str, tuple[str, ...]] = {
    "class_weight": ("", "none", "balanced", "effective"),
    "teacher": ("",),
    "tokenizer": ("", "bytes"),
    "masks": ("",),
}

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?i?)b?\s*", re.IGNORECASE)


def _size(text: str) -> int:
    """A number of bytes from ``1GiB``, ``500MB`` or ``1073741824``."""
    from likelihead.errors import OptionError

    match = _SIZE.fullmatch(text)
    if match is None or match[2].lower() not in _UNITS:
        raise OptionError(f"--memory is {text!r}; write 1GiB, 500MB or a number of bytes")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _widths(texts: tuple[str, ...]) -> tuple[int, ...]:
    """Layer widths from ``7``, ``64,32``, several of them, or ``none``."""
    from likelihead.errors import OptionError

    if [text.strip().lower() for text in texts] == ["none"]:
        return ()
    try:
        return tuple(int(part) for text in texts for part in text.split(","))
    except ValueError as error:
        raise OptionError(
            f"--hidden is {','.join(texts)!r}; write 7, or 64,32 for two layers, or none"
        ) from error


def _levels(texts: tuple[str, ...]) -> tuple[float, ...]:
    """Quantiles from ``0.1,0.5,0.9``, or several of them."""
    from likelihead.errors import OptionError

    try:
        return tuple(float(part) for text in texts for part in text.split(","))
    except ValueError as error:
        raise OptionError(f"--levels is {','.join(texts)!r}; write 0.1,0.5,0.9") from error


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    types: dict[str, Any] = {"number": float, "count": int}
    for option in reversed(OPTIONS):
        settings: dict[str, Any] = {"help": option.full_help}
        if option.form == "flag":
            settings |= {"is_flag": True, "default": None}
        else:
            settings |= {"metavar": option.metavar, "type": types.get(option.form, str)}
            settings["multiple"] = option.form in ("numbers", "texts", "widths")
        command = click.option(option.flag, option.name, **settings)(command)
    return command


@click.command("train")
@click.argument("data", required=False)
@_with_options
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="The run's folder. [runs/<data>-<n>]"
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out (or the newest of DATA in runs/).")
def command(data: str | None, out: Path | None, resume: bool, **options: Any) -> None:
    """Train a network on DATA and write a run folder with a report.

    \b
    DATA is
      a table: iris, digits, digits-long-tail, digits-one-vs-rest, wine or
        breast-cancer, or a CSV, Parquet or JSON-lines file;
      text (--task language): stdlib, a text file or a folder of text;
      images: digit-scenes, or a folder of images (--task segmentation: with
        masks).

    --hidden 7 --activation tanh on iris is the 4-7-3 network of the textbooks.

    With --resume a run goes on from its last checkpoint, to the same bits as if it had never stopped; its
    options come from the run's config.toml.

    \b
    Exit codes:
      0    trained
      2    an error, told in one line; the last checkpoint is intact
      130  stopped by Ctrl-C after saving a checkpoint: --resume goes on
      143  stopped by SIGTERM, likewise
    """  # noqa: D301  # \b is click's
    from likelihead.errors import OptionError

    given = {name: value for name, value in options.items() if value not in (None, ())}
    if "target" in given:
        given["target"] = given["target"][0] if len(given["target"]) == 1 else given["target"]
    if "hidden" in given:
        given["hidden"] = _widths(given["hidden"])
    if "levels" in given:
        given["levels"] = _levels(given["levels"])
    if "order" in given:
        # Several options name classes as they stand; one may name them all.
        one = given["order"][0].split(",") if len(given["order"]) == 1 else given["order"]
        given["order"] = tuple(name.strip() for name in one)
    if "memory" in given:
        given["memory"] = _size(given["memory"])
    for name in _PATHS:
        if given.get(name, "") not in _PATHS[name]:
            given[name] = str(Path(given[name]).absolute())
    if not resume and data is None:
        raise OptionError(
            "DATA is missing; give iris, digits, wine, breast-cancer, stdlib, digit-scenes, a file or folder"
        )
    if resume and data is None and out is None:
        raise OptionError(
            "--resume needs the run's folder (--out DIR), or DATA to take its newest run in runs/"
        )
    _run(data, out, given, resume)


def _run(data: str | None, out: Path | None, given: dict[str, Any], resume: bool) -> None:
    from rich.console import Console

    from likelihead.cli.progress import TrainingProgress
    from likelihead.guard.switch import current
    from likelihead.train import Interrupted, TrainConfig
    from likelihead.train import resume as go_on
    from likelihead.train import train as begin
    from likelihead.train.run import newest
    from likelihead.train.start import absolute
    from likelihead.train.stopping import StopSignals

    console = Console(stderr=True)
    source = None if data is None else absolute(data)
    try:
        with StopSignals() as stop, TrainingProgress(console, stop.arm) as progress:
            if resume:
                given |= {} if source is None else {"data": source}
                folder = out if out is not None else newest(str(data))
                outcome = go_on(folder, given=given, observer=progress, stop=stop)
            else:
                # Without --guard the level is the one in force: LIKELIHEAD_GUARD's.
                config = TrainConfig(data=str(source), **{"guard": current().level, **given})
                outcome = begin(config, out=out, observer=progress, stop=stop)
    except Interrupted as stopped:
        _say_stopped(stopped)
    _say(outcome)


def _say_stopped(stopped: Interrupted) -> NoReturn:
    import signal

    click.echo(
        f"likelihead: stopped after step {stopped.step}, saved; go on with: "
        f"likelihead train --resume --out {shlex.quote(str(stopped.folder))}",
        err=True,
    )
    raise click.exceptions.Exit(INTERRUPTED if stopped.signum == signal.SIGINT else TERMINATED)


def _say(outcome: Outcome) -> None:
    from likelihead.train.resolved import far_above

    for code, message in outcome.findings:
        click.echo(f"{code}: {message}", err=True)
    score = f"{outcome.score_name.replace('_', ' ')} {outcome.score:.4f}"
    more = "".join(f", {name.replace('_', ' ')} {value:.4f}" for name, value in outcome.more.items())
    if far_above(outcome.test_nll, outcome.baseline_nll):
        click.echo(
            f"FAILED: the test NLL of {outcome.test_nll:,.4g} nats is far above the baseline of "
            f"{outcome.baseline_nll:.4g}, which looks at no feature: the model is certain of wrong answers; "
            "take a lower --lr, a smaller --hidden or fewer --epochs"
        )
    click.echo(f"{score}, test NLL {outcome.test_nll:.4f} nats (baseline {outcome.baseline_nll:.4f}){more}")
    click.echo(f"{outcome.folder}: report.html, model.safetensors")
