"""The contract suite must fail a likelihood that is wrong: here are some that are, each slightly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from likelihead.likelihoods import (
    Bernoulli,
    Categorical,
    CumulativeLink,
    Gaussian,
    Likelihood,
    NegativeBinomial,
    Poisson,
    Quantile,
    StudentT,
)
from likelihead.likelihoods.base import REGISTRY
from likelihoods import contract
from likelihoods.cases import CASES, CLASSES, Case

FIRST = {Categorical: (CLASSES,), CumulativeLink: (CLASSES,), NegativeBinomial: (0.5,), Quantile: (0.9,)}
BY_NAME = {case.name: case for case in CASES}
_plain = BY_NAME["poisson-plain"]
_some_missing = torch.tensor([0.0, torch.nan, 1.0, 9.0, torch.nan])
BY_NAME["poisson-one-missing"] = replace(_plain, name="poisson-one-missing", outcomes=_some_missing.clone)


class ResidualOff(Categorical):
    """Its gradient is off in the fourth digit."""

    def residual(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().residual(logits, target) + 1e-4


class ForgetsNormaliser(Categorical):
    """Its NLL leaves the log-sum-exp out."""

    def nll(self, logits: Tensor, target: Tensor) -> Tensor:
        return -logits.gather(1, target.unsqueeze(1)).squeeze(1)


class DividesByExamples(Categorical):
    """Its mean divides by N, not by the sum of the weights."""

    def count(self, target: Tensor) -> int:
        return target.numel()


class SubtractsProbabilities(Categorical):
    """Its gradient is p - 1, which is 0 for a confident prediction."""

    def residual(self, logits: Tensor, target: Tensor) -> Tensor:
        return torch.softmax(logits, 1) - torch.nn.functional.one_hot(target, CLASSES)


class DropsGraph(Categorical):
    """Its loss over nothing is a constant."""

    def forward(self, logits: Tensor, target: Tensor, **options: object) -> Tensor:
        loss = super().forward(logits, target, **options)
        return torch.zeros((), requires_grad=True) if float(loss.detach()) == 0 else loss


class WrongEntropy(Bernoulli):
    """Its entropy counts a yes only."""

    def entropy(self, logits: Tensor) -> Tensor:
        return -self.probs(logits) * self.log_probs(logits)


class KlTurnedRound(Bernoulli):
    """Its divergence is that of q from p."""

    def kl(self, logits_p: Tensor, logits_q: Tensor) -> Tensor:
        return super().kl(logits_q, logits_p)


class ForgetsConstant(Gaussian):
    """Its NLL leaves log(2 pi) out, as MSELoss does."""

    def nll(self, logits: Tensor, target: Tensor) -> Tensor:
        return 0.5 * (logits - target).square()


class BaselineOfAnotherPrior(Categorical):
    """Its baseline is that of equal classes."""

    def _baseline(self, summary: Tensor) -> Tensor:
        return torch.tensor(CLASSES, dtype=torch.float64).log()


class BiasOfCounts(Categorical):
    """Its bias is the prior and not its logarithm."""

    def _best_bias(self, summary: Tensor, smoothing: float) -> Tensor:
        return super()._best_bias(summary, smoothing).exp()


class DetachedCurvature(Bernoulli):
    """Its gradient is right, and the gradient of that is lost."""

    def nll(self, logits: Tensor, target: Tensor, **options: object) -> Tensor:
        slope = self.residual(logits.detach(), target)
        return super().nll(logits.detach(), target) + slope * (logits - logits.detach())


class ForgetsFactorial(Poisson):
    """Its NLL leaves log(y!) out, as PoissonNLLLoss does."""

    def nll(self, logits: Tensor, target: Tensor) -> Tensor:
        return torch.exp(logits) - target * logits


class CountOfAGaussian(Poisson):
    """Its entropy is that of the normal distribution with its variance, right for large means."""

    def entropy(self, logits: Tensor) -> Tensor:
        return 0.5 * (logits + 2.837877066409345)


class MissingCounts(Poisson):
    """A missing count is counted."""

    def count(self, target: Tensor, **options: object) -> int:
        return target.numel()


class PoissonSlope(NegativeBinomial):
    """Its residual is that of a Poisson variable."""

    def residual(self, logits: Tensor, target: Tensor) -> Tensor:
        return torch.exp(logits) - target


class DispersionSquared(NegativeBinomial):
    """Its entropy is that of twice the dispersion."""

    def entropy(self, logits: Tensor) -> Tensor:
        return NegativeBinomial(1.0).entropy(logits)


class NormalTails(StudentT):
    """Its NLL is that of a normal variable."""

    def nll(self, logits: Tensor, target: Tensor) -> Tensor:
        return 0.5 * (logits - target).square() + 0.9189385332046727


class MeanForMedian(StudentT):
    """Its best constant is the mean of the targets."""

    def _best_outputs(self, values: Tensor, weights: Tensor, smoothing: float | None) -> Tensor:
        return ((weights * values).sum() / weights.sum()).reshape(1)


class OtherTail(Quantile):
    """It predicts the quantile from above."""

    def _gradient(self, outputs: tuple[Tensor, ...], y: Tensor) -> tuple[Tensor, ...]:
        return tuple(-slope for slope in super()._gradient(outputs, y))


class EntropyOfOneSide(Quantile):
    """Its entropy forgets the scale."""

    def entropy(self, logits: Tensor) -> Tensor:
        return super().entropy(logits) + 0.6931471805599453


class MiddleShare(CumulativeLink):
    """Its NLL adds the logarithms of both shares and forgets how far the thresholds are apart."""

    def nll(self, logits: Tensor, target: Tensor) -> Tensor:
        thresholds = self.thresholds(logits.dtype)
        low, high = torch.full_like(logits, -torch.inf), torch.full_like(logits, torch.inf)
        low = torch.where(target > 0, thresholds[(target - 1).clamp_min(0)], low)
        high = torch.where(target < CLASSES - 1, thresholds[target.clamp_max(CLASSES - 2)], high)
        sigmoid = torch.nn.functional.logsigmoid
        return -sigmoid(high - logits) - sigmoid(logits - low)


class TurnedRound(CumulativeLink):
    """Its divergence is that of q from p."""

    def kl(self, logits_p: Tensor, logits_q: Tensor) -> Tensor:
        return super().kl(logits_q, logits_p)


def _planted(name: str, wrong: type[Likelihood]) -> Case:
    case = BY_NAME[name]
    first = FIRST.get(wrong.__mro__[1], ())
    return replace(case, make=lambda **options: wrong(*first, **options))


def _inputs(case: Case) -> tuple[Tensor, Tensor]:
    target = (
        contract.every_outcome(case).double() if case.dtype != torch.int64 else contract.every_outcome(case)
    )
    generator = torch.Generator().manual_seed(0)
    return torch.randn(target.shape[0], *case.outcome, dtype=torch.float64, generator=generator), target


def _confident(case: Case) -> tuple[Tensor, Tensor]:
    target = contract.every_outcome(case)
    return 25.0 * torch.nn.functional.one_hot(target, CLASSES).double(), target


def _weights(case: Case) -> None:
    contract.check_weights_are_linear(case, *_inputs(case))


def _reductions_with_weight(case: Case) -> None:
    weight = torch.tensor([0.5, 2.0, 1.0, 3.0])
    contract.check_reductions(
        replace(case, make=None), lambda **options: case.make(weight=weight, **options), *_inputs(case)
    )


def _divergence(case: Case) -> None:
    p, _ = _inputs(case)
    contract.check_divergence(case, case.make(), p, p.flip(0))


def _gradient(case: Case) -> None:
    contract.check_gradient_is_residual(case, case.make(), *_inputs(case))


def _log_prob(case: Case) -> None:
    contract.check_nll_is_minus_log_prob(case, case.make(), *_inputs(case))


def _entropy(case: Case) -> None:
    contract.check_entropy(case, case.make(), _inputs(case)[0])


def _minimiser(case: Case) -> None:
    contract.check_minimiser(case, case.make(), contract.every_outcome(case))


PLANTED = [
    (
        "categorical-plain",
        ResidualOff,
        lambda c: contract.check_gradient_is_residual(c, c.make(), *_inputs(c)),
    ),
    (
        "categorical-plain",
        SubtractsProbabilities,
        lambda c: contract.check_gradient_is_residual(c, c.make(), *_confident(c)),
    ),
    (
        "categorical-plain",
        ForgetsNormaliser,
        lambda c: contract.check_nll_is_minus_log_prob(c, c.make(), *_inputs(c)),
    ),
    ("categorical-plain", DividesByExamples, _reductions_with_weight),
    ("categorical-plain", DividesByExamples, _weights),
    (
        "categorical-plain",
        BaselineOfAnotherPrior,
        lambda c: contract.check_minimiser(c, c.make(), contract.every_outcome(c)),
    ),
    (
        "categorical-plain",
        BiasOfCounts,
        lambda c: contract.check_minimiser(c, c.make(), contract.every_outcome(c)),
    ),
    (
        "categorical-plain",
        BiasOfCounts,
        lambda c: contract.check_frequency(c, c.make(), contract.every_outcome(c)),
    ),
    ("bernoulli-plain", WrongEntropy, lambda c: contract.check_entropy(c, c.make(), _inputs(c)[0])),
    ("bernoulli-plain", KlTurnedRound, _divergence),
    (
        "gaussian-unit",
        ForgetsConstant,
        lambda c: contract.check_nll_is_minus_log_prob(c, c.make(), *_inputs(c)),
    ),
    ("poisson-plain", ForgetsFactorial, _log_prob),
    ("poisson-plain", CountOfAGaussian, _entropy),
    ("poisson-one-missing", MissingCounts, lambda c: contract.check_reductions(c, c.make, *_inputs(c))),
    ("negative_binomial-known", PoissonSlope, _gradient),
    ("negative_binomial-known", DispersionSquared, _entropy),
    ("student_t-unit", NormalTails, _log_prob),
    ("student_t-unit", MeanForMedian, _minimiser),
    ("quantile-high", OtherTail, _gradient),
    ("quantile-high", EntropyOfOneSide, _entropy),
    ("cumulative_link-plain", MiddleShare, _log_prob),
    ("cumulative_link-plain", TurnedRound, _divergence),
]


@pytest.mark.parametrize(("name", "wrong", "check"), PLANTED, ids=lambda x: getattr(x, "__name__", x))
def test_a_wrong_likelihood_fails(name: str, wrong: type[Likelihood], check):
    check(BY_NAME[name])  # the right one passes
    with pytest.raises(AssertionError):
        check(_planted(name, wrong))


def test_a_lost_second_derivative_fails():
    case = BY_NAME["bernoulli-plain"]
    logits, target = _inputs(case)
    contract.check_gradients(case, case.make(), logits[:2], target[:2])
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        contract.check_gradients(case, DetachedCurvature(), logits[:2], target[:2])


def test_a_loss_off_the_graph_fails():
    case = BY_NAME["categorical-plain"]
    logits, target = _inputs(case)
    contract.check_nothing_counts(case, case.make(), logits, target)
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        contract.check_nothing_counts(case, DropsGraph(CLASSES), logits, target)


def test_planting_leaves_the_registry_as_it_is():
    assert {cls.__module__.rpartition(".")[0] for cls in REGISTRY.values()} == {"likelihead.likelihoods"}
