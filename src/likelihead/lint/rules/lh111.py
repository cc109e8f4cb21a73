"""Logits into an overlap loss (Dice, Jaccard, Tversky) that sums up probabilities.

An overlap loss is one of a library, or a function or class of the project whose name says so (dice,
jaccard, iou, tversky) and that sums up the product of its two arguments. The place that is reported is the
call of it.

## Example

```python
def dice_loss(pred, target):
    intersection = (pred * target).sum()
    return 1 - 2 * intersection / (pred.sum() + target.sum())

loss = dice_loss(model(x), mask)  # whose last layer is a convolution
```

## Use instead

```python
loss = dice_loss(torch.sigmoid(model(x)), mask)
```

## Conventions

The losses of likelihead take what `from_logits=` says; those of segmentation-models-pytorch logits unless
told `from_logits=False`; those of MONAI probabilities unless told `sigmoid=True` or `softmax=True`.

## Not reported

A loss of the project that applies the sigmoid or softmax itself; one whose product is not summed up (the
overlap of boxes); one that is given something of which it is not known that it is logits.
"""

from __future__ import annotations

import ast

from likelihead.lint.interpreter.events import Event, LossCall, Reading
from likelihead.lint.interpreter.frames import Frame
from likelihead.lint.knowledge.overlap import is_overlap
from likelihead.lint.rules.base import Verdict
from likelihead.lint.rules.link import LinkRule
from likelihead.lint.values import Const, Function, Tensor, Value

__all__ = ["LH111"]

_LINKED = ("logits", "probs", "sigmoid", "log_probs", "activations")
_INTERSECTIONS = ("inter", "tp", "true_pos", "num", "overlap")


class LH111(LinkRule):
    """Logits into an overlap loss that expects probabilities."""

    code = "LH111"
    family = "overlap"
    kinds = ("logits", "log_probs")
    text = "{loss} sums up probabilities, and this is the output of a layer as it is."

    def loss(self, call: LossCall) -> Verdict | None:
        verdict = super().loss(call)
        if verdict is not None and isinstance(call.input, Tensor) and call.input.kind == "log_probs":
            verdict.detail = f"{call.name} sums up probabilities, and these are the logarithms of some."
        return verdict

    def reading(self, event: Reading) -> Verdict | None:
        if event.name != "product":
            return None
        frame = _overlap_frame(event.frame)
        if frame is None or frame.function is None or frame.caller is None or frame.site is None:
            return None
        logits = next((one for one in (event.value, event.by) if _is_logits(one)), None)
        other = event.by if logits is event.value else event.value
        if not isinstance(logits, Tensor) or isinstance(other, Const) or _is_linked(other):
            return None
        if frame.site is frame.function.node or _made_within(logits, frame.function):
            return None
        if event.frame.function is None or not _is_summed(event.node, event.frame.function):
            return None
        what = "this output of a layer as it is" if logits.kind == "logits" else "log-probabilities"
        detail = f"{frame.function.name} multiplies the target with {what}."
        return Verdict(detail, logits, Event(frame.site, frame.caller))


def _overlap_frame(frame: Frame) -> Frame | None:
    """The call of the overlap loss: of a class the one that comes from outside of it."""
    at: Frame | None = frame
    while at is not None and at.function is not None and not is_overlap(at.function):
        at = at.caller
    if at is None or at.function is None:
        return None
    cls = at.function.bound_class
    while cls is not None and at.caller is not None and at.caller.function is not None:
        if at.caller.function.bound_class is not cls:
            break
        at = at.caller
    return at


def _is_logits(value: Value) -> bool:
    return isinstance(value, Tensor) and value.kind in LH111.kinds


def _is_linked(value: Value) -> bool:
    return isinstance(value, Tensor) and value.kind in _LINKED


def _made_within(value: Tensor, function: Function) -> bool:
    """Whether a value was made in the function itself, and is no argument of it."""
    if value.made is None:
        return True
    line, node = getattr(value.made.node, "lineno", 0), function.node
    return value.made.scope is function.scope and node.lineno <= line <= (node.end_lineno or node.lineno)


def _is_summed(product: ast.AST, function: Function) -> bool:
    """Whether a product is summed up, or named as an intersection, where it is written."""
    for node in ast.walk(function.node):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name == "sum" and (getattr(node.func, "value", None) is product or product in node.args):
                return True
        elif isinstance(node, ast.Assign) and node.value is product and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id.lower()
            return "iou" not in function.name.lower() and name.startswith(_INTERSECTIONS)
    return False
