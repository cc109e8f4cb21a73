"""Raw logits into binary cross-entropy, which expects probabilities."""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Tensor

__all__ = ["LH108"]


class LH108(Rule):
    """Raw logits into BCE."""

    code = "LH108"

    def loss(self, call: LossCall) -> Verdict | None:
        value = call.input
        if call.loss.family == "bce" and isinstance(value, Tensor) and value.kind == "logits":
            return Verdict(
                f"{call.name} expects probabilities, and this is the output of a layer as it is.", value
            )
        return None
