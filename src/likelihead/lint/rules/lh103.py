"""A log-softmax before cross-entropy, which takes another one to no effect."""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Tensor

__all__ = ["LH103"]


class LH103(Rule):
    """Log-softmax output into cross-entropy: redundant, the same value."""

    code = "LH103"

    def loss(self, call: LossCall) -> Verdict | None:
        value = call.input
        if call.loss.family == "cross_entropy" and isinstance(value, Tensor) and value.kind == "log_probs":
            return Verdict(
                f"{call.name} takes the log-softmax of a log-softmax: the same value, one pass more.",
                value,
            )
        return None
