"""A perplexity as a mean of perplexities, or as the exponential of a mean of batch means.

The linter follows the exponential of each batch's loss into a sum or a list, and from there to a division
or mean; and the means that LH501 is about into `exp` (or `2 **` of bits). The place is the exponential.

Instead, add up the nats of all tokens and their number, divide, and take the exponential once, at the end.

## Example

```python
perplexities = [math.exp(loss) for loss in losses]
perplexity = sum(perplexities) / len(perplexities)
```

## Use instead

```python
perplexity = math.exp(sum(nats) / sum(tokens))
```

## Not reported

The perplexity of a batch or sentence that is shown as it is, or sorted by.
"""

from __future__ import annotations

import ast

from likelihead.lint.interpreter.events import Reading
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.lh702 import is_perplexity
from likelihead.lint.values import Figure

__all__ = ["LH701"]


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
        elif (event.name == "divide" and value.kind == "sum_of_perplexities") or (
            event.name == "mean" and value.kind == "perplexity"
        ):
            taken = self.exponentials.get(value.made.node) if value.made else None
            if taken is not None:
                return Verdict("The perplexities of the batches are averaged.", taken.value, taken)
        return None
