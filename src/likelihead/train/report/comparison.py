"""The page that shows several runs side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from likelihead.report.blocks import Bars, Block, Callout, Figure, Legend, Row, Table, Text
from likelihead.report.page import Page, Section
from likelihead.report.svg import RUN_COLOURS
from likelihead.report.text import cell, clean, number, percent
from likelihead.train.report import plots
from likelihead.train.report.directions import HIGHER, LOWER, best_of, figure_name, with_direction
from likelihead.train.report.finished import FinishedRun

__all__ = ["comparison_page", "differing_data", "run_names"]

_FIRST = ("f1", "iou", "r2")  # of the figures of a class, the one that is drawn
_SECOND = ("recall", "dice", "rmse")
_BARS_LIMIT, _PARTS_LIMIT = 24, 200
# They follow from the data, and stand among the figures or in the data's digest.
_FOLLOWS = ("resolved.baseline_nll", "resolved.constant", "resolved.constant_parameters")
_SHORT = 12  # characters of a digest
_DIFFERENT = "The runs' data differ: their figures may not be compared one to one."

Mark: TypeAlias = Callable[[Sequence[str], Sequence[Sequence[float]]], set[tuple[int, int]]]


def comparison_page(runs: Sequence[FinishedRun]) -> Page:
    """The page of runs of one task; where their data differ it says so first, and names no best."""
    names = run_names(runs)
    warnings = differing_data(runs, names)
    mark = _best if not warnings else _no_best
    sections = [
        *([_different_data(warnings)] if warnings else []),
        _headline(runs, names, mark),
        _curves(runs),
        *_parts(runs, names, mark),
        *_calibration(runs, names),
        _options(runs, names),
        _data(runs, names),
    ]
    return Page(
        title=f"{len(runs)} runs side by side",
        task=runs[0].task,
        line=" · ".join(
            [runs[0].task, *dict.fromkeys(clean(run.options.get("data", ""), 60) for run in runs)]
        ),
        summary=[_DIFFERENT] if warnings else [_lowest(runs, names)],
        cards=(),
        sections=sections,
        findings=None,
        notes=None,
        footer="Made by likelihead compare, from the runs' own reports. NLL is the negative log-likelihood; "
        "1 nat is 1.443 bits.",
    )


def run_names(runs: Sequence[FinishedRun]) -> list[str]:
    """The folders' names, or their whole paths where two have the same name."""
    names = [run.folder.absolute().name for run in runs]
    return [
        name if names.count(name) == 1 else str(run.folder) for name, run in zip(names, runs, strict=True)
    ]


def differing_data(runs: Sequence[FinishedRun], names: Sequence[str]) -> list[str]:
    """A line for each run whose data are not those of the first."""
    lines, first = [], runs[0]
    for run, name in zip(runs[1:], names[1:], strict=True):
        differ = [
            key
            for key in dict.fromkeys([*first.schema, *run.schema])
            # Two tasks on the same targets are two models, each with a baseline of its own.
            if key != "task" and first.schema.get(key) != run.schema.get(key)
        ]
        for key in ("rows", "baseline_nll") if run.task == first.task else ("rows",):
            if not _same(first.figures.get(key, math.nan), run.figures.get(key, math.nan)):
                differ.append(f"{figure_name(key)} of the test set")
        if differ:
            lines.append(f"{clean(name)} has other data than {clean(names[0])}: {', '.join(differ)} differ")
    return lines


def _different_data(warnings: Sequence[str]) -> Section:
    text = "Not all runs were trained and tested on the same rows. No best is marked below."
    return Section("Before you compare", [Callout("The data differ", text, warnings)], id="different-data")


def _lowest(runs: Sequence[FinishedRun], names: Sequence[str]) -> str:
    best = best_of([run.figures.get("nll", math.nan) for run in runs], lower=True)
    unit = runs[0].unit
    if not best:
        return "No run has a lower NLL on the test set than the others."
    winners = [clean(names[i]) for i in best]
    nll = runs[best[0]].figures["nll"]
    verb = "has" if len(winners) == 1 else "have"
    line = f"{' and '.join(winners)} {verb} the lowest NLL on the test set: {number(nll)} nats per {unit}"
    others = [run.figures.get("nll", math.nan) for i, run in enumerate(runs) if i not in best]
    others = [value for value in others if math.isfinite(value)]
    return f"{line}, {number(min(others) - nll, 3)} below the next." if others else f"{line}."


def _headline(runs: Sequence[FinishedRun], names: Sequence[str], mark: Mark) -> Section:
    keys = list(dict.fromkeys(key for run in runs for key in run.figures))
    rows = [[with_direction(key), *(_value(key, run.figures.get(key)) for run in runs)] for key in keys]
    best = mark(keys, [[run.figures.get(key, math.nan) for run in runs] for key in keys])
    table = Table(
        ["figure", *names], rows, range(1, 1 + len(runs)), best=best, label="Headline figures of each run"
    )
    lead = "On each run's test set. ↓: less is better, ↑: more is better."
    lead += " The best of a line is set in bold." if best else ""
    return Section("Figures", [table], lead, id="figures")


def _best(keys: Sequence[str], values: Sequence[Sequence[float]]) -> set[tuple[int, int]]:
    return {
        (row, 1 + i)
        for row, key in enumerate(keys)
        if key in LOWER or key in HIGHER
        for i in best_of(values[row], lower=key in LOWER)
    }


def _no_best(keys: Sequence[str], values: Sequence[Sequence[float]]) -> set[tuple[int, int]]:
    return set()


