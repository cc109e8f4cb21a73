"""The tables of a report on a table's run, as rows of text."""

from __future__ import annotations

from typing import Any

import numpy as np

from likelihead.report.blocks import Table
from likelihead.report.text import MINUS, MISSING, amount, cell, clean, fixed, number, percent
from likelihead.train.report.content import ReportContent, highest_loss_positions
from likelihead.train.report.scores import Scores

__all__ = [
    "class_table",
    "confusion_pairs",
    "highest_loss",
    "loss_table",
    "target_table",
]

COLUMN_LIMIT = 30  # of raw cells; the rest stands in report.json
CLASS_LIMIT = 1000
EXAMPLES = 20
PAIRS = 8


def class_table(content: ReportContent, scores: Scores) -> Table:
    """Support, precision, recall, F1 and mean NLL of each class or label."""
    kind = "label" if content.family == "multilabel" else "class"
    numbered = len(scores.classes) > 25  # the figure of many classes shows numbers in the place of names
    rows = [
        [*([str(i)] if numbered else []), clean(c.name, 48), amount(c.support)]
        + [fixed(v) for v in (c.precision, c.recall, c.f1)]
        + [number(c.nll)]
        for i, c in enumerate(scores.classes[:CLASS_LIMIT])
    ]
    support = "support" if scores.weight is None else "weight"
    head = [*(["no."] if numbered else []), kind, support, "precision", "recall", "F1", "NLL (nats)"]
    more = len(scores.classes) - CLASS_LIMIT
    note = f"{more:,} more in report.json." if more > 0 else ""
    figures = frozenset(range(len(head))) - {head.index(kind)}
    return Table(head, rows, figures, note, label="Figures per class")


def target_table(scores: Scores) -> Table:
    """The figures of each regression target."""
    rows = [[clean(t.name, 48), *(number(v) for v in (t.r2, t.rmse, t.mae, t.bias))] for t in scores.targets]
    head = ["target", "R²", "RMSE", "MAE", f"mean of predicted {MINUS} observed"]
    return Table(head, rows, frozenset(range(1, 5)), label="Figures per target")


def confusion_pairs(content: ReportContent, scores: Scores) -> Table:
    """The pairs of classes that were mixed up most often."""
    names = content.classes
    rows = [[clean(names[t], 24), clean(names[p], 24), amount(n)] for t, p, n in scores.confusions[:PAIRS]]
    title = "Most frequent confusions"
    of = "rows" if scores.weight is None else "weight"
    return Table(["true class", "predicted as", of], rows, frozenset({2}), title=title)


def highest_loss(content: ReportContent) -> list[dict[str, Any]]:
    """The examples with the highest loss as plain data: what report.json holds and the table shows."""
    test, examples = content.test, []
    for i in highest_loss_positions(test, EXAMPLES):
        row = int(test.row_numbers[i])
        examples.append(
            {
                "row": row,
                "nll": float(test.nll[i]),
                **_answer(content, i),
                "cells": content.raw_rows.get(row, {}),
            }
        )
    return examples


def _answer(content: ReportContent, i: int) -> dict[str, Any]:
    names = content.classes
    target, predicted = content.test.targets[i], content.test.predictions[i]
    if content.family == "regression":
        return {"target": target, "prediction": predicted, "residual": target - predicted}
    if content.family == "multilabel":
        known = ~np.isnan(np.asarray(target, dtype=np.float64))
        p_each = np.where(target == 1, predicted, 1 - predicted)[known]
        return {
            "target": [names[c] for c in np.flatnonzero(target == 1).tolist()],
            "prediction": [names[c] for c in np.flatnonzero(predicted > 0.5).tolist()],
            "p_target": float(np.prod(p_each, dtype=np.float64)),
        }
    probs = np.array([1 - predicted, predicted]) if content.family == "binary" else predicted
    finite = bool(np.isfinite(probs).all())
    best = int(probs.argmax())
    return {
        "target": names[int(target)],
        "prediction": names[best] if finite else None,
        "p_prediction": float(probs[best]) if finite else float("nan"),
        "p_target": float(probs[int(target)]),
    }


def loss_table(content: ReportContent, examples: list[dict[str, Any]]) -> Table:
    """The examples with the highest loss, the model's answer first and the raw cells after it."""
    regression = content.family == "regression"
    columns = list(dict.fromkeys(str(name) for example in examples for name in example["cells"]))
    shown = columns[:COLUMN_LIMIT]
    head = ["row", "NLL", "target", "prediction", "residual" if regression else "p of target"]
    rows = [
        [
            str(e["row"]),
            number(e["nll"]),
            _name(e["target"]),
            _name(e["prediction"]),
            _name(e["residual"]) if regression else percent(e["p_target"]),
            *({str(k): cell(v) for k, v in e["cells"].items()}.get(name, MISSING) for name in shown),
        ]
        for e in examples
    ]
    figures = {0, 1, 4} | ({2, 3} if regression else set())
    figures |= {
        5 + j for j, name in enumerate(shown) if all(_is_figure(e["cells"].get(name)) for e in examples)
    }
    more = len(columns) - len(shown)
    note = f"{more:,} more columns in report.json." if more > 0 else ""
    wrong = {(i, 3) for i, e in enumerate(examples) if not regression and e["prediction"] != e["target"]}
    head += [clean(name, 40) for name in shown]
    label = "Examples with the highest loss"
    return Table(head, rows, frozenset(figures), note, frozenset(wrong), label=label)


def _name(value: object) -> str:
    if value is None or isinstance(value, str):
        return MISSING if value is None else clean(value, 36)
    if isinstance(value, list):
        return clean("; ".join(value), 120) or "none"
    return "; ".join(number(float(v), 5) for v in np.atleast_1d(np.asarray(value, dtype=np.float64)))


def _is_figure(value: object) -> bool:
    return value is None or (isinstance(value, (int, float, np.number)) and not isinstance(value, bool))
