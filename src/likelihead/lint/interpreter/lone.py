"""The network of a script whose ``train(model, loader)`` nobody calls: the only one in the file."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from likelihead.lint.values import UNKNOWN, Class, Function, Value, join

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame, Scope
    from likelihead.lint.interpreter.machine import Machine

__all__ = ["lone_network", "takes_network"]

_PARAMETERS = frozenset(("model", "net", "network", "classifier"))
_MODULES = ("nn.Module", "nn.Sequential", "LightningModule", "PreTrainedModel")
# A class of such a name is a part of a network, or its loss, wherever it is used.
_PARTS = re.compile(
    r"loss|criteri|dice|focal|attention|attn|block|layer|encoder|decoder|head|backbone|pool|norm|embed|wrapper"
    r"|teacher|gate|router|smooth|metric|discriminator|generator|critic|actor|policy",
    re.IGNORECASE,
)
_TARGETS = re.compile(r"target|label|truth|y_true|^y$|^gt")


def takes_network(function: Function) -> bool:
    """Whether a function has a parameter for the network, without a default."""
    spec = function.node.args
    required = [*spec.posonlyargs, *spec.args]
    required = required[: len(required) - len(function.defaults)]
    return any(one.arg in _PARAMETERS for one in required)


def lone_network(parameter: str, machine: Machine, scope: Scope, outside: Frame) -> Value:
    """What a parameter of that name is in a file with one network: of the project, or else of a library."""
    if parameter not in _PARAMETERS:
        return UNKNOWN
    classes = [one for one in machine.classes if one.scope is scope and _is_network(one)]
    used = _mentioned(machine, scope)
    classes = [one for one in classes if one.name not in used]
    if any(
        isinstance(one, Class) and one.scope is not scope for one in map(machine.behind, scope.env.values())
    ):
        return UNKNOWN  # the network may be one of another file
    if len(classes) > 1:
        return UNKNOWN
    if not classes:
        made = {id(one.made.node): one for one in machine.networks if one.made is not None}
        return next(iter(made.values())) if len(made) == 1 else UNKNOWN
    found: Value | None = None
    for instance in machine.instances:
        if instance.cls.node is classes[0].node and instance.born.root is machine.root_context:
            found = instance if found is None else join(found, instance)
    if found is not None:
        return found
    init = classes[0].find("__init__")
    count = len(init[0].node.args.args) - 1 if init and isinstance(init[0], Function) else 0
    return machine.instantiate(classes[0], [UNKNOWN] * count, {"**": UNKNOWN}, classes[0].node, outside)


def _is_network(cls: Class) -> bool:
    """Whether a class is a module that takes an input alone, and no part or loss by its name."""
    forward = cls.find("forward")
    if forward is None or not isinstance(forward[0], Function) or _PARTS.search(cls.name):
        return False
    parameters = [one.arg for one in forward[0].node.args.args[1:]]
    if not parameters or any(_TARGETS.search(one) for one in parameters):
        return False
    return any(name.endswith(_MODULES) for name in cls.externals())


def _mentioned(machine: Machine, scope: Scope) -> set[str]:
    """The names that the classes of the file use in their bodies: their parts and bases."""
    return {
        node.id
        for cls in machine.classes
        if cls.scope is scope
        for node in ast.walk(cls.node)
        if isinstance(node, ast.Name) and node.id != cls.name
    }
