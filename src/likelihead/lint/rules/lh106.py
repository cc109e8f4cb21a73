"""A sigmoid before binary cross-entropy with logits, which takes one of its own.

## Example

```python
loss = F.binary_cross_entropy_with_logits(torch.sigmoid(model(x)), y)
```

## Use instead

```python
loss = F.binary_cross_entropy_with_logits(model(x), y)
```

## Conventions

`MultiLabelSoftMarginLoss`, timm's `BinaryCrossEntropy`, `SoftBCEWithLogitsLoss` of
segmentation-models-pytorch and Keras's `BinaryCrossentropy(from_logits=True)` are the same loss.

## Not reported

A sigmoid that only predicts or gates; a sigmoid as the target.
"""

from __future__ import annotations

from likelihead.lint.rules.link import LinkRule

__all__ = ["LH106"]


class LH106(LinkRule):
    """Sigmoid output into BCE-with-logits."""

    code = "LH106"
    family = "bce_with_logits"
    others = ("focal_with_logits",)
    kinds = ("sigmoid",)
    text = "{loss} applies a sigmoid of its own to this output of a sigmoid."
