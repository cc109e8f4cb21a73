"""Gradients of several micro-batches are added up, and the losses are not divided.

The finding is `loss.backward()` of a mean (also through a `GradScaler`) in a loop that steps the optimizer
on each k-th round only, or once behind a loop over the parts of a batch.

## Example

```python
for i, (x, y) in enumerate(loader):
    criterion(model(x), y).backward()
    if (i + 1) % 4 == 0:
        optimizer.step()
        optimizer.zero_grad()
```

## Use instead

```python
for i, (x, y) in enumerate(loader):
    (criterion(model(x), y) / 4).backward()  # parts of equal size; else the sum over the step's count
    if (i + 1) % 4 == 0:
        optimizer.step()
        optimizer.zero_grad()
```

## Conventions

`accelerator.backward` (and all within `accelerator.accumulate`), Lightning and Hugging Face's `Trainer`
divide themselves.

## Not reported

A loss that is divided, or weighted, on some way; a sum over examples; several losses with a `backward` each
before one step; a step or a `zero_grad` in each round; the terms of several tasks, or the steps of one
sequence (`retain_graph`); gradients that are rescaled before the step.
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

# Of these, the losses are terms of one sum.
_TASKS = re.compile(r"task|meta|domain|view|head|client|agent", re.IGNORECASE)
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
    if _divides(loop, backward):
        return False  # under a condition that the settings of this run do not meet
    if isinstance(backward, ast.Call) and any(one.arg == "retain_graph" for one in backward.keywords):
        return False  # the steps of one sequence, or the terms of one loss
    names = _counters(loop)
    if any(_counts(one, names) or _mentions(one, "accumulate") for one in way[1:]):
        return False
    steps = [way for call in _calls(loop, "step") if _is_step(call) and (way := _way(loop, call))]
    zeros = [way for call in _calls(loop, "zero_grad") if (way := _way(loop, call))]
    if steps:
        return bool(zeros) and all(any(_counts(node, names) for node in one) for one in (*steps, *zeros))
    return not zeros and _steps_behind(loop, within)


def _divides(loop: ast.AST, backward: ast.AST) -> bool:
    """Whether the loop has a division of what is differentiated anywhere."""
    names = {one.id for one in ast.walk(backward) if isinstance(one, ast.Name)}
    for node in ast.walk(loop):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, (ast.Div, ast.Mult)):
            targets: list[ast.expr] = [node.target]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
            targets = node.targets if isinstance(node.value.op, (ast.Div, ast.Mult)) else []
        else:
            continue
        if any(isinstance(one, ast.Name) and one.id in names for one in targets):
            return True
    return False


def _steps_behind(loop: ast.For | ast.AsyncFor | ast.While, within: ast.AST) -> bool:
    """Whether the optimizer steps once behind a loop over the parts of a batch."""
    if isinstance(loop, ast.While):
        return False
    iterable = ast.unparse(loop.iter)
    if not _PARTS.search(iterable) or _TASKS.search(iterable):
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


def _counts(node: ast.AST, names: frozenset[str] = frozenset()) -> bool:
    """``if (i + 1) % k == 0``, also by a name that was given to the condition."""
    return isinstance(node, ast.If) and any(
        isinstance(one, ast.Mod) or (isinstance(one, ast.Name) and one.id in names)
        for one in ast.walk(node.test)
    )


def _counters(loop: ast.AST) -> frozenset[str]:
    """Names that a loop gives to a condition on the count of its rounds, and to nothing else."""
    given: dict[str, list[ast.expr]] = {}
    for node in ast.walk(loop):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            given.setdefault(node.targets[0].id, []).append(node.value)
    return frozenset(
        name
        for name, values in given.items()
        if all(
            isinstance(value, (ast.Compare, ast.BoolOp, ast.UnaryOp))
            and any(isinstance(one, ast.Mod) for one in ast.walk(value))
            for value in values
        )
    )


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
