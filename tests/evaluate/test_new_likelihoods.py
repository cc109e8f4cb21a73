"""The figures of counts, robust numbers, quantiles and ordered classes, against scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics
from torch import Tensor

from figures import agree
from likelihead.evaluate import for_likelihood
from likelihead.likelihoods import (
    CumulativeLink,
    Likelihood,
    NegativeBinomial,
    Poisson,
    Quantile,
    StudentT,
)

N = 40
GENERATOR = torch.Generator().manual_seed(4)
LOG_MEAN = torch.randn(N, generator=GENERATOR, dtype=torch.float64)
COUNTS = torch.poisson(torch.exp(LOG_MEAN + 0.3), generator=GENERATOR)
NUMBERS = torch.randn(N, generator=GENERATOR, dtype=torch.float64) + 3
TIMES = torch.arange(N) % 4
WEIGHT = torch.rand(N, generator=GENERATOR, dtype=torch.float64)
CLASSES = torch.randint(4, (N,), generator=GENERATOR)
SPREAD = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)

CASES: dict[str, tuple[Likelihood, Tensor, Tensor]] = {
    "poisson": (Poisson(), LOG_MEAN, COUNTS),
    "negative binomial": (
        NegativeBinomial("predicted"),
        torch.stack([LOG_MEAN, NUMBERS - 4], -1),
        COUNTS,
    ),
    "negative binomial, known": (NegativeBinomial(0.7), LOG_MEAN, COUNTS),
    "student t": (StudentT(), NUMBERS[:, None].flip(0)[:, 0], NUMBERS),
    "quantiles": (Quantile([0.1, 0.5, 0.9]), (NUMBERS.flip(0)[:, None] + SPREAD), NUMBERS),
    "a quantile": (Quantile(0.8), NUMBERS.flip(0), NUMBERS),
    "ordinal": (CumulativeLink(4), LOG_MEAN * 2, CLASSES),
}


def report(name: str, rows: Any = slice(None), train: Any = None, **marks: Any) -> dict[str, Any]:
    likelihood, logits, target = CASES[name]
    made = for_likelihood(likelihood, train_targets=target if train is None else train)
    if likelihood.parameter_shape == ("num_outputs", 2) and not isinstance(likelihood, NegativeBinomial):
        logits = torch.stack([logits, torch.zeros_like(logits)], -1)
    made.update(marks.pop("logits", logits)[rows], marks.pop("target", target)[rows], **marks)
    return made.compute()


def test_counts_are_scikit_learns() -> None:
    options: dict[str, Any] = {"sample_weight": WEIGHT.numpy()}
    got, y, mean = report("poisson", sample_weight=WEIGHT), COUNTS.numpy(), torch.exp(LOG_MEAN).numpy()
    w = WEIGHT.numpy()
    expected = {
        "count": w.sum(),
        "nll": np.average(-stats.poisson.logpmf(y, mean), weights=w),
        "deviance": metrics.mean_poisson_deviance(y, mean, **options),
        "rmse": metrics.root_mean_squared_error(y, mean, **options),
        "mae": metrics.mean_absolute_error(y, mean, **options),
        "r2": metrics.r2_score(y, mean, **options),
        "mean_predicted": np.average(mean, weights=w),
        "mean_observed": np.average(y, weights=w),
        "prior_nll": np.average(-stats.poisson.logpmf(y, y.mean()), weights=w),
    }
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize("name", ["negative binomial", "negative binomial, known"])
def test_the_deviance_of_overdispersed_counts_is_twice_the_nll_above_the_best(name: str) -> None:
    got, mean = report(name), torch.exp(LOG_MEAN)
    a = torch.exp(NUMBERS - 4) if name == "negative binomial" else torch.full((N,), 0.7, dtype=torch.float64)

    def nll(mu: Tensor) -> np.ndarray[Any, Any]:
        r = 1 / a
        found: np.ndarray[Any, Any] = -stats.nbinom.logpmf(COUNTS, r, r / (r + mu))
        return found

    assert got["nll"] == pytest.approx(nll(mean).mean(), rel=1e-9)
    best = nll(COUNTS.clamp_min(1e-300))
    assert got["deviance"] == pytest.approx(2 * (nll(mean) - best).mean(), rel=1e-7)


def test_without_dispersion_the_deviance_is_poissons() -> None:
    figures = for_likelihood(NegativeBinomial("predicted"))
    figures.update(torch.stack([LOG_MEAN, torch.full((N,), -50.0)], -1), COUNTS)
    assert figures.compute()["deviance"] == pytest.approx(report("poisson")["deviance"], rel=1e-8)


def test_robust_numbers() -> None:
    got = report("student t", sample_weight=WEIGHT)
    y, said = NUMBERS.numpy(), NUMBERS.flip(0).numpy()
    options: dict[str, Any] = {"sample_weight": WEIGHT.numpy()}
    assert got["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, said, **options), rel=1e-9)
    assert got["mae"] == pytest.approx(metrics.mean_absolute_error(y, said, **options), rel=1e-9)
    assert got["r2"] == pytest.approx(metrics.r2_score(y, said, **options), rel=1e-9)


@pytest.mark.parametrize("name", ["quantiles", "a quantile"])
def test_quantiles_are_scikit_learns(name: str) -> None:
    likelihood, logits, _ = CASES[name]
    got, w = report(name, sample_weight=WEIGHT), WEIGHT.numpy()
    columns = logits.reshape(N, -1).numpy()
    y = NUMBERS.numpy()
    for k, level in enumerate(likelihood.levels):  # type: ignore[arg-type]
        pinball = metrics.mean_pinball_loss(y, columns[:, k], alpha=level, sample_weight=w)
        assert got["pinball_each"][k] == pytest.approx(pinball, rel=1e-9)
        assert got["coverage_each"][k] == pytest.approx(np.average(y <= columns[:, k], weights=w), rel=1e-9)
    assert got["pinball"] == pytest.approx(np.mean(got["pinball_each"]), rel=1e-9)
    inside = (y >= columns[:, 0]) & (y <= columns[:, -1])
    assert got.get("interval_coverage", np.average(inside, weights=w)) == pytest.approx(
        np.average(inside, weights=w), rel=1e-9, abs=1e-12
    )
    assert ("interval_coverage" in got) == (name == "quantiles")


def test_ordered_classes_are_scikit_learns() -> None:
    likelihood, logits, _ = CASES["ordinal"]
    got, options = report("ordinal", sample_weight=WEIGHT), {"sample_weight": WEIGHT.numpy()}
    said, y = likelihood.predict(logits).numpy(), CLASSES.numpy()
    probs = likelihood.probs(logits).detach().numpy()
    share = np.bincount(y, minlength=4) / N
    expected = {
        "nll": metrics.log_loss(y, probs, **options),
        "accuracy": metrics.accuracy_score(y, said, **options),
        "macro_f1": metrics.f1_score(y, said, average="macro", **options),
        "rank_mae": metrics.mean_absolute_error(y, said, **options),
        "quadratic_kappa": metrics.cohen_kappa_score(y, said, weights="quadratic", **options),
        "brier": np.average(((probs - np.eye(4)[y]) ** 2).sum(1), weights=WEIGHT.numpy()),
        "prior_nll": np.average(-np.log(share)[y], weights=WEIGHT.numpy()),
    }
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-5), name
    maps = for_likelihood(likelihood, train_targets=CLASSES)
    maps.update(logits.reshape(N, 1), CLASSES.reshape(N, 1), sample_weight=WEIGHT)
    assert agree(maps.compute(), got)


@pytest.mark.parametrize("name", CASES)
def test_weights_are_repeated_rows_and_what_is_missing_is_left_out(name: str) -> None:
    repeated = torch.arange(N).repeat_interleave(TIMES)
    expected = report(name, rows=repeated)
    assert agree(report(name, sample_weight=TIMES), expected)
    assert not agree(report(name), expected)
    left = TIMES == 0
    likelihood, logits, target = CASES[name]
    kept = report(name, rows=~left)
    wide = left.reshape(-1, *[1] * (logits.dim() - 1))
    for garbage in (math.nan, math.inf):
        bad = torch.where(wide, garbage, logits)
        mark = likelihood.ignore_index if name == "ordinal" else math.nan  # type: ignore[union-attr]
        marked = torch.where(left, torch.as_tensor(mark).to(target.dtype), target)
        assert agree(report(name, logits=bad, target=marked, train=target), kept)
        spoilt = torch.where(left, 77, target)
        got = report(name, logits=bad, target=spoilt, train=target, sample_weight=~left)
        assert agree(got, kept)


@pytest.mark.parametrize("name", CASES)
def test_batches_and_states(name: str) -> None:
    likelihood, logits, target = CASES[name]
    first, second = for_likelihood(likelihood), for_likelihood(likelihood)
    first.update(logits[:15], target[:15])
    second.update(logits[15:], target[15:], sample_weight=WEIGHT[15:])
    whole = for_likelihood(likelihood)
    whole.update(logits, target, sample_weight=torch.where(torch.arange(N) < 15, 1.0, WEIGHT))
    assert agree((first + second).compute(), whole.compute())


@pytest.mark.parametrize("steps", [2, 3])
def test_the_constant_of_several_outputs(steps: int) -> None:
    target = torch.poisson(torch.ones(30, steps, 2) * torch.tensor([1.0, 30.0]), generator=GENERATOR)
    for likelihood, shape in (
        (Poisson(num_outputs=2), (30, steps, 2)),
        (NegativeBinomial("predicted", num_outputs=2), (30, steps, 2, 2)),
        (Quantile([0.2, 0.8], num_outputs=2), (30, steps, 2, 2)),
    ):
        figures = for_likelihood(likelihood, train_targets=target)
        figures.update(torch.zeros(shape), target)
        expected = float(likelihood.baseline_nll(target))
        # The best dispersion of counts that vary less than Poisson's is 0, and a bias stops short of it.
        assert figures.compute()["prior_nll"] == pytest.approx(expected, rel=1e-3)
