"""Figures of a model on rows that stream by: sums and counts, and scikit-learn's metrics made from them."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import metrics as scores
from torch import Tensor

from likelihead.evaluate import CalibrationError, SmoothECE
from likelihead.evaluate.inputs import stated
from likelihead.likelihoods import Likelihood
from likelihead.train.table.data import Schema
from likelihead.train.table.network import row_nll

__all__ = ["AUC_ROWS", "Mean", "Tally", "hits", "target_entropy"]

AUC_ROWS = 10_000_000
"""Above so many rows the areas of a binary task, which need every row's score at once, are not computed."""

TOP = 5
"""Among how many of the most probable classes the true one is looked for, where there are more classes."""


class Mean:
    """A mean over batches, as (sum, count).

    >>> mean = Mean()
    >>> mean.add(torch.tensor([1.0, 2.0])); mean.add(torch.tensor([6.0]))
    >>> mean.value
    3.0
    """

    def __init__(self, total: float = 0.0, count: int = 0) -> None:
        self.total, self.count = total, count

    def add(self, values: Tensor) -> None:
        """Take in a batch of values."""
        self.total += float(values.detach().double().sum())
        self.count += values.numel()

    @property
    def value(self) -> float:
        """The mean; NaN over nothing."""
        return self.total / self.count if self.count else math.nan


def hits(
    likelihood: Likelihood,
    schema: Schema,
    output: Tensor,
    target: Tensor,
    threshold: Tensor | None = None,
) -> Tensor:
    """What a row scores: 1 if it is predicted right, else 0; of a regression the squared error.

    A multilabel row is right if every known label is, and a row of soft targets if its most probable class is
    predicted.
    """
    prediction = likelihood.predict(output, threshold=threshold)
    if schema.soft:
        target = target.argmax(1)
    if schema.task == "regression":
        return (prediction - target).square()
    right = prediction == target
    if schema.task == "multilabel":
        right = (right | target.isnan()).all(1)
    return right.double()


def target_entropy(target: Tensor) -> Tensor:
    """The entropy of each row of probabilities ``[N, C]``, in nats: the least NLL that any model can have."""
    entropy: Tensor = torch.special.entr(target).sum(1)
    return entropy


