"""A softmax before binary cross-entropy with logits, which takes a sigmoid of it."""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Tensor

__all__ = ["LH107"]


class LH107(Rule):
    """Softmax output into BCE-with-logits."""

    code = "LH107"

    def loss(self, call: LossCall) -> Verdict | None:
        value = call.input
        if call.loss.family == "bce_with_logits" and isinstance(value, Tensor) and value.kind == "probs":
            return Verdict(f"{call.name} applies a sigmoid to this output of a softmax.", value)
        return None
