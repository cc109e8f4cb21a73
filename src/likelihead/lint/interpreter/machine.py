"""What the parts of the interpreter have in common: their state, and what each asks of the others."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from likelihead.lint.interpreter.events import Event
from likelihead.lint.values import Class, Context, Dict, Function, Instance, List, Object, Value

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame, Scope
    from likelihead.lint.project import Project

__all__ = ["Exhausted", "Machine", "Observer"]

# Nodes that one function may look at, with all that it calls; and one file, to start with and for each line.
FUNCTION_BUDGET = 30_000
FILE_BUDGET = 20_000
LINE_BUDGET = 60


class Exhausted(Exception):
    """The budget of a call is used up."""


class Observer(Protocol):
    """Whoever is told what happens in the interpreted program."""

    def see(self, event: Event) -> None:
        """Something happened."""

    def see_one_of(self, choice: list[list[Event]]) -> None:
        """One of these lists is what happened at a call."""


class Machine:
    """The state of an interpretation.

    Args:
        project: the files.
        modules: those that were executed already, shared by the files of one process; they hold nothing that
            depends on who imports them.
        observer: is told what happens.
        losses: the user's names of losses, and the family that each belongs to.
    """

    def __init__(
        self, project: Project, modules: dict[Path, Scope], observer: Observer, losses: dict[str, str]
    ) -> None:
        self.project = project
        self.modules = modules
        self.observer = observer
        self.losses = losses
        self.main: Scope | None = None
        self.root_context = Context()
        # What is left of the budget, and how deep the expression is that is looked at, and the calls are.
        self.budget = FUNCTION_BUDGET
        self.nesting = 0
        self.calling = 0
        # Counts the changes to objects; what a function returned is remembered as long as there are none.
        self.epoch = 0
        self.memo: dict[Any, tuple[int, Context, Value, Any]] = {}
        # The bodies of imported modules are not reported on: they have an analysis of their own.
        self.quiet = False
        # Whether a function is gone into that nobody called while the one around it ran.
        self.late = False
        # While one of several functions is called: the call, and what happens at it.
        self.choice: tuple[ast.AST, list[Event]] | None = None
        self.active: dict[ast.AST, int] = {}
        # The loops and comprehensions that are gone through, and what each ran over last.
        self.loop_nodes: list[ast.AST] = []
        self.loops_over: dict[ast.AST, Value] = {}
        self.class_bodies: list[Class] = []
        # Everything that was made on the way, to be gone into at the end.
        self.functions: list[Function] = []
        self.classes: list[Class] = []
        self.instances: list[Instance] = []
        self.moded: list[Instance] = []  # those whose train() or eval() was called
        self.networks: list[Object] = []  # of libraries, made outside of the project's classes
        self.entered_functions: set[int] = set()
        self.entered_methods: set[tuple[int, int]] = set()
        self.set_up: set[tuple[int, int]] = set()
        self.setter_tables: dict[ast.AST, dict[str, list[str]]] = {}
        self.exhausted: set[str] = set()

    def emit(self, event: Event) -> None:
        """Tell the observer, unless this is the body of a module that another analysis is about."""
        if self.choice is not None and self.choice[0] is event.node:
            self.choice[1].append(event)
        elif not self.quiet:
            self.observer.see(event)

    def note_exhausted(self, function: Function) -> None:
        """A function was given up."""
        line = getattr(function.node, "lineno", 0)
        self.exhausted.add(f"{function.scope.source.path}:{line} {function.name}")

    # What the parts ask of each other; each is defined in one of them.

    if TYPE_CHECKING:
        # statements.py
        def block(self, statements: Sequence[ast.stmt], frame: Frame) -> int: ...
        def bind(self, target: ast.expr, value: Value, frame: Frame) -> None: ...

        # expressions.py
        def eval(self, node: ast.expr, frame: Frame) -> Value: ...
        def compare(
            self, op: type[ast.cmpop], left: Value, right: Value, node: ast.AST, frame: Frame
        ) -> Value: ...
        def truth(self, value: Value) -> bool | None: ...

        # conditions.py
        def narrow(self, test: ast.expr, outcome: bool, frame: Frame) -> None: ...
        def note_choice(
            self, test: ast.expr, joined: Value, first: Value, second: Value, frame: Frame
        ) -> None: ...
        def note_ways(
            self, test: ast.expr, first: dict[str, Value], second: dict[str, Value], frame: Frame
        ) -> None: ...

        # items.py
        def item(self, value: Value, index: Value, node: ast.AST, frame: Frame) -> Value: ...
        def set_item(self, value: Value, index: Value, new: Value, frame: Frame) -> None: ...
        def extend(self, value: List, more: Value, frame: Frame) -> None: ...
        def entries(self, value: Value, frame: Frame) -> list[Value] | None: ...
        def element(self, value: Value, node: ast.expr | None, frame: Frame) -> Value: ...
        def spread(self, value: Value, frame: Frame) -> list[Value]: ...
        def set_dict_item(
            self, value: Dict, index: Value, new: Value, certain: bool, frame: Frame
        ) -> None: ...
        def binary(
            self, op: type[ast.operator], left: Value, right: Value, node: ast.AST, frame: Frame
        ) -> Value: ...

        # calls.py
        def call_expression(self, node: ast.Call, frame: Frame) -> Value: ...
        def call(
            self, function: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST, frame: Frame
        ) -> Value: ...
        def function(self, node: Any, name: str, frame: Frame) -> Function: ...
        def decorate(self, value: Value, decorator: ast.expr, frame: Frame) -> Value: ...
        def entered(self, value: Value, frame: Frame) -> Value: ...
        def invoke(
            self,
            function: Function,
            args: Sequence[Value],
            kwargs: dict[str, Value],
            node: ast.AST,
            caller: Frame,
            instance: Instance | None = None,
        ) -> Value: ...
        def instantiate(
            self, cls: Class, args: list[Value], kwargs: dict[str, Value], node: ast.AST, frame: Frame
        ) -> Value: ...

        # attributes.py
        def attribute(self, value: Value, name: str, node: ast.AST, frame: Frame) -> Value: ...
        def set_training(self, instance: Instance, mode: Value, frame: Frame) -> None: ...
        def set_attribute(self, value: Value, name: str, new: Value, frame: Frame) -> None: ...
        def object_item(self, value: Object, index: Value, node: ast.AST, frame: Frame) -> Value: ...
        def object_element(self, value: Object | Instance, node: ast.expr | None, frame: Frame) -> Value: ...

        # modules.py
        def import_module(self, name: str, scope: Scope) -> Value: ...
        def behind(self, value: Value) -> Value: ...
        def import_name(self, node: ast.ImportFrom, name: str, scope: Scope) -> Value: ...
        def import_all(self, node: ast.ImportFrom, scope: Scope) -> list[tuple[str, Value]]: ...
        def module_attribute(self, scope: Scope, name: str) -> Value: ...
