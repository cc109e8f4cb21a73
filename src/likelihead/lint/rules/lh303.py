"""One logit into cross-entropy, or two logits into a binary loss, for a task of two classes.

A softmax over one class is always 1, so the loss is 0 and nothing is learned. Two logits in a binary loss
are two separate yes-or-no questions: against `[B]` or `[B, 1]` the sizes do not fit, and against the
one-hot rows of two classes the model is asked the same twice.

Known: the width of the head, through `Sequential`, arguments and options of the model's class.

## Example

```python
loss = nn.CrossEntropyLoss()(nn.Linear(8, 1)(x), y)
loss = nn.BCEWithLogitsLoss()(nn.Linear(8, 2)(x), F.one_hot(y, 2).float())
```

## Use instead

```python
loss = nn.BCEWithLogitsLoss()(nn.Linear(8, 1)(x).squeeze(-1), y.float())
loss = nn.CrossEntropyLoss()(nn.Linear(8, 2)(x), y)
```

## Not reported

Two outputs with two labels that are independent (stacked columns, or targets of which nothing is known);
scores of a sequence's positions.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.sizes import class_count, takes_indices
from likelihead.lint.values import Tensor

__all__ = ["LH303"]


class LH303(Rule):
    """One logit with cross-entropy, or two logits with BCE."""

    code = "LH303"

    def loss(self, call: LossCall) -> Verdict | None:
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
