"""The ways out of a process that pass the interpreter's end by: `os._exit`, and the signals that end it.

On each of them the report is written first; then the process ends as it would have. A script sees nothing of
it: `signal.getsignal` answers what it would answer, a handler of the script's own takes its place, and in a
forked child everything is as if it had never been.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Any

__all__ = ["Exits"]

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Exits:
    """Sees to it that a function is called once before the process ends.

    Args:
        finish: called with how the process ends, in words; returns whether an error was found.
        strict: end with exit code 1 in place of 0 where one was.
    """

    def __init__(self, finish: Callable[[str], bool], *, strict: bool = False) -> None:
        self._finish = finish
        self._strict = strict
        self._failed = False
        self._called = False
        self._caller: int | None = None  # the thread in which the function runs
        self._signal: int | None = None  # one that came meanwhile
        self._lock = threading.RLock()
        self._exit = os._exit
        self._set, self._get = signal.signal, signal.getsignal

    def install(self) -> None:
        """Stand in the ways out. For the main thread."""

        @wraps(self._exit)
        def _exit(status: int) -> None:
            # What is no exit code is for the real one to refuse.
            if isinstance(status, int):
                status = self.code(status, f"exit code {status}" if status else "finished")
            self._exit(status)

        @wraps(self._set)
        def set_signal(signalnum: int, handler: Any) -> Any:
            if signalnum in _ENDING and handler == signal.SIG_DFL:
                handler = self._on_signal
            return self._as_without(self._set(signalnum, handler))

        @wraps(self._get)
        def get_signal(signalnum: int) -> Any:
            return self._as_without(self._get(signalnum))

        for signum in _ENDING:
            if self._get(signum) == signal.SIG_DFL:
                self._set(signum, self._on_signal)
        os._exit = _exit  # type: ignore[assignment]
        signal.signal, signal.getsignal = set_signal, get_signal
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._in_child)

    def code(self, status: int, ended: str) -> int:
        """Call the function, unless it was called, and say with which exit code to end in place of this."""
        with self._lock:
            if not self._called:
                self._called, self._caller = True, threading.get_ident()
                try:
                    self._failed = self._finish(ended)
                finally:
                    self._caller = None
                    if self._signal is not None:
                        self._die(self._signal)
        return 1 if status == 0 and self._failed and self._strict else status

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._caller == threading.get_ident():
            self._signal = signum
            return
        self.code(0, f"killed by {signal.Signals(signum).name}")
        self._die(signum)

    def _die(self, signum: int) -> None:
        self._set(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    def _as_without(self, handler: Any) -> Any:
        return signal.SIG_DFL if handler == self._on_signal else handler

    def _in_child(self) -> None:
        self._called, self._failed = True, False
        self._lock = threading.RLock()  # the parent's may be held by a thread that is not here
        os._exit = self._exit
        signal.signal, signal.getsignal = self._set, self._get
        for signum in _ENDING:
            if self._get(signum) == self._on_signal:
                self._set(signum, signal.SIG_DFL)
