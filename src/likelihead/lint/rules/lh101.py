"""A softmax before cross-entropy, which takes one of its own.

The output of every softmax (function, method, layer, or written by hand as an exponential over its sum) is
followed through the project to the cross-entropy that takes it.

## Example

```python
probs = torch.softmax(model(x), dim=1)
loss = F.cross_entropy(probs, y)
```

## Use instead

```python
loss = F.cross_entropy(model(x), y)
```

## Conventions

timm's `LabelSmoothingCrossEntropy`, the losses of Hugging Face's models, and Keras's with
`from_logits=True` are cross-entropies of logits. skorch's `NeuralNetClassifier` with `CrossEntropyLoss`
hands on what the module gives.

## Not reported

A softmax that only predicts or weighs (attention, gates); a model that gives the softmax on some ways only
(`if self.training`), where the caller's way is not known; a softmax as the target.
"""

from __future__ import annotations

from likelihead.lint.rules.link import LinkRule

__all__ = ["LH101"]


class LH101(LinkRule):
    """Softmax output into cross-entropy."""

    code = "LH101"
    family = "cross_entropy"
    kinds = ("probs",)
    text = "{loss} applies a softmax of its own to this output of a softmax."
