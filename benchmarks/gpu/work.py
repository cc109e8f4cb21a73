"""Processes that do the work, so that a kernel that faults takes one of them and nothing else.

After an illegal access no call of the same process reaches the device again, and a kernel that hangs hangs
for ever. So the kit's own process never touches the device: it hands tasks to workers, takes their answers,
and starts a new worker where one is lost. Checks run in many workers at a time, since most of their time goes
to compiling; whatever is timed runs alone.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Lock
from typing import Any, Literal

from likelihead.errors import BackendError

Status = Literal["right", "wrong", "failed", "lost", "skipped"]
START_SECONDS = 120.0
_ONE_AT_A_TIME = Lock()  # a process takes the variables of this one as they are when it starts


class Wrong(Exception):
    """A result that is not what it has to be."""


@dataclass(frozen=True)
class Task:
    """Something that a worker does.

    Attributes:
        name: of the step in the results: ``group/...``.
        function: of a module, called with the device and the arguments; what it returns goes into JSON.
        estimate: seconds that it is thought to take on a GPU, with compiling.
        patience: seconds after which it is taken to hang.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    estimate: float = 1.0
    patience: float = 45.0


@dataclass
class Outcome:
    """What became of a task.

    Attributes:
        status: ``wrong`` is a wrong result, ``failed`` an exception, ``lost`` a process that is no more,
            ``skipped`` a task that did not fit.
        message: what is wrong, in words.
        found: what the task returned.
    """

    name: str
    status: Status
    seconds: float = 0.0
    estimate: float = 0.0
    message: str = ""
    found: Any = field(default=None)


def attempt(device: Any, task: Task) -> Outcome:
    """Do a task here."""
    start = time.monotonic()
    status: Status = "right"
    message, found = "", None
    try:
        found = task.function(device, *task.arguments)
    except Wrong as error:
        status, message = "wrong", str(error)
    except Exception as error:
        status, message = "failed", _in_short(error)
    return Outcome(task.name, status, round(time.monotonic() - start, 3), task.estimate, message, found)


def _in_short(error: Exception) -> str:
    """The exception, and the last places that it came through."""
    places = [
        f"{os.path.basename(frame.filename)}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
    ]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:600]} ({' < '.join(reversed(places[-4:]))})"


def _serve(connection: Connection, threads: int) -> None:
    """The life of a worker."""
    import torch

    from benchmarks.gpu.device import open_device

    torch.set_num_threads(threads)
    device = open_device()
    connection.send(device.facts())
    while (task := connection.recv()) is not None:
        outcome = attempt(device, task)
        with suppress(Exception):
            device.clear()
        alive = device.alive()
        connection.send((outcome, alive))
        if not alive:
            return


class Worker:
    """A process, started anew whenever the last one is lost.

    Args:
        environment: variables of the process, beside those of this one.
        threads: of torch, for the answers that are worked out on the CPU.
    """

    def __init__(self, environment: dict[str, str], threads: int) -> None:
        self._environment = environment
        self._threads = threads
        self._process: Any = None
        self._connection: Connection | None = None

    def start(self) -> dict[str, str | int]:
        """Start the process and wait for what it says of the device.

        Raises:
            BackendError: it does not answer.
        """
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._threads), daemon=True)
        with _ONE_AT_A_TIME, _environment(self._environment):
            process.start()
        theirs.close()
        self._process, self._connection = process, ours
        answered, facts = self._answer(START_SECONDS)
        if not answered:
            self.stop()
            raise BackendError(f"a process for the device did not start: {facts}; its own words are above.")
        return dict(facts)

    def do(self, task: Task, patience: float) -> Outcome:
        """Do a task; ``patience``: seconds after which it is lost."""
        start = time.monotonic()
        try:
            if self._connection is None:
                self.start()
            assert self._connection is not None
            self._connection.send(task)
            answered, answer = self._answer(patience)
        except (BackendError, OSError) as error:
            answered, answer = False, str(error)
        if not answered:
            self.stop()
            taken = round(time.monotonic() - start, 3)
            return Outcome(task.name, "lost", taken, task.estimate, answer)
        outcome, alive = answer
        if not alive:
            outcome.message += " (the device answered nothing to this process afterwards)"
            outcome.status = "lost"
            self.stop()
        return outcome

    def _answer(self, patience: float) -> tuple[bool, Any]:
        assert self._connection is not None
        try:
            if not self._connection.poll(patience):
                return False, f"nothing was heard for {patience:.0f} s"
            return True, self._connection.recv()
        except (EOFError, OSError):
            self._process.join(5)
            return False, f"the process ended with exit code {self._process.exitcode}"

    def stop(self, patience: float = 0.0) -> None:
        """End the process, at once or when it has ended by itself within so many seconds."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.send(None)
            self._connection.close()
        if self._process is not None:
            self._process.join(patience)
            self._process.kill()
            self._process.join(5)
        self._process = self._connection = None


class Pool:
    """Workers.

    Args:
        size: how many, when tasks are done together.
        environment: see `Worker`.
        threads: see `Worker`.
    """

    def __init__(self, size: int, environment: dict[str, str] | None = None, threads: int = 1) -> None:
        self._workers = [Worker(environment or {}, threads) for _ in range(size)]

    @property
    def size(self) -> int:
        return len(self._workers)

    def start(self) -> dict[str, str | int]:
        """Start all of them; what the first says of the device."""
        with ThreadPoolExecutor(self.size) as threads:
            return next(iter(list(threads.map(Worker.start, self._workers))))

    def alone(self, task: Task, patience: float) -> Outcome:
        """Do a task while nothing else runs."""
        return self._workers[0].do(task, patience)

    def together(
        self,
        tasks: Sequence[Task],
        patience: Callable[[Task], float | None],
        done: Callable[[Task, Outcome | None], object],
        most: int | None = None,
    ) -> None:
        """Do tasks, as many at a time as there are workers.

        Args:
            tasks: in the order in which they are begun.
            patience: asked before a task is begun: seconds, or None to leave it out.
            done: told of each, with None for what was left out; one call at a time.
            most: of the workers to use.
        """
        waiting = iter(tasks)
        answers: SimpleQueue[tuple[Task, Outcome | None] | BaseException | None] = SimpleQueue()

        def work(worker: Worker) -> None:
            try:
                for task in iter(lambda: next(waiting, None), None):
                    seconds = patience(task)
                    answers.put((task, None if seconds is None else worker.do(task, seconds)))
            except BaseException as error:
                answers.put(error)
            finally:
                answers.put(None)

        with ThreadPoolExecutor(self.size) as threads:
            workers = self._workers[:most]
            for worker in workers:
                threads.submit(work, worker)
            working = len(workers)
            while working:
                answer = answers.get()
                if answer is None:
                    working -= 1
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    done(*answer)

    def stop(self) -> None:
        with ThreadPoolExecutor(self.size) as threads:
            list(threads.map(lambda worker: worker.stop(5.0), self._workers))


class _environment:
    """Variables of this process for as long as another one is started."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._variables = variables
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._variables}
        os.environ.update(self._variables)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
