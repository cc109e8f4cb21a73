"""Raw logits into the negative log-likelihood, which takes no logarithm."""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Tensor

__all__ = ["LH105"]


class LH105(Rule):
    """Raw logits into NLL."""

    code = "LH105"

    def loss(self, call: LossCall) -> Verdict | None:
        value = call.input
        if call.loss.family == "nll" and isinstance(value, Tensor) and value.kind == "logits":
            return Verdict(
                f"{call.name} expects log-probabilities, and this is the output of a layer as it is.", value
            )
        return None
