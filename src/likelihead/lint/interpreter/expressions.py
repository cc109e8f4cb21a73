"""Expressions: what a piece of code evaluates to."""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

from likelihead.lint.interpreter.conditions import is_none
from likelihead.lint.interpreter.customary import CUSTOMARY
from likelihead.lint.interpreter.events import Comparison, Reading
from likelihead.lint.interpreter.frames import Frame
from likelihead.lint.interpreter.lone import unbound_network
from likelihead.lint.interpreter.machine import Exhausted, Machine
from likelihead.lint.knowledge import arithmetic, figures, rounds
from likelihead.lint.knowledge.containers import may_be_wide
from likelihead.lint.values import (
    UNKNOWN,
    Bound,
    Class,
    Const,
    Context,
    Dict,
    External,
    Figure,
    Function,
    Instance,
    Lazy,
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
    join,
    map_union,
)

__all__ = ["Expressions"]

# Expressions nested deeper than this (generated code) are not looked into.
MAX_NESTING = 120

# Constants longer than this (bits of a number, characters of a text) are not worked out.
MAX_LENGTH = 4096

_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}
_COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


class Expressions(Machine):
    """The part of the interpreter that evaluates expressions."""

    def eval(self, node: ast.expr, frame: Frame) -> Value:
        """What the expression is."""
        self.budget -= 1
        if self.budget < 0:
            raise Exhausted
        handler = _EXPRESSIONS.get(type(node))
        if handler is None or self.nesting > MAX_NESTING:
            return UNKNOWN
        self.nesting += 1
        value = handler(self, node, frame)
        self.nesting -= 1
        return value

    # -- names and constants

    def _constant(self, node: ast.Constant, frame: Frame) -> Value:
        return Const(node.value)

    def _name(self, node: ast.Name, frame: Frame) -> Value:
        return self.look_up(node.id, frame)

    def look_up(self, name: str, frame: Frame) -> Value:
        """What a name means here."""
        at: Frame | None = frame
        while at is not None:
            if name in at.env:
                if self.late and name in at.rebound and at is not frame:
                    return UNKNOWN  # of what it was when the function was called
                value = at.env[name]
                return self.behind(value) if isinstance(value, (Lazy, Union)) else value
            at = at.closure
        env = frame.scope.env
        if name in env:
            return self.behind(env[name])
        if name in _BUILTINS:
            return External(f"builtins.{name}")
        if name in CUSTOMARY:
            return External(CUSTOMARY[name])
        return unbound_network(name, self, frame)

    # -- attributes and entries

    def _attribute(self, node: ast.Attribute, frame: Frame) -> Value:
        return self.attribute(self.eval(node.value, frame), node.attr, node, frame)

    def _subscript(self, node: ast.Subscript, frame: Frame) -> Value:
        return self.item(self.eval(node.value, frame), self.eval(node.slice, frame), node, frame)

    def _slice(self, node: ast.Slice, frame: Frame) -> Value:
        parts = [
            Const(None) if one is None else self.eval(one, frame)
            for one in (node.lower, node.upper, node.step)
        ]
        if all(isinstance(part, Const) for part in parts):
            return Const(slice(*(part.value for part in parts if isinstance(part, Const))))
        return List(parts, "slice", frame.context)

    # -- containers

    def _tuple(self, node: ast.Tuple, frame: Frame) -> Value:
        return List(self._items(node.elts, frame), "tuple", frame.context)

    def _list(self, node: ast.List, frame: Frame) -> Value:
        return List(self._items(node.elts, frame), "list", frame.context)

    def _set(self, node: ast.Set, frame: Frame) -> Value:
        return List(self._items(node.elts, frame), "list", frame.context)

    def _items(self, nodes: Iterable[ast.expr], frame: Frame) -> list[Value]:
        items: list[Value] = []
        for one in nodes:
            if isinstance(one, ast.Starred):
                items.extend(self.spread(self.eval(one.value, frame), frame))
            else:
                items.append(self.eval(one, frame))
        return items

    def _dict(self, node: ast.Dict, frame: Frame) -> Value:
        made = Dict({}, "dict", frame.context)
        for name, value in zip(node.keys, node.values, strict=False):
            if name is None:
                more = self.eval(value, frame)
                if isinstance(more, Dict):
                    made.items.update(more.items)
                    made.rest = more.rest if made.rest is None else made.rest
                else:
                    made.rest = UNKNOWN
                continue
            self.set_dict_item(made, self.eval(name, frame), self.eval(value, frame), True, frame)
        return made

    def _comprehension(self, node: Any, frame: Frame) -> Value:
        inner = self._inner(frame)
        results: list[Value] = []
        known = self._generate(
            node,
            node.generators,
            inner,
            lambda: results.append(rounds.kept(self.eval(node.elt, inner), node)),
        )
        return List(results if known else [Repeat(one) for one in results], "list", frame.context)

    def _dict_comprehension(self, node: ast.DictComp, frame: Frame) -> Value:
        inner = self._inner(frame)
        made = Dict({}, "dict", frame.context)

        def add() -> None:
            self.set_dict_item(made, self.eval(node.key, inner), self.eval(node.value, inner), True, inner)

        if not self._generate(node, node.generators, inner, add):
            made.rest = join(made.element(), UNKNOWN) if made.items else made.rest
        return made

    def _inner(self, frame: Frame) -> Frame:
        inner = Frame(frame.scope, {}, frame.context, function=frame.function, closure=frame)
        inner.instance, inner.caller, inner.site, inner.depth = (
            frame.instance,
            frame.caller,
            frame.site,
            frame.depth,
        )
        return inner

    def _generate(
        self, node: ast.expr, generators: list[ast.comprehension], frame: Frame, yield_: Callable[[], None]
    ) -> bool:
        """Go through the ``for`` clauses; whether each round of them is known."""
        if not generators:
            yield_()
            return True
        first, rest = generators[0], generators[1:]
        iterable = self.eval(first.iter, frame)
        entries = self.entries(iterable, frame)
        if node not in self.loop_nodes:
            self.loops_over[node] = rounds.source(first.iter, iterable, self, frame)
        known = entries is not None and len(entries) <= 64
        for entry in (
            entries if entries is not None and known else [self.element(iterable, first.iter, frame)]
        ):
            self.bind(first.target, entry, frame)
            outcomes = [self.truth(self.eval(test, frame)) for test in first.ifs]
            if False in outcomes:
                continue
            outside = frame.context
            if not known or None in outcomes:
                known = False
                frame.context = Context(outside)
            self.loop_nodes.append(node)
            known = self._generate(node, rest, frame, yield_) and known
            self.loop_nodes.pop()
            frame.context = outside
        return known

    # -- operators

    def _bin_op(self, node: ast.BinOp, frame: Frame) -> Value:
        left = self.eval(node.left, frame)
        right = self.eval(node.right, frame)
        if isinstance(node.op, ast.Mult) and (_is_unbounded(left) or _is_unbounded(right)):
            self.emit(Reading(node, frame, "product", left, right))
        return self.binary(type(node.op), left, right, node, frame)

    def binary(self, op: type[ast.operator], left: Value, right: Value, node: ast.AST, frame: Frame) -> Value:
        """``left op right``."""
        if op in (ast.Div, ast.Pow):
            figures.announce(op, left, right, self, node, frame)
        return self._binary(op, left, right, node, frame)

    def _binary(
        self, op: type[ast.operator], left: Value, right: Value, node: ast.AST, frame: Frame
    ) -> Value:
        if isinstance(left, Unknown) and isinstance(right, Unknown):
            return UNKNOWN
        if op is ast.Add and isinstance(left, Unknown) and _holds_layers(right):
            return List([Repeat(UNKNOWN), *right.items], right.kind, frame.context)
        if isinstance(left, Union) or isinstance(right, Union):
            if len(alternatives(left)) * len(alternatives(right)) > 16:
                return UNKNOWN
            return map_union(
                left, lambda one: map_union(right, lambda other: self._binary(op, one, other, node, frame))
            )
        if isinstance(left, Figure) or isinstance(right, Figure):
            return figures.binary(op, left, right, self, node, frame)
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            return arithmetic.binary(op, left, right, self, node, frame)
        if isinstance(left, Const) and isinstance(right, Const) and op in _OPERATORS:
            return _fold(_OPERATORS[op], left.value, right.value)
        if isinstance(left, List) and isinstance(right, List) and op is ast.Add:
            kind = left.kind if left.kind == right.kind else "list"
            return List([*left.items, *right.items], kind, frame.context)
        if isinstance(left, List) and isinstance(right, Const) and op is ast.Mult:
            count = right.value
            if isinstance(count, int) and 0 <= count * len(left.items) <= 64:
                return List(left.items * count, left.kind, frame.context)
            return List([Repeat(left.element())], left.kind, frame.context)
        return UNKNOWN

    def _unary_op(self, node: ast.UnaryOp, frame: Frame) -> Value:
        value = self.eval(node.operand, frame)
        if isinstance(node.op, ast.Not):
            outcome = self.truth(value)
            return UNKNOWN if outcome is None else Const(not outcome)
        if isinstance(value, Const):
            try:
                return Const(-value.value if isinstance(node.op, ast.USub) else +value.value)
            except TypeError:
                return UNKNOWN
        return map_union(value, lambda one: self._negate(one, node, frame))

    def _negate(self, value: Value, node: ast.UnaryOp, frame: Frame) -> Value:
        if isinstance(value, Tensor):
            return arithmetic.negate(value, node)
        if isinstance(value, Figure):
            return figures.negate(value, node)
        return UNKNOWN

    def _bool_op(self, node: ast.BoolOp, frame: Frame) -> Value:
        stops_at = isinstance(node.op, ast.Or)
        found: Value | None = None
        for part in node.values:
            value = self.eval(part, frame)
            outcome = self.truth(value)
            if outcome is stops_at:
                return value if found is None else join(found, value)
            if outcome is None or part is node.values[-1]:
                found = value if found is None else join(found, value)
        return UNKNOWN if found is None else found

    def _compare(self, node: ast.Compare, frame: Frame) -> Value:
        left = self.eval(node.left, frame)
        rights = [self.eval(one, frame) for one in node.comparators]
        if len(rights) != 1:
            return UNKNOWN
        right, op = rights[0], node.ops[0]
        if isinstance(op, (ast.Is, ast.IsNot)):
            return self._identity(left, right, isinstance(op, ast.IsNot))
        if isinstance(left, Const) and type(op) in _COMPARISONS:
            other = constant(right, UNKNOWN)
            if isinstance(right, Dict) and right.rest is None:
                other = tuple(right.items)
            if other is not UNKNOWN:
                return _fold(_COMPARISONS[type(op)], left.value, other)
        if any(isinstance(one, (Tensor, Figure)) for side in (left, right) for one in alternatives(side)):
            return self.compare(type(op), left, right, node, frame)
        return UNKNOWN

    def compare(self, op: type[ast.cmpop], left: Value, right: Value, node: ast.AST, frame: Frame) -> Value:
        """``left op right`` of which one at least is a tensor or figure."""
        self.emit(Comparison(node, frame, op, left, right))
        shapes = [one.shape for one in (left, right) if isinstance(one, Tensor)]
        return Tensor("data", None, None, shapes[0] if len(shapes) == 1 else None, "bool")

    def _identity(self, left: Value, right: Value, negated: bool) -> Value:
        if isinstance(right, Const) and right.value is None:
            same = [is_none(one) for one in alternatives(left)]
            if len(set(same)) == 1 and same[0] is not None:
                return Const(same[0] is not negated)
        elif isinstance(left, Const) and isinstance(right, Const):
            return Const((left.value is right.value) is not negated)
        return UNKNOWN

    def _if_exp(self, node: ast.IfExp, frame: Frame) -> Value:
        outcome = self.truth(self.eval(node.test, frame))
        if outcome is not None:
            return self.eval(node.body if outcome else node.orelse, frame)
        start, outside = frame.env, frame.context
        found: list[Value] = []
        for outcome, branch in ((True, node.body), (False, node.orelse)):
            frame.env, frame.context = dict(start), Context(outside)
            self.narrow(node.test, outcome, frame)
            found.append(self.eval(branch, frame))
        frame.env, frame.context = start, outside
        value = join(*found)
        self.note_choice(node.test, value, found[0], found[1], frame)
        return value

    def truth(self, value: Value) -> bool | None:
        """Whether a value counts as true; None where that is not known."""
        if isinstance(value, Const):
            return bool(value.value)
        if isinstance(value, List):
            return bool(value.items) if value.complete or not value.items else None
        if isinstance(value, External):
            return not value.name.endswith("TYPE_CHECKING")
        if isinstance(value, (Function, Class, Module, Partial, Bound, Object)):
            return True
        if isinstance(value, Instance):
            return None if value.cls.find("__len__") or value.cls.find("__bool__") else True
        if isinstance(value, Union):
            found = {self.truth(one) for one in value.options}
            return found.pop() if len(found) == 1 else None
        return None

    # -- the rest

    def _lambda(self, node: ast.Lambda, frame: Frame) -> Value:
        return self.function(node, "<lambda>", frame)

    def _named(self, node: ast.NamedExpr, frame: Frame) -> Value:
        value = self.eval(node.value, frame)
        self.bind(node.target, value, frame)
        return value

    def _await(self, node: ast.Await, frame: Frame) -> Value:
        return self.eval(node.value, frame)

    def _yield(self, node: ast.Yield, frame: Frame) -> Value:
        frame.yields.append(Const(None) if node.value is None else self.eval(node.value, frame))
        return UNKNOWN

    def _yield_from(self, node: ast.YieldFrom, frame: Frame) -> Value:
        frame.yields.append(self.element(self.eval(node.value, frame), node.value, frame))
        return UNKNOWN

    def _joined(self, node: ast.JoinedStr, frame: Frame) -> Value:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.eval(part.value, frame)
        return UNKNOWN

    def _starred(self, node: ast.Starred, frame: Frame) -> Value:
        self.eval(node.value, frame)
        return UNKNOWN

    def _call_expression(self, node: ast.Call, frame: Frame) -> Value:
        return self.call_expression(node, frame)


