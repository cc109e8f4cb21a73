"""LH113, LH114 and LH206: an output is read as what it is not."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lint.mutation.source import FUNCTION, Mutant, Script, is_method, last
from lint.mutation.uses import is_model_output, root, strip, uses

Mutants = Iterator[Mutant | None]


def threshold_of_logits(script: Script) -> Mutants:
    """A threshold of 0 on logits becomes one half, or the sigmoid before one half goes."""
    if not uses(script, "bce", "dice"):
        return
    for compare in script.walk(ast.Compare):
        limit = compare.comparators[0]
        if not isinstance(limit, ast.Constant) or not isinstance(compare.ops[0], ast.Gt | ast.Lt):
            continue
        left = strip(compare.left)
        if isinstance(left, ast.Call) and last(left.func) == "sigmoid":
            bare = script.replace(left, script.segment(left.args[0]))
            yield script.mutant("LH113", "no sigmoid before the threshold", [bare], [compare])
        elif limit.value == 0 and is_model_output(script, compare.left):
            yield script.mutant("LH113", "one half for zero", [script.replace(limit, "0.5")], [compare])


def wrong_inverse(script: Script) -> Mutants:
    """A prediction takes exp of logits, or a softmax of log-probabilities."""
    for call in script.calls("softmax"):
        if (input := _activated(call)) is None or not is_model_output(script, input):
            continue
        if any(call in ast.walk(use.input) for use in uses(script, "dice")):
            continue  # not a prediction
        if script.calls("multinomial", inside=script.function(call)):
            continue  # which divides by the sum itself: there exp of logits is right
        text = script.segment(input)
        for form in (f"torch.exp({text})", f"({text}).exp()"):
            yield script.mutant("LH114", "exp of logits", [script.replace(call, form)], [call])
    if not uses(script, "nll"):
        return
    for call in script.calls("exp"):
        if (input := _activated(call)) is not None and is_model_output(script, input):
            for name, rest in (("softmax", ", dim=1"), ("sigmoid", "")):
                edit = script.replace(call, f"torch.{name}({script.segment(input)}{rest})")
                yield script.mutant("LH114", f"{name} of log-probabilities", [edit], [call])


def _activated(call: ast.Call) -> ast.expr | None:
    """What a softmax is taken of; None for a layer that is built, and not called."""
    if call.args:
        return call.args[0]
    prefix = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else "nn"
    return None if prefix in ("nn", "torch", "F") else call.func.value


def values_for_indices(script: Script) -> Mutants:
    """The largest logits, compared with class numbers."""
    for call in script.calls("argmax"):
        plain = isinstance(call.func.value, ast.Name) and call.func.value.id == "torch"
        input = call.args[0] if plain else call.func.value
        rest = [*call.args[1 if plain else 0 :], *call.keywords]
        options = ", ".join(script.segment(node) for node in rest)
        text = script.segment(input)
        for form in (f"{text}.max({options})[0]", f"{text}.max({options}).values"):
            yield script.mutant(
                "LH206", "the values of max", [script.replace(call, form)], _readers(script, call)
            )
        form = f"torch.max({text}, {options})[0]"
        yield script.mutant(
            "LH206", "the first of torch.max", [script.replace(call, form)], _readers(script, call)
        )
    for node in script.walk(ast.Attribute):
        if node.attr == "indices" and is_method(node.value, "max"):
            edit = script.replace(node, f"{script.segment(node.value)}.values")
            yield script.mutant("LH206", "values for indices", [edit], _readers(script, node))
    for assign in script.walk(ast.Assign):
        target = assign.targets[0]
        if isinstance(target, ast.Tuple) and last(getattr(assign.value, "func", assign.value)) == "max":
            first, second = (script.segment(name) for name in target.elts)
            edit = script.replace(target, f"{second}, {first}")
            yield script.mutant("LH206", "the pair turned round", [edit], _named(script, assign, second))


def _readers(script: Script, node: ast.expr) -> list[ast.AST]:
    """The comparisons that take a value, directly or by the name to which it is assigned."""
    holder = script.enclosing(node, (ast.Assign, ast.Compare, ast.Call))
    while isinstance(holder, ast.Call) and not is_method(holder, "eq"):
        if holder.args and node in holder.args:
            local = script.definition(last(holder.func), FUNCTION)
            return [holder, *(script.walk(ast.Compare, inside=local) if local is not None else ())]
        holder = script.enclosing(holder, (ast.Assign, ast.Compare, ast.Call))
    if isinstance(holder, ast.Assign):
        return _named(script, holder, ast.unparse(holder.targets[0]))
    return [holder] if holder is not None else []


def _named(script: Script, assign: ast.Assign, name: str) -> list[ast.AST]:
    function = script.function(assign)
    readers = [c for c in script.walk(ast.Compare, inside=function) if name in (root(c.left), _right(c))]
    calls = [c for c in script.calls("eq", inside=function) if name in (root(c.func.value), root(c.args[0]))]
    return [node for node in [*readers, *calls] if node.lineno >= assign.lineno]


def _right(compare: ast.Compare) -> str:
    return root(compare.comparators[0])


WAYS = (threshold_of_logits, wrong_inverse, values_for_indices)
