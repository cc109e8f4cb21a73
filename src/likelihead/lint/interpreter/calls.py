"""Calls: of the project's functions and classes by going into them, of others by what is known of them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from likelihead.lint.interpreter import modes
from likelihead.lint.interpreter.events import Event
from likelihead.lint.interpreter.frames import Frame
from likelihead.lint.interpreter.machine import Exhausted, Machine
from likelihead.lint.knowledge import containers, data, functions, objects, tensors
from likelihead.lint.knowledge.call import Call
from likelihead.lint.knowledge.losses import loss_of
from likelihead.lint.knowledge.overlap import is_overlap
from likelihead.lint.values import (
    MAX_TUPLES,
    UNKNOWN,
    Bound,
    Class,
    Const,
    Dict,
    External,
    Figure,
    Function,
    Instance,
    List,
    Object,
    Partial,
    Repeat,
    Super,
    Tensor,
    Union,
    Unknown,
    Value,
    alternatives,
    join,
    key,
    map_union,
    passed,
    without_none,
)

__all__ = ["Calls"]

MAX_DEPTH = 24
MAX_CALLING = 120
# Nodes that one call may look at, with all that it calls: half of them a level further down. What is deep
# in a network says nothing of what comes out of its head.
CALL_BUDGET = 40_000
LEAST_BUDGET = 600

# Methods that are called on a user's object in place of a call of it.
_METHODS_OF_CALLS = ("__call__", "forward", "call")


class Calls(Machine):
    """The part of the interpreter that calls."""

    # -- the call expression

    def call_expression(self, node: ast.Call, frame: Frame) -> Value:
        if isinstance(node.func, ast.Name) and node.func.id == "super":
            made = self._super(node, frame)
            if made is not None:
                return made
        function = self.eval(node.func, frame)
        args: list[Value] = []
        for arg in node.args:
            if isinstance(arg, ast.Starred):
                args.extend(self.spread(self.eval(arg.value, frame), frame))
            else:
                args.append(self.eval(arg, frame))
        kwargs: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.eval(keyword.value, frame)
            if keyword.arg is not None:
                kwargs[keyword.arg] = value
            elif isinstance(value, Dict):
                kwargs.update((name, one) for name, one in value.items.items() if isinstance(name, str))
                if value.rest is not None:
                    kwargs["**"] = UNKNOWN
            else:
                kwargs["**"] = UNKNOWN
        return self.call(function, args, kwargs, node, frame)

    def _super(self, node: ast.Call, frame: Frame) -> Value | None:
        at: Frame | None = frame
        while at is not None and at.instance is None:
            at = at.closure
        if at is None or at.instance is None:
            return None
        after = at.function.bound_class if at.function else None
        if node.args:
            named = self.eval(node.args[0], frame)
            after = named if isinstance(named, Class) else after
        return Super(at.instance, after or at.instance.cls)

    def call(
        self, function: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST, frame: Frame
    ) -> Value:
        """What a call returns."""
        # Layers may hold each other, or themselves, without a function of the project on the way.
        self.budget -= 1
        if self.budget < 0:
            raise Exhausted
        if self.calling >= MAX_CALLING:
            return UNKNOWN
        self.calling += 1
        try:
            return self._call(function, args, kwargs, node, frame)
        finally:
            self.calling -= 1

    def _call(
        self, function: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST, frame: Frame
    ) -> Value:
        if isinstance(function, Union):
            return self._call_one_of(without_none(function), args, kwargs, node, frame)
        if isinstance(function, Function):
            return self.invoke(function, args, kwargs, node, frame)
        if isinstance(function, Bound):
            return self._call_bound(function, args, kwargs, node, frame)
        if self.modes:
            modes.forget(self, function, [*args, *kwargs.values()], node, frame)
        if isinstance(function, External):
            return functions.call(Call(function.name, args, kwargs, self, node, frame))
        if isinstance(function, Class):
            return self.instantiate(function, args, kwargs, node, frame)
        if isinstance(function, Instance):
            return self._call_instance(function, args, kwargs, node, frame)
        if isinstance(function, Object):
            return objects.call(function, Call(function.name, args, kwargs, self, node, frame))
        if isinstance(function, List):
            return containers.call_sequential(function, Call("", args, kwargs, self, node, frame))
        if isinstance(function, Partial):
            return self.call(
                function.function, [*function.args, *args], {**function.kwargs, **kwargs}, node, frame
            )
        if "return_tensors" in kwargs:
            return data.unknown_call(Call("?", args, kwargs, self, node, frame))
        return UNKNOWN

    def _call_one_of(
        self, choice: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST, frame: Frame
    ) -> Value:
        """One of several functions is called: what is reported of it has to hold for each of them.

        Of several losses within an ``if``, the test may be about which of them it is: nothing is reported.
        """
        outside, quiet = self.choice, self.quiet
        losses = [one for one in alternatives(choice) if loss_of(one) is not None]
        self.quiet = quiet or (frame.branches > 0 and len(losses) > 1)
        told: list[list[Event]] = []

        def one(function: Value) -> Value:
            events: list[Event] = []
            self.choice = (node, events)
            result = self.call(function, args, kwargs, node, frame)
            told.append(events)
            return result

        try:
            return map_union(choice, one)
        finally:
            self.choice = outside
            if not self.quiet:
                self.observer.see_one_of(told)
            self.quiet = quiet

    def _call_bound(
        self, bound: Bound, args: list[Value], kwargs: dict[str, Value], node: ast.AST, frame: Frame
    ) -> Value:
        owner = bound.owner
        if bound.function is not None:
            instance = owner if isinstance(owner, Instance) else None
            return self.invoke(bound.function, [owner, *args], kwargs, node, frame, instance)
        call = Call(bound.name, args, kwargs, self, node, frame)
        if isinstance(owner, (Tensor, Figure, Unknown, Union)):
            return tensors.method(owner, call)
        if isinstance(owner, (List, Dict, Const)):
            return containers.method(owner, call)
        if bound.name == "__call__" and isinstance(owner, (Object, Instance)):
            return self.call(owner, args, kwargs, node, frame)
        if isinstance(owner, (Object, Instance)):
            return objects.method(owner, call)
        if isinstance(owner, Super):
            return self._call_super(owner, bound.name, args, kwargs, node, frame)
        if isinstance(owner, Class):  # from_pretrained and the like: any arguments
            return self.instantiate(owner, [Repeat(UNKNOWN)], {"**": UNKNOWN}, node, frame)
        return UNKNOWN

    def _call_super(
        self,
        owner: Super,
        name: str,
        args: list[Value],
        kwargs: dict[str, Value],
        node: ast.AST,
        frame: Frame,
    ) -> Value:
        """A method of the bases from outside."""
        instance = owner.instance
        if name == "__init__":
            instance.base = self.base_object(owner.after, args, kwargs, node, frame) or instance.base
            return Const(None)
        if name in _METHODS_OF_CALLS and instance.base is not None:
            return objects.call(instance.base, Call(instance.base.name, args, kwargs, self, node, frame))
        return objects.method(instance, Call(name, args, kwargs, self, node, frame))

    def _call_instance(
        self, instance: Instance, args: list[Value], kwargs: dict[str, Value], node: ast.AST, frame: Frame
    ) -> Value:
        for name in _METHODS_OF_CALLS:
            found = instance.read(name, frame.context)
            if found is None:
                member = instance.cls.find(name)
                found = (
                    Bound(instance, name, member[0]) if member and isinstance(member[0], Function) else None
                )
            if found is not None:
                return self.call(found, args, kwargs, node, frame)
        if instance.base is not None:
            return objects.call(instance.base, Call(instance.base.name, args, kwargs, self, node, frame))
        return UNKNOWN

    # -- functions of the project

    def function(self, node: Any, name: str, frame: Frame) -> Function:
        """The function that a ``def`` or ``lambda`` makes."""
        defaults = [self.eval(one, frame) for one in node.args.defaults]
        kw_defaults = {
            arg.arg: self.eval(default, frame)
            for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=False)
            if default is not None
        }
        decorators = tuple(_decorator_name(one) for one in getattr(node, "decorator_list", ()))
        closure = frame if frame.function is not None else frame.closure
        if closure is not None:
            closure.shared = True
        made = Function(
            node,
            frame.scope,
            closure,
            name,
            defaults,
            kw_defaults,
            decorators,
            self.class_bodies[-1] if self.class_bodies else None,
        )
        if not isinstance(node, ast.Lambda):
            self.functions.append(made)
        return made

    def decorate(self, value: Value, decorator: ast.expr, frame: Frame) -> Value:
        """The function after one decorator; those from outside leave what it computes as it is."""
        maker = self.eval(decorator, frame)
        if isinstance(maker, Function) and isinstance(value, Function) and not self.class_bodies:
            made = self.call(maker, [value], {}, decorator, frame)
            if isinstance(made, (Function, Partial)):
                return made
        return value

    def invoke(
        self,
        function: Function,
        args: Sequence[Value],
        kwargs: dict[str, Value],
        node: ast.AST,
        caller: Frame,
        instance: Instance | None = None,
    ) -> Value:
        """Go into a function of the project with these arguments."""
        if function.closure is not None and instance is None:
            instance = function.closure.instance if _first_parameter(function) != "self" else None
        active = self.active.get(function.node, 0)
        if active >= 2 or caller.depth >= MAX_DEPTH:
            return UNKNOWN
        if not function.scope.source.matters(function.node):
            modes.forget(self, UNKNOWN, args, node, caller)
            return UNKNOWN
        memo = (
            id(function.node),
            id(function.closure),
            tuple(map(key, args)),
            tuple((name, key(one)) for name, one in kwargs.items()),
            modes.signature(self, caller),
        )
        known = self.memo.get(memo)
        # The call of an overlap loss is the place that is reported: each one is gone into.
        fresh = known is not None and known[0] == self.epoch and known[1] is caller.context.root
        if known is not None and fresh and not is_overlap(function):
            return self.returned(known[2], function, node, caller)
        frame = Frame(
            function.scope,
            {},
            caller.context,
            function=function,
            closure=function.closure,
            instance=instance,
            caller=caller,
            site=node,
        )
        self.bind_parameters(function, args, kwargs, frame)
        result = self._run(function, frame)
        self.entered_functions.add(id(function.node))
        if args and isinstance(args[0], Instance):
            self.entered_methods.add((id(function.node), id(args[0])))
        if _is_plain(result):
            # With the function and arguments: a key may be the number of an object, given again once that is
            # gone.
            kept = (function, tuple(args), kwargs)
            self.memo[memo] = (self.epoch, caller.context.root, result, kept)
        return self.returned(result, function, node, caller)

    def _run(self, function: Function, frame: Frame) -> Value:
        self.active[function.node] = self.active.get(function.node, 0) + 1
        whole = self.budget
        self.budget = min(whole, max(CALL_BUDGET >> min(frame.depth, 8), LEAST_BUDGET))
        allowed = self.budget
        nesting, loops, bodies = self.nesting, len(self.loop_nodes), len(self.class_bodies)
        self.nesting = 0
        outside_bodies, self.class_bodies = self.class_bodies, []
        try:
            if isinstance(function.node, ast.Lambda):
                return self.eval(function.node.body, frame)
            ended = self.block(function.node.body, frame)
            if frame.yields:
                return List([Repeat(one) for one in frame.yields], "list", frame.context)
            if not ended and not frame.returns:
                return Const(None)
            if not ended:
                frame.returns.append(Const(None))
            if not frame.returns:
                return UNKNOWN  # it raises
            return _joined(frame.returns)
        except Exhausted:
            self.note_exhausted(function)
            if whole - allowed <= 0:
                raise
            return UNKNOWN
        finally:
            self.active[function.node] -= 1
            self.budget = whole - (allowed - max(self.budget, 0))
            self.nesting = nesting
            self.class_bodies = outside_bodies
            del self.loop_nodes[loops:]
            del self.class_bodies[bodies:]

    def bind_parameters(
        self, function: Function, args: Sequence[Value], kwargs: dict[str, Value], frame: Frame
    ) -> None:
        """Give the parameters their arguments and defaults."""
        spec = function.node.args
        names = [arg.arg for arg in (*spec.posonlyargs, *spec.args)]
        env = frame.env
        unsure = "**" in kwargs
        first_default = len(names) - len(function.defaults)
        for i, name in enumerate(names):
            if i >= first_default:
                env[name] = UNKNOWN if unsure else function.defaults[i - first_default]
            else:
                env[name] = UNKNOWN
        for name, value in function.kw_defaults.items():
            env[name] = UNKNOWN if unsure else value
        for arg in spec.kwonlyargs:
            env.setdefault(arg.arg, UNKNOWN)
        position = 0
        more: list[Value] = []
        for value in args:
            if isinstance(value, Repeat):
                for name in names[position:]:
                    env[name] = UNKNOWN
                position = len(names)
                more.append(value)
            elif position < len(names):
                env[names[position]] = value
                position += 1
            else:
                more.append(value)
        extra: dict[Any, Value] = {}
        for name, value in kwargs.items():
            if name in env:
                env[name] = value
            elif name != "**":
                extra[name] = value
        if spec.vararg is not None:
            env[spec.vararg.arg] = List(more, "tuple", frame.context)
        if spec.kwarg is not None:
            env[spec.kwarg.arg] = Dict(extra, "dict", frame.context, UNKNOWN if unsure else None)

    def returned(self, value: Value, function: Function, node: ast.AST, caller: Frame) -> Value:
        """The result of a call, which has passed one more call."""
        return passed(value, caller.scope.made(node, f"{function.name}()"))

    # -- classes of the project

    def instantiate(
        self, cls: Class, args: list[Value], kwargs: dict[str, Value], node: ast.AST, frame: Frame
    ) -> Value:
        """A new object of a class of the project."""
        instance = Instance(cls, frame.context, frame.scope.made(node, f"{cls.name}()"))
        found = cls.find("__init__")
        if found is not None and isinstance(found[0], Function):
            self.invoke(found[0], [instance, *args], kwargs, node, frame, instance)
        elif not self._fill_fields(instance, args, kwargs, frame):
            instance.base = self.base_object(cls, args, kwargs, node, frame)
        if instance.base is None:
            instance.base = self.base_object(cls, None, {}, node, frame)
        self.instances.append(instance)
        return instance

    def base_object(
        self, cls: Class, args: list[Value] | None, kwargs: dict[str, Value], node: ast.AST, frame: Frame
    ) -> Object | None:
        """What an object of the class is by its bases from outside; without `args`, of unknown options."""
        for name in cls.externals():
            made = functions.construct(
                Call(name, args or [], kwargs, self, node, frame), known=args is not None
            )
            if isinstance(made, Object):
                return made
        return None

    def _fill_fields(
        self, instance: Instance, args: list[Value], kwargs: dict[str, Value], frame: Frame
    ) -> bool:
        """Set the attributes of a dataclass or named tuple."""
        classes = [one for one in instance.cls.lineage() if _has_fields(one)]
        if not classes:
            return False
        names: list[str] = []
        for one in reversed(classes):
            for statement in one.node.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    name = statement.target.id
                    if name not in names:
                        names.append(name)
                    default = one.members.get(name, UNKNOWN)
                    instance.write(name, UNKNOWN if isinstance(default, External) else default, frame.context)
        for name, value in [*zip(names, args, strict=False), *kwargs.items()]:
            if name in names:
                instance.write(name, value, frame.context)
        found = instance.cls.find("__post_init__")
        if found is not None and isinstance(found[0], Function):
            self.invoke(found[0], [instance], {}, instance.cls.node, frame, instance)
        return True

    def entered(self, value: Value, frame: Frame) -> Value:
        """What ``with value as name`` binds."""
        return value if isinstance(value, (Object, Instance)) else UNKNOWN


def _decorator_name(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _first_parameter(function: Function) -> str:
    parameters = (*function.node.args.posonlyargs, *function.node.args.args)
    return parameters[0].arg if parameters else ""


def _has_fields(cls: Class) -> bool:
    if any(
        _decorator_name(one) in ("dataclass", "define", "frozen", "attrs") for one in cls.node.decorator_list
    ):
        return True
    return any(isinstance(base, External) and base.name.endswith("NamedTuple") for base in cls.bases)


def _joined(values: list[Value]) -> Value:
    found = values[0]
    for value in values[1:]:
        found = join(found, value)
    return found


def _is_plain(value: Value, depth: int = 0) -> bool:
    """Whether a value may be given out twice: nobody can change it."""
    if isinstance(value, Union):
        return all(_is_plain(one, depth) for one in value.options)
    if isinstance(value, List):
        return (
            value.kind == "tuple"
            and depth < MAX_TUPLES
            and all(_is_plain(one, depth + 1) for one in value.items)
        )
    return isinstance(value, (Tensor, Figure, Const, Unknown))
