"""Values against 60-digit arithmetic: confident predictions keep their last digit."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from likelihead.likelihoods import Bernoulli, Categorical, Gaussian
from oracles import likelihoods as oracle

ROWS = [
    [20.0, 0.0, 0.0],
    [0.0, 60.0, -3.0],
    [1e4, -1e4, 1e4 - 1],
    [1e4, 1e4 + 0.25, 1e4 - 0.125],
    [0.0, -0.0, 0.0],
    [3.0, 2.5, -80.0],
    [-1.25, 0.5, 1.75],
]
ULPS = 8


def ulps(found: Tensor, expected: list[float]) -> float:
    """The largest error in units in the last place; expected values are mpmath's."""
    eps = torch.finfo(found.dtype).eps
    tiny = torch.finfo(found.dtype).tiny
    worst = 0.0
    for value, truth in zip(found.flatten().tolist(), expected, strict=True):
        worst = max(worst, float(abs(value - truth) / (abs(truth) * eps + tiny)))
    return worst


def one_hot(index: int, n: int = 3) -> list[float]:
    return [float(k == index) for k in range(n)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_categorical(row: list[float], dtype: torch.dtype):
    logits = torch.tensor([row], dtype=dtype)
    exact = logits[0].tolist()
    likelihood = Categorical(3)
    for y in range(3):
        target = torch.tensor([y])
        assert ulps(likelihood.nll(logits, target), [oracle.categorical_nll(exact, one_hot(y))]) <= ULPS
        residual = likelihood.residual(logits, target)
        assert ulps(residual, oracle.categorical_residual(exact, one_hot(y))) <= ULPS
    assert ulps(likelihood.log_probs(logits), oracle.categorical_log_probs(exact)) <= ULPS
    probs = oracle.softmax(exact)
    # The rounding of a difference of 80 is 40 roundings of its exponential.
    assert ulps(likelihood.probs(logits), probs) <= 64
    assert ulps(likelihood.entropy(logits), [oracle.entropy(probs)]) <= 64


@pytest.mark.parametrize(
    "options",
    [
        {"weight": [0.5, 2.0, 3.0], "label_smoothing": 0.125},
        {"z_loss": 0.0625},
        {"softcap": 8.0},
        {
            "softcap": 8.0,
            "offset": [0.5, -1.0, 0.25],
            "weight": [0.5, 2.0, 3.0],
            "z_loss": 0.25,
            "label_smoothing": 0.5,
        },
    ],
    ids=lambda o: "-".join(o),
)
def test_categorical_options(options):
    likelihood = Categorical(3, **{{"offset": "logit_offset"}.get(k, k): v for k, v in options.items()})
    for row, y in itertools.product(([20.0, 0.0, 0.5], [-1.25, 0.5, 1.75]), range(3)):
        logits = torch.tensor([row], dtype=torch.float64)
        for target, shares in (
            (torch.tensor([y]), one_hot(y)),
            (torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64), [0.25, 0.5, 0.25]),
        ):
            nll = oracle.categorical_nll(row, shares, **options)
            assert float(abs(likelihood.nll(logits, target).item() - nll)) <= 1e-14 * float(abs(nll))
            residual = likelihood.residual(logits, target).flatten().tolist()
            for found, truth in zip(
                residual, oracle.categorical_residual(row, shares, **options), strict=True
            ):
                assert float(abs(found - truth)) <= 1e-13


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("logit", [0.0, 1e-8, 0.5, 20.0, -20.0, 60.0, -60.0, 1e4, -1e4])
def test_bernoulli(logit: float, dtype: torch.dtype):
    logits = torch.tensor([logit], dtype=dtype)
    exact = logits.item()
    for y, weight in itertools.product((0.0, 1.0), (1.0, 3.0)):
        likelihood = Bernoulli(pos_weight=weight)
        target = torch.tensor([y], dtype=dtype)
        assert ulps(likelihood.nll(logits, target), [oracle.bernoulli_nll(exact, y, weight)]) <= ULPS
        assert (
            ulps(likelihood.residual(logits, target), [oracle.bernoulli_residual(exact, y, weight)]) <= ULPS
        )
    assert ulps(Bernoulli().entropy(logits), [oracle.entropy(oracle.sigmoid(exact))]) <= 64


@pytest.mark.parametrize("step", [1e-6, 1e-3, 0.1, 3.0, 40.0])
def test_divergence_of_near_distributions_does_not_cancel(step: float):
    """In float32, where the plain formula loses every digit at a step of 1e-3."""
    p = torch.tensor([[2.0, -1.0, 0.5], [12.0, 0.0, 1.0]])
    q = p + step * torch.tensor([1.0, -0.5, 0.25])
    found = Categorical(3).kl(p, q)
    for row, (a, b) in enumerate(zip(p.tolist(), q.tolist(), strict=True)):
        truth = oracle.kl(oracle.softmax(a), oracle.softmax(b))
        assert float(abs(found[row].item() - truth)) <= 4e-7 * float(truth) + 1e-22
    found = Bernoulli().kl(p[0], q[0])
    for row, (a, b) in enumerate(zip(p[0].tolist(), q[0].tolist(), strict=True)):
        truth = oracle.kl(oracle.sigmoid(a), oracle.sigmoid(b))
        assert float(abs(found[row].item() - truth)) <= 4e-7 * float(truth) + 1e-22


def test_gaussian():
    for mean, y, variance in ((0.0, 1.0, 1.0), (1e4, -1e4, 0.25), (2.5, 2.5, 9.0)):
        logits, target = torch.tensor([mean], dtype=torch.float64), torch.tensor([y], dtype=torch.float64)
        truth = oracle.gaussian_nll(mean, y, variance)
        assert ulps(Gaussian(variance).nll(logits, target), [truth]) <= ULPS
    p, q = torch.tensor([[1.0, 0.5]]), torch.tensor([[1.001, 0.499]])
    truth = oracle.gaussian_kl(*p[0].tolist(), *q[0].tolist())
    assert float(abs(Gaussian("predicted").kl(p, q).item() - truth)) <= 4e-7 * float(truth)


def test_mean_of_a_million_keeps_float32():
    likelihood = Bernoulli()
    n = 1_000_000
    loss = likelihood(torch.full((n,), 0.1), torch.ones(n))
    truth = oracle.bernoulli_nll(torch.tensor(0.1).item(), 1.0)
    assert float(abs(loss.item() - truth)) <= 4e-7 * float(truth)
