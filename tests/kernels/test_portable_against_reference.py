"""The portable backend against the reference: as the kernels, on fewer examples, each of which takes long."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_cases import (
    EXAMPLES,
    WITH_FIXTURES,
    Case,
    check_not_finite,
    check_reduced_softmax,
    check_sigmoid,
    check_softmax,
    sigmoid_cases,
    softmax_cases,
)
from likelihead.kernels.dispatch import use_backend
from likelihead.kernels.portable import small

FEWER = settings(max_examples=EXAMPLES // 2, suppress_health_check=WITH_FIXTURES)
ODD, SEED = st.sampled_from([-math.inf, math.inf, math.nan]), st.integers(0, 2**31)


@pytest.fixture(autouse=True, params=[True, False], ids=["few", "many"])
def _portable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With the short way of few logits, and with all calls on the way of the many."""
    if not request.param:
        for name in ("_FEW_LOGITS", "_FEW_LABELS"):
            monkeypatch.setattr(small, name, 0)
    with use_backend("portable"):
        yield


@given(softmax_cases())
@FEWER
def test_softmax_agrees_with_the_reference(case: Case) -> None:
    check_softmax(case)


@given(softmax_cases(), ODD, SEED)
@FEWER
def test_what_is_not_finite_is_as_in_the_reference(case: Case, odd: float, seed: int) -> None:
    check_not_finite("portable", case, odd, seed)


@given(softmax_cases(), st.sampled_from(["mean", "sum"]), st.sampled_from([1.0, -0.3]))
@FEWER
def test_reduced_softmax_agrees(case: Case, reduction: str, upstream: float) -> None:
    check_reduced_softmax(case, reduction, None, upstream)


@given(sigmoid_cases(), st.sampled_from(["none", "mean", "sum"]))
@FEWER
def test_sigmoid_agrees_with_the_reference(case: Case, reduction: str) -> None:
    check_sigmoid(case, reduction)
