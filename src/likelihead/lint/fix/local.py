"""A value that was given a name: the loss takes what it was made of, and its other uses keep it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import libcst as cst
from libcst.metadata import BaseAssignment

from likelihead.lint.fix.code import Code
from likelihead.lint.fix.edits import Edits, in_expression
from likelihead.lint.fix.makers import Applied
from likelihead.lint.fix.names import bindings_seen, changed_in_place, loads, same_value

__all__ = ["unshifted", "use_the_input", "use_the_log"]


def use_the_input(applied: Applied, calls: Sequence[cst.Call], edits: Edits, *, alone: bool) -> str:
    """Give the losses the activation's input; where it has no name and there are other uses, name it.

    Returns:
        ``"gone"`` if nothing needs the activation any more, ``"kept"`` if something does, ``""`` if this
        cannot be.
    """
    code = applied.code
    named = _named(applied, calls)
    if named is None:
        return ""
    binding, reads = named
    if isinstance(applied.input, cst.Name) and all(same_value(code, applied.input, read) for read in reads):
        for read in reads:
            edits.cut(code, *code.span(read), applied.input.value)
        return _forget(applied, binding, reads, edits, alone)
    if isinstance(applied.input, cst.Name) and changed_in_place(code, applied.input):
        return ""
    name = _free_name(code, applied.call)
    line = code.parent(code.parent(applied.call))
    if alone or name is None or not isinstance(line, cst.SimpleStatementLine) or len(line.body) > 1:
        return ""
    start, end = code.full_span(applied.input)
    first = code.line_start(code.line(line))
    indent = code.text[first : code.span(line)[0]]
    newline = code.newline(code.line(line))
    edits.cut(code, first, first, f"{indent}{name} = {in_expression(code.text[start:end])}{newline}")
    edits.cut(code, start, end, name)
    for read in reads:
        edits.cut(code, *code.span(read), name)
    return "kept"


def use_the_log(
    applied: Applied, calls: Sequence[cst.Call], edits: Edits, *, whole: bool, alone: bool
) -> str:
    """Take the log-softmax where the probabilities were taken, or (`whole`) where their logarithm was.

    Returns:
        As `use_the_input`.
    """
    code = applied.code
    named = _named(applied, calls)
    if named is None or (alone and not whole):
        return ""
    binding, reads = named
    func = applied.call.func
    if (
        not isinstance(applied.input, cst.Name)
        or not isinstance(func, cst.Attribute)
        or func.attr.value != "softmax"
    ):
        return ""
    if not all(same_value(code, applied.input, read) for read in reads):
        return ""
    start, end = code.span(applied.call)
    at = code.span(func.attr)
    text = f"{code.text[start : at[0]]}log_softmax{code.text[at[1] : end]}"
    for call, read in zip(calls, reads, strict=True):
        edits.replace(code, call if whole else read, text)
    return _forget(applied, binding, reads, edits, alone)


def _named(applied: Applied, calls: Sequence[cst.Call]) -> tuple[BaseAssignment, list[cst.Name]] | None:
    """The name of the value, and where each call reads it, if it can be nothing else there."""
    code = applied.code
    assign = code.parent(applied.call)
    if not isinstance(assign, cst.Assign) or len(assign.targets) != 1:
        return None
    binding = code.bound_at(assign.targets[0].target)
    if binding is None or not calls:
        return None
    reads = []
    for call in calls:
        read = _taken(call)
        if not isinstance(read, cst.Name) or bindings_seen(code, read) != [binding]:
            return None
        reads.append(read)
    return binding, reads


def _taken(call: cst.Call) -> cst.BaseExpression | None:
    for arg in call.args:
        if arg.keyword is not None and arg.keyword.value == "input":
            return arg.value
    if call.args:
        return (
            unshifted(call.args[0].value) if call.args[0].keyword is None and not call.args[0].star else None
        )
    return unshifted(call.func.value) if isinstance(call.func, cst.Attribute) else None


def unshifted(value: cst.BaseExpression) -> cst.BaseExpression:
    """Of ``p + eps``, which `Flow` has found to be one, p."""
    return value.left if isinstance(value, cst.BinaryOperation) else value


def _forget(
    applied: Applied, binding: BaseAssignment, reads: Sequence[cst.Name], edits: Edits, alone: bool
) -> str:
    code = applied.code
    if not alone or set(loads(code, binding)) != set(reads):
        return "kept"
    assign = code.parent(applied.call)
    if isinstance(assign, cst.Assign):
        edits.remove_statement(code, assign)
    return "gone"


def _free_name(code: Code, call: cst.Call) -> str | None:
    holder = code.function(call) or code.module
    start, end = (0, len(code.text)) if isinstance(holder, cst.Module) else code.span(holder)
    used = set(re.findall(r"\w+", code.text[start:end]))
    return next((name for name in ("logits", "raw_logits") if name not in used), None)
