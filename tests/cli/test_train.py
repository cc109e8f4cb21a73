"""``likelihead train`` from a file to sensible figures, for every task and form of data."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from command import run
from likelihead.train import TrainConfig, toml
from likelihead.train.options import OPTIONS
from likelihead.train.run import read_metrics


def figures(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "report.json").read_text())["figures"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("data", "argv", "least"),
    [
        ("iris", ["--hidden", 7, "--activation", "tanh"], 0.93),
        ("iris", ["--hidden", 7, "--activation", "tanh", "--output", "log-probs"], 0.93),
        ("digits", ["--epochs", 30], 0.95),
        ("digits", ["--epochs", 30, "--output", "log-probs"], 0.95),
        ("wine", ["--epochs", 30], 0.93),
        ("breast-cancer", ["--epochs", 20], 0.93),
        ("breast-cancer", ["--epochs", 20, "--output", "log-probs", "--class-weight", "balanced"], 0.93),
        ("wine", ["--epochs", 30, "--hidden", "none"], 0.93),
        (
            "iris",
            ["--hidden", "16,8", "--activation", "relu", "--optimizer", "adamw", "--weight-decay", 0.01],
            0.9,
        ),
        ("iris", ["--optimizer", "sgd", "--label-smoothing", 0.05, "--guard", "full", "--epochs", 60], 0.9),
    ],
)
def test_bundled_sets(data: str, argv: list[object], least: float, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run("train", data, *argv, "--out", out)
    found = figures(out)
    assert found["accuracy"] >= least
    assert found["nll"] < 0.5 * found["baseline_nll"]
    assert f"test accuracy {found['accuracy']:.4f}" in result.stdout
    assert f"baseline {found['baseline_nll']:.4f}" in result.stdout
    assert "baseline" in result.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoints",
        "config.toml",
        "metrics.jsonl",
        "model.safetensors",
        "report.html",
        "report.json",
        "schema.json",
    ]


def write_csv(path: Path, header: str, lines: list[str]) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def points() -> list[tuple[float, float]]:
    draw = random.Random(0)
    return [(draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(400)]


def test_a_multilabel_file_with_columns(points: list[tuple[float, float]], tmp_path: Path) -> None:
    lines = [f"{x:.4f},{y:.4f},{int(x > 0)},{int(x + y > 0.5)}" for x, y in points]
    data = write_csv(tmp_path / "tags.csv", "x,y,east,far", lines)
    run("train", data, "--target", "east", "--target", "far", "--epochs", 20, "--out", tmp_path / "run")
    found = figures(tmp_path / "run")
    assert found["label_accuracy"] > 0.93
    assert found["nll"] < 0.4 * found["baseline_nll"]
    score = run("evaluate", tmp_path / "run", data, "--json")
    assert json.loads(score.stdout)["exact_match"] > 0.9


def test_a_multilabel_file_with_sets(points: list[tuple[float, float]], tmp_path: Path) -> None:
    lines = [
        f"{x:.4f},{y:.4f},{';'.join(['point'] + ['east'] * (x > 0) + ['north'] * (y > 0))}" for x, y in points
    ]
    data = write_csv(tmp_path / "tags.csv", "x,y,tags", lines)
    options = ["--target", "tags", "--task", "multilabel", "--epochs", 20]
    run("train", data, *options, "--out", tmp_path / "run")
    assert figures(tmp_path / "run")["label_accuracy"] > 0.93


def test_a_regression_file(points: list[tuple[float, float]], tmp_path: Path) -> None:
    lines = [f"{x:.4f},{y:.4f},{1e5 + 2e3 * (x - 2 * y):.3f}" for x, y in points]
    data = write_csv(tmp_path / "price.csv", "x,y,price", lines)
    result = run("train", data, "--epochs", 30, "--out", tmp_path / "run")
    found = figures(tmp_path / "run")
    assert found["r2"] > 0.98
    assert found["rmse"] < 1000
    assert found["nll"] < found["baseline_nll"] - 1
    assert "test rmse" in result.stdout
    scored = json.loads(run("evaluate", tmp_path / "run", data, "--json").stdout)
    assert scored["r2"] > 0.98
    assert scored["baseline_nll"] == pytest.approx(found["baseline_nll"], abs=0.3)


@pytest.mark.parametrize("output", ["logits", "log-probs"])
def test_a_file_that_streams_learns_as_one_in_memory(
    points: list[tuple[float, float]], tmp_path: Path, output: str
) -> None:
    noise = random.Random(1)
    lines = [
        f"{x:.4f},{y:.4f},{','.join(f'{noise.random():.3f}' for _ in range(14))},{'ab'[x > y]}"
        for x, y in points * 12
    ]
    header = "u,v," + ",".join(f"n{i}" for i in range(14)) + ",side"
    data = write_csv(tmp_path / "big.csv", header, lines)
    options = ["--epochs", 2, "--hidden", 8, "--batch-size", 64, "--output", output]
    result = run("train", data, *options, "--memory", "1MiB", "--out", tmp_path / "run")
    assert "streamed" in result.stderr
    assert figures(tmp_path / "run")["accuracy"] > 0.9


def test_the_log_and_the_configuration(tmp_path: Path) -> None:
    run("train", "iris", "--epochs", 30, "--hidden", "7", "--seed", 3, "--out", tmp_path / "run")
    records = read_metrics(tmp_path / "run")
    assert [r["epoch"] for r in records if r["kind"] == "epoch"] == list(range(1, 31))
    assert [r["step"] for r in records if r["kind"] == "step"] == [100]
    assert not [name for record in records for name in record if "time" in name or "second" in name]
    config = toml.loads((tmp_path / "run" / "config.toml").read_text())
    expected = TrainConfig(data="iris", epochs=30, hidden=(7,), seed=3)
    assert config["options"] == expected.to_dict()
    assert config["resolved"]["layers"][1:] == [7, 3]
    assert config["resolved"]["task"] == "multiclass"


def test_without_out_runs_are_numbered_and_the_newest_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        assert f"runs/iris-{number}:" in run("train", "iris", "--epochs", 1).stdout
    report = Path("runs/iris-2/report.html")
    report.unlink()
    assert "runs/iris-2:" in run("train", "iris", "--resume").stdout
    assert report.is_file()
    assert "runs/iris-1:" in run("train", "--resume", "--out", "runs/iris-1", "--epochs", 1).stdout


def test_a_run_resumes_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_csv(tmp_path / "d.csv", "x,y", [f"{i * i % 17},{'ab'[i % 2]}" for i in range(60)])
    monkeypatch.chdir(tmp_path)
    run("train", data.name, "--epochs", 1, "--out", "run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "../run:" in run("train", "--resume", "--out", "../run").stdout


def test_the_level_of_the_guard_is_the_one_in_force(tmp_path: Path) -> None:
    from likelihead.guard.switch import guard

    with guard("full"):
        run("train", "iris", "--epochs", 1, "--out", tmp_path / "full")
    run("train", "iris", "--epochs", 1, "--guard", "off", "--out", tmp_path / "off")
    for level in ("full", "off"):
        text = (tmp_path / level / "config.toml").read_text()
        assert toml.loads(text)["options"]["guard"] == level


def test_help_tells_the_defaults_and_the_exit_codes() -> None:
    shown = run("train", "--help").stdout
    for code in ("130", "143"):
        assert code in shown
    shown = " ".join(shown.split())
    for option in OPTIONS:
        assert option.flag in shown
        assert option.full_help in shown
    assert "[32; text 512; a transformer 128,128,128,128; images 16,32,64]" in shown
