"""sample_weight in every figure: repeated rows, scikit-learn's figures, batches, states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor

from figures import CASES, DATA, C, N, agree, fed, figures_of
from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.evaluate import (
    NLL,
    Accuracy,
    BitsPerByte,
    Brier,
    CalibrationError,
    ConfusionMatrix,
    ExactMatch,
    InformationGain,
    LabelConfusion,
    Metrics,
    PlattScaling,
    Ranking,
    Regression,
    SmoothECE,
    TemperatureScaling,
    TopKAccuracy,
    VectorScaling,
    estimate_prior,
    for_likelihood,
    merge_across_processes,
    threshold_curve,
    tune_thresholds,
)
from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, Likelihood, MultiLabel

TIMES = torch.arange(N) * 7 % 4  # 0 to 3
REPEATED = torch.arange(N).repeat_interleave(TIMES)
WEIGHT = torch.rand(N, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * (TIMES > 0)


def columns(name: str, rows: Tensor | slice = slice(None)) -> list[Tensor]:
    return [DATA[column][rows] for column in CASES[name][1]]


@pytest.mark.parametrize("name", CASES)
def test_whole_numbers_are_repeated_rows(name: str) -> None:
    case = CASES[name]
    expected = figures_of(fed(case, {}, columns(name, REPEATED)))
    for weight in (TIMES, TIMES.float(), TIMES.double()):
        assert agree(figures_of(fed(case, {}, columns(name), sample_weight=weight)), expected)
    ones = fed(case, {}, columns(name), sample_weight=torch.ones(N))
    assert agree(figures_of(ones), figures_of(fed(case, {}, columns(name))))
    assert not agree(figures_of(ones), expected)


@pytest.mark.parametrize("name", CASES)
def test_weighted_parts_add_up_in_any_order(name: str) -> None:
    """Batches with and without weights, merged, copied, sent through a state."""
    case = CASES[name]
    half = torch.arange(N) < N // 2
    whole = fed(case, {}, columns(name), sample_weight=torch.where(half, 1.0, WEIGHT))
    plain = fed(case, {}, columns(name, half))
    weighted = case[0]()
    order = torch.randperm(N // 2, generator=torch.Generator().manual_seed(0)) + N // 2
    for rows in order.split(7):
        weighted.update(*columns(name, rows), sample_weight=WEIGHT[rows])
    expected = figures_of(whole)
    assert agree(figures_of(plain + weighted), expected)
    assert agree(figures_of(weighted + plain), expected)
    onwards = plain.copy()
    onwards.update(*columns(name, ~half), sample_weight=WEIGHT[~half])
    assert agree(figures_of(onwards), expected)
    back = weighted.copy()
    back.update(*columns(name, half))
    assert agree(figures_of(back), expected)
    assert agree(figures_of(merge_across_processes(whole)), expected)
    if not isinstance(whole, Metrics):
        again = type(whole).from_state(whole.state())
        assert agree(figures_of(again), expected)
        # A state without weights has the same names as ever.
        assert not any("weight" in key for part in plain.state().values() for key in part)


@pytest.mark.parametrize("name", CASES)
def test_only_the_shares_of_the_weights_matter(name: str) -> None:
    case = CASES[name]
    first, second = (
        fed(case, {}, columns(name), sample_weight=WEIGHT * factor).compute() for factor in (1, 1e-3)
    )
    if name == "ConfusionMatrix" or name == "LabelConfusion":
        first, second = first / first.sum(), second / second.sum()
    if isinstance(first, dict):
        assert first.pop("count") == pytest.approx(second.pop("count") * 1e3)
        first.pop("support_each", None), second.pop("support_each", None)
    assert agree(first, second)


def test_unweighted_counts_stay_exact() -> None:
    matrix = ConfusionMatrix(C)
    matrix.update(DATA["said"], DATA["target"])
    assert matrix.compute().dtype == torch.int64
    assert matrix.rates().tp.dtype == torch.int64
    matrix.update(DATA["said"], DATA["target"], sample_weight=WEIGHT)
    assert matrix.compute().dtype == torch.float64


def test_figures_of_classes_are_scikit_learns() -> None:
    report = for_likelihood(Categorical(C), top_k=2, keep_scores=True)
    report.update(DATA["logits"], DATA["target"], sample_weight=WEIGHT)
    got = report.compute()
    y, said, p, w = (v.numpy() for v in (DATA["target"], DATA["said"], DATA["probs"], WEIGHT))
    options: dict[str, Any] = {"sample_weight": w}
    np.testing.assert_allclose(
        report.figures["confusion"].compute(), metrics.confusion_matrix(y, said, **options), rtol=1e-12
    )
    expected = {
        "count": w.sum(),
        "nll": metrics.log_loss(y, p, **options),
        "accuracy": metrics.accuracy_score(y, said, **options),
        "top_2": metrics.top_k_accuracy_score(y, p, k=2, **options),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, said, **options),
        "macro_f1": metrics.f1_score(y, said, average="macro", **options),
        "macro_precision": metrics.precision_score(y, said, average="macro", **options),
        "macro_iou": metrics.jaccard_score(y, said, average="macro", **options),
        "brier": np.average(((p - np.eye(C)[y]) ** 2).sum(1), weights=w),
        "roc_auc": np.mean([metrics.roc_auc_score(y == k, p[:, k], **options) for k in range(C)]),
        "average_precision": metrics.average_precision_score(np.eye(C)[y], p, **options),
    }
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-9), name
    parts = got["brier_reliability"] - got["brier_resolution"] + got["brier_uncertainty"]
    assert parts + got["brier_within_bins"] == pytest.approx(got["brier"], rel=1e-9)
    low, high = got["smooth_ece_interval"]
    assert low <= got["smooth_ece"] <= high


def test_figures_of_labels_are_scikit_learns() -> None:
    report = for_likelihood(MultiLabel(C), keep_scores=True)
    report.update(DATA["logits"], DATA["labels"], sample_weight=WEIGHT)
    got = report.compute()
    y, said, p, w = (v.numpy() for v in (DATA["labels"], DATA["decided"], DATA["yes"], WEIGHT))
    options: dict[str, Any] = {"sample_weight": w}
    each = {"sample_weight": w.repeat(C)}
    expected = {
        "nll": metrics.log_loss(y.ravel(), p.ravel(), **each),
        "accuracy": metrics.accuracy_score(y.ravel(), said.ravel(), **each),
        "exact_match": metrics.accuracy_score(y, said, **options),
        "brier": metrics.brier_score_loss(y.ravel(), p.ravel(), **each),
        "micro_f1": metrics.f1_score(y, said, average="micro", **options),
        "macro_f1": metrics.f1_score(y, said, average="macro", **options),
        "macro_iou": metrics.jaccard_score(y, said, average="macro", **options),
        "roc_auc": metrics.roc_auc_score(y, p, **options),
        "average_precision": metrics.average_precision_score(y, p, **options),
    }
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-9), name
    np.testing.assert_allclose(
        report.figures["confusion"].compute(),
        metrics.multilabel_confusion_matrix(y, said, **options),
        rtol=1e-9,
        atol=1e-12,
    )
    precision, recall, thresholds = metrics.precision_recall_curve(y[:, 0], p[:, 0], **options)
    curve = threshold_curve(DATA["yes"][:, 0], DATA["labels"][:, 0], sample_weight=WEIGHT)
    # Theirs count a score that equals the threshold as a yes.
    above = (torch.from_numpy(thresholds.copy()) <= curve.thresholds[:, None]).sum(1)
    np.testing.assert_allclose(curve.recall, recall[above], rtol=1e-9, atol=1e-12)
    assert len(precision) == len(curve.tp)
    np.testing.assert_allclose(curve.precision[:-1], precision[above][:-1], rtol=1e-9, atol=1e-12)
    assert float(curve.fn[0]) == float(curve.tp[-1]) == float(curve.tn[0]) == float(curve.fp[-1]) == 0


def test_ties_among_scores_are_scikit_learns() -> None:
    scores = (DATA["yes"] * 4).round() / 4
    figure = Ranking(C)
    figure.update(scores, DATA["labels"], sample_weight=WEIGHT)
    for k in range(C):
        options = {"y_true": DATA["labels"][:, k], "y_score": scores[:, k], "sample_weight": WEIGHT}
        assert figure.roc_auc()[k] == pytest.approx(metrics.roc_auc_score(**options), rel=1e-12)
        assert figure.average_precision()[k] == pytest.approx(
            metrics.average_precision_score(**options), rel=1e-12
        )


def test_figures_of_numbers_are_scikit_learns() -> None:
    target = DATA["numbers"][:, 0] + 40
    report = for_likelihood(Gaussian(), train_targets=target, train_sample_weight=WEIGHT)
    report.update(target + DATA["nll"], target, sample_weight=WEIGHT)
    got, options = report.compute(), {"sample_weight": WEIGHT.numpy()}
    y, said = target.numpy(), (target + DATA["nll"]).numpy()
    assert got["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, said, **options), rel=1e-9)
    assert got["mae"] == pytest.approx(metrics.mean_absolute_error(y, said, **options), rel=1e-9)
    assert got["r2"] == pytest.approx(metrics.r2_score(y, said, **options), rel=1e-9)
    variance = np.cov(y, aweights=WEIGHT.numpy(), ddof=0)
    assert got["prior_nll"] == pytest.approx(0.5 * (variance + math.log(2 * math.pi)), rel=1e-6)


def test_class_weights_and_sample_weights_multiply() -> None:
    likelihood = Categorical(C, weight=torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64))
    report = for_likelihood(likelihood)
    report.update(DATA["logits"], DATA["target"], sample_weight=WEIGHT)
    each = likelihood.weight[DATA["target"]] * WEIGHT  # type: ignore[index]
    nll = -torch.log_softmax(DATA["logits"], 1).gather(1, DATA["target"][:, None]).squeeze(1)
    assert report.compute()["nll"] == pytest.approx(float((each * nll).sum() / each.sum()), rel=1e-9)


def test_bins_of_equal_mass_hold_the_same_weight() -> None:
    figure = CalibrationError(4, "mass")
    weight = torch.where(torch.arange(N) % 2 == 0, 0.3, 0.1)
    figure.update(DATA["yes"][:, 0], DATA["labels"][:, 0], sample_weight=weight)
    assert all(abs(b.count - float(weight.sum()) / 4) <= 0.3 for b in figure.bins())
    same, plain = CalibrationError(4, "mass"), CalibrationError(4, "mass")
    same.update(DATA["yes"][:, 0], DATA["labels"][:, 0], sample_weight=torch.full((N,), 0.1))
    plain.update(DATA["yes"][:, 0], DATA["labels"][:, 0])
    assert [b.high for b in same.bins()] == [b.high for b in plain.bins()]
    assert same.compute() == pytest.approx(plain.compute(), rel=1e-9)


def test_labels_with_weights_of_their_own() -> None:
    weight = torch.stack([TIMES, TIMES + 1, TIMES * 0, TIMES], 1)
    figure = LabelConfusion(C)
    figure.update(DATA["decided"], DATA["labels"], sample_weight=weight)
    for k in (0, 1, 3):
        rows = torch.arange(N).repeat_interleave(weight[:, k])
        expected = metrics.confusion_matrix(
            DATA["labels"][rows, k], DATA["decided"][rows, k], labels=[0.0, 1.0]
        )
        assert figure.compute()[k].tolist() == expected.tolist()
    assert not figure.compute()[2].any()
    # A row counts with the mean weight of its labels that count.
    exact = ExactMatch()
    exact.update(DATA["decided"], DATA["labels"], sample_weight=weight)
    right = (DATA["decided"] == DATA["labels"]) | (weight == 0)
    mean = weight.double().sum(1) / (weight > 0).sum(1).clamp_min(1)
    assert exact.compute() == pytest.approx(float((right.all(1) * mean).sum() / mean.sum()), rel=1e-12)


CALIBRATORS = [
    (TemperatureScaling, Categorical(C), "target"),
    (TemperatureScaling, Categorical(C), "shares"),
    (lambda: VectorScaling(C), Categorical(C), "target"),
    (lambda: PlattScaling(C), MultiLabel(C), "labels"),
    (PlattScaling, Bernoulli(), "labels"),
]


@pytest.mark.parametrize(("make", "likelihood", "name"), CALIBRATORS)
def test_calibrators_are_those_of_repeated_rows(make: Any, likelihood: Likelihood, name: str) -> None:
    def fit(rows: Any, **marks: Any) -> list[Any]:
        made = make()
        report = made.fit(likelihood, DATA["logits"][rows], DATA[name][rows], **marks)
        numbers = [value.flatten().tolist() for value in made.state_dict().values()]
        return [numbers, report.count, report.nll_before, report.nll_after, report.ece_after]

    expected = fit(REPEATED)
    assert agree(fit(slice(None), sample_weight=TIMES), expected, rel=1e-6)
    assert not agree(fit(slice(None)), expected, rel=1e-6)


def test_priors_and_thresholds_are_those_of_repeated_rows() -> None:
    logits = DATA["logits"]
    for prior, options, part in (
        ([0.1, 0.2, 0.3, 0.4], {}, slice(None)),
        (0.4, {}, 0),
        ([0.4, 0.3, 0.6, 0.5], {"independent": True}, slice(None)),
    ):
        got = estimate_prior(logits[:, part], prior, sample_weight=TIMES, **options)
        assert agree(got, estimate_prior(logits[REPEATED][:, part], prior, **options), rel=1e-7)
    yes, labels = DATA["yes"], DATA["labels"]
    for metric in ("f1", "balanced_accuracy", "accuracy"):
        tuned = tune_thresholds(yes, labels, metric=metric, sample_weight=TIMES)
        assert agree(tuned, tune_thresholds(yes[REPEATED], labels[REPEATED], metric=metric))
    maps = torch.randn(5, C, 3, generator=torch.Generator().manual_seed(0))
    times = torch.tensor([2, 0, 1, 3, 1])
    got = estimate_prior(maps, [0.25] * C, sample_weight=times)
    assert agree(got, estimate_prior(maps.repeat_interleave(times, 0), [0.25] * C), rel=1e-7)


def test_the_interval_of_weighted_rows() -> None:
    plain, ones, scaled = (SmoothECE(64, keep_rows=True) for _ in range(3))
    values = DATA["yes"], DATA["labels"]
    plain.update(*values)
    ones.update(*values, sample_weight=torch.ones(N))
    assert agree(ones.interval(resamples=20), plain.interval(resamples=20))
    scaled.update(*values, sample_weight=WEIGHT * 100)
    interval = scaled.interval(resamples=20)
    assert interval.low <= interval.estimate <= interval.high
    assert interval.estimate == scaled.compute()


def test_bytes_and_tokens_are_weighed() -> None:
    figure = BitsPerByte(torch.tensor([0, 1, 4]))
    figure.update(
        torch.tensor([9.0, 2.0, 3.0]), torch.tensor([0, 1, 2]), sample_weight=torch.tensor([1, 2, 0.5])
    )
    assert (figure.bytes, figure.tokens) == (4.0, 2.5)
    assert figure.compute() == pytest.approx((2 * 2 + 0.5 * 3) / (math.log(2) * 4))
    assert figure.bits_per_token() == pytest.approx((2 * 2 + 0.5 * 3) / (math.log(2) * 2.5))


def test_states_of_rows_without_weights_do_not_join_with_weighted_ones_by_hand() -> None:
    first, second = Ranking(C), Ranking(C)
    first.update(DATA["yes"], DATA["labels"])
    second.update(DATA["yes"], DATA["labels"], sample_weight=WEIGHT)
    joined = second.state()
    joined["rows"] = {
        k: torch.cat([v, first.state()["rows"].get(k, v[:0])]) for k, v in joined["rows"].items()
    }
    with pytest.raises(OptionError, match="give the others a weight of 1"):
        Ranking.from_state(joined)


def test_refusals() -> None:
    said, target = DATA["said"], DATA["target"]
    with pytest.raises(OptionError, match="sample_weight"):
        Accuracy().update(said, target, sample_weight=-torch.ones(N))
    with pytest.raises(OptionError, match="sample_weight"):
        Brier().update(DATA["probs"], target, sample_weight=torch.full((N,), math.nan))
    with pytest.raises(ShapeError, match="LH603"):
        TopKAccuracy(1).update(DATA["logits"], target, sample_weight=torch.ones(N, C))
    with pytest.raises(ShapeError, match="LH603"):
        Regression().update(DATA["yes"], DATA["labels"], sample_weight=torch.ones(C))
    with pytest.raises(DTypeError, match="sample_weight is a list"):
        ConfusionMatrix(C).update(said, target, sample_weight=[1.0] * N)  # type: ignore[arg-type]
    for figure in (NLL(), InformationGain()):
        values = [DATA["nll"]] * (1 if isinstance(figure, NLL) else 2)
        with pytest.raises(OptionError, match="count and sample_weight are both given"):
            figure.update(*values, count=3, sample_weight=WEIGHT)
    with pytest.raises(OptionError, match="without train_targets"):
        for_likelihood(Categorical(C), train_sample_weight=WEIGHT)
