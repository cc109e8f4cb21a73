"""Sizes of tensors, as far as the source tells them: what reshaping and indexing make of them."""

from __future__ import annotations

from math import prod
from typing import Any

from likelihead.lint.knowledge.call import Call
from likelihead.lint.values import Const, List, Repeat, Shape, Tensor, Unknown, Value

__all__ = [
    "broadcast",
    "from_sizes",
    "indexed",
    "lost_by_index",
    "moved_dim",
    "of_nested",
    "product",
    "reduced",
    "reshaped",
    "swapped",
]


def from_sizes(values: list[Value]) -> Shape | None:
    """The shape that ``torch.zeros(*values)`` or ``torch.zeros(values)`` has."""
    if len(values) == 1 and isinstance(values[0], List):
        values = list(values[0].items)
    elif len(values) == 1 and isinstance(values[0], Const) and isinstance(values[0].value, tuple):
        values = [Const(one) for one in values[0].value]
    elif len(values) == 1 and isinstance(values[0], Unknown):
        return None
    sizes: list[Any] = []
    for value in values:
        if isinstance(value, Repeat):
            return None
        if isinstance(value, Const) and isinstance(value.value, int):
            sizes.append(value.value if value.value >= 0 else None)
        else:
            sizes.append(None)
    return tuple(sizes)


def of_nested(value: Value) -> Shape | None:
    """The shape of a nested list of numbers."""
    if isinstance(value, Const):
        return () if isinstance(value.value, (int, float)) else None
    if not isinstance(value, List) or not value.complete:
        return None
    inner = of_nested(value.items[0]) if value.items else ()
    return None if inner is None else (len(value.items), *inner)


def reduced(shape: Shape | None, dim: Any, keepdim: bool = False) -> Shape | None:
    """Without one dimension (or several), or with size one there."""
    if shape is None or dim is None or dim is ...:
        return None
    dims = dim if isinstance(dim, tuple) else (dim,)
    sizes = list(shape)
    if any(not isinstance(one, int) for one in dims):
        return None
    if ... in shape:
        if keepdim or any(one >= 0 or -one >= len(shape) for one in dims):
            return None
        for one in sorted(dims):
            del sizes[one]
        return tuple(sizes)
    if any(not -len(sizes) <= one < len(sizes) for one in dims):
        return None
    for one in sorted((one % len(sizes) for one in dims), reverse=True):
        if keepdim:
            sizes[one] = 1
        else:
            del sizes[one]
    return tuple(sizes)


def swapped(shape: Shape | None, first: Any, second: Any) -> Shape | None:
    """With two dimensions swapped."""
    if shape is None or ... in shape or not isinstance(first, int) or not isinstance(second, int):
        return None
    if not all(-len(shape) <= one < len(shape) for one in (first, second)):
        return None
    sizes = list(shape)
    sizes[first], sizes[second] = sizes[second], sizes[first]
    return tuple(sizes)


def _view(shape: Shape | None, call: Call) -> Shape | None:
    args = call.args[1:]
    if "shape" in call.kwargs or "size" in call.kwargs:
        args = [call.kwargs.get("shape", call.kwargs.get("size", Const(None)))]
    wanted = from_sizes(args) if args else None
    if wanted is None:
        return None
    given = [
        one.value
        for one in (args[0].items if len(args) == 1 and isinstance(args[0], List) else args)
        if isinstance(one, Const)
    ]
    if len(wanted) == 1 and given == [-1]:
        if shape is not None and ... not in shape and all(isinstance(size, int) for size in shape):
            return (prod(shape),)
        return (None,)
    return wanted


