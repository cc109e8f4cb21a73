"""A session that follows a whole program, as `runner.Watcher`, and hands its record to who writes reports."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from likelihead.watch import ranks
from likelihead.watch.record import Record

if TYPE_CHECKING:
    from likelihead.watch.session import Session

__all__ = ["Follow"]


class Follow:
    """Watches from the program's import of torch to its end.

    Args:
        command: what is run, for the report.
        report: gets the record; once.
        fail_fast, accelerate, costs: as of `Session`.
    """

    def __init__(
        self,
        command: Sequence[str],
        report: Callable[[Record], object],
        *,
        fail_fast: bool = False,
        accelerate: bool = False,
        costs: bool = True,
    ) -> None:
        self._command = tuple(command)
        self._report = report
        self._fail_fast = fail_fast
        self._accelerate = accelerate
        self._costs = costs
        self._session: Session | None = None
        self._began = time.perf_counter()

    def start(self) -> None:
        """Begin; torch is there."""
        from likelihead.watch.session import Session

        session = Session(
            self._command,
            fail_fast=self._fail_fast,
            accelerate=self._accelerate,
            costs=self._costs and ranks.rank() == 0,
        )
        session.start()
        self._session = session

    def finish(self, ended: str) -> bool:
        """End the session and hand the record on, rank 0 that of all ranks; whether it has errors."""
        # What the making of the report warns of is no business of the script's.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._finish(ended)

    def _finish(self, ended: str) -> bool:
        if self._session is not None:
            record = self._session.finish(ended)
            whole = ranks.gathered(record)
        else:
            # The program has no torch, and gets none here.
            seconds = time.perf_counter() - self._began
            record = Record(self._command, ended, seconds, accelerated=self._accelerate)
            whole = record if ranks.rank() == 0 else None
        if whole is not None:
            self._report(whole)
        return (whole or record).has_errors

    def stopped(self, error: BaseException) -> str | None:
        """The finding, where this is the exception of --fail-fast."""
        if self._session is None:
            return None
        from likelihead.watch.session import FailFast

        if not isinstance(error, FailFast):
            return None
        return f"{error.finding.code} in {error.finding.at}"
