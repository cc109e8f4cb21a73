"""Figures: sums, means and exponentials of losses, and what they are divided by."""

from __future__ import annotations

import ast
import math
import re
from typing import TYPE_CHECKING

from likelihead.lint.interpreter.events import Reading
from likelihead.lint.knowledge import rounds, terms
from likelihead.lint.knowledge.call import OPS, Call, external, number, op
from likelihead.lint.values import (
    UNKNOWN,
    Const,
    External,
    Figure,
    List,
    Repeat,
    Tensor,
    Union,
    Unknown,
    Value,
    alternatives,
    is_zero,
    map_union,
)

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.interpreter.machine import Machine

__all__ = [
    "announce",
    "are_figures",
    "binary",
    "exp",
    "length",
    "list_method",
    "mean",
    "method",
    "negate",
    "reduced",
    "total",
]

# What the sum over the rounds of a loop is, of each kind that is added up.
_SUMS = {"loss": "sum_of_means", "loss_sum": "sum_of_losses", "perplexity": "sum_of_perplexities"}
_COUNTS = frozenset(("length", "ranks"))
# Names that a conversion to other units may hide behind.
_OTHER_UNITS = re.compile(r"log(?!it)|ln_?2", re.IGNORECASE)
_RANKS = re.compile(r"world|n_?gpu|num_gpus|num_proc|nproc|num_replicas", re.IGNORECASE)


def reduced(value: Tensor, how: str, call: Call) -> Value:
    """The mean or sum of unreduced losses."""
    kind = "loss" if how == "mean" else "loss_sum"
    return Figure(kind, call.made(f"{how}()"), "nats", value.marks, value.calls)


# -- arithmetic


def announce(
    op_: type[ast.operator], left: Value, right: Value, interpreter: Machine, node: ast.AST, frame: Frame
) -> None:
    """Tell of ``left op right`` before its alternatives are looked at one by one."""
    if op_ is ast.Div and any(isinstance(one, Figure) for one in alternatives(left)):
        interpreter.emit(Reading(node, frame, "divide", _judged(left, right, node, interpreter), right))
    elif op_ is ast.Div and any(
        isinstance(one, Tensor) and one.kind == "exp_logits" for one in alternatives(left)
    ):
        interpreter.emit(Reading(node, frame, "normalised", left, right))
    elif op_ is ast.Pow and any(isinstance(one, Figure) for one in alternatives(right)):
        interpreter.emit(Reading(node, frame, "exp" if _is_e(left) else "power", right, left))


def _judged(left: Value, right: Value, node: ast.AST, interpreter: Machine) -> Value:
    """What is divided, with a mark on what becomes a mean of uneven batches."""
    ways: list[Value] = []
    for one in alternatives(left):
        if isinstance(one, Figure):
            by = alternatives(right)
            if all(_is_mean_of_means(one, other, node, interpreter) for other in by):
                one = one.but(marks=one.marks | {"becomes a mean of means"})
            elif one.kind == "perplexity" and all(_is_share(one, other, node, interpreter) for other in by):
                one = one.but(kind="sum_of_perplexities")
        ways.append(one)
    return ways[0] if len(ways) == 1 else Union(tuple(ways))


def _is_share(value: Figure, by: Value, node: ast.AST, interpreter: Machine) -> bool:
    """Whether it is divided by the number of rounds, to be added up: ``total += x / len(loader)``."""
    return (
        bool(interpreter.loop_nodes)
        and isinstance(by, Figure)
        and rounds.counts(value.but(loop=interpreter.loop_nodes[-1]), by, node, interpreter)
    )


def _is_mean_of_means(value: Figure, by: Value, node: ast.AST, interpreter: Machine) -> bool:
    if value.kind == "loss" and "item" in value.marks:
        return _is_share(value, by, node, interpreter) and rounds.are_uneven(
            value.but(loop=interpreter.loop_nodes[-1]), interpreter
        )
    return (
        value.kind == "sum_of_means"
        and value.loop not in interpreter.loop_nodes
        and rounds.counts(value, by, node, interpreter)
        and rounds.are_uneven(value, interpreter)
    )


