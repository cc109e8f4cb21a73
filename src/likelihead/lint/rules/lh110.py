"""The logarithm of a softmax in two steps, where one function is exact.

A small number inside the logarithm hides the infinity and stops the gradient instead.

## Example

```python
probs = torch.softmax(model(x), dim=1)
loss = F.nll_loss(torch.log(probs + 1e-8), y)
```

## Use instead

```python
loss = F.nll_loss(torch.log_softmax(model(x), dim=1), y)
loss = F.cross_entropy(model(x), y)  # the same
```

## Not reported

The logarithm of a mean or sum of several softmaxes (ensembles, mixtures), which has no such function;
numpy, which has none either; the logarithm of single entries.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import Link
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Tensor

__all__ = ["LH110"]


class LH110(Rule):
    """Log of a softmax, written by hand."""

    code = "LH110"

    def link(self, event: Link) -> Verdict | None:
        value = event.input
        if event.name != "log" or not isinstance(value, Tensor) or value.kind != "probs":
            return None
        if "averaged" in value.marks:
            return None
        return Verdict(
            "This is the logarithm of a softmax, which log_softmax takes in one exact step.", value
        )
