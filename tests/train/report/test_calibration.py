"""The reliability diagram's numbers, beside scikit-learn's curve."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from likelihead.train.report.calibration import reliability
from likelihead.train.report.plots import reliability_lines


def test_bins_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    prob = np.concatenate([rng.random(500), np.linspace(0, 1, 11)])
    outcome = (rng.random(511) < prob).astype(int)
    filled = [b for b in reliability(prob, outcome).bins if b.count]
    observed, stated = calibration_curve(outcome, prob, n_bins=10)
    assert [b.observed for b in filled] == pytest.approx(observed.tolist())
    assert [b.confidence for b in filled] == pytest.approx(stated.tolist())
    assert sum(b.count for b in filled) == 511


def test_perfect_and_worst() -> None:
    assert reliability(np.array([0.0, 1.0]), np.array([0, 1])).ece == 0.0
    assert reliability(np.array([0.0, 1.0]), np.array([1, 0])).ece == 1.0


def test_no_predictions() -> None:
    empty = reliability(np.array([]), np.array([]))
    assert np.isnan(empty.ece)
    assert all(b.count == 0 and np.isnan(b.observed) for b in empty.bins)


def test_reliability_before_and_after() -> None:
    rng = np.random.default_rng(0)
    prob = rng.random(500)
    outcome = rng.random(500) < 0.25 + 0.5 * prob
    before, after = reliability(prob, outcome), reliability(0.25 + 0.5 * prob, outcome)
    svg = reliability_lines([(before, "muted"), (after, "accent")], "stated", "observed", "scaled")
    assert f"{100 * before.ece:.1f}%, {100 * after.ece:.1f}%" in svg
    assert "var(--accent)" in svg
