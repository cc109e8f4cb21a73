"""What the rules of prediction share: a value is logits where a loss of the program takes it for logits."""

from __future__ import annotations

from typing import ClassVar

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule
from likelihead.lint.values import Tensor, Value

__all__ = ["EvidenceRule", "place"]

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

    def learn(self, call: LossCall) -> None:
        """Remember what a loss takes, and what the link before it was applied to."""
        value = call.input
        if not isinstance(value, Tensor):
            return
        if call.loss.family in _OF_NUMBERS:
            self._numbers.add(place(value))
        elif call.loss.family in self.families:
            logits = value.origin if value.kind == "sigmoid" else value
            if isinstance(logits, Tensor) and logits.kind == "logits":
                self._known.add(place(logits))

    def is_known(self, made: int) -> bool:
        """Whether what was made at this place is logits to each loss that takes it."""
        return made != 0 and made in self._known and made not in self._numbers


def place(value: Value | None) -> int:
    """A number for the place where a tensor was made; 0 where that is not known."""
    return id(value.made.node) if isinstance(value, Tensor) and value.made is not None else 0
