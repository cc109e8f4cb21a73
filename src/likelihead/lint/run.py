"""From paths to findings: which files, under which settings, from the cache or anew."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from likelihead.errors import OptionError
from likelihead.lint.cache import Cache, Outcome
from likelihead.lint.discover import discover
from likelihead.lint.findings import Finding, Place, Problem
from likelihead.lint.glance import Glances
from likelihead.lint.project import Project
from likelihead.lint.settings import Configuration, Settings
from likelihead.lint.source import Text, read_text
from likelihead.lint.suppress import Suppressions, suppressions
from likelihead.lint.workers import Analyser, Task, analyse_all

__all__ = ["Result", "Statistics", "Texts", "lint_paths", "reported"]


@dataclass
class Statistics:
    """What was done.

    Attributes:
        files: that were found.
        unrelated: of them, those that have nothing to do with torch or Keras.
        analysed: of them, those that were interpreted now.
        cached: of them, those that are as they were in an earlier run.
        functions: that were interpreted in the analysed and cached files.
        exhausted: functions given up because their budget was used up; findings may be missing there.
        internal: problems that are mistakes of the linter's own.
        seconds: that it took.
    """

    files: int = 0
    unrelated: int = 0
    analysed: int = 0
    cached: int = 0
    functions: int = 0
    exhausted: list[str] = field(default_factory=list)
    internal: int = 0
    seconds: float = 0.0


@dataclass
class Result:
    """What was found.

    Attributes:
        findings: in the order of their places, one for each place and code, with absolute paths; in notebooks
            lines count within the cell.
        problems: files and folders that could not be looked at.
        statistics: what was done.
        texts: the sources of the findings.
        unfixed: where fixes were asked for, why a finding was left alone.
    """

    findings: list[Finding] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)
    texts: Texts = field(default_factory=lambda: Texts())
    unfixed: dict[Finding, str] = field(default_factory=dict)


class Texts:
    """Sources by path, each read when it is asked for.

    Args:
        overlay: bytes that stand for those of a file on the disk.
    """

    def __init__(self, overlay: Mapping[Path, bytes] | None = None) -> None:
        self._overlay = overlay or {}
        self._texts: dict[Path, Text | None] = {}
        self._lines: dict[Path, list[str]] = {}
        self._suppressions: dict[Path, Suppressions] = {}

    def of(self, path: Path) -> Text | None:
        """The source of a file; None if it cannot be read, or no longer."""
        if path not in self._texts:
            text = read_text(path, self._overlay.get(path))
            self._texts[path] = None if isinstance(text, Problem) else text
        return self._texts[path]

    def line(self, place: Place) -> str:
        """The first line of a place; empty if it cannot be read."""
        path = Path(place.path)
        text = self.of(path)
        if text is None:
            return ""
        if path not in self._lines:
            self._lines[path] = text.lines
        starts = {number: line for line, number in text.cells}
        at = starts.get(place.cell, 1) + place.line - 2
        return self._lines[path][at] if 0 <= at < len(self._lines[path]) else ""

    def suppressed(self, finding: Finding) -> bool:
        """Whether a comment in the source is meant for a finding, whose lines are those of the whole text."""
        path = Path(finding.path)
        if path not in self._suppressions:
            text = self.of(path)
            self._suppressions[path] = Suppressions() if text is None else suppressions(text.text)
        return self._suppressions[path].hide(finding)

    def in_cells(self, finding: Finding) -> Finding:
        """A finding with all of its places as a reader of the files finds them."""
        return replace(
            finding,
            place=self._in_cells(finding.place),
            made=None if finding.made is None else self._in_cells(finding.made),
            calls=tuple(self._in_cells(call) for call in finding.calls),
        )

    def _in_cells(self, place: Place) -> Place:
        if not place.path.endswith(".ipynb"):
            return place
        text = self.of(Path(place.path))
        return place if text is None else text.place_in_cells(place)


def lint_paths(
    paths: Iterable[str | os.PathLike[str]],
    *,
    settings: Settings | Configuration | None = None,
    jobs: int = 1,
    cache: Cache | None = None,
    overlay: Mapping[Path, bytes] | None = None,
    analyser: Analyser | None = None,
) -> Result:
    """Find the hazards in files, and in all Python files and notebooks of folders.

    Files that are imported from there are looked at on the way; what is found in them is not reported unless
    they are in the paths as well.

    Args:
        paths: files and folders.
        settings: of all files, or of each; by default those of the nearest pyproject.toml.
        jobs: processes, at most.
        cache: outcomes of earlier runs; what is new is put in, and saved by the caller.
        overlay: bytes that stand for those of a file on the disk, by absolute paths.
        analyser: of the same `overlay`, which keeps what it has read from one call to the next; one process.

    Raises:
        UserDataError: a path is not there, or is neither a file nor a folder.
        OptionError: `jobs` is no number of processes, or a pyproject.toml is not one.
    """
    start = time.perf_counter()
    if jobs < 1:
        raise OptionError(f"jobs is {jobs}; expected a number of processes from 1 on")
    overlay = overlay or {}
    configuration = settings if isinstance(settings, Configuration) else Configuration(fixed=settings)
    found = discover(paths, overlay)
    texts = Texts(overlay)
    statistics = Statistics(files=len(found.files))
    outcomes = list(_outcomes(found.files, configuration, jobs, cache, overlay, statistics, analyser))
    for outcome in outcomes:
        statistics.functions += outcome.functions
        statistics.exhausted += outcome.exhausted
        statistics.internal += outcome.internal
    findings = reported(outcomes, set(found.files), configuration, texts)
    problems = sorted([*found.problems, *(one.problem for one in outcomes if one.problem is not None)])
    statistics.exhausted = sorted(set(statistics.exhausted))
    statistics.seconds = time.perf_counter() - start
    return Result(findings, problems, statistics, texts)


def _outcomes(
    files: list[Path],
    configuration: Configuration,
    jobs: int,
    cache: Cache | None,
    overlay: Mapping[Path, bytes],
    statistics: Statistics,
    analyser: Analyser | None,
) -> Iterator[Outcome]:
    glances = Glances(Project(overlay), overlay)
    tasks: list[Task] = []
    for path in files:
        chosen = configuration.of(path)
        if not chosen.rules(path):
            statistics.unrelated += 1
        elif (problem := glances.at(path).problem) is not None:
            yield Outcome(path, problem=problem)
        elif not glances.concerned(path):
            statistics.unrelated += 1
        elif cache is not None and (known := cache.get(path, chosen.losses, glances)) is not None:
            statistics.cached += 1
            yield known
        else:
            tasks.append((path, chosen.losses))
    statistics.analysed = len(tasks)
    for outcome in analyse_all(tasks, jobs, overlay, analyser):
        if cache is not None:
            cache.put(outcome, configuration.of(outcome.path).losses, glances)
        yield outcome


def reported(
    outcomes: Iterable[Outcome], files: set[Path], configuration: Configuration, texts: Texts
) -> list[Finding]:
    """The findings in `files` that are selected and not suppressed: one for each place and code."""
    unique: dict[tuple[str, int, int, str], Finding] = {}
    for finding in sorted((one for outcome in outcomes for one in outcome.findings), key=_order):
        place = finding.place
        unique.setdefault((place.path, place.line, place.column, finding.code), finding)
    kept = []
    for finding in unique.values():
        path = Path(finding.path)
        if (
            path in files
            and configuration.of(path).reports(finding.code, path)
            and not texts.suppressed(finding)
        ):
            kept.append(texts.in_cells(finding))
    return kept


def _order(finding: Finding) -> tuple[object, ...]:
    # Of several ways to one place, the one that says where the value was made, by the fewest calls.
    made = finding.made
    return (
        (finding.path, finding.place.line, finding.place.column, finding.code),
        made is None,
        len(finding.calls),
        finding.detail,
        () if made is None else (made,),
        finding.calls,
    )
