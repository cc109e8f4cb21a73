"""What names stand for: what is imported from outside, and what the project defines."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from likelihead.lint.quantities import Value

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame, Scope

__all__ = ["Class", "External", "Function", "Lazy", "Module"]


class External(Value):
    """A module, class or function from outside the project, by its dotted name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Module(Value):
    """A module of the project."""

    __slots__ = ("scope",)

    def __init__(self, scope: Scope) -> None:
        self.scope = scope


class Lazy(Value):
    """What an import from the project binds: the module is run when the name is first looked up."""

    __slots__ = ("find", "value")

    def __init__(self, find: Callable[[Any], Value]) -> None:
        self.find = find
        self.value: Value | None = None


class Function(Value):
    """A function, method or lambda of the project."""

    __slots__ = ("bound_class", "closure", "decorators", "defaults", "kw_defaults", "name", "node", "scope")

    def __init__(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
        scope: Scope,
        closure: Frame | None,
        name: str,
        defaults: list[Value],
        kw_defaults: dict[str, Value],
        decorators: tuple[str, ...] = (),
        bound_class: Class | None = None,
    ) -> None:
        self.node = node
        self.scope = scope
        self.closure = closure
        self.name = name
        self.defaults = defaults
        self.kw_defaults = kw_defaults
        self.decorators = decorators
        self.bound_class = bound_class


class Class(Value):
    """A class of the project; `members` are its own, `bases` values of any kind."""

    __slots__ = ("bases", "members", "name", "node", "scope")

    def __init__(
        self, node: ast.ClassDef, scope: Scope, bases: list[Value], members: dict[str, Value]
    ) -> None:
        self.node = node
        self.name = node.name
        self.scope = scope
        self.bases = bases
        self.members = members

    def lineage(self) -> Iterator[Class]:
        """This class and its bases in the project, nearest first."""
        seen: list[Class] = []
        queue: list[Class] = [self]
        while queue:
            one = queue.pop(0)
            if one in seen:
                continue
            seen.append(one)
            yield one
            queue = [base for base in one.bases if isinstance(base, Class)] + queue

    def externals(self) -> Iterator[str]:
        """The dotted names of the bases from outside the project, nearest first."""
        for one in self.lineage():
            for base in one.bases:
                if isinstance(base, External):
                    yield base.name

    def is_known(self) -> bool:
        """Whether every base is known by name."""
        return all(isinstance(base, (Class, External)) for one in self.lineage() for base in one.bases)

    def find(self, name: str) -> tuple[Value, Class] | None:
        """The member of that name, and the class that has it."""
        for one in self.lineage():
            if name in one.members:
                return one.members[name], one
        return None
