"""``likelihead bench``: the project's benchmark on the user's machine."""

from __future__ import annotations

import errno
import os
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from likelihead.bench.results import Results

__all__ = ["Seconds", "check_outputs", "command", "deliver", "free_stem", "output_options", "timing_options"]


class Seconds(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """A number of seconds, at least so many."""

    name = "seconds"

    def __init__(self, least: float) -> None:
        self._least = least

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; anything else, or one too small or without an end, is a usage error."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = nan
        if not self._least <= seconds < inf:
            self.fail(f"{value!r}; expected a number of seconds, {self._least:g} or more.", param, ctx)
        return seconds


def timing_options(function: click.decorators.FC) -> click.decorators.FC:
    """The options of every suite that say what is run and how often."""
    for option in (
        click.option(
            "--cold/--warm",
            "cold",
            default=True,
            help="Read something larger than the caches before each run, or not. [cold]",
        ),
        click.option(
            "--patience",
            type=Seconds(0),
            default=0.0,
            metavar="S",
            help="Seconds to spend in all on waiting for idle cores and on disturbed turns. [0]",
        ),
        click.option("--repeat", type=int, default=11, metavar="N", help="Rounds per case. [11]"),
        click.option("--only", metavar="REGEX", help="Only the cases whose name it finds."),
        click.option("--threads", type=int, metavar="N", help="Threads of torch. [2]"),
    ):
        function = option(function)
    return function


def output_options(function: click.decorators.FC) -> click.decorators.FC:
    """The options of every suite that say where the results go."""
    for option in (
        click.option(
            "--save",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Also write DIR/<date>-<machine>.json and .md.",
        ),
        click.option(
            "--overwrite", is_flag=True, help="Replace files of earlier results that are there already."
        ),
        click.option(
            "--json", "out", type=click.Path(path_type=Path), metavar="OUT", help="Also write OUT, as JSON."
        ),
    ):
        function = option(function)
    return function


@click.command("bench")
@timing_options
@click.option("--compile/--no-compile", "compiled", default=True, help="With torch.compile among the peers.")
@click.option(
    "--backend",
    default="auto",
    metavar="NAME",
    help="The backend that ours runs on: native, triton, portable or reference. [auto]",
)
@click.option("--memory/--no-memory", default=True, help="With the extra peak memory of each function.")
@output_options
def command(
    threads: int | None,
    only: str | None,
    repeat: int,
    cold: bool,
    patience: float,
    compiled: bool,
    backend: str,
    memory: bool,
    out: Path | None,
    save: Path | None,
    overwrite: bool,
) -> None:
    """Time the losses beside torch's on this machine.

    Each case runs from the logits to their gradient, in turns with torch eager, torch.compile and the floor:
    one copy of the logits. The cases of a linear head run from the hidden states to all gradients, and their
    floor is the matrix products alone. Ratios are what carries over to another machine. Let nothing else run
    meanwhile; the whole table takes some ten minutes.
    """
    from rich.console import Console

    from likelihead.bench.cases import select
    from likelihead.bench.run import check_settings, measure

    cases = select(only)
    check_settings(threads, repeat)
    check_outputs(out, save, overwrite)
    progress = Console(stderr=True)
    results = measure(
        cases,
        threads=threads,
        repeat=repeat,
        cold=cold,
        patience=patience,
        compiled=compiled,
        backend=backend,
        memory=memory,
        observer=lambda case: progress.print(f"{case.name} ...", style="dim", highlight=False),
    )
    deliver(results, out, save, overwrite)


def check_outputs(out: Path | None, save: Path | None, overwrite: bool = False) -> None:
    """Find out before the minutes of measuring that the results could not be written.

    Raises:
        OptionError: there is no such folder, or the file is there already.
        RunError: the folder cannot be written.
    """
    from likelihead.core.atomic import unwritable
    from likelihead.core.output import Output
    from likelihead.errors import OptionError

    if out is not None and not out.absolute().parent.is_dir():
        raise OptionError(f"--json is {out}, in a folder that does not exist; make it first.")
    if out is not None and out.is_dir():
        raise OptionError(f"--json is {out}, which is a folder; expected a file's name.")
    if save is not None and not save.is_dir():
        raise OptionError(f"--save is {save}, which is no folder; make it first.")
    if save is not None and not os.access(save, os.W_OK | os.X_OK):
        raise unwritable(save, OSError(errno.EACCES, ""))
    if out is not None:
        Output(out, overwrite=overwrite, option="--json")


def deliver(
    results: Results,
    out: Path | None,
    save: Path | None,
    overwrite: bool = False,
    page: Callable[[Results], str] | None = None,
) -> None:
    """Print the table and write the files asked for, those of --save under names that are free.

    Args:
        results: to deliver.
        out: of --json.
        save: of --save.
        overwrite: files that are there.
        page: makes Markdown of results that are no table of contenders; it is printed too.
    """
    from rich.console import Console

    from likelihead.bench.results import text_of
    from likelihead.bench.show import markdown, print_table
    from likelihead.core.output import STANDARD_OUTPUT, Output

    aside = out is not None and str(out) in STANDARD_OUTPUT
    if page is None:
        print_table(results, Console(stderr=aside))
    else:
        click.echo(page(results), nl=False, err=aside)
    content = text_of(results).encode()
    if out is not None:
        Output(out, overwrite=overwrite, option="--json").write(content)
    if save is not None:
        stem = free_stem(results, save, overwrite)
        files = {f"{stem}.json": content, f"{stem}.md": (page or markdown)(results).encode()}
        for name, written in files.items():
            Output(save / name, overwrite=overwrite, option="--save").write(written)
        click.echo(f"Saved {' and '.join(files)}.", err=aside)


def free_stem(results: Results, save: Path, overwrite: bool = False) -> str:
    """What the files of these results are called in a folder, without the ending.

    Minutes of measuring are not thrown away for a name that an earlier measurement of the day has.
    """
    from likelihead.bench.machine import slug

    machine = results.machine
    words = [results.date, machine.get("gpu", machine["cpu"])]
    words += [f"{results.settings['threads']} threads"] if "gpu" not in machine else []
    words += [] if results.suite == "cpu" else [results.suite]
    words += [str(results.settings["backend"])] if "backend" in results.settings else []
    first = stem = slug(*words)
    number = 2
    while not overwrite and any(os.path.lexists(save / f"{stem}.{ending}") for ending in ("json", "md")):
        stem = f"{first}-{number}"
        number += 1
    return stem
