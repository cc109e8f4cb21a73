"""Logits of a sequence, `[B, T, V]`, into cross-entropy as they are.

Cross-entropy takes dimension 1 for the classes. The linter follows the sizes through LSTM, GRU,
Transformer, embedding and linear layers. It is certain where the classes are last, as a linear layer leaves
them, and the target holds indices of two or more dimensions, or the layers before make sequences of three
dimensions.

## Example

```python
loss = F.cross_entropy(self.fc(lstm_out), tags)  # [B, T, V] and [B, T]
```

## Use instead

```python
loss = F.cross_entropy(self.fc(lstm_out).flatten(0, 1), tags.flatten())
loss = F.cross_entropy(self.fc(lstm_out).transpose(1, 2), tags)  # the same
```

## Not reported

Logits that were permuted, viewed or flattened; convolutions, whose classes are in dimension 1; targets of
one dimension; a recurrent layer that may have been given one sequence without a batch.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.sizes import classes_are_last, head_of, holds_indices, takes_indices
from likelihead.lint.values import Tensor, Unknown

__all__ = ["LH301"]


class LH301(Rule):
    """Class dimension is not dimension 1."""

    code = "LH301"

    def loss(self, call: LossCall) -> Verdict | None:
        value, target = head_of(call.input), call.target
        if not isinstance(value, Tensor) or not takes_indices(call) or not classes_are_last(value):
            return None
        if value.shape is None:
            return None
        rank = None if "unsure rank" in value.marks else value.rank
        if isinstance(target, Tensor) and target.rank is not None:
            certain = target.rank >= 2 and rank != 2 and rank in (None, target.rank + 1)
            certain = certain and (holds_indices(target) or rank is not None)
            if target.shape is not None and 1 in target.shape[1:]:
                certain = False
        else:
            unclear = target is None or isinstance(target, (Unknown, Tensor))
            certain = unclear and rank is not None and rank >= 3 and "sequence" in value.marks
        if not certain:
            return None
        many = f"{value.last} classes" if value.last is not None else "classes"
        return Verdict(
            f"The {many} are the last dimension of the input; {call.name} looks in dimension 1.", value
        )
