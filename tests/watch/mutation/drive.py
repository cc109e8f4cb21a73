"""Runs a mutant under the watch, and says whether its hazard was told, where and when."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from likelihead.hazards import lookup
from likelihead.watch.places import Spot
from likelihead.watch.record import Finding, Record
from likelihead.watch.session import Session
from lint.mutation.source import Mutant
from watch.running import run

__all__ = ["Outcome", "Timed", "told", "watched"]

SOON = 3
"""Steps from the first call of a line, or calls of it, within which a hazard there is to be told."""


class Timed(Session):
    """A session that also writes down which findings came soon after the first call of their line."""

    def __init__(self) -> None:
        super().__init__()
        self.soon: set[tuple[str, Spot]] = set()

    def found(self, code: str, at: Spot, detail: str, *, step: int, **more: Any) -> Finding:
        if (code, at) not in self.findings:
            here = [site for (_, spot, _), site in self.sites.items() if spot == at]
            begun = min((site.loss.steps[0] for site in here if site.loss.steps), default=0)
            # A line without a site is one that torch refused at its first call.
            if step - begun < SOON or max((site.calls for site in here), default=0) <= SOON:
                self.soon.add((code, at))
        return super().found(code, at, detail, step=step, **more)


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        caught: whether its code was told at its place, soon enough.
        late: it was told there, but not soon.
        others: errors that were told beside it: ``"LH303 in script.py:12"``.
        error: with what the script ended, if it did not finish.
        faults: of the watch itself.
    """

    mutant: Mutant
    caught: bool
    late: bool = False
    others: tuple[str, ...] = ()
    error: str = ""
    faults: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        parts = [str(self.mutant)]
        if self.late:
            parts.append("late")
        parts += [f"told {self.others}"] if self.others else []
        parts += [f"ended with {self.error}"] if self.error else []
        parts += [f"FAULTS {self.faults}"] if self.faults else []
        return "; ".join(parts)


def watched(path: Path, argv: Sequence[str] = ()) -> tuple[Record, Timed, str]:
    """Run a script to its end under the watch; the record, the session, and what the script raised."""
    session, error = Timed(), ""
    session.start()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            run(path, argv)
    except (Exception, SystemExit) as raised:
        error = f"{type(raised).__name__}: {raised}".partition("\n")[0][:100]
    finally:
        record = session.finish()
    return record, session, error


def told(
    mutant: Mutant, folder: Path, *, argv: Sequence[str] = (), true: frozenset[str] = frozenset(),
    follows: Mapping[str, frozenset[str]] | None = None, in_the_end: bool = False,
) -> Outcome:  # fmt: skip
    """Run a mutant and judge the report.

    Args:
        true: codes that hold for the right script by its nature.
        follows: by code, what else is certainly wrong where it is.
        in_the_end: whether only the whole run shows it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in mutant.files.items():
        (folder / path).write_text(text, encoding="utf-8")
    record, session, error = watched(folder / next(iter(mutant.files)), argv)
    allowed = {mutant.code} | true | (follows or {}).get(mutant.code, frozenset())
    caught = late = False
    others = []
    for finding in record.findings:
        if finding.code == mutant.code and _is_there(finding, mutant):
            soon = (finding.code, (finding.at.file, finding.at.line)) in session.soon
            caught |= soon or in_the_end
            late |= not soon
        elif finding.code not in allowed and lookup(finding.code).severity == "E":
            others.append(f"{finding.code} in line {finding.at.line}: {finding.detail[:160]}")
    faults = tuple(note.text for note in record.notes if note.kind == "fault")
    return Outcome(mutant, caught, late and not caught, tuple(others), error, faults)


def _is_there(finding: Finding, mutant: Mutant) -> bool:
    """Whether one of its two places is the injected one."""
    places = [place for place in (finding.at, finding.made_at) if place is not None]
    return any((Path(place.file).name, place.line) in mutant.expected for place in places)
