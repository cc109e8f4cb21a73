"""Figures of rows that stream by: the accumulators of `likelihead.evaluate`, by the names of the data."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from likelihead.evaluate import (
    Brier,
    CalibrationError,
    ConfusionMatrix,
    ExactMatch,
    InformationGain,
    LabelConfusion,
    Ranking,
    Rates,
    Regression,
    SmoothECE,
    TopKAccuracy,
)
from likelihead.evaluate.inputs import stated
from likelihead.likelihoods import Likelihood
from likelihead.train.table.data import Schema
from likelihead.train.table.data.row_weights import Total
from likelihead.train.table.data.schema import COUNTS
from likelihead.train.table.means import Mean, weighing
from likelihead.train.table.network import row_nll
from likelihead.train.table.numbers import NumberFigures, numbers
from likelihead.train.table.ranks import RankFigures

__all__ = [
    "AUC_ROWS",
    "Tally",
    "defined",
    "hits",
    "known_rows",
    "stated_by",
    "target_entropy",
    "weight_of_stated",
]

AUC_ROWS = 10_000_000
"""Above so many rows the areas of a binary task, which need every row's score at once, are not computed."""

TOP = 5
"""Among how many of the most probable classes the true one is looked for, where there are more classes."""


def known_rows(target: Tensor) -> Tensor | None:
    """The rows of labels ``[N, L]`` of which one is known at least; None where that is all of them.

    The others are left out by every figure.
    """
    some = ~target.isnan().all(1) if target.dim() == 2 else None
    return None if some is None or bool(some.all()) else some


def weight_of_stated(schema: Schema, target: Tensor, weight: Tensor | None) -> Tensor | None:
    """The weights of what :func:`likelihead.evaluate.inputs.stated` gives: of each known label, its row's."""
    if weight is None or schema.task != "multilabel":
        return weight
    return weight.unsqueeze(1).expand_as(target)[~target.isnan()]


