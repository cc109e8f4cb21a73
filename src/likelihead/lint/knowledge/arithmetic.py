"""Arithmetic of tensors, as far as it leaves a kind what it is or makes one by hand."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from likelihead.lint.knowledge import shapes
from likelihead.lint.knowledge.call import Call, number, op
from likelihead.lint.values import (
    UNKNOWN,
    Tensor,
    Value,
    alternatives,
    key,
)

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.interpreter.machine import Machine

__all__ = ["binary", "negate"]


def negate(value: Tensor, node: ast.AST) -> Value:
    """``-tensor``."""
    if value.kind in ("logits", "data", "activations"):
        return value.but(marks=value.marks ^ {"negated"})
    if value.kind in ("log_probs", "per_example", "picked"):
        return value.but(
            kind="data" if value.kind == "log_probs" else value.kind, marks=value.marks ^ {"negated"}
        )
    return UNKNOWN


_TEMPERATURES = ("temp", "tau", "scale")


def binary(
    op_: type[ast.operator], left: Value, right: Value, interpreter: Machine, node: ast.AST, frame: Frame
) -> Value:
    """``left op right`` of which one at least is a tensor."""
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _two(op_, left, right, frame, node)
    if isinstance(left, Tensor):
        amount = number(right)
        if amount is None:
            return _with_unknown(op_, left, node, frame)
        return _with_number(op_, left, amount, frame, node)
    assert isinstance(right, Tensor)
    amount = number(left)
    if amount is None:
        return _with_unknown(op_, right, node, frame) if op_ in (ast.Mult,) else UNKNOWN
    if op_ in (ast.Add, ast.Mult):
        return _with_number(op_, right, amount, frame, node)
    if op_ is ast.Sub and amount == 1 and right.kind == "sigmoid":
        return right
    if op_ is ast.Div and amount == 1 and right.kind == "one_plus_exp":
        return Tensor(
            "sigmoid",
            frame.scope.made(node, "sigmoid by hand"),
            None,
            right.shape,
            "float",
            frozenset(("by hand",)),
        )
    if op_ is ast.Sub and right.kind == "per_example":
        return right.but(marks=right.marks | {"shifted"})
    if op_ is ast.Sub and right.kind in ("one_hot", "multi_hot"):
        return right
    if op_ in (ast.Sub, ast.Div) and right.kind == "data":
        return _with_number(op_, right, amount, frame, node)
    return UNKNOWN


def _with_number(op_: type[ast.operator], value: Tensor, amount: float, frame: Frame, node: ast.AST) -> Value:
    kind = value.kind
    whole = (ast.Add, ast.Sub, ast.FloorDiv, ast.Mod)
    if kind in ("data", "indices") and op_ in (*whole, ast.Mult, ast.Div, ast.Pow):
        floats = op_ is ast.Div or isinstance(amount, float)
        changed = value.but(
            marks=value.marks & {"sequence", "unsure rank", "class weights", "negated"},
            dtype="float" if floats else value.dtype,
        )
        return changed if kind == "data" or op_ in whole else changed.but(kind="data")
    if op_ in (ast.Add, ast.Sub):
        if abs(amount) <= 1e-3:
            return value.but(marks=value.marks | {"eps"})
        if kind in ("exp", "exp_logits") and amount == 1 and op_ is ast.Add:
            return value.but(kind="one_plus_exp")
        if kind == "per_example":
            return value.but(marks=value.marks | {"shifted"})
        if kind == "logits":
            return value.but(marks=value.marks | {"shifted"})
        return value if kind in ("indices", "activations", "data") else UNKNOWN
    if op_ in (ast.Mult, ast.Div):
        if amount == 1:
            return value
        if kind in ("logits", "data", "activations", "per_example"):
            return value.but(marks=value.marks ^ {"negated"}) if amount < 0 else value
        if kind == "log_probs" and amount > 0:
            return value.but(kind="data")
        if kind in ("one_hot", "multi_hot", "probs", "sigmoid"):
            return value.but(kind="data", marks=value.marks | {"scaled"})
    if op_ is ast.FloorDiv and kind in ("indices", "data"):
        return value
    return UNKNOWN


def _with_unknown(op_: type[ast.operator], value: Tensor, node: ast.AST, frame: Frame) -> Value:
    """With something that is not known: only a temperature is known to leave logits logits."""
    if value.kind == "per_example":
        return value.but(marks=value.marks | {"weighted"}) if op_ in (ast.Mult, ast.Div) else UNKNOWN
    if value.kind in ("logits", "activations") and op_ in (ast.Mult, ast.Div):
        for side in (getattr(node, "left", None), getattr(node, "right", None)):
            name = (
                side.attr
                if isinstance(side, ast.Attribute)
                else side.id
                if isinstance(side, ast.Name)
                else ""
            )
            if name == "T" or any(word in name.lower() for word in _TEMPERATURES):
                return value
    return UNKNOWN


def _same_exp(left: Tensor, right: Tensor) -> bool:
    """Whether two exponentials are of the same value: not only of values that are both unknown."""
    if left.made is None or right.made is None or left.made.node is right.made.node:
        return left.made is not None and right.made is not None
    if isinstance(left.origin, Tensor) and isinstance(right.origin, Tensor):
        return bool(key(left.origin) == key(right.origin))
    return left.made.scope is right.made.scope and ast.dump(left.made.node) == ast.dump(right.made.node)


def _two(op_: type[ast.operator], left: Tensor, right: Tensor, frame: Frame, node: ast.AST) -> Value:
    if (
        op_ is ast.Div
        and left.kind in ("exp", "exp_logits")
        and right.kind == "sum_exp"
        and left.made
        and right.made
    ):
        if _same_exp(left, right):
            made = frame.scope.made(node, "softmax by hand")
            return Tensor(
                "probs", made, right.dim, left.shape, "float", frozenset(("by hand",)), origin=left.origin
            )
        return UNKNOWN
    if op_ is ast.Sub and left.kind == "logits" and right.kind == "lse":
        return left.but(kind="log_probs", made=frame.scope.made(node, "log-softmax by hand"), dim="?")
    if op_ is ast.Sub and left.kind == "logits" and right.kind == "max_values":
        return left
    if op_ in (ast.Add, ast.Sub):
        if left.kind == right.kind == "logits":
            shape = left.shape if left.shape is not None else right.shape
            return left.but(shape=shape, marks=left.marks | {"combined"})
        if left.kind == right.kind == "per_example":
            return left
    if op_ is ast.Mult and "per_example" in (left.kind, right.kind):
        per_example = left if left.kind == "per_example" else right
        return per_example.but(marks=per_example.marks | {"weighted"})
    if {left.kind, right.kind} <= {"data", "indices"}:
        return _of_data(op_, left, right)
    return UNKNOWN


@op("gt", "ge", "lt", "le", "greater", "greater_equal", "less", "less_equal")
def _compared(call: Call) -> Value:
    operators: dict[str, type[ast.cmpop]] = {"g": ast.Gt, "l": ast.Lt}
    kind = operators[call.name.rpartition(".")[2][0]]
    left, right = call.get(0, "input"), call.get(1, "other")
    if not any(isinstance(one, Tensor) for one in alternatives(left)):
        return UNKNOWN
    return call.interpreter.compare(kind, left, right, call.node, call.frame)


def _of_data(op_: type[ast.operator], left: Tensor, right: Tensor) -> Value:
    """Of numbers of which the sizes are known, the sizes."""
    if left.shape is None or right.shape is None:
        return UNKNOWN
    shape = (shapes.product if op_ is ast.MatMult else shapes.broadcast)(left.shape, right.shape)
    if shape is None:
        return UNKNOWN
    same = left.dtype if left.dtype == right.dtype else ""
    dtype = "float" if "float" in (left.dtype, right.dtype) or op_ is ast.Div else same
    marks = (left.marks | right.marks) & {"sequence", "unsure rank"}
    return Tensor("data", left.made, None, shape, dtype, marks)
