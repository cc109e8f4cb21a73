"""``likelihead predict``: every row once, in each format, decided as asked."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from command import run
from likelihead.train import TrainConfig, train


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run for each task; `tags` and `price` have their data beside them."""
    here = tmp_path_factory.mktemp("trained")
    grid = [(i * 7.3 % 20 - 10.01, i * 13.7 % 20 - 10.01) for i in range(120)]
    lines = {
        "tags.csv": ["u,v,east,north"] + [f"{x},{y},{int(x > 0)},{int(y > 0)}" for x, y in grid],
        "sets.csv": ["u,v,tags"]
        + [f"{x},{y},{';'.join(['p'] + ['e'] * (x > 0) + ['n'] * (y > 0))}" for x, y in grid],
        "price.csv": ["u,v,price"] + [f"{x},{y},{3 * x + y + 100.25}" for x, y in grid],
    }
    for name, text in lines.items():
        (here / name).write_text("\n".join(text) + "\n")
    for name, config in {
        "iris": TrainConfig(data="iris", epochs=15),
        "log": TrainConfig(data="iris", epochs=15, output="log-probs"),
        "cancer": TrainConfig(data="breast-cancer", epochs=3),
        "tags": TrainConfig(data=str(here / "tags.csv"), target=("east", "north"), epochs=15),
        "sets": TrainConfig(data=str(here / "sets.csv"), target="tags", task="multilabel", epochs=15),
        "price": TrainConfig(data=str(here / "price.csv"), epochs=40, hidden=()),
    }.items():
        train(config, out=here / name)
    return here


def test_csv_on_standard_output(folder: Path) -> None:
    found = rows(run("predict", folder / "iris", "iris", "--probs").stdout)
    assert [row["row"] for row in found] == [str(n) for n in range(1, 151)]
    names = ("setosa", "versicolor", "virginica")
    assert list(found[0]) == ["row", "prediction", *(f"prob_{name}" for name in names)]
    for row in found:
        probs = {name: float(row[f"prob_{name}"]) for name in names}
        assert sum(probs.values()) == pytest.approx(1, abs=1e-12)
        assert row["prediction"] == max(probs, key=lambda name: probs[name])
    truth = ["setosa"] * 50 + ["versicolor"] * 50 + ["virginica"] * 50
    assert sum(row["prediction"] == name for row, name in zip(found, truth, strict=True)) > 135


def test_both_outputs_predict_the_same(folder: Path) -> None:
    one, other = (rows(run("predict", folder / name, "iris", "--probs").stdout) for name in ("iris", "log"))
    for a, b in zip(one, other, strict=True):
        assert a["prediction"] == b["prediction"]
        assert float(a["prob_setosa"]) == pytest.approx(float(b["prob_setosa"]), rel=1e-9)


def test_every_format_says_the_same(folder: Path, tmp_path: Path) -> None:
    for end in ("csv", "jsonl", "parquet"):
        run("predict", folder / "iris", "iris", "--proba", "--out", tmp_path / f"p.{end}")
    from_csv = rows((tmp_path / "p.csv").read_text())
    from_json = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert pq.read_table(tmp_path / "p.parquet").to_pylist() == from_json
    assert [{k: str(v) for k, v in row.items()} for row in from_json] == from_csv
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv", "p.jsonl", "p.parquet"]


def test_a_threshold_moves_the_decision(folder: Path) -> None:
    found = [
        rows(run("predict", folder / "cancer", "breast-cancer", "--probs", "--threshold", t).stdout)
        for t in (0.0, 0.5, 0.99, 1.0)
    ]
    no, yes = (name.removeprefix("prob_") for name in list(found[0][0])[2:])
    counts = [sum(row["prediction"] == yes for row in some) for some in found]
    assert counts[0] == 569
    assert counts[0] > counts[1] > counts[2] > counts[3] == 0
    for row in found[2]:
        assert (row["prediction"] == yes) == (float(row[f"prob_{yes}"]) > 0.99)
        assert float(row[f"prob_{no}"]) + float(row[f"prob_{yes}"]) == pytest.approx(1)


def test_a_cost_matrix_decides(folder: Path, tmp_path: Path) -> None:
    cost = tmp_path / "cost.csv"
    cost.write_text(
        "true,setosa,versicolor,virginica,ask\nsetosa,0,1,1,0.1\nversicolor,1,0,1,0.1\nvirginica,1,1,0,0.1\n"
    )
    found = rows(run("predict", folder / "iris", "iris", "--probs", "--cost", cost).stdout)
    for row in found:
        sure = max(float(value) for name, value in row.items() if name.startswith("prob_"))
        assert (row["prediction"] == "ask") == (sure < 0.9)
    assert 0 < sum(row["prediction"] == "ask" for row in found) < 150


