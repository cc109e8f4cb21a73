"""Padded targets that are scored: they hold the padding id, and no `ignore_index` covers it.

Known: `pad_sequence` and its `padding_value`, also in the `collate_fn` of a loader; a tokenizer's
`input_ids` with `padding=True` as labels; shifted, flattened, cast or moved afterwards.

## Example

```python
target = pad_sequence(tags, batch_first=True)
loss = F.cross_entropy(logits.transpose(1, 2), target)
```

## Use instead

```python
target = pad_sequence(tags, batch_first=True, padding_value=-100)
loss = F.cross_entropy(logits.transpose(1, 2), target)
```

## Not reported

Padding with -100; targets that were written to, masked or selected from; losses without a reduction, which
are masked afterwards; class weights, which may be zero at the padding; an `ignore_index` or padding value
that is not known.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.sizes import takes_indices
from likelihead.lint.values import Const, Tensor

__all__ = ["LH401"]

PADDED = "padded with "


class LH401(Rule):
    """Padded positions are scored."""

    code = "LH401"

    def loss(self, call: LossCall) -> Verdict | None:
        target = call.target
        if not isinstance(target, Tensor) or not target.marks or not takes_indices(call):
            return None
        padding = next((one for one in target.marks if one.startswith(PADDED)), None)
        if padding is None or target.made is None or target.made.edited:
            return None
        if isinstance(call.input, Tensor) and call.input.made is not None and call.input.made.edited:
            return None
        if not _is_reduced(call) or call.option("weight") is not None:
            return None
        ignored = call.option("ignore_index", -100)
        if ignored is ... or (isinstance(ignored, (int, float)) and padding == f"{PADDED}{int(ignored)}"):
            return None
        if ignored != -100 and not padding.removeprefix(PADDED).lstrip("-").isdigit():
            return None
        return Verdict(f"The target is {padding}, and the padded positions count like all others.", target)


def _is_reduced(call: LossCall) -> bool:
    if any(not isinstance(call.options.get(name, Const(None)), Const) for name in ("size_average", "reduce")):
        return False
    return call.option("reduction", "mean") in ("mean", "sum") and call.option("reduce") is not False
