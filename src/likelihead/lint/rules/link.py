"""What the rules of the link share: a loss takes a value that went through the wrong link, or none."""

from __future__ import annotations

import ast
from typing import ClassVar

from likelihead.lint.interpreter.events import LossCall, Reading
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.evidence import place
from likelihead.lint.values import Tensor

__all__ = ["LinkRule", "PickedRule"]


class LinkRule(Rule):
    """A loss of one family gets a tensor of one of some kinds.

    Attributes:
        family: of the loss.
        others: families of other losses of the same link.
        kinds: of the input, that are wrong for it.
        text: what is said of it; ``{loss}`` is its name, ``{kind}`` what it takes.
    """

    family: ClassVar[str]
    others: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]]
    text: ClassVar[str]

    def loss(self, call: LossCall) -> Verdict | None:
        value = call.input
        if call.loss.family != self.family and call.loss.family not in self.others:
            return None
        if not isinstance(value, Tensor) or value.kind not in self.kinds:
            return None
        return (
            Verdict(self.text.format(loss=call.name, kind=call.loss.kind), value)
            if self.applies(call, value)
            else None
        )

    def applies(self, call: LossCall, value: Tensor) -> bool:
        """What else has to be so."""
        return True


class PickedRule(LinkRule):
    """The rules of `nll_loss`, which also is a way to pick the entry of each target, with a minus before it.

    ``-nll_loss(p, y)`` is the probability of the target: generalised cross-entropy and mean absolute error
    are written with it, and energy-based models add a logsumexp to ``nll_loss(logits, y)``. So what becomes
    of the result decides. A mean or sum is the loss unless it is negated, shifted or put beside a logsumexp
    where it is written; losses of each example are one only where they are averaged or summed as they are.
    """

    family = "nll"

    def __init__(self) -> None:
        self._summed: set[int] = set()
        self._energies: set[int] = set()

    def loss(self, call: LossCall) -> Verdict | None:
        verdict = super().loss(call)
        if verdict is None or _is_turned(call):
            return None
        node, taken = id(call.node), place(call.input)
        if call.option("reduction", "mean") == "none":
            verdict.until = lambda: node in self._summed and taken not in self._energies
        else:
            verdict.until = lambda: taken not in self._energies
        return verdict

    def reading(self, event: Reading) -> Verdict | None:
        value = event.value
        if isinstance(value, Tensor) and value.made is not None:
            if event.name == "logsumexp":
                self._energies.add(place(value))
            elif event.name == "summed" and not value.marks & {"negated", "shifted"}:
                self._summed.add(place(value))
        return None


def _is_turned(call: LossCall) -> bool:
    """Whether the result is negated, shifted or put beside a logsumexp where it is written."""
    for top in ast.walk(call.frame.scope.source.tree):
        if call.node in ast.iter_child_nodes(top):
            if isinstance(top, ast.UnaryOp):
                return isinstance(top.op, ast.USub)
            if isinstance(top, ast.BinOp):
                other = top.right if top.left is call.node else top.left
                return _shifts(top, other) or "logsumexp" in ast.dump(other)
            return False
    return False


def _shifts(operation: ast.BinOp, other: ast.expr) -> bool:
    try:
        amount = ast.literal_eval(other)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        amount = None
    if isinstance(operation.op, (ast.Add, ast.Sub)):
        return amount is not None or (isinstance(operation.op, ast.Sub) and operation.right is not other)
    return isinstance(amount, (int, float)) and amount < 0
