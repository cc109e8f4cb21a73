"""What the handlers of this folder share: torch's functions by name, and how a rule becomes a handler.

A rule answers with the tag of the result, or with None where nothing is known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from likelihead.watch.mode import Handler
from likelihead.watch.tags import Tag

if TYPE_CHECKING:
    from likelihead.watch.engine import Engine

__all__ = [
    *("LOGARITHMS", "PROBABILITIES", "Rule", "Rules", "argument", "getters", "named", "number", "sizes"),
]

Rule = Callable[[tuple[Any, ...], dict[str, Any], Tensor], Tag | None]  # args, kwargs, result

PROBABILITIES = frozenset({"softmax", "sigmoid"})
LOGARITHMS = frozenset({"log_softmax", "log_sigmoid", "log_of_softmax", "log_of_sigmoid"})

_HOMES = (torch, Tensor, F, torch.special, torch._C._nn)


def named(*names: str) -> list[Any]:
    """Every function of torch under these names: of the module, of tensors, of ``nn.functional``, ..."""
    found: dict[Any, None] = {}
    for name in names:
        for home in _HOMES:
            function = vars(home).get(name) if home is F else getattr(home, name, None)
            if callable(function) and not isinstance(function, (type, type(torch))):
                found[function] = None
    return list(found)


def getters(*names: str) -> list[Any]:
    """What arrives where these properties of a tensor are read."""
    return [getattr(Tensor, name).__get__ for name in names]


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str) -> Any:
    """An argument, whichever way it was given."""
    return args[position] if len(args) > position else kwargs.get(name)


def number(value: Any) -> float | None:
    """A Python number; a tensor may be trained, or on a device that would have to be waited for."""
    return float(value) if isinstance(value, (int, float)) else None


def sizes(tensor: Tensor, dims: Iterable[int]) -> int:
    """How many numbers lie along these dimensions."""
    count = 1
    for dim in dims:
        count *= tensor.size(dim)
    return count


class Rules:
    """Makes handlers of rules, for one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.book = engine.book
        self.table: dict[Any, Handler] = {}

    def known(self, tensor: Any) -> Tag | None:
        """The tag of an argument."""
        return self.book.get(tensor)

    def add(self, functions: Iterable[Any], rule: Rule) -> None:
        """The result of these functions is tagged as the rule says."""
        book = self.book

        def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            if type(result) is not Tensor or torch._C._are_functorch_transforms_active():
                return
            tag = rule(args, kwargs, result)
            if kwargs and kwargs.get("out") is not None:
                book.changed(result)
            if tag is not None:
                book.put(result, tag)

        self.table.update(dict.fromkeys(functions, handler))

    def add_in_place(self, functions: Iterable[Any], rule: Rule) -> None:
        """These change their first argument, number by number, and the rule says to what."""
        book = self.book

        def handler(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            changed = args[0] if args else kwargs.get("input")
            before = book.before(changed)
            book.changed(changed)
            if type(changed) is not Tensor or torch._C._are_functorch_transforms_active():
                return
            if before is not None:
                book.put(changed, before)
            tag = rule(args, kwargs, changed)
            if tag is not None:
                book.put(changed, tag)
            elif before is not None:
                book.forget(changed)

        self.table.update(dict.fromkeys(functions, handler))

    def see(self, functions: Iterable[Any], handler: Handler) -> None:
        """Call this after these functions."""
        self.table.update(dict.fromkeys(functions, handler))
