"""The network of a script whose ``train(model, loader)`` nobody calls: the only one in the file.

So it is with a trainer's class that nobody makes an object of, and with a snippet whose ``model`` is nowhere
set.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from likelihead.lint.interpreter.frames import Frame
from likelihead.lint.values import UNKNOWN, Class, Function, Partial, Value, join

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Scope
    from likelihead.lint.interpreter.machine import Machine

__all__ = ["is_trainer", "lone_network", "takes_network", "unbound_network"]

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


def is_trainer(cls: Class) -> bool:
    """Whether a class is none of another library's, and so no network that holds another one."""
    return cls.is_known() and next(cls.externals(), None) is None


def unbound_network(name: str, machine: Machine, frame: Frame) -> Value:
    """What ``model`` is in a snippet that shows one network, and leaves out where it is made.

    The whole class may be left out but for its ``forward``.
    """
    scope = frame.scope
    if (
        name not in _PARAMETERS
        or scope is not machine.main
        or not scope.source.bound_names.isdisjoint((name, "*"))
    ):
        return UNKNOWN
    found = _of_class(machine, scope, Frame(scope, {}, scope.frame.context))
    if found is not None:
        return found
    forwards = [one for one in machine.functions if one.scope is scope and _is_cut_out(one)]
    if len(forwards) != 1 or machine.classes:
        return UNKNOWN
    return Partial(forwards[0], [UNKNOWN], {})


def _is_cut_out(function: Function) -> bool:
    spec = function.node.args
    return (
        function.name == "forward"
        and function.bound_class is None
        and function.closure is None
        and [one.arg for one in spec.args[:1]] == ["self"]
    )


def lone_network(parameter: str, machine: Machine, scope: Scope, outside: Frame) -> Value:
    """What a parameter of that name is in a file with one network: of the project, or else of a library."""
    if parameter not in _PARAMETERS:
        return UNKNOWN
    found = _of_class(machine, scope, outside)
    if found is not None:
        return found
    made = {id(one.made.node): one for one in machine.networks if one.made is not None}
    return next(iter(made.values())) if len(made) == 1 else UNKNOWN


def _of_class(machine: Machine, scope: Scope, outside: Frame) -> Value | None:
    """An object of the file's only network; unknown if there are several, and None if there is none."""
    classes = [one for one in machine.classes if one.scope is scope and _is_network(one)]
    if classes:
        used = _mentioned(machine, scope)
        classes = [one for one in classes if one.name not in used]
    names = map(machine.behind, scope.env.values())
    if any(isinstance(one, Class) and one.scope is not scope for one in names):
        return UNKNOWN  # the network may be one of another file
    if len(classes) > 1:
        return UNKNOWN
    if not classes:
        return None
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
    found: set[str] = set()
    for cls in machine.classes:
        if cls.scope is scope:
            found |= _names_in(cls.node)
    return found


@lru_cache(maxsize=1024)
def _names_in(node: ast.ClassDef) -> frozenset[str]:
    return frozenset(one.id for one in ast.walk(node) if isinstance(one, ast.Name) and one.id != node.name)
