"""Figures: sums, means and exponentials of losses, and what they are divided by."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from likelihead.lint.interpreter.events import Reading
from likelihead.lint.knowledge.call import Call
from likelihead.lint.values import UNKNOWN, Const, Figure, List, Tensor, Value

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.interpreter.machine import Machine

__all__ = ["binary", "exp", "length", "mean", "method", "negate", "reduced", "total"]


def reduced(value: Tensor, how: str, call: Call) -> Value:
    """The mean or sum of unreduced losses."""
    kind = "loss" if how == "mean" else "loss_sum"
    return Figure(kind, call.made(f"{how}()"), "nats", value.marks, value.calls)


def binary(
    op: type[ast.operator], left: Value, right: Value, interpreter: Machine, node: ast.AST, frame: Frame
) -> Value:
    """``left op right`` of which one at least is a figure."""
    return UNKNOWN


def negate(value: Figure, node: ast.AST) -> Value:
    """``-figure``."""
    return UNKNOWN


def exp(value: Figure, call: Call) -> Value:
    """``exp(figure)``."""
    return UNKNOWN


def mean(value: Figure | List, call: Call) -> Value:
    """The mean of a list of figures."""
    return UNKNOWN


def total(value: Figure | List, call: Call) -> Value:
    """The sum of a list of figures."""
    return UNKNOWN


def method(owner: Value, name: str, call: Call) -> Value:
    """``figure.name(...)``."""
    if name == "backward":
        call.interpreter.emit(Reading(call.node, call.frame, "backward", owner))
        return Const(None)
    if name in (
        "item",
        "detach",
        "cpu",
        "cuda",
        "float",
        "double",
        "clone",
        "numpy",
        "tolist",
        "to",
        "data",
        "mean",
        "squeeze",
    ):
        return owner
    return UNKNOWN


def length(value: Value, call: Call) -> Value:
    """``len(value)`` of something whose length is not known."""
    return UNKNOWN
