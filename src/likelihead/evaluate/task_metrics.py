"""Which figures belong to which task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from likelihead.errors import OptionError
from likelihead.evaluate.accuracy import Accuracy, ExactMatch, TopKAccuracy
from likelihead.evaluate.brier import Brier, BrierDecomposition
from likelihead.evaluate.confusion import ConfusionMatrix, LabelConfusion, Rates
from likelihead.evaluate.inputs import class_rows, counted, spread_weight
from likelihead.evaluate.metrics import Metrics
from likelihead.evaluate.nll import NLL
from likelihead.evaluate.ranking import Ranking
from likelihead.evaluate.regression import Regression
from likelihead.likelihoods.base import Likelihood, Targets
from likelihead.likelihoods.binary import BinaryLikelihood
from likelihead.likelihoods.categorical import Categorical
from likelihead.likelihoods.checks import check_same_shape, check_tensor
from likelihead.likelihoods.gaussian import Gaussian

__all__ = ["BinaryMetrics", "ClassMetrics", "NumberMetrics", "for_likelihood"]

MANY_CLASSES = 1000
"""Above so many classes (a vocabulary) the figures of each class are left out: they grow as C or C^2."""


def for_likelihood(
    likelihood: Likelihood,
    *,
    train_targets: Targets | None = None,
    train_sample_weight: Targets | None = None,
    num_bins: int = 10,
    top_k: int = 5,
    keep_scores: bool = False,
) -> Metrics:
    """The figures that belong to a likelihood's task.

    Every task: the NLL and, if the training targets are known, its split into what the prior explains and
    what the model adds. Classes: perplexity, accuracy, top-k, balanced accuracy, macro F1, Brier score and
    its parts, ECE and smooth ECE of the predicted class, and precision, recall, F1 and IoU of each class.
    A yes or no, and labels: the same of a yes, and for labels the share of examples that are right in all.
    Numbers: RMSE, MAE, R^2.

    Args:
        likelihood: of the model; give the plain one, without the class weights or the offset of training.
        train_targets: the training targets, for the split of the loss; by default those that
            ``likelihood.from_targets`` saw, if any.
        train_sample_weight: how often each of them counts.
        num_bins: bins of the ECE and of the Brier score's parts.
        top_k: of the top-k accuracy, where there are more classes than that.
        keep_scores: keep every score, for ROC AUC, average precision, ECE of equal mass and an interval of
            the smooth ECE.

    >>> metrics = for_likelihood(Categorical(3))
    >>> metrics.update(torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), torch.tensor([0, 2]))
    >>> figures = metrics.compute()
    >>> figures["accuracy"], round(figures["nll"], 4)
    (0.5, 0.8955)
    """
    kinds = ((Categorical, ClassMetrics), (BinaryLikelihood, BinaryMetrics), (Gaussian, NumberMetrics))
    metrics = next((metrics for kind, metrics in kinds if isinstance(likelihood, kind)), None)
    if metrics is None:
        raise OptionError(
            f"likelihood is a {type(likelihood).__name__}; expected a Categorical, a Bernoulli, a MultiLabel "
            "or a Gaussian. For others use the accumulators one by one."
        )
    if train_targets is not None:
        weighted: dict[str, Any] = (
            {} if train_sample_weight is None else {"sample_weight": train_sample_weight}
        )
        constant: Tensor | None = likelihood.best_constant(train_targets, **weighted)
    elif train_sample_weight is not None:
        raise OptionError(
            "train_sample_weight is given without train_targets; give the targets it belongs to."
        )
    else:
        constant = None if likelihood.summary is None else likelihood.best_constant()
    return metrics(likelihood, constant=constant, num_bins=num_bins, top_k=top_k, keep_scores=keep_scores)


class ClassMetrics(Metrics):
    """Of a Categorical; see `for_likelihood`.

    With probability targets the most probable class counts as the true one for the accuracies and the
    figures of classes; NLL, Brier score, ECE and the divergence from the targets (``kl``) take them as they
    are.

    A class of the C that is ignored has no figures of its own and is in no mean over classes. For the NLL,
    the Brier score and its parts, its probability on rows that count is that of a wrong class.
    """

    likelihood: Categorical

    def __init__(self, likelihood: Likelihood, **options: Any) -> None:
        super().__init__(likelihood, **options)
        classes = self.likelihood.num_classes
        self.per_class = classes <= MANY_CLASSES
        self.figures |= {"accuracy": Accuracy(), "brier": Brier(), "kl": NLL()}
        if classes > options["top_k"]:
            self.figures["top_k"] = TopKAccuracy(options["top_k"])
        self._add_calibration(options["num_bins"])
        if self.per_class:
            ignored = self.likelihood.ignore_index
            self.figures["confusion"] = ConfusionMatrix(classes, ignore_index=ignored)
            self.figures["brier_parts"] = BrierDecomposition(classes, options["num_bins"])
            if self.keep_scores:
                self.figures["ranking"] = Ranking(classes)

    def _update(
        self, logits: Tensor, target: Tensor, mask: Tensor | None, sample_weight: Tensor | None
    ) -> None:
        likelihood = self.likelihood
        rows, truth, weight = class_rows(
            "logits", logits, target, ignore_index=likelihood.ignore_index, sample_weight=sample_weight
        )
        self._score(rows, truth, weight=weight)
        # Ready log-probabilities may be above 0 by a rounding.
        probs, said = likelihood.probs(rows).clamp_max(1.0), likelihood.predict(rows)
        soft = truth.is_floating_point()
        hard = truth.argmax(1) if soft else truth
        self._of("accuracy", Accuracy).update(said, hard, sample_weight=weight)
        index = said.unsqueeze(1)
        outcome = truth.gather(1, index).squeeze(1) if soft else said == truth
        self._update_calibration(probs.gather(1, index).squeeze(1), outcome, weight)
        if "top_k" in self.figures:
            self._of("top_k", TopKAccuracy).update(rows, hard, sample_weight=weight)
        if soft:
            self._of("brier", Brier).update_soft(probs, truth, sample_weight=weight)
            share = truth.double()
            divergence = torch.special.xlogy(share, share) - share * likelihood.log_probs(rows).double()
            divergence = torch.where(share == 0, 0.0, divergence).sum(1)
            self._of("kl", NLL).update(divergence, sample_weight=weight)
        else:
            self._of("brier", Brier).update(probs, truth, sample_weight=weight)
        if self.per_class:
            self._of("confusion", ConfusionMatrix).update(said, hard, sample_weight=weight)
            columns = truth if soft else one_hot(truth, likelihood.num_classes)
            self._of("brier_parts", BrierDecomposition).update(probs, columns, sample_weight=weight)
            if "ranking" in self.figures:
                hot = one_hot(hard, likelihood.num_classes)
                self._of("ranking", Ranking).update(probs, hot, sample_weight=weight)

    def _compute(self) -> dict[str, Any]:
        nll = self._of("nll", NLL)
        figures: dict[str, Any] = {
            "perplexity": nll.perplexity,
            "accuracy": self.figures["accuracy"].compute(),
        }
        if "top_k" in self.figures:
            figures[f"top_{self._of('top_k', TopKAccuracy).k}"] = self.figures["top_k"].compute()
        divergence = self._of("kl", NLL)
        if divergence.count:
            figures["kl"] = divergence.compute()
        figures["brier"] = self.figures["brier"].compute()
        if self.per_class:
            rates = self._of("confusion", ConfusionMatrix).rates()
            figures |= {"balanced_accuracy": rates.macro("recall"), **self._parts(), **_macro(rates)}
        figures |= self._calibration() | self._ranking()
        return figures | (_each(rates) if self.per_class else {})


class BinaryMetrics(Metrics):
    """Of a Bernoulli or a MultiLabel; see `for_likelihood`."""

    likelihood: BinaryLikelihood

    def __init__(self, likelihood: Likelihood, **options: Any) -> None:
        super().__init__(likelihood, **options)
        labels = self.likelihood.num_labels_or_none
        self.figures |= {
            "accuracy": Accuracy(ignore_index=-100),
            "brier": Brier(),
            "brier_parts": BrierDecomposition(labels or 1, options["num_bins"]),
            "confusion": LabelConfusion(labels),
        }
        if labels is not None:
            self.figures["exact_match"] = ExactMatch()
        self._add_calibration(options["num_bins"])
        if self.keep_scores:
            self.figures["ranking"] = Ranking(labels)

    def _update(
        self, logits: Tensor, target: Tensor, mask: Tensor | None, sample_weight: Tensor | None
    ) -> None:
        check_tensor("logits", logits)
        check_same_shape(logits, target)
        where, _ = counted(target, mask, sample_weight=sample_weight)
        # What is left out may be anything; it must not reach a figure as NaN.
        logits = torch.where(where, logits, torch.zeros_like(logits))
        options = {"mask": where, "sample_weight": sample_weight}
        self._score(logits, target, weight=spread_weight(sample_weight, where), mask=where)
        probs, said = self.likelihood.probs(logits).clamp_max(1.0), self.likelihood.predict(logits)
        # The more probable outcome is what a soft label comes to.
        hard = (torch.where(where, target, 0) > 0.5).long() if target.is_floating_point() else target.long()
        self._of("accuracy", Accuracy).update(said, hard, **options)
        self._of("brier", Brier).update(probs, target, **options)
        self._of("brier_parts", BrierDecomposition).update(probs, target, **options)
        self._of("confusion", LabelConfusion).update(said, hard, **options)
        weight = spread_weight(sample_weight, where)
        self._update_calibration(probs[where], target[where], None if weight is None else weight[where])
        if "exact_match" in self.figures:
            self._of("exact_match", ExactMatch).update(said, hard, **options)
        if "ranking" in self.figures:
            self._of("ranking", Ranking).update(probs, hard, **options)

    def _compute(self) -> dict[str, Any]:
        figures: dict[str, Any] = {"accuracy": self.figures["accuracy"].compute()}
        if "exact_match" in self.figures:
            figures["exact_match"] = self.figures["exact_match"].compute()
        confusion = self._of("confusion", LabelConfusion)
        rates, balanced = confusion.rates(), confusion.balanced_accuracy()
        figures |= {"balanced_accuracy": float(balanced.nanmean()), "brier": self.figures["brier"].compute()}
        figures |= self._parts()
        if self.likelihood.num_labels_or_none is None:
            figures |= {name: float(getattr(rates, name)) for name in ("precision", "recall", "f1", "iou")}
            return figures | self._calibration() | self._ranking()
        figures |= _macro(rates) | {"micro_f1": rates.micro("f1")} | self._calibration() | self._ranking()
        return figures | {"balanced_accuracy_each": balanced.tolist()} | _each(rates)


class NumberMetrics(Metrics):
    """Of a Gaussian; see `for_likelihood`."""

    likelihood: Gaussian

    def __init__(self, likelihood: Likelihood, **options: Any) -> None:
        super().__init__(likelihood, **options)
        constant = options["constant"]
        # The constant's first number is the mean: near enough for the variance to keep its digits.
        self.figures["numbers"] = Regression(0.0 if constant is None else float(constant.flatten()[0]))

    def _update(
        self, logits: Tensor, target: Tensor, mask: Tensor | None, sample_weight: Tensor | None
    ) -> None:
        said = self.likelihood.predict(logits)
        check_same_shape(said, target)
        where, _ = counted(target, sample_weight=sample_weight)
        # What is left out may be anything; its NLL is never looked at.
        truth = torch.where(where, target, torch.zeros_like(target))
        known = where.reshape(*where.shape, *[1] * (logits.dim() - where.dim()))
        logits = torch.where(known, logits, torch.zeros_like(logits))
        weight = spread_weight(sample_weight, where)
        self._score(logits, truth, weight=weight, where=where)
        self._of("numbers", Regression).update(said, target, sample_weight=sample_weight)

    def _compute(self) -> dict[str, Any]:
        numbers = self._of("numbers", Regression)
        return {"rmse": numbers.rmse, "mae": numbers.mae, "r2": numbers.r2}


def _macro(rates: Rates) -> dict[str, Any]:
    return {f"macro_{name}": rates.macro(name) for name in ("precision", "f1", "iou")}


def _each(rates: Rates) -> dict[str, Any]:
    names = ("support", "precision", "recall", "f1", "iou")
    return {f"{name}_each": getattr(rates, name).tolist() for name in names}