def stated_by(
    likelihood: Likelihood, schema: Schema, output: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """What :func:`likelihead.evaluate.inputs.stated` gives, of ranks as of classes."""
    if schema.task != "ordinal":
        return stated(likelihood, output, target)
    confidence, said = likelihood.probs(output).double().max(1)
    return confidence.clamp_max(1.0), (said == target).double()


def hits(
    likelihood: Likelihood,
    schema: Schema,
    output: Tensor,
    target: Tensor,
    threshold: Tensor | None = None,
) -> Tensor:
    """What a row of classes or labels scores: 1 if it is predicted right, else 0.

    A multilabel row is right if every known label is (see :func:`known_rows`), and a row of soft
    targets if its most probable class is predicted.
    """
    prediction = likelihood.predict(output, threshold=threshold)
    if schema.soft:
        target = target.argmax(1)
    right = prediction == target
    if schema.task == "multilabel":
        right = (right | target.isnan()).all(1)
    return right.double()


def target_entropy(target: Tensor) -> Tensor:
    """The entropy of each row of probabilities ``[N, C]``, in nats: the least NLL that any model can have."""
    entropy: Tensor = torch.special.entr(target).sum(1)
    return entropy


def defined(figures: dict[str, Any]) -> dict[str, Any]:
    """The same figures, with None for what is undefined."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in figures.items()}


class Tally:
    """All figures of ``likelihead evaluate``.

    Args:
        likelihood: the plain one, which the model's outputs belong to.
        schema: the run's.
        constant: the output of the baseline; the figures then say what a model without features scores.
        baseline: the likelihood of the baseline: for a regression with the training targets' variance.
        threshold: above which a yes is predicted; None for one half.
        levels: of the quantiles, where the task is about those.
    """

    def __init__(
        self,
        likelihood: Likelihood,
        schema: Schema,
        constant: tuple[float, ...],
        baseline: Likelihood,
        threshold: Tensor | None = None,
        *,
        levels: tuple[float, ...] = (),
    ) -> None:
        self.likelihood, self.schema, self.baseline = likelihood, schema, baseline
        self.threshold = threshold
        self.constant = torch.tensor(constant, dtype=torch.float64)
        self.rows, self.gain, self.floor = 0, InformationGain(), Mean()
        self.weight = Total()
        names = schema.target.names
        self.class_nll = [Mean() for _ in names]
        self.brier, self.ece, self.smooth_ece = Brier(), CalibrationError(), SmoothECE()
        self.exact, self.top, self.ranking = ExactMatch(), TopKAccuracy(TOP), Ranking()
        if schema.task == "multilabel":
            self.labels = LabelConfusion(len(names))
        elif not schema.numeric:
            self.classes = ConfusionMatrix(len(names))
        # Around the training mean, so that the variance keeps its digits.
        self.numbers, self.error = Regression(center=schema.target.mean), Mean()
        self.levels, self.own = levels, NumberFigures(levels, schema, likelihood)
        self.ranks = RankFigures(max(1, len(names)))

    def add(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> None:
        """Take in a batch of the network's outputs and its targets, and the weights of its rows.

        A row of which no label is known is left out.
        """
        some = known_rows(target)
        if some is not None:
            output, target = output[some], target[some]
            weight = None if weight is None else weight[some]
        if not len(target):
            return
        nll = row_nll(self.likelihood, self.schema, output, target)
        constant = self.constant.to(output.dtype).expand(len(target), -1).reshape(output.shape)
        self.rows += len(nll)
        constant_nll = row_nll(self.baseline, self.schema, constant, target)
        if weight is None:
            self.gain.update(nll, constant_nll)
        else:
            self.weight.add(weight.numpy())
            self.gain.update(weight * nll, weight * constant_nll, count=weight.sum())
        if self.schema.numeric:
            mean = numbers(self.likelihood, self.schema, output, self.levels)
            truth = self.schema.restore(target)
            self.numbers.update(mean, truth, **weighing(weight))
            self.error.add(mean - truth, weight)
            self.own.add(output, target, weight)
            return
        said, came = stated_by(self.likelihood, self.schema, output, target)
        of_stated = weighing(weight_of_stated(self.schema, target, weight))
        self.ece.update(said, came, **of_stated)
        self.smooth_ece.update(said, came, **of_stated)
        # Ready log-probabilities may be above 0 by a rounding.
        probs = self.likelihood.probs(output).clamp_max(1.0)
        predicted = self.likelihood.predict(output, threshold=self.threshold)
        if self.schema.task == "multilabel":
            self._add_labels(output, target, probs, predicted, weight)
        else:
            self._add_classes(target, probs, predicted, nll, weight)

    def _add_classes(
        self, target: Tensor, probs: Tensor, predicted: Tensor, nll: Tensor, weight: Tensor | None
    ) -> None:
        each = weighing(weight)
        if self.schema.soft:
            self.floor.add(target_entropy(target), weight)
            self.brier.update_soft(probs, target, **each)
            target = target.argmax(1)
        else:
            target = target.long()
            self.brier.update(probs, target, **each)
        self.classes.update(predicted, target, **each)
        if self.schema.task == "ordinal":
            self.ranks.add(predicted, target, weight)
        for index in torch.unique(target).tolist():
            chosen = target == index
            self.class_nll[index].add(nll[chosen], None if weight is None else weight[chosen])
        if self.schema.task == "binary":
            # Every score is kept, and dropped where there are too many.
            if self.rows <= AUC_ROWS:
                self.ranking.update(probs, target, **each)
            else:
                self.ranking = Ranking()
        elif self.schema.num_outputs > TOP:
            self.top.update(probs, target, **each)

    def _add_labels(
        self, output: Tensor, target: Tensor, probs: Tensor, predicted: Tensor, weight: Tensor | None
    ) -> None:
        each = weighing(weight)
        self.brier.update(probs, target, **each)
        self.labels.update(predicted, target, **each)
        self.exact.update(predicted, target, **each)
        nll, known = self.likelihood.nll(output, target), ~target.isnan()
        for label, figure in enumerate(self.class_nll):
            chosen = known[:, label]
            figure.add(nll[chosen, label], None if weight is None else weight[chosen])

    def figures(self) -> dict[str, Any]:
        """The figures by name; None where one is undefined."""
        split = self.gain.compute()
        result: dict[str, Any] = {
            "rows": self.rows,
            **self._weights(),
            "nll": split.model_nll,
            "baseline_nll": split.prior_nll,
        }
        density = self.schema.numeric and self.schema.task not in COUNTS
        if split.prior_nll > 0 and not density:
            # What the training's class frequencies leave unknown, and the share of it that the model knows.
            result |= {"gain_over_prior": split.gain, "nll_explained": split.share}
        if self.schema.numeric:
            errors = self.numbers
            result |= {"r2": errors.r2, "rmse": errors.rmse, "mae": errors.mae, "bias": self.error.value}
            result |= self.own.figures()
            levels = [defined(dict(row)) for row in self.own.per_level()]
            return defined(result) | ({"per_level": levels} if levels else {})
        calibration = {
            "brier": self.brier.compute(),
            "ece": self.ece.compute(),
            "smooth_ece": self.smooth_ece.compute(),
        }
        if self.schema.soft:
            floor = self.floor.value
            calibration |= {"target_entropy": floor, "kl": split.model_nll - floor}
        own = self._of_labels() if self.schema.task == "multilabel" else self._of_classes()
        return defined(result | own | calibration)

    def _weights(self) -> dict[str, float]:
        if not self.weight.rows:
            return {}
        return {"total_weight": self.weight.weight, "effective_rows": self.weight.effective}

    def _of_classes(self) -> dict[str, Any]:
        rates = self.classes.rates()
        figures: dict[str, Any] = {
            "accuracy": self.classes.accuracy(),
            "balanced_accuracy": rates.macro("recall"),
            "macro_f1": rates.macro("f1"),
        }
        if self.schema.task == "binary":
            figures["roc_auc"] = self.ranking.roc_auc()[0]
            # With one of the outcomes alone there is nothing to rank.
            one_sided = math.isnan(figures["roc_auc"])
            figures["average_precision"] = math.nan if one_sided else self.ranking.average_precision()[0]
        if self.schema.task == "ordinal":
            figures |= {"mae": self.ranks.mae, "quadratic_kappa": self.ranks.kappa}
        if self.schema.num_outputs > TOP:
            figures[f"top_{TOP}_accuracy"] = self.top.compute()
        return figures | {"per_class": self._each(rates)}

    def _of_labels(self) -> dict[str, Any]:
        rates = self.labels.rates()
        right, all_labels = (rates.tp + rates.tn).sum(), self.labels.compute().sum()
        return {
            "exact_match": self.exact.compute(),
            "label_accuracy": float(right.double() / all_labels),
            "micro_f1": rates.micro("f1"),
            "macro_f1": rates.macro("f1"),
            "per_label": self._each(rates),
        }

    def _each(self, rates: Rates) -> list[dict[str, Any]]:
        rows = zip(
            self.schema.target.names,
            rates.support.tolist(),
            rates.precision.tolist(),
            rates.recall.tolist(),
            rates.f1.tolist(),
            (figure.value for figure in self.class_nll),
            strict=True,
        )
        keys = ("name", "support", "precision", "recall", "f1", "nll")
        return [defined(dict(zip(keys, row, strict=True))) for row in rows]
