"""Content that cannot be right is refused with the argument's name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from likelihead.errors import OptionError, ShapeError, TargetError
from likelihead.train.report import Curves, TestSet, highest_loss_rows


def test_an_unknown_task(make: Any) -> None:
    with pytest.raises(OptionError, match="task is 'ranking'"):
        replace(make("binary"), task="ranking")


@pytest.mark.parametrize(
    ("task", "field", "shape"),
    [
        ("multiclass", "predictions", (60, 4)),
        ("multiclass", "targets", (60, 3)),
        ("binary", "predictions", (80, 2)),
        ("multilabel", "targets", (90,)),
        ("multilabel", "label_nll", (90,)),
        ("regression", "predictions", (120, 2)),
        ("regression", "row_numbers", (119,)),
    ],
)
def test_shapes_that_do_not_fit(task: str, field: str, shape: tuple[int, ...], make: Any) -> None:
    content = make(task)
    with pytest.raises(ShapeError, match=rf"test\.{field} has shape"):
        replace(content, test=replace(content.test, **{field: np.zeros(shape)}))


def test_curves_of_different_length() -> None:
    with pytest.raises(ShapeError, match="test_nll has 1 values for 2 epochs"):
        Curves([1, 2], [1.0, 0.5], [1.0], 1.1)


@pytest.mark.parametrize("bad", [-100, 3])
def test_a_class_index_out_of_range(bad: int, make: Any) -> None:
    content = make("multiclass")
    targets = content.test.targets.copy()
    targets[5] = bad
    with pytest.raises(TargetError, match=rf"holds {bad}; expected class indices in \[0, 3\)"):
        replace(content, test=replace(content.test, targets=targets))


def test_a_binary_task_has_two_classes(make: Any) -> None:
    with pytest.raises(ShapeError, match="classes has 1 names"):
        make("binary", classes=["yes"])


def test_the_highest_loss_first_and_nan_before_all() -> None:
    nll = np.array([0.1, np.nan, 3.0, np.inf, 3.0])
    test = TestSet(np.array([1, 2, 3, 4, 5]), np.zeros(5), np.zeros(5), nll)
    assert highest_loss_rows(test) == [2, 4, 3, 5, 1]
    assert highest_loss_rows(test, 2) == [2, 4]
