"""What a Python value is known to be: the domain of the abstract interpretation.

`UNKNOWN` is the answer to everything that is not certain, and nothing is ever reported of it. `Union` holds
the values of several ways through the program; a rule has to hold for each of them. Values are immutable but
for the containers and instances, which the analysed program may change; those remember the branch in which
they were made (`Context`), so that a change made in another branch keeps what was there before it.

Tensors and figures are in `quantities`, what the program defines in `definitions`; all of them are
imported from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from likelihead.lint.definitions import Class, External, Function, Lazy, Module
from likelihead.lint.quantities import Figure, Made, Shape, Tensor, Value

__all__ = [
    "UNKNOWN",
    "Bound",
    "Cell",
    "Class",
    "Const",
    "Context",
    "Dict",
    "External",
    "Figure",
    "Function",
    "Instance",
    "Lazy",
    "List",
    "Made",
    "Module",
    "Object",
    "Partial",
    "Repeat",
    "Shape",
    "Super",
    "Tensor",
    "Union",
    "Unknown",
    "Value",
    "alternatives",
    "constant",
    "is_key",
    "is_zero",
    "join",
    "key",
    "map_union",
    "passed",
    "without_none",
]

# More ways than this are no longer kept apart.
MAX_ALTERNATIVES = 8
# And lists and tuples within each other are not looked into any deeper.
MAX_TUPLES = 4


class Context:
    """A branch or loop body that may or may not run; the outermost one, without a parent, always does."""

    __slots__ = ("parent",)

    def __init__(self, parent: Context | None = None) -> None:
        self.parent = parent

    def surrounds(self, other: Context) -> bool:
        """Whether everything that happens in `other` happens within (or is) this one."""
        inner: Context | None = other
        while inner is not None:
            if inner is self:
                return True
            inner = inner.parent
        return False

    @property
    def root(self) -> Context:
        """The outermost context around this one: one for each file that is analysed."""
        outer = self
        while outer.parent is not None:
            outer = outer.parent
        return outer


class Unknown(Value):
    """Nothing is known."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "?"


UNKNOWN = Unknown()


class Const(Value):
    """A number, string, None, Ellipsis or slice of those."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


class Cell:
    """An attribute: its value seen from outside the branch of its last change, and from within."""

    __slots__ = ("before", "context", "local", "value")

    def __init__(self, value: Value, context: Context, local: Value, before: Value | None) -> None:
        self.value = value
        self.context = context
        self.local = local
        self.before = before


class _Attributes(Value):
    """Something with attributes that the analysed program may set."""

    __slots__ = ("attrs", "born")

    def __init__(self, born: Context) -> None:
        self.born = born
        self.attrs: dict[str, Cell] = {}

    def read(self, name: str, context: Context) -> Value | None:
        """The attribute's value as seen from `context`; None if it was never set."""
        cell = self.attrs.get(name)
        if cell is None:
            return None
        return cell.local if cell.context.surrounds(context) else cell.value

    def write(self, name: str, value: Value, context: Context) -> None:
        """Set the attribute; what it was before stays possible if this branch may not run."""
        cell = self.attrs.get(name)
        if cell is None or context.surrounds(self.born):
            self.attrs[name] = Cell(value, context, value, None)
        elif cell.context is context:
            outside = value if cell.before is None else join(cell.before, value)
            self.attrs[name] = Cell(outside, context, value, cell.before)
        else:
            self.attrs[name] = Cell(join(cell.value, value), context, value, cell.value)


class Instance(_Attributes):
    """An object of a class of the project; `base` is what it is by its bases from outside."""

    __slots__ = ("base", "cls", "made")

    def __init__(self, cls: Class, born: Context, made: Made | None = None) -> None:
        super().__init__(born)
        self.cls = cls
        self.base: Object | None = None
        self.made = made

    def __repr__(self) -> str:
        return f"<{self.cls.name} object>"


class Object(_Attributes):
    """An object of a known class from outside: a layer, a loss, a loader; `options` are its arguments."""

    __slots__ = ("made", "name", "options")

    def __init__(self, name: str, options: dict[str, Value], born: Context, made: Made | None = None) -> None:
        super().__init__(born)
        self.name = name
        self.options = options
        self.made = made

    def __repr__(self) -> str:
        return f"<{self.name} object>"


