"""Whether a call is slower than torch's at any size, the host's time counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.device import Device
from benchmarks.gpu.sigmoid_nll import SigmoidCase
from benchmarks.gpu.softmax_nll import SoftmaxCase
from benchmarks.gpu.work import Task
from likelihead.bench.case import EAGER, OURS, Case
from likelihead.bench.clock import order
from likelihead.bench.contenders import Contender
from likelihead.kernels.dispatch import backends, use_backend

LIMIT = 1.05
"""How many times as long as torch eager a call may take."""
MOST_ELEMENTS = 2**28
ROUNDS, LOOPS = 5, 20
PORTABLE = "portable"


def cases() -> list[Case]:
    """Sizes over several decades, in both ops; bf16, and float32 where it is common."""
    found: list[Case] = []
    for rows in (1, 32, 1024, 32_768):
        for classes in (2, 10, 100, 1000, 10_000, 50_257):
            if rows * classes <= MOST_ELEMENTS:
                dtype = torch.float32 if classes <= 1000 else torch.bfloat16
                found.append(SoftmaxCase(name="", shape=(rows, classes), dtype=dtype, in_place=False))
    pixels = ((1, 2, 64, 64), (4, 21, 256, 256), (8, 150, 128, 128), (2, 5, 33, 65, 31))
    found += [SoftmaxCase(name="", shape=shape, dtype=torch.float32, in_place=False) for shape in pixels]
    found.append(SoftmaxCase(name="", shape=(64, 1000), dtype=torch.float32, in_place=False))
    labels = ((1, 1), (1000, 10), (64, 1000), (4096, 1000), (100_000, 1000))
    found += [SigmoidCase(name="", shape=shape, dtype=torch.float32) for shape in labels]
    return [replace(case, name=case.what) for case in found]


def compile_tasks() -> Iterator[Task]:
    for case in cases():
        yield Task(f"sweep/compiled/{case.name}", compared, (case, False), 4.0)


def tasks() -> Iterator[Task]:
    for case in cases():
        yield Task(
            f"sweep/{case.name}", compared, (case, True), 0.7 if math.prod(case.shape) < 2**24 else 1.5
        )


def compared(device: Device, case: Case, timed: bool) -> dict[str, Any]:
    """Microseconds from the logits to their gradient, ours and torch's, and the ratio of the two."""
    case = device.pick(case, case.shrunk(8))
    problem = case.build(device.name)
    (logits,) = problem.leaves
    device.backend(case.op, logits)
    steps: dict[str, Callable[[], object]] = {
        name: partial(_gradient, problem.losses[name], logits) for name in (OURS, EAGER)
    }
    if any(status.name == PORTABLE and status.available for status in backends()):
        steps[PORTABLE] = partial(_portable, problem.losses[OURS], logits)
    contenders = [Contender(name, step, _nothing) for name, step in steps.items()]
    for contender in contenders:
        contender.step()
    device.synchronize()
    if not timed:
        return {}
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(device.pick(ROUNDS, 1)):
        for contender in order(contenders, turn):
            seconds[contender.name].append(device.seconds(contender, LOOPS))
    found: dict[str, Any] = {name: round(1e6 * median(taken), 2) for name, taken in seconds.items()}
    ratios = [ours / eager for ours, eager in zip(seconds[OURS], seconds[EAGER], strict=True)]
    return {**found, "times eager": round(median(ratios), 3)}


def _gradient(loss: Callable[..., Tensor], logits: Tensor) -> object:
    return torch.autograd.grad(loss(logits), logits)


def _portable(loss: Callable[..., Tensor], logits: Tensor) -> object:
    with use_backend(PORTABLE):
        return _gradient(loss, logits)


def _nothing() -> None:
    return None
