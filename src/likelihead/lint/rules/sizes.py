"""What the rules ask about the sizes of a loss's input and target."""

from __future__ import annotations

import ast
from typing import Any

from likelihead.lint.interpreter.events import Event, LossCall
from likelihead.lint.values import Tensor, Value

__all__ = [
    "at_construction",
    "class_count",
    "classes_are_last",
    "head_of",
    "holds_indices",
    "name_of",
    "takes_indices",
]

# The losses of torch that take class indices as targets and the classes in dimension 1 of the input.
_TAKING_INDICES = frozenset(("cross_entropy", "CrossEntropyLoss", "nll_loss", "NLLLoss"))


def takes_indices(call: LossCall) -> bool:
    """Whether the loss is torch's cross-entropy or negative log-likelihood."""
    return call.name in _TAKING_INDICES and call.loss.family in ("cross_entropy", "nll")


def head_of(value: Value | None) -> Value | None:
    """The logits whose shape the input still has, if a softmax or sigmoid came between."""
    if isinstance(value, Tensor) and value.kind in ("log_probs", "probs", "sigmoid"):
        before = value.origin
        if isinstance(before, Tensor) and before.shape == value.shape and before.last is not None:
            return before
    return value


def class_count(value: Value | None) -> int | None:
    """How many classes the input of a cross-entropy has, if it is known."""
    value = head_of(value)
    if not isinstance(value, Tensor) or not value.shape:
        return None
    if value.rank is None:
        return value.last if "classes last" in value.marks and "sequence" not in value.marks else None
    size = value.shape[0 if value.rank == 1 else 1]
    return size if isinstance(size, int) else None


def classes_are_last(value: Value | None) -> bool:
    """Whether the last dimension is the output of a linear layer, still where the layer put it."""
    return isinstance(value, Tensor) and value.kind == "logits" and "classes last" in value.marks


def holds_indices(value: Value | None) -> bool:
    """Whether a target is known to hold class indices as integers."""
    return isinstance(value, Tensor) and (
        value.dtype in ("long", "uint8")
        if value.kind == "data"
        else value.kind == "indices" and value.dtype != "float"
    )


class _Place:
    """A frame whose places are in the module in which a loss was made."""

    def __init__(self, frame: Any, scope: Any) -> None:
        self._frame = frame
        self.scope = scope

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


def at_construction(call: LossCall) -> Event | None:
    """Where the options of the loss stand: where the loss object was made, or the call of the function."""
    if call.criterion is None:
        return call
    made = call.criterion.made
    return None if made is None else Event(made.node, _Place(call.frame, made.scope))  # type: ignore[arg-type]


def name_of(node: ast.AST | None) -> str:
    """The name at the heart of an expression: of ``self.labels.view(-1)[0]`` it is ``labels``."""
    while True:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute):
            if node.attr not in ("data", "T"):
                return node.attr
            node = node.value
        elif isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func.value
        else:
            return ""