class Bound(Value):
    """A method of an object: of the project if `function` is one, else by name."""

    __slots__ = ("function", "name", "owner")

    def __init__(self, owner: Value, name: str, function: Function | None = None) -> None:
        self.owner = owner
        self.name = name
        self.function = function


class Super(Value):
    """``super()`` of an instance, behind one of its classes."""

    __slots__ = ("after", "instance")

    def __init__(self, instance: Instance, after: Class) -> None:
        self.instance = instance
        self.after = after


class Partial(Value):
    """``functools.partial``."""

    __slots__ = ("args", "function", "kwargs")

    def __init__(self, function: Value, args: list[Value], kwargs: dict[str, Value]) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs


class Repeat(Value):
    """An entry of a list that is there any number of times, or perhaps not at all."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value


class List(Value):
    """A list, tuple, ModuleList or Sequential (`kind`), whose entries may be `Repeat`.

    `names` are the keys of the entries: of a named tuple, or of the layers of a Sequential.
    """

    __slots__ = ("born", "items", "kind", "made", "names")

    def __init__(
        self,
        items: Iterable[Value],
        kind: str,
        born: Context,
        names: list[str] | None = None,
        made: Made | None = None,
    ) -> None:
        self.items = list(items)
        self.kind = kind
        self.born = born
        self.names = None if names is None else list(names)
        self.made = made

    def __repr__(self) -> str:
        return f"{self.kind}{self.items}"

    @property
    def complete(self) -> bool:
        """Whether each entry is known to be there, once."""
        return not any(isinstance(item, Repeat) for item in self.items)

    def named(self, name: str) -> Value | None:
        """The entry of that name, which may be there in some programs only."""
        if self.names is None or name not in self.names:
            return None
        item = self.items[self.names.index(name)]
        return item.value if isinstance(item, Repeat) else item

    def element(self) -> Value:
        """Any one of the entries."""
        found: Value | None = None
        for item in self.items:
            value = item.value if isinstance(item, Repeat) else item
            found = value if found is None else join(found, value)
        return UNKNOWN if found is None else found

    def append(self, value: Value, context: Context, name: str = "") -> None:
        """Put one more entry behind the others; it may not be there if this branch may not run."""
        if context.root is not self.born.root:
            return
        certain = context.surrounds(self.born)
        entry = value if certain or isinstance(value, Repeat) else Repeat(value)
        if (
            not certain
            and self.items
            and isinstance(self.items[-1], Repeat)
            and key(self.items[-1]) == key(entry)
        ):
            return
        if len(self.items) < 256:
            if self.names is not None:
                self.names.append(name or str(len(self.items)))
            self.items.append(entry)


class Dict(Value):
    """A dictionary, ModuleDict or record by constant keys; `rest` stands for the keys that are not known.

    `unsure` are keys that were set in a branch which may not run, and `behind` says how many of the keys may
    stand before one that is not known.
    """

    __slots__ = ("behind", "born", "items", "kind", "rest", "unsure")

    def __init__(self, items: dict[Any, Value], kind: str, born: Context, rest: Value | None = None) -> None:
        self.items = items
        self.kind = kind
        self.born = born
        self.rest = rest
        self.unsure: set[Any] = set()
        self.behind = 0

    def entries(self) -> list[Value]:
        """The values of the known keys, in order."""
        return [Repeat(one) if name in self.unsure else one for name, one in self.items.items()]

    def element(self) -> Value:
        """The value of any one of the keys."""
        found = self.rest
        for value in self.items.values():
            found = value if found is None else join(found, value)
        return UNKNOWN if found is None else found


class Union(Value):
    """One of several values, depending on the way through the program."""

    __slots__ = ("options",)

    def __init__(self, options: tuple[Value, ...]) -> None:
        self.options = options

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.options))


def key(value: Value, depth: int = 0) -> Any:
    """Equal for values that are the same for the analysis.

    Of tuples in tuples only the outer ones are compared by what is in them: `x = (x, x)` is twice as large
    each time.
    """
    if isinstance(value, Const):
        constant = value.value
        return ("const", type(constant), constant if _hashable(constant) else repr(constant))
    if isinstance(value, Tensor):
        made = id(value.made.node) if value.made else 0
        return (value.kind, value.dim, made, value.shape, value.dtype, value.marks)
    if isinstance(value, Figure):
        made = id(value.made.node) if value.made else 0
        return (value.kind, value.unit, made, value.marks, id(value.loop), id(value.origin))
    if isinstance(value, External):
        return value.name
    if isinstance(value, Union):
        return frozenset(key(option, depth) for option in value.options)
    if isinstance(value, Repeat):
        return ("repeat", key(value.value, depth))
    if isinstance(value, List) and value.kind == "tuple" and depth < MAX_TUPLES:
        return ("tuple", tuple(key(item, depth + 1) for item in value.items))
    if isinstance(value, Function):
        return ("function", id(value.node), id(value.closure))
    if isinstance(value, Bound):
        return ("bound", key(value.owner), value.name)
    return id(value)


def is_key(value: Any) -> bool:
    """Whether a constant can be a key of a dictionary."""
    return isinstance(value, (str, int, float, bool, type(None), tuple)) and _hashable(value)


def _hashable(constant: Any) -> bool:
    try:
        hash(constant)
    except TypeError:
        return False
    return True


def alternatives(value: Value) -> tuple[Value, ...]:
    """The values that it may be, each of them no union."""
    return value.options if isinstance(value, Union) else (value,)


def join(first: Value, second: Value) -> Value:
    """One of the two. An object of a class of the project that may also be unknown stays what is known of it.

    Everything else that may be unknown becomes unknown: what a network is given back by ``torch.load`` or a
    wrapper is in all likelihood that network, but what a tensor or a loss is may not be guessed.
    """
    if first is second:
        return first
    if isinstance(first, Unknown) or isinstance(second, Unknown):
        other = second if isinstance(first, Unknown) else first
        return other if isinstance(other, Instance) else UNKNOWN
    options = list(alternatives(first))
    keys = [key(option) for option in options]
    for option in alternatives(second):
        this = key(option)
        if this not in keys:
            options.append(option)
            keys.append(this)
    if len(options) > 1 and any(isinstance(one, Figure) and one.kind in SUMS for one in options):
        options = [one for one in options if not is_zero(one)]
    if len(options) == 1:
        return options[0]
    if len(options) > MAX_ALTERNATIVES:
        return UNKNOWN
    return Union(tuple(options))


# Figures of which zero is one, of nothing.
SUMS = frozenset(("sum_of_means", "sum_of_losses", "sum_of_perplexities", "loss_sum"))


def is_zero(value: Value) -> bool:
    """Whether it is a number or tensor of zero, that a sum starts with."""
    if isinstance(value, Const):
        return type(value.value) in (int, float) and value.value == 0
    return isinstance(value, Tensor) and "zero" in value.marks


def map_union(value: Value, function: Callable[[Value], Value]) -> Value:
    """The function of each alternative, joined."""
    if not isinstance(value, Union):
        return function(value)
    found: Value | None = None
    for option in value.options:
        got = function(option)
        found = got if found is None else join(found, got)
    return UNKNOWN if found is None else found


def without_none(value: Union) -> Value:
    """The value where the program goes on: None has no attributes and cannot be called."""
    options = tuple(one for one in value.options if not (isinstance(one, Const) and one.value is None))
    if len(options) == len(value.options) or not options:
        return value
    return options[0] if len(options) == 1 else Union(options)


def constant(value: Value | None, default: Any = None, depth: int = 0) -> Any:
    """The Python value of a constant (also of a list or tuple of them); `default` for anything else."""
    if isinstance(value, Const):
        return value.value
    if isinstance(value, List) and depth < MAX_TUPLES:
        items = [constant(item, _MISSING, depth + 1) for item in value.items]
        return default if _MISSING in items else tuple(items)
    return default


_MISSING: Any = object()


def passed(value: Value, here: Made, depth: int = 0) -> Value:
    """The value after one more call has returned it; only tensors and figures remember their way."""
    if isinstance(value, (Tensor, Figure)):
        return value.but(calls=(*value.calls, here)) if len(value.calls) < 8 else value
    if isinstance(value, Union):
        return Union(tuple(passed(one, here, depth) for one in value.options))
    if depth >= MAX_TUPLES:
        return value
    if isinstance(value, List) and value.kind == "tuple":
        items = [passed(one, here, depth + 1) for one in value.items]
        return List(items, "tuple", value.born, value.names, value.made)
    if isinstance(value, Dict) and value.kind == "record":
        entries = {name: passed(one, here, depth + 1) for name, one in value.items.items()}
        return Dict(entries, "record", value.born, value.rest)
    return value
