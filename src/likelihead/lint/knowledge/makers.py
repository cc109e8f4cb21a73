"""Functions that make tensors: of numbers, of sizes, or of the size of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from likelihead.lint.knowledge import figures, shapes
from likelihead.lint.knowledge.call import Call, dtype_of, op
from likelihead.lint.values import (
    UNKNOWN,
    External,
    Figure,
    Shape,
    Tensor,
    Value,
    constant,
)

if TYPE_CHECKING:
    pass

__all__: list[str] = []


@op(
    "tensor",
    "as_tensor",
    "from_numpy",
    "array",
    "Tensor",
    "FloatTensor",
    "LongTensor",
)
def _tensor(call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    dtype = dtype_of(call) or {"FloatTensor": "float", "LongTensor": "long", "Tensor": "float"}.get(name, "")
    value = call.get(0, "data")
    if isinstance(value, Figure) or figures.are_figures(value):
        return value
    if isinstance(value, Tensor):
        return value.but(dtype=dtype or value.dtype)
    content = constant(value)
    if name == "Tensor" and isinstance(content, int):
        return UNKNOWN
    shape = shapes.of_nested(value)
    if shape is None:
        return Tensor("data", call.made(name), dtype=dtype) if dtype else UNKNOWN
    whole = _all_integers(content)
    marks = frozenset(("zero",)) if content in (0, (0,)) else frozenset()
    return Tensor("data", call.made(name), None, shape, dtype or ("long" if whole else "float"), marks)


def _all_integers(content: Any) -> bool:
    if isinstance(content, tuple):
        return all(map(_all_integers, content))
    return isinstance(content, int) and not isinstance(content, bool)


@op(
    "randn",
    "rand",
    "zeros",
    "ones",
    "empty",
    "full",
    "normal",
    "randint",
    "randperm",
    "arange",
    "linspace",
    "eye",
)
def _made_of_size(call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    if not call.name.startswith("torch") and name != "eye":
        return UNKNOWN
    dtype = dtype_of(call)
    if name == "randint":
        sizes = call.given(1 if "high" in call.kwargs or len(call.args) == 2 else 2, "size")
        high = call.const(1 if len(call.args) > 2 else 0, "high", None)
        shape = None if sizes is None else shapes.from_sizes([sizes])
        marks = frozenset((f"below {high}",)) if isinstance(high, int) else frozenset()
        return Tensor("indices", call.made("randint"), None, shape, dtype or "long", marks)
    if name in ("randn", "rand", "zeros", "ones", "empty"):
        sizes = call.kwargs.get("size")
        shape = shapes.from_sizes(
            [sizes] if sizes is not None else [one for one in call.args if not _is_dtype(one)]
        )
        marks = frozenset(("zero",)) if name == "zeros" else frozenset()
        return Tensor("data", call.made(name), None, shape, dtype or "float", marks)
    if name == "full":
        return Tensor("data", call.made(name), None, shapes.from_sizes([call.get(0, "size")]), dtype)
    if name == "eye":
        return Tensor("data", call.made(name), None, _square(call), dtype or "float")
    if name in ("randperm", "arange") and not any(isinstance(constant(one), float) for one in call.args):
        # Whole numbers from 0 on: class indices, where they are the target of a loss.
        return Tensor("indices", call.made(name), None, (None,), dtype or "long")
    return Tensor("data", call.made(name), None, (None,), dtype or "float")


def _square(call: Call) -> Shape | None:
    size = call.const(0, "n")
    return None if len(call.args) > 1 else (size, size) if isinstance(size, int) else (None, None)


def _is_dtype(value: Value) -> bool:
    return isinstance(value, External)


@op("zeros_like", "ones_like", "rand_like", "randn_like", "full_like", "empty_like")
def _made_like(call: Call) -> Value:
    value = call.get(0, "input")
    if isinstance(value, Tensor):
        return Tensor(
            "data", call.made(call.name.rpartition(".")[2]), None, value.shape, dtype_of(call) or value.dtype
        )
    return UNKNOWN
