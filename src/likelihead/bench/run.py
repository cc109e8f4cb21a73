"""Measure the CPU table, case after case."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone

import torch

from likelihead.bench.case import AGAIN, EAGER, OURS, Case, Goal, Room
from likelihead.bench.clock import Stopwatch, interleave
from likelihead.bench.contenders import Contender, line_up, twice
from likelihead.bench.machine import available_cores, describe, versions
from likelihead.bench.memory import in_own_process, why_not
from likelihead.bench.patience import Patience
from likelihead.bench.results import Results, Row
from likelihead.errors import OptionError
from likelihead.kernels.dispatch import explain, use_backend

__all__ = ["IDENTITY", "NO_SLOWER", "check_settings", "measure", "measure_identity"]

THREADS = 2
BUSY = 0.5
AUTO = "auto"
NO_SLOWER = 1.2
"""What no backend may take, in times of torch eager."""
IDENTITY = 1.1
"""How far from 1 a ratio of torch to itself may be: the method's own error, either way."""

Observer = Callable[[Case], object]


def check_settings(threads: int | None, repeat: int) -> int:
    """The number of threads to use.

    Raises:
        OptionError: there are not as many cores, or nothing would be run.
    """
    cores = available_cores()
    if threads is None:
        threads = min(THREADS, cores)
    if not 1 <= threads <= cores:
        raise OptionError(f"--threads is {threads}; expected 1 to {cores}, the cores that are there.")
    if repeat < 1:
        raise OptionError(f"--repeat is {repeat}; expected 1 or more rounds.")
    return threads


def measure(
    cases: Sequence[Case],
    *,
    threads: int | None = None,
    repeat: int = 11,
    compiled: bool = True,
    memory: bool = True,
    cold: bool = True,
    patience: float = 0.0,
    backend: str = "auto",
    suite: str = "cpu",
    observer: Observer = lambda case: None,
) -> Results:
    """Time the cases beside torch, and measure their memory.

    Args:
        cases: rows of the table.
        threads: of torch; 2, or 1 on a single core.
        repeat: rounds per case.
        compiled: with torch.compile among the peers.
        memory: with the extra peak memory, each case in a process of its own.
        cold: with the logits out of the caches before each run.
        patience: seconds that may be lost to waiting for other processes and to turns that they disturbed.
        backend: as `likelihead.use_backend` takes it. The goals are those of what serves a call otherwise; of
            a backend that is asked for by name only `NO_SLOWER` is wanted.
        suite: what the results are called.
        observer: called with each case before it is measured.

    Raises:
        OptionError: more threads than cores, or no rounds; or no backend has that name.
        BackendError: a function under test does not give torch's answer; or the backend is absent.
    """
    threads = check_settings(threads, repeat)
    notes = []
    if memory and (reason := why_not()):
        notes.append(f"Memory is not measured: {reason}.")
        memory = False
    rows, stopwatch, patient = [], Stopwatch(cold=cold), Patience(patience)
    notes += [] if patience else _busy()
    with _threads(threads), use_backend(backend):
        for case in cases:
            observer(case)
            rows.append(_row(case, stopwatch, patient, repeat, compiled))
            if backend != AUTO:
                rows[-1].goals = [Goal(OURS, EAGER, "within", NO_SLOWER)]
            if memory:
                rows[-1].extra_mib = in_own_process(
                    case.name, threads=threads, compiled=compiled, backend=backend
                )
    notes += _impatient(patience, patient)
    settings = _settings(threads, repeat, cold)
    return _results(suite, rows, settings if backend == AUTO else {**settings, "backend": backend}, notes)


def measure_identity(
    cases: Sequence[Case],
    *,
    threads: int | None = None,
    repeat: int = 11,
    cold: bool = True,
    patience: float = 0.0,
    observer: Observer = lambda case: None,
) -> Results:
    """Time torch against itself: every ratio has to come out as 1, but for the method's own error."""
    threads = check_settings(threads, repeat)
    rows, stopwatch, patient = [], Stopwatch(cold=cold), Patience(patience)
    notes = [] if patience else _busy()
    with _threads(threads):
        for case in cases:
            observer(case)
            contenders = twice(case.build()).contenders
            seconds = _timed(case, contenders, stopwatch, patient, repeat)
            goals: list[Goal | Room] = [
                Goal(AGAIN, EAGER, "within", IDENTITY),
                Goal(EAGER, AGAIN, "within", IDENTITY),
            ]
            rows.append(replace(_bare_row(case), seconds=seconds, goals=goals))
    notes += _impatient(patience, patient)
    return _results("identity", rows, _settings(threads, repeat, cold), notes)


def _row(case: Case, stopwatch: Stopwatch, patience: Patience, repeat: int, compiled: bool) -> Row:
    problem = case.build()
    backend = explain(case.op, problem.leaves[0]).backend if OURS in problem.losses else ""
    line = line_up(problem, compiled=compiled)
    seconds = _timed(case, line.contenders, stopwatch, patience, repeat)
    return replace(
        _bare_row(case),
        backend=backend,
        seconds=seconds,
        absent=line.absent,
        disagreeing=line.disagreeing,
        goals=list(case.goals),
    )


def _timed(
    case: Case, contenders: Sequence[Contender], stopwatch: Stopwatch, patience: Patience, repeat: int
) -> dict[str, list[float]]:
    return interleave(
        contenders,
        stopwatch,
        rounds=repeat if case.rounds is None else min(repeat, case.rounds),
        runs=case.runs,
        loops=case.loops,
        patience=patience,
        untimed=case.rounds is None,
    )


def _bare_row(case: Case) -> Row:
    return Row(
        case=case.name,
        what=case.what,
        op=case.op,
        shape=list(case.shape),
        dtype=str(case.dtype).removeprefix("torch."),
        backend="",
        runs=case.runs,
        seconds={},
    )


def _settings(threads: int, repeat: int, cold: bool) -> dict[str, str | int]:
    return {"threads": threads, "rounds": repeat, "caches": "cold" if cold else "warm"}


def _results(suite: str, rows: list[Row], settings: dict[str, str | int], notes: list[str]) -> Results:
    return Results(
        suite=suite,
        date=datetime.now(timezone.utc).date().isoformat(),
        machine=describe(),
        versions=versions(),
        settings=settings,
        rows=rows,
        notes=notes,
    )


def _impatient(given: float, patience: Patience) -> list[str]:
    if not given or patience.left > 0:
        return []
    return [f"The machine was busy for longer than {given:g} seconds: measure again when it is idle."]


def _busy() -> list[str]:
    """A warning where other work was running in the minute before."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load <= BUSY:
        return []
    return [f"The machine was busy when the run began (load {load:.1f}): measure again when it is idle."]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
