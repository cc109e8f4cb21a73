"""Targets of the tasks that are asked for: counts, quantiles, robust scales, ranks."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from likelihead.errors import DataError, OptionError
from likelihead.train import TrainConfig
from likelihead.train.table.data import load
from likelihead.train.table.data.numbers import Spread

Write = Callable[..., str]


def rows(targets: list[object]) -> str:
    return "\n".join(["x,y", *(f"{(i * 7) % 11},{value}" for i, value in enumerate(targets))]) + "\n"


@pytest.mark.parametrize("task", ["count", "overdispersed-count"])
def test_counts_stay_as_they_are(write: Write, task: str) -> None:
    data = load(write(rows([0, 3, 1, "2.0", 7, 100000] * 10)), task=task)
    assert (data.task, data.num_outputs, data.classes, data.schema.numeric) == (task, 1, (), True)
    target = next(data.all.batches(6, shuffle=False, dtype=torch.float64))[1]
    assert target.tolist() == [0, 3, 1, 2, 7, 100000]
    assert any("the counts have the mean" in note for note in data.notes)


def test_counts_that_spread_name_the_other_task(write: Write) -> None:
    wide = load(write(rows([0, 0, 0, 9] * 20)), task="count")
    assert any("overdispersed-count" in note for note in wide.notes)
    narrow = load(write(rows([2, 3, 2, 1] * 20), "b.csv"), task="count")
    assert not any("overdispersed" in note for note in narrow.notes)


@pytest.mark.parametrize("cell", ["-1", "2.5", "-0.5", "1e-3"])
def test_what_is_no_count_is_refused_with_its_row(write: Write, cell: str) -> None:
    values: list[object] = [0, 3, 1, 2, 7] * 8
    values[22] = cell
    with pytest.raises(DataError, match=r"row 23, column 'y'.*is no count: --task count") as caught:
        load(write(rows(values)), task="count")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", ["count", "quantile", "robust-regression"])
def test_text_is_no_number(write: Write, task: str) -> None:
    with pytest.raises(DataError, match="'many' is no number"):
        load(write(rows([1, 2, 3, "many"] * 10)), task=task)


@pytest.mark.parametrize("task", ["quantile", "robust-regression"])
def test_an_outlier_does_not_set_the_scale(write: Write, task: str) -> None:
    draw = random.Random(0)
    values: list[object] = [f"{draw.gauss(10, 2):.4f}" for _ in range(400)]
    values[17] = values[250] = "1e9"
    target = load(write(rows(values)), task=task).schema.target
    assert target.mean == pytest.approx(10, abs=0.5)
    assert target.std == pytest.approx(2, abs=0.4)
    plain = load(write(rows(values), "b.csv"), task="regression").schema.target
    assert plain.std > 1e7


def test_more_than_half_of_one_value_still_has_a_scale(write: Write) -> None:
    values: list[object] = [0.0] * 90 + [5.5, 7.25] * 15
    target = load(write(rows(values)), task="robust-regression").schema.target
    assert target.mean == 0
    assert target.std > 1


def test_quantiles_of_weighted_values_are_those_of_the_values_repeated() -> None:
    draw = np.random.default_rng(0)
    values, weights = draw.normal(size=50), draw.integers(1, 4, 50)
    one, two = Spread(), Spread()
    for part in (slice(0, 20), slice(20, 50)):
        one.update(values[part], weights[part].astype(float))
    two.update(np.repeat(values, weights), None)
    levels = (0.01, 0.25, 0.5, 0.9, 1.0)
    assert one.quantiles(levels) == two.quantiles(levels)
    expected = np.quantile(np.repeat(values, weights), levels, method="inverted_cdf")
    assert one.quantiles(levels) == pytest.approx(expected.tolist())


def test_a_spread_of_many_values_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likelihead.train.table.data.numbers._KEPT", 500)
    spread, values = Spread(), np.random.default_rng(1).normal(size=20_000)
    for part in np.split(values, 40):
        spread.update(part, None)
    assert spread.held <= 1000
    middle, deviation = spread.scale()
    assert middle == pytest.approx(0, abs=0.12)
    assert deviation == pytest.approx(1, abs=0.12)


def test_whole_numbers_of_a_large_range_may_be_counts(write: Write) -> None:
    notes = load(write(rows([*range(40)]))).notes
    assert any(note.startswith("task: regression") and "--task count" in note for note in notes)
    for values in ([*range(-5, 35)], [*range(39), 0.5]):
        notes = load(write(rows([*values]), "b.csv")).notes
        assert any(note.startswith("task: regression") for note in notes)
        assert not any("--task count" in note for note in notes)


def test_ranks_are_ordered_by_number(write: Write) -> None:
    data = load(write(rows([10, 9, 2, "2.0"] * 10)), task="ordinal")
    assert (data.task, data.classes) == ("ordinal", ("2", "9", "10"))
    target = next(data.all.batches(4, shuffle=False))[1]
    assert (target.dtype, target.tolist()) == (torch.int64, [2, 1, 0, 0])
    assert "the classes from the lowest to the highest: 2, 9, 10" in data.notes


def test_texts_are_ordered_as_asked(write: Write) -> None:
    name = write(rows(["high", "low", "medium", "low"] * 10))
    data = load(name, task="ordinal", order=("low", "medium", "high"))
    assert data.classes == ("low", "medium", "high")
    assert next(data.all.batches(3, shuffle=False))[1].tolist() == [2, 0, 1]
    with pytest.raises(DataError, match=r"needs the order: give --order, as in --order high,low,medium"):
        load(name, task="ordinal")
    with pytest.raises(DataError, match=r"row 3.*'medium' is not in --order low,high"):
        load(name, task="ordinal", order=("low", "high"))
    with pytest.raises(DataError, match="no row has the class 'none' of --order"):
        load(name, task="ordinal", order=("low", "medium", "high", "none"))


def test_numbers_may_be_ordered_otherwise(write: Write) -> None:
    """As German school grades: 1 is the best."""
    data = load(write(rows([1, 2, 3, "2.0"] * 10)), task="ordinal", order=("3", "2", "1"))
    assert data.classes == ("3", "2", "1")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"levels": (0.5, 0.1)}, "levels is 0.5,0.1; expected rising numbers"),
        ({"levels": (0.0, 0.5)}, "levels is 0.0,0.5"),
        ({"levels": ()}, "levels is none"),
        ({"order": ("low",)}, "order is low; expected at least two"),
        ({"order": ("low", "low")}, "order is low,low"),
        ({"order": ("low", "")}, "order is low,;"),
    ],
)
def test_levels_and_orders_out_of_range(options: dict[str, tuple[object, ...]], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        TrainConfig(data="iris", **options).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "options", "said"),
    [
        ("count", {"class_weight": "balanced"}, "--class-weight balanced does not apply to a count task"),
        ("count", {"levels": (0.5,)}, "--levels 0.5 does not apply to a count task"),
        ("quantile", {"label_smoothing": 0.1}, "--label-smoothing 0.1 does not apply to a quantile task"),
        (
            "ordinal",
            {"calibrate": "temperature"},
            "--calibrate temperature does not apply to an ordinal",
        ),
        ("multiclass", {"order": ("a", "b")}, "--order a,b does not apply to a multiclass task"),
        ("robust-regression", {"focal": 1.0}, "--focal 1 does not apply"),
    ],
)
def test_options_that_a_task_would_ignore(task: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        TrainConfig(data="x.csv", task=task, **options).check_for(task)  # type: ignore[arg-type]
