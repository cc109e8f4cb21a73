"""How findings are written down: one file for each format, imported when it is asked for."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from likelihead.lint.findings import Finding, Place
from likelihead.lint.run import Result

__all__ = ["FORMATS", "LEVELS", "message_of", "printable", "render", "shown", "where"]

#: The formats of ``--format``.
FORMATS = ("text", "json", "sarif", "github")
#: What GitHub and SARIF call the severities, as far as they agree, which is all but the last.
LEVELS = {"E": "error", "W": "warning", "I": "note"}


def render(result: Result, form: str) -> str:
    """A result in one of `FORMATS`, with the end of its last line."""
    rendered: str = import_module(f"likelihead.lint.formats.{form}").render(result)
    return rendered


def shown(path: str) -> str:
    """A path as it is shown: relative to the working folder where it lies in that."""
    relative = os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path
    return Path(relative).as_posix()


def printable(text: str) -> str:
    r"""A text in one line, without what a terminal would obey or could not show.

    >>> printable("two\nlines.py")
    'two\\nlines.py'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def where(place: Place) -> str:
    """A place in one word, such as ``train.py:31:12`` or ``model.ipynb:cell 3:4:8``."""
    cell = f"cell {place.cell}:" if place.cell else ""
    return f"{printable(shown(place.path))}:{cell}{place.line}:{place.column}"


def message_of(finding: Finding) -> str:
    """All of a finding in one line: what is known, where the value was made, the way it took, the remedy."""
    parts = [finding.detail or finding.hazard.sentence]
    if finding.made is not None:
        parts.append(f"Made at {where(finding.made)} ({finding.made.text}).")
    if finding.calls:
        parts.append(f"By way of {', '.join(f'{where(call)} ({call.text})' for call in finding.calls)}.")
    parts.append(finding.hazard.remedy)
    return " ".join(parts)
