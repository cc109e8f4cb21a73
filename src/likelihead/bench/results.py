"""What a benchmark found, and the file that keeps it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from likelihead.bench.case import Goal, Room
from likelihead.bench.clock import spread
from likelihead.errors import DataError

__all__ = ["SCHEMA", "Results", "Row", "read", "text_of", "write"]

SCHEMA = 1


@dataclass
class Row:
    """One case.

    Attributes:
        case, what, op, shape, dtype: of the case.
        backend: which of likelihead's backends served it; empty where ours does not take part.
        runs: timed runs per round.
        seconds: every timed run of every contender, round after round.
        extra_mib: extra peak memory of each contender that it was measured of.
        absent: contenders that did not take part, and why.
        disagreeing: contenders whose answer is another than torch's, and by how much.
        goals: the ratios and the room wanted.
    """

    case: str
    what: str
    op: str
    shape: list[int]
    dtype: str
    backend: str
    runs: int
    seconds: dict[str, list[float]]
    extra_mib: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    disagreeing: dict[str, str] = field(default_factory=dict)
    goals: list[Goal | Room] = field(default_factory=list)

    @property
    def medians(self) -> dict[str, float]:
        return {name: spread(samples)[1] for name, samples in self.seconds.items()}

    def ratio(self, over: str, under: str) -> float | None:
        """How many times the time of ``under`` that of ``over`` is; None where one was not measured.

        The median of the ratios within each round: what slows the machine down for a second or more slows
        both, and cancels out. Of a function that was timed once there is one round.
        """
        if over not in self.seconds or under not in self.seconds:
            return None
        pairs = zip(self._rounds(over), self._rounds(under), strict=False)
        return spread([above / below for above, below in pairs])[1]

    def _rounds(self, name: str) -> list[float]:
        samples = self.seconds[name]
        return [spread(samples[at : at + self.runs])[1] for at in range(0, len(samples), self.runs)]

    def outcomes(self) -> list[tuple[Goal | Room, float | None, bool | None]]:
        """Each goal with what was measured and whether it is met; None twice where it was not measured."""
        found: list[tuple[Goal | Room, float | None, bool | None]] = []
        for goal in self.goals:
            if isinstance(goal, Room):
                figure = self.extra_mib.get(goal.subject)
            else:
                figure = self.ratio(*goal.over_and_under)
            found.append((goal, figure, None if figure is None else goal.is_met_by(figure)))
        return found


@dataclass
class Results:
    """A run of the benchmark: suite is ``cpu``, ``identity`` or ``gpu``.

    ``steps``: what else a run on a rented card has tried, and what became of it.
    """

    suite: str
    date: str
    machine: dict[str, str | int]
    versions: dict[str, str]
    settings: dict[str, str | int]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)


def text_of(results: Results) -> str:
    """The results as JSON, one line per list of samples."""
    content = {"schema": SCHEMA, **asdict(results)}
    if not results.steps:
        del content["steps"]
    for row, found in zip(content["rows"], results.rows, strict=True):
        row["seconds"] = {
            name: [float(f"{sample:.4g}") for sample in samples] for name, samples in row["seconds"].items()
        }
        row["extra_mib"] = {name: round(mib, 1) for name, mib in row["extra_mib"].items()}
        row["medians"] = {name: float(f"{median:.4g}") for name, median in found.medians.items()}
    text = json.dumps(content, indent=1, allow_nan=False)
    return _short_lists(text) + "\n"


def write(results: Results, path: Path) -> None:
    """Write :func:`text_of` them."""
    path.write_text(text_of(results), encoding="utf-8")


def read(path: Path) -> Results:
    """Read what `write` wrote.

    Raises:
        DataError: the file is not one of ours, or of another version.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"this is no JSON: {error}", path=str(path)) from error
    if not isinstance(content, dict) or "schema" not in content:
        raise DataError("these are no benchmark results; expected the file of --json", path=str(path))
    if content.pop("schema") != SCHEMA:
        raise DataError(f"this is not version {SCHEMA} of the results; measure again", path=str(path))
    try:
        rows = [_row(row) for row in content.pop("rows")]
        return Results(rows=rows, **content)
    except (TypeError, KeyError, AttributeError) as error:
        raise DataError(f"a field is missing or unknown: {error}", path=str(path)) from error


def _row(content: dict[str, Any]) -> Row:
    content.pop("medians")  # for the reader of the file; they follow from the samples
    goals = [Room(**goal) if "mib" in goal else Goal(**goal) for goal in content.pop("goals")]
    return Row(goals=goals, **content)


def _short_lists(text: str) -> str:
    """Put the lists of plain values on one line each."""
    lines: list[str] = []
    held: list[str] | None = None
    for line in text.splitlines():
        if line.endswith("["):
            if held is not None:
                lines += held
            held = [line]
        elif held is None:
            lines.append(line)
        elif line.strip() in ("]", "],"):
            lines.append(held[0] + " ".join(part.strip() for part in held[1:]) + line.strip())
            held = None
        elif line.strip()[-1] in "{}" or line.strip() == "},":
            lines += [*held, line]
            held = None
        else:
            held.append(line)
    return "\n".join(lines + (held or []))
