"""Calibration errors against their definitions, split and merged at random."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likelihead.errors import DomainError, OptionError
from likelihead.evaluate import CalibrationError, SmoothECE
from oracles import evaluate as oracle

ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0]) | st.floats(0, 1), st.booleans()),
    min_size=1,
    max_size=50,
)


@settings(max_examples=60)
@given(ROWS, st.integers(1, 12), st.sampled_from(["width", "mass"]), st.integers(1, 7), st.randoms())
def test_it_is_the_definition_however_it_is_split(rows, bins, binning, size, random) -> None:
    whole = CalibrationError(bins, binning)
    said, came = (torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True))
    whole.update(said, came)
    expected = getattr(oracle, f"ece_{binning}")(said.tolist(), came.tolist(), bins)
    assert whole.compute() == pytest.approx(expected, abs=1e-12)
    shuffled = random.sample(rows, len(rows))
    merged = CalibrationError(bins, binning)
    for start in range(0, len(rows), size):
        part = CalibrationError(bins, binning)
        p, y = zip(*shuffled[start : start + size], strict=True)
        part.update(torch.tensor(p, dtype=torch.float64), torch.tensor(y))
        merged = part + merged if random.random() < 0.5 else merged.merge(part)
    assert merged.compute() == pytest.approx(expected, abs=1e-12)
    assert sum(row.count for row in merged.bins()) == len(rows)


def test_bins_say_what_the_error_is_made_of() -> None:
    figure = CalibrationError(4)
    figure.update(torch.tensor([0.25, 0.2, 0.9]), torch.tensor([1, 0, 1]))
    first, empty, _, last = figure.bins()
    assert (first.low, first.high, first.count, first.observed) == (0.0, 0.25, 2, 0.5)
    assert empty.count == 0
    assert math.isnan(empty.confidence)
    assert (last.count, last.observed) == (1, 1.0)
    mass = CalibrationError(2, "mass")
    mass.update(torch.tensor([0.1, 0.1, 0.1, 0.9]), torch.tensor([0, 0, 1, 1]))
    assert [row.count for row in mass.bins()] == [3, 1]


def test_missing_outcomes_are_left_out_and_nothing_is_nan() -> None:
    for figure in (CalibrationError(), CalibrationError(10, "mass"), SmoothECE()):
        assert math.isnan(figure.compute())
        figure.update(torch.tensor([0.3, 0.9]), torch.tensor([1.0, math.nan]))
        figure.update(torch.tensor([0.8]), torch.tensor([1]), mask=torch.tensor([False]))
        assert figure.compute() == pytest.approx(0.7, rel=1e-2)
    assert CalibrationError().bins()[0].count == 0
    assert CalibrationError(10, "mass").bins() == ()


def rows(n: int, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n)
    said = torch.rand(n, generator=generator, dtype=torch.float64)
    return said, (torch.rand(n, generator=generator) < (said * (1 - shift))).double()


@pytest.mark.parametrize(("n", "shift"), [(30, 0.0), (80, 0.5), (120, 0.0)])
def test_smooth_ece_is_the_sum_over_all_pairs(n: int, shift: float) -> None:
    said, came = rows(n, shift)
    figure = SmoothECE()
    figure.update(said, came)
    for sigma in (0.02, 0.1, 0.6):
        exact = oracle.smooth_ece_at(said.numpy(), came.numpy(), sigma)
        assert figure.at_width(sigma) == pytest.approx(exact, rel=2e-4)
    assert figure.compute() == pytest.approx(oracle.smooth_ece(said.numpy(), came.numpy(), 1501), rel=3e-4)


def test_smooth_ece_on_the_grid_is_exact() -> None:
    """Confidences that are grid points need no sharing: what is left is the quadrature of both."""
    said, came = rows(40, 0.4)
    said = torch.round(said * 512) / 512
    figure = SmoothECE(512)
    figure.update(said, came)
    exact = oracle.smooth_ece_at(said.numpy(), came.numpy(), 0.07, points=513)
    assert figure.at_width(0.07) == pytest.approx(exact, abs=1e-12)


def test_smooth_ece_of_one_confidence_is_its_error() -> None:
    figure = SmoothECE()
    figure.update(torch.full((10,), 0.25), torch.tensor([1.0] * 9 + [0.0]))
    assert figure.compute() == pytest.approx(0.65, rel=1e-9)
    edge = SmoothECE()
    edge.update(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    # Opposite errors at both ends, smoothed with their own width, partly cancel.
    assert edge.compute() == pytest.approx(
        oracle.smooth_ece(np.array([1.0, 0.0]), np.array([0.0, 1.0])), rel=1e-6
    )
    perfect = SmoothECE()
    perfect.update(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]))
    assert perfect.compute() == 0


@settings(max_examples=8)
@given(st.integers(1, 60), st.integers(0, 3))
def test_smooth_ece_does_not_depend_on_the_batches(size: int, seed: int) -> None:
    said, came = rows(100, 0.3)
    whole, merged = SmoothECE(keep_rows=True), SmoothECE(keep_rows=True)
    whole.update(said, came)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(seed))
    for part in order.split(size):
        piece = SmoothECE(keep_rows=True)
        piece.update(said[part], came[part])
        merged = SmoothECE.from_state((piece + merged).state())
    assert merged.compute() == pytest.approx(whole.compute(), abs=1e-11)
    first, second = (f.interval(resamples=5, seed=seed) for f in (whole, merged))
    assert second.low == pytest.approx(first.low, abs=1e-10)
    assert second.high == pytest.approx(first.high, abs=1e-10)


def test_the_interval_shows_an_error_and_shows_none() -> None:
    wrong, right = SmoothECE(keep_rows=True), SmoothECE(keep_rows=True)
    wrong.update(*rows(2000, 0.4))
    right.update(*rows(2000))
    far, none = wrong.interval(resamples=50), right.interval(resamples=50)
    assert 0.15 < far.low < 0.2 < far.high < 0.25
    assert none.low == 0
    assert none.high < 0.07
    assert wrong.interval(resamples=50) == far
    assert wrong.interval(resamples=50, seed=1) != far
    assert wrong.interval(resamples=50, level=0.5).low > far.low


def test_refusals() -> None:
    with pytest.raises(OptionError, match="num_bins is 0"):
        CalibrationError(0)
    with pytest.raises(OptionError, match="binning is 'depth'"):
        CalibrationError(5, "depth")  # type: ignore[arg-type]
    with pytest.raises(DomainError, match=r"confidence is 1\.5"):
        CalibrationError().update(torch.tensor([1.5]), torch.tensor([1]))
    with pytest.raises(DomainError, match="confidence is nan"):
        SmoothECE().update(torch.tensor([math.nan]), torch.tensor([1]))
    with pytest.raises(OptionError, match=r"num_bins is 10 here and 5 there"):
        CalibrationError().merge(CalibrationError(5))
    with pytest.raises(OptionError, match="cannot be merged with a SmoothECE"):
        CalibrationError().merge(SmoothECE())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="keep_rows=True"):
        SmoothECE().interval()
    with pytest.raises(OptionError, match="sigma is 0"):
        SmoothECE().at_width(0.0)
    with pytest.raises(OptionError, match="level is 2"):
        SmoothECE(keep_rows=True).interval(level=2.0)
