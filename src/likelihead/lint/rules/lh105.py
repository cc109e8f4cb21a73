"""Raw logits into the negative log-likelihood, which takes no logarithm.

The output of a layer (linear, convolution, a known model) is logits until a link is applied to it.

## Example

```python
loss = F.nll_loss(model(x), y)  # whose last layer is a Linear
```

## Use instead

```python
loss = F.cross_entropy(model(x), y)
```

## Conventions

Keras's categorical cross-entropies, unless told `from_logits=True`, and skorch's `NeuralNetClassifier` with
`NLLLoss` take probabilities, and the log of them themselves: there logits are reported just so.

## Not reported

`nll_loss` that only picks the score of the target: negated, or beside a `logsumexp` of the same logits, as
energy-based models write it; outputs of which it is not known that they are logits.
"""

from __future__ import annotations

from likelihead.lint.rules.link import PickedRule

__all__ = ["LH105"]


class LH105(PickedRule):
    """Raw logits into NLL."""

    code = "LH105"
    kinds = ("logits",)
    others = ("nll_of_probs",)
    text = "{loss} expects {kind}, and this is the output of a layer as it is."
