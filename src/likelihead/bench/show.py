"""The table of a benchmark, for the terminal and as Markdown: one line per contender."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from likelihead.bench.case import EAGER, FLOOR, OURS
from likelihead.bench.clock import spread
from likelihead.bench.results import Results, Row

__all__ = ["LEGEND", "Line", "lines", "markdown", "print_table", "verdict"]

LEGEND = (
    "Time: the median; ±: half the distance of the quartiles. Over eager: how many times faster than torch "
    "eager. Ours over: how many times faster ours is. Times floor: the time over the floor's. Ratios are "
    "medians over the rounds, of the two times within each. MiB: extra peak memory, the gradient counted. "
    "A goal with ≥ is of the speed, one with ≤ of the time or the memory."
)


class Line(NamedTuple):
    """What the table says of one contender of a case."""

    function: str
    time: str
    spread: str
    over_eager: str
    ours_over_it: str
    times_floor: str
    mib: str
    goals: str


_HEADINGS = Line("function", "time", "±", "over eager", "ours over", "times floor", "MiB", "goals")


def lines(row: Row) -> Iterator[Line]:
    """A line per contender, with its goals and whether they are met."""
    for name, samples in row.seconds.items():
        low, median, high = spread(samples)
        goals = [found for found in row.outcomes() if found[0].subject == name]
        yield Line(
            function=name,
            time=_time(median),
            spread=f"{(high - low) / 2 / median:.0%}",
            over_eager=_ratio(row, EAGER, name),
            ours_over_it="" if name == FLOOR else _ratio(row, name, OURS),
            times_floor=_ratio(row, name, FLOOR),
            mib=f"{row.extra_mib[name]:.0f}" if name in row.extra_mib else "",
            goals=", ".join(f"{goal}: {_word(met)}" for goal, _, met in goals),
        )


def verdict(results: Results) -> str:
    """How many goals are met, in a sentence."""
    found = [met for row in results.rows for _, _, met in row.outcomes()]
    missing = sum(met is None for met in found)
    text = f"{sum(met is True for met in found)} of {len(found)} goals met"
    return f"{text}, {missing} not measured." if missing else f"{text}."


class Brief(NamedTuple):
    """What the table of a sweep says of a case."""

    case: str
    ours: str
    eager: str
    ours_over_eager: str
    times_floor: str
    goal: str


_BRIEF = Brief("case", "ours", "torch eager", "of eager's time", "times floor", "goal")
_BRIEF_LEGEND = (
    "Times are medians. Of eager's time: how many times eager's ours is, the median over the rounds of the "
    "ratio within each."
)


def is_brief(results: Results) -> bool:
    """Whether a case has one line: of a sweep, which has many."""
    return results.suite == "sweep"


def brief(row: Row) -> Brief:
    """A case in one line: ours beside eager."""
    medians = row.medians
    return Brief(
        case=row.case,
        ours=_time(medians[OURS]),
        eager=_time(medians[EAGER]),
        ours_over_eager=_ratio(row, OURS, EAGER),
        times_floor=_ratio(row, OURS, FLOOR),
        goal=", ".join(_word(met) for _, _, met in row.outcomes()),
    )


def exceeding(results: Results) -> str:
    """The cases of a sweep that miss their goal, in a sentence."""
    missed = [row.case for row in results.rows if any(met is False for _, _, met in row.outcomes())]
    return f"Missed: {', '.join(missed)}." if missed else ""


def _print_brief(results: Results, console: Console) -> None:
    table = Table(box=SIMPLE, title=_title(results), title_justify="left", padding=(0, 1, 0, 0))
    for heading in _BRIEF:
        table.add_column(heading, justify="left" if heading in (_BRIEF.case, _BRIEF.goal) else "right")
    for row in results.rows:
        missed = any(met is False for _, _, met in row.outcomes())
        table.add_row(*map(Text, brief(row)), style="red" if missed else None)
    console.print(table)
    for text in filter(None, (_BRIEF_LEGEND, *results.notes, verdict(results), exceeding(results))):
        console.print(Text(text))


def print_table(results: Results, console: Console) -> None:
    """One table with a section per case, and below it what each case is; a sweep has a line per case."""
    if is_brief(results):
        return _print_brief(results, console)
    table = Table(box=SIMPLE, title=_title(results), title_justify="left", padding=0)
    for heading, width in zip(_HEADINGS, (17, 8, 4, 5, 5, 5, 4, 18), strict=True):
        left = heading in (_HEADINGS.function, _HEADINGS.goals)
        table.add_column(heading, justify="left" if left else "right", width=width)
    for row in results.rows:
        table.add_section()
        table.add_row(Text(row.case, style="bold"))
        for line in lines(row):
            *cells, goals = line
            # The function that a goal is measured against is told by its first words: there is little room.
            goals = goals.replace("torch ", "").replace(", ", "\n")
            table.add_row(*map(Text, [*cells, goals]), style="red" if _missed(row, line) else None)
    console.print(table)
    for row in results.rows:
        console.print(Text.assemble((f"{row.case}: ", "bold"), f"{_about(row)}."))
        for name, reason in row.absent.items():
            console.print(Text(f"  not measured: {name} ({reason})"))
        for name, difference in row.disagreeing.items():
            console.print(Text(f"  disagrees: {name} ({difference}); timed all the same"))
    console.print()
    for text in (LEGEND, *results.notes, verdict(results)):
        console.print(Text(text))


def _missed(row: Row, line: Line) -> bool:
    return any(met is False for goal, _, met in row.outcomes() if goal.subject == line.function)


def markdown(results: Results) -> str:
    """The same as a page."""
    facts = {**results.machine, **results.settings, **results.versions}
    legend = [exceeding(results), _BRIEF_LEGEND] if is_brief(results) else [LEGEND]
    parts = [
        f"# {_title(results)}, {results.date}",
        "",
        "; ".join(f"{name} {value}" for name, value in facts.items()) + ".",
        "",
        " ".join(filter(None, [verdict(results), *legend, *results.notes])),
    ]
    if is_brief(results):
        parts += ["", _md(_BRIEF), _md(["---", *["--:"] * (len(_BRIEF) - 2), "---"])]
        parts += [_md(brief(row)) for row in results.rows]
        return "\n".join(parts) + "\n"
    for row in results.rows:
        parts += ["", f"## {row.case}", "", f"{_about(row)}.", ""]
        parts += [_md(_HEADINGS), _md(["---", *["--:"] * (len(_HEADINGS) - 2), "---"])]
        parts += [
            _md(line._replace(time=line.time.replace(" ", "\N{NO-BREAK SPACE}"))) for line in lines(row)
        ]
        parts += [f"\nNot measured: {name} ({reason})." for name, reason in row.absent.items()]
        parts += [
            f"\nDisagrees: {name} ({error}); timed all the same." for name, error in row.disagreeing.items()
        ]
    return "\n".join(parts) + "\n"


def _title(results: Results) -> str:
    device = results.machine.get("gpu", results.machine["cpu"])
    threads = results.settings.get("threads")
    return f"{results.suite}: {device}" + (f", {threads} threads" if threads else "")


def _about(row: Row) -> str:
    return f"{row.what}; {row.backend} backend" if row.backend else row.what


def _md(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _time(seconds: float) -> str:
    return f"{_digits(seconds * 1e6)} µs" if seconds < 1e-3 else f"{_digits(seconds * 1e3)} ms"


def _ratio(row: Row, over: str, under: str) -> str:
    ratio = None if over == under else row.ratio(over, under)
    return "" if ratio is None else _digits(ratio)


def _digits(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _word(met: bool | None) -> str:
    return {True: "yes", False: "no", None: "not measured"}[met]