def binary(
    op_: type[ast.operator], left: Value, right: Value, interpreter: Machine, node: ast.AST, frame: Frame
) -> Value:
    """``left op right`` of which one at least is a figure."""
    if any(isinstance(one, Figure) and one.kind in _COUNTS for one in (left, right)) and not (
        isinstance(left, Figure) and left.kind not in _COUNTS
    ):
        return (
            UNKNOWN
            if not isinstance(right, Figure) or op_ is not ast.Mult
            else _times(right, left, node, frame)
        )
    if op_ is ast.Add:
        return _plus(left, right, interpreter, node)
    if op_ is ast.Mult:
        first, second = (left, right) if isinstance(left, Figure) else (right, left)
        assert isinstance(first, Figure)
        return _times(first, second, node, frame)
    if op_ is ast.Div and isinstance(left, Figure):
        return _over(left, right, interpreter, node, frame)
    if op_ is ast.Pow and isinstance(right, Figure) and (number(left) == 2 or _is_e(left)):
        return _exponential(right, frame.scope.made(node, "e **" if _is_e(left) else "2 **"))
    return UNKNOWN


def _is_e(value: Value) -> bool:
    return isinstance(value, External) and value.name in ("math.e", "numpy.e")


def _plus(left: Value, right: Value, interpreter: Machine, node: ast.AST) -> Value:
    loop = rounds.accumulating(node, interpreter)
    old, new = (right, left) if not isinstance(right, Figure) or is_zero(right) else (left, right)
    if (
        isinstance(left, Figure)
        and isinstance(right, Figure)
        and left.kind in _SUMS
        and right.kind not in _SUMS
    ):
        old, new = right, left
    assert isinstance(new, Figure)
    if loop is not None:
        kind = _SUMS.get(new.kind, "mean_of_means" if new.kind == "share" else "")
        if kind and (is_zero(old) or (isinstance(old, Figure) and old.kind == kind)):
            return new.but(kind=kind, loop=loop)
        return UNKNOWN
    if is_zero(old):
        return new
    if "weighted mean" in new.marks and terms.weights_sum_to_one(node):
        return new.but(kind="loss", marks=new.marks | {"with another term"})
    if isinstance(old, Figure) and old.kind == new.kind == "loss_sum":
        return new
    for one in (new, old):
        if isinstance(one, Figure) and one.kind == "loss":
            return one.but(marks=one.marks | {"with another term"})
    return UNKNOWN


def _times(value: Figure, by: Value, node: ast.AST, frame: Frame) -> Value:
    amount = number(by)
    if amount == 1 or value.kind == "perplexity":
        return value
    unit = _unit(value, by, node, frame, 1 / math.log(2))
    if unit != value.unit and unit:
        return value.but(unit=unit)
    if isinstance(by, Figure) and by.unit:
        return UNKNOWN
    # by the number of examples or tokens; a fraction is a weight among other terms
    whole = amount is None or float(amount).is_integer()
    if value.kind != "loss":
        return value.but(kind="scaled", unit=unit)
    return value.but(kind="loss_sum" if whole else "scaled", unit=unit, marks=value.marks | {"weighted mean"})


def _over(value: Figure, by: Value, interpreter: Machine, node: ast.AST, frame: Frame) -> Value:
    amount = number(by)
    if amount == 1 and value.kind != "sum_of_means":  # of those, the counter after one round may be
        return value
    several = value.kind == "loss" and "with another term" in value.marks and isinstance(node, ast.BinOp)
    if several and amount == terms.count(getattr(node, "left", node)) > 1:
        return value  # (a + b) / 2, the mean of two losses
    unit = _unit(value, by, node, frame, math.log(2))
    if unit != value.unit and unit:
        return value.but(unit=unit)
    kind = "scaled"
    made, marks = value.made, value.marks
    if _is_mean_of_means(value, by, node, interpreter):
        kind = "share" if value.kind == "loss" else "mean_of_means"
        made = frame.scope.made(node, "mean of batch means")
    elif value.kind in ("loss_sum", "sum_of_losses") and amount is None and not _is_length(by):
        kind = "scaled" if "of all ranks" in marks else "mean"
    return value.but(kind=kind, unit=unit, made=made, marks=marks)


