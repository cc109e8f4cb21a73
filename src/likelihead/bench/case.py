"""What is measured: a case with its goals, and the problem that it sets the functions under test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor

__all__ = [
    "AGAIN",
    "CHUNKED",
    "COMPILED",
    "EAGER",
    "FLOOR",
    "IN_PLACE",
    "OURS",
    "Case",
    "Goal",
    "Problem",
    "Room",
]

OURS = "ours"
IN_PLACE = "ours in place"
EAGER = "torch eager"
CHUNKED = "torch chunked"
COMPILED = "torch.compile"
AGAIN = "torch eager again"
FLOOR = "floor"

SomeCase = TypeVar("SomeCase", bound="Case")


@dataclass(frozen=True)
class Goal:
    """A ratio of two times that is wanted.

    ``faster``: ``against`` takes at least ``times`` as long as ``subject``. ``within``: ``subject`` takes at
    most ``times`` as long as ``against``.

    >>> Goal("ours", "torch eager", "faster", 5).is_met_by(4.0)
    False
    """

    subject: str
    against: str
    kind: Literal["faster", "within"]
    times: float

    @property
    def over_and_under(self) -> tuple[str, str]:
        """What is divided by what."""
        return (self.against, self.subject) if self.kind == "faster" else (self.subject, self.against)

    def is_met_by(self, ratio: float) -> bool:
        return ratio >= self.times if self.kind == "faster" else ratio <= self.times

    def __str__(self) -> str:
        return f"{'≥' if self.kind == 'faster' else '≤'} {self.times:.3g}x {self.against}"


@dataclass(frozen=True)
class Room:
    """Extra peak memory that is wanted: ``subject`` takes at most so many MiB.

    >>> str(Room("ours", 281.2))
    '≤ 281 MiB'
    """

    subject: str
    mib: float

    def is_met_by(self, mib: float) -> bool:
        return mib <= self.mib

    def __str__(self) -> str:
        return f"≤ {self.mib:.0f} MiB"


@dataclass
class Problem:
    """Tensors, and the losses that are timed from the leaves to their gradients.

    Attributes:
        leaves: what the losses take and the gradient is wanted of.
        target: of the loss; peers that are added later need it.
        losses: by the name of the function under test. The others must agree with the one called `EAGER`.
        floor: the least that can be done: the pass over memory, or the matrix products alone.
        absent: why a function that belongs here is not measured.
        overwrites: the functions that write over what they take: they get copies of the leaves, made before
            each of their runs.
        once: the functions that take so long that one timed run has to do.
        approximate: the functions that are known to give another answer than `EAGER`: they are timed all the
            same, and the table says by how much they are off.
    """

    leaves: tuple[Tensor, ...]
    target: Tensor
    losses: dict[str, Callable[..., Tensor]]
    floor: Callable[[], object]
    absent: dict[str, str] = field(default_factory=dict)
    overwrites: frozenset[str] = frozenset()
    once: frozenset[str] = frozenset()
    approximate: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Case(ABC):
    """One row of the table.

    Attributes:
        name: what ``--only`` selects by.
        shape: of the logits.
        dtype: of the logits.
        goals: the ratios and the room wanted.
        runs: timed runs per turn; more where a run is short.
        loops: calls per timed run, for calls too short to be timed singly.
        rounds: no more than so many, where a call takes seconds. There a turn has no untimed run either: the
            run in which each function was checked has left the allocator with what it keeps.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    goals: tuple[Goal | Room, ...] = ()
    runs: int = 1
    loops: int = 1
    rounds: int | None = None

    @property
    @abstractmethod
    def op(self) -> str:
        """The op of `likelihead.kernels.ops` that serves it."""

    @property
    @abstractmethod
    def what(self) -> str:
        """The case in a few words: loss, shape, dtype, options."""

    @abstractmethod
    def build(self, device: str = "cpu") -> Problem:
        """Make the tensors, from a fixed seed."""

    def shrunk(self: SomeCase, limit: int) -> SomeCase:
        """The same case with no dimension above ``limit`` and single calls: to be tried, not measured."""
        return replace(self, shape=tuple(min(size, limit) for size in self.shape), runs=1, loops=1)


def short_dtype(dtype: torch.dtype) -> str:
    """As the table has it.

    >>> short_dtype(torch.bfloat16)
    'bf16'
    """
    names = {torch.float32: "f32", torch.float64: "f64", torch.bfloat16: "bf16", torch.float16: "f16"}
    return names[dtype]
