"""For programs: everything that the record holds, in the order of its fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from likelihead.hazards import LEVELS
from likelihead.report.text import jsonable
from likelihead.watch.pages.words import sentences
from likelihead.watch.record import Classes, Finding, Record, Site

__all__ = ["SCHEMA", "SCHEMA_VERSION", "json_text"]

SCHEMA = "likelihead.watch"
SCHEMA_VERSION = 1


def json_text(record: Record) -> str:
    """One object; what is no number (NaN, infinity) is null, as is what was not looked at.

    Besides the record's own fields: ``schema`` and ``schema_version``, ``summary`` (the sentences that a
    person reads first), and of each finding the row of the table of hazards.
    """
    document = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "summary": sentences(record),
        **asdict(record),
        "sites": [_site(site) for site in record.sites],
        "findings": [_finding(finding) for finding in record.findings],
    }
    return json.dumps(jsonable(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _site(site: Site) -> dict[str, Any]:
    return {**asdict(site), "classes": None if site.classes is None else _classes(site.classes)}


def _classes(classes: Classes) -> Mapping[str, Any]:
    return {**asdict(classes), "counts": dict(sorted(classes.counts.items()))}


def _finding(finding: Finding) -> dict[str, Any]:
    hazard = finding.hazard
    return {
        **asdict(finding),
        "name": hazard.name,
        "severity": hazard.severity,
        "level": LEVELS[hazard.severity],
        "sentence": hazard.sentence,
        "remedy": hazard.remedy,
    }
