"""A sigmoid before cross-entropy, which takes a softmax of the sigmoids.

## Example

```python
loss = F.cross_entropy(torch.sigmoid(model(x)), y)
```

## Use instead

```python
loss = F.cross_entropy(model(x), y)  # one class for each example
loss = F.binary_cross_entropy_with_logits(model(x), y)  # any number of labels for each example
```

## Not reported

A sigmoid that only predicts or gates; a sigmoid as the target.
"""

from __future__ import annotations

from likelihead.lint.rules.link import LinkRule

__all__ = ["LH102"]


class LH102(LinkRule):
    """Sigmoid output into cross-entropy."""

    code = "LH102"
    family = "cross_entropy"
    kinds = ("sigmoid",)
    text = "{loss} applies a softmax to this output of a sigmoid."
