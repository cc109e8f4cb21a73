"""A sigmoid and then binary cross-entropy, where one function of the logits is exact.

## Example

```python
loss = F.binary_cross_entropy(torch.sigmoid(model(x)), y)
```

## Use instead

```python
loss = F.binary_cross_entropy_with_logits(model(x), y)
probs = torch.sigmoid(model(x))  # only to predict
```

## Not reported

A mean of several sigmoids, which has no logits.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.link import LinkRule
from likelihead.lint.values import Tensor

__all__ = ["LH109"]


class LH109(LinkRule):
    """Sigmoid then BCE."""

    code = "LH109"
    family = "bce"
    kinds = ("sigmoid",)
    text = "{loss} of a sigmoid loses the digits of confident predictions."

    def applies(self, call: LossCall, value: Tensor) -> bool:
        return "averaged" not in value.marks
