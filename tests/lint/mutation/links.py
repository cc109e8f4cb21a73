"""LH101 to LH112: what the loss takes is not what it wants.

An activation goes in at the call of the loss, where its input is assigned, in what the model returns or
behind the model's last layer; or it is taken away, or the loss is exchanged.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lint.mutation.source import Edit, Mutant, Script, is_method, keyword, last
from lint.mutation.uses import Use, root, uses

Mutants = Iterator[Mutant | None]
MODULE = {"softmax": "Softmax", "log_softmax": "LogSoftmax", "sigmoid": "Sigmoid"}


def activate(script: Script, node: ast.expr, name: str, dim: int, turn: int) -> list[Edit]:
    """Put an activation around an expression, in one of the ways in which people write it."""
    names = script.source(node).names()
    options = "" if name == "sigmoid" else f"dim={dim}"
    after = f", {options})" if options else ")"
    forms = [(f"torch.{name}(", after)] if "torch" in names else []
    if "nn" in names:
        forms.append((f"nn.{MODULE[name]}({options})(", ")"))
    if "F" in names and name != "sigmoid":
        forms.append((f"F.{name}(", after))
    if isinstance(node, ast.Name | ast.Call):
        forms.append(("", f".{name}({options})"))
    return script.wrap(node, *forms[turn % len(forms)])


def activated(
    script: Script, use: Use, name: str, turn: int
) -> Iterator[tuple[str, list[Edit], list[ast.AST]]]:
    """Ways to put an activation before a loss: its name, its edits, and where the loss is called."""
    dim = 1 if use.kind == "ce" or use.head is None else use.head.dim
    yield f"{name} at the call", activate(script, use.input, name, dim, turn), use.places
    others = uses(script, use.kind)
    shaped = isinstance(use.input, ast.Call)  # a view: before it, the classes may be in another place
    if use.assignment is not None and not shaped:
        function = script.function(use.call)
        same = [u for u in others if script.function(u.call) is function]
        places = [u.call for u in same if ast.unparse(u.input) == ast.unparse(use.input)]
        yield f"{name} where assigned", activate(script, use.assignment, name, dim, turn + 1), places
    if (head := use.head) is None:
        return
    places = [place for u in others if u.head == head for place in u.places]
    if head.returned is not None:
        yield f"{name} in forward", activate(script, head.returned, name, head.dim, turn + 2), places
    if "nn" not in script.source(head.layer or head.sequential or use.call).names():
        return
    module = f"nn.{MODULE[name]}({'' if name == 'sigmoid' else f'dim={head.dim}'})"
    if head.sequential is not None:
        yield f"{name} ends the Sequential", [script.add_argument(head.sequential, module)], places
    elif head.layer is not None and not _read_elsewhere(script, head.layer):
        yield (
            f"{name} behind the layer",
            script.wrap(head.layer, "nn.Sequential(", f", {module})"),
            places,
        )


def _read_elsewhere(script: Script, layer: ast.Call) -> bool:
    """Whether the weights of a layer are read, which a Sequential around it would hide."""
    assign = script.enclosing(layer, ast.Assign)
    name = last(assign.targets[0])
    return any(last(node.value) == name for node in script.walk(ast.Attribute))


def exchange(script: Script, same: list[Use], module: str, function: str) -> list[Edit]:
    """Another loss in the place of this one, without the options that it does not have."""
    edits = []
    for made in dict.fromkeys(made for use in same for made in use.made):
        name = function if same[0].functional else module
        if isinstance(made.func, ast.Name):
            edits += [
                Edit(e.path, e.start, e.end, name)
                for e in (script.replace(alias, "") for alias in script.walk(ast.alias))
                if e.path == script.source(made).path and _text(script, e) == made.func.id
            ]
        edits.append(_rename(script, made.func, name))
        edits += [
            script.replace_keyword(made, word.arg, "")
            for word in made.keywords
            if word.arg in ("label_smoothing", "pos_weight")
        ]
    return edits


def _text(script: Script, edit: Edit) -> str:
    source = next(source for source in script.sources if source.path == edit.path)
    return source.text[edit.start : edit.end]


def _rename(script: Script, func: ast.expr, name: str) -> Edit:
    edit = script.replace(func, name)
    if isinstance(func, ast.Attribute):
        return Edit(edit.path, edit.end - len(func.attr), edit.end, name)
    return edit


def with_same_loss(script: Script, use: Use) -> list[Use]:
    """The calls of the same criterion, or of the same function anywhere."""
    return [
        other
        for other in uses(script, use.kind)
        if other.made == use.made or (use.functional and ast.dump(other.call.func) == ast.dump(use.call.func))
    ]


def is_picked(use: Use) -> bool:
    """Whether the values of examples are kept apart: then nll_loss may be meant to pick entries."""
    return any(isinstance(value, ast.Constant) and value.value == "none" for value in _reductions(use))


def _reductions(use: Use) -> list[ast.expr | None]:
    return [keyword(made, "reduction") for made in use.made]


def is_contrastive(script: Script, use: Use) -> bool:
    """Whether the classes are the examples of the batch: then a softmax over dimension 0 may be meant."""
    return any("arange" in ast.unparse(value) for value in script.assigned(root(use.target)))


def into_cross_entropy(script: Script) -> Mutants:
    for turn, use in enumerate(uses(script, "ce")):
        for code, name in (("LH101", "softmax"), ("LH102", "sigmoid"), ("LH103", "log_softmax")):
            for how, edits, places in activated(script, use, name, turn + int(code[-1])):
                yield script.mutant(code, how, edits, places)


def into_bce_with_logits(script: Script) -> Mutants:
    for turn, use in enumerate(uses(script, "bce")):
        for code, name in (("LH106", "sigmoid"), ("LH107", "softmax")):
            for how, edits, places in activated(script, use, name, turn + int(code[-1])):
                yield script.mutant(code, how, edits, places)


def into_nll_and_bce(script: Script) -> Mutants:
    """The loss is exchanged for one that takes no logits, with the logits left or with probabilities."""
    for turn, use in enumerate(uses(script, "ce", "bce")):
        if is_picked(use):
            continue
        if use.kind == "ce":
            other, logits, probs, name = ("NLLLoss", "nll_loss"), "LH105", "LH104", "softmax"
        else:
            other, logits, probs, name = ("BCELoss", "binary_cross_entropy"), "LH108", "LH109", "sigmoid"
        same = with_same_loss(script, use)
        edits = exchange(script, same, *other)
        places = [place for u in same for place in u.places]
        yield script.mutant(logits, f"{other[0]} of logits", edits, places)
        at_calls = [e for u in same for e in activate(script, u.input, name, 1, turn)]
        yield script.mutant(probs, f"{other[0]}, {name} at each call", edits + at_calls, places)
        assigned = [u.assignment for u in same if not isinstance(u.input, ast.Call)]
        if len(assigned) == len(same) and None not in assigned:
            wraps = [
                e for value in dict.fromkeys(assigned) for e in activate(script, value, name, 1, turn + 2)
            ]
            yield script.mutant(probs, f"{other[0]}, {name} where assigned", edits + wraps, places)
        for how, further, there in activated(script, use, name, turn + 1):
            if "at the call" not in how and "assigned" not in how:
                taken = [p for p in there if p in places]
                yield script.mutant(probs, f"{other[0]}, {how}", edits + further, taken)


def log_of_a_softmax(script: Script) -> Mutants:
    for turn, use in enumerate(uses(script, "ce")):
        if is_picked(use):
            continue
        same = with_same_loss(script, use)
        edits = exchange(script, same, "NLLLoss", "nll_loss")
        inputs = [u.input for u in same]
        if "torch" in script.source(use.call).names() and not isinstance(inputs[0], ast.Starred):
            for end in (", dim=1))", ", dim=1) + 1e-8)"):
                wraps = [e for node in inputs for e in script.wrap(node, "torch.log(torch.softmax(", end)]
                yield script.mutant("LH110", f"log(softmax) at each call{end}", edits + wraps, inputs)
        head = use.head
        if head is not None and head.returned is not None and turn == 0:
            wraps = script.wrap(head.returned, "", f".softmax(dim={head.dim}).log()")
            if isinstance(head.returned, ast.Name | ast.Call):
                yield script.mutant("LH110", "softmax().log() in forward", edits + wraps, [head.returned])
    for call in script.calls("log_softmax"):
        rename = _rename(script, call.func, "softmax")
        edits = [rename, *script.wrap(call, "torch.log(", ")")]
        yield script.mutant("LH110", "log_softmax in two steps", edits, [call])


def softmax_for_log_softmax(script: Script) -> Mutants:
    """A model that ends in a log-softmax loses the logarithm, or all of it."""
    for use in uses(script, "nll"):
        same = uses(script, "nll")
        places = [u.call for u in same]
        for call in script.calls("log_softmax", "LogSoftmax"):
            softmax = "Softmax" if last(call.func) == "LogSoftmax" else "softmax"
            edit = _rename(script, call.func, softmax)
            yield script.mutant("LH104", "the log is left out", [edit], places)
            bare = script.segment(call.args[0]) if call.args else "nn.Identity()"
            yield script.mutant("LH105", "the log-softmax is left out", [script.replace(call, bare)], places)
        if use is same[0]:
            wrap = script.wrap(use.input, "torch.exp(", ")")
            yield script.mutant("LH104", "exp before the loss", wrap, [use.call])


def wrong_dimension(script: Script) -> Mutants:
    for call in script.calls("log_softmax", "LogSoftmax"):
        at = script.calls("classifier", "model")[:1] if last(call.func) == "LogSoftmax" else []
        zero = script.replace_keyword(call, "dim", "dim=0")
        yield script.mutant("LH112", "over the batch", [zero], [call, *at])
        yield script.mutant("LH112", "no dim", [script.replace_keyword(call, "dim", "")], [call, *at])
    for turn, use in enumerate(uses(script, "ce")):
        if is_contrastive(script, use) or is_picked(use):
            continue
        same = with_same_loss(script, use)
        edits = exchange(script, same, "NLLLoss", "nll_loss")
        inputs = [u.input for u in same]
        wraps = [e for node in inputs for e in activate(script, node, "log_softmax", 0, turn)]
        yield script.mutant("LH112", "log_softmax over the batch, at each call", edits + wraps, inputs)
        head = use.head
        if head is not None and head.returned is not None and isinstance(head.returned, ast.Name | ast.Call):
            wraps = activate(script, head.returned, "log_softmax", 0, turn + 1)
            yield script.mutant(
                "LH112", "log_softmax over the batch, in forward", edits + wraps, [head.returned]
            )
    for use in uses(script, "dice"):
        if is_method(use.input, "softmax"):
            edit = script.replace_keyword(use.input, "dim", "dim=0")
            yield script.mutant("LH112", "softmax of a Dice loss over the batch", [edit], [use.input])


def logits_into_overlap(script: Script) -> Mutants:
    for use in uses(script, "dice"):
        activation = use.input
        if isinstance(activation, ast.Name) and use.assignment is not None:
            activation = use.assignment
        if isinstance(activation, ast.Call) and last(activation.func) in ("sigmoid", "softmax"):
            bare = script.segment(activation.args[0])
            yield script.mutant("LH111", "no activation", [script.replace(activation, bare)], use.places)
            name = last(activation.func)
            rest = bare if name == "sigmoid" else f"{bare}, dim=1"
            if name == "softmax":
                edit = script.replace(activation, f"torch.log_{name}({rest})")
                yield script.mutant("LH111", "log-probabilities", [edit], use.places)
        for made in use.made:
            for option in ("from_logits", "sigmoid"):
                if isinstance(keyword(made, option), ast.Constant) and keyword(made, option).value:
                    edits = [script.replace_keyword(made, option, f"{option}=False")]
                    yield script.mutant("LH111", f"{option}=False", edits, use.places)
                    if option == "sigmoid":
                        edits = [script.replace_keyword(made, option, "")]
                        yield script.mutant("LH111", f"no {option}=True", edits, use.places)


WAYS = (
    into_cross_entropy,
    into_bce_with_logits,
    into_nll_and_bce,
    log_of_a_softmax,
    softmax_for_log_softmax,
    wrong_dimension,
    logits_into_overlap,
)