def _is_length(value: Value) -> bool:
    return isinstance(value, Figure) and value.kind == "length"


def _unit(value: Figure, by: Value, node: ast.AST, frame: Frame, factor: float) -> str:
    """The unit after a division (or multiplication) by something, which may be the logarithm of two."""
    amount = number(by)
    operand = getattr(node, "right", None) or getattr(node, "value", None)
    if amount is not None:
        return "bits" if value.unit == "nats" and abs(amount - factor) < 1e-3 else value.unit
    if operand is None:
        return value.unit
    sides = (
        [operand, node.left] if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) else [operand]
    )
    if isinstance(getattr(node, "op", None), ast.Div) and _is_log_of_two(operand):
        return "bits" if value.unit == "nats" else ""
    if any(_mentions_a_unit(side, frame) for side in sides):
        return ""
    return value.unit


def _is_log_of_two(node: ast.AST) -> bool:
    """``torch.log(torch.tensor(2.0))``."""
    if not isinstance(node, ast.Call) or not node.args:
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    inner: ast.AST = node.args[0]
    while isinstance(inner, ast.Call) and inner.args:
        inner = inner.args[0]
    return name == "log" and isinstance(inner, ast.Constant) and inner.value == 2


def _mentions_a_unit(node: ast.expr, frame: Frame) -> bool:
    """Whether the operand (or what a name of it was set to in this function) has to do with logarithms."""
    if isinstance(node, ast.Name) and frame.function is not None:
        for statement in ast.walk(frame.function.node):
            if (
                isinstance(statement, ast.Assign)
                and any(isinstance(one, ast.Name) and one.id == node.id for one in statement.targets)
                and _names(statement.value, _OTHER_UNITS)
            ):
                return True
    return bool(_names(node, _OTHER_UNITS))


def _names(node: ast.AST, pattern: re.Pattern[str]) -> bool:
    found = (getattr(one, "id", None) or getattr(one, "attr", None) for one in ast.walk(node))
    return any(isinstance(one, str) and pattern.search(one) for one in found)


def negate(value: Figure, node: ast.AST) -> Value:
    """``-figure``: no perplexity comes of it."""
    return value.but(kind="scaled", unit="") if value.kind == "loss" else UNKNOWN


# -- exponentials


def exp(value: Figure | List, call: Call) -> Value:
    """``exp(figure)``, also of each in a list."""
    if isinstance(value, List):
        if not are_figures(value):
            return UNKNOWN
        call.interpreter.emit(Reading(call.node, call.frame, "exp", value.element()))
        return List([_each(one, call) for one in value.items], "list", value.born)
    return _exponential(value, call.made("exp"))


def _each(item: Value, call: Call) -> Value:
    value = item.value if isinstance(item, Repeat) else item
    result = map_union(value, lambda one: exp(one, call) if isinstance(one, Figure) else UNKNOWN)
    return Repeat(result) if isinstance(item, Repeat) else result


def _exponential(value: Figure, made: object) -> Value:
    if not value.unit or value.kind in ("perplexity", *_COUNTS):
        return UNKNOWN
    marks = value.marks | {"of a batch"} if value.kind == "loss" else value.marks
    return value.but(kind="perplexity", made=made, marks=marks)


@op("exp2")
def _exp2(call: Call) -> Value:
    return _two_to_the(call.get(0, "input"), call)


