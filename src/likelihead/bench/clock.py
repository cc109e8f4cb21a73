"""Time: turns that interleave and alternate, and the figures that come of them."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import perf_counter

import torch

from likelihead.bench.contenders import Contender
from likelihead.bench.patience import Patience

__all__ = ["Stopwatch", "interleave", "order", "spread"]

Timer = Callable[[Contender, int], float]
SCRATCH_MIB = 256
TRIES = 5
# A thread that is woken waits for some microseconds on an idle machine too.
WAITING_TICKS, WAITING_SHARE = 2e-5, 0.02
_TASKS = Path("/proc/self/task")


def order(contenders: Sequence[Contender], turn: int) -> list[Contender]:
    """The contenders, backwards in odd rounds, so that none always follows the same other."""
    return list(contenders) if turn % 2 == 0 else list(reversed(contenders))


class Stopwatch:
    """Seconds per step on the wall's clock.

    A single step is timed without its preparation. In a loop the preparation is timed along, the same for
    every contender: it drops the last gradient.

    A run in which a thread had to wait for a core that another process held is made again, up to `TRIES`
    times, and the least disturbed one counts: otherwise it is the scheduler that is measured. Linux tells.

    Args:
        cold: before each single step, read a buffer larger than the caches, so that logits of 16 MiB come
            from memory as logits of 200 MiB do. Otherwise a cache sets the floor of the smaller cases.
    """

    def __init__(self, *, cold: bool) -> None:
        self._larger_than_caches = torch.ones(SCRATCH_MIB * 2**18) if cold else None

    def __call__(self, contender: Contender, loops: int) -> float:
        tries: list[tuple[float, float]] = []
        for _ in range(TRIES):
            taken, waited = self._once(contender, loops)
            tries.append((waited / taken, taken))
            if waited <= WAITING_TICKS + WAITING_SHARE * taken:
                break
        return min(tries)[1] / loops

    def _once(self, contender: Contender, loops: int) -> tuple[float, float]:
        """Seconds for all loops, and seconds for which threads meanwhile waited for a core."""
        step, prepare = contender.step, contender.prepare
        prepare()
        if loops == 1:
            if self._larger_than_caches is not None:
                self._larger_than_caches.sum()
            waited, start = _waited(), perf_counter()
            step()
        else:
            waited, start = _waited(), perf_counter()
            for _ in range(loops):
                prepare()
                step()
        taken = perf_counter() - start
        return taken, _waited() - waited


def interleave(
    contenders: Sequence[Contender],
    timer: Timer,
    *,
    rounds: int,
    runs: int = 1,
    loops: int = 1,
    patience: Patience | None = None,
    untimed: bool = True,
) -> dict[str, list[float]]:
    """Time every contender in each round, in alternating order.

    A turn is one untimed run and then ``runs`` timed ones: the untimed one leaves the allocator as this
    function's own training loop would, not as its neighbour did. Without ``untimed`` there are the timed ones
    alone. A contender of ``once`` has its turn in the first round only.
    """
    samples: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    patience = patience or Patience(0)

    def take_turn(contender: Contender) -> list[float]:
        if untimed:
            timer(contender, loops)
        taken = [timer(contender, loops) for _ in range(runs)]
        contender.prepare()  # drops the gradient: the next one is not to run beside it
        return taken

    with _no_collection():
        for turn in range(rounds):
            for contender in order(contenders, turn):
                if turn and contender.once:
                    continue
                samples[contender.name] += patience.undisturbed(partial(take_turn, contender))
    return samples


def spread(samples: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile.

    >>> spread([3.0, 1.0, 2.0])
    (1.5, 2.0, 2.5)
    """
    if len(samples) == 1:
        return samples[0], samples[0], samples[0]
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, middle, high


def _waited() -> float:
    """Seconds for which this process's threads could have run and had no core; 0 where it is not told."""
    nanoseconds = 0
    for task in _TASKS.glob("*/schedstat"):
        with suppress(OSError):  # a thread that has ended meanwhile
            nanoseconds += int(task.read_text(encoding="ascii").split()[1])
    return nanoseconds / 1e9


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
