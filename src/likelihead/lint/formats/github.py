"""For GitHub's log: workflow commands, which become annotations of the changed lines.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from likelihead.core.shown import printable, shown
from likelihead.lint.findings import Finding
from likelihead.lint.formats import message_of, where
from likelihead.lint.run import Result

__all__ = ["render"]

_COMMANDS = {"E": "error", "W": "warning", "I": "notice"}


def render(result: Result) -> str:
    """One command for each finding, and for each file that could not be looked at."""
    lines = [_finding(finding) for finding in result.findings]
    for problem in result.problems:
        properties = {"title": "likelihead", "file": shown(problem.path)}
        if problem.line:
            properties["line"] = str(problem.line)
        text = f"{printable(shown(problem.path))}: {problem.reason}"
        lines.append(_command("error", properties, text))
    return "".join(f"{line}\n" for line in lines)


def _finding(finding: Finding) -> str:
    place = finding.place
    properties = {"title": f"likelihead {finding.code}", "file": shown(place.path)}
    if not place.cell:  # what GitHub counts in a notebook are the lines of its JSON
        properties |= {"line": str(place.line), "col": str(place.column), "endLine": str(place.end_line)}
        if place.end_line == place.line:
            properties["endColumn"] = str(place.end_column)
    text = f"{where(place)}: {finding.code} {message_of(finding)}"
    return _command(_COMMANDS[finding.hazard.severity], properties, text)


def _command(name: str, properties: dict[str, str], text: str) -> str:
    listed = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{name} {listed}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    text = text.replace("%", "%25")  # first: the others bring percent signs
    for character in "\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