@op("pow", "power", "float_power")
def _pow(call: Call) -> Value:
    base = call.get(0, "input")
    node = call.node.args[0] if isinstance(call.node, ast.Call) and call.node.args else None
    while isinstance(node, ast.Call) and node.args:
        node = node.args[0]
    if number(base) == 2 or (isinstance(node, ast.Constant) and node.value == 2 and len(call.args) == 2):
        return _two_to_the(call.get(1, "exponent"), call)
    return UNKNOWN


def _two_to_the(value: Value, call: Call) -> Value:
    if not any(isinstance(one, Figure) for one in alternatives(value)):
        return UNKNOWN
    call.interpreter.emit(Reading(call.node, call.frame, "power", value, Const(2)))
    return map_union(
        value, lambda one: _exponential(one, call.made("2 **")) if isinstance(one, Figure) else UNKNOWN
    )


@external("math.log", "numpy.log")
def _log(call: Call) -> Value:
    amount = number(call.get(0, "x"))
    if amount is not None and amount > 0 and len(call.args) == 1:
        return Const(math.log(amount))
    return OPS["log"](call)


# -- lists of figures


def are_figures(value: Value) -> bool:
    """Whether it is a list of nothing but figures of losses."""
    return (
        isinstance(value, List)
        and value.kind in ("list", "tuple")
        and bool(value.items)
        and all(
            isinstance(one, Figure) and one.kind not in _COUNTS
            for item in value.items
            for one in alternatives(item.value if isinstance(item, Repeat) else item)
        )
    )


def mean(value: Figure | List, call: Call) -> Value:
    """The mean of a list of figures, or of the losses that several devices return."""
    if isinstance(value, Figure):
        return value
    if not are_figures(value) or "weights" in call.kwargs:
        return UNKNOWN
    interpreter = call.interpreter
    ways: list[Value] = []
    for one in alternatives(value.element()):
        assert isinstance(one, Figure)
        uneven = one.loop not in interpreter.loop_nodes and rounds.are_uneven(one, interpreter)
        ways.append(one.but(marks=one.marks | {"becomes a mean of means"}) if uneven else one)
    element = ways[0] if len(ways) == 1 else Union(tuple(ways))
    interpreter.emit(Reading(call.node, call.frame, "mean", element))

    def averaged(one: Value) -> Value:
        if isinstance(one, Figure) and one.kind == "loss" and "becomes a mean of means" in one.marks:
            return one.but(kind="mean_of_means", made=call.made("mean of batch means"))
        return one.but(kind="scaled") if isinstance(one, Figure) else UNKNOWN

    return map_union(element, averaged)


external("statistics.mean", "statistics.fmean")(lambda call: OPS["mean"](call))


def total(value: Figure | List, call: Call) -> Value:
    """The sum of a list of figures."""
    if isinstance(value, Figure):
        return value
    if not are_figures(value):
        return UNKNOWN

    def summed(one: Value) -> Value:
        if isinstance(one, Figure) and one.kind.startswith("ranks_of_"):
            return one
        if isinstance(one, Figure) and one.loop is not None and one.kind in _SUMS:
            return one.but(kind=_SUMS[one.kind], origin=value)
        return UNKNOWN

    return map_union(value.element(), summed)


def list_method(owner: List, name: str, call: Call) -> Value:
    """A method of an array of figures."""
    if name in ("mean", "sum", "exp", "exp2"):
        return OPS[name](call)
    return owner if name in _SAME else UNKNOWN


def length(value: Value, call: Call) -> Value:
    """``len(value)`` of something whose length is not known."""
    return Figure("length", call.made("len()"), origin=value)


# -- methods

_SAME = frozenset(
    (
        "item", "detach", "cpu", "cuda", "float", "double", "half", "clone", "numpy", "tolist", "to", "mean",
        "sum", "squeeze", "view", "reshape", "unsqueeze", "type", "requires_grad_", "astype",
    )
)  # fmt: skip