def _curves(runs: Sequence[FinishedRun]) -> Section:
    unit = runs[0].unit
    baselines = [run.figures.get("baseline_nll", math.nan) for run in runs]
    figures = plots.overlaid_curves(
        [(run.epoch, run.test_nll, run.train_nll) for run in runs], baselines, unit=unit
    )
    captions = (
        f"Mean NLL on the test set by epoch, in nats per {unit}; the dashed lines are the baselines.",
        "Mean NLL on the training set by epoch, on the same scale.",
    )
    row = Row([Figure(svg, caption) for svg, caption in zip(figures, captions, strict=True)])
    return Section("Learning curves", [_legend(runs), row], id="curves")


def _legend(runs: Sequence[FinishedRun], more: Sequence[str] = ()) -> Legend:
    labels = [f"{name}{rest}" for name, rest in zip(run_names(runs), more or [""] * len(runs), strict=True)]
    return Legend(list(zip(labels, RUN_COLOURS, strict=False)))


def _parts(runs: Sequence[FinishedRun], names: Sequence[str], mark: Mark) -> list[Section]:
    parts = list(dict.fromkeys(name for run in runs for name in run.parts))
    if len(parts) < 2:
        return []
    known = {key for run in runs for part in run.parts.values() for key in part}
    blocks: list[Block] = []
    drawn = next((key for key in _FIRST if key in known), None)
    if drawn is not None:
        shown = parts[:_BARS_LIMIT]
        # R² may be below zero, which is as good as none.
        series = {
            name: [max(_part(run, part, drawn), 0.0) for part in shown]
            for run, name in zip(runs, names, strict=True)
        }
        rest = f" The first {len(shown)} of {len(parts)}." if len(parts) > len(shown) else ""
        caption = f"{figure_name(drawn)} on the test set.{rest}"
        blocks.append(
            Bars([clean(part, 60) for part in shown], series, 1.0, caption=caption, colours=RUN_COLOURS)
        )
    tables: list[Block] = []
    for keys in (_FIRST, _SECOND, ("nll",)):
        key = next((key for key in keys if key in known), None)
        if key is not None:
            tables.append(_part_table(key, runs, names, parts[:_PARTS_LIMIT], mark))
    title = {"regression": "Targets", "multilabel": "Labels"}.get(runs[0].task, "Classes")
    return [Section(title, [*blocks, *tables], id="classes")]


def _part(run: FinishedRun, part: str, key: str) -> float:
    return run.parts.get(part, {}).get(key, math.nan)


def _part_table(
    key: str, runs: Sequence[FinishedRun], names: Sequence[str], parts: Sequence[str], mark: Mark
) -> Table:
    values = [[_part(run, part, key) for run in runs] for part in parts]
    rows = [[clean(part, 48), *(number(v) for v in line)] for part, line in zip(parts, values, strict=True)]
    return Table(
        ["", *names],
        rows,
        range(1, 1 + len(runs)),
        best=mark([key] * len(parts), values),
        title=with_direction(key),
    )


def _calibration(runs: Sequence[FinishedRun], names: Sequence[str]) -> list[Section]:
    found = [
        (run.reliability, colour)
        for run, colour in zip(runs, RUN_COLOURS, strict=False)
        if run.reliability is not None
    ]
    if not found:
        return []
    figure = plots.reliability_lines(found, "stated probability", "share that came true", "reliability")
    ece = [f", ECE {percent(run.reliability.ece)}" if run.reliability else ", not measured" for run in runs]
    caption = (
        "How often predictions came true where the model stated this probability. On the dashed line a model "
        "is as good as its word; below it, it is too sure. A larger dot stands for more predictions."
    )
    return [Section("Calibration", [_legend(runs, ece), Figure(figure, caption)], id="calibration")]


def _options(runs: Sequence[FinishedRun], names: Sequence[str]) -> Section:
    differ = _differences([run.options for run in runs], names, skip=_FOLLOWS)
    versions = _differences([run.versions for run in runs], names)
    blocks: list[Block] = []
    if differ.rows:
        blocks.append(differ)
    else:
        blocks.append(Text("All options are the same."))
    if versions.rows:
        blocks.append(Text("The runs were made with different versions:"))
        blocks.append(versions)
    return Section("Options that differ", blocks, id="options")


def _differences(
    values: Sequence[Mapping[str, object]], names: Sequence[str], skip: Sequence[str] = ()
) -> Table:
    keys = [key for key in dict.fromkeys(k for options in values for k in options) if key not in skip]
    rows = [
        [clean(key, 60), *(cell(options.get(key)) for options in values)]
        for key in keys
        if any(options.get(key) != values[0].get(key) for options in values)
    ]
    return Table(["", *names], rows, (), label="What differs", keys=True)


def _data(runs: Sequence[FinishedRun], names: Sequence[str]) -> Section:
    rows = [
        [name, run.digest[:_SHORT], "; ".join(clean(line, 300) for line in run.data)]
        for run, name in zip(runs, names, strict=True)
    ]
    same = not differing_data(runs, names)
    lead = "The digest is of the columns, their statistics and the split."
    lead += " All runs have the same data." if same else ""
    return Section("Data", [Table(["run", "digest", "data"], rows, (), keys=True)], lead, id="runs-data")


def _same(a: float, b: float) -> bool:
    # Summed on another machine, the same rows may differ in the last bits.
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9)


def _value(key: str, value: float | None) -> str:
    whole = value is not None and math.isfinite(value) and value == int(value) and key not in LOWER | HIGHER
    return number(int(value) if whole and value is not None else value)
