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
a log-softmax is what is reported. So it is with Keras's categorical cross-entropies, unless told
`from_logits=True`.

## Not reported

`nll_loss` that only picks the probability of the target: `-nll_loss(p, y)`, `1 + nll_loss(p, y)`, or
`reduction="none"` whose result is negated or shifted, as in generalised cross-entropy and mean absolute
error.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Verdict
from likelihead.lint.rules.link import PickedRule
from likelihead.lint.values import Tensor

__all__ = ["LH104"]


class LH104(PickedRule):
    """Softmax probabilities into NLL."""

    code = "LH104"
    kinds = ("probs",)
    text = "{loss} expects log-probabilities and takes no logarithm of this output of a softmax."

    def loss(self, call: LossCall) -> Verdict | None:
        value = call.input
        if call.loss.family == "nll_of_probs" and isinstance(value, Tensor) and value.kind == "log_probs":
            return Verdict(f"{call.name} expects {call.loss.kind}, and this is a log-softmax.", value)
        return super().loss(call)
