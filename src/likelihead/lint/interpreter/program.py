"""A file as a program: its body, and then everything in it that the body does not call."""

from __future__ import annotations

import ast
from pathlib import Path

from likelihead.lint.interpreter import modes
from likelihead.lint.interpreter.attributes import Attributes
from likelihead.lint.interpreter.calls import Calls
from likelihead.lint.interpreter.conditions import Conditions
from likelihead.lint.interpreter.expressions import Expressions
from likelihead.lint.interpreter.frames import Frame, Scope
from likelihead.lint.interpreter.items import Items
from likelihead.lint.interpreter.lone import is_trainer, lone_network, takes_network
from likelihead.lint.interpreter.machine import FILE_BUDGET, FUNCTION_BUDGET, LINE_BUDGET, Exhausted
from likelihead.lint.interpreter.modules import Modules
from likelihead.lint.interpreter.statements import Statements
from likelihead.lint.knowledge import objects
from likelihead.lint.values import UNKNOWN, Class, Context, Function, Instance, Value

__all__ = ["Interpreter"]


_NO_METHODS = frozenset(("classmethod", "property", "cached_property"))


class Interpreter(Statements, Expressions, Conditions, Items, Calls, Attributes, Modules):
    """The abstract interpretation of one file and of what it reaches."""

    def run(self, path: Path) -> None:
        """Run the file as a program, then what it defines and did not call: objects, classes and functions.

        A function is only gone into by itself if it holds a word without which there is nothing to find.
        """
        source = self.project.source(path)
        if source is None or not source.tells():
            return
        scope = Scope(source, "__main__", Context())
        self.main = scope
        self.execute(scope)
        self.root_context = scope.frame.context
        self._left = FILE_BUDGET + LINE_BUDGET * len(source.lines)
        self._gone_into: set[tuple[ast.AST, ast.AST | None]] = set()
        self._next_instance = 0
        self._objects(scope)
        for cls in [one for one in self.classes if one.scope is scope]:
            self._class(cls, scope)
        first = 0
        while first < len(self.functions):  # those that are made within others come after them
            functions, first = self.functions[first:], len(self.functions)
            # A function that takes the network comes last: then it is known which networks there are.
            for function in sorted((one for one in functions if one.scope is scope), key=takes_network):
                if id(function.node) not in self.entered_functions and function.bound_class is None:
                    self.late = function.closure is not None
                    self._root(function, [], scope)
                    self._objects(scope)
                    self.late = False

    def release(self) -> None:
        """Untie what holds itself in circles, so that the file's syntax tree goes without a collection."""
        if self.main is not None:
            self.main.release()
        self.instances.clear()
        self.memo.clear()

    def reads(self) -> set[Path]:
        """The other files that were looked at, directly or through one of them."""
        found: set[Path] = set()
        stack = list(self.main.imports) if self.main is not None else []
        while stack:
            path = stack.pop()
            if path not in found:
                found.add(path)
                if path in self.modules:
                    stack.extend(self.modules[path].imports)
        return found

    def _objects(self, scope: Scope) -> None:
        """The methods of the objects that were made since the last time."""
        while self._next_instance < len(self.instances):
            instance = self.instances[self._next_instance]
            self._next_instance += 1
            site = instance.made.node if instance.made is not None else None
            mark = (instance.cls.node, site)
            if instance.born.root is self.root_context and mark not in self._gone_into:
                self._gone_into.add(mark)
                self._methods(instance, scope)

    def _class(self, cls: Class, scope: Scope) -> None:
        """An object of a class that the program makes none of, with each of its methods."""
        if any(instance.cls.node is cls.node for instance in self.instances):
            return
        if not any(one.scope.source.is_telling(one.node) for one in cls.lineage()):
            return
        init = cls.find("__init__")
        parameters = init[0].node.args.args[1:] if init and isinstance(init[0], Function) else []
        self.budget = min(FUNCTION_BUDGET, self._left)
        before = self.budget
        try:
            outside = self._outside(scope)
            args: list[Value] = [UNKNOWN] * len(parameters)
            if init and isinstance(init[0], Function) and is_trainer(cls) and takes_network(init[0]):
                args = [lone_network(parameter.arg, self, scope, outside) for parameter in parameters]
            self.instantiate(cls, args, {"**": UNKNOWN}, cls.node, outside)
        except (Exhausted, RecursionError):
            self.exhausted.add(f"{scope.source.path}:{cls.node.lineno} {cls.name}")
        self._left -= before - self.budget
        self._objects(scope)

    def _methods(self, instance: Instance, scope: Scope) -> None:
        names: set[str] = {"__init__"}
        for cls in instance.cls.lineage():
            for name, member in cls.members.items():
                if not isinstance(member, Function) or name in names:
                    continue
                names.add(name)
                mark = (id(member.node), id(instance))
                if mark in self.entered_methods or _NO_METHODS & set(member.decorators):
                    continue
                self._root(member, [] if "staticmethod" in member.decorators else [instance], scope)

    def _root(self, function: Function, args: list[Value], scope: Scope) -> None:
        """Go into a function that nobody calls, with arguments of which nothing is known."""
        if not function.scope.source.is_telling(function.node):
            return
        if self._left <= 0:
            self.note_exhausted(function)
            return
        spec = function.node.args
        missing = [*spec.posonlyargs, *spec.args][len(args) :]
        instance = args[0] if args and isinstance(args[0], Instance) else None
        self.budget = min(FUNCTION_BUDGET, self._left)
        before = self.budget
        try:
            outside = self._outside(scope)
            free = function.bound_class is None if instance is None else is_trainer(instance.cls)
            if free and takes_network(function):
                unknown = [lone_network(parameter.arg, self, scope, outside) for parameter in missing]
            else:
                unknown = [objects.argument(instance, parameter.arg) for parameter in missing]
            if instance is not None:
                modes.note_step(self, instance, function.name, outside)
            self.invoke(function, [*args, *unknown], {"**": UNKNOWN}, function.node, outside, instance)
        except (Exhausted, RecursionError):
            self.note_exhausted(function)
        self._left -= before - self.budget

    def _outside(self, scope: Scope) -> Frame:
        """The frame of a caller that nothing is known of."""
        return Frame(scope, {}, scope.frame.context)
