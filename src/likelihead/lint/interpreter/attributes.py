"""Attributes: of the project's objects and classes, and of what comes from outside."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from likelihead.lint.interpreter.frames import Frame
from likelihead.lint.interpreter.machine import Machine
from likelihead.lint.knowledge import objects, tensors
from likelihead.lint.knowledge.call import OPS
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
    Module,
    Object,
    Super,
    Tensor,
    Union,
    Unknown,
    Value,
    alternatives,
    key,
    map_union,
    without_none,
)

__all__ = ["Attributes"]

# Where what torch.compile and DistributedDataParallel put around a module has it.
_AROUND = ("module", "_orig_mod")


class Attributes(Machine):
    """The part of the interpreter that reads and sets attributes."""

    def attribute(self, value: Value, name: str, node: ast.AST, frame: Frame) -> Value:
        """``value.name``."""
        if isinstance(value, Union):
            if all(isinstance(one, Tensor) for one in value.options) and name in OPS:
                return Bound(value, name)  # one call: what is reported of it has to hold for each
            return map_union(without_none(value), lambda one: self.attribute(one, name, node, frame))
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
        if isinstance(value, List) and (named := value.named(name)) is not None:
            return named
        if isinstance(value, List) and value.kind == "Sequential" and name in _AROUND:
            return value
        if isinstance(value, Figure) and name == "data":
            return value
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
            found = self.attribute(instance.base, name, node, frame)
            is_method = isinstance(found, Bound) and found.owner is instance.base
            return Bound(instance, name) if is_method else found
        if name in _AROUND:
            return instance
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
        """Run the methods other than ``__init__`` that set an attribute which is not there yet."""
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
            found = self.setter_tables[cls.node] = {}
            for method in cls.node.body:
                if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and method.name != "__init__":
                    for name in dict.fromkeys(_attributes_set(method.body)):
                        found.setdefault(name, []).append(method.name)
        return found

    def _class_attribute(self, cls: Class, name: str) -> Value:
        member = cls.find(name)
        if member is None:
            if name in ("from_pretrained", "load_from_checkpoint", "from_config", "_from_config"):
                return Bound(cls, name) if next(cls.externals(), None) is not None else UNKNOWN
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
        known_otherwise = [id(one) for one in frame.env.values()] if isinstance(value, Union) else []
        for one in alternatives(value):
            # Whichever of several it is, that one has it afterwards; another name may mean the other.
            context = Context(frame.context) if id(one) in known_otherwise else frame.context
            if isinstance(one, (Instance, Object)):
                if one.born.root is not context.root:
                    continue
                old = one.read(name, context)
                if old is not None and key(old) != key(new):
                    self.epoch += 1
                one.write(name, new, context)
            elif isinstance(one, List) and one.names and name in one.names:
                self.set_item(one, Const(name), new, frame)
            elif isinstance(one, List) and one.kind == "Sequential":
                one.append(new, context, name)
            elif isinstance(one, Module) and one.scope is frame.scope:
                one.scope.frame.env[name] = new

    def set_training(self, instance: Instance, mode: Value, frame: Frame) -> None:
        """``module.train(mode)``; behind a branch in which it is called the mode is not known."""
        if instance.read("training", instance.born) is None and instance.born.root is frame.context.root:
            instance.write("training", UNKNOWN, instance.born)
            self.moded.append(instance)
        self.set_attribute(instance, "training", mode, frame)

    def forget_training(self) -> None:
        """Of what is run on its own it is not known in which mode."""
        for instance in self.moded:
            instance.attrs.pop("training", None)
            self.epoch += 1
        self.moded.clear()

    def object_item(self, value: Object, index: Value, node: ast.AST, frame: Frame) -> Value:
        return objects.item(value, index, self, node, frame)

    def object_element(self, value: Object | Instance, node: ast.expr | None, frame: Frame) -> Value:
        return objects.element(value, self, node, frame)


def _attributes_set(statements: list[ast.stmt]) -> Iterator[str]:
    """The attributes of ``self`` that statements assign, those within branches and loops as well."""
    for statement in statements:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = list(statement.targets)
        elif isinstance(statement, (ast.AnnAssign, ast.AugAssign, ast.For)):
            targets = [statement.target]
        for target in targets:
            for one in target.elts if isinstance(target, (ast.Tuple, ast.List)) else (target,):
                if (
                    isinstance(one, ast.Attribute)
                    and isinstance(one.value, ast.Name)
                    and one.value.id == "self"
                ):
                    yield one.attr
        for field in ("body", "orelse", "finalbody"):
            yield from _attributes_set(getattr(statement, field, []))
        for handler in getattr(statement, "handlers", []):
            yield from _attributes_set(handler.body)
