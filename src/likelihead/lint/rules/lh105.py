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
        taken = call.loss.family in ("nll", "nll_of_probs")
        if taken and isinstance(value, Tensor) and value.kind == "logits":
            return Verdict(
                f"{call.name} expects {call.loss.kind}, and this is the output of a layer as it is.", value
            )
        return None
