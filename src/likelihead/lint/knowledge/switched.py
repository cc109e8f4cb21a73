"""Losses that are told what they take: ``from_logits=``, ``softmax=``, ``activation=``."""

from __future__ import annotations

from collections.abc import Callable

from likelihead.lint.knowledge.call import CONSTRUCTORS, Call
from likelihead.lint.knowledge.losses import Loss, call_loss
from likelihead.lint.knowledge.objects import CALLS
from likelihead.lint.values import UNKNOWN, Object, Value

__all__ = ["KINDS", "families", "register_switched"]

# What the losses of a family take, in words.
KINDS = {
    "overlap": "probabilities", "overlap_with_logits": "logits", "focal_with_logits": "logits",
    "cross_entropy": "logits", "bce_with_logits": "logits", "nll": "log-probabilities",
    "bce": "probabilities",
    "nll_of_probs": "probabilities",
}  # fmt: skip

Choose = Callable[[dict[str, Value]], "str | tuple[str, ...] | None"]


def families(chosen: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The parts of a loss; none if it is not known what it is."""
    return () if chosen is None else (chosen,) if isinstance(chosen, str) else chosen


def register_switched(
    name: str,
    parameters: tuple[str, ...],
    choose: Choose,
    input: tuple[int, str] = (0, "input"),
    target: tuple[int, str] = (1, "target"),
) -> None:
    """A class whose objects are a loss of the family (or the sum of several) that their options choose."""

    def called(criterion: Object, call: Call) -> Value:
        result: Value = UNKNOWN
        for family in families(choose(criterion.options)):
            loss = Loss(family, KINDS[family], input, target)
            result = call_loss(loss, name, call, criterion.options, criterion)
        return result

    CONSTRUCTORS[name] = lambda call: call.object(parameters)
    CALLS[name] = called
