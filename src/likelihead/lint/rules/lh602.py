"""Class weights given to a binary loss as its `weight`, or of another length than there are classes.

The `weight` of the binary losses multiplies elements, whatever their label. The `weight` of cross-entropy
has one number for each class.

Known: weights written as a list, of `compute_class_weight`; the width of the head.

## Example

```python
criterion = nn.BCEWithLogitsLoss(weight=torch.tensor([0.2, 0.8]))  # of one logit
```

## Use instead

```python
criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([4.0]))
```

## Not reported

A weight for each label of several, or for each example; weights of which the length is not known.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import Built, LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.sizes import at_construction, class_count, takes_indices
from likelihead.lint.values import Tensor

__all__ = ["LH602"]

_BINARY = ("bce", "bce_with_logits")


class LH602(Rule):
    """Class weights as BCE weight or of the wrong length."""

    code = "LH602"

    def built(self, event: Built) -> Verdict | None:
        weight = event.criterion.options.get("weight")
        if event.loss.family in _BINARY and isinstance(weight, Tensor) and "class weights" in weight.marks:
            return Verdict("These are weights of classes; the loss multiplies elements by them.", weight)
        return None

    def loss(self, call: LossCall) -> Verdict | None:
        weight = call.options.get("weight")
        if not isinstance(weight, Tensor) or weight.rank != 1 or weight.shape is None:
            return None
        length = weight.shape[0]
        value = call.input
        if call.loss.family in _BINARY:
            if "class weights" in weight.marks or _cannot_fit(length, value):
                return Verdict(
                    "The weights are those of classes; the loss multiplies elements by them.",
                    weight,
                    at_construction(call) or call,
                )
            return None
        count = class_count(value)
        if not takes_indices(call) or not isinstance(length, int) or count is None or count == length:
            return None
        return Verdict(
            f"There are {length} weights for {count} classes.", weight, at_construction(call) or call
        )


def _cannot_fit(length: object, value: object) -> bool:
    """Two weights for an input of one column, channel or number an example, or for more labels."""
    if not isinstance(length, int) or length < 2 or not isinstance(value, Tensor) or not value.shape:
        return False
    if value.last is not None and value.last > 1:
        return value.last != length  # they would broadcast along the labels
    if length > 2:
        return False
    if value.rank == 1:
        return value.shape[0] is None
    return value.last == 1 if value.rank in (2, None) else value.shape[1] == 1
