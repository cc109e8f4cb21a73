"""LH201 to LH403 and LH602: the target, its shape, its padding and the weights do not fit the loss."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lint.mutation.links import is_contrastive
from lint.mutation.source import FUNCTION, Mutant, Script, is_method, keyword, last
from lint.mutation.uses import Use, parameters, passed, root, strip, uses

Mutants = Iterator[Mutant | None]


def one_hot_target(script: Script) -> Mutants:
    for turn, use in enumerate(uses(script, "ce")):
        if _is_spatial(use) or not isinstance(use.input, ast.Name):
            continue
        name = use.input.id
        one_hot = "F.one_hot" if "F" in script.source(use.call).names() else "torch.nn.functional.one_hot"
        cast = ("float()", "to(torch.float32)", f"to({name}.dtype)")[turn % 3]
        edits = script.wrap(use.target, f"{one_hot}(", f", {name}.size(1)).{cast}")
        yield script.mutant("LH201", "one-hot at the call", edits, use.places)
        if (value := _assigned_before(script, use, use.target)) is not None:
            width = _width(script, use)
            edits = script.wrap(value, f"{one_hot}(", f", {width}).float()")
            if width is not None and isinstance(value, ast.Call):
                yield script.mutant("LH201", "one-hot where assigned", edits, use.places)


def wrong_dtype(script: Script) -> Mutants:
    """The class indices are cast to what cannot be a class index."""
    for use in uses(script, "ce", "nll"):
        # A float may be a class's probability, unless the target has the shape of indices; a bool is neither.
        casts = ["bool()", "float()", "to(torch.float32)"] if _is_known_index(script, use) else ["bool()"]
        for cast in casts:
            edits = script.wrap(use.target, "", f".{cast}")
            yield script.mutant("LH202", f"{cast} of the target", edits, use.places)


def _is_known_index(script: Script, use: Use) -> bool:
    """Whether the source says that the target holds one class number per prediction."""
    if is_method(use.target, "view", "reshape", "flatten"):
        return True
    made = script.assigned(root(use.target), inside=script.function(use.call))
    return any(word in ast.unparse(value) for value in made for word in ("randint", "arange", ".long()"))


def classes_not_in_dimension_one(script: Script) -> Mutants:
    for use in uses(script, "ce"):
        shaped, target = use.input, use.target
        if is_method(shaped, "transpose", "permute", "movedim"):
            edits = [script.replace(shaped, script.segment(shaped.func.value))]
            yield script.mutant("LH301", f"no {shaped.func.attr}", edits, use.places)
        if is_method(shaped, "view", "reshape", "flatten") and is_method(
            target, "view", "reshape", "flatten"
        ):
            edits = [script.replace(node, script.segment(node.func.value)) for node in (shaped, target)]
            if not _is_flat(script, use):
                yield script.mutant("LH301", f"no {shaped.func.attr}", edits, use.places)


def _is_flat(script: Script, use: Use) -> bool:
    """Whether the logits are [N, C] before the view, so that nothing goes wrong without it."""
    return "hidden[:, 0]" in ast.unparse(use.head.returned) if use.head and use.head.returned else False


def shapes_that_broadcast(script: Script) -> Mutants:
    for use in uses(script, "bce", "mse"):
        target = use.target
        squeezed = _squeezed(use)
        known = not _is_of_a_loader(script, use)
        if is_method(target, "unsqueeze", "view") and len(target.args) in (1, 2):
            if known:
                edits = [script.replace(target, script.segment(target.func.value))]
                yield script.mutant("LH302", f"no {target.func.attr} of the target", edits, use.places)
            edits = script.wrap(use.input, "", ".squeeze(1)")
            yield script.mutant("LH302", "a squeeze of the input", edits, use.places)
        elif squeezed is not None:
            if known:
                edits = [script.replace(squeezed, script.segment(squeezed.func.value))]
                yield script.mutant("LH302", f"no {squeezed.func.attr} of the input", edits, use.places)
            edits = script.wrap(target, "", ".unsqueeze(1)")
            yield script.mutant("LH302", "an unsqueeze of the target", edits, use.places)


def _is_of_a_loader(script: Script, use: Use) -> bool:
    """Whether the target is what a loop or a batch yields, so that the source does not say its shape."""
    function, name = script.function(use.call), root(use.target)
    unpacked = [node.target for node in script.walk(ast.For, inside=function)]
    unpacked += [node.targets[0] for node in script.walk(ast.Assign, inside=function)]
    return any(isinstance(to, ast.Tuple) and name in [last(elt) for elt in to.elts] for to in unpacked)


def _squeezed(use: Use) -> ast.Call | None:
    for node in (use.input, use.assignment):
        if node is not None and is_method(node, "squeeze"):
            return node
    return None


def wrong_number_of_logits(script: Script) -> Mutants:
    for use in uses(script, "ce", "bce"):
        layer = use.head.layer if use.head is not None else None
        if layer is None or is_contrastive(script, use) or _is_regrouped(use):
            continue
        same = [place for u in uses(script, use.kind) if u.head == use.head for place in u.places]
        width = layer.args[1]
        if use.kind == "ce":
            yield script.mutant("LH303", "one logit", [script.replace(width, "1")], same)
        elif isinstance(width, ast.Constant) and width.value == 1:
            yield script.mutant("LH303", "two logits", [script.replace(width, "2")], same)


def _is_regrouped(use: Use) -> bool:
    """Whether a view counts on the number of logits, so that another number regroups them or fails there."""
    nodes = [use.input, use.assignment, use.head.returned]
    return any(node is not None and is_method(node, "view", "reshape") for node in nodes)


def scored_padding(script: Script) -> Mutants:
    for use in uses(script, "ce"):
        for made in use.made:
            if "PAD" in ast.unparse(keyword(made, "ignore_index") or ast.Constant(0)):
                edits = [script.replace_keyword(made, "ignore_index", "")]
                yield script.mutant("LH401", "no ignore_index", edits, use.places)
                edits = [script.replace_keyword(made, "ignore_index", "ignore_index=-100")]
                yield script.mutant("LH401", "the default ignore_index", edits, use.places)


def ignored_class(script: Script) -> Mutants:
    """One of two classes is ignored; of more, one may well be padding or what has no label."""
    for use in uses(script, "ce", "nll"):
        if _width_value(script, use) != 2:
            continue
        for made in use.made:
            for index in (0, 1):
                edits = [script.add_argument(made, f"ignore_index={index}")]
                yield script.mutant("LH403", f"ignore_index={index}", edits, [made, use.call])


def wrong_weights(script: Script) -> Mutants:
    for use in uses(script, "ce", "bce"):
        for made in use.made:
            weight, pos_weight = keyword(made, "weight"), keyword(made, "pos_weight")
            places = [made, use.call]
            if use.kind == "bce":
                yield from _weights_of_bce(script, made, pos_weight, places)
            elif weight is not None:
                values = _list_of(script, weight)
                if values is not None:
                    fewer = script.replace(values.elts[-1], "")
                    yield script.mutant("LH602", "one weight too few", [fewer], places)
            elif (width := _width_value(script, use)) is not None:
                texts = [f"torch.ones({width + 1})"]
                if width < 10:
                    texts.append(f"torch.tensor([{', '.join(['1.0'] * width + ['3.0'])}])")
                for text in texts:
                    edits = [script.add_argument(made, f"weight={text}")]
                    yield script.mutant("LH602", "one weight too many", edits, places)


def _weights_of_bce(
    script: Script, made: ast.Call, pos_weight: ast.expr | None, places: list[ast.AST]
) -> Mutants:
    pair = "weight=torch.tensor([1.0, 5.0])"
    if pos_weight is not None:
        edits = [script.replace_keyword(made, "pos_weight", pair)]
        yield script.mutant("LH602", "class weights for pos_weight", edits, places)
    else:
        edits = [script.add_argument(made, pair)]
        yield script.mutant("LH602", "class weights of BCE", edits, places)


def _list_of(script: Script, weight: ast.expr) -> ast.List | None:
    """The numbers of a tensor of weights, perhaps by way of a constant."""
    for value in [weight, *script.assigned(root(weight))]:
        call = strip(value)
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.List):
            return call.args[0]
    return None


def _assigned_before(script: Script, use: Use, node: ast.expr) -> ast.expr | None:
    values = script.assigned(ast.unparse(node), inside=script.function(use.call))
    return values[0] if values else None


def _is_spatial(use: Use) -> bool:
    layer = use.head.layer if use.head is not None else None
    return layer is not None and last(layer.func) != "Linear"


def _width(script: Script, use: Use) -> str | None:
    """The number of classes as the source of the loss's file may write it."""
    value = _width_value(script, use)
    return None if value is None else str(value)


def _width_value(script: Script, use: Use) -> int | None:
    """The number of logits, if the source says it."""
    layer = use.head.layer if use.head is not None else None
    return None if layer is None else _value(script, layer.args[1])


def _value(script: Script, node: ast.expr, hops: int = 4) -> int | None:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Call) and last(node.func) == "len":
        value = next(iter(script.assigned(root(node.args[0]))), None)
        return len(value.elts) if isinstance(value, ast.List | ast.Tuple) else None
    if not isinstance(node, ast.Name) or hops == 0:
        return None
    function = script.function(node)
    if isinstance(function, FUNCTION) and node.id in parameters(function):
        given = [value for value, _ in passed(script, function, node.id)]
        words = [a.arg for a in function.args.args]
        defaults = dict(zip(reversed(words), reversed(function.args.defaults), strict=False))
        given += [defaults[node.id]] if node.id in defaults else []
    else:
        given = script.assigned(node.id)
    return next((v for v in (_value(script, value, hops - 1) for value in given) if v is not None), None)


WAYS = (
    one_hot_target,
    wrong_dtype,
    classes_not_in_dimension_one,
    shapes_that_broadcast,
    wrong_number_of_logits,
    scored_padding,
    ignored_class,
    wrong_weights,
)
