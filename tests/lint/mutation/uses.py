"""Where a script calls a loss, and which part of its model makes what the loss takes.

The scripts keep to habits that make this easy to find: a criterion keeps its name when it is passed on, and a
model is called by the name to which it was assigned, or as ``self``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

from lint.mutation.source import FUNCTION, Script, is_method, last

MODULES = {
    "CrossEntropyLoss": "ce",
    "NLLLoss": "nll",
    "BCEWithLogitsLoss": "bce",
    "MSELoss": "mse",
    "DiceLoss": "dice",
}
FUNCTIONS = {
    "cross_entropy": "ce",
    "nll_loss": "nll",
    "binary_cross_entropy_with_logits": "bce",
    "mse_loss": "mse",
    "dice_loss": "dice",
    "tversky_loss": "dice",
    "soft_dice_loss": "dice",
}
SHAPING = ("view", "reshape", "flatten", "squeeze", "unsqueeze", "transpose", "permute", "t", "to", "float")
LAYERS = {"Linear": -1, "Conv2d": 1, "Conv3d": 1}
"""Layers that end a model, and the dimension in which they put the classes."""


@dataclass(frozen=True)
class Head:
    """The end of a model: what its forward returns, its last layer, the Sequential that it is."""

    returned: ast.expr | None = None
    layer: ast.Call | None = None
    sequential: ast.Call | None = None

    @property
    def dim(self) -> int:
        return -1 if self.layer is None else LAYERS[last(self.layer.func)]


class Use:
    """A call of a loss.

    Attributes:
        kind: ``"ce"``, ``"nll"``, ``"bce"``, ``"mse"`` or ``"dice"``.
        call: the call.
        made: the constructions of the loss; the call itself, if it is a function.
    """

    def __init__(self, script: Script, kind: str, call: ast.Call, made: list[ast.Call]) -> None:
        self.script, self.kind, self.call, self.made = script, kind, call, made
        self.input, self.target = call.args[0], call.args[1]

    @property
    def functional(self) -> bool:
        return self.made == [self.call]

    @cached_property
    def places(self) -> list[ast.AST]:
        """The call, and the calls of the project's own function or module that passes its argument on."""
        function = self.script.function(self.call)
        if not isinstance(function, FUNCTION) or root(self.input) not in parameters(function):
            return [self.call]
        return [self.call, *callers(self.script, function)]

    @cached_property
    def assignment(self) -> ast.expr | None:
        """What is assigned to the name that the loss takes, if it is a call of one result."""
        values = self.script.assigned(root(self.input), inside=self.script.function(self.call))
        before = [value for value in values if value.lineno <= self.call.lineno]
        return before[-1] if before and isinstance(before[-1], ast.Call | ast.Subscript | ast.BinOp) else None

    @cached_property
    def head(self) -> Head | None:
        return _model_head(self.script, self.input, self.script.function(self.call))


def uses(script: Script, *kinds: str) -> list[Use]:
    """The calls of losses of these kinds, in the order of the source."""
    return [use for use in _uses(script) if use.kind in kinds]


@cache
def _uses(script: Script) -> list[Use]:
    return list(_find(script))


def _find(script: Script) -> Iterator[Use]:
    for call in script.walk(ast.Call):
        if len(call.args) < 2:
            continue
        if last(call.func) in FUNCTIONS and not ast.unparse(call.func).startswith("self."):
            yield Use(script, FUNCTIONS[last(call.func)], call, [call])
        elif made := constructions(script, call):
            yield Use(script, MODULES[last(made[0].func)], call, made)


def constructions(script: Script, call: ast.Call) -> list[ast.Call]:
    """The losses that the called name may hold: from this function, or else from the whole script."""
    name = ast.unparse(call.func)
    function = script.function(call)
    for value in script.assigned(name, inside=function) or script.assigned(name):
        held = [value]
        if isinstance(value, ast.Subscript):
            held = [v for d in script.assigned(ast.unparse(value.value)) for v in getattr(d, "values", [])]
        if losses := [v for v in held if isinstance(v, ast.Call) and last(v.func) in MODULES]:
            return losses
    return []


def root(node: ast.expr) -> str:
    """The name that an expression reads, below views, casts, indexing and division by a temperature."""
    stripped = strip(node)
    return stripped.id if isinstance(stripped, ast.Name) else ""


def strip(node: ast.expr) -> ast.expr:
    while True:
        if is_method(node, *SHAPING):
            node = node.func.value
        elif isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            node = node.left
        else:
            return node


def parameters(function: ast.AST) -> list[str]:
    return [a.arg for a in function.args.args if a.arg != "self"] if isinstance(function, FUNCTION) else []


def callers(script: Script, function: ast.AST) -> list[ast.Call]:
    """The calls of a function; for a method, those of its name, or of an object or its class."""
    owner = script.enclosing(function, ast.ClassDef)
    if owner is None or function.name not in ("__init__", "forward"):
        return script.calls(function.name)
    made = script.calls(owner.name)
    if function.name == "__init__":
        return made
    held = [node for node in script.walk(ast.Assign) if node.value in made]
    return script.calls(*(last(node.targets[0]) for node in held))


def passed(script: Script, function: ast.AST, name: str) -> Iterator[tuple[ast.expr, int]]:
    """What callers pass for a parameter, and which of its results, if it is passed by a star."""
    position = parameters(function).index(name)
    for call in callers(script, function):
        if call.args and isinstance(call.args[0], ast.Starred):
            yield call.args[0].value, position
        elif position < len(call.args):
            yield call.args[position], 0


