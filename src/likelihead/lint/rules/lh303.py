"""One logit into cross-entropy, or two logits into a binary loss, for a task of two classes.

The width of the head is followed through arguments and defaults of the model's class, `Sequential` and
functions that make the model. Two logits are reported against targets `[B]`, `[B, 1]` and the one-hot rows
of two classes.

## Example

```python
model = nn.Linear(300, 1)
loss = F.cross_entropy(model(x), y)
```

## Use instead

```python
loss = F.binary_cross_entropy_with_logits(model(x).squeeze(1), y.float())
```

## Not reported

Two outputs with two labels of their own, and targets of which nothing is known; the scores of a sequence's
positions or of several answers, one number each.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.sizes import class_count, is_one_of_several, takes_indices
from likelihead.lint.values import Tensor

__all__ = ["LH303"]


class LH303(Rule):
    """One logit with cross-entropy, or two logits with BCE."""

    code = "LH303"

    def loss(self, call: LossCall) -> Verdict | None:
        verdict = self._judge(call)
        return None if verdict is None or is_one_of_several(call) else verdict

    def _judge(self, call: LossCall) -> Verdict | None:
        value = call.input
        if not isinstance(value, Tensor) or value.kind not in ("logits", "log_probs", "probs", "sigmoid"):
            return None
        if takes_indices(call):
            if class_count(value) == 1 and value.rank != 1 and value.kind != "sigmoid":
                return Verdict(f"The head has one output, and over one class {call.name} is always 0.", value)
            return None
        if call.loss.family not in ("bce", "bce_with_logits") or value.kind not in ("logits", "sigmoid"):
            return None
        if value.last != 2 or value.rank not in (2, None) or not isinstance(call.target, Tensor):
            return None
        target = call.target
        if target.kind == "one_hot" and target.last in (2, None) and target.rank in (2, None):
            return Verdict("The head has two outputs, and the target the one-hot rows of two classes.", value)
        if target.rank == 2 and target.last == 1:
            return Verdict("The head has two outputs, and the target one column.", value)
        if target.rank == 1 and value.rank == 2 and "unsure rank" not in value.marks:
            return Verdict("The head has two outputs, and the target one number for each example.", value)
        return None
