"""Sixty shapes, from one example to a language model's batch: nowhere may ours be slower than torch."""

from __future__ import annotations

from math import prod

from likelihead.bench.case import EAGER, OURS, Case, Goal
from likelihead.bench.sigmoid_nll import SigmoidCase
from likelihead.bench.softmax_nll import SoftmaxCase

__all__ = ["CASES", "SLOWER"]

SLOWER = 1.05
"""How many times eager's time ours may take: what the method itself reads where nothing is slower."""

_GOALS = (Goal(OURS, EAGER, "within", SLOWER),)
# Elements that a timed run goes through, in as many calls as that takes; never more calls than so many.
_ELEMENTS, _CALLS = 2**19, 200

_SOFTMAX: tuple[tuple[int, ...], ...] = (
    # [N, C]: where the way to the kernel counts, ...
    *((1, 2), (1, 10), (1, 1000), (2, 2), (10, 3), (16, 64), (32, 10), (64, 2), (64, 10), (64, 100)),
    # ... where a second thread begins to be worth it, ...
    *((64, 1000), (256, 100), (512, 128), (1, 50257), (4096, 10), (16384, 2), (128, 512), (256, 1000)),
    # ... and where memory does.
    *((32768, 3), (2048, 80), (8, 32000), (65536, 10), (1024, 1000), (512, 8192), (200000, 37), (8192, 1000)),
    *((128, 50257), (1024, 50257), (128, 10)),
    # Pixels.
    *((1, 2, 8, 8), (2, 3, 16, 16), (1, 21, 32, 32), (4, 10, 28, 28), (8, 2, 128, 128), (2, 5, 33, 65, 31)),
    *((2, 19, 64, 64), (16, 100, 7, 7), (4, 21, 256, 256), (1, 150, 128, 128), (8, 256, 512)),
)
_SIGMOID: tuple[tuple[int, ...], ...] = (
    *((1, 1), (1, 2), (10, 1), (32, 10), (1000, 1), (64, 80), (64, 100), (256, 80), (32768, 1), (512, 80)),
    *((64, 1000), (128, 1000), (1024, 100), (512, 1000), (4096, 1000), (1024, 50257)),
    *((4, 1, 64, 64), (8, 1, 128, 128), (4, 1, 256, 256)),
    (2, 5, 33, 65, 31),
)


def _name(loss: str, shape: tuple[int, ...]) -> str:
    return f"{loss} [{', '.join(map(str, shape))}]"


def _loops(shape: tuple[int, ...]) -> int:
    return max(1, min(_CALLS, _ELEMENTS // prod(shape)))


CASES: tuple[Case, ...] = (
    *(
        SoftmaxCase(
            name=_name("CE", shape), shape=shape, in_place=False, runs=2, loops=_loops(shape), goals=_GOALS
        )
        for shape in _SOFTMAX
    ),
    *(
        SigmoidCase(name=_name("BCE", shape), shape=shape, runs=2, loops=_loops(shape), goals=_GOALS)
        for shape in _SIGMOID
    ),
)
