"""A sigmoid and then binary cross-entropy, where one function of the logits is exact."""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Tensor

__all__ = ["LH109"]


class LH109(Rule):
    """Sigmoid then BCE."""

    code = "LH109"

    def loss(self, call: LossCall) -> Verdict | None:
        value = call.input
        if call.loss.family == "bce" and isinstance(value, Tensor) and value.kind == "sigmoid":
            return Verdict(f"{call.name} of a sigmoid loses the digits of confident predictions.", value)
        return None
