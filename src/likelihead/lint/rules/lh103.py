"""A log-softmax before cross-entropy, which takes another one to no effect.

## Example

```python
loss = F.cross_entropy(F.log_softmax(model(x), dim=1), y)
```

## Use instead

```python
loss = F.cross_entropy(model(x), y)
loss = F.nll_loss(F.log_softmax(model(x), dim=1), y)  # the same
```

## Not reported

A log-softmax over the batch: the second one then changes the value, and the hazard is LH112.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.link import LinkRule
from likelihead.lint.values import Tensor

__all__ = ["LH103"]


class LH103(LinkRule):
    """Log-softmax output into cross-entropy: redundant, the same value."""

    code = "LH103"
    family = "cross_entropy"
    kinds = ("log_probs",)
    text = "{loss} takes the log-softmax of a log-softmax: the same value, one pass more."

    def applies(self, call: LossCall, value: Tensor) -> bool:
        return bool(value.dim != 0)
