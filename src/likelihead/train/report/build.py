"""Write a run's report: ``report.html`` for people, ``report.json`` for programs, with the same figures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from likelihead.train.atomic import write_bytes
from likelihead.train.report import plots
from likelihead.train.report.content import ReportContent
from likelihead.train.report.scores import Scores, measure, usable_rows
from likelihead.train.report.summary import BASELINE_NAMES, cards, nll_explained, sentences
from likelihead.train.report.tables import (
    class_table,
    config_rows,
    confusion_pairs,
    findings,
    highest_loss,
    loss_table,
    target_table,
)
from likelihead.train.report.text import clean, jsonable, number, percent

__all__ = ["SCHEMA_VERSION", "html", "json_figures", "write_report"]

SCHEMA_VERSION = 1

NUMBERED_LIMIT = 25  # classes of a confusion matrix with a figure in each cell
DENSE_LIMIT = 100  # classes of a confusion matrix written out in JSON; above it, its cells that are not zero
PANEL_LIMIT = 6  # regression targets with figures of their own
TWO_BY_TWO_LIMIT = 24  # labels with a 2x2 table of their own

_CONFIDENCE = {
    "binary": ("stated probability of {}", "share that is {}"),
    "multiclass": ("confidence in the predicted class", "share predicted right"),
    "multilabel": ("stated probability of a label", "share that has the label"),
}


def write_report(run_dir: Path, content: ReportContent) -> None:
    """Write ``report.html`` and ``report.json`` into ``run_dir``, each whole or not at all.

    The same content gives the same bytes. The HTML asks nothing of any network.

    Raises:
        RunError: the folder is absent or cannot be written.
    """
    scores = measure(content)
    # Both are made before either is written.
    page, figures = html(content, scores), json_figures(content, scores)
    text = json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(run_dir / "report.html", page.encode("utf-8"))
    write_bytes(run_dir / "report.json", text.encode("utf-8"))


def json_figures(content: ReportContent, scores: Scores) -> dict[str, Any]:
    """The content of ``report.json``, in JSON's types; undefined figures are null."""
    curves, test = content.curves, content.test
    confusion: dict[str, Any] | None = None
    if content.task in ("binary", "multiclass"):
        dense = scores.confusion is not None and len(content.classes) <= DENSE_LIMIT
        hits = [(c, c, s.true_positives) for c, s in enumerate(scores.classes) if s.true_positives]
        confusion = {
            "matrix": scores.confusion if dense else None,
            "cells": None if dense else sorted([*hits, *scores.confusions]),
        }
    figures = {
        "schema": "likelihead.report",
        "schema_version": SCHEMA_VERSION,
        "run": content.run_name,
        "task": content.task,
        "likelihood": content.likelihood,
        "classes": list(content.classes),
        "summary": sentences(content, scores),
        "figures": {
            "rows": scores.rows,
            "rows_used": scores.used,
            "nll": scores.nll,
            "baseline_nll": curves.baseline_nll,
            "nll_explained": nll_explained(content, scores),
            **scores.headline,
        },
        "headline": content.headline,
        "curves": {
            "epoch": curves.epoch,
            "train_nll": curves.train_nll,
            "test_nll": curves.test_nll,
            "test_accuracy": curves.test_accuracy,
            "baseline_nll": curves.baseline_nll,
        },
        "per_class": [asdict(c) for c in scores.classes],
        "per_target": [asdict(t) for t in scores.targets],
        "confusion": confusion,
        "calibration": asdict(scores.reliability) if scores.reliability else None,
        "highest_loss": highest_loss(content) if len(test) else [],
        "guard_findings": findings(content),
        "data": content.data,
        "notes": content.notes,
        "config": content.config,
        "versions": content.versions,
    }
    return {key: jsonable(value) for key, value in figures.items()}


def html(content: ReportContent, scores: Scores) -> str:
    """The page, complete in itself: styles and figures inline, no script."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("likelihead.train", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(clean=clean, number=number, percent=percent)
    return environment.get_template("report.html").render(_view(content, scores))


def _view(content: ReportContent, scores: Scores) -> dict[str, Any]:
    curves, task = content.curves, content.task
    examples = highest_loss(content)
    matrix = scores.confusion
    view: dict[str, Any] = {
        "content": content,
        "scores": scores,
        "baseline": BASELINE_NAMES[task],
        "sentences": sentences(content, scores),
        "cards": cards(content, scores),
        "curves": Markup(plots.learning_curves(curves, BASELINE_NAMES[task], zero=task != "regression")),
        "accuracy": Markup(plots.accuracy_curve(curves)) if curves.test_accuracy else None,
        "class_table": class_table(content, scores) if scores.classes else None,
        "target_table": target_table(scores) if scores.targets else None,
        "matrix": None,
        "turned": max((len(name) for name in content.classes), default=0) > 3,
        "matrix_image": None,
        "pairs": None,
        "two_by_two": scores.classes[:TWO_BY_TWO_LIMIT] if task == "multilabel" else [],
        "reliability": None,
        "regression": [],
        "losses": loss_table(content, examples),
        "findings": findings(content),
        "config": config_rows(content.config),
        "versions": [[clean(name), clean(version)] for name, version in content.versions.items()],
        "scatter_limit": plots.SCATTER_LIMIT,
    }
    if task in ("binary", "multiclass"):
        view["pairs"] = confusion_pairs(content, scores)
        if matrix is not None and len(matrix) <= NUMBERED_LIMIT:
            share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
            view["matrix"] = [
                [(int(n), f"{s:.2f}") for n, s in zip(*row, strict=True)]
                for row in zip(matrix, share, strict=True)
            ]
        elif matrix is not None:
            view["matrix_image"] = Markup(plots.confusion_image(matrix))
    if scores.reliability:
        says, comes = _CONFIDENCE[task]
        view["reliability"] = Markup(
            plots.reliability_diagram(
                scores.reliability, says.format("the positive class"), comes.format("positive")
            )
        )
    if task == "regression" and scores.used:
        usable = usable_rows(content)
        target, predicted = (
            np.asarray(a[usable], dtype=np.float64).reshape(-1, len(content.classes))
            for a in (content.test.targets, content.test.predictions)
        )
        view["regression"] = [
            (
                str(name),
                Markup(plots.predicted_observed(target[:, d], predicted[:, d], f"scatter{d}")),
                Markup(plots.residual_histogram(target[:, d] - predicted[:, d], f"residuals{d}")),
            )
            for d, name in enumerate(content.classes[:PANEL_LIMIT])
        ]
    return view