def test_a_cost_matrix_for_a_yes_or_a_no(folder: Path, tmp_path: Path) -> None:
    names = [
        name.removeprefix("prob_")
        for name in list(rows(run("predict", folder / "cancer", "breast-cancer", "--probs").stdout)[0])[2:]
    ]
    cost = tmp_path / "cost.json"
    cost.write_text(json.dumps({names[0]: {names[0]: 0, names[1]: 9}, names[1]: {names[0]: 1, names[1]: 0}}))
    found = rows(run("predict", folder / "cancer", "breast-cancer", "--probs", "--cost", cost).stdout)
    for row in found:
        assert (row["prediction"] == names[1]) == (float(row[f"prob_{names[1]}"]) > 0.9)


@pytest.mark.parametrize("name", ["iris", "log"])
def test_a_prior_moves_the_probabilities(folder: Path, name: str) -> None:
    own = rows(run("predict", folder / name, "iris", "--probs").stdout)
    prior = "setosa=0.2,versicolor=0.8,virginica=0"
    result = run("predict", folder / name, "iris", "--probs", "--prior", prior)
    assert "predicted for the class shares" in result.stderr
    moved = rows(result.stdout)
    counts = {"setosa": 39, "versicolor": 41, "virginica": 43}
    for before, after in zip(own, moved, strict=True):
        assert after["prob_virginica"] == "0.0"
        weight = {
            c: float(before[f"prob_{c}"]) * p / counts[c] for c, p in (("setosa", 0.2), ("versicolor", 0.8))
        }
        expected = weight["setosa"] / sum(weight.values())
        assert float(after["prob_setosa"]) == pytest.approx(expected, rel=1e-9)
    assert {row["prediction"] for row in moved} == {"setosa", "versicolor"}
    assert "the NLL is infinite" in run("evaluate", folder / name, "iris", "--prior", prior).stderr


def test_wrong_priors_are_one_line(folder: Path) -> None:
    for name, prior, message in (
        ("iris", "setosa=1", "no share for the class 'versicolor'"),
        ("tags", "east=1", "--prior does not apply to a multilabel run"),
        ("price", "a=1", "--prior does not apply to a regression run"),
        ("iris", "nowhere.json", "--prior takes a=0.1,b=0.9, a file or estimate"),
    ):
        for command in ("predict", "evaluate"):
            result = run(command, folder / name, "iris", "--prior", prior, code=2)
            assert message in result.stderr
            assert len(result.stderr.strip().splitlines()) == 1


def test_multilabel_columns_and_sets(folder: Path) -> None:
    found = rows(run("predict", folder / "tags", folder / "tags.csv", "--probs").stdout)
    assert list(found[0]) == ["row", "prediction_east", "prediction_north", "prob_east", "prob_north"]
    truth = rows((folder / "tags.csv").read_text())
    right = sum(a["prediction_east"] == b["east"] for a, b in zip(found, truth, strict=True))
    assert right > 110
    found = rows(run("predict", folder / "sets", folder / "sets.csv").stdout)
    truth = rows((folder / "sets.csv").read_text())
    assert (
        sum(
            set(a["prediction"].split(";")) == set(b["tags"].split(";"))
            for a, b in zip(found, truth, strict=True)
        )
        > 100
    )


def test_numbers_come_in_the_targets_units(folder: Path) -> None:
    found = rows(run("predict", folder / "price", folder / "price.csv").stdout)
    truth = rows((folder / "price.csv").read_text())
    for a, b in zip(found, truth, strict=True):
        assert float(a["prediction"]) == pytest.approx(float(b["price"]), abs=5)


def test_data_without_a_target(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("v,more,u\n1.5,z,-3\n,z,4\n")
    result = run("predict", folder / "price", tmp_path / "new.csv")
    assert [row["row"] for row in rows(result.stdout)] == ["1", "2"]
    assert "more" in result.stderr
    assert "missing" in result.stderr


def test_an_input_far_out_is_told_by_row(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("u,v\n1,1\n1e308,-1e308\n")
    result = run("predict", folder / "price", tmp_path / "new.csv", "--out", tmp_path / "p.csv", code=2)
    assert "row 2" in result.stderr
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("iris", ["--threshold", "0.5"], "--threshold does not apply to a multiclass run"),
        ("price", ["--threshold", "0.5"], "--threshold does not apply to a regression run"),
        ("price", ["--cost", "c.csv"], "--cost does not apply to a regression run"),
        ("price", ["--probs"], "--probs does not apply to a regression run"),
        ("cancer", ["--threshold", "1.5"], "expected a probability"),
        ("cancer", ["--threshold", "nan"], "expected a probability"),
        ("cancer", ["--threshold", "x"], "not a valid float"),
        ("cancer", ["--threshold", "0.5", "--cost", "c.csv"], "give one"),
        ("iris", ["--cost", "absent.csv"], "absent.csv"),
        ("iris", ["--out", "p.xlsx"], ".csv, .jsonl, .parquet"),
        ("iris", ["--out", "/proc/absent/p.csv"], "cannot write"),
    ],
)
def test_wrong_options(folder: Path, name: str, options: list[str], message: str) -> None:
    data = {"iris": "iris", "cancer": "breast-cancer"}.get(name, folder / f"{name}.csv")
    result = run("predict", folder / name, data, *options, code=2)
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
