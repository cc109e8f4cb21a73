"""What the rules of prediction share: a value is logits where a loss of the program takes it for logits."""

from __future__ import annotations

from typing import ClassVar

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule
from likelihead.lint.values import Object, Tensor, Value

__all__ = ["EvidenceRule", "place", "places"]

# A value that one of them takes may be any number; what it is in another loss is then no longer certain.
_OF_NUMBERS = frozenset(("mse", "l1", "poisson", "gaussian"))


class EvidenceRule(Rule):
    """A rule that waits for what the losses of the program say of a value.

    Attributes:
        families: of the losses that take logits, or whose misuse shows that logits are what is there.
    """

    families: ClassVar[frozenset[str]]

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._numbers: set[int] = set()
        self._kept: list[Value] = []  # whose identities are in the sets

    def learn(self, call: LossCall) -> None:
        """Remember what a loss takes, and what the link before it was applied to."""
        value = call.input
        if not isinstance(value, Tensor):
            return
        if call.loss.family in _OF_NUMBERS:
            self._numbers |= places(value)
        elif call.loss.family in self.families:
            logits = value.origin if value.kind == "sigmoid" else value
            if isinstance(logits, Tensor) and logits.kind == "logits":
                self._known |= places(logits)
        self._kept.append(value)

    def is_known(self, made: frozenset[int]) -> bool:
        """Whether what was made at one of these places is logits to each loss that takes it."""
        return not made.isdisjoint(self._known) and made.isdisjoint(self._numbers)


def places(value: Value | None) -> frozenset[int]:
    """Numbers for the place where a tensor was made and for the layer that made it, as far as known."""
    if not isinstance(value, Tensor) or value.made is None:
        return frozenset()
    layer = {id(value.origin)} if isinstance(value.origin, Object) else set()
    return frozenset({id(value.made.node)} | layer)


def place(value: Value | None) -> int:
    """A number for the place where a tensor was made; 0 where that is not known."""
    return id(value.made.node) if isinstance(value, Tensor) and value.made is not None else 0
