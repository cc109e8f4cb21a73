"""The command line: a table of commands, each in a file of its own, imported when it is called.

``likelihead --help`` and ``likelihead explain`` import no torch; a command's file may import it inside the
function that does the work.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from typing import Any, NamedTuple

import click

from likelihead.cli.failure import Failure, one_line
from likelihead.cli.handover import Handover
from likelihead.core.environment import check_environment
from likelihead.guard.switch import current

__all__ = ["COMMANDS", "CommandEntry", "main", "run"]


class CommandEntry(NamedTuple):
    """Where a command is, and its line in ``likelihead --help`` (so that help imports nothing)."""

    target: str
    help: str


COMMANDS: dict[str, CommandEntry] = {
    "train": CommandEntry("likelihead.cli.train:command", "Train a network on a data file or a bundled set."),
    "predict": CommandEntry("likelihead.cli.predict:command", "Predict with a trained run."),
    "evaluate": CommandEntry("likelihead.cli.evaluate:command", "Score a trained run on a data file."),
    "sample": CommandEntry("likelihead.cli.sample:command", "Write text with a trained language model."),
    "compare": CommandEntry("likelihead.cli.compare:command", "Show finished runs side by side in one page."),
    "watch": CommandEntry("likelihead.cli.watch:command", "Run a script, and say what its losses really do."),
    "lint": CommandEntry("likelihead.cli.lint:command", "Find mistakes in how losses are fed, in source."),
    "info": CommandEntry("likelihead.cli.info:command", "Versions, kernel backends, threads, guard level."),
    "build": CommandEntry("likelihead.cli.build:command", "Compile the CPU's kernels where none came along."),
    "bench": CommandEntry("likelihead.cli.bench:command", "Time the losses beside torch's on this machine."),
    "explain": CommandEntry("likelihead.cli.explain:command", "Explain a hazard code, or list them all."),
}


class CommandTable(click.Group):
    """A click group over `COMMANDS`, in which every expected failure is one line and exit code 2."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            failure = one_line(error)
            if failure is None:
                raise
            raise failure from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].target.partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name].target} is {found!r}; expected a click command.")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise Failure(f"there is no command {args[0]!r}; {_suggestion(args[0])}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            check_environment()
            current()  # of the guard, which reads the environment when it is first asked
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends quietly when the reader of a pipe has gone
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(130)
        except Exception as error:
            failure = one_line(error)
            if failure is None:
                raise
            raise failure from error


def _suggestion(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"the commands are {', '.join(COMMANDS)}."


@click.command("likelihead", cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="likelihead", message="%(prog)s %(version)s")
def main() -> None:
    """The output end of a neural network, done right: train, predict, evaluate, and explain mistakes."""


def run() -> None:
    """The program ``likelihead``: :data:`main`, and the end of the process with its exit code.

    The interpreter's own end is left out. Libraries with threads of their own are taken apart there, and on a
    busy machine one of them was seen to abort, so that a refusal that had been told ended with 134 instead of
    2. Nothing is lost: what a command writes is on the disk before it returns, and the streams are flushed.
    A command that hands over to a program of the user's ends with that, and with the interpreter's own end.
    """
    code, rest = 1, None
    try:
        main()
    except Handover as handover:
        rest = handover.rest
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    if rest is not None:
        rest()
        return
    for stream in (sys.stdout, sys.stderr):
        # A reader that has gone wants no more; click has ended the command for that already. A stream
        # that was closed from the start is None.
        with contextlib.suppress(BrokenPipeError):
            if stream is not None:
                stream.flush()
    os._exit(code)
