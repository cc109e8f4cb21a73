"""What others have written, where it is installed; a peer that is not is named in the table."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from torch import Tensor

from likelihead.bench.case import Problem
from likelihead.bench.contenders import one_line

LIGER = "Liger"
QUACK = "QuACK"
CUT = "cut-cross-entropy"
PACKAGES = ("triton", "liger-kernel", "quack-kernels", "cut-cross-entropy")

Loss = Callable[..., Tensor]


def add(problem: Problem, name: str, module: str, function: str, adapt: Callable[[Loss], Loss]) -> None:
    """Put a peer among the problem's losses, or its absence and the reason.

    Args:
        problem: of the case.
        name: as the table has it.
        module, function: where it is.
        adapt: from the peer's function to one of the leaves alone.
    """
    try:
        found = getattr(import_module(module), function)
    except Exception as error:  # beside a torch that it does not know, an import may fail in any way
        problem.absent[name] = one_line(error)
    else:
        problem.losses[name] = adapt(found)
