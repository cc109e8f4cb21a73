"""A float one-hot matrix as the target of cross-entropy, where the class indices do the same.

Known: `one_hot(...).float()`, `zeros(...).scatter_(1, index, 1)`, `eye(C)[index]`, also through a batch.

## Example

```python
F.cross_entropy(logits, F.one_hot(y, C).float())
```

## Use instead

```python
F.cross_entropy(logits, y)
```

## Not reported

Rows that were mixed, smoothed, scaled or averaged afterwards, which no index can say; one-hot rows into
other losses (MSE, BCE).
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.sizes import takes_indices
from likelihead.lint.values import Tensor

__all__ = ["LH201"]


class LH201(Rule):
    """Float one-hot target where class indices do."""

    code = "LH201"

    def loss(self, call: LossCall) -> Verdict | None:
        target = call.target
        if (
            isinstance(target, Tensor)
            and target.kind == "one_hot"
            and target.dtype == "float"
            and call.loss.family == "cross_entropy"
            and takes_indices(call)
        ):
            return Verdict(
                f"{call.name} takes the class indices themselves; these are their one-hot rows.", target
            )
        return None
