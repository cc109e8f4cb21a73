"""Synthetic content for each task, from a seeded generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likelihead.train.report import Curves, ReportContent, TestSet


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def curves(first: float, last: float, epochs: int = 30, **changes: Any) -> Curves:
    fall = np.exp(-np.arange(epochs) / 6)
    values: dict[str, Any] = {
        "epoch": list(range(1, epochs + 1)),
        "train_nll": (0.9 * last + (first - 0.9 * last) * fall).tolist(),
        "test_nll": (last + (first - last) * fall).tolist(),
        "baseline_nll": 0.95 * first,
        "test_accuracy": (0.95 - 0.6 * fall).tolist(),
    }
    return Curves(**{**values, **changes})


def multiclass(
    n: int = 60, names: tuple[str, ...] = ("setosa", "versicolor", "virginica"), **changes: Any
) -> ReportContent:
    rng = np.random.default_rng(7)
    width = len(names)
    target = rng.integers(0, width, n)
    logits = rng.normal(size=(n, width)) + 2.5 * np.eye(width)[target]
    probs = softmax(logits)
    nll = -np.log(probs[np.arange(n), target])
    rows = np.arange(1, n + 1) * 3
    return _content(
        "multiclass",
        "Categorical",
        names,
        curves(1.2 * np.log(width), float(nll.mean()) if n else 1.0),
        TestSet(rows, target, probs, nll),
        changes,
    )


def binary(n: int = 80, names: tuple[str, str] = ("benign", "malignant"), **changes: Any) -> ReportContent:
    rng = np.random.default_rng(8)
    target = rng.integers(0, 2, n)
    prob = 1 / (1 + np.exp(-(rng.normal(size=n) + 3 * target - 1.5)))
    nll = -np.log(np.where(target == 1, prob, 1 - prob))
    test = TestSet(np.arange(1, n + 1), target, prob, nll)
    return _content("binary", "Bernoulli", names, curves(0.75, 0.3), test, changes)


def multilabel(
    n: int = 90, names: tuple[str, ...] = ("news", "sport", "arts", "science"), **changes: Any
) -> ReportContent:
    rng = np.random.default_rng(9)
    target = rng.integers(0, 2, (n, len(names))).astype(float)
    prob = 1 / (1 + np.exp(-(rng.normal(size=target.shape) + 3 * target - 1.5)))
    target[rng.random(target.shape) < 0.05] = np.nan
    each = -np.log(np.where(target == 1, prob, 1 - prob))
    each[np.isnan(target)] = 0.0
    test = TestSet(np.arange(1, n + 1), target, prob, each.sum(axis=1), each)
    return _content("multilabel", "MultiLabel", names, curves(2.8, 1.3), test, changes)


def regression(
    n: int = 120, names: tuple[str, ...] = ("median house value",), **changes: Any
) -> ReportContent:
    rng = np.random.default_rng(10)
    shape = (n,) if len(names) == 1 else (n, len(names))
    target = 200 + 40 * rng.normal(size=shape)
    predicted = target + 15 * rng.normal(size=shape)
    nll = 0.5 * ((target - predicted) / 15) ** 2 + np.log(15) + 0.5 * np.log(2 * np.pi)
    nll = nll if nll.ndim == 1 else nll.sum(axis=1)
    test = TestSet(np.arange(1, n + 1), target, predicted, nll)
    return _content("regression", "Gaussian", names, curves(5.6, 4.1, test_accuracy=None), test, changes)


def _content(
    task: Any, likelihood: str, names: tuple[str, ...], lines: Curves, test: TestSet, changes: dict[str, Any]
) -> ReportContent:
    measured = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
    values: dict[str, Any] = {
        "run_name": f"a {task} run",
        "task": task,
        "likelihood": likelihood,
        "classes": list(names),
        "curves": lines,
        "test": test,
        "config": {
            "model": {"hidden": [7], "activation": "tanh"},
            "lr": 0.01,
            "class_weight": None,
            "seed": 0,
        },
        "data": [
            "iris.csv: 150 rows, 4 features",
            "120 rows to train on, 30 to test on (split by row number)",
        ],
        "notes": ["sepal width (cm): 3 missing cells, the training mean 3.05 in their place"],
        "headline": {"Parameters": 59, "Training time": "1.8 s"},
        "raw_rows": {
            int(r): {name: 4.9 - 0.5 * j + 0.01 * int(r) for j, name in enumerate(measured)}
            for r in test.row_numbers
        },
        "guard_findings": [
            {
                "code": "LH103",
                "message": "log-softmax output (model.py:12) into cross_entropy (train.py:40)",
                "count": 240,
            }
        ],
        "versions": {"likelihead": "0.1.0", "torch": "2.13.0", "python": "3.11.2"},
    }
    return ReportContent(**{**values, **changes})


BUILDERS = {"multiclass": multiclass, "binary": binary, "multilabel": multilabel, "regression": regression}


@pytest.fixture
def make() -> Any:
    """``make(task, n=..., names=..., **changes)`` builds a :class:`ReportContent`."""
    return lambda task, **options: BUILDERS[task](**options)


@pytest.fixture
def make_curves() -> Any:
    return curves
