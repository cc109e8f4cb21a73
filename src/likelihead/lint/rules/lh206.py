"""The values of `max` along a dimension, compared with class numbers.

`torch.max(output, 1)` returns the largest logits and, second, where they are. Compared with labels, the
values are never equal to them.

Known: unpacked in the wrong order, by `[0]`, by `.values`, by `amax`, by `topk`; compared with `==`, `!=`,
`eq`, `ne`, or given to scikit-learn's metrics of classes.

## Example

```python
predicted, _ = torch.max(output, 1)
correct += (predicted == labels).sum()
```

## Use instead

```python
predicted = output.argmax(dim=1)
correct += (predicted == labels).sum()
```

## Not reported

Values compared with a threshold, with the scores that they are the largest of, or with something that is
not known to be labels.
"""

from __future__ import annotations

import ast
import re

from likelihead.lint.interpreter.events import Comparison
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.rules.sizes import name_of
from likelihead.lint.values import Const, Tensor, Unknown, Value

__all__ = ["LH206"]

_SCORES = ("logits", "log_probs", "probs", "sigmoid", "log_sigmoid")
_NAMES_OF_LABELS = re.compile(
    r"(?:batch_|b_|test_|val_|train_|true_)?"
    r"(?:labels?|targets?|y|y_true|y_batch|y_test|y_val|gt|truth|ground_truth|gold|classes|tags?|actual)"
    r"(?:_batch|_b|_true|_ids)?",
    re.IGNORECASE,
)
_NAMES_OF_MODELS = re.compile(r"model|net|network|classifier", re.IGNORECASE)
_NAMES_OF_SCORES = re.compile(
    r"(?:\w+_)?(?:logits?|log_probs?|probs|probabilities|softmax|outputs?)(?:_\w+)?", re.IGNORECASE
)


class LH206(Rule):
    """Values of max used where its indices are meant."""

    code = "LH206"

    def comparison(self, event: Comparison) -> Verdict | None:
        if event.op not in (ast.Eq, ast.NotEq):
            return None
        first, second = _sides(event.node)
        for values, other, node in ((event.left, event.right, second), (event.right, event.left, first)):
            if _are_largest_scores(values) and (_are_labels(other, node) or _is_class(other, node, values)):
                return Verdict(
                    "The largest score of each row is compared with class numbers; its place is the class.",
                    values,
                )
        return None


def _sides(node: ast.AST) -> tuple[ast.AST | None, ast.AST | None]:
    """The two expressions that are compared."""
    if isinstance(node, ast.Compare):
        return node.left, node.comparators[0]
    if isinstance(node, ast.Call):
        args: list[ast.expr] = list(node.args)
        if isinstance(node.func, ast.Attribute) and len(args) == 1:
            args.insert(0, node.func.value)
        if len(args) >= 2:
            return args[0], args[1]
    return None, None


def _are_largest_scores(value: Value) -> bool:
    if not isinstance(value, Tensor) or value.kind != "max_values" or value.dtype != "float":
        return False
    if isinstance(value.origin, Tensor):
        return value.origin.kind in _SCORES
    node = value.made.node if value.made is not None else None
    if not isinstance(node, ast.Call) or not isinstance(value.origin, Unknown):
        return False
    owner = node.func.value if isinstance(node.func, ast.Attribute) else None
    if name_of(owner) in ("torch", "np") and node.args:
        owner = node.args[0]
    if isinstance(owner, ast.Call) and _NAMES_OF_MODELS.fullmatch(name_of(owner.func)):
        return True
    return _NAMES_OF_SCORES.fullmatch(name_of(owner)) is not None


def _is_class(value: Value, node: ast.AST | None, values: Value) -> bool:
    """Whether logits are compared with one class after the other, ``for c in range(n)``."""
    source = values.origin if isinstance(values, Tensor) else None
    logits = isinstance(source, Tensor) and source.kind == "logits"
    return logits and isinstance(node, ast.Name) and isinstance(value, Const) and type(value.value) is int


def _are_labels(value: Value, node: ast.AST | None) -> bool:
    named = _NAMES_OF_LABELS.fullmatch(name_of(node)) is not None
    if isinstance(value, Tensor):
        whole = value.dtype in ("long", "uint8", "int")
        return value.kind == "indices" or (value.kind == "data" and (whole or (named and not value.dtype)))
    return isinstance(value, Unknown) and named
