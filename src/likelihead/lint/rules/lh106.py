"""A sigmoid before binary cross-entropy with logits, which takes one of its own."""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Tensor

__all__ = ["LH106"]


class LH106(Rule):
    """Sigmoid output into BCE-with-logits."""

    code = "LH106"

    def loss(self, call: LossCall) -> Verdict | None:
        value = call.input
        if call.loss.family == "bce_with_logits" and isinstance(value, Tensor) and value.kind == "sigmoid":
            return Verdict(f"{call.name} applies a sigmoid of its own to this output of a sigmoid.", value)
        return None
