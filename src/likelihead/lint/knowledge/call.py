"""A call as the tables of knowledge see it, and the registry of what they know."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from likelihead.lint.interpreter.events import Reading
from likelihead.lint.values import (
    UNKNOWN,
    Const,
    External,
    Made,
    Object,
    Repeat,
    Tensor,
    Value,
    alternatives,
    constant,
)

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.interpreter.machine import Machine

__all__ = [
    "CONSTRUCTORS",
    "DTYPES",
    "EXTERNALS",
    "FLAT",
    "OPS",
    "PACKAGES",
    "SELF_METHODS",
    "Call",
    "Handler",
    "canonical",
    "constructor",
    "dtype_of",
    "external",
    "given_node",
    "number",
    "op",
    "tell",
]


class Call:
    """A call of something from outside, with its arguments by position and by name."""

    __slots__ = ("args", "frame", "interpreter", "kwargs", "name", "node", "owner")

    def __init__(
        self,
        name: str,
        args: list[Value],
        kwargs: dict[str, Value],
        interpreter: Machine,
        node: ast.AST,
        frame: Frame,
        owner: Value = UNKNOWN,
    ) -> None:
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.interpreter = interpreter
        self.node = node
        self.frame = frame
        self.owner = owner  # of a method: the object as the program has it

    def of(self, owner: Value) -> Call:
        """The same call of a method as that of a function, whose first argument is the owner."""
        args = [owner, *self.args]
        return Call(self.name, args, self.kwargs, self.interpreter, self.node, self.frame, self.owner)

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
# By the first part of the name: what a library's table makes of a name that none of the above has.
PACKAGES: dict[str, Handler] = {}
# Modules whose names may be written with the modules below them or without: ``timm.loss.cross_entropy.X``.
FLAT: set[str] = set()


@cache
def canonical(name: str) -> str:
    """One name for what torch and its look-alikes offer under several."""
    for prefix, meant in (
        ("likelihead.functional.", "torch.nn.functional."),
        ("likelihead.nn.", "torch.nn."),
        ("torch.nn.modules.module.", "torch.nn."),
    ):
        if name.startswith(prefix):
            name = meant + name[len(prefix) :]
    parts = name.split(".")
    for count in (3, 2, 1):
        if len(parts) > count and ".".join(parts[:count]) in FLAT:
            inner = [one for one in parts[count:-1] if not one.islower()]
            return ".".join([*parts[:count], *inner, parts[-1]])
    if parts[:3] == ["torch", "nn", "modules"] and len(parts) > 3:
        return ".".join(["torch", "nn", parts[-1]])
    return name


def tell(name: str, value: Value, call: Call, by: Value | None = None) -> None:
    """Tell the rules what is done to a tensor."""
    if any(isinstance(one, Tensor) for one in alternatives(value)):
        call.interpreter.emit(Reading(call.node, call.frame, name, value, Const(None) if by is None else by))


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


def given_node(node: ast.AST, name: str) -> ast.expr | None:
    """The expression that a call gives an argument by name."""
    keywords = node.keywords if isinstance(node, ast.Call) else []
    return next((one.value for one in keywords if one.arg == name), None)


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
        if (isinstance(value, External) and value.name == "builtins.int") or constant(value) == "int":
            return "long"  # Python's int is numpy's and torch's of 64 bits; torch.int has 32
        if isinstance(value, External) and value.name.rpartition(".")[2] in DTYPES:
            return DTYPES[value.name.rpartition(".")[2]]
        if isinstance(value, Const) and isinstance(value.value, str):
            name = value.value.rpartition(".")[2]
            if name in DTYPES:
                return DTYPES[name]
    return ""


# Methods of a module that return the module.
SELF_METHODS = frozenset(
    (
        "to", "cuda", "cpu", "float", "double", "half", "bfloat16", "train", "eval", "requires_grad_",
        "apply", "share_memory", "xpu", "npu", "to_empty", "type",
    )
)  # fmt: skip
