"""Modules of the project: their imports, and the analysis of one file as a program."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from likelihead.lint.interpreter.calls import Calls, Exhausted
from likelihead.lint.interpreter.events import Event
from likelihead.lint.interpreter.expressions import Expressions
from likelihead.lint.interpreter.frames import Frame, Scope
from likelihead.lint.interpreter.statements import Statements
from likelihead.lint.knowledge import objects
from likelihead.lint.project import Project
from likelihead.lint.values import (
    UNKNOWN,
    Class,
    Context,
    External,
    Function,
    Instance,
    Module,
    Value,
    constant,
)

__all__ = ["Interpreter", "Modules"]

# Nodes that one function, and one file as a whole, may look at, with all that they call.
FUNCTION_BUDGET = 60_000
FILE_BUDGET = 600_000


class Modules:
    """The part of the interpreter that imports."""

    project: Project
    modules: dict[Path, Scope]

    def import_module(self, name: str, scope: Scope) -> Value:
        """What ``import name`` binds to the whole dotted name."""
        path = self.project.resolve(name, scope.source.path)
        if path is None:
            if self.project.is_package(name, scope.source.path):
                return External(f"?{name}")  # a folder of the project without an __init__.py
            return External(name)
        return self.module(path)

    def module(self, path: Path) -> Value:
        """The module of a file, executed if it was not before."""
        scope = self.modules.get(path)
        if scope is None:
            source = self.project.source(path)
            if source is None:
                return UNKNOWN
            self.reads.add(path)
            scope = Scope(source, path.stem, Context())
            self.modules[path] = scope
            self.execute(scope)
        self.reads.add(path)
        return Module(scope)

    def execute(self, scope: Scope) -> None:
        """Run the body of a module."""
        outside, self.root_context = self.root_context, scope.frame.context
        budget, self.budget = self.budget, FUNCTION_BUDGET
        state = self.nesting, self.class_bodies, self.loop_nodes, self.quiet
        self.nesting, self.class_bodies, self.loop_nodes = 0, [], []
        self.quiet = scope is not self.main
        try:
            self.block(scope.source.tree.body, scope.frame)
        except Exhausted:
            self.exhausted.add(f"{scope.source.path} (its body)")
        finally:
            scope.done = True
            self.root_context, self.budget = outside, budget
            self.nesting, self.class_bodies, self.loop_nodes, self.quiet = state

    def import_name(self, node: ast.ImportFrom, name: str, scope: Scope) -> Value:
        """What ``from module import name`` binds."""
        path = scope.source.path
        if node.level:
            found = self.project.resolve_relative(node.level, node.module or "", path)
            inner = f"{node.module}.{name}" if node.module else name
            below = self.project.resolve_relative(node.level, inner, path)
        else:
            module = node.module or ""
            found = self.project.resolve(module, path)
            below = self.project.resolve(f"{module}.{name}", path)
            if found is None and below is None:
                return External(f"{module}.{name}")
        if found is not None and found != path:
            module_value = self.module(found)
            if isinstance(module_value, Module) and name in module_value.scope.env:
                return module_value.scope.env[name]
        if below is not None and below != path:
            return self.module(below)
        return UNKNOWN

    def import_all(self, node: ast.ImportFrom, scope: Scope) -> Iterator[tuple[str, Value]]:
        """What ``from module import *`` binds."""
        path = scope.source.path
        found = (
            self.project.resolve_relative(node.level, node.module or "", path)
            if node.level
            else self.project.resolve(node.module or "", path)
        )
        if found is None or found == path:
            if not node.level and node.module in ("torch", "torch.nn", "torch.nn.functional", "math"):
                for name in objects.public_names(node.module):
                    yield name, External(f"{node.module}.{name}")
            return
        module = self.module(found)
        if isinstance(module, Module):
            env = dict(module.scope.env)
            listed = constant(env.get("__all__"))
            for name, value in env.items():
                if name in listed if isinstance(listed, (tuple, list)) else not name.startswith("_"):
                    yield name, value

    def module_attribute(self, scope: Scope, name: str) -> Value:
        """``module.name``, which may be a module of the package ``module``."""
        if name in scope.env:
            return scope.env[name]
        path = scope.source.path
        if path.name == "__init__.py":
            found = self.project.resolve_relative(1, name, path)
            if found is not None:
                return self.module(found)
        return UNKNOWN


class Interpreter(Statements, Expressions, Calls, Modules):
    """The abstract interpretation of one file and of what it reaches.

    Args:
        project: the files.
        modules: those that were executed already, shared by the files of one process; they hold nothing that
            depends on who imports them.
        rules: is told what happens.
        losses: the user's names of losses.
    """

    def __init__(
        self, project: Project, modules: dict[Path, Scope], rules: Any, losses: dict[str, str]
    ) -> None:
        self.project = project
        self.modules = modules
        self.rules = rules
        self.losses = losses
        self.main: Scope | None = None
        self.root_context = Context()
        self.budget = FILE_BUDGET
        self.nesting = 0
        self.epoch = 0
        self.quiet = False
        self.active: dict[ast.AST, int] = {}
        self.memo: dict[Any, tuple[int, Context, Value]] = {}
        self.loop_nodes: list[ast.AST] = []
        self.class_bodies: list[Class] = []
        self.functions: list[Function] = []
        self.classes: list[Class] = []
        self.instances: list[Instance] = []
        self.entered_functions: set[int] = set()
        self.set_up: set[tuple[int, int]] = set()
        self.setter_tables: dict[ast.AST, dict[str, list[str]]] = {}
        self.reads: set[Path] = set()
        self.exhausted: set[str] = set()

    def emit(self, event: Event) -> None:
        """Tell the rules, unless this is the body of a module that another file will be the main one of."""
        if not self.quiet:
            self.rules.see(event)

    def note_exhausted(self, function: Function) -> None:
        self.exhausted.add(
            f"{function.scope.source.path}:{getattr(function.node, 'lineno', 0)} {function.name}"
        )

    def run(self, path: Path) -> None:
        """Run the file as a program, then each of its functions that the program did not call."""
        source = self.project.source(path)
        if source is None:
            return
        scope = Scope(source, "__main__", Context())
        self.main = scope
        self.execute(scope)
        self.root_context = scope.frame.context
        spent = 0
        for instance in list(self.instances):
            self._methods(instance, scope)
        for cls in [one for one in self.classes if one.scope is scope]:
            spent += self._class(cls, scope)
            if spent > FILE_BUDGET:
                break
        for function in [one for one in self.functions if one.scope is scope]:
            if id(function.node) not in self.entered_functions and spent < FILE_BUDGET:
                spent += self.root(function, None, scope)

    def _class(self, cls: Class, scope: Scope) -> int:
        """An object of a class that the program makes none of, with each of its methods."""
        own = [one for one in cls.members.values() if isinstance(one, Function)]
        if any(instance.cls.node is cls.node for instance in self.instances) or not own:
            return 0
        frame = self._root_frame(scope)
        self.budget = FUNCTION_BUDGET
        try:
            init = cls.find("__init__")
            count = len(init[0].node.args.args) - 1 if init and isinstance(init[0], Function) else 0
            made = self.instantiate(cls, [UNKNOWN] * max(0, count), {"**": UNKNOWN}, cls.node, frame)
        except (Exhausted, RecursionError):
            self.exhausted.add(f"{scope.source.path}:{cls.node.lineno} {cls.name}")
            return FUNCTION_BUDGET
        spent = FUNCTION_BUDGET - self.budget
        return spent + (self._methods(made, scope) if isinstance(made, Instance) else 0)

    def _methods(self, instance: Instance, scope: Scope) -> int:
        spent = 0
        names: set[str] = set()
        for cls in instance.cls.lineage():
            for name, member in cls.members.items():
                if isinstance(member, Function) and name not in names:
                    names.add(name)
                    mark = (id(instance), id(member))
                    if name != "__init__" and mark not in self.set_up and not _inert(member, instance, self):
                        self.set_up.add(mark)
                        spent += self.root(member, instance, scope)
        return spent

    def root(self, function: Function, instance: Instance | None, scope: Scope) -> int:
        """Go into a function that nobody calls, with arguments of which nothing is known."""
        frame = self._root_frame(scope)
        spec = function.node.args
        args: list[Value] = [UNKNOWN] * len((*spec.posonlyargs, *spec.args))
        bound = "staticmethod" not in function.decorators and (
            instance is not None or "classmethod" in function.decorators
        )
        if args and bound:
            args[0] = (
                instance if instance is not None and "classmethod" not in function.decorators else UNKNOWN
            )
        self.budget = FUNCTION_BUDGET
        try:
            self.invoke(function, args, {"**": UNKNOWN}, function.node, frame, instance)
        except (Exhausted, RecursionError):
            self.note_exhausted(function)
        return FUNCTION_BUDGET - self.budget

    def _root_frame(self, scope: Scope) -> Frame:
        return Frame(scope, {}, scope.frame.context)


def _inert(member: Function, instance: Instance, interpreter: Interpreter) -> bool:
    """Whether a method was run already on this instance or is no method of objects."""
    return any(one in ("classmethod", "property", "cached_property") for one in member.decorators)
