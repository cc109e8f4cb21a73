"""The picture of the CPU table in the documentation."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from likelihead.bench.case import COMPILED, EAGER, FLOOR, IN_PLACE, OURS, Goal
from likelihead.bench.results import Results, Row, read
from likelihead.errors import DataError

# Each is at least three times as bright, or as dark, as a white and a black page.
COLOURS = {OURS: "#3b82f6", IN_PLACE: "#0d9488", COMPILED: "#d97706", EAGER: "#7f8793"}
# Stands for the page's own colour of text, and for grey where the picture is not on a page.
INK = "#010203"
PAGE_INK = "var(--color-foreground-primary, #777777)"

LEFT, RIGHT = (OURS, IN_PLACE, COMPILED), (OURS, IN_PLACE, COMPILED, EAGER)


def newest(folder: Path) -> Path:
    """The newest CPU table.

    Raises:
        DataError: there is none.
    """
    tables = [path for path in sorted(folder.glob("*.json")) if read(path).suite == "cpu"]
    if not tables:
        raise DataError(
            "no CPU results are here; python -m benchmarks cpu --save DIR makes some", path=str(folder)
        )
    return max(tables, key=lambda path: (read(path).date, path.name))


def digest(results: Results) -> str:
    """Tells whether a picture is of these results, whichever matplotlib drew it."""
    return hashlib.sha256(repr([row.seconds for row in results.rows]).encode()).hexdigest()[:16]


def draw(results: Results) -> str:
    """An SVG of the speed-up over eager and the distance to the floor; the same text for the same results."""
    rows = [row for row in results.rows if EAGER in row.seconds and OURS in row.seconds]
    if not rows:
        raise DataError("these results have no row with ours and torch eager; nothing can be drawn")
    with matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "likelihead",
            "font.family": "sans-serif",
            "font.size": 10,
            **{f"{part}.color": INK for part in ("text", "xtick", "ytick")},
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
        }
    ):
        figure = Figure(figsize=(10, 0.9 + 0.62 * len(rows)), layout="constrained")
        left, right = figure.subplots(1, 2)
        _panel(left, rows, LEFT, lambda row, name: row.ratio(EAGER, name), EAGER)
        left.set_title("times faster than torch eager (log)", fontsize=11, loc="left")
        _panel(right, rows, RIGHT, _over_floor, FLOOR)
        right.set_title("times as long as the floor (log)", fontsize=11, loc="left")
        handles = {
            label: handle
            for axes in (left, right)
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), frameon=False
        )
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_a_page(text.getvalue(), results)


def _over_floor(row: Row, name: str) -> float | None:
    """No distance where a call's own cost is all there is: nobody copies ten numbers for comparison."""
    return None if row.case.startswith("tiny") else row.ratio(name, FLOOR)


def _panel(
    axes: Axes,
    rows: list[Row],
    names: tuple[str, ...],
    ratio: Callable[[Row, str], float | None],
    against: str,
) -> None:
    """Bars that start at 1, a tick on each where its goal is, and its number behind both."""
    height = 0.8 / len(names)
    for place, name in enumerate(names):
        for at, row in enumerate(rows):
            value, goal = ratio(row, name), _goal(row, name, against)
            middle = at + (place - (len(names) - 1) / 2) * height
            if goal is not None:
                ends = middle - height / 2, middle + height / 2
                axes.vlines(goal, *ends, color=INK, linewidth=2, label="goal", zorder=3)
            if value is None:
                continue
            axes.barh(middle, value - 1, left=1, height=height * 0.9, color=COLOURS[name], label=name)
            axes.annotate(
                f"{value:.0f}" if value >= 10 else f"{value:.1f}",
                (max(value, goal or value, 1), middle),
                xytext=(4, 0),
                textcoords="offset points",
                verticalalignment="center_baseline",
                fontsize=8,
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.margins(x=0.1)
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row.case for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _goal(row: Row, name: str, against: str) -> float | None:
    """Where the goal of a function is on the axis: a speed-up over eager, a time over the floor."""
    for goal in row.goals:
        if isinstance(goal, Goal) and (goal.subject, goal.against) == (name, against):
            return 1 / goal.times if (goal.kind == "within") == (against == EAGER) else goal.times
    return None


def _for_a_page(svg: str, results: Results) -> str:
    """Without a prolog, to stand within a page and in its colours, and with words for those who hear it."""
    svg = svg[svg.index("<svg") :].replace(INK, PAGE_INK).replace("DejaVu Sans", "system-ui")
    threads = results.settings.get("threads")
    title = (
        f"Time from the logits to their gradient on {results.machine['cpu']} with {threads} threads, "
        f"torch {results.versions['torch']}, {results.date}"
    )
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 role="img" style="width: 100%"', svg, count=1)
    svg = svg.replace(">", f' data-results="{digest(results)}">\n <title>{title}</title>', 1)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"
