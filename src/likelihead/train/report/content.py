"""What a report is made of: plain data, filled by the training loop and read by the builders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from likelihead.errors import OptionError, ShapeError, TargetError

__all__ = ["Curves", "Family", "ReportContent", "Task", "TestSet", "highest_loss_rows"]

Task: TypeAlias = Literal[
    "binary",
    "multiclass",
    "multilabel",
    "ordinal",
    "regression",
    "robust-regression",
    "quantile",
    "count",
    "overdispersed-count",
]
Family: TypeAlias = Literal["binary", "multiclass", "multilabel", "regression"]

_FAMILIES: dict[str, Family] = {
    "binary": "binary",
    "multiclass": "multiclass",
    "multilabel": "multilabel",
    "ordinal": "multiclass",
}


@dataclass(frozen=True)
class Curves:
    """Mean NLL per example, in nats, after each epoch.

    ``train_nll``, ``test_nll`` and ``baseline_nll`` are only worth drawing together when they measure the
    same thing: give the plain NLL, without class weights, label smoothing or z-loss, for all three.

    Attributes:
        epoch: epoch numbers, rising.
        train_nll: mean NLL over the training set, one per epoch. NaN where it was not measured.
        test_nll: mean NLL over the test set, one per epoch. NaN where it was not measured.
        baseline_nll: mean NLL on the test set of the best constant prediction of the training set (its class
            frequencies, or its mean and variance).
        test_accuracy: share of correct test predictions in [0, 1], one per epoch, or None.
    """

    epoch: Sequence[int]
    train_nll: Sequence[float]
    test_nll: Sequence[float]
    baseline_nll: float
    test_accuracy: Sequence[float] | None = None

    def __post_init__(self) -> None:
        columns = {"train_nll": self.train_nll, "test_nll": self.test_nll}
        if self.test_accuracy is not None:
            columns["test_accuracy"] = self.test_accuracy
        for name, values in columns.items():
            if len(values) != len(self.epoch):
                raise ShapeError(
                    f"curves: {name} has {len(values)} values for {len(self.epoch)} epochs; give one each"
                )


@dataclass(frozen=True)
class TestSet:
    """The model's answers on the test set, as arrays of N rows.

    Attributes:
        row_numbers: ``[N]`` integers, the rows' numbers in the data file, counted from 1.
        targets: multiclass ``[N]`` class indices; binary ``[N]`` of 0 and 1; multilabel ``[N, L]`` of 0, 1
            and NaN (unknown, left out); regression ``[N]`` or ``[N, D]`` in the file's units.
        predictions: multiclass ``[N, C]`` probabilities; binary ``[N]`` probability of ``classes[1]``;
            multilabel ``[N, L]`` probabilities; regression: the predicted mean, the shape of ``targets``, in
            the file's units.
        nll: ``[N]``, in nats: of the row as a whole (multilabel: summed over labels).
        label_nll: multilabel only, ``[N, L]`` in nats, 0 where unknown. Without it the per-label NLL is taken
            from the probabilities, which says infinity where a wrong probability was rounded to 0 or 1.
        weights: ``[N]``, how much each row counts in every figure; None where each counts once.
    """

    __test__ = False  # pytest would otherwise take the name for a test class

    row_numbers: NDArray[Any]
    targets: NDArray[Any]
    predictions: NDArray[Any]
    nll: NDArray[Any]
    label_nll: NDArray[Any] | None = None
    weights: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.nll)


@dataclass(frozen=True)
class ReportContent:
    """Everything that one run's report says.

    Attributes:
        run_name: the heading.
        task: one of ``binary``, ``multiclass``, ``multilabel``, ``regression``.
        likelihood: the likelihood's name, ``"Categorical"``.
        classes: names of the classes (binary: two, the second is the positive one), of the labels
            (multilabel), or of the target columns (regression).
        curves: the learning curves with the baseline.
        test: the model's answers on the test set.
        config: the resolved configuration; values may be nested dicts and lists.
        data: lines that describe the data (file, rows, features, split).
        notes: lines on what was imputed, dropped or inferred.
        headline: further figures that the run knows and the arrays do not tell (parameters, seconds), by
            label. Accuracy, NLL, calibration and the like are computed from ``test``.
        raw_rows: the cells, as in the data file, of the rows that :func:`highest_loss_rows` names, keyed by
            row number. A row that is absent is shown without its cells.
        guard_findings: dicts with ``code``, ``message`` and ``count``.
        versions: version by component.
    """

    run_name: str
    task: Task
    likelihood: str
    classes: Sequence[str]
    curves: Curves
    test: TestSet
    config: Mapping[str, object] = field(default_factory=dict)
    data: Sequence[str] = ()
    notes: Sequence[str] = ()
    headline: Mapping[str, float | int | str] = field(default_factory=dict)
    raw_rows: Mapping[int, Mapping[str, object]] = field(default_factory=dict)
    guard_findings: Sequence[Mapping[str, object]] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise OptionError(f"task is {self.task!r}; expected one of {', '.join(get_args(Task))}")
        _check_shapes(self.family, len(self.classes), self.test)

    @property
    def family(self) -> Family:
        """What the targets are like: numbers (``regression``), or classes or labels."""
        return _FAMILIES.get(self.task, "regression")

    @property
    def density(self) -> bool:
        """Whether the NLL is that of a density, which has no zero to count from."""
        return self.task in ("regression", "robust-regression", "quantile")


def highest_loss_rows(test: TestSet, count: int = 20) -> list[int]:
    """Row numbers of the ``count`` test rows with the highest NLL, the highest first.

    NaN counts as the highest loss of all; ties keep the order of the test set.

    >>> test = TestSet(np.array([7, 8, 9]), np.zeros(3), np.zeros(3), np.array([0.1, 2.0, 0.5]))
    >>> highest_loss_rows(test, 2)
    [8, 9]
    """
    return [int(test.row_numbers[i]) for i in highest_loss_positions(test, count)]


def highest_loss_positions(test: TestSet, count: int) -> list[int]:
    """Positions in the arrays of ``test`` of the rows that :func:`highest_loss_rows` names."""
    loss = np.where(np.isnan(test.nll), np.inf, np.asarray(test.nll, dtype=np.float64))
    order = np.argsort(-loss, kind="stable")
    return [int(i) for i in order[:count]]


def _check_shapes(task: Family, width: int, test: TestSet) -> None:
    n = len(test.nll)
    vector, matrix = (n,), (n, width)
    expected: dict[str, dict[str, tuple[tuple[int, ...], ...]]] = {
        "binary": {"targets": (vector,), "predictions": (vector,)},
        "multiclass": {"targets": (vector,), "predictions": (matrix,)},
        "multilabel": {"targets": (matrix,), "predictions": (matrix,)},
        "regression": {
            "targets": (vector, matrix) if width == 1 else (matrix,),
            "predictions": (vector, matrix) if width == 1 else (matrix,),
        },
    }
    if task == "binary" and width != 2:
        raise ShapeError(f"classes has {width} names; a binary task has two, the second is the positive one")
    for name, shapes in {"row_numbers": (vector,), "nll": (vector,), **expected[task]}.items():
        shape = getattr(test, name).shape
        if shape not in shapes:
            allowed = " or ".join(str(list(s)) for s in shapes)
            raise ShapeError(f"test.{name} has shape {list(shape)}; expected {allowed} for a {task} task")
    if test.weights is not None and test.weights.shape != vector:
        raise ShapeError(f"test.weights has shape {list(test.weights.shape)}; expected {list(vector)}")
    if test.label_nll is not None and test.label_nll.shape != matrix:
        raise ShapeError(f"test.label_nll has shape {list(test.label_nll.shape)}; expected {list(matrix)}")
    if task in ("binary", "multiclass") and n:
        low, high = test.targets.min(), test.targets.max()
        if low < 0 or high >= width:
            bad = low if low < 0 else high
            raise TargetError(
                f"test.targets holds {bad}; expected class indices in [0, {width})", code="LH203"
            )
