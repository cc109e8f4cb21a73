"""A softmax before cross-entropy, which takes one of its own.

The linter follows the output of every softmax (functional, method, layer, written by hand as exp over its
sum) through the project to the cross-entropy that takes it.

Not reported: a softmax over the batch's dimension (LH112); inputs of ``likelihead`` and other losses that
take probabilities; a model whose output is the softmax on some ways only (``if self.training``).
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Tensor

__all__ = ["LH101"]


class LH101(Rule):
    """Softmax output into cross-entropy."""

    code = "LH101"

    def loss(self, call: LossCall) -> Verdict | None:
        value = call.input
        if (
            call.loss.family == "cross_entropy"
            and isinstance(value, Tensor)
            and value.kind == "probs"
            and value.dim != 0
        ):
            return Verdict(f"{call.name} applies a softmax of its own to this output of a softmax.", value)
        return None
