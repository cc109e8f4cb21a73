"""A call as the tables of knowledge see it, and the registry of what they know."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from likelihead.lint.values import UNKNOWN, Const, External, Made, Object, Repeat, Value, constant

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.interpreter.machine import Machine

__all__ = [
    "CONSTRUCTORS",
    "DTYPES",
    "EXTERNALS",
    "OPS",
    "Call",
    "Handler",
    "constructor",
    "dtype_of",
    "external",
    "number",
    "op",
]


class Call:
    """A call of something from outside, with its arguments by position and by name."""

    __slots__ = ("args", "frame", "interpreter", "kwargs", "name", "node")

    def __init__(
        self,
        name: str,
        args: list[Value],
        kwargs: dict[str, Value],
        interpreter: Machine,
        node: ast.AST,
        frame: Frame,
    ) -> None:
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.interpreter = interpreter
        self.node = node
        self.frame = frame

    def given(self, position: int, name: str) -> Value | None:
        """An argument; None where the call does not give it."""
        if name in self.kwargs:
            return self.kwargs[name]
        if position < len(self.args):
            before = self.args[: position + 1]
            return UNKNOWN if any(isinstance(one, Repeat) for one in before) else self.args[position]
        return UNKNOWN if "**" in self.kwargs or any(isinstance(one, Repeat) for one in self.args) else None

    def get(self, position: int, name: str) -> Value:
        """An argument; `UNKNOWN` where the call does not give it."""
        value = self.given(position, name)
        return UNKNOWN if value is None else value

    def const(self, position: int, name: str, default: Any = None) -> Any:
        """The constant given; `default` where none is given, Ellipsis where it is not known."""
        value = self.given(position, name)
        return default if value is None else constant(value, ...)

    def made(self, text: str) -> Made:
        """The place of this call."""
        return self.frame.scope.made(self.node, text)

    def bound(self, parameters: tuple[str, ...]) -> dict[str, Value]:
        """The arguments by the names of the parameters."""
        found = {name: value for name, value in self.kwargs.items() if name != "**"}
        for i, name in enumerate(parameters):
            value = self.given(i, name)
            if value is not None:
                found[name] = value
        return found

    def object(self, parameters: tuple[str, ...], name: str | None = None) -> Object:
        """The object that a constructor with these parameters makes."""
        short = (name or self.name).rpartition(".")[2]
        return Object(name or self.name, self.bound(parameters), self.frame.context, self.made(short))


Handler = Callable[[Call], Value]

# By the name of a function of torch or a method of its tensors, which then is the first argument.
OPS: dict[str, Handler] = {}
# By dotted name: functions that return anything.
EXTERNALS: dict[str, Handler] = {}
# By dotted name: classes, whose objects subclasses in the project are too.
CONSTRUCTORS: dict[str, Handler] = {}


def op(*names: str) -> Callable[[Handler], Handler]:
    """Register what a function of torch, and the method of the same name, returns."""

    def register(handler: Handler) -> Handler:
        for name in names:
            OPS[name] = handler
        return handler

    return register


def external(*names: str) -> Callable[[Handler], Handler]:
    """Register what a function returns, by its dotted names."""

    def register(handler: Handler) -> Handler:
        for name in names:
            EXTERNALS[name] = handler
        return handler

    return register


def constructor(*names: str) -> Callable[[Handler], Handler]:
    """Register what a class makes, by its dotted names."""

    def register(handler: Handler) -> Handler:
        for name in names:
            CONSTRUCTORS[name] = handler
        return handler

    return register


def number(value: Value) -> float | None:
    """The number that a constant is."""
    if (
        isinstance(value, Const)
        and isinstance(value.value, (int, float))
        and not isinstance(value.value, bool)
    ):
        return value.value
    return None


DTYPES = {
    "float": "float", "float32": "float", "float64": "float", "double": "float", "half": "float",
    "float16": "float", "bfloat16": "float", "long": "long", "int64": "long", "int": "int", "int32": "int",
    "short": "int", "int16": "int", "int8": "int8", "uint8": "uint8", "bool": "bool", "byte": "uint8",
    "FloatTensor": "float", "LongTensor": "long", "DoubleTensor": "float", "BoolTensor": "bool",
    "IntTensor": "int", "ByteTensor": "uint8", "HalfTensor": "float", "bool_": "bool", "char": "int8",
}  # fmt: skip


def dtype_of(call: Call) -> str:
    """The dtype that a call names, by keyword or by position."""
    for value in [call.kwargs.get("dtype"), *call.args[1:]]:
        if isinstance(value, External) and value.name.rpartition(".")[2] in DTYPES:
            return DTYPES[value.name.rpartition(".")[2]]
        if isinstance(value, Const) and isinstance(value.value, str):
            name = value.value.rpartition(".")[2]
            if name in DTYPES:
                return DTYPES[name]
    return ""
