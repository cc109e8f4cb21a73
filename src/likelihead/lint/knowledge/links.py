"""Links: what a softmax, sigmoid, log or exp makes of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from likelihead.lint.interpreter.events import Link, Reading
from likelihead.lint.knowledge import figures
from likelihead.lint.knowledge.call import Call, external, op, tell
from likelihead.lint.values import (
    UNKNOWN,
    Const,
    Figure,
    List,
    Object,
    Tensor,
    Union,
    Value,
    alternatives,
    map_union,
)

if TYPE_CHECKING:
    pass

__all__ = ["apply_link"]


def apply_link(name: str, value: Value, dim: Any, call: Call, layer: Object | None = None) -> Value:
    """A softmax, log_softmax, softmin, sigmoid or logsigmoid of a value, whatever it is."""
    kind = {
        "softmax": "probs", "gumbel_softmax": "probs", "softmin": "probs", "log_softmax": "log_probs",
        "sigmoid": "sigmoid", "logsigmoid": "log_sigmoid",
    }[name]  # fmt: skip
    text = name if kind in ("sigmoid", "log_sigmoid") else f"{name} {_over(dim)}"
    inputs = [one for one in alternatives(value) if isinstance(one, Tensor)]
    shape = inputs[0].shape if len(inputs) == 1 and not isinstance(value, Union) else None
    made = call.made(text)
    output = Tensor(kind, made, dim, shape, "float", origin=value)
    call.interpreter.emit(Link(call.node, call.frame, name, value, output, layer))
    return output


def _over(dim: Any) -> str:
    if dim is None:
        return "over no named dimension"
    return "over the classes" if dim == "?" else f"over dimension {dim}"


@op("softmax", "log_softmax", "softmin", "gumbel_softmax")
def _softmax(call: Call) -> Value:
    position = 4 if call.name.endswith("gumbel_softmax") else 1
    dim = call.const(position, "dim", call.const(9, "axis", -1 if position == 4 else None))
    name = call.name.rpartition(".")[2]
    return apply_link(name, call.get(0, "input"), "?" if dim is ... else dim, call)


@op("sigmoid", "sigmoid_", "expit", "hardsigmoid")
def _sigmoid(call: Call) -> Value:
    return apply_link("sigmoid", call.get(0, "input"), None, call)


@op("logsigmoid")
def _logsigmoid(call: Call) -> Value:
    return apply_link("logsigmoid", call.get(0, "input"), None, call)


@op("log", "log_")
def _log(call: Call) -> Value:
    def one(value: Value) -> Value:
        if isinstance(value, Figure):
            return UNKNOWN
        if not isinstance(value, Tensor):
            return UNKNOWN
        kinds = {"probs": "log_probs", "sigmoid": "log_sigmoid", "sum_exp": "lse", "exp_logits": "logits"}
        kind = kinds.get(value.kind)
        if kind is None:
            return UNKNOWN
        made = call.made("log of a softmax") if value.kind == "probs" else call.made("log")
        output = value.but(kind=kind, made=made, marks=value.marks | {"by hand"}, origin=value, calls=())
        if not call.name.startswith(("numpy.", "math.")):  # which have no log_softmax to use instead
            call.interpreter.emit(Link(call.node, call.frame, "log", value, output))
        return output

    return map_union(call.get(0, "input"), one)


@op("exp", "exp_")
def _exp(call: Call) -> Value:
    value = call.get(0, "input")
    call.interpreter.emit(Reading(call.node, call.frame, "exp", value))

    def one(value: Value) -> Value:
        if isinstance(value, (Figure, List)):
            return figures.exp(value, call)
        if isinstance(value, Const):
            return UNKNOWN
        kind = {"log_probs": "probs", "log_sigmoid": "sigmoid", "logits": "exp_logits"}.get(
            value.kind if isinstance(value, Tensor) else "", "exp"
        )
        shape = value.shape if isinstance(value, Tensor) else None
        marks = value.marks if isinstance(value, Tensor) else frozenset()
        dim = value.dim if isinstance(value, Tensor) else None
        output = Tensor(kind, call.made("exp"), dim, shape, "float", marks, origin=value)
        call.interpreter.emit(Link(call.node, call.frame, "exp", value, output))
        return output

    return map_union(value, one)


@op("logsumexp")
def _logsumexp(call: Call) -> Value:
    tell("logsumexp", call.get(0, "input"), call)
    return Tensor("lse", call.made("logsumexp"), dtype="float")


@op("normalize")
@external("torch.distributions.Categorical", "torch.distributions.categorical.Categorical")
@external("torch.distributions.OneHotCategorical")
def _normalised(call: Call) -> Value:
    """What divides its first argument by the sum itself."""
    tell("normalised", call.get(0, "probs"), call)
    return UNKNOWN
