"""What the rules of the link share: a loss takes a value that went through the wrong link, or none."""

from __future__ import annotations

import ast
from collections.abc import Callable
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
    """Whether the result is negated, shifted or put beside a logsumexp where it is written or named."""
    tree = call.frame.scope.source.tree if call.frame.function is None else call.frame.function.node
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    at = call.node
    while _passes(parents.get(at), at):
        at = parents[at]
    above = parents.get(at)
    if isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Name):
        name = above.targets[0].id
        return any(_turns(one, lambda part: _is_named(part, name)) for one in ast.walk(tree))
    return above is not None and _turns(above, lambda part: part is at)


def _passes(above: ast.AST | None, at: ast.AST) -> bool:
    """Whether an expression is a method of the inner one, such as its mean."""
    return isinstance(above, ast.Attribute) or (isinstance(above, ast.Call) and above.func is at)


def _is_named(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _turns(node: ast.AST, is_loss: Callable[[ast.expr], bool]) -> bool:
    """Whether an operation makes of the loss what is no loss any more."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and is_loss(node.operand)
    if not isinstance(node, ast.BinOp) or not (is_loss(node.left) or is_loss(node.right)):
        return False
    other = node.right if is_loss(node.left) else node.left
    if "logsumexp" in ast.dump(other):
        return True
    try:
        amount = ast.literal_eval(other)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return isinstance(node.op, (ast.Add, ast.Sub)) or (isinstance(amount, (int, float)) and amount < 0)