def _is_unbounded(value: Value) -> bool:
    """Whether it may be logits or log-probabilities, of which an overlap loss takes no product."""
    return any(isinstance(one, Tensor) and one.kind in ("logits", "log_probs") for one in alternatives(value))


def _holds_layers(value: Value) -> TypeGuard[List]:
    """Whether it is a list of layers: then what it is added to is one too."""
    return isinstance(value, List) and any(isinstance(one, (Object, Instance)) for one in value.items)


def _fold(function: Callable[[Any, Any], Any], left: Any, right: Any) -> Value:
    """The Python value of a constant expression, unless it is large or an error."""
    if _is_large(function, left, right):
        return UNKNOWN
    try:
        result = function(left, right)
    except Exception:  # of a constant expression in the analysed program: that program's error, not ours
        return UNKNOWN
    if isinstance(result, (str, bytes, tuple, list)) and len(result) > MAX_LENGTH:
        return UNKNOWN
    return Const(result)


def _is_large(function: Callable[[Any, Any], Any], left: Any, right: Any) -> bool:
    """Whether a product or a formatted text may be of any length: it is not even worked out."""
    if function is operator.mod:
        return isinstance(left, bytes) or (isinstance(left, str) and may_be_wide(left))
    if function is not operator.mul:
        return False
    for one, count in ((left, right), (right, left)):
        if isinstance(one, (str, bytes, tuple, list)):
            return isinstance(count, int) and len(one) * count > MAX_LENGTH
    return sum(one.bit_length() for one in (left, right) if isinstance(one, int)) > MAX_LENGTH


