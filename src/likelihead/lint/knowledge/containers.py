"""Lists, dictionaries, strings, and the containers of layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from likelihead.lint.interpreter.frames import Frame
from likelihead.lint.knowledge import figures, rounds
from likelihead.lint.knowledge.call import SELF_METHODS, Call, constructor
from likelihead.lint.values import (
    UNKNOWN,
    Const,
    Context,
    Dict,
    List,
    Object,
    Repeat,
    Value,
    is_key,
    join,
    passed,
)

if TYPE_CHECKING:
    pass

__all__ = ["call_sequential", "method"]

_LAYER_CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")


def call_sequential(value: List, call: Call) -> Value:
    """The layers of a Sequential, one after the other."""
    if value.kind != "Sequential" or not call.args:
        return UNKNOWN
    current, frame = call.args[0], call.frame
    for layer in list(value.items):
        if isinstance(layer, Repeat):
            outside = frame.context
            frame.context = Context(outside)
            current = join(current, _apply(layer.value, current, call))
            frame.context = outside
        else:
            current = _apply(layer, current, call)
    return passed(current, call.made("Sequential"))


def _apply(layer: Value, value: Value, call: Call) -> Value:
    """One layer of a Sequential: where it was made says more than where the whole is called."""
    frame = call.frame
    if isinstance(layer, Object) and layer.made is not None:
        there = Frame(layer.made.scope, {}, frame.context, function=frame.function, instance=frame.instance)
        there.caller, there.site, there.depth = frame.caller, frame.site, frame.depth
        return call.interpreter.call(layer, [value], {}, layer.made.node, there)
    return call.interpreter.call(layer, [value], {}, call.node, frame)


@constructor("torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict")
def _layers(call: Call) -> Value:
    kind = call.name.rpartition(".")[2]
    made = call.made(kind)
    context = call.frame.context
    first = call.given(0, "modules")
    if kind == "ModuleDict":
        return Dict(dict(first.items), kind, context, first.rest) if isinstance(first, Dict) else UNKNOWN
    if kind == "ModuleList":
        if first is None:
            return List([], kind, context, made=made)
        entries = first.items if isinstance(first, List) else [Repeat(UNKNOWN)]
        return List(entries, kind, context, made=made)
    if isinstance(first, Dict) and len(call.args) == 1:
        names, layers = list(first.items)[first.behind :], first.entries()[first.behind :]
        if first.rest is not None:
            return List([Repeat(UNKNOWN), *layers], kind, context, made=made)
        return List(layers, kind, context, [str(name) for name in names], made)
    names = [str(i) for i in range(len(call.args))]
    return List(call.args, kind, context, names, made)


def method(owner: Value, call: Call) -> Value:
    """A method of a list, tuple, dictionary, string or container of layers."""
    if isinstance(owner, List):
        return _list_method(owner, call)
    if isinstance(owner, Dict):
        return _dict_method(owner, call)
    if isinstance(owner, Const) and isinstance(owner.value, str):
        return _string_method(owner.value, call)
    return UNKNOWN


def _list_method(owner: List, call: Call) -> Value:
    name, args, interpreter, frame = call.name, call.args, call.interpreter, call.frame
    context = frame.context
    if name == "append" and args:
        interpreter.epoch += 1
        loop = interpreter.loop_nodes[-1] if interpreter.loop_nodes else None
        owner.append(rounds.kept(args[0], loop), context)
        return Const(None) if owner.kind == "list" else owner
    if name == "extend" and args:
        interpreter.extend(owner, args[0], frame)
        return Const(None)
    if name in ("add_module", "register_module") and len(args) >= 2:
        interpreter.epoch += 1
        owner.append(args[1], context, str(args[0].value) if isinstance(args[0], Const) else "?")
        return Const(None)
    if name in ("insert", "pop", "remove", "clear", "sort", "reverse"):
        interpreter.epoch += 1
        return _changed(owner, name, args, context)
    if owner.kind in _LAYER_CONTAINERS:
        if name in ("forward", "__call__"):
            return call_sequential(owner, call)
        if name in SELF_METHODS:
            return owner
        if name in ("children", "modules"):
            return List(owner.items, "list", context)
        if name in ("named_children", "named_modules"):
            pairs: list[Value] = [List([UNKNOWN, one], "tuple", context) for one in owner.items]
            return List(pairs if owner.complete else [Repeat(UNKNOWN)], "list", context)
    if name == "copy":
        return List(owner.items, owner.kind, context, owner.names, owner.made)
    if figures.are_figures(owner):
        return figures.list_method(owner, name, call.of(owner))
    return UNKNOWN


def _changed(owner: List, name: str, args: list[Value], context: Context) -> Value:
    if owner.born.root is not context.root:
        return UNKNOWN
    certain = context.surrounds(owner.born) and owner.complete
    at = args[0].value if args and isinstance(args[0], Const) else None
    if certain and name == "clear":
        owner.items, owner.names = [], None
    elif certain and name == "insert" and isinstance(at, int) and len(args) > 1:
        owner.items.insert(at, args[1])
        owner.names = None
    elif certain and name == "pop" and (not args or isinstance(at, int)) and owner.items:
        at = -1 if at is None else at
        if -len(owner.items) <= at < len(owner.items):
            if owner.names is not None:
                owner.names = None
            return owner.items.pop(at)
    elif certain and name == "reverse":
        owner.items.reverse()
        owner.names = None
    elif name in ("sort", "reverse"):
        owner.items = [Repeat(owner.element())] if owner.items else []
    else:
        owner.items = [Repeat(UNKNOWN)]
        owner.names = None
    return UNKNOWN


def _dict_method(owner: Dict, call: Call) -> Value:
    name, args, interpreter, frame = call.name, call.args, call.interpreter, call.frame
    context = frame.context
    if name in ("clear", "pop", "popitem", "setdefault", "update"):
        interpreter.epoch += 1
        if owner.born.root is context.root:
            return _changed_dict(owner, call)
    if name in ("get", "pop", "setdefault") and args:
        default = args[1] if len(args) > 1 else Const(None)
        if isinstance(args[0], Const) and is_key(args[0].value):
            if args[0].value in owner.items:
                return owner.items[args[0].value]
            return default if owner.rest is None else UNKNOWN
        return join(owner.element(), default) if owner.rest is None else UNKNOWN
    if name == "items":
        pairs: list[Value] = [List([Const(key), one], "tuple", context) for key, one in owner.items.items()]
        return List(pairs if owner.rest is None else [Repeat(UNKNOWN)], "list", context)
    if name == "values":
        return List(owner.entries() if owner.rest is None else [Repeat(UNKNOWN)], "list", context)
    if name == "keys":
        return List(
            [Const(key) for key in owner.items] if owner.rest is None else [Repeat(UNKNOWN)], "list", context
        )
    if name == "copy":
        return Dict(dict(owner.items), owner.kind, context, owner.rest)
    if name in ("to", "cuda", "cpu", "train", "eval"):
        return owner
    return UNKNOWN


def _changed_dict(owner: Dict, call: Call) -> Value:
    name, args, interpreter, frame = call.name, call.args, call.interpreter, call.frame
    if name == "update":
        more = args[0] if args else Dict({}, "dict", frame.context)
        if isinstance(more, List) and more.complete:
            pairs = [one.items for one in more.items if isinstance(one, List) and len(one.items) == 2]
            known = {one.value: value for one, value in pairs if isinstance(one, Const) and is_key(one.value)}
            more = Dict(
                dict(known), "dict", frame.context, None if len(known) == len(more.items) else UNKNOWN
            )
        if isinstance(more, Dict):
            for key, one in (*list(more.items.items()), *call.kwargs.items()):
                interpreter.set_item(owner, Const(key), one, frame)
            owner.rest = more.rest if owner.rest is None else owner.rest
        else:
            # Any of the keys that are there may have another value now.
            owner.items = {key: join(one, UNKNOWN) for key, one in owner.items.items()}
            owner.rest = UNKNOWN
        return Const(None)
    index = args[0] if args else UNKNOWN
    default = args[1] if len(args) > 1 else Const(None)
    certain = frame.context.surrounds(owner.born)
    if name == "clear":
        if certain:
            owner.items, owner.rest, owner.unsure = {}, None, set()
        else:
            owner.items = {key: join(one, UNKNOWN) for key, one in owner.items.items()}
        return Const(None)
    if not isinstance(index, Const) or not is_key(index.value):
        return join(owner.element(), default) if owner.rest is None and args else UNKNOWN
    if index.value in owner.items:
        if name == "setdefault":
            return owner.items[index.value]
        return owner.items.pop(index.value) if certain else owner.items[index.value]
    if owner.rest is not None:
        return UNKNOWN
    if name == "setdefault":
        interpreter.set_item(owner, index, default, frame)
    return default


# A longer text is no name or key.
_MAX_TEXT = 4096
_STRING_METHODS = frozenset(
    ("lower", "upper", "strip", "lstrip", "rstrip", "split", "startswith", "endswith", "replace", "format")
)


def may_be_wide(template: str) -> bool:
    """Whether a text to be formatted names a width of four digits, or takes one from its arguments.

    >>> may_be_wide("%1000000000d"), may_be_wide("conv%d_%s")
    (True, False)
    """
    return re.search(r"\d{4}|\*|\{[^}]*\{", template) is not None


def _string_method(text: str, call: Call) -> Value:
    if call.name not in _STRING_METHODS or not all(isinstance(one, Const) for one in call.args):
        return UNKNOWN
    if (call.name == "format" and may_be_wide(text)) or len(text) > _MAX_TEXT:
        return UNKNOWN
    values: list[Any] = [one.value for one in call.args if isinstance(one, Const)]
    try:
        result = getattr(text, call.name)(*values)
    except Exception:  # of a call in the analysed program: that program's error, not ours
        return UNKNOWN
    return Const(tuple(result) if isinstance(result, list) else result)
