"""Training or evaluation: what ``self.training`` is, where ``train()`` or ``eval()`` has just been called.

It is known while the latest of these calls, on that very object, stands in a frame that is still running and
in no branch that the present place is not in. Whatever else sets a mode, or may have, makes it unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from likelihead.lint.values import (
    Bound,
    Class,
    Context,
    External,
    Function,
    Instance,
    Object,
    Partial,
    Value,
    constant,
)

if TYPE_CHECKING:
    from likelihead.lint.interpreter.frames import Frame
    from likelihead.lint.interpreter.machine import Machine

__all__ = ["Mode", "forget", "mode_of", "note_call", "note_step", "signature"]

# Whether it trains (None: not known), and where that was said.
Mode = tuple["bool | None", "Frame", Context]

# What is called from there sets no mode.
_HARMLESS = ("torch.", "builtins.", "copy.")

# The steps that Lightning calls, and whether it has put the module in training mode then.
_STEPS = {"training_step": True, "validation_step": False, "test_step": False, "predict_step": False}


def note_call(machine: Machine, owner: Value, name: str, args: list[Value], frame: Frame) -> None:
    """``owner.train()``, ``owner.train(mode)`` or ``owner.eval()``: also of its parts."""
    mode = name == "train" and (constant(args[0]) if args else True)
    for number in list(machine.modes):
        if not isinstance(owner, Instance) or number != id(owner):
            _set(machine, number, None, frame)
    if isinstance(owner, Instance) and _asks(machine, owner):
        _set(machine, id(owner), mode if isinstance(mode, bool) else None, frame)


def note_step(machine: Machine, instance: Instance, name: str, frame: Frame) -> None:
    """Lightning calls a step; in those of an evaluation all parts are in evaluation mode too."""
    mode = _STEPS.get(name)
    if mode is None or not any(base.endswith("LightningModule") for base in instance.cls.externals()):
        return
    parts = [] if mode else [cell.value for cell in instance.attrs.values()]
    for one in (instance, *parts):
        if isinstance(one, Instance) and _asks(machine, one):
            _set(machine, id(one), mode, frame)


def forget(machine: Machine, function: Value, args: Sequence[Value], node: ast.AST, frame: Frame) -> None:
    """Something is called: if it is not gone into, it may set the mode of what it is given."""
    if isinstance(function, (Class, Function, Instance, Object, Partial)):
        return
    if isinstance(function, Bound) and (
        function.function is not None or isinstance(function.owner, Instance)
    ):
        return  # a method of the project or of torch
    if isinstance(function, External) and function.name.startswith(_HARMLESS):
        return
    named = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
    given = {id(one) for one in args}
    for number in list(machine.modes):
        if number in given or named in ("train", "eval"):
            _set(machine, number, None, frame)


def mode_of(machine: Machine, number: int, frame: Frame) -> bool | None:
    """Whether an object is in training mode, as seen from this frame; None where that is not known."""
    known = machine.modes.get(number)
    if known is None or known[0] is None or not known[2].surrounds(frame.context):
        return None
    at: Frame | None = frame
    while at is not None and at is not known[1]:
        at = at.caller
    return None if at is None else known[0]


def signature(machine: Machine, frame: Frame) -> tuple[tuple[int, bool | None], ...]:
    """The modes that a function may see that is called from here."""
    return tuple((number, mode_of(machine, number, frame)) for number in machine.modes)


def _set(machine: Machine, number: int, mode: bool | None, frame: Frame) -> None:
    known = machine.modes.get(number)
    if known is None or known[0] is not mode or known[1] is not frame:
        machine.epoch += 1  # what was remembered of a function may rest on another mode, or have set one
    machine.modes[number] = (mode, frame, frame.context)


def _asks(machine: Machine, instance: Instance) -> bool:
    """Whether a class of the object reads ``self.training``."""
    node = instance.cls.node
    known = machine.asking.get(node)
    if known is None:
        known = machine.asking[node] = any(
            isinstance(one, ast.Attribute) and one.attr == "training"
            for cls in instance.cls.lineage()
            if ".training" in cls.scope.source.text
            for one in ast.walk(cls.node)
        )
    return known
