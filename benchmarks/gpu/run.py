"""Measure the GPU table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone

import torch

from benchmarks.gpu.peer import PACKAGES
from likelihead.bench.case import OURS, Case
from likelihead.bench.clock import interleave
from likelihead.bench.contenders import Contender, line_up
from likelihead.bench.machine import describe, versions
from likelihead.bench.results import Results, Row
from likelihead.errors import BackendError
from likelihead.kernels.dispatch import explain

COPIES = 2  # of each input: any of them is larger than the L2
HEAD_START = 4_000_000  # cycles: some 2 ms, in which the host queues the whole step


def check_device() -> None:
    """Raise BackendError where there is no GPU to measure."""
    if not torch.cuda.is_available():
        raise BackendError(
            "there is no CUDA device that this torch can use; run this table on a machine that has one."
        )


def seconds(contender: Contender, loops: int) -> float:
    """Seconds of a step between two events.

    The device first spins, so that the time to launch kernels from Python is not taken for theirs.
    """
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    contender.prepare()
    torch.cuda.synchronize()
    torch.cuda._sleep(HEAD_START)
    start.record()
    for _ in range(loops):
        contender.step()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3 / loops


def extra_mib(contender: Contender) -> float:
    """MiB that torch's allocator handed out at the peak of a step beyond the inputs."""
    contender.prepare()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    contender.step()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated()
    contender.prepare()
    return (peak - before) / 2**20


def measure(
    cases: Sequence[Case], *, repeat: int = 11, observer: Callable[[Case], object] = lambda case: None
) -> Results:
    check_device()
    rows = []
    for case in cases:
        observer(case)
        problem = case.build("cuda")
        backend = explain(case.op, problem.leaves[0]).backend if OURS in problem.losses else ""
        line = line_up(problem, copies=COPIES)
        rows.append(
            Row(
                case=case.name,
                what=case.what,
                op=case.op,
                shape=list(case.shape),
                dtype=str(case.dtype).removeprefix("torch."),
                backend=backend,
                runs=case.runs,
                seconds=interleave(line.contenders, seconds, rounds=repeat, runs=case.runs, loops=case.loops),
                extra_mib={contender.name: extra_mib(contender) for contender in line.contenders},
                absent=line.absent,
                goals=list(case.goals),
            )
        )
        del problem, line
        torch.cuda.empty_cache()
    return Results(
        suite="gpu",
        date=datetime.now(timezone.utc).date().isoformat(),
        machine=describe("cuda"),
        versions=versions(*PACKAGES),
        settings={"rounds": repeat},
        rows=rows,
    )
