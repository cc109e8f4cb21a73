"""Raw logits into binary cross-entropy, which expects probabilities.

## Example

```python
loss = F.binary_cross_entropy(model(x), y)  # whose last layer is a Linear
```

## Use instead

```python
loss = F.binary_cross_entropy_with_logits(model(x), y)
```

## Conventions

Keras's `BinaryCrossentropy` expects probabilities unless it is told `from_logits=True`.

## Not reported

Outputs of which it is not known that they are logits: behind an activation, clamped to [0, 1], or computed
otherwise; a model that leaves the sigmoid out on some ways only, where the caller's way is not known.
"""

from __future__ import annotations

from likelihead.lint.rules.link import LinkRule

__all__ = ["LH108"]


class LH108(LinkRule):
    """Raw logits into BCE."""

    code = "LH108"
    family = "bce"
    kinds = ("logits",)
    text = "{loss} expects probabilities, and this is the output of a layer as it is."
