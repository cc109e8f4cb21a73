"""What lies inside a domain, and the words for what does not."""

from __future__ import annotations

import pytest
import torch

from likelihead.core.domains import POSITIVE, REAL, UNIT_INTERVAL, ClassIndex

NUMBERS = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0, float("inf"), -float("inf"), float("nan")])


@pytest.mark.parametrize(
    ("domain", "inside"),
    [
        (REAL, [True, True, True, True, True, False, False, False]),
        (POSITIVE, [False, False, True, True, True, False, False, False]),
        (UNIT_INTERVAL, [False, True, True, True, False, False, False, False]),
    ],
    ids=lambda x: getattr(x, "words", ""),
)
def test_intervals(domain, inside):
    assert domain.contains(NUMBERS).tolist() == inside


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.uint8])
def test_class_indices(dtype):
    values = torch.tensor([0, 2, 3, 156], dtype=dtype)
    assert ClassIndex.of(3, -100).contains(values).tolist() == [True, True, False, False]
    assert ClassIndex.of(200, -100).contains(values).all()
    assert ClassIndex.of(3, 156).contains(values).tolist() == [True, True, False, True]
    assert ClassIndex().contains(values).all()


def test_first_violation():
    values = torch.tensor([[0.0, 1.0], [1.5, -2.0]])
    violation = UNIT_INTERVAL.first_violation(values)
    assert violation is not None
    assert (violation.position, violation.value, violation.number) == ((1, 0), 1.5, 2)
    assert str(violation) == "1.5 at position [1, 0], the first of 2 such values"
    mask = torch.tensor([[True, True], [False, True]])
    masked = UNIT_INTERVAL.first_violation(values, mask)
    assert masked is not None
    assert str(masked) == "-2.0 at position [1, 1]"
    assert UNIT_INTERVAL.first_violation(values[:1]) is None
    assert UNIT_INTERVAL.first_violation(values[:0]) is None


def test_a_single_value():
    violation = UNIT_INTERVAL.first_violation(torch.tensor(2.0))
    assert violation is not None
    assert violation.position == ()
