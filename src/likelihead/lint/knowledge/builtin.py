"""Python's own functions, and those of the standard library that pass values on."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from likelihead.lint.knowledge import figures
from likelihead.lint.knowledge.call import Call, constructor, external
from likelihead.lint.values import (
    UNKNOWN,
    Bound,
    Class,
    Const,
    Dict,
    External,
    Figure,
    Function,
    Instance,
    List,
    Module,
    Object,
    Partial,
    Repeat,
    Tensor,
    Union,
    Unknown,
    Value,
    alternatives,
    constant,
    is_key,
)

__all__: list[str] = []


@external("functools.partial")
def _partial(call: Call) -> Value:
    return Partial(call.args[0], call.args[1:], dict(call.kwargs)) if call.args else UNKNOWN


@external("builtins.print")
def _print(call: Call) -> Value:
    return Const(None)


@external("builtins.len")
def _len(call: Call) -> Value:
    value = call.get(0, "obj")
    if isinstance(value, List) and value.complete and not figures.are_figures(value):
        return Const(len(value.items))
    if isinstance(value, Const) and isinstance(value.value, (str, tuple, list, range)):
        return Const(len(value.value))
    if isinstance(value, Dict) and value.rest is None:
        return Const(len(value.items))
    return figures.length(value, call)


@external("builtins.range")
def _range(call: Call) -> Value:
    bounds = [constant(one) for one in call.args]
    if bounds and all(isinstance(one, int) for one in bounds) and bounds[2:] != [0]:
        made = range(*bounds)
        return Const(made) if len(made) <= 64 else List([Repeat(UNKNOWN)], "list", call.frame.context)
    return List([Repeat(UNKNOWN)], "list", call.frame.context)


@external(
    "builtins.list",
    "builtins.tuple",
    "builtins.set",
    "builtins.iter",
    "builtins.sorted",
    "builtins.reversed",
    "itertools.chain",
    "builtins.frozenset",
)
def _listed(call: Call) -> Value:
    kind = "tuple" if call.name.endswith("tuple") else "list"
    context = call.frame.context
    if not call.args:
        return List([], kind, context)
    if call.name.endswith("chain"):
        return List(
            [item for one in call.args for item in call.interpreter.spread(one, call.frame)], kind, context
        )
    value = call.args[0]
    entries = call.interpreter.entries(value, call.frame)
    if entries is None:
        return (
            List(value.items, kind, context)
            if isinstance(value, List)
            else List([Repeat(call.interpreter.element(value, None, call.frame))], kind, context)
        )
    return List(entries[::-1] if call.name.endswith("reversed") else entries, kind, context)


@external("builtins.dict", "collections.OrderedDict", "collections.defaultdict")
def _dict(call: Call) -> Value:
    context = call.frame.context
    made = Dict({name: one for name, one in call.kwargs.items() if name != "**"}, "dict", context)
    if "**" in call.kwargs:
        made.rest = UNKNOWN
    first = call.given(0, "iterable")
    if first is None or call.name.endswith("defaultdict"):
        return made
    if isinstance(first, Dict):
        made.items = {**first.items, **made.items}
        made.unsure, made.behind = set(first.unsure), first.behind
        made.rest = first.rest if made.rest is None else made.rest
    elif isinstance(first, List) and first.complete:
        for pair in first.items:
            first = pair.items[0] if isinstance(pair, List) and len(pair.items) == 2 else UNKNOWN
            if isinstance(pair, List) and isinstance(first, Const) and is_key(first.value):
                made.items[first.value] = pair.items[1]
            else:
                made.rest = UNKNOWN
    else:
        made.rest = UNKNOWN
    return made


@external("builtins.zip", "builtins.enumerate", "builtins.map", "builtins.filter")
def _paired(call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    interpreter, frame = call.interpreter, call.frame
    context = frame.context
    if name in ("map", "filter"):
        if len(call.args) < 2:
            return UNKNOWN
        entries = interpreter.entries(call.args[1], frame)
        if name == "filter":
            return List([Repeat(interpreter.element(call.args[1], None, frame))], "list", context)
        if entries is not None:
            return List(
                [interpreter.call(call.args[0], [one], {}, call.node, frame) for one in entries],
                "list",
                context,
            )
        element = interpreter.element(call.args[1], None, frame)
        return List(
            [Repeat(interpreter.call(call.args[0], [element], {}, call.node, frame))], "list", context
        )
    columns = [interpreter.entries(one, frame) for one in call.args]
    if name == "enumerate":
        entries = columns[0] if columns else None
        if entries is not None:
            return List(
                [List([Const(i), one], "tuple", context) for i, one in enumerate(entries)], "list", context
            )
        node = call.node.args[0] if isinstance(call.node, ast.Call) and call.node.args else None
        element = interpreter.element(call.args[0], node, frame) if call.args else UNKNOWN
        return List([Repeat(List([UNKNOWN, element], "tuple", context))], "list", context)
    if columns and all(one is not None for one in columns):
        rows = zip(*(one for one in columns if one is not None), strict=False)
        return List([List(row, "tuple", context) for row in rows], "list", context)
    elements = [interpreter.element(one, None, frame) for one in call.args]
    return List([Repeat(List(elements, "tuple", context))], "list", context)


@external("builtins.next")
def _next(call: Call) -> Value:
    return call.interpreter.element(call.get(0, "iterator"), None, call.frame)


@external(
    "tqdm.tqdm",
    "tqdm.auto.tqdm",
    "tqdm.notebook.tqdm",
    "tqdm.std.tqdm",
    "rich.progress.track",
    "typing.cast",
    "tqdm.tqdm_notebook",
    "tqdm.autonotebook.tqdm",
    "fastprogress.progress_bar",
)
def _passed(call: Call) -> Value:
    return call.get(1 if call.name == "typing.cast" else 0, "iterable")


@external("builtins.getattr")
def _getattr(call: Call) -> Value:
    name = constant(call.get(1, "name"))
    if isinstance(name, str):
        found = call.interpreter.attribute(call.get(0, "object"), name, call.node, call.frame)
        if isinstance(found, Bound) and found.function is None and len(call.args) > 2:
            return UNKNOWN
        return found
    return UNKNOWN


@external("builtins.setattr")
def _setattr(call: Call) -> Value:
    name = constant(call.get(1, "name"))
    if isinstance(name, str):
        call.interpreter.set_attribute(call.get(0, "object"), name, call.get(2, "value"), call.frame)
    return Const(None)


@external("builtins.isinstance")
def _isinstance(call: Call) -> Value:
    value, wanted = call.get(0, "object"), call.get(1, "class")
    kinds = wanted.items if isinstance(wanted, List) else [wanted]
    answers = {_is_a(one, kind) for one in alternatives(value) for kind in kinds}
    if len(kinds) > 1 and True in answers and not isinstance(value, Union):
        return Const(True)
    return Const(answers.pop()) if len(answers) == 1 and None not in answers else UNKNOWN


_CONTAINERS = {"list": "list", "tuple": "tuple"}
_PLAIN = {"str": str, "int": int, "float": float, "bool": bool}


def _is_a(value: Value, kind: Value) -> bool | None:
    if isinstance(value, Unknown):
        return None
    if isinstance(kind, Class):
        if isinstance(value, Instance):
            return (
                True
                if kind.node in [one.node for one in value.cls.lineage()]
                else (None if not value.cls.is_known() else False)
            )
        return False
    if not isinstance(kind, External):
        return None
    name = kind.name.rpartition(".")[2]
    if name in _CONTAINERS and kind.name.startswith("builtins."):
        return isinstance(value, List) and value.kind == name
    if kind.name == "builtins.dict":
        return isinstance(value, Dict) and value.kind != "record"
    if name in _PLAIN and kind.name.startswith("builtins."):
        return isinstance(value, Const) and isinstance(value.value, _PLAIN[name])
    if kind.name == "torch.Tensor":
        return isinstance(value, Tensor) if not isinstance(value, Figure) else None
    if isinstance(value, Object):
        return True if value.name == kind.name else None
    return False if isinstance(value, (Const, List, Function, Module, Tensor)) else None


@external("builtins.hasattr")
def _hasattr(call: Call) -> Value:
    value, name = call.get(0, "object"), constant(call.get(1, "name"))
    if isinstance(value, Instance) and isinstance(name, str):
        is_there = value.read(name, call.frame.context) is not None or value.cls.find(name) is not None
        return Const(True) if is_there else UNKNOWN
    return UNKNOWN


@external("builtins.type")
def _type(call: Call) -> Value:
    value = call.get(0, "object")
    return value.cls if isinstance(value, Instance) and len(call.args) == 1 else UNKNOWN


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "abs": abs,
    "round": round,
}


@external("builtins.str", "builtins.int", "builtins.float", "builtins.bool", "builtins.abs", "builtins.round")
def _converted(call: Call) -> Value:
    value = call.get(0, "object")
    name = call.name.rpartition(".")[2]
    if isinstance(value, (Figure, Tensor)) and name in ("float", "round"):
        return value
    if isinstance(value, Const) and len(call.args) == 1:
        try:
            return Const(_CONVERSIONS[name](value.value))
        except Exception:  # of a call in the analysed program: that program's error, not ours
            return UNKNOWN
    return UNKNOWN


@external("builtins.sum")
def _sum(call: Call) -> Value:
    value = call.get(0, "iterable")
    return figures.total(value, call) if isinstance(value, List) else UNKNOWN


@external("builtins.vars", "builtins.locals", "builtins.globals")
def _names(call: Call) -> Value:
    if call.name.endswith("globals"):
        names = {name: call.interpreter.behind(one) for name, one in call.frame.scope.env.items()}
        return Dict(dict(names), "dict", call.frame.context, UNKNOWN)
    return UNKNOWN


@external("sys.exit", "builtins.exit", "builtins.quit", "os._exit")
def _exit(call: Call) -> Value:
    return External("NoReturn")


@constructor("torch.utils.data.DataLoader")
def _loader(call: Call) -> Value:
    parameters = (
        "dataset",
        "batch_size",
        "shuffle",
        "sampler",
        "batch_sampler",
        "num_workers",
        "collate_fn",
        "pin_memory",
        "drop_last",
    )
    made = call.object(parameters)
    if "**" in call.kwargs:
        made.options.setdefault("drop_last", UNKNOWN)
    return made


@external("torch.utils.data.random_split")
def _random_split(call: Call) -> Value:
    lengths = call.get(1, "lengths")
    if not isinstance(lengths, List) or not lengths.complete:
        return List([Repeat(call.get(0, "dataset"))], "list", call.frame.context)
    parts: list[Value] = [
        Object(
            "torch.utils.data.Subset",
            {"dataset": call.get(0, "dataset"), "length": one},
            call.frame.context,
            call.made("random_split"),
        )
        for one in lengths.items
    ]
    return List(parts, "list", call.frame.context)


@constructor("torch.utils.data.TensorDataset")
def _tensor_dataset(call: Call) -> Value:
    made = call.object(())
    made.options["*"] = List(call.args, "tuple", call.frame.context)
    return made
