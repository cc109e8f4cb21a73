"""Counts, outliers, quantiles and grades against 60-digit arithmetic: value, gradient and `residual`."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from mpmath import mpf
from torch import Tensor

from likelihead.likelihoods import (
    CumulativeLink,
    Likelihood,
    NegativeBinomial,
    Poisson,
    Quantile,
    StudentT,
)
from oracles import likelihoods as oracle

BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def errors(found: Tensor, expected: list[mpf]) -> list[float]:
    """In units in the last place."""
    info = torch.finfo(found.dtype)
    return [
        float(abs(value - truth) / (abs(truth) * info.eps + info.tiny))
        for value, truth in zip(found.flatten().tolist(), expected, strict=True)
    ]


def step(z: float, y: float) -> float:
    """How far the rounding of log(y), half a unit of 14, moves a relative error that is ``z - log(y)``."""
    return 1.0 if y == 0 else 1 + 16 / min(1.0, abs(z - math.log(y)))


def asked(likelihood: Likelihood, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value, gradient and residual."""
    leaf = logits.clone().requires_grad_()
    nll = likelihood.nll(leaf, target)
    (gradient,) = torch.autograd.grad(nll.sum(), leaf)
    return nll.detach(), gradient, likelihood.residual(logits, target)


@BOTH
def test_poisson(dtype: torch.dtype) -> None:
    for z, y in itertools.product((-80.0, -3.0, 0.0, 0.5, 13.8125, 20.0), (0.0, 1.0, 7.0, 1e6)):
        if z == math.log(max(y, 0.1)):
            continue  # the gradient is 0
        logits, target = torch.tensor([z], dtype=dtype), torch.tensor([y], dtype=dtype)
        nll, gradient, residual = asked(Poisson(), logits, target)
        slope = oracle.poisson_residual(z, y)
        moved = abs(slope) * 16 / oracle.poisson_nll(z, y)
        assert max(errors(nll, [oracle.poisson_nll(z, y)])) <= 16 + moved, (z, y)
        for found in (gradient, residual):
            assert max(errors(found, [slope])) <= 8 * step(z, y), (z, y)


@BOTH
@pytest.mark.parametrize("log_dispersion", [-25.0, -4.0, 0.0, 3.0])
def test_negative_binomial(log_dispersion: float, dtype: torch.dtype) -> None:
    for z, y in itertools.product((-6.0, 0.0, 0.5, 5.0, 13.8125, 30.0), (0.0, 1.0, 150.0, 1e6)):
        logits, target = torch.tensor([[z, log_dispersion]], dtype=dtype), torch.tensor([y], dtype=dtype)
        nll, gradient, residual = asked(NegativeBinomial(), logits, target)
        expected = oracle.negative_binomial_nll(z, log_dispersion, y)
        truth = oracle.negative_binomial_residual(z, log_dispersion, y)
        assert max(errors(nll, [expected])) <= 32 + abs(truth[0]) * 16 / expected, (z, y)
        for found in (gradient, residual):
            of_mean, of_dispersion = errors(found, truth)
            if z != 0.0 or y != 1.0:  # where the mean is met
                assert of_mean <= 8 * step(z, y), (z, y)
            # A squared distance less the variance: the two may be equal up to a few digits.
            assert of_dispersion <= 2e4, (z, y)


@BOTH
@pytest.mark.parametrize("df", [0.5, 1.0, 4.0, 150.0, 1e6])
def test_student_t(df: float, dtype: torch.dtype) -> None:
    likelihood = StudentT(df, "predicted")
    for log_scale, y in itertools.product((-8.0, 0.0, 3.0), (0.25, 0.5, 3.0, -1e4, 1e18)):
        logits, target = torch.tensor([[0.25, log_scale]], dtype=dtype), torch.tensor([y], dtype=dtype)
        nll, gradient, residual = asked(likelihood, logits, target)
        y = target.item()
        truth = oracle.student_t_nll(0.25, log_scale, y, df)
        eps = torch.finfo(dtype).eps
        assert abs(nll.item() - truth) <= 16 * eps * (abs(truth) + abs(log_scale) + 1)
        location, scale = oracle.student_t_residual(0.25, log_scale, y, df)
        for found in (gradient, residual):
            assert abs(found[0, 0].item() - location) <= 64 * eps * abs(location), (log_scale, y)
            assert abs(found[0, 1].item() - scale) <= 64 * eps * (1 + abs(scale)), (log_scale, y)


@BOTH
def test_quantile(dtype: torch.dtype) -> None:
    for level, y in itertools.product((1e-6, 0.25, 0.5, 0.999), (-1e6, 0.75, 0.5, 1e6)):
        likelihood = Quantile(level, scale=0.5)
        logits, target = torch.tensor([0.5], dtype=dtype), torch.tensor([y], dtype=dtype)
        nll, gradient, residual = asked(likelihood, logits, target)
        assert max(errors(nll, [oracle.quantile_nll(0.5, y, level, 0.5)])) <= 8
        slope = 0.0 if y == 0.5 else (mpf(y < 0.5) - mpf(level)) * 2
        for found in (gradient, residual):
            assert max(errors(found, [slope])) <= 8


@BOTH
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_cumulative_link(classes: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    likelihood = CumulativeLink.from_targets(torch.randint(classes, (50,))).to(dtype)
    thresholds = likelihood.thresholds(torch.float64).tolist()
    assert thresholds == sorted(thresholds)
    for score, k in itertools.product((-300.0, -20.0, 0.0, 0.5, 60.0, 1e3), range(classes)):
        logits, target = torch.tensor([score], dtype=dtype), torch.tensor([k])
        nll, gradient, residual = asked(likelihood, logits, target)
        truth = -oracle.mpmath.log(oracle.cumulative_probability(score, thresholds, k))
        eps, tiny = torch.finfo(dtype).eps, torch.finfo(dtype).tiny
        # A threshold less a score is rounded once: that much of a difference of 1e3 is an error of the value.
        assert abs(nll.item() - truth) <= 8 * eps * abs(truth) * (1 + abs(score)) + tiny, (score, k)
        above, below = oracle.cumulative_shares(score, thresholds, k)
        for found in (gradient, residual):
            # Exact to the last digits of the larger share, however small both are.
            bound = 8 * eps * (1 + abs(score)) * (above + below) + tiny
            assert abs(found.item() - (above - below)) <= bound, (score, k)


def test_a_plain_formula_would_fail() -> None:
    """In float32 `exp(z) - y * z + lgamma(y + 1)` of a million keeps nothing."""
    z, y = torch.tensor([math.log(1e6)]), torch.tensor([1e6])
    plain = torch.exp(z) - y * z + torch.lgamma(y + 1)
    truth = oracle.poisson_nll(z.item(), 1e6)
    assert errors(plain, [truth])[0] > 1e4
    assert errors(Poisson().nll(z, y), [truth])[0] <= 8
