"""Compile many kernels at once, each process describing devices of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def _prepare(cache: str) -> None:
    os.environ.pop("TRITON_INTERPRET", None)  # read when triton is imported, which comes after this
    os.environ["TRITON_CACHE_DIR"] = cache


def compile_all(
    task: Callable[[Task], Result], tasks: Iterable[Task], *, cache: str, processes: int | None = None
) -> list[Result]:
    """What ``task`` makes of each, in order.

    Args:
        task: a function of a module, that may call `benchmarks.machine_code.compiler.machine_code`.
        tasks: can be pickled.
        cache: the folder of compiled kernels.
        processes: one for each processor that this process may use, unless given.
    """
    processes = len(os.sched_getaffinity(0)) if processes is None else processes
    with ProcessPoolExecutor(processes, get_context("spawn"), _prepare, (cache,)) as pool:
        return list(pool.map(task, tasks))
