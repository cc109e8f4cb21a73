"""Probability columns and distillation: whole small runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import likelihead.train.table.problem as problem_module
from likelihead.errors import OptionError, RunError
from likelihead.train import TrainConfig, resume, train
from likelihead.train.run import read_metrics, read_model
from likelihead.train.stored import stored
from likelihead.train.table.data import load, load_for_schema
from likelihead.train.table.data.dataset import Batch
from likelihead.train.table.problem import TableProblem, begin
from likelihead.train.table.trained import load_run

NAMES = ("setosa", "versicolor", "virginica")
COLUMNS = tuple(f"p_{name}" for name in NAMES)


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training here; test_report.py looks at the reports."""
    monkeypatch.setattr(TableProblem, "write_report", lambda self, trainer: None)


def iris_with(path: Path, probs: Any, *, hard: bool = True) -> str:
    """Iris as a file, with a column of probabilities for each class instead of the class."""
    data = load("iris")
    rows = data.raw_rows(range(1, 151))
    features = [name for name in rows[1] if name != "target"]
    lines = [",".join([*features, *COLUMNS])]
    for row in range(1, 151):
        share = probs(NAMES.index(rows[row]["target"]))
        lines.append(",".join([*(rows[row][name] for name in features), *(repr(float(p)) for p in share)]))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def options(data: str, **more: Any) -> TrainConfig:
    return TrainConfig(data=data, hidden=(5,), epochs=3, **more)


def smoothed(target: int) -> Any:
    return 0.8 * np.eye(3)[target] + 0.2 / 3


def test_label_smoothing_is_a_case_of_soft_targets(tmp_path: Path) -> None:
    """The smoothed one-hot rows, given as columns, train the network that --label-smoothing trains."""
    soft = iris_with(tmp_path / "soft.csv", smoothed)
    one_hot = iris_with(tmp_path / "hard.csv", lambda target: np.eye(3)[target])
    configs = [
        options("iris", label_smoothing=0.2),
        options(one_hot, label_smoothing=0.2, target=COLUMNS, task="multiclass"),
        options(soft, target=COLUMNS, task="multiclass"),
    ]
    runs = [train(config, out=tmp_path / str(index)).folder for index, config in enumerate(configs)]
    weights = [read_model(run)[0] for run in runs]
    for other in weights[1:]:
        for name, value in weights[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-9, atol=1e-10)
    assert not torch.equal(weights[0]["head.bias"], torch.zeros(3, dtype=torch.float64))


def test_the_divergence_is_the_nll_above_the_entropy(tmp_path: Path) -> None:
    path = iris_with(tmp_path / "soft.csv", smoothed)
    outcome = train(options(path, target=COLUMNS, task="multiclass"), out=tmp_path / "run")
    p = smoothed(0)
    floor = -float((p * np.log(p)).sum())
    assert outcome.test_nll - outcome.more["test_kl"] == pytest.approx(floor)
    assert outcome.more["test_kl"] > 0
    last = read_metrics(tmp_path / "run")[-1]
    assert last["test_kl"] == outcome.more["test_kl"]
    schema = load_run(tmp_path / "run").schema
    assert schema.soft
    assert schema.classes == NAMES
    again = load_for_schema(path, schema, need_target=True)
    assert next(again.all.batches(4))[1].shape == (4, 3)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableProblem, "write_report", lambda self, trainer: None)
        train(TrainConfig(data="iris", hidden=(16,), epochs=20), out=folder)
    return folder


def test_a_student_learns_the_teachers_probabilities(teacher: Path, tmp_path: Path) -> None:
    """The loss is T^2 times the cross-entropy, and the logged divergence is that less the entropy."""
    config = options("iris", teacher=str(teacher), temperature=3.0)
    problem = begin(config)
    features, target, rows, _ = next(problem.batches(0, 0))
    loss = problem.loss(Batch(features, target, rows, None), sums := {})
    taught = load_run(teacher)
    t = taught.output(features, rows, "iris") / 3
    z = problem.model(features).detach() / 3
    q, log_p = torch.softmax(t, 1), torch.log_softmax(z, 1)
    torch.testing.assert_close(loss.detach(), 9 * -(q * log_p).sum(1).mean())
    divergence = (q * (torch.log_softmax(t, 1) - log_p)).sum()
    assert sums["teacher_kl"] == pytest.approx(float(divergence))
    assert problem.teacher is not None
    entropy = problem.teacher.entropy(rows)
    torch.testing.assert_close(
        -(q * log_p).sum(1) - entropy, problem.teacher.kl(problem.model(features).detach(), rows)
    )


def test_distillation_brings_the_student_to_the_teacher(teacher: Path, tmp_path: Path) -> None:
    config = TrainConfig(data="iris", hidden=(8,), epochs=40, teacher=str(teacher), temperature=2.0, lr=0.02)
    outcome = train(config, out=tmp_path / "run")
    log = [record for record in read_metrics(tmp_path / "run") if record["kind"] == "epoch"]
    assert log[-1]["train_teacher_kl"] < 0.01 < log[0]["train_teacher_kl"]
    assert outcome.more["test_teacher_kl"] == log[-1]["test_teacher_kl"] < 0.05
    assert stored(tmp_path / "run")[1].teacher


def test_a_teacher_that_changed_is_refused(teacher: Path, tmp_path: Path) -> None:
    own = tmp_path / "teacher"
    train(TrainConfig(data="iris", hidden=(3,), epochs=1), out=own)
    run = tmp_path / "run"
    train(options("iris", teacher=str(own)), out=run)
    replaced = tmp_path / "again"
    train(TrainConfig(data="iris", hidden=(3,), epochs=1, seed=5), out=replaced)
    for name in ("model.safetensors", "config.toml", "schema.json"):
        (own / name).write_bytes((replaced / name).read_bytes())
    with pytest.raises(RunError, match="not the one that this run began with"):
        resume(run)


def test_a_teacher_of_another_split_is_noted(teacher: Path) -> None:
    assert any("another split" in note for note in begin(options("iris", teacher=str(teacher), seed=3)).notes)
    assert not any("another split" in note for note in begin(options("iris", teacher=str(teacher))).notes)


def test_teachers_that_do_not_fit(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="has learnt 3 classes and the data has 10"):
        begin(options("digits", teacher=str(teacher)))
    with pytest.raises(RunError):
        begin(options("iris", teacher=str(tmp_path / "nothing")))
    train(TrainConfig(data="breast-cancer", hidden=(2,), epochs=1), out=tmp_path / "binary")
    with pytest.raises(OptionError, match="is of a binary task"):
        begin(options("iris", teacher=str(tmp_path / "binary")))
    other = tmp_path / "iris.csv"
    rows = load("iris").raw_rows(range(1, 151))
    lines = [
        ",".join(["width", "target"]),
        *(f"{r['petal width (cm)']},{r['target']}" for r in rows.values()),
    ]
    other.write_text("\n".join(lines) + "\n")
    with pytest.raises(Exception, match="which the model was trained on, is missing"):
        begin(options(str(other), teacher=str(teacher)))


def test_a_teacher_larger_than_the_memory(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = problem_module.load("iris")
    monkeypatch.setattr(type(small.all), "__len__", lambda self: 1 << 30)
    with pytest.raises(OptionError, match="more than half of --memory; give --memory"):
        begin(options("iris", teacher=str(teacher)))


def test_the_model_file_says_it_all(teacher: Path) -> None:
    metadata = read_model(teacher)[1]
    assert json.loads(metadata["schema"])["target"]["form"] == "classes"
