"""A perplexity as a mean of perplexities, or as the exponential of a mean of batch means.

The exponential of each batch's loss is followed into a sum or a list, and from there to a division or mean;
and a mean of means (LH501) into `exp`, or `2 **` of bits. The finding is the exponential.

## Example

```python
perplexity = 0.0
for ids in loader:
    perplexity += math.exp(loss_of(model, ids).item()) / len(loader)
```

## Use instead

```python
nats, tokens = 0.0, 0
for ids in loader:
    nats += loss_of(model, ids).item() * count_of(ids)
    tokens += count_of(ids)
perplexity = math.exp(nats / tokens)
```

## Not reported

The perplexity of a batch or sentence that is shown as it is, or sorted by; the mean over runs of a
perplexity that each took of all its data; a mean of means of batches that are not known to differ.
"""

from __future__ import annotations

import ast

from likelihead.lint.interpreter.events import Reading
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.lh702 import is_perplexity
from likelihead.lint.values import Figure

__all__ = ["LH701"]

_AVERAGES = (("divide", "sum_of_perplexities"), ("mean", "perplexity"))


class LH701(Rule):
    """Perplexity from means of means."""

    code = "LH701"

    def __init__(self) -> None:
        self.exponentials: dict[ast.AST, Reading] = {}

    def reading(self, event: Reading) -> Verdict | None:
        value = event.value
        if not isinstance(value, Figure):
            return None
        if is_perplexity(event):
            self.exponentials[event.node] = event
            if value.kind == "mean_of_means":
                return Verdict("This is the exponential of a mean of batch means.", value)
        elif (event.name, value.kind) in _AVERAGES and "of a batch" in value.marks:
            taken = self.exponentials.get(value.made.node) if value.made else None
            if taken is not None:
                return Verdict("The perplexities of the batches are averaged.", taken.value, taken)
        return None
