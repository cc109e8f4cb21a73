"""A softmax before the negative log-likelihood, which takes no logarithm.

## Example

```python
loss = F.nll_loss(F.softmax(model(x), dim=1), y)
```

## Use instead

```python
loss = F.nll_loss(F.log_softmax(model(x), dim=1), y)
loss = F.cross_entropy(model(x), y)  # the same
```

## Conventions

skorch's `NeuralNetClassifier` takes the logarithm itself before an `NLLLoss`: there a softmax is right and
a log-softmax is what is reported.

## Not reported

`nll_loss` that only picks the probability of the target: `-nll_loss(p, y)`, `1 + nll_loss(p, y)`, or
`reduction="none"` whose result is negated or shifted, as in generalised cross-entropy and mean absolute
error.
"""

from __future__ import annotations

from likelihead.lint.rules.link import PickedRule

__all__ = ["LH104"]


class LH104(PickedRule):
    """Softmax probabilities into NLL."""

    code = "LH104"
    kinds = ("probs",)
    text = "{loss} expects log-probabilities and takes no logarithm of this output of a softmax."
