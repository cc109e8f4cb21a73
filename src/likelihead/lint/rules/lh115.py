"""Probabilities into an overlap loss that applies a softmax or sigmoid itself.

## Example

```python
loss = smp.losses.DiceLoss("binary")(torch.sigmoid(model(x)), mask)  # from_logits=True is its default
```

## Use instead

```python
loss = smp.losses.DiceLoss("binary")(model(x), mask)
loss = smp.losses.DiceLoss("binary", from_logits=False)(torch.sigmoid(model(x)), mask)
```

## Conventions

The losses of likelihead take what `from_logits=` says; those of segmentation-models-pytorch logits unless
told `from_logits=False`; those of MONAI logits where `sigmoid=True` or `softmax=True`; those of kornia
logits.

## Not reported

A loss whose switch is not known where it is made.
"""

from __future__ import annotations

from likelihead.lint.rules.link import LinkRule

__all__ = ["LH115"]


class LH115(LinkRule):
    """Probabilities into an overlap loss that expects logits."""

    code = "LH115"
    family = "overlap_with_logits"
    kinds = ("probs", "sigmoid")
    text = "{loss} applies a link of its own to this output of one."
