"""A prediction that inverts a link which the output does not have.

The exp of log-probabilities is their probabilities, the softmax of logits is. The exp of logits is reported
where a cross-entropy of the program takes the same layer's output for logits, and the exp is then read as
probabilities: by argmax, max, topk or a threshold, or because the program calls it so (``probs = ...``, or it
is what ``predict_proba`` or Lightning's ``predict_step`` returns).

## Example

```python
loss = F.cross_entropy(model(x), y)
...
probs = torch.exp(model(x))
top, classes = probs.topk(3, dim=1)
```

## Use instead

```python
probs = torch.softmax(model(x), dim=1)
top, classes = probs.topk(3, dim=1)
```

## Not reported

An exp that is divided by its sum (a softmax written by hand), normalised, or drawn from in proportion
(`multinomial`, `Categorical`), or whose output is not read as probabilities: rates, odds, energies; one in a
branch, which may be that of the outputs it fits; a softmax of log-probabilities that were scaled (a
temperature) or shifted before, or over another dimension than theirs; a Gumbel softmax, which takes
log-probabilities.
"""

from __future__ import annotations

import ast
import re

from likelihead.lint.interpreter.events import Comparison, Link, LossCall, Reading
from likelihead.lint.rules.base import Verdict
from likelihead.lint.rules.evidence import EvidenceRule, place, places
from likelihead.lint.values import Tensor, Value

__all__ = ["LH114"]

_PROBABILITIES = re.compile(r"(?:\w+_)?(?:probs?|probas?|probability|probabilities)(?:_\w+)?", re.IGNORECASE)
_PREDICTS = re.compile(r"predict_step|\w*predict_proba\w*|(?:\w+_)?(?:probs|probas|probabilities)")
# What divides by the sum itself, by the part of its name that says so.
_NORMALISES = re.compile(r"normal|multinomial|categorical|choice|simplex", re.IGNORECASE)


class LH114(EvidenceRule):
    """Softmax or sigmoid of log-probabilities, or exp of logits."""

    code = "LH114"
    families = frozenset(("cross_entropy",))

    def __init__(self) -> None:
        super().__init__()
        self._read: set[int] = set()
        self._normalised: set[int] = set()

    def link(self, event: Link) -> Verdict | None:
        value = event.input
        if not isinstance(value, Tensor):
            return None
        if value.kind == "log_probs" and event.name == "sigmoid":
            return Verdict("The sigmoid of log-probabilities is at most one half; their exp is meant.", value)
        if value.kind == "log_probs" and event.name == "softmax" and _same_dimension(value, event.output):
            return Verdict("This is a softmax of log-probabilities; their exp is the probabilities.", value)
        if (
            value.kind == "logits"
            and event.name == "exp"
            and not value.marks & {"negated", "combined", "shifted"}
        ):
            made, node = places(value), id(event.node)
            return Verdict(
                "The exp of logits is no probability; their softmax is.",
                value,
                until=lambda: self._is_one(made) and (node in self._read or _is_called_so(event)),
            )
        return None

    def _is_one(self, made: frozenset[int]) -> bool:
        """Whether a cross-entropy takes what was made there, and nothing divides its exp by its sum."""
        return self.is_known(made) and made.isdisjoint(self._normalised)

    def reading(self, event: Reading) -> Verdict | None:
        if event.name == "argmax":
            self._see(event.value)
        elif event.name in ("summed", "normalised") and _is_exp(event.value):
            self._normalised |= places(getattr(event.value, "origin", None))
        return None

    def comparison(self, event: Comparison) -> Verdict | None:
        self._see(event.left)
        self._see(event.right)
        return None

    def loss(self, call: LossCall) -> Verdict | None:
        self.learn(call)
        return None

    def _see(self, value: Value) -> None:
        if _is_exp(value):
            self._read.add(place(value))


def _is_exp(value: Value) -> bool:
    return isinstance(value, Tensor) and value.kind == "exp_logits"


def _is_called_so(event: Link) -> bool:
    """Whether the program names the value as probabilities, and nowhere normalises or draws from it."""
    function = event.frame.function
    tree = event.frame.scope.source.tree if function is None else function.node
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and any(one is event.node for one in ast.walk(node)):
            return False
        if isinstance(node, ast.Return) and node.value is event.node:
            return function is not None and _PREDICTS.fullmatch(function.name) is not None
        if (
            isinstance(node, ast.Assign)
            and node.value is event.node
            and isinstance(node.targets[0], ast.Name)
        ):
            name = node.targets[0].id
            return _PROBABILITIES.fullmatch(name) is not None and not _is_normalised(tree, name)
    return False


def _is_normalised(tree: ast.AST, name: str) -> bool:
    """Whether a value of that name is divided, or goes into what may divide it by its sum."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
            of: list[ast.expr] = [node.left if isinstance(node, ast.BinOp) else node.target]
        elif isinstance(node, ast.Call) and _NORMALISES.search(ast.unparse(node.func)):
            of = [node.func, *node.args, *(one.value for one in node.keywords)]
        else:
            continue
        if any(isinstance(one, ast.Name) and one.id == name for part in of for one in ast.walk(part)):
            return True
    return False


def _same_dimension(value: Tensor, output: Tensor) -> bool:
    if value.dim == output.dim:
        return isinstance(value.dim, int)
    return value.rank is not None and {value.dim, output.dim} == {-1, value.rank - 1}
