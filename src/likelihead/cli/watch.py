"""``likelihead watch``: a training script runs as it is, and what its losses really do is told at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from likelihead.cli.handover import Handover

if TYPE_CHECKING:
    from likelihead.core.output import Output
    from likelihead.watch.program import Program
    from likelihead.watch.record import Record

__all__ = ["command"]


_FILE = click.Path(readable=False, path_type=Path)


class _AsPython(click.Command):
    """Its options end where python's do: at SCRIPT, and after ``-m MODULE`` and ``-c CODE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        valued = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        at = 0
        while at < len(args) and args[at].startswith("-") and args[at] not in ("-", "--"):
            word = args[at]
            at += 2 if word in valued else 1
            if word.startswith(("-m", "-c")):
                args = [*args[:at], "--", *args[at:]] if at <= len(args) else args
                break
        return super().parse_args(ctx, args)


@click.command(
    "watch",
    cls=_AsPython,
    context_settings={"allow_interspersed_args": False},
)
@click.option("-m", "module", metavar="MODULE", help="Run a module, as python -m does.")
@click.option("-c", "code", metavar="CODE", help="Run a line of code, as python -c does.")
@click.option("--json", type=_FILE, metavar="FILE", help="Also write it as JSON.")
@click.option("--html", type=_FILE, metavar="FILE", help="Also write it as a page.")
@click.option("--strict", is_flag=True, help="End with 1 in place of 0 where an error was found.")
@click.option("--fail-fast", is_flag=True, help="Stop the script at the first error, and end with 1.")
@click.option("--accelerate", is_flag=True, help="Run likelihead's kernels in place of torch's losses.")
@click.option("--quiet", is_flag=True, help="No report in the terminal.")
@click.argument("arguments", metavar="SCRIPT [ARGS]...", nargs=-1, type=click.UNPROCESSED)
def command(
    module: str | None,
    code: str | None,
    json: Path | None,
    html: Path | None,
    strict: bool,
    fail_fast: bool,
    accelerate: bool,
    quiet: bool,
    arguments: tuple[str, ...],
) -> None:
    """Run a training script as it is, and say at its end what its losses really do.

    SCRIPT runs as under `python SCRIPT`: what comes after it are its own arguments. For each loss call the
    report says what went in, whether that is what the loss expects, and how it stands against a model that
    has learnt nothing. It goes to standard error, so that the script's own output can go on being piped.

    The exit code is the script's own; 1 under --strict and --fail-fast as they say; 2 where the command is
    wrong, before anything runs.

    \b
    likelihead watch --html report.html train.py --epochs 3
    likelihead watch -m package.train --epochs 3
    torchrun --nproc-per-node 2 -m likelihead watch train.py
    """  # noqa: D301  # \b is click's
    from likelihead.watch.follow import Follow
    from likelihead.watch.runner import run

    program, arguments, words = _program(module, code, arguments)
    program.check_shadows()
    report = _report(json, html, quiet, inputs=[program.name])
    told = not quiet or json is not None or html is not None  # else nobody waits for the costs
    follow = Follow(words, report, fail_fast=fail_fast, accelerate=accelerate, costs=told)
    raise Handover(lambda: run(program, arguments, follow, strict=strict))


def _program(
    module: str | None, code: str | None, arguments: tuple[str, ...]
) -> tuple[Program, tuple[str, ...], list[str]]:
    """What to run, its arguments, and all as the user wrote it."""
    from likelihead.watch import program

    if module is not None:
        return program.module(module), arguments, ["-m", module, *arguments]
    if code is not None:
        return program.code(code), arguments, ["-c", code, *arguments]
    if not arguments:
        raise click.UsageError("SCRIPT is missing; give a script, -m MODULE or -c CODE.")
    return program.script(arguments[0]), arguments[1:], list(arguments)


def _report(
    json: Path | None, html: Path | None, quiet: bool, inputs: Iterable[str]
) -> Callable[[Record], None]:
    """What writes the reports that were asked for; refused now, if they cannot be written."""
    from likelihead.watch.pages import check_html

    if html is not None:
        check_html()
    if json is not None and html is not None and os.path.abspath(json) == os.path.abspath(html):
        raise click.UsageError(f"--json and --html are both {json}; give each a name of its own.")
    json_file, html_file = _output("--json", json, inputs), _output("--html", html, inputs)

    def in_the_terminal(record: Record) -> None:
        from likelihead.watch.pages import print_report
        from likelihead.watch.runner import aside

        with aside() as stream:
            print_report(record, stream)

    def as_json(record: Record, file: Output) -> None:
        from likelihead.watch.pages import json_text

        file.write(json_text(record).encode())

    def as_page(record: Record, file: Output) -> None:
        from likelihead.watch.pages import html_text

        file.write(html_text(record).encode())

    forms: list[Callable[[Record], None]] = [] if quiet else [in_the_terminal]
    forms += [] if json_file is None else [partial(as_json, file=json_file)]
    forms += [] if html_file is None else [partial(as_page, file=html_file)]

    def report(record: Record) -> None:
        faults = []
        for form in forms:
            try:
                form(record)
            except Exception as error:  # the other forms are written all the same
                faults.append(error)
        if faults:
            if quiet:  # else what an hour has shown would be lost
                in_the_terminal(record)
            raise faults[0]

    return report


def _output(option: str, path: Path | None, inputs: Iterable[str]) -> Output | None:
    """The file, at its place whatever folder the script goes to; known to be writable, and left as it is."""
    from likelihead.core.atomic import replacing
    from likelihead.core.output import STANDARD_OUTPUT, Output

    if path is None:
        return None
    if str(path) in STANDARD_OUTPUT:
        raise click.UsageError(
            f"{option} is {path}: standard output is the script's; give the name of a file."
        )
    output = Output(Path(os.path.abspath(path)), inputs=inputs, overwrite=True, option=option)
    if not path.exists() or path.is_file():
        with replacing(Path(os.path.realpath(path)), durable=False, settle=lambda new, _: new.unlink()):
            pass
    return output
