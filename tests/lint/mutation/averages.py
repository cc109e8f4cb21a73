"""LH501 to LH503, LH701 and LH702: means, accumulated gradients and perplexities.

The scripts add up a sum of nats and a count and divide once; the mutants do not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lint.mutation.source import Edit, Mutant, Script, is_method, keyword, last
from lint.mutation.uses import root, uses

Mutants = Iterator[Mutant | None]


@dataclass(frozen=True)
class Average:
    """A sum of losses, its count, and the division of one by the other in the same function."""

    added: ast.AugAssign
    counted: ast.AugAssign | None
    division: ast.BinOp
    loop: ast.For


def averages(script: Script) -> Iterator[Average]:
    for added in script.walk(ast.AugAssign):
        loop = script.enclosing(added, ast.For)
        if loop is None or not any(
            _is_item_of_loss(script, call) for call in script.calls("item", inside=added)
        ):
            continue
        function = script.function(added)
        for division in script.walk(ast.BinOp, inside=function):
            if not isinstance(division.op, ast.Div) or root(division.left) != last(added.target):
                continue
            if not isinstance(division.right, ast.Name):
                continue  # a base, not a count
            count = division.right.id
            adds = [node for node in script.walk(ast.AugAssign, inside=loop) if last(node.target) == count]
            yield Average(added, adds[0] if adds else None, division, loop)


def _is_item_of_loss(script: Script, call: ast.Call) -> bool:
    value = call.func.value
    return isinstance(value, ast.Name) or any(
        use.call in ast.walk(value) for use in uses(script, "ce", "nll", "bce")
    )


def _unweighted(script: Script, average: Average) -> list[Edit]:
    """Add the mean of the batch as it is."""
    value = average.added.value
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
        return [script.replace(value, script.segment(value.left))]
    for use in uses(script, "ce", "nll", "bce"):
        if use.call in ast.walk(value):
            made = use.made[0]
            return [script.replace_keyword(made, "reduction", "")] if keyword(made, "reduction") else []
    return []


def _over_batches(script: Script, average: Average) -> list[list[Edit]]:
    """Divide by the number of batches instead of examples: by the loader's length, or by counting ones."""
    ways = []
    iterated = average.loop.iter
    if isinstance(iterated, ast.Name):
        ways.append([script.replace(average.division.right, f"len({iterated.id})")])
    if average.counted is not None and not _is_read_again(script, average):
        ways.append([script.replace(average.counted.value, "1")])
    return ways


def _in_a_list(script: Script, average: Average, unweighted: list[Edit]) -> list[Edit]:
    """The means are kept in a list that starts empty, and the list is averaged."""
    added, name = average.added, last(average.added.target)
    start = script.assigned(name, inside=script.function(added))[0]
    edits = [
        script.replace(start, "[]"),
        script.replace(average.division, f"sum({name}) / len({name})"),
    ]
    if isinstance(added.value, ast.BinOp):
        return [*edits, script.replace(added, f"{name}.append({script.segment(added.value.left)})")]
    source = script.source(added)
    (first, _), (value, _) = source.span(added), source.span(added.value)
    opening = Edit(source.path, first, value, f"{name}.append(")
    return [*edits, opening, script.put_after(added.value, ")"), *unweighted]


def _is_read_again(script: Script, average: Average) -> bool:
    """Whether the count divides something else too, such as the hits."""
    function, name = script.function(average.added), last(average.counted.target)
    reads = [
        n for n in script.walk(ast.Name, inside=function) if n.id == name and isinstance(n.ctx, ast.Load)
    ]
    return len(reads) > 1


def mean_of_means(script: Script) -> Mutants:
    for average in averages(script):
        if not (unweighted := _unweighted(script, average)):
            continue
        for edits in _over_batches(script, average):
            yield script.mutant("LH501", "batches count alike", unweighted + edits, [average.division])
            yield script.mutant("LH701", "exp of a mean of means", unweighted + edits, exponentials(script))
        edits = _in_a_list(script, average, unweighted)
        yield script.mutant("LH501", "the mean of a list of means", edits, [average.division])
        yield script.mutant("LH701", "exp of the mean of a list of means", edits, exponentials(script))


def exponentials(script: Script) -> list[ast.expr]:
    """Where a perplexity is taken: outside a model, of a mean."""
    found = [call for call in script.calls("exp") if "math" in ast.unparse(call.func)]
    found += [
        c for c in script.calls("exp") if is_method(c.func.value) and last(c.func.value.func) == "tensor"
    ]
    powers = [node for node in script.walk(ast.BinOp) if isinstance(node.op, ast.Pow)]
    return found + [node for node in powers if isinstance(node.left, ast.Constant) and node.left.value == 2]


