"""Gradients of several micro-batches are added up, and the losses are not divided.

The linter looks at `loss.backward()` of a mean (also through a `GradScaler`) in a loop that steps the
optimizer on each k-th round only, or once behind the loop over the parts of a batch.

Instead, divide the loss by the number of micro-batches, if they are of equal size, or the sum of the losses
by the number of examples or tokens of the whole step.

## Example

```python
for i, (x, y) in enumerate(loader):
    F.cross_entropy(net(x), y).backward()
    if (i + 1) % 4 == 0:
        optimizer.step()
        optimizer.zero_grad()
```

## Use instead

```python
for i, (x, y) in enumerate(loader):
    (F.cross_entropy(net(x), y) / 4).backward()
    if (i + 1) % 4 == 0:
        optimizer.step()
        optimizer.zero_grad()
```

## Not reported

A loss that was divided on some way; `accelerator.backward`, Lightning and other trainers, which divide
themselves; several losses with a `backward` each before one step; a step or `zero_grad` in each round;
gradients that are rescaled before the step.
"""

from __future__ import annotations

import ast
import re

from likelihead.lint.interpreter.events import Reading
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Figure

__all__ = ["LH502"]

_OPTIMIZERS = re.compile(r"opt|scaler|adam|sgd", re.IGNORECASE)
_SCHEDULERS = re.compile(r"sched|warmup", re.IGNORECASE)
_PARTS = re.compile(r"micro|accum|chunk|split|batches|loader\b", re.IGNORECASE)

_Blocks = (ast.For, ast.AsyncFor, ast.While, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class LH502(Rule):
    """Gradient accumulation without dividing."""

    code = "LH502"

    def reading(self, event: Reading) -> Verdict | None:
        value = event.value
        if event.name != "backward" or not isinstance(value, Figure) or value.kind != "loss":
            return None
        if value.loop is None or not isinstance(value.loop, (ast.For, ast.AsyncFor, ast.While)):
            return None
        function = event.frame.function
        within = function.node if function is not None else event.frame.scope.source.tree
        if _accumulates(value.loop, event.node, within):
            return Verdict("The gradients of several such means are added up before a step.", value)
        return None


def _accumulates(loop: ast.For | ast.AsyncFor | ast.While, backward: ast.AST, within: ast.AST) -> bool:
    """Whether the loop does several backward passes to a step, and nothing in it makes up for that."""
    way = _way(loop, backward)
    if way is None or any(isinstance(one, _Blocks) for one in way[1:]) or _rescales(within):
        return False
    if any(_counts(one) or _mentions(one, "accumulate") for one in way[1:]):
        return False
    steps = [way for call in _calls(loop, "step") if _is_step(call) and (way := _way(loop, call))]
    zeros = [way for call in _calls(loop, "zero_grad") if (way := _way(loop, call))]
    if steps:
        return bool(zeros) and all(any(map(_counts, one)) for one in (*steps, *zeros))
    return not zeros and _steps_behind(loop, within)


def _steps_behind(loop: ast.For | ast.AsyncFor | ast.While, within: ast.AST) -> bool:
    """Whether the optimizer steps once behind a loop over the parts of a batch."""
    if isinstance(loop, ast.While) or not _PARTS.search(ast.unparse(loop.iter)):
        return False
    way = _way(within, loop)
    block = _block(way[-2], loop) if way else []
    behind = block[block.index(loop) + 1 :] if block else []
    stepped = any(
        _is_step(call) for one in behind if not isinstance(one, _Blocks) for call in _calls(one, "step")
    )
    return stepped and any(True for one in block if one is not loop for _ in _calls(one, "zero_grad"))


def _block(parent: ast.AST, statement: ast.stmt) -> list[ast.stmt]:
    """The statements among which one stands."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(parent, name, None)
        if isinstance(block, list) and statement in block:
            return block
    return []


def _way(outer: ast.AST, inner: ast.AST) -> list[ast.AST] | None:
    """The nodes from one to another that stands in it."""
    if outer is inner:
        return [outer]
    first = getattr(inner, "lineno", 0)
    for child in ast.iter_child_nodes(outer):
        if getattr(child, "lineno", first) <= first <= (getattr(child, "end_lineno", None) or first):
            way = _way(child, inner)
            if way is not None:
                return [outer, *way]
    return None


def _calls(node: ast.AST, name: str) -> list[ast.Call]:
    """The calls of methods of that name."""
    return [
        one
        for one in ast.walk(node)
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr == name
    ]


def _is_step(call: ast.Call) -> bool:
    """``optimizer.step()`` or ``scaler.step(optimizer)``."""
    text = ast.unparse(call)
    return bool(_OPTIMIZERS.search(text)) and not _SCHEDULERS.search(ast.unparse(call.func))


def _counts(node: ast.AST) -> bool:
    """``if (i + 1) % k == 0``."""
    return isinstance(node, ast.If) and any(isinstance(one, ast.Mod) for one in ast.walk(node.test))


def _mentions(node: ast.AST, name: str) -> bool:
    return isinstance(node, (ast.With, ast.AsyncWith)) and any(_calls(item, name) for item in node.items)


def _rescales(within: ast.AST) -> bool:
    """Whether gradients are divided or multiplied somewhere."""
    for node in ast.walk(within):
        if (
            isinstance(node, ast.AugAssign)
            and isinstance(node.op, (ast.Div, ast.Mult))
            and "grad" in ast.unparse(node.target)
            and "world" not in ast.unparse(node.value)
        ):
            return True
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("div_", "mul_")
            and "grad" in ast.unparse(node.value)
        ):
            return True
    return False
