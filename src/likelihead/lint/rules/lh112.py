"""A softmax whose dimension is not that of the classes.

The dimension is compared with the one that a loss of classes, or an argmax, takes the classes from. Without
`dim` torch takes dimension 0 of one or three dimensions, and 1 of all others. The place that is reported is
the softmax.

## Example

```python
log_probs = F.log_softmax(model(x), dim=0)  # [B, C]: the examples compete
loss = F.nll_loss(log_probs, y)
```

## Use instead

```python
log_probs = F.log_softmax(model(x), dim=1)
loss = F.nll_loss(log_probs, y)
```

## Not reported

Dimension 0 of a matrix of similarities, of which each row and column is a choice; attention over the first
dimension of sequences that have time first; one example without a batch; a softmax without `dim` where the
number of dimensions is not known; `nll_loss` with `reduction="none"`, which only picks: where the examples
compete for each class, which is the best one of this class.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import Link, LossCall, Reading
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Const, Tensor, Value

__all__ = ["LH112"]

_BATCH = "This softmax runs over the batch: the examples compete with each other for each class."
_IMPLICIT = "Without dim this softmax of three dimensions runs over the first of them, not over the classes."
_SPACE = "This softmax runs over the positions of an image or sequence, whose classes are in dimension 1."
_STEPS = "This softmax runs over the steps of a sequence, whose classes are in the last dimension."


class LH112(Rule):
    """Softmax over the wrong dimension."""

    code = "LH112"

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}
        self._turned: dict[int, Link] = {}  # of which only the loss says what the dimensions are

    def link(self, event: Link) -> Verdict | None:
        if event.name not in ("softmax", "log_softmax") or not isinstance(event.input, Tensor):
            return None
        if event.input.kind == "logits" and not event.input.marks & {"functional", "combined"}:
            if "turned" in event.input.marks:
                self._turned[id(event.node)] = event
                return None
            self._links[id(event.node)] = event
            if event.output.dim == 0 and "batch first" in event.input.marks:
                return Verdict(_BATCH, event.input)
        return None

    def loss(self, call: LossCall) -> Verdict | None:
        if call.loss.family not in ("cross_entropy", "nll"):
            return None
        if call.loss.family == "nll" and call.option("reduction", "mean") == "none":
            return None
        link, value = self._link_of(call.input)
        targets = call.target.rank if isinstance(call.target, Tensor) else None
        if link is None or value is None:
            return self._before_the_loss(call.input, targets or 0)
        logits, dim = link.input, link.output.dim
        assert isinstance(logits, Tensor)
        if dim == 0 and (_has_rows(logits) or (value.dim == 0 and (_has_rows(value) or targets))):
            return Verdict(_BATCH, logits, link)
        if dim in (1, -2) and logits.rank == 3 and "conv" not in logits.marks:
            flat = value.rank == 2 and value.last is not None and value.last == logits.last
            return Verdict(_STEPS, logits, link) if flat else None
        return self._by_rank(link, logits, value)

    def _before_the_loss(self, value: Value, targets: int) -> Verdict | None:
        """Of dimensions in the order that the loss asks for the first is the batch, if there are several."""
        if not isinstance(value, Tensor) or value.made is None or value.dim != 0:
            return None
        link = self._turned.get(id(value.made.node))
        several = targets > 1 or (value.rank or 0) > 2
        return Verdict(_BATCH, link.input, link) if link is not None and several else None

    def reading(self, event: Reading) -> Verdict | None:
        if event.name != "argmax" or not isinstance(event.by, Const):
            return None
        link, value = self._link_of(event.value)
        if link is None or value is None:
            return None
        logits, dim, taken = link.input, link.output.dim, event.by.value
        assert isinstance(logits, Tensor)
        if (
            dim == value.dim == 0
            and isinstance(taken, int)
            and (taken > 0 or (taken == -1 and _has_rows(value)))
        ):
            return Verdict(_BATCH, logits, link)
        if (dim is None and taken in (2, -1)) or (dim is not None and taken == 1):
            return self._by_rank(link, logits, value)
        return None

    def _by_rank(self, link: Link, logits: Tensor, value: Tensor) -> Verdict | None:
        """What is wrong of a softmax of three and more dimensions whose output is read class by class."""
        dim = link.output.dim
        if dim is None and logits.rank == 3:
            return Verdict(_IMPLICIT, logits, link)
        if "conv" in logits.marks and logits.rank and logits.rank > 2 and dim == value.dim:
            at = dim % logits.rank if isinstance(dim, int) else 0
            if at > 1 and logits.shape and isinstance(logits.shape[1], int):
                return Verdict(_SPACE, logits, link)
        return None

    def _link_of(self, value: Value) -> tuple[Link | None, Tensor | None]:
        if isinstance(value, Tensor) and value.kind in ("probs", "log_probs") and value.made is not None:
            if "turned" in value.marks:
                return None, None
            link = self._links.get(id(value.made.node))
            before = value.origin  # of log(softmax(x)), the softmax
            if (
                link is None
                and isinstance(before, Tensor)
                and before.kind == "probs"
                and before.made is not None
            ):
                link = self._links.get(id(before.made.node))
            return link, value
        return None, None


def _has_rows(value: Tensor) -> bool:
    """Whether there is a dimension before that of the classes, which comes last."""
    return (
        value.last is not None
        and value.shape is not None
        and len(value.shape) > 1
        and value.shape[0] is not ...
    )
