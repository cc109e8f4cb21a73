"""``likelihead lint``: mistakes in how losses are fed, found in the source."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from likelihead.lint.findings import Problem
    from likelihead.lint.run import Result

__all__ = ["command"]

_FORMATS = ("text", "json", "sarif", "github")


class Selectors(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """Codes with commas between them."""

    name = "codes"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The codes in upper case."""
        codes = tuple(part.strip().upper() for part in value.split(","))
        if not all(codes):
            self.fail(f"{value!r} has an empty code; expected codes such as LH101,LH2", param, ctx)
        return codes


@click.command("lint")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--select", type=Selectors(), multiple=True, metavar="CODES", help="Report these alone. [ALL]")
@click.option("--ignore", type=Selectors(), multiple=True, metavar="CODES", help="Do not report these.")
@click.option("--fix", is_flag=True, help="Write what can be fixed safely, and report the rest.")
@click.option("--diff", is_flag=True, help="Show what --fix would write, and write nothing.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: also fixes that may change more.")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", help="Of the output. [text]")
@click.option("--output-file", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead.")
@click.option("--statistics", is_flag=True, help="Count the findings by rule, and say what was done.")
@click.option("--exit-zero", is_flag=True, help="End with 0 even where something is found.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes, at most. [one per core]")
@click.option("--no-cache", is_flag=True, help="Neither read nor write a cache.")
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Of the cache. [.likelihead_cache beside pyproject.toml]",
)
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    select: tuple[tuple[str, ...], ...],
    ignore: tuple[tuple[str, ...], ...],
    fix: bool,
    diff: bool,
    unsafe_fixes: bool,
    form: str,
    output_file: Path | None,
    statistics: bool,
    exit_zero: bool,
    jobs: int | None,
    no_cache: bool,
    cache_dir: Path | None,
) -> None:
    """Find mistakes in how losses are fed, in Python files and notebooks, across the whole project.

    Each PATH is a file or a folder; without one it is the working folder. Nothing is imported or run. CODES
    are codes (LH101), beginnings of some (LH1) or ALL, with commas between them. [tool.likelihead.lint] of
    the nearest pyproject.toml sets select, ignore, per-file-ignores and losses.

    The exit code is 0 where nothing is found (with --diff: nothing to write), 1 where something is, or a file
    could not be read, and 2 where the command or its settings are wrong.
    """
    _check(
        (unsafe_fixes and not (fix or diff), "--unsafe-fixes is given without --fix or --diff"),
        (fix and diff, "--fix and --diff exclude each other: --diff writes nothing"),
        (diff and (form != "text" or statistics), "--diff is a format of its own"),
        (statistics and form in ("sarif", "github"), f"--statistics has no place in --format {form}"),
        (no_cache and cache_dir is not None, "--no-cache and --cache-dir exclude each other"),
    )
    from likelihead.lint.cache import Cache
    from likelihead.lint.run import lint_paths
    from likelihead.lint.settings import Configuration

    configuration = Configuration(
        [code for codes in select for code in codes], [code for codes in ignore for code in codes]
    )
    cache = None if no_cache else Cache(None if cache_dir is None else Path(os.path.abspath(cache_dir)))
    given = paths or (".",)
    output = _Output(output_file, given)
    processes = jobs or _cores()
    problems: list[Problem] = []
    found: object
    if fix or diff:
        from likelihead.lint import repair

        repaired = repair.repair(
            given, settings=configuration, jobs=processes, cache=cache, unsafe=unsafe_fixes
        )
        result = repaired.result
        if fix:
            problems = repair.write(repaired)
            click.echo(repair.summary(repaired, problems), err=True)
        found = repaired.changed if diff else result.findings
    else:
        result = lint_paths(given, settings=configuration, jobs=processes, cache=cache)
        found = result.findings
    if cache is not None:
        cache.save()
    problems += result.problems
    _tell(problems)
    output.write(repair.diff(repaired) if diff else _rendered(result, form, statistics))
    if result.statistics.internal:
        ctx.exit(2)
    if (found or problems) and not exit_zero:
        ctx.exit(1)


def _check(*mistakes: tuple[bool, str]) -> None:
    for made, words in mistakes:
        if made:
            raise click.UsageError(f"{words}.")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _rendered(result: Result, form: str, statistics: bool) -> str:
    if statistics and form == "text":
        from likelihead.lint.formats.text import render_statistics

        return render_statistics(result)
    from likelihead.lint.formats import render

    return render(result, form)


def _tell(problems: Iterable[Problem]) -> None:
    from likelihead.core.shown import printable, shown

    for problem in problems:
        line = f":{problem.line}" if problem.line else ""
        click.echo(f"likelihead: {printable(shown(problem.path))}{line}: {problem.reason}", err=True)


class _Output:
    """Standard output, or the file of --output-file, which is refused before the work and not after it."""

    def __init__(self, path: Path | None, inputs: Iterable[str]) -> None:
        self._output = None
        if path is not None:
            from likelihead.core.output import Output

            if path.suffix in (".py", ".ipynb"):
                raise click.UsageError(f"--output-file is {path}; expected a name that is not one of source.")
            self._output = Output(path, inputs=inputs, overwrite=True, option="--output-file")

    def write(self, text: str) -> None:
        # The names of files and their lines may hold what the reader's encoding has no character for.
        if self._output is not None:
            self._output.write(click.unstyle(text).encode(errors="backslashreplace"))
        elif sys.stdout is not None:  # it was closed otherwise
            if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
                sys.stdout.reconfigure(errors="backslashreplace")
            colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
            click.echo(text, nl=False, color=colour)
