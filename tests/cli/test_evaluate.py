"""``likelihead evaluate``: the figures of a run on a file, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import run
from likelihead.train import TrainConfig, train


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(TrainConfig(data="iris", epochs=15), out=tmp_path_factory.mktemp("e") / "run").folder


def test_json(iris: Path) -> None:
    found = json.loads(run("evaluate", iris, "iris", "--json").stdout)
    assert found["rows"] == 150
    assert found["task"] == "multiclass"
    assert found["accuracy"] > 0.9
    assert found["nll"] < 0.5 * found["baseline_nll"]
    assert [row["support"] for row in found["per_class"]] == [50, 50, 50]


def test_a_table_with_the_baseline(iris: Path) -> None:
    shown = run("evaluate", iris, "iris").stdout
    for word in ("accuracy", "nll", "baseline nll", "precision", "setosa"):
        assert word in shown


def test_the_test_rows_alone_have_the_reports_figures(iris: Path, tmp_path: Path) -> None:
    from sklearn.datasets import load_iris

    from likelihead.train.table.data import load

    data = load("iris")
    rows = [int(n) for _, _, numbers in data.test.numbered_batches(64) for n in numbers]
    bunch = load_iris()
    names = [column.name for column in data.schema.columns]
    lines = [",".join([*map(str, bunch.data[r - 1]), bunch.target_names[bunch.target[r - 1]]]) for r in rows]
    (tmp_path / "test.csv").write_text("\n".join([",".join([*names, "target"]), *lines]) + "\n")
    found = json.loads(run("evaluate", iris, tmp_path / "test.csv", "--json").stdout)
    report = json.loads((iris / "report.json").read_text())["figures"]
    for name in ("nll", "baseline_nll", "accuracy", "macro_f1", "balanced_accuracy", "ece"):
        assert found[name] == pytest.approx(report[name], rel=1e-9), name


def test_a_class_that_training_did_not_have(iris: Path, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm),target\n"
        "5,3,1,0.2,setosa\n5,3,1,0.2,lily\n"
    )
    result = run("evaluate", iris, tmp_path / "d.csv", code=2)
    assert "row 2" in result.stderr
    assert "lily" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_data_of_another_task(iris: Path) -> None:
    result = run("evaluate", iris, "digits", code=2)
    assert len(result.stderr.strip().splitlines()) == 1
    assert "missing" in result.stderr
