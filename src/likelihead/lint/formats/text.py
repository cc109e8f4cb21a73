"""For people: both places with their lines, the calls between them, the remedy."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from likelihead.core.shown import printable, shown
from likelihead.hazards import HAZARDS, LEVELS
from likelihead.lint.findings import Finding, Place
from likelihead.lint.formats import where
from likelihead.lint.run import Result, Statistics

__all__ = ["render", "render_statistics"]

_COLOURS = {"E": "red", "W": "yellow", "I": "cyan"}


def render(result: Result) -> str:
    """Every finding, and a line that sums up, with the colours of a terminal."""
    lines = [line for finding in result.findings for line in (*_finding(result, finding), "")]
    return "\n".join([*lines, _summary(result)]) + "\n"


def _finding(result: Result, finding: Finding) -> Iterator[str]:
    hazard = finding.hazard
    code = click.style(finding.code, fg=_COLOURS[hazard.severity], bold=True)
    level = click.style(f"{LEVELS[hazard.severity]}:", fg=_COLOURS[hazard.severity])
    detail = finding.detail or hazard.sentence
    yield f"{click.style(where(finding.place), bold=True)}: {code} {level} {detail}"
    yield from _excerpt(result, finding.place, _COLOURS[hazard.severity])
    if finding.made is not None:
        yield f"  made at {click.style(where(finding.made), bold=True)}: {finding.made.text}"
        yield from _excerpt(result, finding.made, "blue")
    for call in finding.calls:
        yield f"  by way of {click.style(where(call), bold=True)}: {call.text}"
    yield f"  {click.style('remedy:', fg='green')} {hazard.remedy}"
    if finding in result.unfixed:
        yield f"  not fixed: {result.unfixed[finding].replace(f'{Path.cwd()}{os.sep}', '')}"


def _excerpt(result: Result, place: Place, colour: str) -> Iterator[str]:
    line = result.texts.line(place)
    if not line.strip():
        return
    # A line of generated code may be of any length, and what matters be anywhere in it.
    skipped = max(0, min(len(line) - len(line.lstrip()), place.column - 1))
    if place.column - 1 - skipped > 100:
        skipped = place.column - 21
    start = place.column - 1 - skipped
    text = line.rstrip()[skipped : skipped + 120].expandtabs(1)
    end = place.end_column - 1 - skipped if place.end_line == place.line else len(text)
    text = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    yield f"  {place.line:>5} | {text}"
    yield f"        | {' ' * start}{click.style('^' * max(1, min(end, len(text)) - start), fg=colour)}"


def _summary(result: Result) -> str:
    files = _count(result.statistics.files, "file")
    unread = f"; {_count(len(result.problems), 'file')} could not be read" if result.problems else ""
    if not result.findings:
        return f"No hazards found in {files}{unread}."
    levels: Counter[str] = Counter(finding.hazard.severity for finding in result.findings)
    parts = ", ".join(_count(levels[letter], word) for letter, word in LEVELS.items() if levels[letter])
    places = len({finding.path for finding in result.findings})
    return f"Found {parts} in {places} of {files}{unread}."


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def render_statistics(result: Result) -> str:
    """How often each rule was met, and what the linter did."""
    counts = Counter(finding.code for finding in result.findings)
    width = len(str(max(counts.values(), default=0)))
    lines = [f"{number:>{width}}  {code}  {HAZARDS[code].name}" for code, number in counts.most_common()]
    return "\n".join([*lines, *([""] if lines else []), _summary(result), *_work(result.statistics)]) + "\n"


def _work(done: Statistics) -> Iterator[str]:
    yield (
        f"{_count(done.analysed, 'file')} interpreted, {done.cached} as before, {done.unrelated} without "
        f"torch or Keras; {_count(done.functions, 'function')}, {done.seconds:.2f} s."
    )
    if done.exhausted:
        yield (
            f"{_count(len(done.exhausted), 'function')} given up, too long to interpret: "
            "hazards may be missed there."
        )
        yield from (f"  {printable(shown(name))}" for name in done.exhausted)
