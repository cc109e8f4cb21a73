"""Modules of the project: their imports, and the analysis of one file as a program."""

from __future__ import annotations

import ast
from pathlib import Path

from likelihead.lint.interpreter.frames import Scope
from likelihead.lint.interpreter.machine import FUNCTION_BUDGET, Exhausted, Machine
from likelihead.lint.knowledge import objects
from likelihead.lint.values import (
    UNKNOWN,
    Context,
    External,
    Lazy,
    Module,
    Union,
    Value,
    constant,
    map_union,
)

__all__ = ["Modules"]


class Modules(Machine):
    """The part of the interpreter that imports."""

    def import_module(self, name: str, scope: Scope) -> Value:
        """What ``import name`` binds to the whole dotted name."""
        path = self.project.resolve(name, scope.source.path)
        if path is None:
            if self.project.is_package(name, scope.source.path):
                return External(f"?{name}")  # a folder of the project without an __init__.py
            return External(name)
        return Lazy(lambda machine: machine.module(path, scope))

    def behind(self, value: Value) -> Value:
        """The value behind an import, which runs the module if nobody has asked for it before."""
        if isinstance(value, Lazy):
            if value.value is None:
                value.value = UNKNOWN  # of a name that is imported in a circle
                value.value = self.behind(value.find(self))
            return value.value
        if isinstance(value, Union) and any(isinstance(one, Lazy) for one in value.options):
            return map_union(value, self.behind)
        return value

    def module(self, path: Path, importer: Scope) -> Value:
        """The module of a file, executed if it was not before."""
        scope = self.modules.get(path)
        importer.imports.add(path)
        if scope is None:
            source = self.project.source(path)
            if source is None:
                return UNKNOWN
            scope = Scope(source, path.stem, Context())
            self.modules[path] = scope
            self.execute(scope)
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
        return Lazy(lambda machine: machine._import_name(found, below, name, scope))

    def _import_name(self, found: Path | None, below: Path | None, name: str, scope: Scope) -> Value:
        path = scope.source.path
        if found is not None and found != path:
            module_value = self.module(found, scope)
            if isinstance(module_value, Module) and name in module_value.scope.env:
                return self._member(module_value.scope, name)
        if below is not None and below != path:
            return self.module(below, scope)
        return UNKNOWN

    def _member(self, scope: Scope, name: str) -> Value:
        """What a module holds under a name, or the loss that the user's settings take it for."""
        path = scope.source.path
        for wrapper in self.losses:
            module, _, last = wrapper.rpartition(".")
            if last == name and path in self.project.candidates(path.parent, module):
                return External(wrapper)
        return scope.env[name]

    def import_all(self, node: ast.ImportFrom, scope: Scope) -> list[tuple[str, Value]]:
        """What ``from module import *`` binds."""
        path = scope.source.path
        module = node.module or ""
        found = (
            self.project.resolve_relative(node.level, module, path)
            if node.level
            else self.project.resolve(module, path)
        )
        if found is None or found == path:
            names = {} if node.level else objects.starred(module)
            return [(name, External(meant)) for name, meant in names.items()]
        value = self.module(found, scope)
        if not isinstance(value, Module):
            return []
        listed = constant(value.scope.env.get("__all__"))
        wanted = listed if isinstance(listed, (tuple, list)) else None
        return [
            (name, self._member(value.scope, name))
            for name in value.scope.env
            if (name in wanted if wanted is not None else not name.startswith("_"))
        ]

    def module_attribute(self, scope: Scope, name: str) -> Value:
        """``module.name``, which may be a module of the package ``module``."""
        if name in scope.env:
            return self.behind(self._member(scope, name))
        path = scope.source.path
        if path.name == "__init__.py":
            found = self.project.resolve_relative(1, name, path)
            if found is not None:
                return self.module(found, scope)
        return UNKNOWN