def reshaped(name: str, shape: Shape | None, call: Call) -> Shape | None:
    """The shape after ``view``, ``squeeze``, ``permute``, ... of a tensor of a shape."""
    if name in ("view", "reshape"):
        return _view(shape, call)
    if name in ("squeeze", "squeeze_"):
        return _squeezed(shape, call.const(1, "dim", call.const(9, "axis", None)))
    if name in ("unsqueeze", "unsqueeze_", "expand_dims"):
        return _unsqueezed(shape, call.const(1, "dim", call.const(9, "axis", ...)))
    if name in ("flatten", "ravel"):
        return _flattened(shape, call.const(1, "start_dim", 0), call.const(2, "end_dim", -1))
    if name in ("transpose", "swapaxes"):
        return swapped(shape, call.const(1, "dim0", ...), call.const(2, "dim1", ...))
    if name == "t":
        return swapped(shape, 0, 1) if shape is not None and len(shape) == 2 else shape
    if name == "permute":
        order = from_order(call)
        if shape is None or ... in shape or order is None or len(order) != len(shape):
            return None if order is None else (None,) * len(order)
        if not all(-len(shape) <= one < len(shape) for one in order):
            return None  # an error of the analysed program
        return tuple(shape[one] for one in order)
    if name in ("movedim", "moveaxis"):
        start, end = call.const(1, "source", ...), call.const(2, "destination", ...)
        if shape is None or ... in shape or not isinstance(start, int) or not isinstance(end, int):
            return None
        sizes = list(shape)
        if not -len(sizes) <= start < len(sizes):
            return None
        moved = sizes.pop(start)
        sizes.insert(end % len(shape), moved)
        return tuple(sizes)
    if name in ("roll", "flip"):
        return shape
    return None


def from_order(call: Call) -> tuple[int, ...] | None:
    """The order of dimensions that ``permute`` is given."""
    args = call.args[1:]
    if "dims" in call.kwargs:
        args = [call.kwargs["dims"]]
    if len(args) == 1 and isinstance(args[0], List):
        args = list(args[0].items)
    order = [one.value for one in args if isinstance(one, Const) and isinstance(one.value, int)]
    return tuple(order) if order and len(order) == len(args) else None


def _squeezed(shape: Shape | None, dim: Any) -> Shape | None:
    if shape is None:
        return None
    if dim is None:
        if ... in shape or None in shape[1:]:
            return None
        return tuple(size for i, size in enumerate(shape) if size != 1 or (False))
    if not shape:
        return shape
    if dim == -1:
        return shape[:-1] if shape[-1] == 1 else (shape if isinstance(shape[-1], int) else None)
    if ... in shape:
        # With one dimension known to be there, squeeze(1) of [B, 1] is what it can be.
        return shape[:-1] if dim == 1 and len(shape) == 2 and shape[-1] == 1 else None
    if not isinstance(dim, int) or not -len(shape) <= dim < len(shape):
        return None
    at = dim % len(shape)
    if shape[at] == 1:
        return (*shape[:at], *shape[at + 1 :])
    return shape if isinstance(shape[at], int) else None


def _unsqueezed(shape: Shape | None, dim: Any) -> Shape | None:
    if dim == -1:
        return (..., 1) if shape is None else (*shape, 1)
    if shape is None or ... in shape or not isinstance(dim, int) or not -len(shape) - 1 <= dim <= len(shape):
        return None
    at = dim % (len(shape) + 1)
    return (*shape[:at], 1, *shape[at:])


def _flattened(shape: Shape | None, start: Any, end: Any) -> Shape | None:
    if start == 0 and end == -1:
        return (None,)
    if not shape or not isinstance(start, int) or not isinstance(end, int):
        return None
    if start == 0 and end == -2:
        return (None, shape[-1])
    if ... in shape:
        return (None, None) if start == 1 and end == -1 else None
    start, end = start % len(shape), end % len(shape)
    if start == end:
        return shape
    middle = shape[start : end + 1]
    size = prod(middle) if all(isinstance(one, int) for one in middle) else None
    return (*shape[:start], size, *shape[end + 1 :])


def moved_dim(name: str, value: Tensor, call: Call) -> Any:
    """Where the dimension of a softmax is after a reshape; ``"?"`` where it is not known any more."""
    if name in ("view", "reshape", "flatten", "ravel") and value.dim == 0:
        return "?"
    if name in ("unsqueeze", "unsqueeze_") and value.dim == -1:
        return "?" if call.const(1, "dim", ...) == -1 else -1
    return "?"


