"""A report: one self-contained ``report.html`` for people, and its figures in ``report.json`` for programs.

Each task makes a :class:`Page` of sections of its own; what a page looks like is said here, once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from likelihead.core.atomic import write_bytes
from likelihead.errors import OptionError
from likelihead.hazards import HAZARDS, SEVERITIES
from likelihead.report.blocks import Block, Finding
from likelihead.report.text import cell, clean, jsonable

__all__ = ["SCHEMA_VERSION", "Card", "Page", "Section", "html", "json_text", "write_page"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Card:
    """One headline figure: what it is, how much, and a short remark."""

    label: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, a sentence on how to read what follows, and blocks.

    Attributes:
        title: the heading.
        blocks: what stands in it.
        lead: the sentence.
        id: of the element, for links and tests; made from the title without it.
        beside: a section that stands to the right of this one where there is room.
    """

    title: str
    blocks: Sequence[Block]
    lead: str = ""
    id: str = ""
    beside: Section | None = None

    @property
    def anchor(self) -> str:
        """The element's id."""
        return self.id or re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "section"


@dataclass(frozen=True)
class Page:
    """All that a reader sees.

    Attributes:
        title: the heading: the run's name.
        task: ``"multiclass"``, ``"language"``, ...
        line: the line under the heading: task, likelihood, sizes.
        summary: one to three sentences that say how good the model is, for a reader who reads nothing else.
        cards: the headline figures.
        sections: in reading order; those on the guard, the data, the configuration and the versions follow.
        findings: the guard's, as dicts with ``code``, ``message`` and ``count``; None leaves the section out.
        data: lines that describe the data.
        notes: lines on what was imputed, dropped or inferred; None, with no data, leaves the section out.
        config: the resolved configuration; values may be nested. Empty leaves the section out.
        versions: version by component.
        footer: the last line.
    """

    title: str
    task: str
    line: str
    summary: Sequence[str]
    cards: Sequence[Card]
    sections: Sequence[Section]
    findings: Sequence[Mapping[str, object]] | None = ()
    data: Sequence[str] = ()
    notes: Sequence[str] | None = ()
    config: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    footer: str = (
        "Made by likelihead. The same figures as numbers are in report.json. NLL is the negative "
        "log-likelihood; 1 nat is 1.443 bits."
    )

    def __post_init__(self) -> None:
        anchors = [s.anchor for first in self.sections for s in (first, first.beside) if s is not None]
        anchors += ["summary", "guard", "data", "config", "versions"]
        twice = sorted({anchor for anchor in anchors if anchors.count(anchor) > 1})
        if twice:
            raise OptionError(f"sections: two have the id {twice[0]!r}; give one of them another with id=")


def write_page(run_dir: Path, page: Page, figures: Mapping[str, object]) -> None:
    """Write ``report.html`` and ``report.json`` into ``run_dir``, each whole or not at all.

    The same content gives the same bytes. The HTML asks nothing of any network.

    Args:
        run_dir: the run's folder.
        page: what people see.
        figures: what programs read, besides the page's task, summary, findings, data and configuration:
            see :func:`json_text`.

    Raises:
        RunError: the folder is absent or cannot be written.
        OptionError: ``figures`` has an entry that the page itself gives.
    """
    # Both are made before either is written.
    content, text = html(page), json_text(page, figures)
    write_bytes(run_dir / "report.html", content.encode("utf-8"))
    write_bytes(run_dir / "report.json", text.encode("utf-8"))


def json_text(page: Page, figures: Mapping[str, object]) -> str:
    """The content of ``report.json``; undefined figures (NaN, infinity) are null.

    Any entries may be given. `likelihead compare` reads these:

    - ``figures``: the headline figures by name (``nll``, ``baseline_nll``, ``accuracy``, ``perplexity``);
    - ``curves``: ``epoch``, ``train_nll``, ``test_nll`` as lists, and ``baseline_nll``; ``test_accuracy``;
    - ``unit``: what an NLL is the mean over: ``row`` (without it), ``token``, ``pixel``;
    - ``per_class``: a dict for each class or label, with ``name`` and its figures;
    - ``calibration``: ``ece`` and ``bins``, the fields of :class:`Reliability`.

    Raises:
        OptionError: ``figures`` has an entry that the page itself gives.
    """
    head = {
        "schema": "likelihead.report",
        "schema_version": SCHEMA_VERSION,
        "run": page.title,
        "task": page.task,
        "summary": page.summary,
    }
    tail = {
        "guard_findings": _findings(page.findings or ()),
        "data": page.data,
        "notes": page.notes or (),
        "config": page.config,
        "versions": page.versions,
    }
    both = sorted(set(figures) & (set(head) | set(tail)))
    if both:
        raise OptionError(f"figures has an entry {both[0]!r}, which the page itself gives; call it otherwise")
    values = {key: jsonable(value) for key, value in {**head, **figures, **tail}.items()}
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def html(page: Page) -> str:
    """The page, complete in itself: styles and figures inline, no script."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("likelihead", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(clean=clean, trusted=Markup)
    return environment.get_template("page.html").render(
        page=page,
        findings=None if page.findings is None else [_shown(row) for row in _findings(page.findings)],
        config=_config_rows(page.config),
        versions=[[clean(name), clean(version)] for name, version in page.versions.items()],
    )


def _findings(found: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
    """The guard's findings, each with its hazard's name, severity and remedy where the code is known."""
    rows = []
    for finding in found:
        hazard = HAZARDS.get(str(finding.get("code")))
        rows.append(
            {
                "code": finding.get("code"),
                "message": finding.get("message"),
                "count": finding.get("count", 1),
                "name": hazard.name if hazard else None,
                "severity": SEVERITIES[hazard.severity] if hazard else None,
                "remedy": hazard.remedy if hazard else None,
            }
        )
    return rows


def _shown(row: Mapping[str, Any]) -> Finding:
    often = f"seen {row['count']} time{'s' if row['count'] != 1 else ''}"
    return Finding(
        title=f"{clean(row['code'])} {row['name'] or ''}".strip(),
        line=f"{row['severity']}, {often}" if row["severity"] else often,
        text=[str(row["message"])],
        remedy=row["remedy"] or "",
    )


def _config_rows(config: Mapping[str, object], prefix: str = "") -> list[list[str]]:
    """The configuration as dotted keys and values."""
    rows = []
    for key, value in config.items():
        name = f"{prefix}{clean(key, 60)}"
        rows += _config_rows(value, f"{name}.") if isinstance(value, Mapping) else [[name, cell(value)]]
    return rows
