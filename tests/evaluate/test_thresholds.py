"""Curves and areas against scikit-learn; the tuned threshold against trying them all."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from torch.testing import assert_close

from likelihead.errors import DomainError, OptionError, ShapeError, TargetError
from likelihead.evaluate import average_precision, roc_auc, threshold_curve, tune_thresholds
from likelihead.likelihoods import Bernoulli, MultiLabel

SCORED = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0]) | st.floats(0, 1, width=32), st.booleans()),
    min_size=2,
    max_size=40,
)


@settings(max_examples=40)
@given(SCORED)
def test_areas_are_scikit_learns(rows: list[tuple[float, bool]]) -> None:
    scores, truth = (torch.tensor(column) for column in zip(*rows, strict=True))
    if truth.all() or not truth.any():
        assert math.isnan(roc_auc(scores, truth))
    else:
        assert roc_auc(scores, truth) == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-12)
    if truth.any():
        expected = metrics.average_precision_score(truth, scores)
        assert average_precision(scores, truth) == pytest.approx(expected, abs=1e-12)
    else:
        assert math.isnan(average_precision(scores, truth))


@settings(max_examples=40)
@given(SCORED)
def test_the_curve_is_what_predictions_do(rows: list[tuple[float, bool]]) -> None:
    probs, truth = (torch.tensor(column) for column in zip(*rows, strict=True))
    curve = threshold_curve(probs, truth)
    assert bool((curve.thresholds.diff() > 0).all())
    assert len(curve.thresholds) == len(probs.unique()) + (0 if bool((probs == 0).any()) else 1)
    for k, threshold in enumerate(curve.thresholds):
        said = probs > threshold
        expected = metrics.confusion_matrix(truth, said, labels=[False, True]).tolist()
        assert expected == [
            [int(curve.tn[k]), int(curve.fp[k])],
            [int(curve.fn[k]), int(curve.tp[k])],
        ]
        assert curve.accuracy[k].item() == pytest.approx(
            metrics.accuracy_score(truth, said), rel=1e-9, abs=1e-12
        )
        got = math.nan if not (truth.any() or said.any()) else metrics.f1_score(truth, said)
        assert curve.f1[k].item() == pytest.approx(got, nan_ok=True, rel=1e-9, abs=1e-12)


def test_a_threshold_between_neighbours_still_splits_them() -> None:
    for dtype in (torch.float32, torch.float64):
        low = torch.tensor(0.3, dtype=dtype)
        pair = torch.stack([low, torch.nextafter(low, torch.ones((), dtype=dtype))])
        tuned = tune_thresholds(pair, torch.tensor([0, 1]))
        assert tuned.thresholds.dtype == dtype
        assert (pair > tuned.thresholds).tolist() == [False, True]


@pytest.mark.parametrize("metric", ["f1", "balanced_accuracy", "accuracy"])
def test_no_other_threshold_is_better(metric: str) -> None:
    probs, target = torch.rand(60, 3), (torch.rand(60, 3) < 0.3).float()
    target[::7, 1] = math.nan
    tuned = tune_thresholds(probs, target, metric=metric)  # type: ignore[arg-type]
    score = getattr(metrics, f"{metric}_score")
    for label in range(3):
        known = ~target[:, label].isnan()
        p, y = probs[known, label], target[known, label]
        reached = score(y, p > tuned.thresholds[label])
        assert reached == pytest.approx(tuned.value[label].item(), rel=1e-9, abs=1e-12)
        assert reached >= max(score(y, p > t) for t in torch.linspace(0, 1, 61)) - 1e-12
        assert tuned.value_at_half[label].item() == pytest.approx(score(y, p > 0.5), rel=1e-9, abs=1e-12)
    predicted = MultiLabel(3).predict(torch.logit(probs.double()), threshold=tuned.thresholds.double())
    assert_close(predicted, (probs > tuned.thresholds).long())


def test_one_threshold_fits_predict() -> None:
    tuned = tune_thresholds(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0, 1, 1]))
    assert tuned.thresholds.dim() == 0
    assert Bernoulli().predict(torch.logit(torch.tensor([0.19])), threshold=tuned.thresholds).tolist() == [1]


def test_of_equal_ones_the_nearest_to_a_half() -> None:
    probs = torch.tensor([0.2, 0.4, 0.9], dtype=torch.float64)  # float32 has no 0.4
    tuned = tune_thresholds(probs, torch.tensor([0, 0, 1]), metric="accuracy")
    assert tuned.thresholds.item() == pytest.approx(0.65, rel=1e-9, abs=1e-12)
    assert tuned.value.item() == tuned.value_at_half.item() == 1


def test_maps_are_labels_along_dimension_1() -> None:
    probs, target = torch.rand(5, 2, 4), torch.randint(2, (5, 2, 4))
    maps = tune_thresholds(probs, target)
    rows = tune_thresholds(probs.movedim(1, -1).flatten(0, 1), target.movedim(1, -1).flatten(0, 1))
    assert torch.equal(maps.thresholds, rows.thresholds)


def test_a_label_with_one_outcome() -> None:
    probs, target = torch.rand(6, 2), torch.zeros(6, 2)
    target[:3, 0] = 1
    with pytest.raises(TargetError, match="label 1 of target is never yes"):
        tune_thresholds(probs, target)
    tuned = tune_thresholds(probs, target, fallback=0.5)
    assert tuned.thresholds[1].item() == 0.5
    assert math.isnan(tuned.value[1].item())
    with pytest.raises(TargetError, match="target is never known"):
        tune_thresholds(probs[:, 0], torch.full((6,), math.nan))


def test_refusals() -> None:
    probs, target = torch.rand(4), torch.tensor([0, 1, 0, 1])
    with pytest.raises(DomainError, match=r"probabilities in \[0, 1\]"):
        threshold_curve(probs * 3 + 1, target)
    with pytest.raises(TargetError, match=r"target holds 0\.5; expected 0 or 1"):
        roc_auc(probs, torch.full((4,), 0.5))
    with pytest.raises(DomainError, match="LH801"):
        roc_auc(torch.full((4,), math.nan), target)
    with pytest.raises(ShapeError, match="LH302"):
        average_precision(probs[:, None], target)
    with pytest.raises(OptionError, match="metric is 'auc'"):
        tune_thresholds(probs, target, metric="auc")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="fallback is 2"):
        tune_thresholds(probs, target, fallback=2.0)
