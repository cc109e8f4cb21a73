"""From a problem to the functions that are timed in turn, each checked against torch's answer first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from likelihead.bench.case import AGAIN, COMPILED, EAGER, FLOOR, IN_PLACE, OURS, Problem
from likelihead.errors import BackendError

__all__ = ["Contender", "Line", "line_up", "one_line", "twice"]

Leaves = tuple[Tensor, ...]

_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 2e-3}
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][\w.+~-]+){2,}")


@dataclass(frozen=True)
class Contender:
    """A function under test: ``prepare`` runs before each ``step`` and is not timed.

    One that is slow beyond measure is timed ``once``.
    """

    name: str
    step: Callable[[], object]
    prepare: Callable[[], object]
    once: bool = False


@dataclass
class Line:
    """The contenders of a case in their order, why others are not among them, and whose answer is another."""

    contenders: list[Contender]
    absent: dict[str, str] = field(default_factory=dict)
    disagreeing: dict[str, str] = field(default_factory=dict)


class _Run:
    """A loss over one of several sets of leaves after the other."""

    def __init__(
        self, loss: Callable[..., Tensor], sets: Sequence[Leaves], *, overwrites: bool = False
    ) -> None:
        self._loss = loss
        self._sets = sets
        self._overwrites = overwrites
        self._turn = 0
        self._given: tuple[Tensor, ...] = ()

    def prepare(self) -> None:
        """Go on to the next set, drop every gradient, and copy what will be written over."""
        self._turn = (self._turn + 1) % len(self._sets)
        for leaf in (leaf for leaves in self._sets for leaf in leaves):
            leaf.grad = None
        self._given = ()  # the last copy goes before the next one is made
        leaves = self._sets[self._turn]
        self._given = _computed(leaves) if self._overwrites else leaves

    def step(self) -> None:
        self._loss(*self._given).backward()  # type: ignore[no-untyped-call]


def line_up(problem: Problem, *, compiled: bool = True, copies: int = 1) -> Line:
    """Ours, the peers that work on this machine, and the floor.

    Args:
        problem: what they are set.
        compiled: with torch.compile.
        copies: of the leaves, taken in turn; with two of them a GPU's cache never holds what comes next.

    Raises:
        BackendError: our loss or gradient is not torch's; timing a wrong answer says nothing.
    """
    losses = dict(problem.losses)
    if compiled:
        # Each case is compiled afresh: torch gives up on a function after a few shapes.
        torch._dynamo.reset()
        losses[COMPILED] = torch.compile(losses[EAGER], fullgraph=True, dynamic=False)
    sets = [problem.leaves, *(_copy(problem.leaves) for _ in range(1, copies))]
    expected = _answer(problem.leaves, losses[EAGER])
    line = Line([], dict(problem.absent))
    for name, loss in losses.items():
        overwrites = name in problem.overwrites
        try:
            difference = _difference(expected, _answer(problem.leaves, loss, overwrites=overwrites))
            if difference and name in problem.approximate:
                line.disagreeing[name] = difference
            elif difference:
                raise BackendError(f"{name}: {difference}; it is not worth timing until it agrees.")
        except Exception as error:
            # A peer that does not work here is named in the table; ours and eager are not excused.
            if name in (OURS, IN_PLACE, EAGER):
                raise
            line.absent[name] = one_line(error)
        else:
            run = _Run(loss, sets, overwrites=overwrites)
            line.contenders.append(Contender(name, run.step, run.prepare, name in problem.once))
    line.contenders.append(Contender(FLOOR, problem.floor, _nothing))
    return line


def twice(problem: Problem) -> Line:
    """Torch against itself: what the method reads where there is nothing to be read."""
    runs = [_Run(problem.losses[EAGER], [problem.leaves]) for _ in range(2)]
    names = (EAGER, AGAIN)
    return Line([Contender(name, run.step, run.prepare) for name, run in zip(names, runs, strict=True)])


def one_line(error: Exception) -> str:
    r"""An exception in one line that names no path of this machine.

    >>> one_line(RuntimeError("no compiler in /usr/local/bin\nand more"))
    'RuntimeError: no compiler in <path>'
    """
    text = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {_PATH.sub('<path>', text)}"


def _nothing() -> None:
    return None


def _copy(leaves: Leaves) -> Leaves:
    return tuple(leaf.detach().clone().requires_grad_() for leaf in leaves)


def _computed(leaves: Leaves) -> tuple[Tensor, ...]:
    """As a model gives them: no leaves, and memory of their own; the way back to the leaves costs nothing."""
    return tuple(leaf.clone() for leaf in leaves)


def _answer(leaves: Leaves, loss: Callable[..., Tensor], *, overwrites: bool = False) -> list[Tensor]:
    """The loss and the gradients, kept apart from the leaves, which are left without a gradient."""
    for leaf in leaves:
        leaf.grad = None
    value = loss(*(_computed(leaves) if overwrites else leaves))
    value.backward()  # type: ignore[no-untyped-call]
    answer = [value.detach().clone(), *(leaf.grad.clone() for leaf in leaves if leaf.grad is not None)]
    for leaf in leaves:
        leaf.grad = None
    return answer


def _difference(expected: list[Tensor], got: list[Tensor]) -> str:
    """Where an answer is not torch's, and by how much; empty where it is."""
    for what, right, answer in zip(["loss", *["gradient"] * (len(expected) - 1)], expected, got, strict=True):
        scale = float(right.abs().max())
        # A 16-bit gradient of a mean is small; what counts is how it compares with its own largest element.
        tolerance = max(_TOLERANCE[right.dtype], _TOLERANCE[answer.dtype])
        error = float((answer - right).abs().max())
        if not error <= tolerance * scale:
            return f"its {what} is off by {error:.3g} where torch's largest element is {scale:.3g}"
    return ""
