"""How findings are written down: one file for each format, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from likelihead.core.shown import printable, shown
from likelihead.lint.findings import Finding, Place
from likelihead.lint.run import Result

__all__ = ["FORMATS", "message_of", "render", "where"]

#: The formats of ``--format``.
FORMATS = ("text", "json", "sarif", "github")


def render(result: Result, form: str) -> str:
    """A result in one of `FORMATS`, with the end of its last line."""
    rendered: str = import_module(f"likelihead.lint.formats.{form}").render(result)
    return rendered


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
