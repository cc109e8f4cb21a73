"""How the time and the memory of a head's loss grow with the tokens and with the classes: ours alone.

The logits of most of these cases fit into no memory, so there is nothing to stand beside; the formulas of
`likelihead.bench.linear_memory` are what the peaks are compared with.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import NamedTuple

from likelihead.bench.linear_memory import Sizes, gradients, ours, routes
from likelihead.bench.memory import _ALLOCATOR, extra_mib
from likelihead.errors import BackendError

TOKENS = tuple(Sizes(tokens, 50257, 768) for tokens in (1024, 2048, 4096, 8192, 16384, 32768))
CLASSES = tuple(Sizes(2048, classes, 768) for classes in (4096, 16384, 65536, 262144))


class Found(NamedTuple):
    """One step from the hidden states to all gradients."""

    sizes: Sizes
    seconds: float
    mib: float


def measure(cases: Iterable[Sizes], threads: int) -> Iterator[Found]:
    """Measure each in a process of its own, whose freed memory goes back to the system.

    Raises:
        BackendError: a process failed.
    """
    for sizes in cases:
        numbers = map(str, (sizes.tokens, sizes.classes, sizes.width, threads))
        command = [sys.executable, "-m", "benchmarks.scaling", *numbers]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | _ALLOCATOR, check=False
        )
        if done.returncode != 0:
            last = next(reversed(done.stderr.strip().splitlines()), "no word why")
            raise BackendError(f"the process that measures {sizes.tokens} x {sizes.classes} failed: {last}")
        yield Found(sizes, *json.loads(done.stdout.splitlines()[-1]))


def table_of(found: Iterable[Found]) -> Iterator[str]:
    """The lines of a Markdown table."""
    headings = "tokens", "classes", "time", "per token and 1000 classes", "peak", "beside the gradients"
    yield f"| {' | '.join(headings)} | peak by the formula | eager's by its formula |"
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|"
    for sizes, seconds, mib in found:
        each = seconds / sizes.tokens / sizes.classes * 1e9
        beside = mib - gradients(sizes) / 2**20
        eager = next(route.backward for route in routes(sizes) if route.name == "torch eager")
        yield (
            f"| {sizes.tokens} | {sizes.classes} | {seconds:.2f} s | {each:.1f} µs | {mib:.0f} MiB "
            f"| {beside:.0f} MiB | {ours(sizes).backward / 2**20:.0f} MiB | {eager / 2**20:.0f} MiB |"
        )


def _main(tokens: int, classes: int, width: int, threads: int) -> None:
    import torch

    from likelihead.bench.contenders import Contender
    from likelihead.functional import linear_cross_entropy

    torch.set_num_threads(threads)
    hidden, head = (torch.randn(rows, width).requires_grad_() for rows in (tokens, classes))
    target = torch.randint(classes, (tokens,))
    seconds: list[float] = []

    def step() -> None:
        start = perf_counter()
        linear_cross_entropy(hidden, head, target).backward()  # type: ignore[no-untyped-call]
        seconds.append(perf_counter() - start)

    def drop() -> None:
        hidden.grad = head.grad = None

    # What is paged in once, on a few tokens.
    linear_cross_entropy(hidden[:512], head, target[:512]).backward()  # type: ignore[no-untyped-call]
    mib = extra_mib(Contender("ours", step, drop), untimed=False)
    print(json.dumps([seconds[-1], mib]))


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
