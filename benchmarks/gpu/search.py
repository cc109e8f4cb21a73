"""A search over the tunables of each kernel, one field after the other, at the cases of the table.

A candidate is first run in all workers' processes, which compiles it, then timed alone in one. What is kept
is printed as rows of `likelihead.kernels.triton.tunables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.cases import CASES
from benchmarks.gpu.device import Device, gib
from benchmarks.gpu.table import find, small
from benchmarks.gpu.work import Outcome, Task, Wrong
from likelihead.bench.case import OURS, Case
from likelihead.bench.contenders import Contender
from likelihead.kernels import dispatch

ROUNDS = 9
GAIN = 0.99
"""Of the time so far; a candidate has to do better, or it is noise."""
ROUTES = ("loss", "each", "scaled")
"""A reduced loss; the loss of each example; a reduced loss that is multiplied afterwards."""
REHEARSED = [("ce-lm", "loss"), ("bce", "loss"), ("bce", "scaled")]
SCALE = "scale"  # the kernel that a factor of one leaves nothing to do

Values = dict[str, int]


@dataclass(frozen=True)
class Place:
    """Where a row of the tunables is looked up."""

    case: str
    route: str
    kernel: str
    bucket: str


@dataclass
class Found:
    """What a search has found for a row."""

    place: Place
    start: Values
    best: Values
    start_seconds: float
    seconds: float
    tried: int


def searched() -> list[tuple[str, str]]:
    """The cases and how they are called, in the order of their worth."""
    plain = [case for case in CASES if case.loops == 1 and case.op in ("softmax_nll", "sigmoid_nll")]
    of_route = dict.fromkeys(ROUTES, plain) | {"scaled": [find("ce-lm"), find("bce")]}
    return [(case.name, route) for route in ROUTES for case in of_route[route]]


def consulted(device: Device, case: str, route: str) -> dict[str, Any]:
    """The rows that a call looks up, and the values worth trying in each."""
    from likelihead.kernels.triton import tunables

    step = _step(device, case, route)
    step()
    with tunables.record() as used:
        step()
    device.synchronize()
    rows = {}
    for kernel, bucket, tunable in used:
        start = asdict(tunable)
        start.pop("source")
        space = {field: list(values) for field, values in tunables.SPACE.get(kernel, {}).items()}
        rows[f"{kernel} {bucket}"] = {"kernel": kernel, "bucket": bucket, "start": start, "space": space}
    return {"rows": list(rows.values())}


def candidate(device: Device, place: Place, values: Values, rounds: int) -> dict[str, Any]:
    """Seconds of a call with these values; with no rounds, whether the gradient stays what it is."""
    from likelihead.kernels.triton import tunables

    step = _step(device, place.case, place.route)
    expected = step() if not rounds else None
    with tunables.override(place.kernel, **values):
        if expected is not None:
            device.poison()
            _check(step(), expected)
            return {}
        step()
        contender = Contender("", step, lambda: None)
        return {"seconds": median(device.seconds(contender) for _ in range(rounds))}


def _check(found: Tensor, expected: Tensor) -> None:
    """Another order of a sum may change the last digits, and nothing else."""
    about = torch.finfo(found.dtype)
    allowed = max(2 * about.eps, 1e-6) * expected.abs() + about.tiny
    if not bool(((found - expected).abs() <= allowed).all()):
        raise Wrong("the gradient is another than with the values in force")


def _step(device: Device, name: str, route: str) -> Callable[[], Tensor]:
    """From the logits to their gradient."""
    case: Case = device.pick(find, lambda name: small(find(name)))(name)
    problem = case.build(device.name)
    (logits,), target = problem.leaves, problem.target
    if route != "each":
        loss = problem.losses[OURS]
        dtype = loss(logits).dtype
        upstream = torch.full((), 1.0 if route == "loss" else 0.7, dtype=dtype, device=device.name)
        return lambda: torch.autograd.grad(loss(logits), logits, upstream)[0]

    def each() -> Tensor:
        if case.op == "sigmoid_nll":
            nll: Tensor = dispatch.sigmoid_nll(logits, target)
        else:
            nll, _ = dispatch.softmax_nll(logits, target)
        return torch.autograd.grad(nll, logits, torch.ones_like(nll))[0]

    return each


Alone = Callable[[Task], Outcome]
Together = Callable[[list[Task]], list[Outcome]]


def workers_for(case: str, memory_gib: int) -> int:
    """How many processes may hold a case at a time: its inputs, copies and gradients."""
    found = find(case)
    return int(memory_gib / max(1.0, 8 * gib(found.shape, found.dtype)))


def consult_task(case: str, route: str) -> Task:
    return Task(f"search/{case} {route}/rows", consulted, (case, route), 6.0)


def searches(
    found: dict[str, Any], case: str, route: str
) -> Iterator[tuple[Place, Values, dict[str, list[int]]]]:
    """The rows of what `consulted` found, with where the search begins and what is tried."""
    for row in found["rows"]:
        if row["kernel"] != SCALE or route == "scaled":
            yield Place(case, route, row["kernel"], row["bucket"]), row["start"], row["space"]


def descend(
    place: Place,
    start: Values,
    space: dict[str, list[int]],
    alone: Alone,
    together: Together,
    *,
    rounds: int = ROUNDS,
) -> Found | None:
    """One field after the other, each at its best before the next; None where nothing could be timed.

    Args:
        place: of the row.
        start: its values.
        space: the values of each field worth trying.
        alone: does a task while nothing else runs.
        together: does several at a time.
        rounds: per candidate.
    """
    where = f"search/{place.case} {place.route}/{place.kernel} {place.bucket}"

    def timed(values: Values) -> float | None:
        outcome = alone(Task(f"{where}/{_words(values)}", candidate, (place, values, rounds), 1.0, 60.0))
        return float(outcome.found["seconds"]) if outcome.status == "right" else None

    before = timed(start)
    if before is None:
        return None
    found = Found(place, start, dict(start), before, before, 1)
    for field, values in space.items():
        others = [{**found.best, field: value} for value in values if value != found.best[field]]
        made = together([_compile_task(where, place, values) for values in others])
        for values, outcome in zip(others, made, strict=True):
            if outcome.status != "right":
                continue
            seconds = timed(values)
            found.tried += 1
            if seconds is not None and seconds < GAIN * found.seconds:
                found.best, found.seconds = values, seconds
    return found


def _compile_task(where: str, place: Place, values: Values) -> Task:
    return Task(f"{where}/compiled {_words(values)}", candidate, (place, values, 0), 5.0, 60.0)


def _words(values: Values) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
