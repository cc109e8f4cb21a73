"""Copies: what is changed in one is not changed in the other."""

from __future__ import annotations

from likelihead.lint.knowledge.call import Call, external
from likelihead.lint.values import Cell, Context, Dict, Instance, List, Object, Repeat, Union, Value

__all__: list[str] = []

# Parts of a value that are copied; a larger one is taken for the same.
_MOST = 500


@external("copy.copy")
def _shallow(call: Call) -> Value:
    return _Copy(call.frame.context, deep=False).of(call.get(0, "x"))


@external("copy.deepcopy")
def _deep(call: Call) -> Value:
    return _Copy(call.frame.context, deep=True).of(call.get(0, "x"))


class _Copy:
    """One copy of a value; what is in it twice is twice the same in the copy."""

    def __init__(self, context: Context, *, deep: bool) -> None:
        self.context = context
        self.deep = deep
        self.known: dict[int, Value] = {}

    def of(self, value: Value) -> Value:
        """The copy."""
        if id(value) in self.known or len(self.known) > _MOST:
            return self.known.get(id(value), value)
        if isinstance(value, Union):
            return Union(tuple(self.of(one) for one in value.options))
        if isinstance(value, Repeat):
            return Repeat(self.of(value.value))
        if isinstance(value, List):
            items = List((), value.kind, self.context, value.names, value.made)
            self.known[id(value)] = items
            items.items = [self.part(one) for one in value.items]
            return items
        if isinstance(value, Dict):
            rest = None if value.rest is None else self.part(value.rest)
            entries = Dict({}, value.kind, self.context, rest)
            self.known[id(value)] = entries
            entries.items = {name: self.part(one) for name, one in value.items.items()}
            entries.unsure, entries.behind = set(value.unsure), value.behind
            return entries
        if isinstance(value, (Instance, Object)):
            return self._object(value)
        return value

    def part(self, value: Value) -> Value:
        return self.of(value) if self.deep else value

    def _object(self, value: Instance | Object) -> Value:
        made: Instance | Object
        if isinstance(value, Instance):
            made = Instance(value.cls, self.context, value.made)
            self.known[id(value)] = made
            base = None if value.base is None else self.of(value.base)
            made.base = base if isinstance(base, Object) else None
        else:
            made = Object(value.name, dict(value.options), self.context, value.made)
            self.known[id(value)] = made
        for name in value.attrs:
            now = value.read(name, self.context)
            if now is not None:
                copied = self.part(now)
                made.attrs[name] = Cell(copied, self.context, copied, None)
        return made
