"""``likelihead train``: a network on a bundled set or a data file, with a report."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from likelihead.train import Interrupted, Outcome

__all__ = ["INTERRUPTED", "TERMINATED", "command"]

INTERRUPTED, TERMINATED = 130, 143

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


@click.command("train")
@click.argument("data", required=False)
@click.option(
    "--target", multiple=True, metavar="COL", help="The target's column; several for multilabel 0/1 columns."
)
@click.option(
    "--task",
    metavar="TASK",
    help="auto, binary, multiclass, multilabel or regression. [auto]",
)
@click.option(
    "--output",
    metavar="KIND",
    help="logits (CrossEntropyLoss) or log-probs (NLLLoss). [logits]",
)
@click.option(
    "--hidden",
    multiple=True,
    metavar="N",
    help="Widths of the hidden layers, repeated or 64,32; none for a linear model. [32]",
)
@click.option("--activation", metavar="NAME", help="tanh, relu, gelu, silu, elu or sigmoid. [tanh]")
@click.option("--epochs", type=int, metavar="N", help="Passes over the training rows. [100]")
@click.option("--batch-size", type=int, metavar="N", help="Rows per step. [32]")
@click.option("--lr", type=float, metavar="X", help="Learning rate. [0.01]")
@click.option("--optimizer", metavar="NAME", help="adam, adamw or sgd (momentum 0.9). [adam]")
@click.option("--weight-decay", type=float, metavar="X", help="Against learning by heart. [0.002]")
@click.option("--label-smoothing", type=float, metavar="X", help="In [0, 1), multiclass only. [0]")
@click.option(
    "--class-weight",
    metavar="W",
    help="none, balanced, or a JSON or CSV file of class,weight. [none]",
)
@click.option("--seed", type=int, metavar="N", help="Of the weights, the split and the batches. [0]")
@click.option("--test-fraction", type=float, metavar="X", help="Share of the rows held out. [0.2]")
@click.option("--memory", metavar="SIZE", help="For the rows; larger files stream. [1GiB]")
@click.option("--checkpoint-every", type=int, metavar="STEPS", help="Steps between checkpoints. [500]")
@click.option(
    "--guard",
    metavar="LEVEL",
    help="Checks on each loss call: off, cheap or full. [LIKELIHEAD_GUARD, or cheap]",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="The run's folder. [runs/<data>-<n>]"
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out (or the newest of DATA in runs/).")
def command(data: str | None, out: Path | None, resume: bool, **options: Any) -> None:
    """Train a network on DATA and write a run folder with a report.

    DATA is iris, digits, wine or breast-cancer, or a CSV, Parquet or JSON-lines file. --hidden 7 --activation
    tanh on iris is the 4-7-3 network of the textbooks.

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
    if "memory" in given:
        given["memory"] = _size(given["memory"])
    if given.get("class_weight", "none") not in ("none", "balanced"):
        given["class_weight"] = str(Path(given["class_weight"]).absolute())
    if not resume and data is None:
        raise OptionError("DATA is missing; give iris, digits, wine, breast-cancer or a file")
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
    for code, message in outcome.findings:
        click.echo(f"{code}: {message}", err=True)
    score = f"{outcome.score_name.replace('_', ' ')} {outcome.score:.4f}"
    click.echo(f"{score}, test NLL {outcome.test_nll:.4f} nats (baseline {outcome.baseline_nll:.4f})")
    click.echo(f"{outcome.folder}: report.html, model.safetensors")
