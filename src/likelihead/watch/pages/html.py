"""For people: one self-contained page, in the style of the reports of ``likelihead train``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from likelihead.core.shown import printable
from likelihead.hazards import SEVERITIES
from likelihead.report.blocks import Cell, Finding, Lines, Table, Text
from likelihead.report.page import Card, Page, Section, html
from likelihead.report.text import percent
from likelihead.watch import record as records
from likelihead.watch.pages import words
from likelihead.watch.pages.losses import loss_sections
from likelihead.watch.record import Note, Record

__all__ = ["html_text", "watch_page"]

FINDINGS = 200


def html_text(record: Record) -> str:
    """The page's text. It asks nothing of any network; the same record gives the same bytes."""
    return html(watch_page(record))


def watch_page(record: Record) -> Page:
    """The page, as blocks."""
    names = words.Names(record)
    return Page(
        title=words.title(record),
        task="watch",
        line=" · ".join(_line(record)),
        summary=words.sentences(record),
        cards=list(_cards(record)),
        sections=[_findings(record), *loss_sections(record.sites, names), *_rest(record, names)],
        findings=None,
        notes=None,
        versions={printable(name): printable(version) for name, version in record.versions.items()},
        footer=(
            "Made by likelihead watch; --json gives the same figures as numbers. Losses that are negative "
            "log-likelihoods are in nats; 1 nat is 1.443 bits."
        ),
    )


def _line(record: Record) -> Iterator[str]:
    yield "watched run"
    if record.command:
        yield words.command(record)
    yield words.count(record.steps, "step")
    yield words.duration(record.seconds)
    if record.ranks > 1:
        yield words.count(record.ranks, "process", "processes")
    if record.accelerated:
        yield "with likelihead's kernels"


def _cards(record: Record) -> Iterator[Card]:
    levels = words.finding_counts(record.findings)
    yield Card("Findings", f"{len(record.findings):,}", levels or "no hazard was met")
    sites = words.by_weight(record.sites)
    if sites and sites[0].loss.values:
        site = sites[0]
        yield Card(
            "Loss", words.figure(words.settled(site.loss.values)), f"at first {words.figure(site.first_loss)}"
        )
        if site.baseline is not None:
            yield Card("Baseline", words.figure(site.baseline), "of a model that has learnt nothing")
        if site.entropy.values:
            end = words.figure(words.settled(site.entropy.values))
            yield Card("Entropy", end, "nats, of the predictions")
    yield Card("Steps", f"{record.steps:,}", f"{record.deep_steps:,} followed in full")
    share = f", {percent(record.overhead_seconds / record.seconds)}" if record.seconds > 0 else ""
    yield Card(
        "Time", words.duration(record.seconds), f"watch {words.duration(record.overhead_seconds)}{share}"
    )


# -- findings ------------------------------------------------------------------------------------------


def _findings(record: Record) -> Section:
    shown = [_finding(finding) for finding in record.findings[:FINDINGS]]
    if not shown:
        return Section("Findings", [Text("No hazard was met.")], id="findings")
    rest = len(record.findings) - len(shown)
    more = [Text(f"And {rest:,} more, which --json has.")] if rest else []
    return Section(
        "Findings", [*shown, *more], "likelihead explain CODE shows more about each.", id="findings"
    )


def _finding(finding: records.Finding) -> Finding:
    hazard = finding.hazard
    sources = [(words.Names.full(finding.at), finding.at.text)]
    if finding.made_at is not None and finding.made_at != finding.at:
        sources.append((f"made at {words.Names.full(finding.made_at)}", finding.made_at.text))
    return Finding(
        title=f"{finding.code} {hazard.name}",
        line=f"{SEVERITIES[hazard.severity]}, {words.seen(finding)}",
        text=[*filter(None, (hazard.sentence, finding.detail))],
        sources=sources,
        remedy=hazard.remedy,
        severe=hazard.severity == "E",
    )


# -- the rest ------------------------------------------------------------------------------------------


def _rest(record: Record, names: words.Names) -> Iterator[Section]:
    if record.costs:
        rows: list[Sequence[Cell]] = [
            [
                words.cost_subject(cost),
                cost.calls,
                words.duration(cost.torch_ms / 1000),
                words.duration(cost.likelihead_ms / 1000),
                _mib(cost.torch_mib),
                _mib(cost.likelihead_mib),
                printable(cost.measured),
            ]
            for cost in words.by_saving(record.costs)
        ]
        columns = ("loss", "calls", "torch", "likelihead", "torch, MiB", "likelihead, MiB", "measured")
        note = "Time and extra peak memory of one call with its gradient."
        table = Table(columns, rows, figures={1, 2, 3, 4, 5}, note=note, label="Cost")
        yield Section("Cost", [table], words.cost_sentence(record), id="cost")
    notes = [_note(note, names) for note in record.notes if note.kind not in words.NOT_FOLLOWED]
    unseen = [f"{names(at)}: a compiled region, which was left alone" for at in record.compiled]
    unseen += [_note(note, names) for note in record.notes if note.kind in words.NOT_FOLLOWED]
    lists = [("Notes", notes), ("Not followed", unseen)]
    shown = [Section(title, [Lines(lines)]) for title, lines in lists if lines]
    if shown:
        yield replace(shown[0], beside=shown[1] if shown[1:] else None)


def _note(note: Note, names: words.Names) -> str:
    return f"{names(note.at)}: {printable(note.text)}" if note.at is not None else printable(note.text)


def _mib(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"
