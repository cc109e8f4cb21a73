"""A sigmoid before cross-entropy, which takes a softmax of the sigmoids."""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Tensor

__all__ = ["LH102"]


class LH102(Rule):
    """Sigmoid output into cross-entropy."""

    code = "LH102"

    def loss(self, call: LossCall) -> Verdict | None:
        value = call.input
        if call.loss.family == "cross_entropy" and isinstance(value, Tensor) and value.kind == "sigmoid":
            return Verdict(f"{call.name} applies a softmax to this output of a sigmoid.", value)
        return None
