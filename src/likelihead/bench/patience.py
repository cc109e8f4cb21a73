"""Waiting for the machine to be otherwise idle, and doing again what was disturbed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

__all__ = ["Patience"]

_STAT = Path("/proc/stat")
_LOOK = 0.05  # seconds: the kernel counts in hundredths
_TICKS = 0.02  # seconds that may be miscounted
_SHARE = 0.05  # of one core, that others may use

Result = TypeVar("Result")


class Patience:
    """Seconds that may be lost in all to waiting and to turns made again; with none, all is as it comes.

    Only Linux tells how busy the other processes are; elsewhere patience changes nothing.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds if _STAT.is_file() else 0.0

    def undisturbed(self, turn: Callable[[], Result]) -> Result:
        """The result of a turn during which other processes left the cores alone, while patience lasts."""
        while True:
            self._wait()
            start, others = time.perf_counter(), _others()
            result = turn()
            taken = time.perf_counter() - start
            if self.left <= 0 or not _busy(_others() - others, taken):
                return result
            self.left -= taken

    def _wait(self) -> None:
        while self.left > 0:
            others = _others()
            time.sleep(_LOOK)
            if not _busy(_others() - others, _LOOK):
                return
            self.left -= _LOOK


def _busy(used: float, taken: float) -> bool:
    return used > _TICKS + _SHARE * taken


def _others() -> float:
    """Seconds of processor time that all other processes have used, on any core."""
    if not _STAT.is_file():
        return 0.0
    fields = [int(field) for field in _STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts = fields[:7]
    ticks = user + nice + system + interrupts + soft_interrupts
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()
