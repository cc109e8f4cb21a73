"""Entries of lists, dictionaries, tensors and objects: reading, setting and going through them."""

from __future__ import annotations

import ast

from likelihead.lint.interpreter.frames import Frame
from likelihead.lint.interpreter.machine import Machine
from likelihead.lint.knowledge import rounds, tensors
from likelihead.lint.values import (
    UNKNOWN,
    Bound,
    Const,
    Dict,
    Instance,
    List,
    Object,
    Repeat,
    Tensor,
    Union,
    Value,
    alternatives,
    is_key,
    join,
    map_union,
)

__all__ = ["Items"]


class Items(Machine):
    """The part of the interpreter that reads and sets entries."""

    def item(self, value: Value, index: Value, node: ast.AST, frame: Frame) -> Value:
        """``value[index]``."""
        return map_union(value, lambda one: self._item(one, index, node, frame))

    def _item(self, value: Value, index: Value, node: ast.AST, frame: Frame) -> Value:
        if isinstance(value, List):
            return self._list_item(value, index, frame)
        if isinstance(value, Dict):
            if isinstance(index, Const) and is_key(index.value):
                if index.value in value.items:
                    return value.items[index.value]
                if value.kind == "record" and isinstance(index.value, int) and value.items:
                    values = list(value.items.values())
                    return values[index.value] if -len(values) <= index.value < len(values) else UNKNOWN
                return UNKNOWN if value.rest is None else value.rest
            return value.element() if value.rest is None else UNKNOWN
        if isinstance(value, Const) and isinstance(index, Const):
            try:
                return Const(value.value[index.value])
            except Exception:  # of a constant in the analysed program: that program's error, not ours
                return UNKNOWN
        if isinstance(value, Tensor):
            return tensors.index(value, index, self, node, frame)
        if isinstance(value, Instance):
            method = self.attribute(value, "__getitem__", node, frame)
            return self.call(method, [index], {}, node, frame) if isinstance(method, Bound) else UNKNOWN
        if isinstance(value, Object):
            return self.object_item(value, index, node, frame)
        return UNKNOWN

    def _list_item(self, value: List, index: Value, frame: Frame) -> Value:
        at = index.value if isinstance(index, Const) else None
        if isinstance(at, str) and (named := value.named(at)) is not None:
            return named
        if isinstance(at, int) and not isinstance(at, bool):
            before = value.items[: at + 1] if at >= 0 else value.items[at:]
            if len(before) == (at + 1 if at >= 0 else -at) and not any(
                isinstance(one, Repeat) for one in before
            ):
                return value.items[at]
            # Of a list of any number of entries, each may be the one.
            return value.element() if all(isinstance(one, Repeat) for one in value.items) else UNKNOWN
        if isinstance(at, slice) and value.complete:
            names = None if value.names is None else value.names[at]
            return List(value.items[at], value.kind, frame.context, names, value.made)
        if at is None and value.items:
            return value.element()
        return UNKNOWN

    def set_item(self, value: Value, index: Value, new: Value, frame: Frame) -> None:
        """``value[index] = new``."""
        self.epoch += 1
        certain = not isinstance(value, Union)
        for one in alternatives(value):
            if isinstance(one, Dict) and one.born.root is frame.context.root:
                self.set_dict_item(one, index, new, certain, frame)
            elif isinstance(one, Object) and isinstance(index, Const):
                self.set_attribute(one, f"[{index.value!r}]", new, frame)
            elif isinstance(one, List) and one.born.root is frame.context.root:
                at = index.value if isinstance(index, Const) else None
                if isinstance(at, str) and one.names and at in one.names:
                    at = one.names.index(at)
                if isinstance(at, int) and one.complete and -len(one.items) <= at < len(one.items):
                    strong = certain and frame.context.surrounds(one.born)
                    one.items[at] = new if strong else join(one.items[at], new)
                else:
                    one.items = [Repeat(UNKNOWN)]
                    one.names = None

    def set_dict_item(self, value: Dict, index: Value, new: Value, certain: bool, frame: Frame) -> None:
        if not isinstance(index, Const) or not is_key(index.value):
            value.rest = new if value.rest is None else join(value.rest, new)
            value.behind = len(value.items)
            return
        strong = certain and frame.context.surrounds(value.born)
        old = value.items.get(index.value)
        if strong:
            value.unsure.discard(index.value)
        elif old is None:
            value.unsure.add(index.value)
        value.items[index.value] = new if strong or old is None else join(old, new)

    def extend(self, value: List, more: Value, frame: Frame) -> None:
        """``value += more`` and ``value.extend(more)``."""
        self.epoch += 1
        loop = self.loop_nodes[-1] if self.loop_nodes else None
        if isinstance(more, List):
            for item in list(more.items):
                value.append(item if isinstance(item, Repeat) else rounds.kept(item, loop), frame.context)
        else:
            value.append(Repeat(self.element(more, None, frame)), frame.context)

    def entries(self, value: Value, frame: Frame) -> list[Value] | None:
        """The entries of an iterable, if each of them is known."""
        if isinstance(value, List):
            return list(value.items) if value.complete else None
        if isinstance(value, Const) and isinstance(value.value, (str, tuple, range, list, bytes)):
            return [Const(one) for one in value.value] if len(value.value) <= 64 else None
        if isinstance(value, Dict) and value.rest is None and value.kind != "unordered":
            return [Const(name) for name in value.items]
        return None

    def element(self, value: Value, node: ast.expr | None, frame: Frame) -> Value:
        """Any one entry of an iterable."""
        if isinstance(value, (List,)):
            return value.element()
        if isinstance(value, Union):
            return map_union(value, lambda one: self.element(one, node, frame))
        if isinstance(value, Tensor):
            return tensors.index(value, Const(0), self, node or frame.scope.source.tree, frame)
        if isinstance(value, (Object, Instance)):
            return self.object_element(value, node, frame)
        return UNKNOWN

    def spread(self, value: Value, frame: Frame) -> list[Value]:
        """The entries of a starred value."""
        if isinstance(value, List):
            return list(value.items)
        entries = self.entries(value, frame)
        return [Repeat(UNKNOWN)] if entries is None else entries
