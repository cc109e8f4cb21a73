"""A target of cross-entropy whose dtype cannot be that of class indices.

Certain are class indices that were made floats, floats of the shape of indices, bools, and integers of 32,
16 and 8 bits, which torch refuses. Bytes are taken as they are, so that class 300 is trained as class 44:
they are reported where there are more than 256 classes.

## Example

```python
target = (score > 0)
loss = F.cross_entropy(logits, target)
```

## Use instead

```python
target = (score > 0).long()
loss = F.cross_entropy(logits, target)
```

## Not reported

Floats of the shape of the input, which are probabilities; targets of which the shape is not known; bytes
for up to 256 classes; a dtype that the source does not tell (`.to(other)`, `.type_as(other)`); the targets
of binary and regression losses.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.sizes import class_count, is_one_of_several, takes_indices
from likelihead.lint.values import Tensor, Value

__all__ = ["LH202"]

_REFUSED = {"bool": "bools", "int": "integers of less than 64 bits", "int8": "integers of 8 bits"}


class LH202(Rule):
    """Target dtype cannot hold a class index."""

    code = "LH202"

    def loss(self, call: LossCall) -> Verdict | None:
        verdict = self._judge(call)
        return None if verdict is None or is_one_of_several(call) else verdict

    def _judge(self, call: LossCall) -> Verdict | None:
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
