"""All that asks the device itself, so that a rehearsal on a CPU runs the lines that a GPU will run."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor

from likelihead.bench.contenders import Contender
from likelihead.errors import BackendError
from likelihead.kernels.dispatch import explain

HEAD_START = 4_000_000  # cycles: some 2 ms, in which the host queues the whole step
REHEARSAL = "no CUDA device: a rehearsal on the CPU; no figure of this run means anything"

Value = TypeVar("Value")


class Device(ABC):
    """A device under test.

    Attributes:
        name: as torch has it.
        rehearsal: whether it only stands in for a GPU.
        kernels: the backend under test.
    """

    name: str
    rehearsal: bool
    kernels = "triton"

    def pick(self, real: Value, small: Value) -> Value:
        """A size for the device, or one for the rehearsal."""
        return small if self.rehearsal else real

    @abstractmethod
    def facts(self) -> dict[str, str | int]:
        """What is known of the card, under the names of the results."""

    @abstractmethod
    def synchronize(self) -> None: ...

    @abstractmethod
    def seconds(self, contender: Contender, loops: int = 1) -> float:
        """Seconds of a step, from data that no cache holds.

        A single step has a head start: the device spins while the host queues all of it, so that the time
        to launch kernels from Python is not taken for theirs. Steps in a loop have none: there the host's
        time is what is asked for.
        """

    @abstractmethod
    def extra_bytes(self, step: Callable[[], object]) -> int:
        """Bytes that torch's allocator handed out at the peak of a step beyond those before it."""

    @abstractmethod
    def poison(self) -> None:
        """Fill the memory that the next tensors will be made of with NaN."""

    @abstractmethod
    def forbid_waiting(self) -> AbstractContextManager[object]:
        """A context in which whatever waits for the device raises."""

    @abstractmethod
    def capture(self, step: Callable[[], Value]) -> tuple[Callable[[], object], Value]:
        """Capture a step once for all; what replays it, and what it returned."""

    @abstractmethod
    def aside(self) -> AbstractContextManager[object]:
        """A context of another stream than the usual one, which is waited for at its end."""

    @abstractmethod
    def clear(self) -> None:
        """Give back the memory that nothing uses."""

    def backend(self, op: str, logits: Tensor) -> str:
        """Which backend serves a call.

        Raises:
            BackendError: another than the kernels that are under test here.
        """
        choice = explain(op, logits)
        if choice.backend != self.kernels:
            raise BackendError(f"the {self.kernels} kernels are what is under test, and {choice}")
        return choice.backend

    def alive(self) -> bool:
        """Whether the device still answers; after an illegal access it does so to no call of the process."""
        try:
            return float(torch.ones(2, device=self.name).sum()) == 2
        except Exception:
            return False


class Cuda(Device):
    name = "cuda"
    rehearsal = False

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise BackendError(
                "there is no CUDA device that this torch can use; run this on a machine that has one."
            )
        self._properties: Any = torch.cuda.get_device_properties(0)
        self._flush: Tensor | None = None

    def facts(self) -> dict[str, str | int]:
        card = self._properties
        return {
            "gpu": card.name,
            "capability": f"{card.major}.{card.minor}",
            "multiprocessors": card.multi_processor_count,
            "l2_mib": self._l2_bytes() // 2**20,
            "memory_gib": card.total_memory // 2**30,
            "cuda": str(torch.version.cuda or torch.version.hip),
        }

    def _l2_bytes(self) -> int:
        return int(getattr(self._properties, "L2_cache_size", 0)) or 64 * 2**20

    def synchronize(self) -> None:
        torch.cuda.synchronize()

    def seconds(self, contender: Contender, loops: int = 1) -> float:
        if self._flush is None:
            self._flush = torch.empty(2 * self._l2_bytes(), dtype=torch.uint8, device=self.name)
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        contender.prepare()
        self._flush.zero_()
        torch.cuda.synchronize()
        if loops == 1:
            torch.cuda._sleep(HEAD_START)
            start.record()
            contender.step()
        else:
            start.record()
            for _ in range(loops):
                contender.prepare()
                contender.step()
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end)) / 1e3 / loops

    def extra_bytes(self, step: Callable[[], object]) -> int:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        kept = step()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated()
        del kept
        return int(peak - before)

    def poison(self) -> None:
        # The allocator hands out what was just freed: small blocks from one pool, large ones from another.
        # A byte of 255 throughout is NaN in every floating dtype, and -1 in the others.
        torch.cuda.synchronize()
        sizes = [512, 4096, 2**16, 2**20] * 16 + [2**23] * 8 + [2**29]
        blocks = [torch.full((size,), 255, dtype=torch.uint8, device=self.name) for size in sizes]
        del blocks

    @contextmanager
    def forbid_waiting(self) -> Iterator[None]:
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)

    def capture(self, step: Callable[[], Value]) -> tuple[Callable[[], object], Value]:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            step()  # what is made once, such as the kernels themselves, is not for a graph
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = step()
        return graph.replay, result

    @contextmanager
    def aside(self) -> Iterator[None]:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            yield
        torch.cuda.current_stream().wait_stream(stream)

    def clear(self) -> None:
        torch.cuda.empty_cache()


class Rehearsal(Device):
    """The CPU with the same questions; its answers to them mean nothing."""

    name = "cpu"
    rehearsal = True

    def facts(self) -> dict[str, str | int]:
        return {"gpu": "rehearsal", "capability": "0.0", "multiprocessors": 1, "l2_mib": 0, "memory_gib": 0}

    def synchronize(self) -> None:
        return None

    def seconds(self, contender: Contender, loops: int = 1) -> float:
        contender.prepare()
        start = time.perf_counter()
        contender.step()
        return max(time.perf_counter() - start, 1e-9)

    def extra_bytes(self, step: Callable[[], object]) -> int:
        step()
        return 0

    def poison(self) -> None:
        return None  # deterministic mode, in which the checks run too, fills each empty tensor with NaN

    def forbid_waiting(self) -> AbstractContextManager[object]:
        return nullcontext()

    def capture(self, step: Callable[[], Value]) -> tuple[Callable[[], object], Value]:
        result = step()
        held = _tensors(result)

        def replay() -> None:
            for kept, anew in zip(held, _tensors(step()), strict=True):
                kept.detach().copy_(anew.detach())

        return replay, result

    def aside(self) -> AbstractContextManager[object]:
        return nullcontext()

    def clear(self) -> None:
        return None


def open_device() -> Device:
    return Cuda() if torch.cuda.is_available() else Rehearsal()


@contextmanager
def deterministic() -> Iterator[None]:
    """Torch's deterministic mode, which also fills every empty tensor with NaN before it is written."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def gib(size: tuple[int, ...], dtype: torch.dtype) -> float:
    """GiB of a tensor."""
    return math.prod(size) * dtype.itemsize / 2**30


def _tensors(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [one for one in value if isinstance(one, Tensor)]
