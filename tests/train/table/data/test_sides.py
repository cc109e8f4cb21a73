"""Which rows are trained on, tested on and held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from likelihead.errors import DataError
from likelihead.train.table.data import load
from likelihead.train.table.data.bundled import LONG_TAIL, trainable
from likelihead.train.table.data.hashing import in_test
from likelihead.train.table.data.sides import Part, Sides

ROWS = np.arange(1, 5001)
PARTS: tuple[Part, ...] = ("train", "test", "calibration")


def test_each_row_is_on_one_side() -> None:
    sides = Sides(3, 0.3, 0.25, (5, 77, 900))
    assert (sum(sides.of(ROWS, part).astype(int) for part in PARTS) == 1).all()


def test_held_out_rows_do_not_change_the_test_rows() -> None:
    plain, held = Sides(0, 0.2), Sides(0, 0.2, 0.2)
    assert (plain.of(ROWS, "test") == held.of(ROWS, "test")).all()
    assert not (held.of(ROWS, "calibration") & plain.of(ROWS, "test")).any()
    share = held.of(ROWS, "calibration").sum() / plain.of(ROWS, "train").sum()
    assert abs(share - 0.2) < 0.03


def test_moved_rows_change_sides() -> None:
    rows = np.arange(1, 101)
    sides = Sides(0, 0.2, 0.2)
    train, test, held = (rows[sides.of(rows, part)][:2] for part in PARTS)
    moved = sides.moving((int(train[0]), int(test[0]), int(held[0])))
    assert moved.of(train, "test").tolist() == [True, False]
    assert moved.of(test, "train").tolist() == [True, False]
    assert moved.of(held, "train").tolist() == [True, False]
    assert (Sides(0, 0.2, moved=(3, 50)).of(rows, "test") ^ in_test(rows, 0, 0.2)).sum() == 2


def test_rows_that_may_not_be_trained_on_are_still_tested_on() -> None:
    sides = Sides(0, 0.2, 0.2, trainable=np.arange(1, 2501))
    assert (sides.of(ROWS, "test") == in_test(ROWS, 0, 0.2)).all()
    for part in PARTS:
        assert sides.of(ROWS[2500:], part).any() == (part == "test")


def test_the_long_tail_thins_the_training_rows_alone() -> None:
    whole, thin = load("digits", seed=1), load(LONG_TAIL, seed=1)
    assert len(thin.test) == len(whole.test)
    rows = [np.concatenate([r.numpy() for *_, r in d.test.numbered_batches(64)]) for d in (whole, thin)]
    assert (np.sort(rows[0]) == np.sort(rows[1])).all()
    counts = thin.class_counts
    assert counts[0] == whole.class_counts[0]
    assert list(counts[:6]) == sorted(counts[:6], reverse=True)
    assert 0 < counts[9] < counts[0] / 20
    kept = trainable(LONG_TAIL)
    assert kept is not None
    trained = np.concatenate([r.numpy() for *_, r in thin.train.numbered_batches(64)])
    assert np.isin(trained, kept).all()
    assert any("left out of the training" in note for note in thin.notes)


def test_one_digit_against_the_rest() -> None:
    data = load("digits-one-vs-rest")
    assert data.task == "binary"
    assert data.classes == ("any other", "eight")
    assert 0.08 < data.class_counts[1] / sum(data.class_counts) < 0.12


@pytest.mark.parametrize("name", ["digits", LONG_TAIL])
def test_held_out_rows_are_the_same_in_memory_and_streamed(name: str) -> None:
    both = [load(name, calibration_fraction=0.25, memory=memory) for memory in (1 << 30, 1 << 20)]
    assert [data.all.in_memory for data in both] == [True, False]
    assert both[0].schema == both[1].schema
    for part in ("train", "test", "calibration"):
        rows = [
            np.sort(np.concatenate([r.numpy() for *_, r in getattr(d, part).numbered_batches(50)]))
            for d in both
        ]
        assert rows[0].tolist() == rows[1].tolist()
        assert len(rows[0]) == len(getattr(both[0], part))


def test_held_out_rows_are_not_counted_as_trained_on() -> None:
    data = load("iris", calibration_fraction=0.3)
    assert data.calibration is not None
    assert sum(data.class_counts) == len(data.train) == data.schema.train_rows
    assert len(data.train) + len(data.test) + len(data.calibration) == 150


def test_too_few_rows_to_hold_any_out(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("a,y\n1,no\n5,yes\n3,no\n9,yes\n")
    with pytest.raises(DataError, match="was drawn to calibrate on"):
        load(str(path), calibration_fraction=0.01)
