"""Ctrl-C and SIGTERM as a request to stop at the next step's boundary."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

__all__ = ["StopSignals"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """A ``stop`` for :func:`likelihead.train.train`: says which signal has asked to stop, if any.

    From :meth:`arm` on the first signal is noted; a second one acts as it would without us, so that a run
    that hangs can be ended. Before that, while data is read and there is nothing to save, signals act as
    ever. Signals can be handled in the main thread alone.

    >>> with StopSignals() as stop:
    ...     stop() is None
    True
    """

    def __init__(self) -> None:
        self._asked: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> int | None:
        return self._asked

    def __enter__(self) -> StopSignals:
        return self

    def __exit__(self, *_: object) -> None:
        self._disarm()

    def arm(self) -> None:
        """Take the signals from now on."""
        self._before = {each: signal.signal(each, self._note) for each in SIGNALS}

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._asked = signum
        self._disarm()

    def _disarm(self) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)
        self._before = {}
