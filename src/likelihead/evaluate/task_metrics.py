"""The figures of classes, and of yes or no."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from likelihead.evaluate.accuracy import Accuracy, ExactMatch, TopKAccuracy
from likelihead.evaluate.brier import Brier, BrierDecomposition
from likelihead.evaluate.confusion import ConfusionMatrix, LabelConfusion, Rates
from likelihead.evaluate.inputs import class_rows, counted, spread_weight
from likelihead.evaluate.metrics import Metrics
from likelihead.evaluate.nll import NLL
from likelihead.evaluate.ranking import Ranking
from likelihead.likelihoods.base import Likelihood
from likelihead.likelihoods.binary import BinaryLikelihood
from likelihead.likelihoods.categorical import Categorical
from likelihead.likelihoods.checks import check_same_shape, check_tensor

__all__ = ["BinaryMetrics", "ClassMetrics"]

MANY_CLASSES = 1000
"""Above so many classes (a vocabulary) the figures of each class are left out: they grow as C or C^2."""


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
        # Ready log-probabilities may be above 0 by a rounding.
        self._take(rows, truth, weight, likelihood.probs(rows).clamp_max(1.0))

    def _take(self, rows: Tensor, truth: Tensor, weight: Tensor | None, probs: Tensor) -> None:
        """The figures of the rows that count.

        Args:
            rows: what the likelihood takes.
            truth: class indices ``[M]``, or probabilities ``[M, C]``.
            weight: ``[M]``.
            probs: ``[M, C]``.
        """
        likelihood = self.likelihood
        self._score(rows, truth, weight=weight)
        said = likelihood.predict(rows)
        soft = truth.is_floating_point()
        hard = truth.argmax(1) if soft else truth
        self._of("accuracy", Accuracy).update(said, hard, sample_weight=weight)
        index = said.unsqueeze(1)
        outcome = truth.gather(1, index).squeeze(1) if soft else said == truth
        self._update_calibration(probs.gather(1, index).squeeze(1), outcome, weight)
        if "top_k" in self.figures:
            self._of("top_k", TopKAccuracy).update(
                rows if rows.dim() > 1 else probs, hard, sample_weight=weight
            )
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


def _macro(rates: Rates) -> dict[str, Any]:
    return {f"macro_{name}": rates.macro(name) for name in ("precision", "f1", "iou")}


def _each(rates: Rates) -> dict[str, Any]:
    names = ("support", "precision", "recall", "f1", "iou")
    return {f"{name}_each": getattr(rates, name).tolist() for name in names}
