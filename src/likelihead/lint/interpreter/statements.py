"""Statements: how names change, and which ways through the code there are."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from likelihead.lint.interpreter.frames import Frame
from likelihead.lint.interpreter.machine import Machine
from likelihead.lint.knowledge import containers, rounds
from likelihead.lint.knowledge.call import Call
from likelihead.lint.values import (
    UNKNOWN,
    Class,
    Const,
    Context,
    Dict,
    External,
    Function,
    List,
    Tensor,
    Value,
    alternatives,
    join,
    key,
)

__all__ = ["Statements"]

# A loop over a list that is known is gone through entry by entry, up to this many.
MAX_UNROLLED = 40

# How a block of statements ends: it runs on, or it leaves the function, or it leaves the loop.
_ON, _OUT, _LOOP = 0, 1, 2


class Statements(Machine):
    """The part of the interpreter that executes statements."""

    def block(self, statements: Sequence[ast.stmt], frame: Frame) -> int:
        """Execute statements; the answer says whether the code after them is reached."""
        for statement in statements:
            handler = _STATEMENTS.get(type(statement))
            if handler is not None:
                ended = handler(self, statement, frame)
                if ended:
                    return ended
        return _ON

    # -- names

    def _assign(self, node: ast.Assign, frame: Frame) -> int:
        value = self.eval(node.value, frame)
        for target in node.targets:
            self.bind(target, value, frame)
        return _ON

    def _ann_assign(self, node: ast.AnnAssign, frame: Frame) -> int:
        if node.value is not None:
            self.bind(node.target, self.eval(node.value, frame), frame)
        elif frame.function is None and isinstance(node.target, ast.Name):
            frame.env.setdefault(node.target.id, UNKNOWN)  # a field of a dataclass
        return _ON

    def _aug_assign(self, node: ast.AugAssign, frame: Frame) -> int:
        load = _as_load(node.target)
        left = self.eval(load, frame)
        right = self.eval(node.value, frame)
        if isinstance(left, List) and left.kind != "tuple" and isinstance(node.op, ast.Add):
            self.extend(left, right, frame)
            return _ON
        self.bind(node.target, self.binary(type(node.op), left, right, node, frame), frame)
        return _ON

    def bind(self, target: ast.expr, value: Value, frame: Frame) -> None:
        """Assign a value to a name, attribute, entry or pattern of those."""
        if isinstance(target, ast.Name):
            self.set_name(target.id, value, frame)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target, value, frame)
        elif isinstance(target, ast.Attribute):
            self.set_attribute(self.eval(target.value, frame), target.attr, value, frame)
        elif isinstance(target, ast.Subscript):
            owner = self.eval(target.value, frame)
            for one in alternatives(owner):
                if isinstance(one, Tensor) and one.made is not None:
                    one.made.edited = True
            self.set_item(owner, self.eval(target.slice, frame), value, frame)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, UNKNOWN, frame)

    def set_name(self, name: str, value: Value, frame: Frame) -> None:
        if name in frame.globals:
            env = frame.scope.env
            if frame.context.root is not self.root_context or not frame.scope.done:
                env[name] = value
            else:
                env[name] = join(env[name], value) if name in env and frame.context.parent else value
            self.epoch += 1
        else:
            if frame.shared and name in frame.env:
                self.epoch += 1  # a function that was called may return another value from now on
                if frame.function is not None and key(frame.env[name]) != key(value):
                    frame.rebound.add(name)
            frame.env[name] = value

    def _unpack(self, target: ast.Tuple | ast.List, value: Value, frame: Frame) -> None:
        count = len(target.elts)
        starred = next((i for i, one in enumerate(target.elts) if isinstance(one, ast.Starred)), None)
        entries = self.entries(value, frame)
        if entries is None and starred is None:
            entries = [self.item(value, Const(i), target, frame) for i in range(count)]
        if entries is None or (len(entries) != count if starred is None else len(entries) < count - 1):
            for one in target.elts:
                self.bind(one, UNKNOWN, frame)
            return
        if starred is not None:
            behind = count - starred - 1
            middle = List(entries[starred : len(entries) - behind], "list", frame.context)
            entries = [*entries[:starred], middle, *entries[len(entries) - behind :]]
        for one, entry in zip(target.elts, entries, strict=False):
            self.bind(one.value if isinstance(one, ast.Starred) else one, entry, frame)

    def _delete(self, node: ast.Delete, frame: Frame) -> int:
        for target in node.targets:
            if isinstance(target, ast.Name):
                frame.env.pop(target.id, None)
                self.epoch += frame.shared
            elif isinstance(target, ast.Subscript):
                for owner in alternatives(self.eval(target.value, frame)):
                    if isinstance(owner, (List, Dict)):
                        index = self.eval(target.slice, frame)
                        containers.method(owner, Call("pop", [index], {}, self, target, frame))
            elif isinstance(target, ast.Attribute):
                self.set_attribute(self.eval(target.value, frame), target.attr, UNKNOWN, frame)
        return _ON

    def _global(self, node: ast.Global, frame: Frame) -> int:
        frame.globals.update(node.names)
        return _ON

    # -- ways through the code

    def _if(self, node: ast.If, frame: Frame) -> int:
        outcome = self.truth(self.eval(node.test, frame))
        if outcome is not None:
            return self.block(node.body if outcome else node.orelse, frame)

        names: list[dict[str, Value]] = []

        def way(outcome: bool, body: list[ast.stmt]) -> Callable[[], int]:
            def go() -> int:
                self.narrow(node.test, outcome, frame)
                frame.branches += 1
                ended = self.block(body, frame)
                frame.branches -= 1
                if ended == _ON:
                    names.append(frame.env)
                return ended

            return go

        ended = self.fork([way(True, node.body), way(False, node.orelse)], frame)
        if len(names) == 2:
            self.note_ways(node.test, names[0], names[1], frame)
        return ended

    def fork(self, branches: Sequence[Callable[[], int]], frame: Frame) -> int:
        """Go each of several ways from here, and join what the names are where they meet."""
        start, outside = frame.env, frame.context
        env: dict[str, Value] | None = None
        left = start  # where no way goes on: what the functions that were made on them see
        ends: set[int] = set()
        for branch in branches:
            self.epoch += frame.shared
            frame.env = dict(start)
            frame.context = Context(outside)
            ended = branch()
            ends.add(ended)
            if ended == _ON:
                env = frame.env if env is None else join_names(env, frame.env)
            elif ended == _LOOP and frame.loops:
                frame.loops[-1].append(frame.env)
            left = join_names(left, frame.env)
        frame.context = outside
        self.epoch += frame.shared
        if env is None:
            frame.env = left
            return _LOOP if _LOOP in ends else _OUT
        frame.env = env
        return _ON

    def _for(self, node: ast.For | ast.AsyncFor, frame: Frame) -> int:
        iterable = self.eval(node.iter, frame)
        entries = self.entries(iterable, frame)
        self.loops_over[node] = rounds.source(node.iter, iterable, self, frame)
        if entries is not None and len(entries) <= MAX_UNROLLED and not _jumps(node):
            self.loop_nodes.append(node)
            for entry in entries:
                self.bind(node.target, entry, frame)
                ended = self.block(node.body, frame)
                if ended == _OUT:
                    self.loop_nodes.pop()
                    return ended
            self.loop_nodes.pop()
            return self.block(node.orelse, frame)
        element = self.element(iterable, node.iter, frame)

        def body() -> int:
            self.bind(node.target, element, frame)
            return self.block(node.body, frame)

        self.loop(body, node, frame)
        return self.block(node.orelse, frame)

    def _while(self, node: ast.While, frame: Frame) -> int:
        outcome = self.truth(self.eval(node.test, frame))
        if outcome is False:
            return self.block(node.orelse, frame)

        def body() -> int:
            return self.block(node.body, frame)

        self.loop(body, node, frame)
        if outcome and isinstance(node.test, ast.Constant) and not _jumps(node, ast.Break):
            return _OUT
        return self.block(node.orelse, frame)

    def loop(self, body: Callable[[], int], node: ast.stmt, frame: Frame) -> None:
        """A body that runs any number of times: once or twice here, until the names no longer change."""
        outside = frame.context
        frame.context = Context(outside)
        frame.loops.append([])
        self.loop_nodes.append(node)
        try:
            for round_ in range(2):
                start = frame.env
                frame.env = dict(start)
                ended = body()
                reached = [*frame.loops[-1], *([frame.env] if ended != _OUT else [])]
                frame.loops[-1] = []
                env = start
                for one in reached:
                    env = join_names(env, one)
                frame.env = env
                self.epoch += frame.shared
                if round_ or len(frame.loops) > 2 or not _changed(start, env):
                    break
        finally:
            self.loop_nodes.pop()
            frame.loops.pop()
            frame.context = outside

    def _break(self, node: ast.stmt, frame: Frame) -> int:
        return _LOOP

    def _return(self, node: ast.Return, frame: Frame) -> int:
        frame.returns.append(Const(None) if node.value is None else self.eval(node.value, frame))
        return _OUT

    def _raise(self, node: ast.Raise, frame: Frame) -> int:
        return _OUT

    def _try(self, node: Any, frame: Frame) -> int:
        before = dict(frame.env)

        def whole() -> int:
            return self.block(node.body, frame) or self.block(node.orelse, frame)

        def handler(one: ast.ExceptHandler) -> Callable[[], int]:
            def caught() -> int:
                if one.name:
                    frame.env[one.name] = UNKNOWN
                return self.block(one.body, frame)

            return caught

        if node.handlers:
            ended = self.fork([whole, *(handler(one) for one in node.handlers)], frame)
        else:
            ended = whole()
        if ended == _OUT and not node.finalbody:
            return ended
        if ended == _OUT:
            frame.env = join_names(before, frame.env)
        return self.block(node.finalbody, frame) or ended

    def _with(self, node: ast.With | ast.AsyncWith, frame: Frame) -> int:
        for item in node.items:
            value = self.eval(item.context_expr, frame)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, self.entered(value, frame), frame)
        return self.block(node.body, frame)

    def _match(self, node: Any, frame: Frame) -> int:
        subject = self.eval(node.subject, frame)
        branches: list[Callable[[], int]] = []
        for case in node.cases:
            outcome = self._matches(case, subject, frame)
            if outcome is False:
                continue
            branches.append(self._case(case, frame))
            if outcome:
                break
        else:
            branches.append(lambda: _ON)
        return branches[0]() if len(branches) == 1 else self.fork(branches, frame)

    def _matches(self, case: Any, subject: Value, frame: Frame) -> bool | None:
        """Whether a case is the one, of a subject that is a constant."""
        if case.guard is not None:
            return None
        if type(case.pattern).__name__ == "MatchAs" and case.pattern.pattern is None:
            return True
        if not isinstance(subject, Const) or type(case.pattern).__name__ != "MatchValue":
            return None
        value = self.eval(case.pattern.value, frame)
        return bool(value.value == subject.value) if isinstance(value, Const) else None

    def _case(self, case: Any, frame: Frame) -> Callable[[], int]:
        def go() -> int:
            for part in ast.walk(case.pattern):
                name = getattr(part, "name", None) or getattr(part, "rest", None)
                if isinstance(name, str):
                    frame.env[name] = UNKNOWN
            return self.block(case.body, frame)

        return go

    # -- definitions and imports

    def _function_def(self, node: ast.FunctionDef | ast.AsyncFunctionDef, frame: Frame) -> int:
        value: Value = self.function(node, node.name, frame)
        for decorator in reversed(node.decorator_list):
            value = self.decorate(value, decorator, frame)
        self.set_name(node.name, value, frame)
        return _ON

    def _class_def(self, node: ast.ClassDef, frame: Frame) -> int:
        bases = [self.eval(base, frame) for base in node.bases if not isinstance(base, ast.Starred)]
        body = Frame(frame.scope, {}, frame.context, closure=frame if frame.function else frame.closure)
        body.caller, body.depth = None, frame.depth
        made = Class(node, frame.scope, [base for base in bases if not _is_object(base)], body.env)
        self.class_bodies.append(made)
        self.block(node.body, body)
        self.class_bodies.pop()
        made.members = body.env
        for member in made.members.values():
            if isinstance(member, Function) and member.bound_class is None:
                member.bound_class = made
        self.classes.append(made)
        self.set_name(node.name, made, frame)
        return _ON

    def _import(self, node: ast.Import, frame: Frame) -> int:
        for alias in node.names:
            if alias.asname:
                self.set_name(alias.asname, self.import_module(alias.name, frame.scope), frame)
            else:
                top = alias.name.partition(".")[0]
                if "." in alias.name:
                    self.import_module(alias.name, frame.scope)
                self.set_name(top, self.import_module(top, frame.scope), frame)
        return _ON

    def _import_from(self, node: ast.ImportFrom, frame: Frame) -> int:
        for alias in node.names:
            if alias.name == "*":
                for name, value in self.import_all(node, frame.scope):
                    self.set_name(name, value, frame)
            else:
                value = self.import_name(node, alias.name, frame.scope)
                self.set_name(alias.asname or alias.name, value, frame)
        return _ON

    def _expression(self, node: ast.Expr, frame: Frame) -> int:
        value = self.eval(node.value, frame)
        if isinstance(value, External) and value.name == "NoReturn":
            return _OUT
        return _ON

    def _assert(self, node: ast.Assert, frame: Frame) -> int:
        self.eval(node.test, frame)
        self.narrow(node.test, True, frame)
        return _ON


def join_names(first: dict[str, Value], second: dict[str, Value]) -> dict[str, Value]:
    """What each name may be where two ways meet; a name that only one of them has stays what it is there."""
    if first is second:
        return first
    joined = dict(first)
    for name, value in second.items():
        if name in joined:
            if joined[name] is not value:
                joined[name] = join(joined[name], value)
        else:
            joined[name] = value
    return joined


def _changed(before: dict[str, Value], after: dict[str, Value]) -> bool:
    return any(name in before and key(before[name]) != key(value) for name, value in after.items())


@lru_cache(maxsize=4096)
def _jumps(loop: ast.For | ast.AsyncFor | ast.While, *kinds: type[ast.stmt]) -> bool:
    """Whether the body of a loop leaves it (a ``continue`` counts too)."""
    wanted = kinds or (ast.Break, ast.Continue)
    stack: list[ast.AST] = list(loop.body)
    while stack:
        node = stack.pop()
        if isinstance(node, wanted):
            return True
        if isinstance(node, (ast.For, ast.While, ast.AsyncFor)):
            stack.extend(node.orelse)
        elif isinstance(node, (ast.If, ast.With, ast.AsyncWith, ast.Try)):
            stack.extend(
                child
                for child in ast.iter_child_nodes(node)
                if isinstance(child, (ast.stmt, ast.ExceptHandler))
            )
        elif isinstance(node, ast.ExceptHandler):
            stack.extend(node.body)
    return False


def _as_load(target: ast.expr) -> ast.expr:
    if isinstance(target, ast.Name):
        return ast.copy_location(ast.Name(target.id, ast.Load()), target)
    return target  # attributes and entries are evaluated the same, whatever their context


def _is_object(base: Value) -> bool:
    return isinstance(base, External) and base.name in ("builtins.object", "abc.ABC")


_STATEMENTS: dict[type[ast.stmt], Callable[[Statements, Any, Frame], int]] = {
    ast.Assign: Statements._assign,
    ast.AnnAssign: Statements._ann_assign,
    ast.AugAssign: Statements._aug_assign,
    ast.Delete: Statements._delete,
    ast.Global: Statements._global,
    ast.If: Statements._if,
    ast.For: Statements._for,
    ast.AsyncFor: Statements._for,
    ast.While: Statements._while,
    ast.Break: Statements._break,
    ast.Continue: Statements._break,
    ast.Return: Statements._return,
    ast.Raise: Statements._raise,
    ast.Try: Statements._try,
    ast.With: Statements._with,
    ast.AsyncWith: Statements._with,
    ast.FunctionDef: Statements._function_def,
    ast.AsyncFunctionDef: Statements._function_def,
    ast.ClassDef: Statements._class_def,
    ast.Import: Statements._import,
    ast.ImportFrom: Statements._import_from,
    ast.Expr: Statements._expression,
    ast.Assert: Statements._assert,
}
if hasattr(ast, "Match"):
    _STATEMENTS[ast.Match] = Statements._match
if hasattr(ast, "TryStar"):
    _STATEMENTS[ast.TryStar] = Statements._try