_BUILTINS = frozenset(dir(builtins))

_EXPRESSIONS: dict[type[ast.expr], Callable[[Expressions, Any, Frame], Value]] = {
    ast.Constant: Expressions._constant,
    ast.Name: Expressions._name,
    ast.Attribute: Expressions._attribute,
    ast.Subscript: Expressions._subscript,
    ast.Slice: Expressions._slice,
    ast.Tuple: Expressions._tuple,
    ast.List: Expressions._list,
    ast.Set: Expressions._set,
    ast.Dict: Expressions._dict,
    ast.ListComp: Expressions._comprehension,
    ast.SetComp: Expressions._comprehension,
    ast.GeneratorExp: Expressions._comprehension,
    ast.DictComp: Expressions._dict_comprehension,
    ast.BinOp: Expressions._bin_op,
    ast.UnaryOp: Expressions._unary_op,
    ast.BoolOp: Expressions._bool_op,
    ast.Compare: Expressions._compare,
    ast.IfExp: Expressions._if_exp,
    ast.Lambda: Expressions._lambda,
    ast.NamedExpr: Expressions._named,
    ast.Await: Expressions._await,
    ast.Yield: Expressions._yield,
    ast.YieldFrom: Expressions._yield_from,
    ast.JoinedStr: Expressions._joined,
    ast.Starred: Expressions._starred,
    ast.Call: Expressions._call_expression,
}