def mean_of_perplexities(script: Script) -> Mutants:
    """Each batch is exponentiated, and the results are averaged."""
    for average in averages(script):
        final = [call for call in script.calls("exp") if ast.unparse(call.func) == "math.exp"]
        value = average.added.value
        if len(final) != 1 or not (unweighted := _unweighted(script, average)):
            continue
        if isinstance(value, ast.BinOp):
            edits = [script.replace(value, f"math.exp({script.segment(value.left)})")]
        else:
            edits = [*unweighted, *script.wrap(value, "math.exp(", ")")]
        edits += _around(script, final[0], "", "")
        for over in _over_batches(script, average):
            places = [average.added, average.division]
            yield script.mutant("LH701", "mean of perplexities", edits + over, places)


def _around(script: Script, call: ast.Call, before: str, after: str) -> list[Edit]:
    """Something else in the place of a call around its one argument."""
    source = script.source(call)
    (start, end), (first, behind) = source.span(call), source.span(call.args[0])
    return [Edit(source.path, start, first, before), Edit(source.path, behind, end, after)]


def wrong_base(script: Script) -> Mutants:
    for node in exponentials(script):
        if isinstance(node, ast.BinOp):
            edit = script.replace(node, f"math.exp({script.segment(node.right)})")
            yield script.mutant("LH702", "exp of bits", [edit], [node])
        elif node.args:
            for before in ("2 ** (", "math.pow(2, ", "math.exp2("):
                yield script.mutant("LH702", f"{before}nats)", _around(script, node, before, ")"), [node])
        else:
            base = script.segment(node.func.value)
            for text in (f"2 ** {base}", f"{base}.exp2()", f"torch.pow(2, {base})"):
                yield script.mutant("LH702", "two to the power of nats", [script.replace(node, text)], [node])
    for division in script.walk(ast.BinOp):
        if isinstance(division.op, ast.Div) and ast.unparse(division.right) == "math.log(2)":
            edit = script.replace(division, script.segment(division.left))
            yield script.mutant("LH702", "nats taken for bits", [edit], exponentials(script))


def undivided_accumulation(script: Script) -> Mutants:
    """The division goes, or a loop that steps on each batch steps on each second."""
    for backward in script.calls("backward"):
        loop = script.enclosing(backward, ast.For)
        if loop is None:
            continue
        for division in script.walk(ast.BinOp, inside=loop):
            holder = script.source(division).parents[division]
            if not isinstance(division.op, ast.Div) or not isinstance(holder, ast.Assign):
                continue
            if "ACCUM" in ast.unparse(division.right).upper() or "token" in ast.unparse(division.right):
                bare = script.segment(division.left)
                gone = script.replace(division, bare)
                if bare == ast.unparse(holder.targets[0]):
                    gone = script.replace(holder, "pass")
                yield script.mutant("LH502", "no division", [gone], [backward])
        yield _each_second(script, loop, backward)


def _each_second(script: Script, loop: ast.For, backward: ast.Call) -> Mutant | None:
    calls = [n.value for n in loop.body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
    named = {last(call.func): call for call in calls}
    if not {"zero_grad", "backward", "step"} <= set(named) or named["backward"] is not backward:
        return None
    if isinstance(loop.iter, ast.Call) and last(loop.iter.func) == "range":
        return None  # not over batches
    zero, step = named["zero_grad"], named["step"]
    edits = []
    if isinstance(loop.iter, ast.Call) and last(loop.iter.func) == "enumerate":
        counter = script.segment(loop.target.elts[0])
    else:
        counter = "micro_step"
        target = script.segment(loop.target)
        bracketed = f"({target})" if isinstance(loop.target, ast.Tuple) else target
        edits += [script.replace(loop.target, f"{counter}, {bracketed}")]
        edits += script.wrap(loop.iter, "enumerate(", ")")
    both = f"{script.segment(step)}; {script.segment(zero)}"
    edits += [script.replace(zero, "pass"), script.replace(step, f"if {counter} % 2 == 1: {both}")]
    return script.mutant("LH502", "a step on each second batch", edits, [backward])


def mean_over_ranks(script: Script) -> Mutants:
    """Each rank divides, and the means are averaged, where sums and counts were added up."""
    reductions = {root(call.args[0]): call for call in script.calls("all_reduce") if root(call.args[0])}
    for division in script.walk(ast.BinOp):
        total, count = root(division.left), root(division.right)
        if not isinstance(division.op, ast.Div) or total not in reductions or count not in reductions:
            continue
        reduce = reductions[total]
        if script.function(reduce) is not script.function(division):
            continue
        dist = script.segment(reduce.func.value)
        local = f"{total} = {total} / {count}; "
        edits = [*script.wrap(reduce, local, ""), script.replace(division.right, f"{dist}.get_world_size()")]
        yield script.mutant("LH503", "the mean of the ranks' means", edits, [division, reduce])
        average = f"{local}{dist}.all_reduce({total}, op={dist}.ReduceOp.AVG)"
        edits = [script.replace(reduce, average), script.replace(division, total)]
        yield script.mutant("LH503", "ReduceOp.AVG of the ranks' means", edits, [division, reduce])


WAYS = (
    mean_of_means,
    mean_of_perplexities,
    wrong_base,
    undivided_accumulation,
    mean_over_ranks,
)
