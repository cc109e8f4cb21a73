"""One rule for what is left out: every figure x every kind of missing, beside the rows that count."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor

from figures import CASES, DATA, C, N, agree, fed, figures_of
from likelihead.errors import OptionError, ShapeError
from likelihead.evaluate import (
    Brier,
    BrierDecomposition,
    CalibrationError,
    ConfusionMatrix,
    LabelConfusion,
    PlattScaling,
    Ranking,
    TemperatureScaling,
    VectorScaling,
    constant_nll,
    estimate_prior,
    for_likelihood,
    tune_thresholds,
)
from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, Likelihood, MultiLabel

KEEP = torch.arange(N) % 3 != 1
NO_MASK = ("Metrics of classes", "Metrics of shares", "Metrics of numbers")


def spoilt(values: Tensor, garbage: float) -> Tensor:
    """Garbage where a row is left out."""
    where = KEEP.reshape(-1, *[1] * (values.dim() - 1))
    return torch.where(where, values, torch.full_like(values, garbage))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("garbage", [math.nan, math.inf])
def test_what_is_left_out_is_left_out_by_every_figure(name: str, garbage: float) -> None:
    case = CASES[name]
    full = [DATA[column] for column in case[1]]
    bad = [spoilt(column, garbage if column.is_floating_point() else 77) for column in full]
    target = full[-1]
    wide = KEEP.reshape(-1, *[1] * (target.dim() - 1)).expand(target.shape)
    ways: dict[str, tuple[list[Tensor], dict[str, Tensor], dict[str, Any]]] = {
        "a weight of 0": (bad, {"sample_weight": KEEP}, {}),
        "weights of 0": (bad, {"sample_weight": KEEP.float()}, {}),
    }
    if name not in NO_MASK:
        ways["a mask"] = (bad, {"mask": wide}, {})
    if case[2] == "class":
        ways["the index -100"] = ([*bad[:-1], spoilt(target, -100)], {}, {})
        ways["an index beyond the classes"] = (
            [*bad[:-1], spoilt(target, 255).to(torch.uint8)],
            {},
            {"ignore_index": 255},
        )
    if case[2] == "real":
        ways["NaN"] = ([*bad[:-1], spoilt(target, math.nan)], {}, {})
    if "shares" in case[1]:
        one = target.clone()
        one[~KEEP, 2] = math.nan
        ways["one NaN of a row"] = ([*bad[:-1], one], {}, {})
    if case[2] == "real" and target.dim() > 1 and "shares" not in case[1]:
        ways["weights of each value"] = (bad, {"sample_weight": wide.double()}, {})
    kept = [column[KEEP] for column in full]
    for way, (columns, marks, options) in ways.items():
        expected = figures_of(fed(case, options, kept))
        assert agree(figures_of(fed(case, options, columns, **marks)), expected), way
    assert not agree(figures_of(fed(case, {}, full)), figures_of(fed(case, {}, kept)))


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case[2] == "class"])
def test_an_ignored_class_leaves_out_its_rows(name: str) -> None:
    case = CASES[name]
    full = [DATA[column] for column in case[1]]
    kept = [column[full[-1] != 1] for column in full]
    got, expected = (figures_of(fed(case, {"ignore_index": 1}, part)) for part in (full, kept))
    assert agree(got, expected)
    assert not agree(figures_of(fed(case, {}, full)), expected)


def test_an_ignored_class_is_in_no_mean() -> None:
    said, target = DATA["said"], DATA["target"]
    kept = target != 1
    y, p = target[kept].numpy(), said[kept].numpy()
    assert (p == 1).any()
    matrix = ConfusionMatrix(C, ignore_index=1)
    matrix.update(said, target)
    report = for_likelihood(Categorical(C, ignore_index=1), keep_scores=True)
    report.update(DATA["logits"], target)
    figures, rates = report.compute(), matrix.rates()
    options: dict[str, Any] = {"labels": [0, 2, 3], "zero_division": np.nan}
    for name, score in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
        ("iou", metrics.jaccard_score),
    ):
        if name == "iou":
            options["zero_division"] = 0.0
        expected = score(y, p, average="macro", **options)
        each = score(y, p, average=None, **options)
        assert rates.macro(name) == pytest.approx(expected, rel=1e-12)
        assert rates.micro(name) == pytest.approx(score(y, p, average="micro", **options), rel=1e-12)
        assert getattr(rates, name)[[0, 2, 3]].tolist() == pytest.approx(each.tolist(), rel=1e-12)
        assert math.isnan(getattr(rates, name)[1])
        reported = figures["balanced_accuracy" if name == "recall" else f"macro_{name}"]
        assert reported == pytest.approx(expected, rel=1e-12)
        assert math.isnan(figures[f"{name}_each"][1])
    assert rates.support.tolist() == [int((y == k).sum()) for k in range(C)]
    assert matrix.accuracy() == pytest.approx((y == p).mean(), rel=1e-12)
    assert matrix.balanced_accuracy() == rates.macro("recall")
    assert math.isnan(figures["roc_auc_each"][1])
    probs = DATA["probs"][kept].numpy()
    areas = [metrics.roc_auc_score(y == k, probs[:, k]) for k in (0, 2, 3)]
    assert figures["roc_auc"] == pytest.approx(np.mean(areas), rel=1e-12)
    parts = figures["brier_reliability"] - figures["brier_resolution"] + figures["brier_uncertainty"]
    assert parts + figures["brier_within_bins"] == pytest.approx(figures["brier"], rel=1e-12)
    assert figures["brier"] == pytest.approx(((probs - np.eye(C)[y]) ** 2).sum(1).mean(), rel=1e-12)


@pytest.mark.parametrize("likelihood", [Categorical(C), Bernoulli(), MultiLabel(C), Gaussian()])
def test_the_figures_of_a_report_count_the_same(likelihood: Likelihood) -> None:
    is_class = isinstance(likelihood, Categorical)
    target = DATA["target" if is_class else "labels"]
    marked = spoilt(target, -100) if is_class else spoilt(target, math.nan)
    report = for_likelihood(likelihood, train_targets=target)
    weight = torch.where(torch.arange(N) < 3, 0.0, 2.0)
    report.update(DATA["logits"], marked)
    report.update(DATA["logits"], marked, sample_weight=weight)
    each = 1 if is_class else C
    expected = each * float(KEEP.sum() + (KEEP * weight).sum())
    assert report.compute()["count"] == expected
    counts = {}
    for name, figure in report.figures.items():
        if name in ("kl", "exact_match"):
            continue
        number = figure.state()["counts"].get("count", figure.state()["counts"].get("pairs"))
        if number is None:
            number = figure._total("count")
        else:
            number = figure._number("pairs" if name == "confusion" else "count")
        per = C if name == "brier_parts" and is_class else 1
        counts[name] = float(number.sum()) / per
    assert counts == dict.fromkeys(counts, expected)
    assert len(counts) >= 3


CALIBRATORS = [
    (TemperatureScaling, Categorical(C), "target"),
    (lambda: VectorScaling(C), Categorical(C), "target"),
    (lambda: PlattScaling(C), MultiLabel(C), "labels"),
    (PlattScaling, Bernoulli(), "labels"),
    (TemperatureScaling, MultiLabel(C), "labels"),
]


@pytest.mark.parametrize(("make", "likelihood", "name"), CALIBRATORS)
def test_calibrators_leave_out_the_same(make: Any, likelihood: Likelihood, name: str) -> None:
    def fit(logits: Tensor, target: Tensor, **marks: Any) -> list[Any]:
        made = make()
        report = made.fit(likelihood, logits, target, **marks)
        numbers = [value.flatten().tolist() for value in made.state_dict().values()]
        return [numbers, report.count, report.nll_before, report.nll_after, report.ece_after]

    logits, target = DATA["logits"], DATA[name]
    bad = spoilt(logits, math.nan)
    is_class = name == "target"
    expected = fit(logits[KEEP], target[KEEP])
    marked = spoilt(target, -100 if is_class else math.nan)
    ways: list[dict[str, Any]] = [
        {"target": marked},
        {"target": spoilt(target, 77), "mask": KEEP if is_class else KEEP[:, None].expand(N, C)},
        {"target": spoilt(target, 77), "sample_weight": KEEP},
    ]
    for way in ways:
        got = fit(bad, way.pop("target"), **way)
        assert agree_loosely(got, expected), way
    assert not agree_loosely(fit(logits, target), expected)


def agree_loosely(first: Any, second: Any) -> bool:
    """Two fits end within the tolerance of the minimiser."""
    return agree(first, second, rel=1e-6)


def test_priors_and_thresholds_leave_out_the_same() -> None:
    logits = DATA["logits"]
    bad = spoilt(logits, math.nan)
    for prior, options, part in (
        ([0.25] * C, {}, slice(None)),
        (0.4, {}, 0),
        ([0.4] * C, {"independent": True}, slice(None)),
    ):
        got = estimate_prior(bad[:, part], prior, sample_weight=KEEP, **options)
        assert agree(got, estimate_prior(logits[KEEP][:, part], prior, **options))
        assert not agree(got, estimate_prior(logits[:, part], prior, **options))
    with pytest.raises(OptionError, match="no row"):
        estimate_prior(logits, [0.25] * C, sample_weight=torch.zeros(N))
    yes, labels = DATA["yes"], DATA["labels"]
    expected = tune_thresholds(yes[KEEP], labels[KEEP])
    for marks in (
        {"sample_weight": KEEP},
        {"mask": KEEP[:, None].expand(N, C)},
        {"sample_weight": KEEP[:, None].expand(N, C)},
    ):
        tuned = tune_thresholds(spoilt(yes, math.nan), spoilt(labels, 9), **marks)
        assert agree(tuned, expected)


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_a_constant_lies_along_the_axis_that_the_likelihood_declares(steps: int) -> None:
    """Sizes that coincide and sizes that differ, against the closed form."""
    generator = torch.Generator().manual_seed(2)

    def check(likelihood: Likelihood, target: Tensor, logits_shape: tuple[int, ...]) -> None:
        report = for_likelihood(likelihood, train_targets=target)
        report.update(torch.zeros(logits_shape, dtype=torch.float64), target)
        expected = float(likelihood.baseline_nll(target))
        assert report.compute()["prior_nll"] == pytest.approx(expected, rel=1e-6)

    noise = torch.randn(50, steps, 3, generator=generator, dtype=torch.float64)
    offset = torch.tensor([0.0, 20.0, -7.0], dtype=torch.float64)
    check(Gaussian(num_outputs=3), noise + offset, (50, steps, 3))
    check(Gaussian("predicted", num_outputs=3), noise * (offset.abs() + 1) + offset, (50, steps, 3, 2))
    check(Gaussian("predicted"), noise[..., 0] + 5, (50, steps, 2))
    check(Gaussian(), noise + 5, (50, steps, 3))
    classes = torch.randint(3, (50, steps), generator=generator) * (noise[..., 0] > 0)
    check(Categorical(3), classes, (50, 3, steps))
    check(Categorical(3), classes.unsqueeze(1).expand(50, 3, steps), (50, 3, 3, steps))
    labels = (torch.rand(50, 3, steps, generator=generator) < torch.tensor([[0.1], [0.5], [0.8]])).double()
    check(MultiLabel(3), labels, (50, 3, steps))
    check(Bernoulli(), labels, (50, 3, steps))
    with pytest.raises(ShapeError, match=r"takes \[\.\.\., 3\]"):
        constant_nll(Gaussian(num_outputs=3), torch.zeros(3, 5), torch.zeros(3, 5), torch.zeros(3))


@pytest.mark.parametrize("size", [C, C + 1])
def test_weights_line_up_with_the_examples_whatever_the_sizes(size: int) -> None:
    """Labels [N, L, T] with weights [N] and [N, L], where N, L and T are equal and where they are not."""
    generator = torch.Generator().manual_seed(3)
    shape = (C, C, size)
    yes = torch.rand(shape, generator=generator, dtype=torch.float64)
    labels = (torch.rand(shape, generator=generator) < 0.5).double()
    of_example = torch.tensor([1.0, 2.0, 0.0, 3.0])
    of_label = torch.randint(3, (C, C), generator=generator)
    made: tuple[Callable[[], Any], ...] = (
        Brier,
        CalibrationError,
        lambda: BrierDecomposition(C),
        lambda: LabelConfusion(C),
        lambda: Ranking(C),
    )
    for make in made:
        for weight in (of_example, of_label):
            whole = weight.reshape(*weight.shape, *[1] * (3 - weight.dim())).expand(shape)
            short, long = make(), make()
            values = (yes > 0.5).long() if isinstance(short, LabelConfusion) else yes
            short.update(values, labels, sample_weight=weight)
            long.update(values, labels, sample_weight=whole)
            assert agree(short.compute(), long.compute())
            with pytest.raises(ShapeError, match="LH603"):
                make().update(values, labels, sample_weight=torch.ones(C + 2))
    maps, classes = torch.randn(C, C, C, generator=generator), torch.randint(C, (C, C), generator=generator)
    first, second = for_likelihood(Categorical(C)), for_likelihood(Categorical(C))
    first.update(maps, classes, sample_weight=of_example)
    second.update(maps, classes, sample_weight=of_example[:, None].expand(C, C))
    assert agree(first.compute(), second.compute())
