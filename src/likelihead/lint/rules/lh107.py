"""A softmax before binary cross-entropy with logits, which takes a sigmoid of it.

## Example

```python
loss = F.binary_cross_entropy_with_logits(torch.softmax(model(x), dim=1), y)
```

## Use instead

```python
loss = F.binary_cross_entropy_with_logits(model(x), y)  # any number of labels for each example
loss = F.cross_entropy(model(x), y)  # one class for each example
```

## Not reported

A softmax that only predicts or weighs; a softmax as the target.
"""

from __future__ import annotations

from likelihead.lint.rules.link import LinkRule

__all__ = ["LH107"]


class LH107(LinkRule):
    """Softmax output into BCE-with-logits."""

    code = "LH107"
    family = "bce_with_logits"
    others = ("focal_with_logits",)
    kinds = ("probs",)
    text = "{loss} applies a sigmoid to this output of a softmax."