def method(owner: Value, name: str, call: Call) -> Value:
    """``figure.name(...)``."""
    node = call.node
    if name == "backward":
        loop = call.interpreter.loop_nodes[-1] if call.interpreter.loop_nodes else None
        call.interpreter.emit(
            Reading(node, call.frame, "backward", rounds.kept(_differentiated(owner, call), loop))
        )
        return Const(None)
    if not isinstance(owner, Figure) or owner.kind in _COUNTS:
        return UNKNOWN
    if name in _SAME:
        return owner.but(marks=owner.marks | {"item"}) if name in ("item", "tolist") else owner
    if name in ("exp", "exp2"):
        return OPS[name](call)
    if name in ("div", "true_divide"):
        return owner.but(kind="scaled", unit="")
    place = node.func.value if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
    if name.endswith("_") and isinstance(place, (ast.Name, ast.Attribute)):
        call.interpreter.bind(place, UNKNOWN, call.frame)  # changed in place
    return UNKNOWN


def _differentiated(owner: Value, call: Call) -> Value:
    """The loss of ``loss.backward()``, with all its alternatives, or of ``scaler.scale(loss).backward()``."""
    node = call.node.func if isinstance(call.node, ast.Call) else None
    inner = node.value if isinstance(node, ast.Attribute) else None
    if isinstance(owner, Figure) and isinstance(inner, (ast.Name, ast.Attribute)):
        return call.interpreter.eval(inner, call.frame)
    if (
        isinstance(owner, Unknown)
        and isinstance(inner, ast.Call)
        and isinstance(inner.func, ast.Attribute)
        and inner.func.attr == "scale"
        and len(inner.args) == 1
    ):
        return call.interpreter.eval(inner.args[0], call.frame)
    return owner


# -- over ranks


@external("torch.distributed.get_world_size")
def _world_size(call: Call) -> Value:
    return Figure("ranks", call.made("get_world_size()"))


@external("torch.distributed.all_reduce", "torch.distributed.reduce")
def _all_reduce(call: Call) -> Value:
    value = call.get(0, "tensor")
    if not any(isinstance(one, Figure) for one in alternatives(value)):
        return UNKNOWN
    how = call.given(1 if call.name.endswith("all_reduce") else 2, "op")
    name = "SUM" if how is None else how.name.rpartition(".")[2] if isinstance(how, External) else ""
    if name == "AVG":
        call.interpreter.emit(Reading(call.node, call.frame, "average_ranks", value))
    place = call.node.args[0] if isinstance(call.node, ast.Call) and call.node.args else None
    if isinstance(place, (ast.Name, ast.Attribute)):
        result = map_union(value, _over_ranks) if name == "SUM" else UNKNOWN
        call.interpreter.bind(place, result, call.frame)
    return UNKNOWN


@external("torch.distributed.all_gather", "torch.distributed.all_gather_object")
def _all_gather(call: Call) -> Value:
    """The list that is its first argument holds the value of each rank."""
    value = call.get(1, "tensor")
    place = call.node.args[0] if isinstance(call.node, ast.Call) and call.node.args else None
    if isinstance(place, (ast.Name, ast.Attribute)) and any(
        isinstance(one, Figure) for one in alternatives(value)
    ):
        each = Repeat(map_union(value, _over_ranks))
        call.interpreter.bind(place, List([each], "list", call.frame.context), call.frame)
    return Const(None)


def _over_ranks(value: Value) -> Value:
    if not isinstance(value, Figure):
        return UNKNOWN
    if value.kind in ("loss_sum", "sum_of_losses"):
        return value.but(marks=value.marks | {"of all ranks"})
    return value.but(kind=f"ranks_of_{value.kind}") if value.kind in ("loss", "mean") else UNKNOWN


def is_rank_count(by: Value, node: ast.AST) -> bool:
    """Whether what is divided by is the number of ranks."""
    divisor = getattr(node, "right", None) or getattr(node, "value", None)
    return (isinstance(by, Figure) and by.kind == "ranks") or (
        isinstance(by, Unknown) and divisor is not None and _names(divisor, _RANKS)
    )
