"""The report of a run on a table: what its page shows, and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from likelihead.report.blocks import Block, Figure, Grid, Matrix, Row, Table, Text
from likelihead.report.page import Page, Section, write_page
from likelihead.report.text import amount, clean, number, percent
from likelihead.train.report import plots
from likelihead.train.report.content import ReportContent
from likelihead.train.report.scores import Scores, measure, usable_rows
from likelihead.train.report.summary import BASELINE_NAMES, cards, nll_explained, sentences
from likelihead.train.report.tables import (
    class_table,
    confusion_pairs,
    highest_loss,
    loss_table,
    target_table,
)

__all__ = ["table_figures", "table_page", "write_report"]

NUMBERED_LIMIT = 25  # classes of a confusion matrix with a figure in each cell
STACKED = 13  # classes from which on a confusion matrix takes the whole width
DENSE_LIMIT = 100  # classes of a confusion matrix written out in JSON; above it, its cells that are not zero
PANEL_LIMIT = 6  # regression targets with figures of their own
TWO_BY_TWO_LIMIT = 24  # labels with a 2x2 table of their own

_CONFIDENCE = {
    "binary": ("stated probability of the positive class", "share that is positive"),
    "multiclass": ("confidence in the predicted class", "share predicted right"),
    "multilabel": ("stated probability of a label", "share that has the label"),
}
_DEFINITION = (
    "On the test set. A dash stands where a figure has no denominator: a class without test rows has "
    "no recall, a class that is never predicted no precision. NLL is the mean {}, in nats."
)


def write_report(run_dir: Path, content: ReportContent, *, more: Sequence[Section] = ()) -> None:
    """Write ``report.html`` and ``report.json`` into ``run_dir``, each whole or not at all.

    The same content gives the same bytes. The HTML asks nothing of any network.

    Args:
        run_dir: the run's folder.
        content: what the report says.
        more: sections that follow the table's own, such as a gallery.

    Raises:
        RunError: the folder is absent or cannot be written.
    """
    scores = measure(content)
    page = table_page(content, scores)
    write_page(run_dir, replace(page, sections=[*page.sections, *more]), table_figures(content, scores))


def table_page(content: ReportContent, scores: Scores) -> Page:
    """The page of a run on a table."""
    task = content.family
    sections = [_curves(content)]
    if task == "regression":
        sections.append(_regression(content, scores))
    elif task == "multilabel":
        sections.append(_labels(content, scores))
    else:
        sections += _confusion(content, scores)
    if scores.classes:
        over = (
            "of the label over the rows where it is known"
            if task == "multilabel"
            else "over the class's own rows"
        )
        title = "Labels" if task == "multilabel" else "Classes"
        sections.append(
            Section(title, [class_table(content, scores)], _DEFINITION.format(over), id="classes")
        )
    sections.append(_losses(content))
    return Page(
        title=content.run_name,
        task=content.task,
        line=_line(content, scores),
        summary=sentences(content, scores),
        cards=cards(content, scores),
        sections=sections,
        findings=content.guard_findings,
        data=content.data,
        notes=content.notes,
        config=content.config,
        versions=content.versions,
    )


def _line(content: ReportContent, scores: Scores) -> str:
    width = len(content.classes)
    kind = {"multilabel": "labels", "regression": "targets" if width != 1 else "target"}
    sizes = f"{width} {kind.get(content.family, 'classes')}"
    rows = f"{scores.rows:,} test rows{_weigh(scores)}"
    return f"{content.task} · {clean(content.likelihood)} · {sizes} · {rows}"


def _weigh(scores: Scores) -> str:
    if scores.weight is None:
        return ""
    return f", which weigh {amount(scores.weight)} (as {number(scores.effective)} equal ones)"


def _curves(content: ReportContent) -> Section:
    curves, baseline = content.curves, BASELINE_NAMES[content.family]
    blocks: list[Block] = [
        Figure(
            plots.learning_curves(curves, baseline, zero=not content.density),
            "Mean negative log-likelihood by epoch, in nats per row; lower is better. The dashed line is the "
            f"{baseline}, {number(curves.baseline_nll)} nats.",
        )
    ]
    if curves.test_accuracy:
        blocks.append(
            Figure(
                plots.score_curve(curves.epoch, curves.test_accuracy, "accuracy"),
                "Share of correct predictions on the test set by epoch.",
            )
        )
    lead = (
        f"A model is of use where its test curve lies below the {baseline}. A test curve that turns up "
        "while the training curve goes on falling says that the model has begun to learn the training "
        "set by heart."
    )
    return Section("Learning curves", [Row(blocks)], lead, id="curves")


def _regression(content: ReportContent, scores: Scores) -> Section:
    blocks: list[Block] = []
    names = content.classes
    if scores.used:
        usable = usable_rows(content)
        target, predicted = (
            np.asarray(a[usable], dtype=np.float64).reshape(-1, len(names))
            for a in (content.test.targets, content.test.predictions)
        )
        weights = None if content.test.weights is None else content.test.weights[usable]
        counted = "count" if weights is None else "weight"
        limit = plots.SCATTER_LIMIT
        drawn = f" {limit:,} of {scores.used:,} rows are drawn, evenly spread." if scores.used > limit else ""
        for d, name in enumerate(names[:PANEL_LIMIT]):
            shown = clean(name)
            scatter = Figure(
                plots.predicted_observed(target[:, d], predicted[:, d], f"scatter{d}"),
                f"Each dot is a test row of {shown}; on the dashed line the prediction is exact.{drawn}",
            )
            residuals = Figure(
                plots.residual_histogram(target[:, d] - predicted[:, d], f"residuals{d}", weights),
                f"Observed minus predicted {shown}, as a {counted} of test rows. Right of the dashed line "
                "the model said too little.",
            )
            blocks.append(Row([scatter, residuals], title=shown if len(names) > 1 else ""))
    else:
        blocks.append(Text("No test row has a finite prediction."))
    blocks.append(target_table(scores))
    return Section(
        "Predicted and observed", blocks, "All figures are in the target's own units.", id="regression"
    )


def _confusion(content: ReportContent, scores: Scores) -> list[Section]:
    matrix, width = scores.confusion, len(content.classes)
    lead, blocks = "", list[Block]()
    counted = "Test rows" if scores.weight is None else "The weight of the test rows"
    if matrix is None:
        lead = (
            f"With {width:,} classes the matrix is too large to be drawn; the most frequent confusions "
            "are below, all of them in report.json."
        )
    elif width <= NUMBERED_LIMIT:
        lead = (
            f"{counted} by true class (down) and predicted class (across). Blue is right, orange is "
            "wrong; the strength of the colour is the share of the true class."
        )
        blocks.append(Matrix(matrix.tolist(), content.classes))
    else:
        caption = (
            f"{counted} by true class (down) and predicted class (across); the numbers are those of the "
            "table of classes. Blue is right, orange is wrong; the strength of the colour is the "
            "square root of the share of the true class."
        )
        blocks.append(Figure(plots.confusion_image(matrix), caption))
    if width > 2 and scores.confusions:
        blocks.append(confusion_pairs(content, scores))
    wide = matrix is not None and STACKED <= width <= NUMBERED_LIMIT
    curve = _reliability(content, scores)
    first = Section("Confusion matrix", blocks, lead, id="confusion", beside=None if wide else curve)
    return [first, curve] if wide else [first]


def _labels(content: ReportContent, scores: Scores) -> Section:
    shown = scores.classes[:TWO_BY_TWO_LIMIT]
    blocks: list[Block] = [
        Grid(
            [
                Matrix(
                    [
                        [c.true_negatives, c.false_positives],
                        [c.false_negatives, c.true_positives],
                    ],
                    names=("no", "yes"),
                    says=("says no", "says yes"),
                    title=c.name,
                    label=f"Confusion of {clean(c.name, 48)}",
                )
                for c in shown
            ]
        )
    ]
    if len(scores.classes) > len(shown):
        blocks.append(
            Text(f"The first {len(shown)} of {len(scores.classes)} labels; the others are in report.json.")
        )
    counted = "Test rows" if scores.weight is None else "The weight of the test rows"
    lead = (
        f"{counted} by whether they have the label (down) and whether the model says so, at a "
        "probability of one half (across). Blue is right, orange is wrong."
    )
    curve = _reliability(content, scores)
    return Section("Each label, right and wrong", blocks, lead, id="confusion", beside=curve)


def _reliability(content: ReportContent, scores: Scores) -> Section:
    curve = scores.reliability
    if curve is None:
        return Section("Reliability", [Text("There is nothing to draw.")], id="reliability")
    says, comes = _CONFIDENCE[content.family]
    what = {
        "binary": f"How often the answer was {clean(content.classes[-1])} where the model stated this "
        "probability for it.",
        "multiclass": "How often the prediction was right where the model was this confident of it.",
        "multilabel": "All labels together: how often a row had the label where the model stated this "
        "probability for it.",
    }[content.family]
    counted = "label decisions" if content.family == "multilabel" else "test rows"
    counted = counted if scores.weight is None else f"the weight of the {counted}"
    caption = (
        f"{what} On the dashed line the model is as good as its word; below it, it is too sure. Under "
        f"it, {counted} per bin. ECE {percent(curve.ece)}."
    )
    figure = Figure(plots.reliability_diagram(curve, says, comes), caption)
    return Section("Reliability", [figure], id="reliability")


def _losses(content: ReportContent) -> Section:
    if not len(content.test):
        return Section("Highest loss", [Text("The test set is empty.")], id="losses")
    table: Table = loss_table(content, highest_loss(content))
    wrong = "" if content.family == "regression" else " Wrong predictions are set in orange."
    summed = (
        ", summed over the row's labels; p of target is the product over labels"
        if content.family == "multilabel"
        else ""
    )
    lead = (
        f"The {len(table.rows)} test rows that the model finds least likely, with their cells as they "
        f"stand in the data. Wrong labels and broken rows end up here.{wrong} Rows count from 1 in the "
        f"data file; NLL is in nats{summed}."
    )
    return Section("Highest loss", [table], lead, id="losses")


def table_figures(content: ReportContent, scores: Scores) -> dict[str, Any]:
    """What ``report.json`` holds besides what the page gives."""
    curves, test = content.curves, content.test
    confusion: dict[str, Any] | None = None
    if content.family in ("binary", "multiclass"):
        dense = scores.confusion is not None and len(content.classes) <= DENSE_LIMIT
        hits = [(c, c, s.true_positives) for c, s in enumerate(scores.classes) if s.true_positives]
        confusion = {
            "matrix": scores.confusion if dense else None,
            "cells": None if dense else sorted([*hits, *scores.confusions]),
        }
    return {
        "likelihood": content.likelihood,
        "classes": list(content.classes),
        "unit": "row",
        "figures": {
            "rows": scores.rows,
            "rows_used": scores.used,
            **(
                {}
                if scores.weight is None
                else {"total_weight": scores.weight, "effective_rows": scores.effective}
            ),
            "nll": scores.nll,
            "baseline_nll": curves.baseline_nll,
            "nll_explained": nll_explained(content, scores),
            **scores.headline,
        },
        "headline": content.headline,
        "curves": asdict(curves),
        "per_class": [asdict(c) for c in scores.classes],
        "per_target": [asdict(t) for t in scores.targets],
        "confusion": confusion,
        "calibration": asdict(scores.reliability) if scores.reliability else None,
        "highest_loss": highest_loss(content) if len(test) else [],
    }
