"""The numbers of a report, computed once from the test set; plots, tables and JSON only show them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from likelihead.train.report.calibration import Reliability, reliability
from likelihead.train.report.content import ReportContent

__all__ = ["ClassScore", "Scores", "TargetScore", "measure", "usable_rows"]

NAN = float("nan")
MATRIX_LIMIT = 1000  # classes; the matrix of more would take more memory than it tells


@dataclass(frozen=True)
class ClassScore:
    """One class (or label) against all others; NaN where a figure has no denominator.

    ``nll`` is the mean over the class's own test rows (multilabel: over all rows where the label is known).
    """

    name: str
    support: float
    precision: float
    recall: float
    f1: float
    nll: float
    true_positives: float
    false_positives: float
    false_negatives: float
    true_negatives: float


@dataclass(frozen=True)
class TargetScore:
    """One regression target; all but ``r2`` in the target's units."""

    name: str
    r2: float
    rmse: float
    mae: float
    bias: float


@dataclass(frozen=True)
class Scores:
    """All figures of a run on its test set.

    Attributes:
        rows: test rows; ``used`` of them have finite predictions, and all figures but ``nll`` rest on those.
        nll: mean over all test rows, in nats.
        headline: the task's own figures by name (``accuracy``, ``macro_f1``, ``ece``, ``r2``, ...).
        classes: per class or label; empty for regression.
        weight: what the rows weigh, and ``effective`` how many rows of equal weight would tell as much; both
            None where each row counts once. Counts are sums of weights otherwise.
        confusion: ``[C, C]`` counts, rows are true classes, columns predictions; None for other tasks and
            above ``MATRIX_LIMIT`` classes.
        confusions: ``(true, predicted, count)`` of each pair of classes mixed up, most frequent first.
        reliability: None for regression.
        targets: per regression target; empty otherwise.
    """

    rows: int
    used: int
    nll: float
    headline: dict[str, float]
    classes: list[ClassScore] = field(default_factory=list)
    confusion: NDArray[Any] | None = None
    confusions: list[tuple[int, int, float]] = field(default_factory=list)
    reliability: Reliability | None = None
    targets: list[TargetScore] = field(default_factory=list)
    weight: float | None = None
    effective: float | None = None


def measure(content: ReportContent) -> Scores:
    """The scores of a run's test set, by its task."""
    scores = _BY_FAMILY[content.family](content)
    weights = content.test.weights
    if weights is None:
        return scores
    total, squares = float(weights.sum()), float(np.square(weights).sum())
    return replace(scores, weight=total, effective=total * (total / squares) if squares else 0.0)


def usable_rows(content: ReportContent) -> NDArray[np.bool_]:
    """``[N]``: the rows whose predictions (and, for regression, targets) are finite, as are their squares."""
    usable = _finite_rows(content.test.predictions)
    if content.family == "regression":
        usable = usable & _finite_rows(content.test.targets)
    return usable


def _multiclass(content: ReportContent) -> Scores:
    usable = usable_rows(content)
    probs = content.test.predictions[usable]
    return _exclusive(content, usable, probs.argmax(axis=1), probs.max(axis=1, initial=0.0))


def _binary(content: ReportContent) -> Scores:
    usable = usable_rows(content)
    prob = np.asarray(content.test.predictions[usable], dtype=np.float64)
    target = content.test.targets[usable].astype(np.int64)
    # As the likelihoods decide: a tie goes to the lower index.
    scores = _exclusive(content, usable, (prob > 0.5).astype(np.int64), prob)
    # Both are undefined, and scikit-learn warns, when one class is missing.
    both = 0 < target.sum() < len(target)
    weigh = _weights(content, usable)
    scores.headline["roc_auc"] = (
        float(metrics.roc_auc_score(target, prob, sample_weight=weigh)) if both else NAN
    )
    scores.headline["average_precision"] = (
        float(metrics.average_precision_score(target, prob, sample_weight=weigh)) if both else NAN
    )
    return scores


