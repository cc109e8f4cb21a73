"""Which way each figure is better, what it is called, and which of several values is the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["HIGHER", "LOWER", "best_of", "figure_name", "with_direction"]

LOWER = frozenset(
    {
        *("nll", "perplexity", "bits_per_token", "bits_per_byte", "loss", "brier", "rmse", "mae"),
        *("ece", "smooth_ece", "equal_mass_ece", "pinball"),
    }
)
"""Figures of which less is better. Those in neither set (rows, parameters) have no best."""

HIGHER = frozenset(
    {
        *("accuracy", "balanced_accuracy", "label_accuracy", "pixel_accuracy", "exact_match"),
        *("precision", "recall", "f1", "macro_f1", "micro_f1", "roc_auc", "average_precision"),
        *("macro_roc_auc", "macro_average_precision", "r2", "nll_explained", "quadratic_kappa"),
        *("iou", "mean_iou", "dice", "mean_dice"),
    }
)
"""Figures of which more is better."""

_NAMES = {
    "nll": "NLL",
    "ece": "ECE",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
    "iou": "IoU",
    "dice": "Dice",
    "f1": "F1",
    "roc": "ROC",
    "auc": "AUC",
}


def best_of(values: Sequence[float], *, lower: bool) -> list[int]:
    """Positions of the best value; none where all are the same or fewer than two are defined.

    >>> best_of([0.2, 0.1, float("nan"), 0.1], lower=True)
    [1, 3]
    >>> best_of([0.5, 0.5], lower=False)
    []
    """
    defined = [value for value in values if not math.isnan(value)]
    if len(defined) < 2 or min(defined) == max(defined):
        return []
    best = min(defined) if lower else max(defined)
    return [i for i, value in enumerate(values) if value == best]


def figure_name(key: str) -> str:
    """A figure's name as it is shown.

    >>> figure_name("macro_f1")
    'macro F1'
    """
    return " ".join(_NAMES.get(word, word) for word in key.split("_"))


def with_direction(key: str) -> str:
    """A figure's name and which way it is better, where it has one.

    >>> with_direction("ece"), with_direction("rows")
    ('ECE ↓', 'rows')
    """
    return figure_name(key) + (" ↓" if key in LOWER else " ↑" if key in HIGHER else "")
