"""An `ignore_index` that is one of the classes, so that this class is never learned.

Certain where the head has two classes, and where the targets are known to hold the class: labels of an
image data set, or numbers that were drawn below the count of classes, one for each example.

## Example

```python
criterion = nn.CrossEntropyLoss(ignore_index=0)  # of background and object
```

## Use instead

```python
criterion = nn.CrossEntropyLoss()
```

## Not reported

An index outside the head; names that say padding, void or unlabelled; sequences, where the index may be a
padding id.
"""

from __future__ import annotations

import ast
import re

from likelihead.lint.interpreter.events import LossCall
from likelihead.lint.knowledge.call import given_node
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.sizes import at_construction, class_count, takes_indices
from likelihead.lint.values import Tensor

__all__ = ["LH403"]

_NO_CLASS = re.compile(
    r"pad|ignore|void|unlabel|mask|invalid|unknown|special|blank|dont_?care|exclude", re.IGNORECASE
)


class LH403(Rule):
    """ignore_index lies inside the class range and is a real class."""

    code = "LH403"

    def loss(self, call: LossCall) -> Verdict | None:
        if "ignore_index" not in call.options or not takes_indices(call):
            return None
        index = call.option("ignore_index")
        count = class_count(call.input)
        if not isinstance(index, int) or isinstance(index, bool) or count is None or not 0 <= index < count:
            return None
        event = at_construction(call)
        if event is None:
            return None
        given = given_node(event.node, "ignore_index")
        if given is not None and _NO_CLASS.search(ast.unparse(given)):
            return None
        if count == 2:
            return Verdict(f"ignore_index={index} is one of the head's two classes.", event=event)
        if _holds_classes(call, count):
            return Verdict(f"ignore_index={index} is one of the {count} classes of the targets.", event=event)
        return None


def _holds_classes(call: LossCall, count: int) -> bool:
    """Whether the target is known to hold any of the classes, one for each example."""
    target = call.target
    if not isinstance(target, Tensor) or target.kind != "indices" or target.rank != 1:
        return False
    if not isinstance(call.input, Tensor) or call.input.rank != 2:
        return False
    return bool(target.marks & {f"below {count}", "labels of a data set"})
