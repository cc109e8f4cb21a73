"""A column of sample weights: what is read, what is refused, and what the statistics make of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from likelihead.errors import DataError, OptionError
from likelihead.train.table.data import Dataset, load, load_for_schema
from likelihead.train.table.data.opening import open_source
from likelihead.train.table.data.sides import Sides
from likelihead.train.table.data.survey import Survey

Write = Callable[..., str]
LINES = [f"{i % 7},{i % 3 + 0.5},{'ab'[i % 2]}" for i in range(40)]


def table(weights: list[object], lines: list[str] = LINES) -> str:
    cells = zip(weights, lines, strict=True)
    return "\n".join(["w,x,z,y", *(f"{weight},{line}" for weight, line in cells)]) + "\n"


def weights_of(data: Dataset) -> dict[int, float]:
    found: dict[int, float] = {}
    for _, _, rows, weight in data.all.weighted_batches(7, dtype=torch.float64):
        assert weight is not None
        found |= dict(zip(rows.tolist(), weight.tolist(), strict=True))
    return found


def test_the_column_is_read_and_is_no_feature(write: Write) -> None:
    weights = [0.5 * (i % 5) + 0.25 for i in range(40)]
    data = load(write(table([*weights])), sample_weight="w")
    assert data.feature_names == ("x", "z")
    assert weights_of(data) == dict(enumerate(weights, 1))
    train = next(data.train.weighted_batches(100, dtype=torch.float64)).weight
    assert train is not None
    assert data.schema.train_weight == pytest.approx(float(train.sum()), rel=1e-12)
    effective = float(train.sum() ** 2 / train.square().sum())
    assert any(f"tell as much as {effective:.6g} rows" in note for note in data.notes)


def test_without_the_option_a_column_of_this_name_is_a_feature(write: Write) -> None:
    data = load(write(table([i % 4 for i in range(40)])))
    assert "w" in data.feature_names
    assert next(data.train.weighted_batches(5)).weight is None


def test_the_last_column_may_be_the_weight(write: Write) -> None:
    lines = [f"{i},{i % 3 + 0.5},{'ab'[i % 2]},{i % 4 + 1}" for i in range(40)]
    data = load(write("\n".join(["x,z,kind,w", *lines]) + "\n"), sample_weight="w")
    assert data.schema.target.columns == ("kind",)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("", "the weight is missing"),
        ("NaN", "the weight is missing"),
        ("-1", "the weight is -1"),
        ("-0.001", "the weight is -0.001"),
        ("inf", "the weight is inf"),
        ("1e200", "the weight is 1e+200"),
        ("heavy", "'heavy' is no weight"),
    ],
)
def test_a_cell_that_is_no_weight_is_refused(write: Write, cell: str, said: str) -> None:
    weights: list[object] = [1] * 40
    weights[16] = f'"{cell}"'
    with pytest.raises(DataError, match="row 17, column 'w'") as caught:
        load(write(table(weights)), sample_weight="w")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_cell_below_rows_that_are_left_out_is_named_by_its_own_row(write: Write) -> None:
    weights: list[object] = [0, 1, 1, 1] * 10
    lines = [*LINES]
    lines[31] = "7,oops,a"
    name = write(table(weights, LINES))
    schema = load(name, sample_weight="w").schema
    bad = write(table(weights, lines), "bad.csv")
    with pytest.raises(DataError, match="row 32, column 'z'"):
        load_for_schema(bad, schema, need_target=True)


def test_a_row_of_weight_0_is_not_read(write: Write) -> None:
    """Nothing in it can hurt: neither cells that are no numbers, nor a class of its own, nor no target."""
    weights: list[object] = [1] * 40
    lines = [*LINES]
    weights[3], lines[3] = 0, "oops,inf,c"
    weights[8], lines[8] = 0, ",,"
    data = load(write(table(weights, lines)), sample_weight="w")
    assert data.classes == ("a", "b")
    assert sorted(weights_of(data)) == [row for row in range(1, 41) if row not in (4, 9)]
    assert [column.kind for column in data.schema.columns] == ["number", "number"]
    # Without a target a row is left out before its weight is asked for.
    assert "rows left out for their weight of 0: 1" in data.notes
    scored = load_for_schema(write(table(weights, lines), "b.csv"), data.schema, need_target=True)
    assert len(scored.all) == 38
    # To predict, every row is there, and needs no weight.
    assert len(load_for_schema(write(table([0] * 40), "c.csv"), data.schema, need_target=False).all) == 40


def test_all_rows_of_weight_0(write: Write) -> None:
    with pytest.raises(DataError, match="40 of 40 rows have the weight 0"):
        load(write(table([0] * 40)), sample_weight="w")


def test_a_file_to_score_may_lack_the_column(write: Write) -> None:
    schema = load(write(table([i % 3 + 1 for i in range(40)])), sample_weight="w").schema
    bare = load_for_schema(write("\n".join(["x,z,y", *LINES]) + "\n", "b.csv"), schema, need_target=True)
    assert next(bare.all.weighted_batches(5)).weight is None
    assert any("every row counts once" in note for note in bare.notes)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression", "robust-regression", "soft"])
@pytest.mark.parametrize("memory", [1 << 30, 1 << 20])
def test_whole_numbers_are_repeated_rows(tmp_path: Path, task: str, memory: int) -> None:
    """The statistics and the counts of weighted rows are those of the rows repeated.

    Split by row number, the two files would be trained on other rows: all of them are, here.
    """
    draw = random.Random(3)
    many = 30_000 if memory == 1 << 20 else 200
    weights = [draw.choice([0, 1, 1, 2, 5]) for _ in range(many)]
    y: list[object] = [draw.choice("abc") for _ in range(many)]
    columns: dict[str, list[object]] = {
        "x": [draw.choice([None, 0.0, 1.5, draw.gauss(0, 3)]) for _ in range(many)],
        "k": [draw.choice(["red", "blue"]) for _ in range(many)],
        "y": y,
    }
    options: dict[str, object] = {"task": task, "target": "y"}
    if task == "multilabel":
        columns["y"] = [draw.choice(["a;b", "b", ";"]) for _ in range(many)]
    if task.endswith("regression"):
        columns["y"] = [draw.gauss(5, 2) for _ in range(many)]
    if task == "soft":
        del columns["y"]
        columns["p"] = [draw.choice([0.0, 0.25, 0.5]) for _ in range(many)]
        columns["q"] = [1 - p for p in columns["p"]]  # type: ignore[operator]
        options = {"task": "multiclass", "target": "p,q"}
    weighted, repeated = tmp_path / "w.parquet", tmp_path / "r.parquet"
    pq.write_table(pa.table({**columns, "w": weights}), weighted)
    index = np.repeat(np.arange(many), weights)
    pq.write_table(pa.table({name: [v[i] for i in index] for name, v in columns.items()}), repeated)
    common = {**options, "memory": memory, "test_fraction": 0.0}
    one = load(str(weighted), sample_weight="w", **common)  # type: ignore[arg-type]
    two = load(str(repeated), **common)  # type: ignore[arg-type]
    assert one.all.in_memory is (memory == 1 << 30)
    assert one.schema.train_total == len(two.train)
    assert one.schema.target.names == two.schema.target.names
    assert one.schema.target.counts == pytest.approx(two.schema.target.counts, rel=1e-12)
    assert one.schema.target.mean == pytest.approx(two.schema.target.mean, rel=1e-12)
    assert one.schema.target.std == pytest.approx(two.schema.target.std, rel=1e-12)
    for first, second in zip(one.schema.columns, two.schema.columns, strict=True):
        assert (first.kind, first.categories) == (second.kind, second.categories)
        assert first.mean == pytest.approx(second.mean, rel=1e-12)
        assert first.std == pytest.approx(second.std, rel=1e-12)
    assert sum(weights_of(one).values()) == len(two.all)


def test_options_that_do_not_fit(write: Write) -> None:
    name = write(table([1] * 40))
    with pytest.raises(DataError, match=r"no column 'W' of weights \(--sample-weight\): did you mean 'w'"):
        load(name, sample_weight="W")
    with pytest.raises(OptionError, match="both name the column 'w'"):
        load(name, sample_weight="w", target="w")


def test_a_row_that_is_left_out_is_not_moved_into_the_training(write: Write) -> None:
    """Where all rows would be tested on, the first that weighs something is trained on."""
    lines = [f"{i % 7},{i % 3},{i}.5" for i in range(40)]
    source = open_source(write(table([0, 0, *[1] * 37, 0], lines)))
    survey = Survey(source, ("y",), "regression", Sides(0, 0.9999), weight="w")
    assert survey.rows_to_move() == (3,)
    survey = Survey(source, ("y",), "regression", Sides(0, 1e-9), weight="w")
    assert survey.rows_to_move() == (39,)
