"""Tensors: what functions and methods of torch (and numpy, where they share a name) make of a kind."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from likelihead.lint.knowledge import figures, rounds, shapes
from likelihead.lint.knowledge.call import DTYPES, OPS, Call, dtype_of, op, tell
from likelihead.lint.values import (
    UNKNOWN,
    Bound,
    Const,
    Figure,
    List,
    Object,
    Repeat,
    Shape,
    Tensor,
    Unknown,
    Value,
    alternatives,
    join,
    map_union,
)

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.interpreter.machine import Machine

__all__ = ["LINKED", "TELLING_METHODS", "attribute", "index", "keep", "method"]

# Methods whose name alone says what they return, whatever the object they are called on.
TELLING_METHODS = frozenset(
    (
        "softmax", "log_softmax", "sigmoid", "sigmoid_", "argmax", "max", "amax", "long", "float", "double",
        "half", "int", "bool", "byte", "backward", "item", "exp", "log", "topk", "prepare", "prepare_model",
    )
)  # fmt: skip

# The kinds that say how a tensor relates to probabilities; only operations that are known to keep one do.
LINKED = frozenset(("logits", "log_probs", "probs", "sigmoid", "log_sigmoid", "exp_logits", "activations"))


def attribute(value: Tensor, name: str, interpreter: Machine, node: ast.AST, frame: Frame) -> Value:
    """``tensor.name``."""
    if name in ("data", "grad_fn"):
        return value if name == "data" else UNKNOWN
    if name in ("T", "mT"):
        shape = shapes.swapped(value.shape, -1, -2)
        return value.but(shape=shape, dim="?", marks=(value.marks - {"classes last"}) | {"turned"})
    if name == "shape":
        return _sizes(value, frame)
    if name == "ndim":
        return UNKNOWN if value.rank is None else Const(value.rank)
    if name == "values" and value.kind in ("data", "indices"):
        return value  # of a column of a table
    return Bound(value, name)


def _sizes(value: Tensor, frame: Frame) -> Value:
    if value.shape is None:
        return UNKNOWN
    sizes: list[Value] = [
        Repeat(UNKNOWN) if size is ... else Const(size) if isinstance(size, int) else UNKNOWN
        for size in value.shape
    ]
    return List(sizes, "tuple", frame.context)


def method(owner: Value, call: Call) -> Value:
    """``tensor.name(...)``; also of a figure, or of something unknown where the name says enough."""
    if isinstance(owner, Figure) or call.name == "backward":
        return figures.method(owner, call.name, call.of(owner))
    handler = OPS.get(call.name)
    return UNKNOWN if handler is None else handler(call.of(owner))


def batch_first(value: Value) -> frozenset[str]:
    """The mark of a sequence whose first dimension is the batch, for what is made of each of its steps."""
    return value.marks & {"batch first"} if isinstance(value, Tensor) else frozenset()


# -- operations that keep a kind


def keep(value: Value, **changes: Any) -> Value:
    """The same kind with another shape or dtype; of anything but a tensor nothing is known."""
    return map_union(value, lambda one: one.but(**changes) if isinstance(one, Tensor) else UNKNOWN)


@op(
    "clone", "detach", "detach_", "contiguous", "cpu", "cuda", "requires_grad_", "numpy", "nan_to_num",
    "clamp_min", "clamp_max", "pin_memory", "npu", "share_memory_", "retain_grad", "xpu",
    "maximum", "minimum", "ascontiguousarray", "asarray",
)  # fmt: skip
def _same(call: Call) -> Value:
    return keep(call.get(0, "input"))


@op("clamp", "clamp_", "clip")
def _clamp(call: Call) -> Value:
    least, most = (call.const(i, name, None) for i, name in ((1, "min"), (2, "max")))
    inside = all(isinstance(one, (int, float)) and 0 <= one <= 1 for one in (least, most))
    # Logits that are kept in [0, 1] are what somebody means by probabilities.
    return map_union(
        call.get(0, "input"),
        lambda one: one if isinstance(one, Tensor) and not (inside and one.kind == "logits") else UNKNOWN,
    )


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
)
def _cast(call: Call) -> Value:
    wanted = DTYPES[call.name] if call.name in DTYPES else dtype_of(call)
    value = call.get(0, "input")
    if not wanted and call.name in ("to", "type", "type_as", "astype") and _may_change_dtype(call):
        return map_union(value, lambda one: _casted(one, "", call))
    if isinstance(value, Unknown):
        return (
            Tensor("data", call.made(f"{call.name}()"), shape=_flat(call.node), dtype=wanted)
            if wanted and call.name != "to"
            else UNKNOWN
        )
    return map_union(
        value, lambda one: _casted(one, wanted or (one.dtype if isinstance(one, Tensor) else ""), call)
    )


def _flat(node: ast.AST) -> Shape | None:
    """One dimension, where ``node`` is a cast of something unknown after ``view(-1)`` or ``flatten()``."""
    cast = node.func if isinstance(node, ast.Call) else None
    before = cast.value if isinstance(cast, ast.Attribute) else None
    name = before.func.attr if isinstance(before, ast.Call) and isinstance(before.func, ast.Attribute) else ""
    args = [ast.unparse(one) for one in before.args] if isinstance(before, ast.Call) else []
    flat = (name in ("view", "reshape") and args == ["-1"]) or (name in ("flatten", "ravel") and not args)
    return (None,) if flat else None


def _may_change_dtype(call: Call) -> bool:
    """Whether a cast is given something, not a device, whose dtype is not known."""
    if call.name != "to" or "dtype" in call.kwargs or "other" in call.kwargs:
        return True
    first = call.node.args[0] if isinstance(call.node, ast.Call) and call.node.args else None
    if first is None or not call.args[1:]:
        return False
    if isinstance(call.args[1], Tensor):
        return True
    text = ast.unparse(first).lower()
    return "dtype" in text or (
        isinstance(call.args[1], Unknown)
        and not any(word in text for word in ("dev", "cuda", "gpu", "cpu", "rank", "xpu", "mps", "npu"))
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


# What puts the dimensions in another order.
_TURNING = ("permute", "transpose", "t", "swapaxes", "movedim", "moveaxis", "adjoint")


@op(
    "view", "reshape", "flatten", "unflatten", "squeeze", "squeeze_", "unsqueeze", "unsqueeze_", "permute",
    "transpose", "t", "swapaxes", "movedim", "moveaxis", "expand", "expand_as", "repeat", "view_as",
    "reshape_as", "ravel", "expand_dims", "tile", "adjoint", "repeat_interleave", "roll", "flip",
)  # fmt: skip
def _reshaped(call: Call) -> Value:
    flat = (
        call.name == "torch.flatten"
        and call.const(1, "start_dim", 0) == 1
        and call.given(2, "end_dim") is None
    )

    def one(value: Value) -> Value:
        if flat and isinstance(value, Unknown):
            return Tensor("data", None, None, (None, None))
        if not isinstance(value, Tensor):
            return UNKNOWN
        name = call.name.rpartition(".")[2]
        shape = shapes.reshaped(name, value.shape, call)
        moved = name not in ("squeeze", "expand", "contiguous", "clone") and value.dim is not None
        dim = shapes.moved_dim(name, value, call) if moved else value.dim
        marks = _marks_after(name, value.marks) - {"batch first"}
        return value.but(shape=shape, dim=dim, marks=marks | {"turned"} if name in _TURNING else marks)

    return map_union(call.get(0, "input"), one)


def _marks_after(name: str, marks: frozenset[str]) -> frozenset[str]:
    """What is still known of the order of the dimensions after a reshape."""
    if not marks or name in ("expand", "repeat", "roll", "flip"):
        return marks
    if name in ("view", "reshape", "flatten", "ravel", "unflatten", "view_as", "reshape_as"):
        lost = {"classes last", "sequence", "unsure rank"}
        return frozenset(one for one in marks - lost if not one.startswith("below"))
    return marks - {"classes last"}


@op("index_select", "narrow", "masked_select", "take_along_dim", "gather", "take", "select")
def _selected(call: Call) -> Value:
    def one(value: Value) -> Value:
        if not isinstance(value, Tensor):
            return UNKNOWN
        name = call.name.rpartition(".")[2]
        if name in ("gather", "take_along_dim", "take", "select", "masked_select"):
            # The entries that were picked are no distribution any more, and may be without padding.
            kind = "picked" if value.kind in LINKED else value.kind
            return value.but(kind=kind, shape=None, marks=value.marks & {"negated", "by hand"})
        return value.but(shape=None if value.shape is None or value.last is None else (..., value.last))

    return map_union(call.get(0, "input"), one)


@op("cat", "concat", "concatenate", "stack", "vstack", "hstack", "row_stack")
def _concatenated(call: Call) -> Value:
    entries = call.get(0, "tensors")
    if not isinstance(entries, List) or not entries.items:
        return UNKNOWN
    if figures.are_figures(entries):
        return entries
    values = [one.value if isinstance(one, Repeat) else one for one in entries.items]
    options = [one for value in values for one in alternatives(value) if not isinstance(one, Const)]
    tensors = [one for one in options if isinstance(one, Tensor)]
    if not tensors or len(tensors) < len(options):
        return UNKNOWN
    first = tensors[0]
    if any((one.kind, one.dtype) != (first.kind, first.dtype) for one in tensors):
        return UNKNOWN
    name = call.name.rpartition(".")[2]
    dim = call.const(1, "dim", call.const(9, "axis", 0))
    if dim is ...:
        return UNKNOWN
    if name == "stack":
        known = dim == 0 and first.rank is not None and first.shape is not None
        shape = (len(tensors) if entries.complete else None, *first.shape) if known and first.shape else None
        if dim in (1, -1) and first.rank == 1 and first.shape:
            shape = (first.shape[0], len(tensors) if entries.complete else None)
        return first.but(shape=shape, dim="?" if first.dim is not None else None)
    if dim == 0 and name != "hstack":
        shape = None if first.shape is None else (None, *first.shape[1:]) if first.rank else first.shape
        return first.but(shape=shape)
    if first.kind in ("probs", "log_probs"):
        return first.but(kind="data", shape=None, dim=None)  # several distributions side by side are none
    widths = [one.last or 0 for one in tensors]
    whole = dim in (1, -1) and first.rank == 2 and entries.complete and all(widths)
    return first.but(shape=(None, sum(widths)) if whole else None)


@op("chunk", "split", "unbind", "tensor_split")
def _parts(call: Call) -> Value:
    def one(value: Value) -> Value:
        if not isinstance(value, Tensor):
            return UNKNOWN
        shape = value.shape if value.rank and call.const(2, "dim", 0) == 0 else None
        if shape is not None:
            shape = shape[1:] if call.name.endswith("unbind") else (None, *shape[1:])
        marks = value.marks | {rounds.UNEVEN} if _leaves_a_rest(value, call) else value.marks
        return List([Repeat(value.but(shape=shape, marks=marks))], "list", call.frame.context)

    return map_union(call.get(0, "input"), one)


def _leaves_a_rest(value: Tensor, call: Call) -> bool:
    """Whether the parts of a tensor are known not to have equally many rows."""
    rows = value.shape[0] if value.shape else None
    amount = call.const(1, "split_size", None)
    return (
        isinstance(rows, int)
        and isinstance(amount, int)
        and amount > 0
        and call.const(2, "dim", 0) == 0
        and rows % amount != 0
    )


@op("mean", "average", "nanmean")
def _mean(call: Call) -> Value:
    value = call.get(0, "input")
    dim = call.const(1, "dim", call.const(9, "axis", None))

    def one(value: Value) -> Value:
        if isinstance(value, (Figure, List)):
            return figures.mean(value, call)
        if not isinstance(value, Tensor):
            return UNKNOWN
        if value.kind == "per_example":
            if dim is None:
                tell("summed", value, call)
            return figures.reduced(value, "mean", call) if dim is None else value
        if value.kind == "data":
            return _reduced_data(value, dim, call)
        if dim is None or value.kind not in LINKED or (value.kind == "probs" and value.dim == dim):
            return UNKNOWN
        if value.kind == "log_probs":
            return value.but(kind="data", shape=None)
        keepdim = call.const(2, "keepdim", False) is True
        return value.but(
            shape=shapes.reduced(value.shape, dim, keepdim),
            dim="?" if value.dim is not None else None,
            marks=value.marks - {"batch first"} | {"averaged"},
        )

    return map_union(value, one)


def _reduced_data(value: Tensor, dim: Any, call: Call) -> Value:
    """The sum or mean of numbers of which the sizes are known."""
    if value.kind != "data":
        return UNKNOWN
    keepdim = call.const(2, "keepdim", False) is True
    shape = () if dim is None else shapes.reduced(value.shape, dim, keepdim)
    return UNKNOWN if shape is None else Tensor("data", value.made, None, shape, value.dtype)


@op("sum", "nansum")
def _sum(call: Call) -> Value:
    dim = call.const(1, "dim", call.const(9, "axis", None))

    def one(value: Value) -> Value:
        if isinstance(value, (Figure, List)):
            return figures.total(value, call)
        if not isinstance(value, Tensor):
            return UNKNOWN
        if value.kind in ("per_example", "exp_logits"):
            tell("summed", value, call)
        if value.kind == "per_example":
            return figures.reduced(value, "sum", call) if dim is None else value
        if value.kind in ("exp", "exp_logits"):
            return value.but(kind="sum_exp", dim=dim)
        return _reduced_data(value, dim, call)

    return map_union(call.get(0, "input"), one)


# -- entries


def _picks_rows(at: Value) -> bool:
    """Whether an index is neither a number nor a slice."""
    return not isinstance(at, Const) and not (isinstance(at, List) and at.kind in ("slice", "tuple"))


def index(value: Tensor, at: Value, interpreter: Machine, node: ast.AST, frame: Frame) -> Value:
    """``tensor[at]``."""
    if value.kind == "data" and value.made is not None and value.made.text == "eye" and _picks_rows(at):
        rows = at.shape if isinstance(at, Tensor) and at.shape is not None else (...,)
        return Tensor("one_hot", value.made, None, (*rows, value.last), value.dtype, origin=at)
    shape, picks = shapes.indexed(value, at)
    kind = value.kind
    if picks and kind in ("probs", "log_probs", "one_hot"):
        kind = "picked"
    marks = value.marks
    if marks:
        marks = marks - shapes.lost_by_index(value, at) - {"batch first"}
    dim = value.dim if value.dim in (None, -1) else "?"
    return value.but(shape=shape, kind=kind, dim=dim, marks=marks)


@op("item", "tolist")
def _item(call: Call) -> Value:
    return map_union(call.get(0, "input"), lambda one: one if isinstance(one, (Tensor, Figure)) else UNKNOWN)


@op(
    "interpolate",
    "upsample",
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "adaptive_avg_pool1d",
    "adaptive_max_pool2d",
    "max_pool2d",
    "max_pool1d",
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


@op("where", "masked_fill")
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
    marks = frozenset((name,)) | batch_first(value)
    return Tensor("activations", call.made(name), None, shape, "float", marks)


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
