"""For programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from likelihead.core.shown import shown
from likelihead.hazards import LEVELS
from likelihead.lint.findings import Finding, Place
from likelihead.lint.run import Result

__all__ = ["render"]


def render(result: Result) -> str:
    """One object: ``findings``, ``problems`` and ``statistics``."""
    document = {
        "version": 1,
        "findings": [_finding(finding) for finding in result.findings],
        "problems": [
            {"path": shown(problem.path), "line": problem.line, "reason": problem.reason}
            for problem in result.problems
        ],
        "statistics": asdict(result.statistics),
    }
    return json.dumps(document, indent=2) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    hazard = finding.hazard
    return {
        "code": finding.code,
        "name": hazard.name,
        "severity": hazard.severity,
        "level": LEVELS[hazard.severity],
        "message": finding.detail or hazard.sentence,
        "remedy": hazard.remedy,
        "place": _place(finding.place),
        "made": None if finding.made is None else _place(finding.made),
        "calls": [_place(call) for call in finding.calls],
    }


def _place(place: Place) -> dict[str, Any]:
    return {**asdict(place), "path": shown(place.path), "cell": place.cell or None}
