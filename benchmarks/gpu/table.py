"""The GPU table: each case beside its peers and its floor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.gpu.cases import CASES
from benchmarks.gpu.device import Device
from benchmarks.gpu.work import Task
from likelihead.bench.case import OURS, Case
from likelihead.bench.clock import interleave
from likelihead.bench.contenders import Contender, Line, line_up
from likelihead.bench.results import Row

COPIES = 2  # of each input, taken in turn; what is left of them in the L2 is flushed besides
SMALLEST = 8  # the largest dimension of a case in a rehearsal


def find(name: str) -> Case:
    """The case of that name."""
    (case,) = (case for case in CASES if case.name == name)
    return case


def warm_tasks(cases: list[Case]) -> Iterator[Task]:
    """Compile what the cases need: the files are found again when they are timed."""
    for case in cases:
        yield Task(f"table/compiled/{case.name}", warm, (case.name,), 30.0, 240.0)


def timed_tasks(cases: list[Case], rounds: int) -> Iterator[Task]:
    for case in cases:
        yield Task(f"table/{case.name}", timed, (case.name, rounds), 8.0, 240.0)


def warm(device: Device, name: str) -> dict[str, Any]:
    case, line, _ = _lined_up(device, name)
    for contender in line.contenders:
        contender.prepare()
        contender.step()
    device.synchronize()
    return {"case": case.name, "contenders": [contender.name for contender in line.contenders], **line.absent}


def timed(device: Device, name: str, rounds: int) -> Row:
    case, line, backend = _lined_up(device, name)
    return Row(
        case=case.name,
        what=case.what,
        op=case.op,
        shape=list(case.shape),
        dtype=str(case.dtype).removeprefix("torch."),
        backend=backend,
        runs=case.runs,
        seconds=interleave(line.contenders, device.seconds, rounds=rounds, runs=case.runs, loops=case.loops),
        extra_mib={contender.name: extra_mib(device, contender) for contender in line.contenders},
        absent=line.absent,
        disagreeing=line.disagreeing,
        goals=list(case.goals),
    )


def extra_mib(device: Device, contender: Contender) -> float:
    """MiB at the peak of a step beyond the inputs."""
    contender.prepare()
    extra = device.extra_bytes(contender.step)
    contender.prepare()
    return extra / 2**20


def small(case: Case) -> Case:
    """A case for a rehearsal."""
    return case.shrunk(SMALLEST)


def _lined_up(device: Device, name: str) -> tuple[Case, Line, str]:
    case = device.pick(find, lambda name: small(find(name)))(name)
    problem = case.build(device.name)
    backend = device.backend(case.op, problem.leaves[0]) if OURS in problem.losses else ""
    # torch.compile on a CPU is the business of the other table.
    return case, line_up(problem, compiled=not device.rehearsal, copies=COPIES), backend
