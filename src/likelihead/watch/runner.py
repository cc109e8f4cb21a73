"""Runs a program to its end as python would, while something watches it.

The watcher is let in when the program has imported torch, and asked for its report where the process ends:
after the program's last line and its threads, or wherever it leaves earlier (`exits`). What the program
prints, its exit code and its tracebacks are those that it has under python.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Protocol, TextIO

from likelihead.errors import LikelihoodError
from likelihead.watch.arrival import when_imported
from likelihead.watch.exits import Exits
from likelihead.watch.program import Program
from likelihead.watch.tracebacks import hide_in_all

__all__ = ["Watcher", "aside", "run"]

_running = False


class Watcher(Protocol):
    """What follows a program."""

    def start(self) -> None:
        """Begin: torch is there."""

    def finish(self, ended: str) -> bool:
        """Report on the program, which ended so; whether an error was found in it."""

    def stopped(self, error: BaseException) -> str | None:
        """Where the watcher stopped the program, by this exception: at what."""


def run(program: Program, arguments: Iterable[str], watcher: Watcher, *, strict: bool = False) -> None:
    """Run a program, and leave to the interpreter what it does at its end.

    To be called in the main thread, as the last thing that a process does.

    Args:
        program: to run.
        arguments: of the program.
        watcher: of the run.
        strict: end with exit code 1 where the watcher found an error and the program ended with 0.

    Raises:
        SystemExit: the exit code, where it is not 0.
        KeyboardInterrupt: the program ended by one, which has been told.
    """
    global _running
    nested, _running = _running, True
    watched = _Unfailing(watcher, program)
    exits = Exits(watched.finish, strict=strict)
    program.prepare(arguments)
    exits.install()
    when_imported("torch", watched.start)
    end: BaseException | None = None
    try:
        program.execute()
    except BaseException as error:
        end = error
    status, ended = 0, "finished"
    # Not within the handler: a hook of the program's may look for an exception that is being handled.
    if isinstance(end, SystemExit):
        end = _exit_code(end)
        status = int(end.code or 0)
        ended = f"exit code {status}" if status else ended
    elif end is not None:
        at = watched.stopped(end)
        status, ended = 1, f"raised {type(end).__name__}" if at is None else f"was stopped by {at}"
        end = _told(end) if at is None else _stopped(at)
    if not nested:
        _wait_for_threads()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, or its reader gone; the interpreter says so at its end
            stream.flush()
    if exits.code(status, ended) != status:
        raise SystemExit(1)
    if isinstance(end, KeyboardInterrupt):
        sys.excepthook = lambda *_: None  # it has been told
    if end is not None:
        raise end


@contextmanager
def aside() -> Iterator[TextIO]:
    """Standard error, whatever the script has made of `sys.stderr`, and in the middle of a write to it."""
    try:
        encoding = getattr(sys.__stderr__, "encoding", None) or "utf-8"
        stream = open(os.dup(2), "w", encoding=encoding, errors="backslashreplace")  # noqa: SIM115
    except OSError:
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    # Nobody is left to be told that the reader has gone.
    with suppress(OSError), stream:
        yield stream


class _Unfailing:
    """A watcher whose faults are told at the end, and are not the program's; nor are its imports."""

    def __init__(self, watcher: Watcher, program: Program) -> None:
        self._watcher, self._program = watcher, program
        self._fault: Exception | None = None

    def start(self) -> None:
        try:
            with self._program.out_of_the_way():
                self._watcher.start()
        except Exception as error:
            self._fault = error

    def finish(self, ended: str) -> bool:
        failed = True  # a strict run is not passed where nobody has looked
        fault: BaseException | None = self._fault
        try:
            with self._program.out_of_the_way():
                failed = self._watcher.finish(ended) or fault is not None
        except BaseException as error:
            fault = fault or error
        if fault is not None:
            with aside() as stream:
                stream.write(f"likelihead: {_words(fault)}\n")
        return failed

    def stopped(self, error: BaseException) -> str | None:
        return self._watcher.stopped(error)


def _words(fault: BaseException) -> str:
    if isinstance(fault, LikelihoodError):
        return str(fault)
    return f"the watch itself failed: {type(fault).__name__}: {fault}"


def _exit_code(error: SystemExit) -> SystemExit:
    """With the number that the interpreter makes of the argument of `sys.exit`; a text is told."""
    if error.code is None or isinstance(error.code, int):
        return SystemExit(error.code)
    with suppress(Exception):
        print(error.code, file=sys.stderr)
    return SystemExit(1)


def _stopped(at: str) -> SystemExit:
    with aside() as stream:
        stream.write(f"likelihead: stopped by {at}\n")
    return SystemExit(1)


def _told(error: BaseException) -> BaseException:
    """Tell of an exception that nobody caught, as the interpreter does, and say with what to end."""
    hide_in_all(error)
    trace = error.__traceback__
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    try:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    except SystemExit as end:
        return _exit_code(end)
    except BaseException as fault:
        print("Error in sys.excepthook:", file=sys.stderr)
        _show(fault, fault.__traceback__ and fault.__traceback__.tb_next)
        print("\nOriginal exception was:", file=sys.stderr)
        _show(error, trace)
    return error if isinstance(error, KeyboardInterrupt) else SystemExit(1)


def _show(error: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(type(error), error.with_traceback(trace), trace)


def _wait_for_threads() -> None:
    """What the interpreter does first at its end, so that the report is about the threads too."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
    except BaseException as error:
        print(f"Exception ignored in: {threading!r}", file=sys.stderr)
        _show(error, error.__traceback__ and error.__traceback__.tb_next)