def indexed(value: Tensor, at: Value) -> tuple[Shape | None, bool]:
    """The shape of ``tensor[at]``, and whether single classes may have been picked."""
    parts = list(at.items) if isinstance(at, List) and at.kind == "tuple" else [at]
    shape = value.shape
    if any(isinstance(one, Repeat) for one in parts):
        return None, True
    if (
        len(parts) == 1
        and not isinstance(parts[0], Const)
        and not (isinstance(parts[0], List) and parts[0].kind == "slice")
    ):
        rows = parts[0]
        whole = isinstance(rows, Tensor) and (rows.kind == "indices" or rows.dtype in ("long", "int"))
        if whole and isinstance(rows, Tensor) and rows.shape and rows.rank and value.rank and shape:
            return (*rows.shape, *shape[1:]), False
        # A mask or a list of rows: the last dimension stays, or a mask of the whole shape picks numbers.
        return (None if shape is None or value.last is None else (..., value.last)), False
    rank = value.rank
    sizes: list[Any] = []
    picks = False
    position = 0
    for i, part in enumerate(parts):
        if isinstance(part, Const) and part.value is None:
            sizes.append(1)
            continue
        if isinstance(part, Const) and part.value is ...:
            behind = len(parts) - i - 1
            if rank is None:
                picks = picks or any(
                    isinstance(one, Const) and isinstance(one.value, int) for one in parts[i + 1 :]
                )
                return None, picks
            while position < rank - behind:
                sizes.append(shape[position] if shape else None)
                position += 1
            continue
        if isinstance(part, Const) and isinstance(part.value, int):
            picks = picks or _is_class_dim(value, position, rank, len(parts))
        elif isinstance(part, List) and part.kind == "slice":
            sizes.append(None)
        elif isinstance(part, Const) and isinstance(part.value, slice):
            whole = part.value == slice(None)
            known = shape is not None and rank is not None and position < rank
            sizes.append(shape[position] if whole and known and shape else None)
        else:
            picks = picks or (position > 0 and _is_class_dim(value, position, rank, len(parts)))
            if position > 0:
                return None, picks
            sizes.append(None)
        position += 1
    if rank is None:
        return None if len(parts) > 1 or shape is None else shape, picks
    assert shape is not None
    return (*sizes, *shape[position:]), picks


def _is_class_dim(value: Tensor, position: int, rank: int | None, count: int) -> bool:
    """Whether an index at a position may pick a class."""
    if position == 0:
        return rank == 1
    if rank:
        dim = value.dim if isinstance(value.dim, int) else -1
        return rank > 0 and position == dim % rank
    return position == 1 or position == count - 1


def lost_by_index(value: Tensor, at: Value) -> set[str]:
    """The marks of a tensor that ``tensor[at]`` does not have any more."""
    parts = list(at.items) if isinstance(at, List) and at.kind == "tuple" else [at]
    constants = [one.value for one in parts if isinstance(one, Const)]
    sliced = len(constants) == len(parts) and all(isinstance(one, slice) for one in constants)
    lost: set[str] = set()
    if not sliced:
        lost |= {"class weights", "sequence"}
        if len(parts) > 2:
            lost.add("unsure rank")
        whole = constants[-1:] == [slice(None)] and isinstance(parts[-1], Const)
        if value.rank is None or (len(parts) >= value.rank and not whole):
            lost.add("classes last")
        columns = len(parts) > 1 and constants[:1] == [slice(None)]
        if len(constants) < len(parts) and not (columns and not any(isinstance(one, List) for one in parts)):
            lost |= {mark for mark in value.marks if mark.startswith("padded with")}
    return lost


def broadcast(first: Shape, second: Shape) -> Shape | None:
    """The shape of a sum; None where it is not certain."""
    if ... in first or ... in second:
        return None
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    sizes = list(longer)
    for i in range(1, len(shorter) + 1):
        a, b = longer[-i], shorter[-i]
        sizes[-i] = b if a == 1 else a if b == 1 or a == b else b if a is None else a if b is None else ...
    return None if ... in sizes else tuple(sizes)


def product(first: Shape, second: Shape) -> Shape | None:
    """The shape of a matrix product of matrices and vectors."""
    if ... in first or ... in second or not first or not second or len(second) > 2:
        return None
    if len(first) == 1:
        return second[1:] if len(second) == 2 else ()
    return (*first[:-1], *second[1:])
