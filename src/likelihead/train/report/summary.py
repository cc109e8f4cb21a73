"""The top of the report: the headline figures and what they come to in plain sentences."""

from __future__ import annotations

import math

from likelihead.report.page import Card
from likelihead.report.text import amount, clean, number, percent
from likelihead.train.report.content import ReportContent
from likelihead.train.report.scores import Scores
from likelihead.train.resolved import failure_words

__all__ = ["BASELINE_NAMES", "cards", "nll_explained", "sentences"]

BASELINE_NAMES = {
    "binary": "class-prior baseline",
    "multiclass": "class-prior baseline",
    "multilabel": "label-prior baseline",
    "regression": "constant baseline",
}

_MEANING = {
    "binary": "always predicts the training set's class frequencies",
    "multiclass": "always predicts the training set's class frequencies",
    "multilabel": "always predicts the training set's label frequencies",
    "regression": "always predicts the training set's mean and variance",
    "robust-regression": "always predicts the training set's best location and scale",
    "quantile": "always predicts the training set's quantiles",
    "count": "always predicts the training set's mean",
    "overdispersed-count": "always predicts the training set's mean and dispersion",
}


# A few outliers make up most of the variance there.
_NO_R2 = ("robust-regression", "quantile")


def nll_explained(content: ReportContent, scores: Scores) -> float:
    """``1 - NLL / baseline``: 0 for a useless model, 1 for a perfect one.

    NaN of a density, whose NLL has no zero to count from, and where either is not finite.
    """
    baseline = content.curves.baseline_nll
    if content.density or not baseline > 0 or not math.isfinite(baseline + scores.nll):
        return math.nan
    return 1 - scores.nll / baseline


def sentences(content: ReportContent, scores: Scores) -> list[str]:
    """One to three sentences that say how good the model is, for a reader who reads nothing else."""
    if not scores.rows:
        return ["The test set is empty: there is nothing to judge the model by."]
    lines = [_against_baseline(content, scores)]
    figures = scores.headline
    if content.family in ("binary", "multiclass") and scores.used:
        lines.append(f"It is right on {_share(figures['accuracy'], scores)} test rows.")
    if content.family == "multilabel" and scores.used:
        lines.append(f"It has every label right on {_share(figures['exact_match'], scores)} test rows.")
    if scores.used < scores.rows:
        lines.append(
            f"{scores.rows - scores.used:,} of {scores.rows:,} test rows have predictions that are not "
            "finite; the figures other than the NLL leave them out."
        )
    if scores.weight is not None and scores.effective is not None:
        lines.append(
            f"The {scores.rows:,} test rows weigh {amount(scores.weight)} in all, and tell as much as "
            f"{number(scores.effective)} rows of equal weight."
        )
    return lines


def _share(share: float, scores: Scores) -> str:
    if scores.weight is not None:
        return f"{percent(share)} of the weight of the {scores.used:,}"
    return f"{round(share * scores.used):,} of {scores.used:,}"


def _against_baseline(content: ReportContent, scores: Scores) -> str:
    baseline, name, meaning = (
        content.curves.baseline_nll,
        BASELINE_NAMES[content.family],
        _MEANING.get(content.task) or _MEANING[content.family],
    )
    pair = f"{number(scores.nll)} nats per row against {number(baseline)}"
    failed = failure_words(scores.nll, baseline, pair, f"{name}, which {meaning}")
    if failed:
        return failed
    if math.isfinite(baseline) and scores.nll >= baseline:
        return f"The model does no better than the {name}, which {meaning}: {pair} (LH704)."
    explained = nll_explained(content, scores)
    if math.isfinite(explained):
        return f"The model explains {percent(explained)} of the {name}'s NLL: {pair}."
    if content.task in _NO_R2 and math.isfinite(baseline):
        gain = number(baseline - scores.nll, 3)
        return f"The model's NLL is {gain} nats per row below that of the {name}, which {meaning}: {pair}."
    if content.family == "regression":
        r2 = scores.headline["r2"]
        first = (
            f"The model explains {percent(r2)} of the variance (R²)"
            if r2 > 0
            else "The model explains none of the variance (R²)"
        )
        if not math.isfinite(baseline):
            return f"{first}."
        gain = number(baseline - scores.nll, 3)
        return f"{first}; its NLL is {gain} nats per row below that of the {name}: {pair}."
    return f"The model's NLL on the test set is {number(scores.nll)} nats per row."


def cards(content: ReportContent, scores: Scores) -> list[Card]:
    """The headline figures: the task's own, the NLL and the calibration, then what the run adds."""
    figures, baseline = scores.headline, number(content.curves.baseline_nll)
    nll = Card("NLL", number(scores.nll), f"nats per row; baseline {baseline}")
    ece = Card("ECE", percent(figures.get("ece")), "calibration error; 0% is perfect")
    macro = Card("Macro F1", number(figures.get("macro_f1"), 3), "mean over classes")
    if content.family == "regression":
        unit = f"units of {clean(content.classes[0], 24)}" if len(content.classes) == 1 else ""
        shown = [
            Card(
                "R²",
                number(figures["r2"]),
                "share of the variance explained" if unit else "mean over targets",
            ),
            nll,
        ]
        if content.task in _NO_R2:
            shown = [nll, Card("MAE", number(figures["mae"]), unit)]
        elif unit:
            shown += [Card("RMSE", number(figures["rmse"]), unit), Card("MAE", number(figures["mae"]), unit)]
    elif content.family == "multilabel":
        shown = [
            Card("Exact match", percent(figures["exact_match"]), "rows with every label right"),
            Card("Label accuracy", percent(figures["label_accuracy"]), "single labels right"),
            nll,
            ece,
            Card("Micro F1", number(figures["micro_f1"], 3), f"macro {number(figures['macro_f1'], 3)}"),
        ]
    else:
        weighted = "weighted, " if scores.weight is not None else ""
        on = f"{weighted}on {scores.used:,} test rows"
        accuracy = Card("Accuracy", percent(figures["accuracy"]), on)
        last = (
            Card("ROC AUC", number(figures["roc_auc"]), "1 is perfect, 0.5 chance")
            if content.family == "binary"
            else macro
        )
        shown = [accuracy, nll, ece, last]
    extra = [
        Card(clean(k, 40), number(v) if isinstance(v, (int, float)) else clean(v, 40))
        for k, v in content.headline.items()
    ]
    return shown + extra
