"""The figures of numbers: real ones, counts, and quantiles."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from likelihead.evaluate.inputs import counted, spread_weight
from likelihead.evaluate.metrics import Metrics
from likelihead.evaluate.nll import NLL
from likelihead.evaluate.regression import Regression
from likelihead.likelihoods.base import Likelihood
from likelihead.likelihoods.checks import check_same_shape
from likelihead.likelihoods.negative_binomial import NegativeBinomial
from likelihead.likelihoods.poisson import CountLikelihood
from likelihead.likelihoods.quantile import Quantile

__all__ = ["CountMetrics", "NumberMetrics", "QuantileMetrics"]

_LEAST_DISPERSION = 1e-12  # below it the deviance is Poisson's to the last digit that matters


class NumberMetrics(Metrics):
    """Of a Gaussian or a StudentT; see `for_likelihood`."""

    def __init__(self, likelihood: Likelihood, **options: Any) -> None:
        super().__init__(likelihood, **options)
        constant = options["constant"]
        self.figures["numbers"] = Regression(0.0 if constant is None else self._center(constant.flatten()))

    def _center(self, constant: Tensor) -> float:
        """A number near the targets' mean, so that their variance keeps its digits."""
        return float(constant[0])

    def _update(
        self, logits: Tensor, target: Tensor, mask: Tensor | None, sample_weight: Tensor | None
    ) -> None:
        said = self.likelihood.predict(logits)
        check_same_shape(said, target)
        logits, weight, where = self._known(logits, target, sample_weight)
        self._of("numbers", Regression).update(said, target, sample_weight=sample_weight)
        self._others(logits[where].double(), target[where].double(), weight)

    def _known(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Score the NLL; logits that are harmless where nothing counts, the weights, and what counts."""
        where, weight = counted(target, sample_weight=sample_weight)
        # What is left out may be anything; its NLL is never looked at.
        truth = torch.where(where, target, torch.zeros_like(target))
        known = where.reshape(*where.shape, *[1] * (logits.dim() - where.dim()))
        logits = torch.where(known, logits, torch.zeros_like(logits))
        self._score(logits, truth, weight=spread_weight(sample_weight, where), where=where)
        return logits, weight, where

    def _others(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> None:
        """Further figures of the M numbers that count, in float64."""

    def _compute(self) -> dict[str, Any]:
        numbers = self._of("numbers", Regression)
        return {"rmse": numbers.rmse, "mae": numbers.mae, "r2": numbers.r2}


class CountMetrics(NumberMetrics):
    r"""Of a Poisson or a NegativeBinomial; see `for_likelihood`.

    The deviance is twice what the NLL is above that of the best mean for each count alone, its own value:

    .. math:: 2 \Bigl[y \log \frac{y}{\mu} - (y + \tfrac{1}{\alpha})
              \log \frac{1 + \alpha y}{1 + \alpha \mu}\Bigr]

    with :math:`\alpha` the dispersion; of a Poisson, its limit, :math:`2\,[y \log (y / \mu) - y + \mu]`.
    """

    likelihood: CountLikelihood

    def __init__(self, likelihood: Likelihood, **options: Any) -> None:
        super().__init__(likelihood, **options)
        self.figures |= {"deviance": NLL(), "predicted": NLL(), "observed": NLL()}

    def _center(self, constant: Tensor) -> float:
        return math.exp(float(constant[0]))

    def _others(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> None:
        mean = self.likelihood.predict(logits)
        against = torch.special.xlogy(target, target / mean)
        dispersion = self._dispersion(logits)
        if dispersion is None:
            deviance = 2 * (against - target + mean)
        else:
            a = dispersion.clamp_min(_LEAST_DISPERSION)
            ratio = torch.log1p(a * (target - mean) / (1 + a * mean))
            deviance = 2 * (against - (target + 1 / a) * ratio)
        for name, values in (("deviance", deviance), ("predicted", mean), ("observed", target)):
            self._of(name, NLL).update(values, sample_weight=weight)

    def _dispersion(self, logits: Tensor) -> Tensor | None:
        if not isinstance(self.likelihood, NegativeBinomial):
            return None
        if isinstance(self.likelihood.dispersion, str):
            return torch.exp(logits[..., 1])
        return logits.new_tensor(self.likelihood.dispersion)

    def _compute(self) -> dict[str, Any]:
        figures = {"deviance": self.figures["deviance"].compute(), **super()._compute()}
        for name in ("predicted", "observed"):
            figures[f"mean_{name}"] = self.figures[name].compute()
        return figures


class QuantileMetrics(NumberMetrics):
    """Of a Quantile; see `for_likelihood`.

    The coverage of a level is the share of the targets that do not lie above its quantile: the level itself,
    if the quantiles are right. That of the interval is the share between the lowest quantile and the highest.
    """

    likelihood: Quantile

    def __init__(self, likelihood: Likelihood, **options: Any) -> None:
        Metrics.__init__(self, likelihood, **options)
        for k in range(len(self.likelihood.levels)):
            self.figures |= {f"pinball_{k}": NLL(), f"coverage_{k}": NLL()}
        self.figures["interval"] = NLL()

    def _update(
        self, logits: Tensor, target: Tensor, mask: Tensor | None, sample_weight: Tensor | None
    ) -> None:
        quantiles = self.likelihood.predict(logits)
        if len(self.likelihood.levels) == 1:
            quantiles = quantiles.unsqueeze(-1)
        check_same_shape(quantiles[..., 0], target)
        _, weight, where = self._known(logits, target, sample_weight)
        values, truth = quantiles[where].double(), target[where].double()
        for k, level in enumerate(self.likelihood.levels):
            error = truth - values[:, k]
            pinball = torch.maximum(level * error, (level - 1) * error)
            self._of(f"pinball_{k}", NLL).update(pinball, sample_weight=weight)
            self._of(f"coverage_{k}", NLL).update((error <= 0).double(), sample_weight=weight)
        inside = (truth >= values[:, 0]) & (truth <= values[:, -1])
        self._of("interval", NLL).update(inside.double(), sample_weight=weight)

    def _compute(self) -> dict[str, Any]:
        each = range(len(self.likelihood.levels))
        pinball = [self.figures[f"pinball_{k}"].compute() for k in each]
        figures: dict[str, Any] = {"pinball": math.fsum(pinball) / len(pinball)}
        if len(pinball) > 1:
            figures["interval_coverage"] = self.figures["interval"].compute()
        return figures | {
            "level_each": list(self.likelihood.levels),
            "pinball_each": pinball,
            "coverage_each": [self.figures[f"coverage_{k}"].compute() for k in each],
        }
