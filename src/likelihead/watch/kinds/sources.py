"""Functions that make a kind: softmax, sigmoid, their logarithms and back, layers, classes, samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from likelihead.watch.kinds.rules import LOGARITHMS, PROBABILITIES, Rule, Rules, argument, named
from likelihead.watch.places import caller
from likelihead.watch.tags import Kind, Tag

__all__ = ["is_trained", "sources"]

_LOG: dict[str, Kind] = {"softmax": "log_of_softmax", "sigmoid": "log_of_sigmoid"}
_EXP: dict[str, Kind] = {
    "log_softmax": "softmax",
    "log_of_softmax": "softmax",
    "log_sigmoid": "sigmoid",
    "log_of_sigmoid": "sigmoid",
    "layer": "exp_of_layer",
}
_WITH_BIAS = {"addmm": 2, "addmv": 1, "addbmm": 2}  # torch.addmm(bias, x, weight): where the weight is


def sources(rules: Rules) -> None:
    """Add the rules."""
    rules.add(named("softmax"), _softmax(rules, "softmax"))
    rules.add(named("softmin"), _softmax(rules, "softmax", "softmin"))
    rules.add(named("log_softmax"), _softmax(rules, "log_softmax"))
    rules.add(named("gumbel_softmax"), _gumbel(rules))
    rules.add(named("sigmoid", "expit"), _pointwise(rules, "sigmoid", "sigmoid"))
    rules.add_in_place(named("sigmoid_"), _pointwise(rules, "sigmoid", "sigmoid"))
    rules.add(named("logsigmoid", "log_sigmoid"), _pointwise(rules, "log_sigmoid", "logsigmoid"))
    rules.add(named("log"), _log(rules))
    rules.add_in_place(named("log_"), _log(rules))
    rules.add(named("exp"), _exp(rules))
    rules.add_in_place(named("exp_"), _exp(rules))
    for name, position in _layers().items():
        rules.add(named(name), _layer(position))
    rules.add(named("one_hot", "eye"), lambda args, kwargs, result: Tag("one_hot", caller()))
    rules.add(named("argmax", "argmin"), _arg(rules))
    for name in ("max", "min", "topk"):
        rules.see(named(name), _ranked(rules, name))
    rules.add(named("amax"), _largest(rules))
    rules.add(
        named("multinomial", "bernoulli", "poisson", "binomial", "normal"),
        _sampled(rules),
    )
    rules.add_in_place(named("bernoulli_"), lambda args, kwargs, result: Tag("sampled", caller()))


def _layers() -> dict[str, int]:
    """Where the weight is among the arguments."""
    convolutions = [f"conv{transposed}{n}d" for transposed in ("", "_transpose") for n in (1, 2, 3)]
    return {**dict.fromkeys(("linear", "matmul", "mm", "__matmul__", *convolutions), 1), **_WITH_BIAS}


def is_trained(weight: Any) -> bool:
    """Whether this is a parameter, or a view of one: what it multiplies may come out as anything."""
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        return False
    if weight.is_leaf and weight.requires_grad:
        return True
    base = weight._base if weight._is_view() else None
    return base is not None and base.is_leaf and base.requires_grad


def _softmax(rules: Rules, kind: Kind, name: str = "") -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = argument(args, kwargs, 0, "input")
        dim = argument(args, kwargs, 1, "dim")
        implicit = dim is None
        if implicit:
            dim = 0 if result.dim() in (0, 1, 3) else 1  # as torch.nn.functional guesses
        if not isinstance(dim, int) or not result.dim():
            return None
        dim %= result.dim()
        before = rules.known(input)
        if before is not None:
            rules.engine.use(name or kind, before, dim=dim, input=input, implicit=implicit)
        return Tag(kind, caller(), dim, of=before)

    return rule


def _gumbel(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        if argument(args, kwargs, 2, "hard"):
            return Tag("sampled", caller())
        dim = argument(args, kwargs, 4, "dim")
        dim = -1 if dim is None else dim
        return Tag("softmax", caller(), dim % result.dim(), whole=False) if result.dim() else None

    return rule


def _pointwise(rules: Rules, kind: Kind, name: str) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = argument(args, kwargs, 0, "input")
        before = rules.known(input)
        if before is not None:
            rules.engine.use(name, before, input=input)
        return Tag(kind, caller(), of=before)

    return rule


def _log(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = argument(args, kwargs, 0, "input")
        before = rules.known(input)
        if before is None:
            return None
        rules.engine.use("log", before)
        kind = _LOG.get(before.kind)
        if kind is None or before.mixed:
            return None  # of an average there is no log-softmax that would give it
        return before.but(kind=kind, at=caller(), of=before)

    return rule


def _exp(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = argument(args, kwargs, 0, "input")
        before = rules.known(input)
        if before is None:
            return None
        rules.engine.use("exp", before, input=input)
        kind = _EXP.get(before.kind)
        return None if kind is None else before.but(kind=kind, at=caller(), of=before)

    return rule


def _layer(position: int) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        weight = argument(args, kwargs, position, "weight")
        return Tag("layer", caller(), layer=id(weight)) if is_trained(weight) else None

    return rule


def _arg(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = argument(args, kwargs, 0, "input")
        before = rules.known(input)
        if before is not None:
            dim = argument(args, kwargs, 1, "dim")
            dim = dim % input.dim() if isinstance(dim, int) and input.dim() else None
            rules.engine.use("argmax", before, dim=dim, input=input)
        return Tag("class_index", caller(), of=before)

    return rule


def _ranked(rules: Rules, name: str) -> Any:
    """``max`` and ``topk`` give values and their indices; ``max`` of all a value only."""

    def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        if torch._C._are_functorch_transforms_active():
            return
        input = argument(args, kwargs, 0, "input")
        before = rules.known(input)
        if isinstance(result, Tensor):
            if len(args) > 1 or "other" in kwargs:
                return  # of two tensors
            values, indices, dim = result, None, None
        else:
            values, indices = result
            given = argument(args, kwargs, 2, "dim") if name == "topk" else argument(args, kwargs, 1, "dim")
            dim = (-1 if given is None else given) % max(input.dim(), 1)
        if indices is not None and input.is_floating_point():
            rules.book.put(indices, Tag("class_index", caller(), of=before))
        if before is not None:
            if name != "min" or indices is not None:
                rules.engine.use("argmax" if name == "min" else name, before, dim=dim, input=input)
            if before.kind in PROBABILITIES or before.kind in LOGARITHMS or before.kind == "exp_of_layer":
                rules.book.put(values, before.but(dim=None, whole=False))

    return handler


def _largest(rules: Rules) -> Rule:
    """``amax``: values and no indices."""

    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        input = argument(args, kwargs, 0, "input")
        before = rules.known(input)
        if before is None:
            return None
        dim = argument(args, kwargs, 1, "dim")
        rules.engine.use("max", before, dim=dim % input.dim() if isinstance(dim, int) else None, input=input)
        kept = before.kind in PROBABILITIES or before.kind in LOGARITHMS or before.kind == "exp_of_layer"
        return before.but(dim=None, whole=False) if kept else None

    return rule


def _sampled(rules: Rules) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tag | None:
        before = rules.known(argument(args, kwargs, 0, "input"))
        if before is not None and before.kind == "exp_of_layer":
            rules.engine.use("normalised", before)  # drawn in proportion
        return Tag("sampled", caller(), of=before)

    return rule
