"""The analysis of one file, together with what it imports: from a path to findings."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from likelihead.hazards import HAZARDS
from likelihead.lint.findings import Finding, Place
from likelihead.lint.interpreter.events import Built, Comparison, Event, Link, LossCall, Reading
from likelihead.lint.interpreter.program import Interpreter
from likelihead.lint.project import Project
from likelihead.lint.rules import all_rules
from likelihead.lint.rules.base import Rule, Verdict, made_by
from likelihead.lint.values import Const, Figure, Made, Tensor, Value, alternatives

__all__ = ["Report", "analyse"]

# Which values of an event may have alternatives, and the method of the rules that is asked about it.
_ASKED: dict[type[Event], tuple[str, tuple[str, ...]]] = {
    LossCall: ("loss", ("input", "target")),
    Link: ("link", ("input",)),
    Comparison: ("comparison", ("left", "right")),
    Built: ("built", ()),
    Reading: ("reading", ("value", "by")),
}
# More combinations of alternatives than this are not gone through.
MAX_COMBINATIONS = 32

# The interpreter goes down with the analysed program; Python's own limit of 1000 would be a few calls.
RECURSION_LIMIT = 12_000


@dataclass
class Report:
    """What the analysis of one file found.

    Attributes:
        findings: of any code, in this file or (reached from it) in another one of the project, unsuppressed.
        reads: the other files that were looked at; the findings hold while they and the file stay as they
        are.
        functions: how many functions were interpreted.
        exhausted: functions that were given up because their budget was used up, ``"path:line name"``.
    """

    findings: list[Finding] = field(default_factory=list)
    reads: list[Path] = field(default_factory=list)
    functions: int = 0
    exhausted: list[str] = field(default_factory=list)


def analyse(path: Path, project: Project, losses: dict[str, str] | None = None) -> Report:
    """Interpret the file as a program and each of its functions, and let the rules look at every loss call.

    Args:
        path: the file.
        project: the files around it.
        losses: names of wrappers and the loss that they stand for, ``{"mylib.ce": "cross_entropy"}``.
    """
    judge = _Judge()
    interpreter = Interpreter(project, project.modules, judge, losses or {})
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
    try:
        interpreter.run(path)
    finally:
        sys.setrecursionlimit(limit)
    judge.end()
    report = Report(
        sorted(judge.findings.values()),
        sorted(interpreter.reads() - {path}),
        len(interpreter.entered_functions),
        sorted(interpreter.exhausted),
    )
    interpreter.release()
    return report


class _Judge:
    """Asks the rules, and keeps what they say."""

    def __init__(self) -> None:
        self.rules: list[Rule] = [rule() for rule in all_rules().values()]
        self.findings: dict[tuple[str, str, int, int], Finding] = {}
        self.waiting: list[tuple[Rule, Verdict, Event, Callable[[], bool]]] = []
        self._asked: dict[str, list[Rule]] = {
            method: [rule for rule in self.rules if getattr(type(rule), method) is not getattr(Rule, method)]
            for method, _ in _ASKED.values()
        }

    def see(self, event: Event) -> None:
        self._decide([(event, found) for found in self._ask(event)])

    def see_one_of(self, choice: list[list[Event]]) -> None:
        """What happens at a call of one of several functions, of each of which a verdict has to hold."""
        for kind in dict.fromkeys(type(event) for events in choice for event in events):
            each = [[event for event in events if type(event) is kind] for events in choice]
            verdicts = [(event, found) for events in each for event in events for found in self._ask(event)]
            if all(each):
                self._decide(verdicts)

    def _ask(self, event: Event) -> list[list[tuple[Rule, Verdict]]]:
        """What the rules say of each combination of the alternatives of an event."""
        method, names = _ASKED[type(event)]
        rules = self._asked[method]
        if not rules:
            return []
        columns = [_ways(getattr(event, name)) for name in names]
        ways = list(product(*columns)) if columns else [()]
        if len(ways) > MAX_COMBINATIONS:
            return [[]]
        verdicts: list[list[tuple[Rule, Verdict]]] = []
        for way in ways:
            one = copy(event)
            for name, value in zip(names, way, strict=True):
                setattr(one, name, value)
            found = [(rule, verdict) for rule in rules if (verdict := getattr(rule, method)(one)) is not None]
            verdicts.append(found)
        return verdicts

    def _decide(self, verdicts: list[tuple[Event, list[tuple[Rule, Verdict]]]]) -> None:
        """Keep the verdicts of a group that are there in each case."""
        if not verdicts:
            return
        for group in {_group(rule) for rule, _ in verdicts[0][1]}:
            if all(any(_group(rule) == group for rule, _ in found) for _, found in verdicts):
                for event, found in verdicts:
                    for rule, verdict in found:
                        if _group(rule) != group:
                            continue
                        if verdict.until is not None:
                            self.waiting.append((rule, verdict, event, verdict.until))
                        else:
                            self._report(rule, verdict, event)

    def end(self) -> None:
        for rule, verdict, event, until in self.waiting:
            if until():
                self._report(rule, verdict, event)
        for rule in self.rules:
            for verdict in rule.end():
                if verdict.event is not None:
                    self._report(rule, verdict, verdict.event)

    def _report(self, rule: Rule, verdict: Verdict, event: Event) -> None:
        event = verdict.event or event
        text = event.name if isinstance(event, LossCall) else ""
        place = place_of(Made(event.frame.scope, event.node, text))
        known = (rule.code, place.path, place.line, place.column)
        if known in self.findings:
            return
        made = made_by(verdict.source)
        calls = verdict.source.calls if isinstance(verdict.source, (Tensor, Figure)) else ()
        between = [place_of(one) for one in (*calls, *event.frame.stack())]
        self.findings[known] = Finding(
            place, rule.code, verdict.detail, place_of(made) if made else None, tuple(dict.fromkeys(between))
        )


def _ways(value: Value | None) -> tuple[Value | None, ...]:
    """The alternatives of a value; None among them is a variable that was not set yet."""
    if value is None:
        return (None,)
    options = alternatives(value)
    return tuple(one for one in options if not (isinstance(one, Const) and one.value is None)) or options


def _group(rule: Rule) -> str:
    """Rules that may stand for each other where a value has alternatives: of one family and severity."""
    return rule.code[:3] + HAZARDS[rule.code].severity


def place_of(made: Made) -> Place:
    """The place in the source, in lines and characters."""
    node = made.node
    source = made.scope.source
    line: int = getattr(node, "lineno", 1)
    end: int = getattr(node, "end_lineno", None) or line
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        end = line
    return Place(
        str(source.path),
        line,
        _characters(source.lines, line, getattr(node, "col_offset", 0)) + 1,
        end,
        _characters(source.lines, end, getattr(node, "end_col_offset", 0) or 0) + 1,
        made.text,
    )


def _characters(lines: list[str], line: int, offset: int) -> int:
    """How many characters the first bytes of a line are."""
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    return offset if text.isascii() else len(text.encode()[:offset].decode(errors="ignore"))
