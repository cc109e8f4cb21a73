"""A softmax before the negative log-likelihood, which takes no logarithm."""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Tensor

__all__ = ["LH104"]


class LH104(Rule):
    """Softmax probabilities into NLL."""

    code = "LH104"

    def loss(self, call: LossCall) -> Verdict | None:
        value = call.input
        if call.loss.family == "nll" and isinstance(value, Tensor) and value.kind == "probs":
            return Verdict(
                f"{call.name} expects log-probabilities and takes no logarithm of this output of a softmax.",
                value,
            )
        return None
