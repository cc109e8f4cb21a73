"""Targets that are probability columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from likelihead.errors import DataError
from likelihead.train.table.data import Schema, load, load_for_schema

COLUMNS = ("p_a", "p_b", "p_c")


def write(path: Path, rows: list[str]) -> str:
    path.write_text("\n".join(["x,p_a,p_b,p_c", *rows]) + "\n")
    return str(path)


def table(count: int = 60) -> list[str]:
    draw = np.random.default_rng(0)
    values = draw.dirichlet([1, 1, 1], count)
    return [f"{draw.normal()!r},{','.join(repr(float(v)) for v in row)}" for row in values]


def test_columns_become_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "soft.csv", table())
    data = load(path, target=COLUMNS, task="multiclass")
    assert (data.task, data.classes, data.num_outputs) == ("multiclass", ("a", "b", "c"), 3)
    assert data.schema.soft
    assert Schema.from_json(data.schema.to_json()) == data.schema
    targets = torch.cat([t for _, t in data.train.batches(7, dtype=torch.float64)])
    assert targets.shape == (len(data.train), 3)
    torch.testing.assert_close(targets.sum(1), torch.ones(len(data.train), dtype=torch.float64))
    np.testing.assert_allclose(data.class_counts, targets.sum(0).numpy())
    assert abs(sum(data.class_counts) - len(data.train)) < 1e-9


def test_a_whole_file_is_read_by_the_schema(tmp_path: Path) -> None:
    path = write(tmp_path / "soft.csv", table())
    schema = load(path, target=COLUMNS, task="multiclass").schema
    again = load_for_schema(path, schema, need_target=True)
    assert sum(len(target) for _, target in again.all.batches(16)) == 60


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.1,0.5,0.4,0.2", r"row 4.*sum to 1\.1, not to 1"),
        ("0.1,0.5,0.4,0.098", r"row 4.*sum to 0\.998, not to 1"),
        ("0.1,0.5,0.7,-0.2", r"row 4.*column 'p_c'.*is -0\.2"),
        ("0.1,0.5,,0.5", r"row 4.*column 'p_b'.*missing"),
        ("0.1,nan,0.5,0.5", r"row 4.*column 'p_a'.*missing"),
        ("0.1,half,0.5,0.5", r"row 4.*column 'p_a'.*'half' is no probability"),
        ("0.1,inf,0.5,0.5", r"row 4.*column 'p_a'.*'inf'|row 4.*sum to inf"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    rows = table(5)
    path = write(tmp_path / "bad.csv", [*rows[:3], row, *rows[3:]])
    with pytest.raises(DataError, match=message):
        load(path, target=COLUMNS, task="multiclass")


# Printed with three decimals; a softmax in float32; one decimal of a percent.
ROUNDED = ["0.5,0.333,0.333,0.333", "0.5,0.2000003,0.30000001,0.50000003", "0.5,0.667,0.167,0.167"]


def test_the_last_digits_may_be_rounded(tmp_path: Path) -> None:
    path = write(tmp_path / "soft.csv", [*table(20), *ROUNDED])
    data = load(path, target=COLUMNS, task="multiclass")
    targets = torch.cat([t for _, t in data.all.batches(50, dtype=torch.float64)])
    assert float((targets.sum(1) - 1).abs().max()) < 1e-15


def test_labels_that_are_shares_are_told_of_probabilities(tmp_path: Path) -> None:
    path = write(tmp_path / "soft.csv", table())
    with pytest.raises(DataError, match="take --task multiclass"):
        load(path, target=COLUMNS)


def test_names_without_a_common_prefix_stay(tmp_path: Path) -> None:
    path = tmp_path / "soft.csv"
    path.write_text("x,cat,p_dog\n" + "".join(f"{i / 7},{i % 2},{1 - i % 2}\n" for i in range(9)))
    assert load(str(path), target=("cat", "p_dog"), task="multiclass").classes == ("cat", "p_dog")
