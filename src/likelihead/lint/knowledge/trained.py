"""Trainers of other libraries: the model meets its loss where both are handed over."""

from __future__ import annotations

from likelihead.lint.knowledge.call import Call
from likelihead.lint.knowledge.losses import Loss, call_loss
from likelihead.lint.values import (
    UNKNOWN,
    Class,
    Const,
    External,
    Instance,
    List,
    Object,
    Tensor,
    Value,
    map_union,
)

__all__ = ["made_of", "output_of", "take", "without_shape"]


def made_of(value: Value, options: dict[str, Value], call: Call) -> Value:
    """An object of what may be a class or one already."""
    if isinstance(value, (Class, External)):
        return call.interpreter.call(value, [], options, call.node, call.frame)
    return value


def output_of(model: Value, call: Call) -> Value:
    """What a model gives for an input of which nothing is known."""
    if not isinstance(model, (Instance, Object, List)):
        return UNKNOWN
    return call.interpreter.call(model, [UNKNOWN], {}, call.node, call.frame)


def without_shape(value: Value) -> Value:
    """The same output where the library brings it into the shape that the loss asks for."""
    return map_union(value, lambda one: one.but(shape=None) if isinstance(one, Tensor) else one)


def take(loss: Loss, name: str, value: Value, options: dict[str, Value], call: Call) -> Value:
    """The loss takes this, at this call, and a target of which nothing is known."""
    arguments: list[Value] = [UNKNOWN, UNKNOWN]
    arguments[loss.input[0]] = value
    inner = Call(name, arguments, {}, call.interpreter, call.node, call.frame)
    return call_loss(loss, name, inner, options, None)


def meet(criterion: Value, value: Value, call: Call, target: Value = UNKNOWN) -> Value:
    """A criterion, whatever it is, is called with an output."""
    if isinstance(criterion, Const) or value is UNKNOWN:
        return UNKNOWN
    return call.interpreter.call(criterion, [value, target], {}, call.node, call.frame)
