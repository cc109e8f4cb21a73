"""Conditions: what a test says of the names, and of what an equal test has decided before.

``criterion = A() if flag else B()`` is one of the two; within a later ``if flag:`` it is ``A()``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

from likelihead.lint.interpreter.frames import Frame
from likelihead.lint.interpreter.machine import Machine
from likelihead.lint.values import Const, External, Union, Unknown, Value, alternatives

__all__ = ["Choice", "Conditions", "is_none"]

# Tests of these nodes alone have the same outcome as long as their names mean the same.
_LASTING = (
    ast.Name, ast.Attribute, ast.Constant, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Subscript,
    ast.expr_context, ast.cmpop, ast.boolop, ast.unaryop, ast.List, ast.Tuple, ast.Set,
)  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """A value that a test has decided: what it is where the test was true, and where it was not.

    Attributes:
        test: the test as text.
        names: what the names of the test meant then.
        joined: what is known of the value behind the two ways.
        ways: the value by the test's outcome.
    """

    test: str
    names: dict[str, Value | None]
    joined: Value
    ways: dict[bool, Value]


class Conditions(Machine):
    """The part of the interpreter that knows what follows from the outcome of a test."""

    def narrow(self, test: ast.expr, outcome: bool, frame: Frame) -> None:
        """Leave of a name's alternatives what the test's outcome allows: ``if x is None``, ``if not x``."""
        self._recall(test, outcome, frame)
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self.narrow(test.operand, not outcome, frame)
            return
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) is outcome:
            for part in test.values:
                self.narrow(part, outcome, frame)
            return
        about: ast.expr = test
        check: Callable[[Value], bool | None] = self.truth
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Is, ast.IsNot)):
            if not (isinstance(test.comparators[0], ast.Constant) and test.comparators[0].value is None):
                return
            about, check = test.left, is_none
            outcome = outcome is isinstance(test.ops[0], ast.Is)
        if isinstance(about, ast.Name) and isinstance(frame.env.get(about.id), Union):
            left = [one for one in alternatives(frame.env[about.id]) if check(one) in (None, outcome)]
            if left:
                frame.env[about.id] = left[0] if len(left) == 1 else Union(tuple(left))

    def _recall(self, test: ast.expr, outcome: bool, frame: Frame) -> None:
        """Give the names the values that an equal test with this outcome has given them."""
        frames = [one for one in (frame, frame.scope.frame) if one.choices]
        if not frames:
            return
        text = ast.unparse(test)
        for one in frames:
            for choice in one.choices:
                if choice.test != text or any(
                    self.meaning(name, frame) is not value for name, value in choice.names.items()
                ):
                    continue
                for name, value in list(one.env.items()):
                    if value is choice.joined and frame.env.get(name, value) is value:
                        frame.env[name] = choice.ways[outcome]

    def meaning(self, name: str, frame: Frame) -> Value | None:
        """What a name of this function or module was last bound to."""
        return frame.env[name] if name in frame.env else frame.scope.env.get(name)

    def note_choice(self, test: ast.expr, joined: Value, first: Value, second: Value, frame: Frame) -> None:
        """Remember that the test has decided which of the two a value is."""
        if not isinstance(joined, Union) or first is second:
            return
        outcome = True
        while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test, outcome = test.operand, not outcome
        parts = list(ast.walk(test))
        if not all(isinstance(part, _LASTING) for part in parts):
            return
        names = {part.id: self.meaning(part.id, frame) for part in parts if isinstance(part, ast.Name)}
        ways = {outcome: first, not outcome: second}
        frame.choices.append(Choice(ast.unparse(test), names, joined, ways))

    def note_ways(
        self, test: ast.expr, first: dict[str, Value], second: dict[str, Value], frame: Frame
    ) -> None:
        """Remember what the two ways behind an ``if`` have made of the names."""
        for name, value in frame.env.items():
            if isinstance(value, Union) and name in first and name in second:
                self.note_choice(test, value, first[name], second[name], frame)


def is_none(value: Value) -> bool | None:
    """Whether a value is None; None where that is not known."""
    if isinstance(value, Const):
        return value.value is None
    return None if isinstance(value, (Unknown, External)) else False
