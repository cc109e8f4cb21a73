"""An input of one column, `[B, 1]`, against a target `[B]`, or the other way round.

Subtracted, the two broadcast to `[B, B]`: each prediction is compared with every target. The binary losses
and cross-entropy raise instead.

Known: the sizes of linear heads, data sets, loaders, slices, `squeeze` and `unsqueeze`, as far as the
source tells them.

## Example

```python
net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
loss = F.mse_loss(net(x), y)  # [B, 1] and [B]
```

## Use instead

```python
loss = F.mse_loss(net(x).squeeze(-1), y)
```

## Not reported

Sizes of which one is not known; a target of a single number.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.sizes import holds_indices, takes_indices
from likelihead.lint.values import Shape, Tensor

__all__ = ["LH302"]

_ELEMENTWISE = frozenset(("mse", "l1", "bce", "bce_with_logits"))


class LH302(Rule):
    """[B] against [B, 1]."""

    code = "LH302"

    def loss(self, call: LossCall) -> Verdict | None:
        value, target = call.input, call.target
        if not isinstance(value, Tensor) or not isinstance(target, Tensor):
            return None
        if takes_indices(call):
            column = holds_indices(target) and target.rank == 2 and target.last == 1
            if column and value.rank == 2 and value.last != 1:
                return Verdict(f"The target is a column, [B, 1]; {call.name} takes indices [B].", target)
            return None
        if call.loss.family not in _ELEMENTWISE or "unsure rank" in value.marks:
            return None
        if value.rank is None or target.rank is None or value.shape is None or target.shape is None:
            return None
        if _is_column_of(value.shape, target.shape):
            return Verdict("The input has one dimension, of size 1, more than the target.", value)
        if _is_column_of(target.shape, value.shape):
            return Verdict("The target has one dimension, of size 1, more than the input.", target)
        return None


def _is_column_of(longer: Shape, shorter: Shape) -> bool:
    """Whether one shape is the other and a 1 behind it, and they are more than one number."""
    if len(longer) != len(shorter) + 1 or longer[-1] != 1 or not shorter or set(shorter) <= {1}:
        return False
    # Sizes that are known and differ are no pair of batch and batch; it may be meant to broadcast.
    return all(a == b or a is None or b is None for a, b in zip(longer[:-1], shorter, strict=True))
