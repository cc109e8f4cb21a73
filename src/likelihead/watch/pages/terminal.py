"""For people, in a terminal: a paragraph, then what was found, then a line for each loss."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from likelihead.core.shown import printable
from likelihead.hazards import LEVELS
from likelihead.report.text import MINUS, MISSING, percent
from likelihead.watch.pages import words
from likelihead.watch.record import Classes, Cost, Finding, Note, Place, Record, Site

__all__ = ["print_report", "render"]

FINDINGS = 40
SITES = 20
_COLOURS = {"E": "red", "W": "yellow", "I": "cyan"}
_TABLE_FROM = 76  # columns; narrower, a table of seven columns is no table
_LINE = 120  # characters of a line of code
# For streams that cannot carry these: what stands for them there.
_PLAIN = str.maketrans(
    {MINUS: "-", MISSING: "-", "…": "...", "∞": "inf", "─": "-", "\N{REPLACEMENT CHARACTER}": "?"}
)


def print_report(record: Record, file: IO[str] | None = None) -> None:
    """Write the report to a stream, in colour where that is a terminal which shows it.

    Args:
        record: of the run.
        file: the stream; standard output by default. Its encoding may be any.
    """
    stream = sys.stdout if file is None else file
    target = Console(file=stream)
    text = render(record, width=target.width, colours=target.color_system if target.is_terminal else None)
    stream.write(_encodable(text, getattr(stream, "encoding", None) or "utf-8"))
    stream.flush()


def render(record: Record, *, width: int = 80, colours: str | None = None) -> str:
    """The report as text, with the end of its last line.

    Args:
        record: of the run.
        width: of the terminal, in columns.
        colours: the terminal's, as rich calls them (``"standard"``, ``"256"``, ``"truecolor"``); None leaves
            them out.
    """
    out = io.StringIO()
    console = Console(
        file=out,
        width=max(width, 20),
        force_terminal=colours is not None,
        color_system=colours,  # type: ignore[arg-type]  # its names are literals
        no_color=colours is None,
        legacy_windows=False,
        markup=False,
        highlight=False,
        emoji=False,
    )
    for part in _report(record, console.width):
        # A line with a place in it stays whole, so that it can be searched, clicked and piped.
        console.print(part, soft_wrap=isinstance(part, Text) and part.no_wrap is True)
    lines = (line.rstrip() for line in out.getvalue().split("\n"))
    return "\n".join(lines).strip("\n") + "\n"


def _encodable(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:  # of an encoding that Python does not know
        return text.translate(_PLAIN).encode("ascii", "backslashreplace").decode("ascii")
    return text


def _report(record: Record, width: int) -> Iterator[RenderableType]:
    names = words.Names(record)
    yield _line(("likelihead watch", "bold"), (f" {words.command(record)}" if record.command else "", ""))
    yield ""
    yield Text(" ".join(words.sentences(record)))
    yield from _findings(record)
    yield from _sites(record, names, width)
    yield from _costs(record)
    yield from _notes("Notes", (note for note in record.notes if note.kind not in words.NOT_FOLLOWED), names)
    unseen = [Note("compiled", "This region is compiled and was left alone.", at) for at in record.compiled]
    unseen += [note for note in record.notes if note.kind in words.NOT_FOLLOWED]
    yield from _notes("Not followed", unseen, names)
    yield ""
    yield Text(words.watched(record), style="dim")


def _line(*parts: tuple[str, str]) -> Text:
    """A line that stays whole."""
    return Text.assemble(*parts, no_wrap=True)


def _heading(text: str) -> Iterator[RenderableType]:
    yield ""
    yield _line((text, "bold"))


# -- findings ------------------------------------------------------------------------------------------


def _findings(record: Record) -> Iterator[RenderableType]:
    if not record.findings:
        return
    yield from _heading("Findings")
    for finding in record.findings[:FINDINGS]:
        yield ""
        yield from _finding(finding)
    if len(record.findings) > FINDINGS:
        yield ""
        yield Text(f"and {len(record.findings) - FINDINGS:,} more; --json and --html have them all")


def _finding(finding: Finding) -> Iterator[RenderableType]:
    hazard = finding.hazard
    colour = _COLOURS[hazard.severity]
    yield _line(
        (words.Names.full(finding.at), "bold"),
        (": ", ""),
        (finding.code, f"bold {colour}"),
        (f" {LEVELS[hazard.severity]}: ", colour),
        (hazard.sentence, ""),
    )
    yield from _source(finding.at)
    if finding.made_at is not None and finding.made_at != finding.at:
        yield _line(("  made at ", ""), (words.Names.full(finding.made_at), "bold"), (":", ""))
        yield from _source(finding.made_at)
    if finding.detail:
        yield _line((f"  {printable(finding.detail)}", ""))
    yield _line((f"  {words.seen(finding)}", ""))
    yield _line(("  remedy: ", "green"), (hazard.remedy, ""))


def _source(place: Place) -> Iterator[RenderableType]:
    if place.text.strip():
        yield _line((f"  {place.line:>5} | ", "dim"), (_code(place.text), ""))


def _code(text: str) -> str:
    text = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text.strip())
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"


# -- losses --------------------------------------------------------------------------------------------


def _sites(record: Record, names: words.Names, width: int) -> Iterator[RenderableType]:
    sites = words.by_weight(record.sites)
    if not sites:
        return
    yield from _heading("Losses")
    shown = sites[:SITES]
    if width >= _TABLE_FROM:
        yield _table(shown, names)
    else:
        for site in shown:
            yield ""
            yield from _block(site, names)
    yield ""
    about = [(site, text) for site in shown if (text := "; ".join(_targets_and_gradients(site)))]
    for site, text in about:
        yield Text(f"{printable(site.function)} at {names(site.at)}: {text}.")
    if len(sites) > SITES:
        yield Text(f"and {len(sites) - SITES:,} more; --json and --html have them all")


def _table(sites: Sequence[Site], names: words.Names) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("loss", overflow="fold", ratio=3)
    table.add_column("what went in", overflow="fold", ratio=4)
    for heading in ("calls", *words.FIGURES):
        table.add_column(heading, justify="right", no_wrap=True)
    for site in sites:
        phase = "" if site.phase == "training" else "\nin evaluation"
        went_in = Text(printable(site.went_in) or MISSING)
        if expected := words.fit(site):
            went_in.append(f"\n{expected}", style="red" if site.fits is False else "dim")
        if beside := words.beside(site):
            went_in.append(f"\n{beside}", style="dim")
        table.add_row(
            Text.assemble(
                (printable(site.function).replace(".", ".\n"), "bold"), f"\n{names(site.at)}{phase}"
            ),
            went_in,
            f"{site.calls:,}",
            *words.figures(site),
        )
    return table


def _block(site: Site, names: words.Names) -> Iterator[RenderableType]:
    """What a line of the table says, one under the other."""
    calls = words.count(site.calls, "call")
    yield Text.assemble((printable(site.function), "bold"), f" at {names(site.at)}, in {site.phase}: {calls}")
    went_in = Text(f"took {printable(site.went_in) or 'what was not looked at'}")
    if expected := words.fit(site):
        went_in.append(f", {expected}", style="red" if site.fits is False else "dim")
    if beside := words.beside(site):
        went_in.append(f"; {beside}", style="dim")
    first, last, baseline, entropy = words.figures(site)
    figures = f"loss {first} at first, {last} at last; baseline {baseline}; entropy {entropy}"
    for text in (went_in, Text(figures)):
        yield Padding(text, (0, 0, 0, 2))


def _targets_and_gradients(site: Site) -> Iterator[str]:
    if site.classes is not None:
        yield _classes(site.classes)
    if site.saturated and math.isfinite(site.saturated):
        yield f"{percent(site.saturated)} of the probabilities lie within 1e-6 of 0 or 1"
    if site.confident_wrong and math.isfinite(site.confident_wrong):
        yield f"{percent(site.confident_wrong)} of the gradient is of rows predicted wrong with more than 0.9"
    if site.optimised is not None and site.optimised != 1:
        yield f"{percent(site.optimised)} of what is optimised"


def _classes(classes: Classes) -> str:
    text = words.count(classes.classes, "class", "classes")
    if classes.counts:
        text += f", {words.spread(classes.counts.values())} targets each"
    if classes.unseen_count:
        text += f", {words.unseen(classes)} never a target"
    if classes.ignored:
        text += f", {classes.ignored:,} targets ignored"
    return text


# -- the rest ------------------------------------------------------------------------------------------


def _costs(record: Record) -> Iterator[RenderableType]:
    if not record.costs:
        return
    yield from _heading("Cost")
    yield Text(words.cost_sentence(record))
    for cost in words.by_saving(record.costs)[:SITES]:
        yield Padding(Text(_cost(cost)), (0, 0, 0, 2))
    if len(record.costs) > SITES:
        yield Text(f"and {len(record.costs) - SITES:,} more; --json and --html have them all")


def _cost(cost: Cost) -> str:
    pair = f"{words.duration(cost.likelihead_ms / 1000)} a call for {words.duration(cost.torch_ms / 1000)}"
    if cost.torch_mib is not None and cost.likelihead_mib is not None:
        pair += f", {cost.likelihead_mib:.3g} MiB for {cost.torch_mib:.3g} MiB"
    return f"{words.cost_subject(cost)}, {words.count(cost.calls, 'call')}: {pair} ({cost.measured})"


def _notes(heading: str, notes: Iterable[Note], names: words.Names) -> Iterator[RenderableType]:
    notes = list(notes)
    if not notes:
        return
    yield from _heading(heading)
    for note in notes[:FINDINGS]:
        where = f"{names(note.at)}: " if note.at is not None else ""
        yield Padding(Text(f"{where}{printable(note.text)}"), (0, 0, 0, 2))
    if len(notes) > FINDINGS:
        yield Text(f"and {len(notes) - FINDINGS:,} more; --json and --html have them all")
