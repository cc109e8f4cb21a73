"""What the interpreter tells the rules: the calls at which a value meets what it is made for."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from likelihead.lint.values import Const, Object, Tensor, Value, constant

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.knowledge.losses import Loss

__all__ = ["Built", "Comparison", "Event", "Link", "LossCall", "Reading"]


@dataclass(eq=False)
class Event:
    """Something that happens at a node of the source, in a frame of the interpretation."""

    node: ast.AST
    frame: Frame


@dataclass(eq=False)
class LossCall(Event):
    """A loss takes an input and a target. Rules see each combination of alternatives as a call of its own.

    Attributes:
        loss: which one, and what it expects.
        name: as the user wrote or imported it, for messages: ``"CrossEntropyLoss"``.
        input: what the loss is given as its input.
        target: what it is given as its target; None if there is none.
        options: reduction, weight, ignore_index, from_logits, ... where they are given.
        criterion: the loss object, for a loss that is one.
    """

    loss: Loss
    name: str
    input: Value
    target: Value | None
    options: dict[str, Value] = field(default_factory=dict)
    criterion: Object | None = None

    def option(self, name: str, default: Any = None) -> Any:
        """The constant that an option is given; `default` where none is, Ellipsis where it is not known."""
        value = self.options.get(name)
        if value is None:
            return default
        return constant(value, ...)


@dataclass(eq=False)
class Link(Event):
    """A softmax, log_softmax, sigmoid, log or exp is applied: functional, as a method or as a layer."""

    name: str
    input: Value
    output: Tensor
    layer: Object | None = None


@dataclass(eq=False)
class Comparison(Event):
    """``left op right``, of which at least one side is a tensor or figure."""

    op: type[ast.cmpop]
    left: Value
    right: Value


@dataclass(eq=False)
class Built(Event):
    """A loss object is made."""

    loss: Loss
    criterion: Object


@dataclass(eq=False)
class Reading(Event):
    """A figure or tensor is worked on.

    Attributes:
        name: ``exp``, ``power`` (of `base`), ``divide``, ``mean``, ``all_reduce``, ``backward``, ``item``;
            of a tensor ``argmax`` (also by max and topk), ``summed``, ``logsumexp``, ``product``.
        value: the figure or tensor.
        by: what it is divided by or multiplied with, the base, or the dimension.
    """

    name: str
    value: Value
    by: Value = field(default_factory=lambda: Const(None))
