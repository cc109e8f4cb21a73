"""What tagged tensors are used for, and the changes in place after which nothing is known of a tensor."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from likelihead.watch.kinds.rules import Rules, argument, named
from likelihead.watch.mode import Handler

__all__ = ["changes", "uses"]

_COMPARISONS = ("gt", "lt", "ge", "le", "greater", "less", "greater_equal", "less_equal")
_OPERATORS = ("__gt__", "__lt__", "__ge__", "__le__")
_READ = {
    **{"item": "item", "__float__": "item", "__format__": "item", "__int__": "item"},
    **{"tolist": "tolist", "numpy": "numpy", "__array__": "numpy"},
}


def uses(rules: Rules) -> None:
    """Add the handlers of what only reads."""
    for name, what in _READ.items():
        rules.see(named(name), _read(rules, what))
    rules.see(named(*_COMPARISONS, *_OPERATORS), _compared(rules))
    rules.see(named("logsumexp"), _seen(rules, "logsumexp"))
    rules.see(named("normalize"), _seen(rules, "normalised"))


def changes(rules: Rules) -> None:
    """Add the handlers of what changes a tensor in a way that no rule knows."""
    rest = [
        function
        for name in dir(Tensor)
        if name.endswith("_") and not name.endswith("__")
        for function in named(name)
        if function not in rules.table
    ]
    rules.see([*rest, *(Tensor.data.__set__,)], _changed(rules))  # type: ignore[attr-defined]
    rules.see(_with_inplace(rules), _changed_if_in_place(rules))
    rules.see(_with_out(rules), _written_out(rules))


def _read(rules: Rules, what: str) -> Handler:
    def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        tag = rules.known(args[0])
        if tag is not None and tag.kind != "sequences":
            value = float(result) if what == "item" and isinstance(result, (int, float)) else None
            rules.engine.use(what, tag, value=value, input=args[0])

    return handler


def _compared(rules: Rules) -> Handler:
    def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        other = argument(args, kwargs, 1, "other")
        tag, beside = rules.known(args[0]), other
        if tag is None:
            tag, beside = rules.known(other), args[0]
        if tag is not None and tag.kind != "sequences":
            beside = beside if isinstance(beside, (int, float)) else None
            rules.engine.use("compare", tag, other=beside)

    return handler


def _seen(rules: Rules, what: str) -> Handler:
    def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        tag = rules.known(argument(args, kwargs, 0, "input"))
        if tag is not None:
            rules.engine.use(what, tag)

    return handler


def _changed(rules: Rules) -> Handler:
    def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        rules.book.changed(args[0] if args else kwargs.get("input", kwargs.get("tensor")))

    return handler


def _with_inplace(rules: Rules) -> list[Any]:
    return [
        function
        for function in vars(F).values()
        if inspect.isfunction(function)
        and function not in rules.table
        and "inplace" in inspect.signature(function).parameters
    ]


def _changed_if_in_place(rules: Rules) -> Handler:
    def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        if args and result is args[0]:
            rules.book.changed(result)

    return handler


def _with_out(rules: Rules) -> list[Any]:
    return [
        function
        for home in (torch, torch.special, torch._C._nn, torch.linalg)
        for function in vars(home).values()
        if inspect.isbuiltin(function) and function not in rules.table
    ]


def _written_out(rules: Rules) -> Handler:
    def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        if kwargs:
            out = kwargs.get("out")
            for tensor in out if isinstance(out, (tuple, list)) else (out,):
                if tensor is not None:
                    rules.book.changed(tensor)

    return handler
