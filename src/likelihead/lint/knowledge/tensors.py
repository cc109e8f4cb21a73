"""Tensors: what functions and methods of torch (and numpy, where they share a name) make of a kind."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from likelihead.lint.interpreter.events import Link, Reading
from likelihead.lint.knowledge import shapes
from likelihead.lint.knowledge.call import OPS, Call, number, op
from likelihead.lint.values import (
    UNKNOWN,
    Bound,
    Const,
    Figure,
    List,
    Object,
    Repeat,
    Tensor,
    Union,
    Unknown,
    Value,
    alternatives,
    constant,
    join,
    key,
    map_union,
)

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.interpreter.modules import Interpreter

__all__ = ["TELLING_METHODS", "apply_link", "attribute", "binary", "index", "method", "negate"]

# Methods whose name alone says what they return, whatever the object they are called on.
TELLING_METHODS = frozenset(
    ["softmax", "log_softmax", "sigmoid", "sigmoid_", "argmax", "max", "long", "float", "double", "half", "int", "bool", "byte", "backward", "item", "exp", "log", "topk"]
)

# The kinds that say how a tensor relates to probabilities; only operations that are known to keep one do.
LINKED = frozenset(("logits", "log_probs", "probs", "sigmoid", "log_sigmoid", "exp_logits", "activations"))

_DTYPES = {
    "float": "float", "float32": "float", "float64": "float", "double": "float", "half": "float",
    "float16": "float", "bfloat16": "float", "long": "long", "int64": "long", "int": "int", "int32": "int",
    "short": "int", "int16": "int", "int8": "int8", "uint8": "uint8", "bool": "bool", "byte": "uint8",
    "FloatTensor": "float", "LongTensor": "long", "DoubleTensor": "float", "BoolTensor": "bool",
    "IntTensor": "int", "ByteTensor": "uint8", "HalfTensor": "float", "bool_": "bool", "char": "int8",
}  # fmt: skip


def attribute(value: Tensor, name: str, interpreter: Interpreter, node: ast.AST, frame: Frame) -> Value:
    """``tensor.name``."""
    if name in ("data", "grad_fn"):
        return value if name == "data" else UNKNOWN
    if name in ("T", "mT"):
        return value.but(shape=shapes.swapped(value.shape, -1, -2), dim="?")
    if name == "shape":
        return _sizes(value, frame)
    if name == "ndim":
        return UNKNOWN if value.rank is None else Const(value.rank)
    if name in ("values", "indices") and value.kind == "max":
        return UNKNOWN
    return Bound(value, name)


def _sizes(value: Tensor, frame: Frame) -> Value:
    if value.shape is None:
        return UNKNOWN
    sizes: list[Value] = [
        Repeat(UNKNOWN) if size is ... else Const(size) if isinstance(size, int) else UNKNOWN
        for size in value.shape
    ]
    return List(sizes, "tuple", frame.context)


def method(
    owner: Value,
    name: str,
    args: list[Value],
    kwargs: dict[str, Value],
    interpreter: Interpreter,
    node: ast.AST,
    frame: Frame,
) -> Value:
    """``tensor.name(...)``; also of a figure, or of something unknown where the name says enough."""
    if isinstance(owner, Figure) or name == "backward":
        from likelihead.lint.knowledge import figures

        return figures.method(owner, name, Call(name, [owner, *args], kwargs, interpreter, node, frame))
    handler = OPS.get(name)
    if handler is None:
        return UNKNOWN
    return handler(Call(name, [owner, *args], kwargs, interpreter, node, frame))


# -- links


def apply_link(name: str, value: Value, dim: Any, call: Call, layer: Object | None = None) -> Value:
    """A softmax, log_softmax, softmin, sigmoid or logsigmoid of a value, whatever it is."""
    kind = {
        "softmax": "probs", "gumbel_softmax": "probs", "softmin": "probs", "log_softmax": "log_probs",
        "sigmoid": "sigmoid", "logsigmoid": "log_sigmoid",
    }[name]  # fmt: skip
    text = name if kind in ("sigmoid", "log_sigmoid") else f"{name} {_over(dim)}"
    inputs = [one for one in alternatives(value) if isinstance(one, Tensor)]
    shape = inputs[0].shape if len(inputs) == 1 and not isinstance(value, Union) else None
    made = call.made(text)
    output = Tensor(kind, made, dim, shape, "float", origin=value)
    call.interpreter.emit(Link(call.node, call.frame, name, value, output, layer))
    return output


def _over(dim: Any) -> str:
    if dim is None:
        return "over no named dimension"
    return "over the classes" if dim == "?" else f"over dimension {dim}"


@op("softmax", "log_softmax", "softmin", "gumbel_softmax")
def _softmax(call: Call) -> Value:
    position = 4 if call.name.endswith("gumbel_softmax") else 1
    dim = call.const(position, "dim", call.const(9, "axis", -1 if position == 4 else None))
    name = call.name.rpartition(".")[2]
    return apply_link(name, call.get(0, "input"), "?" if dim is ... else dim, call)


@op("sigmoid", "sigmoid_", "expit", "hardsigmoid")
def _sigmoid(call: Call) -> Value:
    return apply_link("sigmoid", call.get(0, "input"), None, call)


@op("logsigmoid")
def _logsigmoid(call: Call) -> Value:
    return apply_link("logsigmoid", call.get(0, "input"), None, call)


@op("log", "log_")
def _log(call: Call) -> Value:
    def one(value: Value) -> Value:
        if isinstance(value, Figure):
            return UNKNOWN
        if not isinstance(value, Tensor):
            return UNKNOWN
        kinds = {"probs": "log_probs", "sigmoid": "log_sigmoid", "sum_exp": "lse", "exp_logits": "logits"}
        kind = kinds.get(value.kind)
        if kind is None:
            return UNKNOWN
        made = call.made("log of a softmax") if value.kind == "probs" else call.made("log")
        output = value.but(kind=kind, made=made, marks=value.marks | {"by hand"}, origin=value, calls=())
        call.interpreter.emit(Link(call.node, call.frame, "log", value, output))
        return output

    return map_union(call.get(0, "input"), one)


@op("exp", "exp_")
def _exp(call: Call) -> Value:
    value = call.get(0, "input")
    call.interpreter.emit(Reading(call.node, call.frame, "exp", value))

    def one(value: Value) -> Value:
        from likelihead.lint.knowledge import figures

        if isinstance(value, Figure):
            return figures.exp(value, call)
        if isinstance(value, Const):
            return UNKNOWN
        kind = {"log_probs": "probs", "log_sigmoid": "sigmoid", "logits": "exp_logits"}.get(
            value.kind if isinstance(value, Tensor) else "", "exp"
        )
        shape = value.shape if isinstance(value, Tensor) else None
        marks = value.marks if isinstance(value, Tensor) else frozenset()
        dim = value.dim if isinstance(value, Tensor) else None
        output = Tensor(kind, call.made("exp"), dim, shape, "float", marks, origin=value)
        call.interpreter.emit(Link(call.node, call.frame, "exp", value, output))
        return output

    return map_union(value, one)


@op("logsumexp")
def _logsumexp(call: Call) -> Value:
    return Tensor("lse", call.made("logsumexp"), dtype="float")


# -- operations that keep a kind


def keep(value: Value, **changes: Any) -> Value:
    """The same kind with another shape or dtype; of anything but a tensor nothing is known."""
    return map_union(value, lambda one: one.but(**changes) if isinstance(one, Tensor) else UNKNOWN)


@op(
    "clone", "detach", "detach_", "contiguous", "cpu", "cuda", "requires_grad_", "numpy", "nan_to_num", "clamp",
    "clip", "clamp_", "clamp_min", "clamp_max", "pin_memory", "as_tensor_", "npu", "share_memory_", "retain_grad", "xpu", "maximum",
    "minimum", "ascontiguousarray", "asarray",
)  # fmt: skip
def _same(call: Call) -> Value:
    return keep(call.get(0, "input"))


@op("dropout", "dropout1d", "dropout2d", "alpha_dropout", "feature_dropout")
def _dropout(call: Call) -> Value:
    return map_union(call.get(0, "input"), lambda one: one if _is(one, "logits", "activations") else UNKNOWN)


def _is(value: Value, *kinds: str) -> bool:
    return isinstance(value, Tensor) and value.kind in kinds


@op(
    "to",
    "type",
    "astype",
    "float",
    "double",
    "half",
    "bfloat16",
    "long",
    "int",
    "bool",
    "byte",
    "short",
    "char",
    "type_as",
    "float_power_",
)
def _cast(call: Call) -> Value:
    wanted = call.name if call.name in _DTYPES else _dtype(call)
    value = call.get(0, "input")
    if isinstance(value, Unknown):
        return (
            Tensor("data", call.made(f"{call.name}()"), dtype=wanted)
            if wanted and call.name != "to"
            else UNKNOWN
        )
    return map_union(
        value, lambda one: _casted(one, wanted or (one.dtype if isinstance(one, Tensor) else ""), call)
    )


def _casted(value: Value, dtype: str, call: Call) -> Value:
    if not isinstance(value, Tensor):
        return value if isinstance(value, (Object, Figure)) else UNKNOWN
    marks = value.marks
    if dtype == "bool" and value.kind == "indices":
        marks = marks | {"made bool"}
    if dtype in ("long", "int", "uint8", "int8") and value.kind in LINKED:
        return value.but(kind="data", dtype=dtype)
    return value.but(dtype=dtype, marks=marks)


def _dtype(call: Call) -> str:
    """The dtype that a call names, by keyword or by position."""
    from likelihead.lint.values import External

    for value in [call.kwargs.get("dtype"), *call.args[1:]]:
        if isinstance(value, External) and value.name.rpartition(".")[2] in _DTYPES:
            return _DTYPES[value.name.rpartition(".")[2]]
        if isinstance(value, Const) and isinstance(value.value, str):
            name = value.value.rpartition(".")[2]
            if name in _DTYPES:
                return _DTYPES[name]
    return ""


@op("view", "reshape", "flatten", "unflatten", "squeeze", "squeeze_", "unsqueeze", "unsqueeze_", "permute", "transpose", "t", "swapaxes", "movedim", "moveaxis", "expand", "expand_as", "repeat", "view_as", "reshape_as", "ravel", "expand_dims", "tile", "rearrange_", "adjoint", "unfold_", "repeat_interleave", "roll", "flip")  # fmt: skip
def _reshaped(call: Call) -> Value:
    def one(value: Value) -> Value:
        if not isinstance(value, Tensor):
            return UNKNOWN
        shape = shapes.reshaped(call.name.rpartition(".")[2], value.shape, call)
        moved = (
            call.name.rpartition(".")[2] not in ("squeeze", "expand", "contiguous", "clone")
            and value.dim is not None
        )
        dim = shapes.moved_dim(call.name.rpartition(".")[2], value, call) if moved else value.dim
        return value.but(shape=shape, dim=dim)

    return map_union(call.get(0, "input"), one)


@op("index_select", "narrow", "masked_select", "take_along_dim", "gather", "take", "select")
def _selected(call: Call) -> Value:
    def one(value: Value) -> Value:
        if not isinstance(value, Tensor):
            return UNKNOWN
        name = call.name.rpartition(".")[2]
        if name in ("gather", "take_along_dim", "take", "select", "masked_select"):
            # The entries that were picked are no distribution any more.
            return value.but(kind="picked" if value.kind in LINKED else value.kind, shape=None)
        return value.but(shape=None if value.shape is None or value.last is None else (..., value.last))

    return map_union(call.get(0, "input"), one)


@op("cat", "concat", "concatenate", "stack", "vstack", "hstack", "row_stack")
def _concatenated(call: Call) -> Value:
    entries = call.get(0, "tensors")
    if not isinstance(entries, List) or not entries.items:
        return UNKNOWN
    values = [one.value if isinstance(one, Repeat) else one for one in entries.items]
    tensors = [one for value in values for one in alternatives(value) if not isinstance(one, Const)]
    if not tensors or any(not isinstance(one, Tensor) for one in tensors):
        return UNKNOWN
    first = tensors[0]
    if any(isinstance(one, Tensor) and (one.kind, one.dtype) != (first.kind, first.dtype) for one in tensors):
        return UNKNOWN
    assert isinstance(first, Tensor)
    name = call.name.rpartition(".")[2]
    dim = call.const(1, "dim", call.const(9, "axis", 0))
    many = len(tensors) > 1
    if name in ("stack", "hstack") or dim not in (0, ...):
        shape: Any = None
        if (
            name == "stack"
            and first.shape is not None
            and isinstance(dim, int)
            and dim <= 0
            and first.rank is not None
            and dim == 0
        ):
            shape = (len(tensors) if entries.complete else None, *first.shape)
        elif name == "cat" and dim in (1, -1) and first.rank == 2 and many and entries.complete:
            lasts = [one.last for one in tensors if isinstance(one, Tensor)]
            shape = (first.shape[0] if first.shape else None, sum(lasts) if all(lasts) else None)  # type: ignore[arg-type]
        kind = first.kind
        if name == "stack" and dim == 1 and kind in ("probs", "log_probs") and first.rank is None:
            kind = "data"
        if name != "stack" and kind in ("probs", "log_probs"):
            kind = "data"  # no distribution: several of them side by side
        return first.but(kind=kind, shape=shape, dim="?" if first.dim is not None else None)
    shape = (
        None
        if first.shape is None
        else (None, *first.shape[1:])
        if first.shape[0] is not ...
        else first.shape
    )
    return first.but(shape=shape)


@op("chunk", "split", "unbind", "tensor_split")
def _parts(call: Call) -> Value:
    def one(value: Value) -> Value:
        if not isinstance(value, Tensor):
            return UNKNOWN
        return List([Repeat(value.but(shape=None))], "list", call.frame.context)

    return map_union(call.get(0, "input"), one)


@op("mean", "average", "nanmean")
def _mean(call: Call) -> Value:
    from likelihead.lint.knowledge import figures

    value = call.get(0, "input")
    dim = call.const(1, "dim", call.const(9, "axis", None))

    def one(value: Value) -> Value:
        if isinstance(value, (Figure, List)):
            return figures.mean(value, call)
        if not isinstance(value, Tensor):
            return UNKNOWN
        if value.kind == "per_example":
            return figures.reduced(value, "mean", call) if dim is None else value
        if dim is None or value.kind not in LINKED | {"logits"}:
            return UNKNOWN
        if value.kind == "log_probs":
            return value.but(kind="data", shape=None)
        keepdim = call.const(2, "keepdim", False) is True
        return value.but(
            shape=shapes.reduced(value.shape, dim, keepdim), dim="?" if value.dim is not None else None
        )

    return map_union(value, one)


@op("sum", "nansum")
def _sum(call: Call) -> Value:
    from likelihead.lint.knowledge import figures

    dim = call.const(1, "dim", call.const(9, "axis", None))

    def one(value: Value) -> Value:
        if isinstance(value, (Figure, List)):
            return figures.total(value, call)
        if not isinstance(value, Tensor):
            return UNKNOWN
        if value.kind == "per_example":
            return figures.reduced(value, "sum", call) if dim is None else value
        if value.kind in ("exp", "exp_logits"):
            return value.but(kind="sum_exp", dim=dim)
        return UNKNOWN

    return map_union(call.get(0, "input"), one)


# -- classes


@op("argmax", "argmin")
def _argmax(call: Call) -> Value:
    value = call.get(0, "input")
    dim = call.const(1, "dim", call.const(9, "axis", None))
    shape = None
    if isinstance(value, Tensor) and dim is not None:
        shape = shapes.reduced(value.shape, dim, call.const(2, "keepdim", False) is True)
    return Tensor("indices", call.made("argmax"), None, shape, "long", origin=value)


@op("max", "amax")
def _max(call: Call) -> Value:
    value = call.get(0, "input")
    if isinstance(value, (Figure, Const, List)):
        return UNKNOWN
    if call.name.endswith("amax"):
        return Tensor("max_values", call.made("amax"), dtype="float", origin=value)
    dim = call.given(1, "dim")
    if dim is None or not (isinstance(dim, Const) and isinstance(dim.value, int)):
        return UNKNOWN
    return _pair(value, dim.value, call.const(2, "keepdim", False) is True, call, ("values", "indices"))


@op("topk", "sort", "median", "kthvalue", "mode")
def _topk(call: Call) -> Value:
    value = call.get(0, "input")
    if not isinstance(value, (Tensor, Unknown)):
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


# -- arithmetic


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
    op_: type[ast.operator], left: Value, right: Value, interpreter: Interpreter, node: ast.AST, frame: Frame
) -> Value:
    """``left op right`` of which one at least is a tensor."""
    if op_ is ast.Mult:
        interpreter.emit(Reading(node, frame, "product", left, right))
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
    if op_ is ast.Sub and right.kind in ("one_hot", "multi_hot", "per_example"):
        return right
    return UNKNOWN


def _with_number(op_: type[ast.operator], value: Tensor, amount: float, frame: Frame, node: ast.AST) -> Value:
    kind = value.kind
    if op_ in (ast.Add, ast.Sub):
        if abs(amount) <= 1e-3:
            return value.but(marks=value.marks | {"eps"})
        if kind in ("exp", "exp_logits") and amount == 1 and "negated" in _marks(value.origin):
            return value.but(kind="one_plus_exp")
        return value if kind in ("logits", "indices", "activations", "data", "per_example") else UNKNOWN
    if op_ in (ast.Mult, ast.Div):
        if amount == 1:
            return value
        if kind in ("logits", "data", "activations", "per_example"):
            return value
        if kind == "log_probs" and amount > 0:
            return value.but(kind="data")
        if kind in ("one_hot", "multi_hot", "probs", "sigmoid"):
            return value.but(kind="data", marks=value.marks | {"scaled"})
    if op_ is ast.FloorDiv and kind in ("indices", "data"):
        return value
    return UNKNOWN


def _marks(value: Value | None) -> frozenset[str]:
    return value.marks if isinstance(value, Tensor) else frozenset()


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


def _two(op_: type[ast.operator], left: Tensor, right: Tensor, frame: Frame, node: ast.AST) -> Value:
    if (
        op_ is ast.Div
        and left.kind in ("exp", "exp_logits")
        and right.kind == "sum_exp"
        and left.made
        and right.made
    ):
        if left.made.node is right.made.node or key(left.origin or UNKNOWN) == key(right.origin or UNKNOWN):
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
            return left.but(shape=left.shape if left.shape is not None else right.shape)
        if left.kind == right.kind == "per_example":
            return left
    if op_ is ast.Mult and "per_example" in (left.kind, right.kind):
        per_example = left if left.kind == "per_example" else right
        return per_example.but(marks=per_example.marks | {"weighted"})
    return UNKNOWN


# -- entries


def index(value: Tensor, at: Value, interpreter: Interpreter, node: ast.AST, frame: Frame) -> Value:
    """``tensor[at]``."""
    shape, picks = shapes.indexed(value, at)
    kind = value.kind
    if picks and kind in ("probs", "log_probs", "sigmoid", "one_hot"):
        kind = "picked"
    return value.but(shape=shape, kind=kind, dim=value.dim if value.dim in (None, -1) else "?")


@op("item", "tolist")
def _item(call: Call) -> Value:
    return map_union(call.get(0, "input"), lambda one: one if isinstance(one, (Tensor, Figure)) else UNKNOWN)


# -- makers


@op("tensor", "as_tensor", "from_numpy", "array", "Tensor", "FloatTensor", "LongTensor", "stack_")
def _tensor(call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    dtype = _dtype(call) or {"FloatTensor": "float", "LongTensor": "long", "Tensor": "float"}.get(name, "")
    value = call.get(0, "data")
    if isinstance(value, Tensor):
        return value.but(dtype=dtype or value.dtype)
    content = constant(value)
    if name == "Tensor" and isinstance(content, int):
        return UNKNOWN
    shape = shapes.of_nested(value)
    if shape is None:
        return Tensor("data", call.made(name), dtype=dtype) if dtype else UNKNOWN
    whole = _all_integers(content)
    return Tensor("data", call.made(name), None, shape, dtype or ("long" if whole else "float"))


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
    if not call.name.startswith("torch"):
        return UNKNOWN
    dtype = _dtype(call)
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
        return Tensor("data", call.made(name), None, shape, dtype or "float")
    if name == "full":
        return Tensor("data", call.made(name), None, shapes.from_sizes([call.get(0, "size")]), dtype)
    return Tensor(
        "data",
        call.made(name),
        None,
        (None,) if name in ("randperm", "arange", "linspace") else None,
        dtype or ("long" if name in ("randperm", "arange") else "float"),
    )


def _is_dtype(value: Value) -> bool:
    from likelihead.lint.values import External

    return isinstance(value, External)


@op("zeros_like", "ones_like", "rand_like", "randn_like", "full_like", "empty_like")
def _made_like(call: Call) -> Value:
    value = call.get(0, "input")
    if isinstance(value, Tensor):
        return Tensor(
            "data", call.made(call.name.rpartition(".")[2]), None, value.shape, _dtype(call) or value.dtype
        )
    return UNKNOWN


@op(
    "interpolate",
    "upsample",
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "adaptive_avg_pool1d",
    "adaptive_max_pool2d",
    "max_pool2d",
    "max_pool1d",
    "pad_",
)
def _resized(call: Call) -> Value:
    name = call.name.rpartition(".")[2]

    def one(value: Value) -> Value:
        if not isinstance(value, Tensor) or (
            name not in ("interpolate", "upsample") and value.kind not in ("logits", "activations")
        ):
            return UNKNOWN
        shape = value.shape
        return value.but(
            shape=None
            if shape is None or ... in shape or len(shape) < 3
            else (*shape[:2], *(None for _ in shape[2:]))
        )

    return map_union(call.get(0, "input"), one)


@op("where", "masked_fill", "masked_fill_")
def _filled(call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    if name.startswith("masked_fill"):
        return map_union(call.get(0, "input"), lambda one: one if _is(one, "logits") else UNKNOWN)
    first, second = call.get(1, "input"), call.get(2, "other")
    if isinstance(first, Tensor) and isinstance(second, Tensor) and first.kind == second.kind:
        return join(first, second)
    return UNKNOWN


@op(
    "relu",
    "leaky_relu",
    "gelu",
    "elu",
    "silu",
    "tanh",
    "relu_",
    "softplus",
    "hardtanh",
    "mish",
    "selu",
    "celu",
    "relu6",
    "leaky_relu_",
    "tanh_",
)
def _activation(call: Call) -> Value:
    name = call.name.rpartition(".")[2].rstrip("_")
    value = call.get(0, "input")
    shape = value.shape if isinstance(value, Tensor) else None
    return Tensor("activations", call.made(name), None, shape, "float", frozenset((name,)))


@op("linear", "conv1d", "conv2d", "conv3d", "bilinear", "conv_transpose2d")
def _affine(call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    return Tensor("logits", call.made(name), dtype="float", marks=frozenset(("functional",)))


@op("size")
def _size(call: Call) -> Value:
    value = call.get(0, "input")
    if not isinstance(value, Tensor):
        return UNKNOWN
    sizes = _sizes(value, call.frame)
    at = call.given(1, "dim")
    return sizes if at is None else call.interpreter.item(sizes, at, call.node, call.frame)


@op("dim", "ndimension")
def _dim(call: Call) -> Value:
    value = call.get(0, "input")
    return Const(value.rank) if isinstance(value, Tensor) and value.rank is not None else UNKNOWN
