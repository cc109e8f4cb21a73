"""Where names live: the scope of a module, and the frame of a call."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from likelihead.lint.source import Source
from likelihead.lint.values import Class, Const, Context, Function, Instance, Made, Value

__all__ = ["Frame", "Scope"]


class Scope:
    """A module that is (or was) executed: its source and its names."""

    __slots__ = ("done", "frame", "imports", "name", "source")

    def __init__(self, source: Source, name: str, context: Context) -> None:
        self.source = source
        self.name = name
        self.done = False
        self.imports: set[Path] = set()
        self.frame = Frame(self, {"__name__": Const(name)}, context)

    @property
    def env(self) -> dict[str, Value]:
        """The names of the module, as they are now."""
        return self.frame.env

    def release(self) -> None:
        """Let go of all names: classes and functions hold the module, and it holds them."""
        for value in self.frame.env.values():
            if isinstance(value, Class) and value.scope is self:
                value.members.clear()
        self.frame.env.clear()
        del self.frame  # which holds the module as well

    def made(self, node: ast.AST, text: str) -> Made:
        """A place in this module."""
        return Made(self, node, text)


class Frame:
    """One call of a function, or the body of a module or class.

    Attributes:
        scope: the module that the code stands in.
        env: the local names. It is replaced where the ways through the function part and meet again.
        function: that is called; None for a module or class body.
        closure: the frame that the function was defined in.
        instance: what ``self`` is, in a method.
        caller: the frame and the place of the call.
        returns: the values returned so far.
        shared: whether functions look up names here: the frame is a module's, or was closed over.
        rebound: the names that were bound to something else since then.
        choices: what the tests so far have decided (`conditions.Choice`).
        branches: how many ``if`` of this call are around the statement.
    """

    __slots__ = (
        "branches",
        "caller",
        "choices",
        "closure",
        "context",
        "depth",
        "env",
        "function",
        "globals",
        "instance",
        "loops",
        "rebound",
        "returns",
        "scope",
        "shared",
        "site",
        "yields",
    )

    def __init__(
        self,
        scope: Scope,
        env: dict[str, Value],
        context: Context,
        *,
        function: Function | None = None,
        closure: Frame | None = None,
        instance: Instance | None = None,
        caller: Frame | None = None,
        site: ast.AST | None = None,
    ) -> None:
        self.scope = scope
        self.env = env
        self.context = context
        self.function = function
        self.closure = closure
        self.instance = instance
        self.caller = caller
        self.site = site
        self.depth: int = 0 if caller is None else caller.depth + 1
        self.returns: list[Value] = []
        self.yields: list[Value] = []
        self.globals: set[str] = set()
        self.loops: list[Any] = []
        self.shared = function is None
        self.rebound: set[str] = set()
        self.choices: list[Any] = []
        self.branches = 0

    def stack(self) -> tuple[Made, ...]:
        """The calls that led here, outermost first."""
        calls: list[Made] = []
        frame: Frame = self
        while frame.caller is not None:
            if (
                frame.site is not None
                and frame.function is not None
                and frame.site is not frame.function.node
            ):
                calls.append(frame.caller.scope.made(frame.site, f"{frame.function.name}()"))
            frame = frame.caller
        return tuple(reversed(calls))
