"""SARIF 2.1.0, for code scanning and editors.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from likelihead.core.shown import shown
from likelihead.hazards import HAZARDS, LEVELS
from likelihead.lint.findings import Finding, Place, Problem
from likelihead.lint.formats import message_of, where
from likelihead.lint.run import Result
from likelihead.lint.settings import RULES

__all__ = ["render"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "SRCROOT"


def render(result: Result) -> str:
    """A log of one run, whose paths are relative to the working folder."""
    seen: Counter[str] = Counter()
    run = {
        "tool": {"driver": _driver()},
        "originalUriBaseIds": {_ROOT: {"uri": f"{Path.cwd().as_uri().rstrip('/')}/"}},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not result.statistics.internal,
                "toolExecutionNotifications": [_notification(problem) for problem in result.problems],
            }
        ],
        "results": [_result(result, finding, seen) for finding in result.findings],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _driver() -> dict[str, Any]:
    return {
        "name": "likelihead",
        "semanticVersion": version("likelihead"),
        "rules": [
            {
                "id": code,
                "shortDescription": {"text": HAZARDS[code].name},
                "fullDescription": {"text": f"{HAZARDS[code].sentence} {HAZARDS[code].remedy}"},
                "help": {"text": HAZARDS[code].page, "markdown": HAZARDS[code].page},
                "defaultConfiguration": {"level": LEVELS[HAZARDS[code].severity]},
            }
            for code in RULES
        ],
    }


def _result(result: Result, finding: Finding, seen: Counter[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": RULES.index(finding.code),
        "level": LEVELS[finding.hazard.severity],
        "message": {"text": _message(finding)},
        "locations": [_location(finding.place)],
        "partialFingerprints": {"likelihead/v1": _fingerprint(result, finding, seen)},
    }
    if finding.made is not None:
        way = [finding.made, *finding.calls]
        found["relatedLocations"] = [{**_location(place), "id": at} for at, place in enumerate(way, start=1)]
        steps = [{"location": _location(place)} for place in (*way, finding.place)]
        found["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    return found


def _message(finding: Finding) -> str:
    cell = f"{where(finding.place)}: " if finding.place.cell else ""
    return f"{cell}{message_of(finding)}"


def _fingerprint(result: Result, finding: Finding, seen: Counter[str]) -> str:
    """What stays the same when lines come or go elsewhere in the file."""
    line = result.texts.line(finding.place).strip()
    words = f"{finding.code}\n{shown(finding.path)}\n{line}"
    seen[words] += 1
    return hashlib.sha256(f"{words}\n{seen[words]}".encode(errors="surrogatepass")).hexdigest()[:32]


def _location(place: Place) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _artifact(place.path)}
    if not place.cell:  # lines of a notebook are those of its JSON here
        physical["region"] = {
            "startLine": place.line,
            "startColumn": place.column,
            "endLine": place.end_line,
            "endColumn": place.end_column,
        }
    location: dict[str, Any] = {"physicalLocation": physical}
    if place.text:
        location["message"] = {"text": place.text}
    return location


def _artifact(path: str) -> dict[str, str]:
    name = shown(path)
    if Path(name).is_absolute():
        return {"uri": Path(name).as_uri()}
    return {"uri": quote(os.fsencode(name)), "uriBaseId": _ROOT}


def _notification(problem: Problem) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _artifact(problem.path)}
    if problem.line:
        physical["region"] = {"startLine": problem.line}
    return {
        "level": "error",
        "message": {"text": problem.reason},
        "locations": [{"physicalLocation": physical}],
    }
