"""Several figures in one object that takes logits and targets: what the tasks share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.brier import BrierDecomposition
from likelihead.evaluate.calibration_error import CalibrationError
from likelihead.evaluate.loss_split import InformationGain, constant_nll
from likelihead.evaluate.nll import NLL
from likelihead.evaluate.ranking import Ranking
from likelihead.evaluate.smooth_ece import SmoothECE
from likelihead.likelihoods.base import Likelihood
from likelihead.likelihoods.binary import BinaryLikelihood

__all__ = ["Metrics"]

_F = TypeVar("_F", bound=Accumulator)
_M = TypeVar("_M", bound="Metrics")


class Metrics(Accumulator):
    """Several accumulators that are updated with logits and targets, and merge as one.

    Attributes:
        figures: the accumulators by name, for what `compute` does not tell: curves, bins, intervals.
    """

    def __init__(
        self, likelihood: Likelihood, constant: Tensor | None, num_bins: int, top_k: int, keep_scores: bool
    ) -> None:
        super().__init__(constant=constant, num_bins=num_bins, top_k=top_k, keep_scores=keep_scores)
        self.likelihood, self.constant, self.keep_scores = likelihood, constant, keep_scores
        self.figures: dict[str, Accumulator] = {"nll": NLL()}
        if constant is not None:
            self.figures["split"] = InformationGain()

    @torch.no_grad()
    def update(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in a batch of logits and targets, as the likelihood takes them.

        What is left out is left out by every figure: ignored indices, NaN, masked labels, a weight of 0.

        Args:
            logits: what the model puts out.
            target: what was observed.
            mask: labels only: False where one is left out.
            sample_weight: how often each example counts, in every figure: ``[N]``, or a longer beginning of
                the shape of ``likelihood.nll(logits, target)``.

        Raises:
            OptionError: a mask where the likelihood has none.
            ShapeError: weights that are not one number per example (LH603).
        """
        if mask is not None and not isinstance(self.likelihood, BinaryLikelihood):
            raise OptionError(
                f"mask is for labels; of a {type(self.likelihood).__name__} leave targets out with "
                "ignore_index or NaN, with sample_weight=mask, or leave out the rows."
            )
        self._update(logits, target, mask, sample_weight)

    @abstractmethod
    def _update(
        self, logits: Tensor, target: Tensor, mask: Tensor | None, sample_weight: Tensor | None
    ) -> None:
        """The figures of the task, and those of the NLL by `_score`."""

    def _score(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        weight: Tensor | None,
        where: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> None:
        """The NLL, and its split.

        Args:
            logits: as the likelihood takes them.
            target: as the likelihood takes it.
            weight: in the shape of the NLLs.
            where: numbers only: which NLLs count, with 1 or their weight each.
            mask: labels only: which the likelihood counts.
        """
        masked: dict[str, Any] = {} if mask is None else {"mask": mask}
        weighted: dict[str, Any] = {} if weight is None else {"sample_weight": weight}
        nll = self.likelihood.nll(logits, target, **masked)
        if where is None:
            count = float(self.likelihood.count(target, **masked, **weighted))
        else:
            count = float(where.sum() if weight is None else weight[where].sum())
        self._of("nll", NLL).update(_weighed(nll, weight, where), count=count)
        if "split" in self.figures:
            prior = self._prior(logits, target, mask)
            values = (_weighed(part, weight, where) for part in (nll, prior))
            self._of("split", InformationGain).update(*values, count=count)

    def _prior(self, logits: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """The NLL of each target under the constant prediction."""
        return constant_nll(self.likelihood, logits, target, self.constant, mask=mask)

    @abstractmethod
    def _compute(self) -> dict[str, Any]:
        """The figures of the task, by name."""

    def _of(self, name: str, kind: type[_F]) -> _F:
        figure = self.figures[name]
        if not isinstance(figure, kind):
            raise OptionError(f"{name} is a {type(figure).__name__}; expected a {kind.__name__}.")
        return figure

    def compute(self) -> dict[str, Any]:
        """The figures by name: numbers, and lists with one number for each class or label.

        An undefined one is NaN: the recall of a class that does not occur, for one.
        """
        nll = self._of("nll", NLL)
        figures: dict[str, Any] = {"count": nll.count, "nll": nll.compute()}
        if "split" in self.figures:
            split = self._of("split", InformationGain).compute()
            figures |= {"prior_nll": split.prior_nll, "gain": split.gain, "gain_share": split.share}
        return figures | self._compute()

    def merge(self: _M, other: _M) -> _M:
        super().merge(other)
        for name, figure in other.figures.items():
            self.figures[name].merge(figure)
        return self

    def state(self) -> dict[str, Any]:
        return {**super().state(), "figures": {name: f.state() for name, f in self.figures.items()}}

    @classmethod
    def from_state(cls: type[_M], state: Mapping[str, Any]) -> _M:
        """Not without the likelihood, which is no part of the state: use `load_state`.

        Raises:
            OptionError: always.
        """
        raise OptionError(
            "a state of Metrics does not hold the likelihood; use for_likelihood(likelihood, ...) and its "
            "load_state(state)."
        )

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` says, in place of what was seen."""
        for name, figure in self.figures.items():
            self.figures[name] = type(figure).from_state(state["figures"][name])

    def _revived(self: _M, state: Mapping[str, Any]) -> _M:
        made = type(self)(self.likelihood, **state["options"])
        made.load_state(state)
        return made

    def _add_calibration(self, num_bins: int) -> None:
        self.figures["ece"] = CalibrationError(num_bins)
        self.figures["smooth_ece"] = SmoothECE(keep_rows=self.keep_scores)
        if self.keep_scores:
            self.figures["ece_mass"] = CalibrationError(num_bins, "mass")

    def _update_calibration(self, confidence: Tensor, outcome: Tensor, weight: Tensor | None) -> None:
        for name in ("ece", "ece_mass"):
            if name in self.figures:
                self._of(name, CalibrationError).update(confidence, outcome, sample_weight=weight)
        self._of("smooth_ece", SmoothECE).update(confidence, outcome, sample_weight=weight)

    def _calibration(self) -> dict[str, Any]:
        names = [name for name in ("ece", "ece_mass", "smooth_ece") if name in self.figures]
        figures: dict[str, Any] = {name: self.figures[name].compute() for name in names}
        if self.keep_scores:
            interval = self._of("smooth_ece", SmoothECE).interval()
            figures["smooth_ece_interval"] = [interval.low, interval.high]
        return figures

    def _ranking(self) -> dict[str, Any]:
        if "ranking" not in self.figures:
            return {}
        ranking = self._of("ranking", Ranking)
        areas, precisions = ranking.roc_auc(), ranking.average_precision()
        figures: dict[str, Any] = {"roc_auc": _mean(areas), "average_precision": _mean(precisions)}
        if len(areas) > 1:
            figures |= {"roc_auc_each": list(areas), "average_precision_each": list(precisions)}
        return figures

    def _parts(self) -> dict[str, Any]:
        parts = self._of("brier_parts", BrierDecomposition).compute()
        names = ("reliability", "resolution", "uncertainty", "within_bins")
        return {f"brier_{name}": getattr(parts, name) for name in names}


def _weighed(nll: Tensor, weight: Tensor | None, where: Tensor | None) -> Tensor:
    """The values that count, in float64, times their weights."""
    values = nll.double() if weight is None else nll.double() * weight
    return values if where is None else values[where]


def _mean(values: tuple[float, ...]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
