"""Loops: what they run over, what is counted in their rounds, and whether the batches are all of one size."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING

from likelihead.lint.values import (
    UNKNOWN,
    Const,
    Figure,
    Function,
    List,
    Object,
    Repeat,
    Tensor,
    Union,
    Unknown,
    Value,
    constant,
)

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.interpreter.machine import Machine

__all__ = ["UNEVEN", "Facts", "accumulating", "are_uneven", "counts", "facts", "kept", "source"]

# The mark of a tensor that is one of several parts, of which the last has fewer rows.
UNEVEN = "one of uneven parts"

# Functions that hand out what they are given, one by one.
_WRAPPERS = frozenset(
    ("enumerate", "tqdm", "zip", "iter", "track", "progress_bar", "trange", "list", "tuple")
)
# Parts of a tensor, by functions and methods of these names.
_SPLITTERS = frozenset(("split", "chunk", "tensor_split"))
# A batch size that divides this divides the public test sets too, which most often are of 10,000 examples.
_ROUND = 10_000


class Facts:
    """What stands in a loop or comprehension.

    Attributes:
        iterable: what it runs over, without ``enumerate`` and the like; None for a ``while``.
        inside: all nodes of its body.
        stored: the names and attributes that are assigned in it, and where.
        counters: those that grow by one in each round.
    """

    def __init__(self, loop: ast.AST) -> None:
        first = getattr(loop, "generators", [loop])[0]
        iterable: ast.expr | None = getattr(first, "iter", None)
        self.iterable = None if iterable is None else _unwrapped(iterable)
        self.inside: set[ast.AST] = set()
        self.stored: dict[str, list[ast.AST]] = {}
        self.counters: set[str] = set()
        self._rounds(loop)
        if iterable is not None and _name(iterable) == "enumerate":
            self._index(first.target, iterable)

    def _rounds(self, loop: ast.AST) -> None:
        for node in ast.walk(loop):
            self.inside.add(node)
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self.stored.setdefault(ast.dump(_load(target)), []).append(node)
        for statement in getattr(loop, "body", ()) if isinstance(loop, ast.stmt) else ():
            if (
                isinstance(statement, ast.AugAssign)
                and isinstance(statement.op, ast.Add)
                and isinstance(statement.value, ast.Constant)
                and statement.value.value == 1
            ):
                self.counters.add(ast.dump(_load(statement.target)))

    def _index(self, target: ast.expr, iterable: ast.expr) -> None:
        """``i + 1`` of an enumeration, or ``i`` of one that starts with 1, is the number of rounds so far."""
        if not isinstance(target, ast.Tuple) or not isinstance(iterable, ast.Call):
            return
        name = _load(target.elts[0])
        starts = [*iterable.args[1:], *(one.value for one in iterable.keywords if one.arg == "start")]
        start = starts[0].value if starts and isinstance(starts[0], ast.Constant) else 0
        if starts and start == 1:
            self.counters.add(ast.dump(name))
        elif not starts:
            self.counters.add(ast.dump(ast.BinOp(name, ast.Add(), ast.Constant(1))))


@lru_cache(maxsize=256)
def facts(loop: ast.AST) -> Facts:
    """What stands in a loop."""
    return Facts(loop)


def _load(target: ast.expr) -> ast.expr:
    """The same name or attribute, read."""
    if isinstance(target, ast.Name):
        return ast.Name(target.id, ast.Load())
    if isinstance(target, ast.Attribute):
        return ast.Attribute(target.value, target.attr, ast.Load())
    return target


def _name(node: ast.AST) -> str:
    """The last part of the name of a called function."""
    function = node.func if isinstance(node, ast.Call) else node
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _unwrapped(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Call) and node.args and _name(node) in _WRAPPERS:
        node = node.args[0]
    return node


def source(node: ast.expr, iterable: Value, interpreter: Machine, frame: Frame) -> Value:
    """What a loop runs over, without ``enumerate`` and the like."""
    inner = _unwrapped(node)
    if isinstance(inner, ast.Call) and isinstance(inner.func, (ast.Name, ast.Attribute)):
        maker = interpreter.eval(inner.func, frame)
        if isinstance(maker, Function) and any(
            _are_uneven_starts(loop, interpreter) for loop in _yielding(maker.node)
        ):
            return Tensor("data", marks=frozenset((UNEVEN,)))
    if inner is node or isinstance(iterable, Object):
        return iterable
    if isinstance(inner, (ast.Name, ast.Attribute)) or _name(inner) in _SPLITTERS:
        return interpreter.eval(inner, frame)
    return UNKNOWN


def kept(value: Value, loop: ast.AST | None) -> Value:
    """A value that goes into a list in a round of the loop."""
    if isinstance(value, Figure):
        return value.but(loop=loop)
    if isinstance(value, Union) and any(isinstance(one, Figure) for one in value.options):
        return Union(tuple(kept(one, loop) for one in value.options))
    return value


def accumulating(node: ast.AST, interpreter: Machine) -> ast.AST | None:
    """The loop over whose rounds ``total += x`` (or ``total = total + x``) adds up; None if it does not."""
    if not interpreter.loop_nodes:
        return None
    loop = interpreter.loop_nodes[-1]
    known = facts(loop)
    if node not in known.inside:
        return None
    if isinstance(node, ast.AugAssign):
        return None if known.stored.get(ast.dump(_load(node.target))) else loop
    if isinstance(node, ast.BinOp):
        for side in (node.left, node.right):
            stores = known.stored.get(ast.dump(side), ())
            if len(stores) == 1 and getattr(stores[0], "value", None) is node:
                return loop
    return None


def counts(total: Figure, by: Value, node: ast.AST, interpreter: Machine) -> bool:
    """Whether what a sum over rounds is divided by is the number of the rounds."""
    divisor = getattr(node, "right", None) or getattr(node, "value", None)
    if total.loop is None or divisor is None:
        return False
    known = facts(total.loop)
    if _name(divisor) in ("max", "float", "int") and isinstance(divisor, ast.Call) and divisor.args:
        divisor = divisor.args[0]
    if isinstance(by, Figure) and by.kind == "length":
        over = interpreter.loops_over.get(total.loop, UNKNOWN)
        if by.origin is not None and by.origin in (over, total.origin) and not isinstance(by.origin, Unknown):
            return True
        call = by.made.node if by.made else None
        if isinstance(call, ast.Call) and call.args and known.iterable is not None:
            return ast.dump(_unwrapped(call.args[0])) == ast.dump(known.iterable)
        return False
    return ast.dump(divisor) in known.counters


def are_uneven(figure: Figure, interpreter: Machine) -> bool:
    """Whether the batches behind a sum or list of their means are known not to be all of one size."""
    if figure.loop is None:
        return False
    over = interpreter.loops_over.get(figure.loop, UNKNOWN)
    # Where some targets are ignored, batches of equally many examples still count differently; a sum that
    # is no number yet may be what is trained on, over the steps of a sequence.
    if "ignore_index" in figure.marks and ("item" in figure.marks or isinstance(over, Object)):
        return True
    if isinstance(over, Object):
        return over.name == "torch.utils.data.DataLoader" and _is_ragged(over)
    if _are_parts(over) or _are_uneven_starts(figure.loop, interpreter):
        return True
    if isinstance(over, List):
        sizes = {_rows(one.value if isinstance(one, Repeat) else one) for one in over.items}
        return len(sizes) > 1 and None not in sizes
    return False


def _are_parts(value: Value) -> bool:
    """Whether it is, or holds, parts of a tensor that is no multiple of their size."""
    if isinstance(value, List):
        return bool(value.items) and _are_parts(value.items[0])
    if isinstance(value, Repeat):
        return _are_parts(value.value)
    return isinstance(value, Tensor) and UNEVEN in value.marks


@lru_cache(maxsize=256)
def _yielding(function: ast.AST) -> tuple[ast.For, ...]:
    """The loops over a range in which a generator yields all that it has."""
    return tuple(
        loop
        for loop in ast.walk(function)
        if isinstance(loop, ast.For)
        and _name(loop.iter) == "range"
        and any(isinstance(one, ast.Yield) for one in ast.walk(loop))
        and not any(isinstance(one, (ast.Break, ast.Continue, ast.Return)) for one in ast.walk(loop))
    )


def _are_uneven_starts(loop: ast.AST, interpreter: Machine) -> bool:
    """Whether ``for i in range(0, len(x), size)`` starts parts of which the last is smaller."""
    if not isinstance(loop, ast.For) or _name(loop.iter) != "range" or not isinstance(loop.target, ast.Name):
        return False
    if not isinstance(loop.iter, ast.Call) or len(loop.iter.args) != 3:
        return False
    if any(
        isinstance(one, ast.Subscript) and _is_name(one.slice, loop.target.id) for one in facts(loop).inside
    ):
        return False  # steps along a sequence
    starts = constant(interpreter.loops_over.get(loop))
    if isinstance(starts, range):
        return abs(starts.step) > 1 and (starts.stop - starts.start) % starts.step != 0
    _, stop, step = loop.iter.args
    if isinstance(step, ast.Constant) and step.value in (1, -1):
        return False
    if isinstance(stop, ast.BinOp) and isinstance(stop.op, ast.Sub) and isinstance(stop.right, ast.Constant):
        stop = stop.left
    whole = stop.value if isinstance(stop, ast.Subscript) else stop
    return _name(whole) in ("len", "size", "shape")


def _is_name(index: ast.expr, name: str) -> bool:
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return any(isinstance(one, ast.Name) and one.id == name for one in parts)


def _is_ragged(loader: Object) -> bool:
    """Whether the last batch of a loader is smaller, for all that is known."""
    options = loader.options
    if "batch_sampler" in options or constant(options.get("drop_last", Const(False)), True) is not False:
        return False
    size = constant(options.get("batch_size", Const(1)), ...)
    if size in (None, 1):
        return False
    dataset = options.get("dataset", UNKNOWN)
    length = _length(dataset)
    if not isinstance(size, int) or size < 1:
        return True
    if length is None:
        return not (isinstance(dataset, Unknown) and _ROUND % size == 0)
    return length % size != 0


def _length(dataset: Value) -> int | None:
    if isinstance(dataset, Object) and isinstance(dataset.options.get("*"), List):
        return _rows(dataset.options["*"])
    if isinstance(dataset, Object) and "length" in dataset.options:
        length = constant(dataset.options["length"])
        return length if isinstance(length, int) else None
    return len(dataset.items) if isinstance(dataset, List) and dataset.complete else None


def _rows(value: Value) -> int | None:
    """How many rows the (first) tensor has."""
    if isinstance(value, List) and value.items:
        return _rows(value.items[0])
    if isinstance(value, Tensor) and value.shape and isinstance(value.shape[0], int):
        return value.shape[0]
    return None