def is_model_output(script: Script, node: ast.expr) -> bool:
    return _model_head(script, node, script.function(node)) is not None


def _model_head(script: Script, node: ast.expr, function: ast.AST, hops: int = 4) -> Head | None:
    """The head of the model that is called for a value."""
    inner = strip(node)
    if isinstance(inner, ast.Call):
        index = node.slice.value if isinstance(node, ast.Subscript) and is_key(node) else 0
        return _called_head(script, inner, function, index)
    if not isinstance(inner, ast.Name) or hops == 0:
        return None
    for assign in reversed(list(script.walk(ast.Assign, inside=function))):
        for target in assign.targets if assign.lineno <= inner.lineno else ():
            if isinstance(target, ast.Tuple) and inner.id in [last(t) for t in target.elts]:
                if isinstance(assign.value, ast.Call):
                    index = [last(t) for t in target.elts].index(inner.id)
                    return _called_head(script, assign.value, function, index)
            elif last(target) == inner.id:
                if isinstance(assign.value, ast.Subscript) and is_key(assign.value):
                    return _key_head(script, assign.value, function)
                return _model_head(script, assign.value, function, hops - 1)
    if inner.id in parameters(function):
        for value, index in passed(script, function, inner.id):
            there = script.function(value)
            if index and isinstance(value, ast.Call):
                return _called_head(script, value, there, index)
            if (head := _model_head(script, value, there, hops - 1)) is not None:
                return head
    return None


def is_key(node: ast.Subscript) -> bool:
    return isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)


def _key_head(script: Script, value: ast.Subscript, function: ast.AST) -> Head | None:
    """The head of ``model(x)["logits"]``, perhaps by way of a name."""
    inner = value.value
    if isinstance(inner, ast.Name):
        inner = next(iter(script.assigned(inner.id, inside=function)), inner)
    return _called_head(script, inner, function, value.slice.value) if isinstance(inner, ast.Call) else None


def _called_head(script: Script, call: ast.Call, function: ast.AST, index: int | str) -> Head | None:
    name = ast.unparse(call.func)
    if name == "self":
        owner = script.enclosing(function, ast.ClassDef)
        return _class_head(script, owner, index) if owner else None
    return _named_head(script, call.func, function, index)


def _named_head(script: Script, node: ast.expr, function: ast.AST, index: int | str) -> Head | None:
    """The head of the model that a name or attribute holds."""
    name = ast.unparse(node)
    values = script.assigned(name, inside=function)
    if not values and name in parameters(function):
        values = [value for value, _ in passed(script, function, name)]
    for value in values or script.assigned(name):
        if (head := _made_head(script, value, index)) is not None:
            return head
    return None


def _made_head(script: Script, value: ast.expr, index: int | str) -> Head | None:
    """The head of what a construction makes: a class, a Sequential, a factory, or one of them wrapped."""
    while is_method(value, "to"):
        value = value.func.value
    if isinstance(value, ast.Name):
        return _named_head(script, value, script.function(value), index)
    if not isinstance(value, ast.Call):
        return None
    name = last(value.func)
    if name == "Sequential":
        ending = value.args[-1]
        layer = ending if isinstance(ending, ast.Call) and last(ending.func) in LAYERS else None
        return Head(layer=layer, sequential=value)
    if (owner := script.definition(name, ast.ClassDef)) is not None:
        return _class_head(script, owner, index)
    if (factory := script.definition(name, FUNCTION)) is not None:
        returned = [node.value for node in script.walk(ast.Return, inside=factory)]
        if returned and isinstance(returned[0], ast.Name):
            returned = script.assigned(returned[0].id, inside=factory)
        return _made_head(script, returned[0], index) if returned else None
    if name in ("DDP", "DistributedDataParallel"):
        return _made_head(script, value.args[0], index)
    return None


def _class_head(script: Script, owner: ast.AST, index: int | str) -> Head | None:
    forward = next((f for f in script.walk(*FUNCTION, inside=owner) if f.name == "forward"), None)
    if forward is None:
        return None
    returned = script.walk(ast.Return, inside=forward)[0].value
    if isinstance(returned, ast.Dict):
        keys = [key.value for key in returned.keys]
        returned = returned.values[keys.index(index)] if index in keys else None
    elif isinstance(returned, ast.Tuple):
        returned = returned.elts[index if isinstance(index, int) else 0]
    return Head(returned=returned, layer=_last_layer(script, owner, forward, returned))


def _last_layer(script: Script, owner: ast.AST, forward: ast.AST, node: ast.expr) -> ast.Call | None:
    """The layer whose output a forward returns, if it is a plain one."""
    inner = strip(node)
    if isinstance(inner, ast.Name):
        values = script.assigned(inner.id, inside=forward)
        inner = strip(values[-1]) if values else inner
    if not isinstance(inner, ast.Call) or not ast.unparse(inner.func).startswith("self."):
        return None
    held = script.assigned(ast.unparse(inner.func), inside=owner)
    if held and isinstance(held[0], ast.Call) and last(held[0].func) in LAYERS:
        return held[0]
    return None


def _constructs(value: ast.expr, name: str) -> bool:
    return isinstance(value, ast.Call) and last(value.func) == name