class Tally:
    """All figures of ``likelihead evaluate``.

    Args:
        likelihood: the plain one, which the model's outputs belong to.
        schema: the run's.
        constant: the output of the baseline; the figures then say what a model without features scores.
        baseline: the likelihood of the baseline: for a regression with the training targets' variance.
        threshold: above which a yes is predicted; None for one half.
    """

    def __init__(
        self,
        likelihood: Likelihood,
        schema: Schema,
        constant: tuple[float, ...],
        baseline: Likelihood,
        threshold: Tensor | None = None,
    ) -> None:
        self.likelihood, self.schema, self.baseline = likelihood, schema, baseline
        self.threshold = threshold
        self.constant = torch.tensor(constant, dtype=torch.float64)
        self.nll, self.baseline_nll, self.brier = Mean(), Mean(), Mean()
        self.pairs: Counter[tuple[int, int, int]] = Counter()
        self.class_nll: dict[int, Mean] = {}
        self.exact = Mean()
        self.ece, self.smooth_ece = CalibrationError(), SmoothECE()
        self.top, self.floor = Mean(), Mean()
        self.scores: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self.error, self.absolute, self.squared = Mean(), Mean(), Mean()
        self.target_sum, self.target_square = Mean(), Mean()

    def add(self, output: Tensor, target: Tensor) -> None:
        """Take in a batch of the network's outputs and its targets."""
        nll = row_nll(self.likelihood, self.schema, output, target)
        self.nll.add(nll)
        constant = self.constant.to(output.dtype).expand(len(target), -1)
        self.baseline_nll.add(row_nll(self.baseline, self.schema, constant.reshape(output.shape), target))
        if self.schema.task == "regression":
            self._add_numbers(output, target)
        elif self.schema.task == "multilabel":
            self._add_labels(output, target)
        else:
            self._add_classes(output, target, nll)

    def _add_classes(self, output: Tensor, target: Tensor, nll: Tensor) -> None:
        probs = self.likelihood.probs(output)
        self._state(output, target)
        shares = target
        if self.schema.soft:
            self.floor.add(target_entropy(target))
            target = target.argmax(1)
        target = target.long()
        predicted = self.likelihood.predict(output, threshold=self.threshold)
        self._count(0, target, predicted)
        for index in torch.unique(target).tolist():
            self.class_nll.setdefault(index, Mean()).add(nll[target == index])
        if self.schema.task == "binary":
            self.brier.add((probs - target).square())
            if self.nll.count <= AUC_ROWS:
                self.scores.append((target.numpy(), probs.numpy()))
            else:
                self.scores.clear()
            return
        if not self.schema.soft:
            shares = torch.nn.functional.one_hot(target, self.schema.num_outputs)
        self.brier.add((probs - shares).square().sum(1))
        if self.schema.num_outputs > TOP:
            self.top.add((probs.topk(TOP, 1).indices == target.unsqueeze(1)).any(1).double())

    def _add_labels(self, output: Tensor, target: Tensor) -> None:
        probs, predicted, known = (
            self.likelihood.probs(output),
            self.likelihood.predict(output, threshold=self.threshold),
            ~target.isnan(),
        )
        self.exact.add(hits(self.likelihood, self.schema, output, target, self.threshold))
        label_nll = self.likelihood.nll(output, target)
        for label in range(target.shape[1]):
            rows = known[:, label]
            self._count(label, target[rows, label].long(), predicted[rows, label])
            self.class_nll.setdefault(label, Mean()).add(label_nll[rows, label])
        self.brier.add((probs - target)[known].square())
        self._state(output, target)

    def _add_numbers(self, output: Tensor, target: Tensor) -> None:
        mean, truth = (self.schema.restore(v) for v in (self.likelihood.predict(output), target))
        self.error.add(mean - truth)
        self.absolute.add((mean - truth).abs())
        self.squared.add((mean - truth).square())
        # Around the training mean, so that the difference of squares below does not cancel.
        self.target_sum.add(truth - self.schema.target.mean)
        self.target_square.add((truth - self.schema.target.mean).square())

    def _count(self, label: int, target: Tensor, predicted: Tensor) -> None:
        pairs, counts = torch.unique(torch.stack([target, predicted]), dim=1, return_counts=True)
        for true, said, n in zip(*pairs.tolist(), counts.tolist(), strict=True):
            self.pairs[label, true, said] += n

    def _state(self, output: Tensor, target: Tensor) -> None:
        said, came = stated(self.likelihood, output, target)
        self.ece.update(said, came)
        self.smooth_ece.update(said, came)

    def figures(self) -> dict[str, Any]:
        """The figures by name; None where one is undefined."""
        result: dict[str, Any] = {
            "rows": self.nll.count,
            "nll": self.nll.value,
            "baseline_nll": self.baseline_nll.value,
        }
        if self.schema.task == "regression":
            return _finite(result | self._regression())
        if result["baseline_nll"] > 0:
            # What the training's class frequencies leave unknown, and the share of it that the model knows.
            result["gain_over_prior"] = result["baseline_nll"] - result["nll"]
            result["nll_explained"] = 1 - result["nll"] / result["baseline_nll"]
        calibration = {
            "brier": self.brier.value,
            "ece": self.ece.compute(),
            "smooth_ece": self.smooth_ece.compute(),
        }
        if self.schema.soft:
            floor = self.floor.value
            calibration |= {"target_entropy": floor, "kl": result["nll"] - floor}
        if self.schema.task == "multilabel":
            return _finite(result | self._multilabel() | calibration)
        return _finite(result | self._classes() | calibration)

    def _classes(self) -> dict[str, Any]:
        names = self.schema.target.names
        target, predicted, n = self._pairs(0)
        table = _table(target, predicted, n, np.arange(len(names)))
        figures: dict[str, Any] = {
            "accuracy": float(scores.accuracy_score(target, predicted, sample_weight=n)),
            "balanced_accuracy": _mean_defined(table[1]),
            "macro_f1": _mean_defined(table[2]),
        }
        if self.schema.task == "binary":
            truth = np.concatenate([t for t, _ in self.scores]) if self.scores else np.zeros(0)
            both = 0 < truth.sum() < len(truth)
            prob = np.concatenate([p for _, p in self.scores]) if both else truth
            figures["roc_auc"] = float(scores.roc_auc_score(truth, prob)) if both else math.nan
            area = float(scores.average_precision_score(truth, prob)) if both else math.nan
            figures["average_precision"] = area
        if self.schema.num_outputs > TOP:
            figures[f"top_{TOP}_accuracy"] = self.top.value
        figures["per_class"] = [
            _row(name, table[:, c], int(n[target == c].sum()), self.class_nll.get(c, Mean()).value)
            for c, name in enumerate(names)
        ]
        return figures

    def _multilabel(self) -> dict[str, Any]:
        rows = []
        for label, name in enumerate(self.schema.target.names):
            target, predicted, n = self._pairs(label)
            table = _table(target, predicted, n, np.array([1]))
            rows.append(_row(name, table[:, 0], int(n[target == 1].sum()), self.class_nll[label].value))
        target, predicted, n = self._pairs(None)
        micro = _table(target, predicted, n, np.array([1]))
        return {
            "exact_match": self.exact.value,
            "label_accuracy": float(scores.accuracy_score(target, predicted, sample_weight=n)),
            "micro_f1": float(micro[2, 0]),
            "macro_f1": _mean_defined(np.array([math.nan if r["f1"] is None else r["f1"] for r in rows])),
            "per_label": rows,
        }

    def _regression(self) -> dict[str, Any]:
        count = self.squared.count
        spread = self.target_square.total - (self.target_sum.total**2 / count if count else 0.0)
        return {
            "r2": 1 - self.squared.total / spread if spread > 0 else math.nan,
            "rmse": math.sqrt(self.squared.value),
            "mae": self.absolute.value,
            "bias": self.error.value,
        }

    def _pairs(self, label: int | None) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Each pair of (true, predicted) once, and how often it came: scikit-learn's ``sample_weight``."""
        chosen = [(t, p, n) for (at, t, p), n in sorted(self.pairs.items()) if label is None or at == label]
        target, predicted, n = np.array(chosen, dtype=np.int64).reshape(-1, 3).T
        return target, predicted, n


def _table(
    target: NDArray[Any], predicted: NDArray[Any], n: NDArray[Any], labels: NDArray[Any]
) -> NDArray[np.float64]:
    if not len(n):
        return np.full((3, len(labels)), math.nan)
    figures = scores.precision_recall_fscore_support(
        target, predicted, sample_weight=n, labels=labels, zero_division=np.nan
    )
    return np.array(figures[:3], dtype=np.float64)


def _mean_defined(values: NDArray[Any]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


def _row(name: str, figures: NDArray[Any], support: int, nll: float) -> dict[str, Any]:
    precision, recall, f1 = (float(value) for value in figures)
    return _finite(
        {"name": name, "support": support, "precision": precision, "recall": recall, "f1": f1, "nll": nll}
    )


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in figures.items()}