def _exclusive(
    content: ReportContent, usable: NDArray[np.bool_], predicted: NDArray[Any], confidence: NDArray[Any]
) -> Scores:
    """Scores of classes of which each row has one: the multiclass and the binary task."""
    width = len(content.classes)
    target = content.test.targets[usable].astype(np.int64)
    nll = np.asarray(content.test.nll, dtype=np.float64)
    used, weigh, all_weights = len(target), _weights(content, usable), content.test.weights

    pairs, which = np.unique(target * width + predicted, return_inverse=True)
    counts = np.bincount(which, weights=weigh, minlength=len(pairs))
    hits = np.zeros(width, dtype=counts.dtype)
    diagonal = pairs // width == pairs % width
    hits[pairs[diagonal] // width] = counts[diagonal]
    wrong = sorted(
        (
            (int(p) // width, int(p) % width, n.item())
            for p, n in zip(pairs, counts, strict=True)
            if p // width != p % width
        ),
        key=lambda pair: (-pair[2], pair[0], pair[1]),
    )
    confusion = None
    if width <= MATRIX_LIMIT:
        pairs_of = target * width + predicted
        confusion = np.bincount(pairs_of, weights=weigh, minlength=width * width).reshape(width, width)

    table = np.full((3, width), NAN)
    if used:
        table = _precision_recall_f1(target, predicted, np.arange(width), weigh)
    support, named = (np.bincount(c, weights=weigh, minlength=width) for c in (target, predicted))
    all_targets = content.test.targets.astype(np.int64)
    weighted_nll = nll if all_weights is None else all_weights * nll
    loss = np.bincount(all_targets, weights=weighted_nll, minlength=width)
    rows = np.bincount(all_targets, weights=all_weights, minlength=width)
    total = len(target) if weigh is None else float(weigh.sum())
    classes = [
        ClassScore(
            str(content.classes[c]),
            support[c].item(),
            precision=float(table[0, c]),
            recall=float(table[1, c]),
            f1=float(table[2, c]),
            nll=float(loss[c] / rows[c]) if rows[c] else NAN,
            true_positives=hits[c].item(),
            false_positives=_not_below_0(named[c] - hits[c]),
            false_negatives=_not_below_0(support[c] - hits[c]),
            true_negatives=_not_below_0(total - named[c] - support[c] + hits[c]),
        )
        for c in range(width)
    ]
    came_true = target if content.family == "binary" else predicted == target
    curve = reliability(confidence, came_true, weights=weigh)
    headline = {
        "accuracy": float(metrics.accuracy_score(target, predicted, sample_weight=weigh)) if used else NAN,
        "ece": curve.ece,
        "macro_f1": _mean_of_defined(table[2]),
        "balanced_accuracy": _mean_of_defined(table[1]),
    }
    return Scores(len(nll), used, _mean(nll, all_weights), headline, classes, confusion, wrong, curve)


def _multilabel(content: ReportContent) -> Scores:
    usable = usable_rows(content)
    test = content.test
    probs = np.asarray(test.predictions[usable], dtype=np.float64)
    target = np.asarray(test.targets[usable], dtype=np.float64)
    known, said, is_true = ~np.isnan(target), probs > 0.5, target == 1
    nll = np.asarray(test.nll, dtype=np.float64)

    if test.label_nll is not None:
        label_nll = np.asarray(test.label_nll[usable], dtype=np.float64)
    else:
        with np.errstate(divide="ignore"):
            label_nll = np.where(is_true, -np.log(probs), -np.log1p(-probs))
    weigh, all_weights = _weights(content, usable), test.weights
    each = np.ones(len(probs), dtype=np.int64) if weigh is None else weigh
    hit, over = known & said & is_true, known & said & ~is_true
    miss, rest = known & ~said & is_true, known & ~said & ~is_true
    classes = []
    for c, name in enumerate(content.classes):
        rows = known[:, c]
        figures = [NAN] * 3
        if rows.any():
            figures = [
                float(v[0])
                for v in _precision_recall_f1(
                    is_true[rows, c],
                    said[rows, c],
                    np.array([True]),
                    None if weigh is None else weigh[rows],
                )
            ]
        classes.append(
            ClassScore(
                str(name),
                (each @ (known & is_true)[:, c]).item(),
                precision=figures[0],
                recall=figures[1],
                f1=figures[2],
                nll=_mean(label_nll[rows, c], None if weigh is None else weigh[rows]),
                true_positives=(each @ hit[:, c]).item(),
                false_positives=(each @ over[:, c]).item(),
                false_negatives=(each @ miss[:, c]).item(),
                true_negatives=(each @ rest[:, c]).item(),
            )
        )
    correct = said == is_true
    of_labels = None if weigh is None else np.broadcast_to(weigh[:, None], known.shape)[known]
    curve = reliability(probs[known], is_true[known], weights=of_labels)
    hits, flips = ((each @ what).sum().item() for what in (hit, over | miss))
    headline = {
        "exact_match": _mean((correct | ~known).all(axis=1), weigh),
        "label_accuracy": _mean(correct[known], of_labels),
        "ece": curve.ece,
        "micro_f1": 2 * hits / (2 * hits + flips) if hits + flips else NAN,
        "macro_f1": _mean_of_defined(np.array([c.f1 for c in classes])),
    }
    return Scores(len(nll), len(probs), _mean(nll, all_weights), headline, classes, reliability=curve)


def _regression(content: ReportContent) -> Scores:
    usable = usable_rows(content)
    test, width = content.test, len(content.classes)
    target = np.asarray(test.targets[usable], dtype=np.float64).reshape(-1, width)
    predicted = np.asarray(test.predictions[usable], dtype=np.float64).reshape(-1, width)
    nll = np.asarray(test.nll, dtype=np.float64)
    rows, weigh = [], _weights(content, usable)
    for d, name in enumerate(content.classes):
        y, p = target[:, d], predicted[:, d]
        if not len(y):
            rows.append(TargetScore(str(name), NAN, NAN, NAN, NAN))
            continue
        # The share of the variance explained has no meaning where there is no variance.
        r2 = float(metrics.r2_score(y, p, sample_weight=weigh)) if len(y) > 1 and np.ptp(y) > 0 else NAN
        rows.append(
            TargetScore(
                str(name),
                r2,
                float(metrics.root_mean_squared_error(y, p, sample_weight=weigh)),
                float(metrics.mean_absolute_error(y, p, sample_weight=weigh)),
                _mean(p - y, weigh),
            )
        )
    headline = {"r2": _mean_of_defined(np.array([t.r2 for t in rows]))}
    if width == 1:
        headline |= {"rmse": rows[0].rmse, "mae": rows[0].mae}
    return Scores(len(nll), len(target), _mean(nll, test.weights), headline, targets=rows)


def _precision_recall_f1(
    target: NDArray[Any], predicted: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    figures = metrics.precision_recall_fscore_support(
        target, predicted, labels=labels, sample_weight=weights, zero_division=np.nan
    )
    return np.array(figures[:3], dtype=np.float64)


def _finite_rows(values: NDArray[Any]) -> NDArray[np.bool_]:
    finite = np.abs(values) < 1e100
    return np.asarray(finite.all(axis=tuple(range(1, finite.ndim))), dtype=np.bool_)


def _weights(content: ReportContent, usable: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    weights = content.test.weights
    return None if weights is None else np.asarray(weights[usable], dtype=np.float64)


def _not_below_0(count: Any) -> float:
    """A difference of sums, whose rounding may leave it a hair below."""
    number: float = count.item()
    return max(number, 0)


def _mean(values: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    if not len(values):
        return NAN
    if weights is None:
        return float(np.mean(values, dtype=np.float64))
    return float((weights * values).sum() / weights.sum())


def _mean_of_defined(values: NDArray[Any]) -> float:
    return _mean(values[~np.isnan(values)])


_BY_FAMILY = {
    "binary": _binary,
    "multiclass": _multiclass,
    "multilabel": _multilabel,
    "regression": _regression,
}
