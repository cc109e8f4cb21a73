"""Classes out of scores, and back: argmax, max along a dimension, topk, one_hot."""

from __future__ import annotations

from likelihead.lint.knowledge import shapes
from likelihead.lint.knowledge.call import Call, op, tell
from likelihead.lint.values import (
    UNKNOWN,
    Const,
    Figure,
    List,
    Tensor,
    Union,
    Unknown,
    Value,
)

__all__: list[str] = []


@op("argmax", "argmin")
def _argmax(call: Call) -> Value:
    value = call.get(0, "input")
    dim = call.const(1, "dim", call.const(9, "axis", None))
    shape = None
    tell("argmax", value, call, Const(dim))
    if isinstance(value, Tensor) and dim is not None:
        shape = shapes.reduced(value.shape, dim, call.const(2, "keepdim", False) is True)
    return Tensor("indices", call.made("argmax"), None, shape, "long", origin=value)


@op("max", "amax")
def _max(call: Call) -> Value:
    value = call.get(0, "input")
    if isinstance(value, (Figure, Const, List)):
        return UNKNOWN
    if call.name.endswith("amax"):
        tell("argmax", value, call, Const(call.const(1, "dim", None)))
        return Tensor("max_values", call.made("amax"), dtype="float", origin=value)
    dim = call.given(1, "dim")
    if dim is None or not (isinstance(dim, Const) and isinstance(dim.value, int)):
        return UNKNOWN
    tell("argmax", value, call, dim)
    return _pair(value, dim.value, call.const(2, "keepdim", False) is True, call, ("values", "indices"))


@op("topk", "sort", "median", "kthvalue", "mode")
def _topk(call: Call) -> Value:
    value = call.get(0, "input")
    if call.name.endswith("topk"):
        tell("argmax", value, call, Const(call.const(2, "dim", -1)))
    if not isinstance(value, (Tensor, Unknown, Union)):
        return UNKNOWN
    if call.name.endswith("topk"):
        return _pair(value, None, True, call, ("values", "indices"))
    return UNKNOWN


def _pair(value: Value, dim: int | None, keepdim: bool, call: Call, names: tuple[str, str]) -> Value:
    """Values and indices, as max along a dimension returns them."""
    shape = (
        shapes.reduced(value.shape, dim, keepdim) if isinstance(value, Tensor) and dim is not None else None
    )
    name = call.name.rpartition(".")[2]
    values = Tensor("max_values", call.made(f"values of {name}"), dim, shape, "float", origin=value)
    indices = Tensor("indices", call.made(f"indices of {name}"), None, shape, "long", origin=value)
    return List([values, indices], "tuple", call.frame.context, list(names))


@op("one_hot")
def _one_hot(call: Call) -> Value:
    value = call.get(0, "tensor")
    classes = call.const(1, "num_classes", None)
    shape = value.shape if isinstance(value, Tensor) else None
    last = classes if isinstance(classes, int) and classes > 0 else None
    return Tensor(
        "one_hot",
        call.made("one_hot"),
        None,
        (*(shape if shape is not None else (...,)), last),
        "long",
        origin=value,
    )
