"""Objects of classes from outside: layers, losses, loaders, and modules in general."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from likelihead.lint.interpreter import modes
from likelihead.lint.knowledge import layers, losses
from likelihead.lint.knowledge.call import CONSTRUCTORS, EXTERNALS, OPS, SELF_METHODS, Call
from likelihead.lint.values import (
    UNKNOWN,
    Bound,
    Const,
    Instance,
    List,
    Object,
    Tensor,
    Value,
    constant,
    map_union,
)

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.interpreter.machine import Machine

__all__ = [
    "ARGUMENTS",
    "ATTRIBUTES",
    "CALLS",
    "ELEMENTS",
    "METHODS",
    "STARS",
    "argument",
    "attribute",
    "call",
    "element",
    "item",
    "method",
    "public_names",
    "starred",
]

# What an object of a class does when it is called, when it is iterated over, and its methods and attributes,
# by the dotted name of the class; a library's table of knowledge adds its own.
CALLS: dict[str, Callable[[Object, Call], Value]] = {}
ELEMENTS: dict[str, Callable[[Object, Call], Value]] = {}
METHODS: dict[tuple[str, str], Callable[[Object, Call], Value]] = {}
ATTRIBUTES: dict[str, Callable[[Object, str, Call], Value]] = {}
# What a library hands the methods that it calls, by the dotted name of the class and the parameter's name.
ARGUMENTS: dict[tuple[str, str], Callable[[Object], Value]] = {}
# What ``from module import *`` brings, as names and the dotted names that they stand for.
STARS: dict[str, dict[str, str]] = {}


# The lists that are modules themselves.
_MODULES = ("Sequential", "ModuleList")


def call(owner: Object, this: Call) -> Value:
    """An object is called: a layer is applied, a loss taken."""
    if owner.name in losses.LOSSES:
        return losses.call_criterion(owner, this)
    if owner.name in CALLS:
        return CALLS[owner.name](owner, this)
    if owner.name in layers.LAYERS:
        return layers.apply(owner, this)
    return UNKNOWN


def method(owner: Value, this: Call) -> Value:
    """A method of an object that the project does not define."""
    name, args = this.name, this.args
    this.owner = owner
    base = owner.base if isinstance(owner, Instance) else owner
    if isinstance(base, Object):
        handler = METHODS.get((base.name, name))
        if handler is not None:
            return handler(base, this)
        if name in ("forward", "__call__"):
            return call(base, this)
    if name in ("train", "eval"):
        modes.note_call(this.interpreter, owner, name, args, this.frame)
    if name in SELF_METHODS:
        return owner
    if name in ("forward", "__call__") and isinstance(owner, Instance):
        return UNKNOWN
    if name in ("add_module", "register_module", "__setattr__") and len(args) >= 2:
        attribute_name = constant(args[0])
        if isinstance(attribute_name, str):
            this.interpreter.set_attribute(owner, attribute_name, args[1], this.frame)
        return Const(None)
    if name == "children" and isinstance(owner, Instance):
        return _children(owner, this.frame)
    return UNKNOWN


def _children(owner: Instance, frame: Frame) -> Value:
    """The layers of a user's module in the order of their definition, where each attribute is known."""
    inner = [owner.read(name, frame.context) for name in owner.attrs]
    others = [one for one in inner if one is not None and not isinstance(one, Const)]
    if all(
        isinstance(one, (Object, Instance)) or (isinstance(one, List) and one.kind in _MODULES)
        for one in others
    ):
        return List(others, "list", frame.context)
    return UNKNOWN


def attribute(owner: Object, name: str, interpreter: Machine, node: ast.AST, frame: Frame) -> Value:
    """An attribute of an object that the analysed program did not set."""
    if owner.name in ATTRIBUTES:
        found = ATTRIBUTES[owner.name](owner, name, Call(name, [], {}, interpreter, node, frame))
        if found is not UNKNOWN:
            return found
    if name in owner.options:
        return owner.options[name]
    return Bound(owner, name)


def item(owner: Object, index: Value, interpreter: Machine, node: ast.AST, frame: Frame) -> Value:
    """``object[index]``."""
    if owner.name in ELEMENTS:
        return ELEMENTS[owner.name](owner, Call("[]", [index], {}, interpreter, node, frame))
    return UNKNOWN


def element(owner: Object | Instance, interpreter: Machine, node: ast.expr | None, frame: Frame) -> Value:
    """Any one entry of an object that is iterated over."""
    if isinstance(owner, Object):
        if owner.name in ELEMENTS:
            return ELEMENTS[owner.name](owner, Call("for", [], {}, interpreter, node or ast.Pass(), frame))
        return UNKNOWN
    for name in ("__iter__", "__getitem__"):
        found = owner.cls.find(name)
        if found is not None:
            bound = interpreter.attribute(owner, name, node or owner.cls.node, frame)
            args = [] if name == "__iter__" else [UNKNOWN]
            result = interpreter.call(bound, list(args), {}, node or owner.cls.node, frame)
            if name == "__getitem__":
                return result
            return map_union(result, lambda one: _next(one, interpreter, node or owner.cls.node, frame))
    return UNKNOWN


def argument(owner: Instance | None, parameter: str) -> Value:
    """What the library that calls a method of the object hands it under this name."""
    base = owner.base if owner is not None else None
    handler = ARGUMENTS.get((base.name, parameter)) if base is not None else None
    return handler(base) if handler is not None and base is not None else UNKNOWN


def starred(module: str) -> dict[str, str]:
    """What ``from module import *`` brings, by dotted name."""
    return STARS.get(module) or {name: f"{module}.{name}" for name in public_names(module)}


def _next(iterator: Value, interpreter: Machine, node: ast.AST, frame: Frame) -> Value:
    """An entry of what ``__iter__`` returned, which may be the object itself."""
    if not isinstance(iterator, Instance):
        return interpreter.element(iterator, None, frame)
    if iterator.cls.find("__next__") is None:
        return UNKNOWN
    bound = interpreter.attribute(iterator, "__next__", node, frame)
    return interpreter.call(bound, [], {}, node, frame)


def public_names(module: str) -> Iterable[str]:
    """The names that ``from module import *`` brings, as far as anything is known of them."""
    prefix = f"{module}."
    names = {
        name[len(prefix) :]
        for table in (CONSTRUCTORS, EXTERNALS)
        for name in table
        if name.startswith(prefix)
    }
    if module in ("torch", "torch.nn.functional"):
        names |= set(OPS)
    names |= {"torch": {"nn", "optim", "no_grad"}, "torch.nn": {"Module", "functional"}}.get(module, set())
    return sorted(name for name in names if "." not in name)


def _subset_element(owner: Object, call: Call) -> Value:
    return call.interpreter.item(owner.options.get("dataset", UNKNOWN), UNKNOWN, call.node, call.frame)


ELEMENTS["torch.utils.data.Subset"] = _subset_element


def _tensor_dataset_element(owner: Object, call: Call) -> Value:
    tensors = owner.options.get("*")
    if not isinstance(tensors, List):
        return UNKNOWN
    rows: list[Value] = []
    for one in tensors.items:
        if isinstance(one, Tensor):
            shape = None if one.shape is None or one.shape[:1] == (...,) else one.shape[1:]
            rows.append(one.but(shape=shape))
        else:
            rows.append(UNKNOWN)
    return List(rows, "tuple", call.frame.context)


ELEMENTS["torch.utils.data.TensorDataset"] = _tensor_dataset_element
