"""The analysis of many files, in this process or in several."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from likelihead.lint import analysis
from likelihead.lint.cache import Outcome
from likelihead.lint.findings import Problem
from likelihead.lint.project import Project

__all__ = ["Analyser", "Task", "analyse_all"]

#: A file, and the wrappers of losses that its settings name.
Task = tuple[Path, Mapping[str, str]]

# Syntax trees and what is known of their values take some forty bytes for each character: beyond so many
# characters the files read so far are let go. Where the first file alone imports that many, nearly every file
# does, and letting go of them would be reading them again for each.
_CHARACTERS = 10_000_000
_GROWTH = 1.5
# A process of its own has to start, and reads again what others have read.
_FILES_PER_WORKER = 24
_CHUNKS_PER_WORKER = 4


class Analyser:
    """Analyses one file after the other, and keeps what it has read meanwhile.

    Args:
        overlay: bytes that stand for those of a file on the disk.
    """

    def __init__(self, overlay: Mapping[Path, bytes] | None = None) -> None:
        self._overlay = overlay
        self._project = Project(overlay)
        self._allowed = 0.0

    def __call__(self, task: Task) -> Outcome:
        """Analyse a file."""
        path, losses = task
        if self._project.characters > self._allowed > 0:
            self._project.release()
            self._project = Project(self._overlay)
            self._allowed = 0.0
            gc.collect()  # of what still holds itself in circles: nobody else collects meanwhile
        try:
            return self._analyse(path, dict(losses))
        finally:
            self._allowed = self._allowed or max(_CHARACTERS, _GROWTH * self._project.characters)

    def _analyse(self, path: Path, losses: dict[str, str]) -> Outcome:
        if self._project.source(path) is None:
            return Outcome(path, problem=self._project.problems[path])
        try:
            report = analysis.analyse(path, self._project, losses)
        except RecursionError:
            return Outcome(
                path, problem=Problem(str(path), "its code is nested too deeply to be interpreted")
            )
        except MemoryError:
            return Outcome(path, problem=Problem(str(path), "there is not enough memory to interpret it"))
        except Exception as error:
            # A mistake of ours in one file must not hide what the others hold.
            place = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
            reason = (
                f"the linter failed ({said}, {Path(place.filename).name}:{place.lineno}); please report it"
            )
            return Outcome(path, problem=Problem(str(path), reason), internal=True)
        return Outcome(
            path, report.findings, report.reads, functions=report.functions, exhausted=report.exhausted
        )


def analyse_all(
    tasks: Sequence[Task],
    jobs: int,
    overlay: Mapping[Path, bytes],
    analyser: Analyser | None = None,
) -> Iterator[Outcome]:
    """Analyse files, by `analyser` or in at most `jobs` processes, no more than are worth their start."""
    workers = min(jobs, len(tasks) // _FILES_PER_WORKER)
    if workers < 2 or analyser is not None:
        analyser = analyser or Analyser(overlay)
        with _no_collections():
            for task in tasks:
                yield analyser(task)
        return
    size = -(-len(tasks) // (workers * _CHUNKS_PER_WORKER))
    # Neighbours stay together: they import the same files.
    chunks = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    lost: list[Task] = []
    with _pool(workers, overlay) as pool:
        with _no_interrupt():
            futures = [pool.submit(_work, chunk) for chunk in chunks]
        for chunk, future in zip(chunks, futures, strict=True):
            try:
                yield from future.result()
            except BrokenProcessPool:
                lost += chunk
    while lost:
        yield from _one_by_one(lost, overlay)


def _one_by_one(tasks: list[Task], overlay: Mapping[Path, bytes]) -> Iterator[Outcome]:
    """Take tasks off the list until one of them ends the process that works on it."""
    with _pool(1, overlay) as pool:
        while tasks:
            task = tasks.pop(0)
            with _no_interrupt():
                future = pool.submit(_work, [task])
            try:
                yield from future.result()
            except BrokenProcessPool:
                reason = "the process that interpreted it was ended; there may be too little memory"
                yield Outcome(task[0], problem=Problem(str(task[0]), reason), internal=True)
                return


@contextmanager
def _pool(workers: int, overlay: Mapping[Path, bytes]) -> Iterator[ProcessPoolExecutor]:
    # Never a fork: whoever calls this may have threads.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(dict(overlay),))
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()  # nobody waits for the rest
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Put an interrupt off until the end; processes that are started here never see one.

    Each would tell of it from the midst of its imports, before `_start` can see to that.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_analyser = Analyser()


def _start(overlay: Mapping[Path, bytes]) -> None:
    global _analyser
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process says that it was interrupted
    _analyser = Analyser(overlay)


def _work(tasks: Sequence[Task]) -> list[Outcome]:
    with _no_collections():
        return [_analyser(task) for task in tasks]


@contextmanager
def _no_collections() -> Iterator[None]:
    """Without the collector of cycles, which would spend a third of the time going through syntax trees."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
