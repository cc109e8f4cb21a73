"""Calls: of the project's functions and classes by going into them, of all others by what is known of them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from likelihead.lint.interpreter.frames import Frame
from likelihead.lint.knowledge import containers, functions, objects, tensors
from likelihead.lint.values import (
    UNKNOWN,
    Bound,
    Class,
    Const,
    Context,
    Dict,
    External,
    Figure,
    Function,
    Instance,
    List,
    Made,
    Module,
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
)

if TYPE_CHECKING:
    from likelihead.lint.interpreter.modules import Modules as _Base
else:
    _Base = object

__all__ = ["Calls", "Exhausted"]

MAX_DEPTH = 24
# Nodes that one call may look at, with all that it calls.
CALL_BUDGET = 30_000

# Methods that are called on a user's object in place of a call of it.
_METHODS_OF_CALLS = ("__call__", "forward", "call")


class Exhausted(Exception):
    """The budget of a call is used up."""


class Calls(_Base):
    """The part of the interpreter that calls."""

    def spend(self, nodes: int) -> None:
        """Count looked-at nodes against the budget."""
        self.budget -= nodes
        if self.budget < 0:
            raise Exhausted

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
        if isinstance(function, Union):
            return map_union(function, lambda one: self.call(one, args, kwargs, node, frame))
        if isinstance(function, Function):
            return self.invoke(function, args, kwargs, node, frame)
        if isinstance(function, Bound):
            return self._call_bound(function, args, kwargs, node, frame)
        if isinstance(function, External):
            return functions.call(function.name, args, kwargs, self, node, frame)
        if isinstance(function, Class):
            return self.instantiate(function, args, kwargs, node, frame)
        if isinstance(function, Instance):
            return self._call_instance(function, args, kwargs, node, frame)
        if isinstance(function, Object):
            return objects.call(function, args, kwargs, self, node, frame)
        if isinstance(function, List):
            return containers.call_sequential(function, args, kwargs, self, node, frame)
        if isinstance(function, Partial):
            return self.call(
                function.function, [*function.args, *args], {**function.kwargs, **kwargs}, node, frame
            )
        return UNKNOWN

    def _call_bound(
        self, bound: Bound, args: list[Value], kwargs: dict[str, Value], node: ast.AST, frame: Frame
    ) -> Value:
        owner = bound.owner
        if bound.function is not None:
            instance = owner if isinstance(owner, Instance) else None
            return self.invoke(bound.function, [owner, *args], kwargs, node, frame, instance)
        if isinstance(owner, (Tensor, Figure, Unknown)):
            return tensors.method(owner, bound.name, args, kwargs, self, node, frame)
        if isinstance(owner, (List, Dict, Const)):
            return containers.method(owner, bound.name, args, kwargs, self, node, frame)
        if isinstance(owner, (Object, Instance)):
            return objects.method(owner, bound.name, args, kwargs, self, node, frame)
        if isinstance(owner, Super):
            return self._call_super(owner, bound.name, args, kwargs, node, frame)
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
            return objects.call(instance.base, args, kwargs, self, node, frame)
        return objects.method(instance, name, args, kwargs, self, node, frame)

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
            return objects.call(instance.base, args, kwargs, self, node, frame)
        return UNKNOWN

    # -- functions of the project

    def function(self, node: Any, name: str, frame: Frame) -> Function:
        """The function that a ``def`` or ``lambda`` makes."""
        defaults = [self.eval(one, frame) for one in node.args.defaults]
        kw_defaults = {
            arg.arg: self.eval(default, frame)
            for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults)
            if default is not None
        }
        decorators = tuple(_decorator_name(one) for one in getattr(node, "decorator_list", ()))
        closure = frame if frame.function is not None else frame.closure
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
        """The function after one decorator: those from outside are taken to leave what it computes as it is."""
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
        memo = (
            id(function.node),
            id(function.closure),
            tuple(map(key, args)),
            tuple((name, key(one)) for name, one in kwargs.items()),
        )
        known = self.memo.get(memo)
        if known is not None and known[0] == self.epoch and known[1] is caller.context.root:
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
        if _is_plain(result):
            self.memo[memo] = (self.epoch, caller.context.root, result)
        return self.returned(result, function, node, caller)

    def _run(self, function: Function, frame: Frame) -> Value:
        self.active[function.node] = self.active.get(function.node, 0) + 1
        whole = self.budget
        self.budget = min(whole, CALL_BUDGET)
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
        if not _carries(value):
            return value
        here = caller.scope.made(node, f"{function.name}()")
        return _passed(value, here)

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
            made = functions.construct(name, args, kwargs, self, node, frame)
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
        for name, value in [*zip(names, args), *kwargs.items()]:
            if name in names:
                instance.write(name, value, frame.context)
        found = instance.cls.find("__post_init__")
        if found is not None and isinstance(found[0], Function):
            self.invoke(found[0], [instance], {}, instance.cls.node, frame, instance)
        return True

    # -- attributes

    def attribute(self, value: Value, name: str, node: ast.AST, frame: Frame) -> Value:
        """``value.name``."""
        if isinstance(value, Union):
            return map_union(value, lambda one: self.attribute(one, name, node, frame))
        if isinstance(value, External):
            return External(f"{value.name}.{name}")
        if isinstance(value, Instance):
            return self._instance_attribute(value, name, node, frame)
        if isinstance(value, Module):
            return self.module_attribute(value.scope, name)
        if isinstance(value, Class):
            return self._class_attribute(value, name)
        if isinstance(value, Super):
            return self._super_attribute(value, name)
        if isinstance(value, Object):
            read = value.read(name, frame.context)
            return objects.attribute(value, name, self, node, frame) if read is None else read
        if isinstance(value, Tensor):
            return tensors.attribute(value, name, self, node, frame)
        if isinstance(value, Dict) and value.kind == "record":
            return value.items[name] if name in value.items else Bound(value, name)
        if isinstance(value, Dict) and value.kind == "ModuleDict" and name in value.items:
            return value.items[name]
        if isinstance(value, List) and value.names and name in value.names:
            return value.items[value.names.index(name)]
        if isinstance(value, (List, Dict, Const, Figure)):
            return Bound(value, name)
        if isinstance(value, Unknown) and name in tensors.TELLING_METHODS:
            return Bound(value, name)
        return UNKNOWN

    def _instance_attribute(self, instance: Instance, name: str, node: ast.AST, frame: Frame) -> Value:
        found = instance.read(name, frame.context)
        if found is not None:
            return found
        member = instance.cls.find(name)
        if member is not None:
            return self._bind_member(member[0], instance, name, node, frame)
        if name == "training":
            return UNKNOWN
        if name == "__class__":
            return instance.cls
        if self._set_elsewhere(instance, name, frame):
            found = instance.read(name, frame.context)
            if found is not None:
                return found
        if instance.base is not None:
            return self.attribute(instance.base, name, node, frame)
        return Bound(instance, name)

    def _bind_member(
        self, member: Value, instance: Instance, name: str, node: ast.AST, frame: Frame
    ) -> Value:
        if not isinstance(member, Function):
            return member
        if "staticmethod" in member.decorators:
            return member
        if "classmethod" in member.decorators:
            return Bound(instance.cls, name, member)
        if any(one in ("property", "cached_property") for one in member.decorators):
            return self.invoke(member, [instance], {}, node, frame, instance)
        return Bound(instance, name, member)

    def _set_elsewhere(self, instance: Instance, name: str, frame: Frame) -> bool:
        """Run the methods other than ``__init__`` that set an attribute that is asked for and is not there yet."""
        setters = [
            (cls, method) for cls in instance.cls.lineage() for method in self.setters(cls).get(name, ())
        ]
        ran = False
        for cls, method_name in setters:
            member = cls.members.get(method_name)
            mark = (id(instance), id(member))
            if isinstance(member, Function) and mark not in self.set_up and not self.active.get(member.node):
                self.set_up.add(mark)
                outside = frame.context
                frame.context = Context(outside)
                count = max(0, len(member.node.args.args) - 1)
                self.invoke(member, [instance, *[UNKNOWN] * count], {}, cls.node, frame, instance)
                frame.context = outside
                ran = True
        return ran

    def setters(self, cls: Class) -> dict[str, list[str]]:
        """Which methods of a class, other than its constructor, set which attributes."""
        found = self.setter_tables.get(cls.node)
        if found is None:
            found = {}
            for statement in cls.node.body:
                if (
                    isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef))
                    and statement.name != "__init__"
                ):
                    for one in ast.walk(statement):
                        if (
                            isinstance(one, ast.Attribute)
                            and isinstance(one.ctx, ast.Store)
                            and isinstance(one.value, ast.Name)
                            and one.value.id == "self"
                        ):
                            methods = found.setdefault(one.attr, [])
                            if statement.name not in methods:
                                methods.append(statement.name)
            self.setter_tables[cls.node] = found
        return found

    def _class_attribute(self, cls: Class, name: str) -> Value:
        member = cls.find(name)
        if member is None:
            return Const(cls.name) if name == "__name__" else UNKNOWN
        if isinstance(member[0], Function) and "classmethod" in member[0].decorators:
            return Bound(cls, name, member[0])
        return member[0]

    def _super_attribute(self, value: Super, name: str) -> Value:
        lineage = list(value.instance.cls.lineage())
        behind = lineage[lineage.index(value.after) + 1 :] if value.after in lineage else []
        for cls in behind:
            member = cls.members.get(name)
            if isinstance(member, Function):
                return Bound(value.instance, name, member)
            if member is not None:
                return member
        return Bound(value, name)

    def set_attribute(self, value: Value, name: str, new: Value, frame: Frame) -> None:
        """``value.name = new``."""
        context = frame.context if not isinstance(value, Union) else Context(frame.context)
        for one in alternatives(value):
            if isinstance(one, (Instance, Object)):
                if one.born.root is not context.root:
                    continue
                old = one.read(name, context)
                if old is None or key(old) != key(new):
                    self.epoch += 1
                one.write(name, new, context)
            elif isinstance(one, List) and one.names and name in one.names:
                self.set_item(one, Const(name), new, frame)
            elif isinstance(one, List) and one.kind == "Sequential":
                one.append(new, context)
            elif isinstance(one, Module) and one.scope is frame.scope:
                one.scope.frame.env[name] = new

    # -- what else the knowledge asks for

    def object_item(self, value: Object, index: Value, node: ast.AST, frame: Frame) -> Value:
        return objects.item(value, index, self, node, frame)

    def object_element(self, value: Object | Instance, node: ast.expr | None, frame: Frame) -> Value:
        return objects.element(value, self, node, frame)

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


def _is_plain(value: Value) -> bool:
    """Whether a value may be given out twice: nobody can change it."""
    if isinstance(value, Union):
        return all(map(_is_plain, value.options))
    if isinstance(value, List):
        return value.kind == "tuple" and all(map(_is_plain, value.items))
    return isinstance(value, (Tensor, Figure, Const, Unknown))


def _carries(value: Value) -> bool:
    """Whether there is a tensor or figure in it, whose way is recorded."""
    if isinstance(value, (Tensor, Figure)):
        return True
    if isinstance(value, Union):
        return any(map(_carries, value.options))
    if isinstance(value, List):
        return value.kind == "tuple" and any(map(_carries, value.items))
    return (
        isinstance(value, Dict)
        and value.kind in ("dict", "record")
        and any(map(_carries, value.items.values()))
    )


def _passed(value: Value, here: Made) -> Value:
    if isinstance(value, (Tensor, Figure)):
        return value.but(calls=(*value.calls, here)) if len(value.calls) < 8 else value
    if isinstance(value, Union):
        return Union(tuple(_passed(one, here) for one in value.options))
    if isinstance(value, List) and value.kind == "tuple":
        return List([_passed(one, here) for one in value.items], "tuple", value.born, value.names, value.made)
    if isinstance(value, Dict) and value.kind in ("dict", "record"):
        return Dict(
            {name: _passed(one, here) for name, one in value.items.items()},
            value.kind,
            value.born,
            value.rest,
        )
    return value
