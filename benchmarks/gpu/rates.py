"""What the card can do: bytes per second of a copy, operations per second of a matrix product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch

from benchmarks.gpu.device import Device
from benchmarks.gpu.work import Task
from likelihead.bench.contenders import Contender

ROUNDS = 15


def tasks() -> Iterator[Task]:
    yield Task("rates/copy", copy, (), 3.0)
    yield Task("rates/matrix product", matrix_product, (), 3.0)
    yield Task("rates/launch", launch, (), 2.0)


def _seconds(device: Device, step: Callable[[], object], rounds: int = ROUNDS) -> float:
    contender = Contender("", step, lambda: None)
    device.seconds(contender)
    return median(device.seconds(contender) for _ in range(rounds))


def copy(device: Device) -> dict[str, Any]:
    """A copy moves each byte twice, a fill once."""
    size = device.pick(2**31, 2**16)
    source = torch.randint(255, (size,), dtype=torch.uint8, device=device.name)
    target = torch.empty_like(source)
    return {
        "copy_tb_per_s": _rate(2 * size, _seconds(device, lambda: target.copy_(source))),
        "fill_tb_per_s": _rate(size, _seconds(device, lambda: target.fill_(1))),
    }


def matrix_product(device: Device) -> dict[str, Any]:
    """On random numbers: zeros run faster."""
    size = device.pick(8192, 64)
    left, right = (torch.randn(size, size, device=device.name).bfloat16() for _ in range(2))
    return {"bf16_tflop_per_s": _rate(2 * size**3, _seconds(device, lambda: left @ right))}


def launch(device: Device) -> dict[str, Any]:
    """The least that a call costs: one small kernel after the other, launched from Python."""
    small = torch.zeros(1, device=device.name)
    loops = 500
    contender = Contender("", lambda: small.add_(1), lambda: None)
    return {"microseconds": round(1e6 * median(device.seconds(contender, loops) for _ in range(5)), 2)}


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds / 1e12, 4)
