"""A threshold of 0.5 on logits, where one half of probability is 0.

That a value is logits is known from a loss of the program that takes it for logits: the same layer's output
goes into binary cross-entropy with logits, cross-entropy, or the like.

## Example

```python
loss = F.binary_cross_entropy_with_logits(model(x), y)
...
predicted = model(x) > 0.5
```

## Use instead

```python
predicted = model(x) > 0
predicted = torch.sigmoid(model(x)) > 0.5  # the same
```

## Not reported

Outputs that no loss takes for logits, such as those of a regression (by the mean squared error) on 0 and 1,
distances and scores; thresholds other than 0.5, which somebody may have chosen for logits; sums and
differences of logits; `round`, which numbers of a regression have as well.
"""

from __future__ import annotations

import ast

from likelihead.lint.interpreter.events import Comparison, LossCall
from likelihead.lint.rules.base import Verdict
from likelihead.lint.rules.evidence import EvidenceRule, places
from likelihead.lint.values import Const, Tensor

__all__ = ["LH113"]

_ORDERS = (ast.Gt, ast.GtE, ast.Lt, ast.LtE)


class LH113(EvidenceRule):
    """A probability threshold applied to logits."""

    code = "LH113"
    families = frozenset(
        ("bce_with_logits", "bce", "cross_entropy", "focal_with_logits", "overlap_with_logits")
    )

    def comparison(self, event: Comparison) -> Verdict | None:
        sides = (event.left, event.right)
        logits = next((one for one in sides if isinstance(one, Tensor) and one.kind == "logits"), None)
        half = any(isinstance(one, Const) and one.value == 0.5 for one in sides)
        if logits is None or not half or event.op not in _ORDERS:
            return None
        if logits.marks & {"negated", "combined", "shifted"}:
            return None
        made = places(logits)
        return Verdict(
            "0.5 is a threshold for probabilities; of these logits it is 0.",
            logits,
            until=lambda: self.is_known(made),
        )

    def loss(self, call: LossCall) -> Verdict | None:
        self.learn(call)
        return None
