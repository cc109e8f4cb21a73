"""A target of cross-entropy whose dtype cannot be that of class indices.

Known: class indices that were made floats, and floats of the shape of indices; bools; integers of 32, 16
and 8 bits, which torch refuses; bytes for more than 256 classes, which torch takes as they are: class 300
is trained as class 44.

## Example

```python
F.cross_entropy(logits, y.float())
F.cross_entropy(logits, x > 0)
```

## Use instead

```python
F.cross_entropy(logits, y)  # int64, as it was
F.cross_entropy(logits, (x > 0).long())
```

## Not reported

Floats of the shape of the input, which are probabilities; bytes for up to 256 classes; the targets of
binary and regression losses, which are floats.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.sizes import class_count, takes_indices
from likelihead.lint.values import Tensor, Value

__all__ = ["LH202"]

_REFUSED = {"bool": "bools", "int": "integers of less than 64 bits", "int8": "integers of 8 bits"}


class LH202(Rule):
    """Target dtype cannot hold a class index."""

    code = "LH202"

    def loss(self, call: LossCall) -> Verdict | None:
        target = call.target
        if not isinstance(target, Tensor) or not target.dtype or not takes_indices(call):
            return None
        if target.kind in ("one_hot", "multi_hot"):
            return None
        if target.dtype in _REFUSED:
            return Verdict(f"The target holds {_REFUSED[target.dtype]}; {call.name} takes int64.", target)
        if target.dtype == "uint8":
            count = class_count(call.input)
            if count is not None and count > 256:
                return Verdict(f"The target's bytes count to 255, and there are {count} classes.", target)
        if target.dtype == "float" and _has_shape_of_indices(target, call.input):
            return Verdict("The target holds floats and has the shape of class indices.", target)
        return None


def _has_shape_of_indices(target: Tensor, value: Value) -> bool:
    """Whether a float target cannot be probabilities: it has one dimension less than the input."""
    rank = value.rank if isinstance(value, Tensor) else None
    if target.rank is None:
        return False
    if rank is not None:
        return rank == target.rank + 1
    return target.kind == "indices" and target.rank == 1
