"""Counts, quantiles, robust regressions and ranks: trained, predicted, scored, and gone on with."""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from command import run
from likelihead.likelihoods import CumulativeLink, Poisson, Quantile
from likelihead.train import TrainConfig, resume, train
from likelihead.train.evaluate import evaluate
from likelihead.train.report.finished import read_run
from likelihead.train.run import read_model
from likelihead.train.table.data import Schema, TargetSchema
from likelihead.train.table.numbers import NumberFigures, misses, numbers, pinball
from likelihead.train.table.ranks import RankFigures
from likelihead.train.table.trained import load_run

TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "count": ("visits", {}),
    "overdispersed-count": ("wide", {}),
    "robust-regression": ("hours", {}),
    "quantile": ("hours", {"levels": (0.1, 0.5, 0.8)}),
    "ordinal": ("grade", {"order": ("low", "medium", "high", "top")}),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    n = 400
    x, z = rng.normal(size=(2, n))
    mean = np.exp(0.5 + 0.6 * x - 0.3 * z)
    hours = 20 + 5 * x - 2 * z + (1 + 0.8 * np.abs(z)) * rng.normal(size=n)
    hours[::40] *= 50
    grade = np.digitize(1.5 * x - z + rng.logistic(size=n), [-1.5, 0.5, 2.5])
    columns = {
        "x": x.round(4),
        "z": z.round(4),
        "visits": rng.poisson(mean),
        "wide": rng.poisson(mean * rng.gamma(0.8, 1 / 0.8, n)),
        "hours": hours.round(4),
        "grade": np.array(["low", "medium", "high", "top"])[grade],
        "w": rng.choice([0, 0.5, 1, 3], n),
    }
    path = tmp_path_factory.mktemp("numbers") / "data.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def only(data: Path, target: str, folder: Path) -> Path:
    """The features, one target and the weights."""
    rows = read(data)
    path = folder / f"{target}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["x", "z", target, "w"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def config(path: Path, task: str, **options: Any) -> TrainConfig:
    target, own = TASKS[task]
    common: dict[str, Any] = {"hidden": (6,), "epochs": 8, "batch_size": 50, "sample_weight": "w"} | {
        "target": target
    }
    return TrainConfig(data=str(path), task=task, **{**common, **own, **options})


@pytest.mark.parametrize("task", TASKS)
def test_a_run_learns_predicts_and_is_scored(data: Path, tmp_path: Path, task: str) -> None:
    path, out = only(data, TASKS[task][0], tmp_path), tmp_path / "run"
    outcome = train(config(path, task), out=out)
    assert outcome.test_nll < outcome.baseline_nll - 0.02
    report = json.loads((out / "report.json").read_text())
    assert report["task"] == task
    assert report["figures"]["nll"] == pytest.approx(outcome.test_nll, rel=1e-9)
    html = (out / "report.html").read_text()
    heading = {
        "count": "Counts",
        "overdispersed-count": "Counts",
        "quantile": "Quantiles",
        "ordinal": "Ranks",
    }
    assert heading.get(task, "Predicted and observed") in html
    assert read_run(out).task == task
    # All rows, and the test rows among them, scored by hand.
    scored = evaluate(out, str(path))
    trained = load_run(out)
    run("predict", out, path, "--out", tmp_path / "said.csv")
    said = read(tmp_path / "said.csv")
    rows = read(path)
    assert [int(row["row"]) for row in said] == list(range(1, len(rows) + 1))
    w = np.array([float(row["w"]) for row in rows])
    truth = [row[TASKS[task][0]] for row in rows]
    assert scored["rows"] == int((w > 0).sum())
    assert scored["total_weight"] == pytest.approx(w.sum())
    assert scored["nll"] < scored["baseline_nll"]
    if task == "ordinal":
        right = np.array([a["prediction"] == b for a, b in zip(said, truth, strict=True)])
        assert scored["accuracy"] == pytest.approx((w * right).sum() / w.sum())
        assert scored["quadratic_kappa"] > 0.3
        assert isinstance(trained.likelihood, CumulativeLink)
        assert torch.equal(trained.likelihood.gaps, read_model(out)[0]["likelihood.gaps"])
        return
    y, p = np.array(truth, dtype=float), np.array([float(row["prediction"]) for row in said])
    assert scored["mae"] == pytest.approx((w * np.abs(y - p)).sum() / w.sum())
    assert scored["rmse"] == pytest.approx(math.sqrt((w * (y - p) ** 2).sum() / w.sum()))
    if task == "quantile":
        q = np.array([[float(row[f"quantile_{level:g}"]) for level in (0.1, 0.5, 0.8)] for row in said])
        assert (np.diff(q, axis=1) >= 0).all()
        assert (p == q[:, 1]).all()
        for index, level in enumerate((0.1, 0.5, 0.8)):
            error = y - q[:, index]
            loss = np.maximum(level * error, (level - 1) * error)
            per_level = scored["per_level"][index]
            assert per_level["pinball"] == pytest.approx((w * loss).sum() / w.sum())
            assert per_level["share_below"] == pytest.approx((w * (error <= 0)).sum() / w.sum())
            assert per_level["share_below"] == pytest.approx(level, abs=0.12)


@pytest.mark.parametrize("task", ["overdispersed-count", "ordinal"])
def test_a_run_goes_on_to_the_same_bits(data: Path, tmp_path: Path, task: str) -> None:
    """Stopped in the third epoch; what the likelihood itself has learnt is in the checkpoint."""
    path = only(data, TASKS[task][0], tmp_path)
    train(config(path, task), out=tmp_path / "whole")
    steps = iter(range(1, 1000))
    with pytest.raises(Exception, match=r"stopped by SIGINT after step 1[0-9]"):
        train(config(path, task), out=tmp_path / "parts", stop=lambda: 2 if next(steps) == 21 else None)
    resume(tmp_path / "parts")
    one, two = (read_model(tmp_path / name) for name in ("whole", "parts"))
    assert one[0].keys() == two[0].keys()
    assert all(torch.equal(one[0][name], two[0][name]) for name in one[0])
    if task == "ordinal":
        assert "likelihood.lowest" in one[0]
    for name in ("report.json", "metrics.jsonl"):
        parts = (tmp_path / "parts" / name).read_text().replace('"run": "parts"', '"run": "whole"')
        assert (tmp_path / "whole" / name).read_text() == parts


def test_the_first_loss_is_the_baseline_of_the_training_rows(data: Path, tmp_path: Path) -> None:
    """The head starts at the best constant, and so do thresholds and scales."""
    from likelihead.train.table.problem import begin

    for task in TASKS:
        problem = begin(config(only(data, TASKS[task][0], tmp_path), task, batch_size=10_000))
        _, target, _, weight = batch = next(problem.batches(0, 0))
        loss = float(problem.loss(batch, {}).detach())
        best = float(problem.plain.baseline_nll(target, sample_weight=weight))
        assert loss == pytest.approx(best, rel=1e-5), task


def test_whole_numbers_of_weight_are_repeated_rows(data: Path, tmp_path: Path) -> None:
    """One step's loss and gradient of every task, and the start that it is made from."""
    from likelihead.train.table.problem import begin

    rows = read(data)
    draw = random.Random(1)
    for row in rows:
        row["w"] = str(draw.choice([0, 1, 2, 3]))
    many = [{**row, "w": "1"} for row in rows for _ in range(int(row["w"]))]
    names = ("once", "often")
    for name, table in zip(names, (rows, many), strict=True):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(table)
    for task, (target, _) in TASKS.items():
        losses, gradients = [], []
        for name in names:
            problem = begin(
                config(only(tmp_path / f"{name}.csv", target, tmp_path), task, hidden=(), batch_size=10_000)
            )
            # Every row, whichever side it is on: the same statistics would need the same split.
            everything = next(problem.data.all.weighted_batches(10_000, dtype=torch.float64))
            features, y, _, weight = everything
            assert weight is not None
            scale = torch.tensor([c.std for c in problem.data.schema.columns], dtype=torch.float64)
            mean = torch.tensor([c.mean for c in problem.data.schema.columns], dtype=torch.float64)
            raw = features * scale + mean
            z = torch.full((len(y), problem.model.head.out_features), 0.3, dtype=torch.float64)
            z = (z + raw[:, :1] * 0.1).requires_grad_()
            out = z.squeeze(1) if problem.model.flat else z
            y = problem.data.schema.restore(y) if problem.data.schema.numeric else y
            for parameter in problem.plain.parameters():
                torch.nn.init.constant_(parameter, 0.5)
            loss = problem.plain(out, y, sample_weight=weight)
            losses.append(float(loss.detach()))
            gradient = torch.autograd.grad(loss, z)[0]
            gradients.append(float((gradient * raw[:, 1:2]).sum()))
        assert losses[0] == pytest.approx(losses[1], rel=1e-9), task
        assert gradients[0] == pytest.approx(gradients[1], rel=1e-9, abs=1e-12), task


def test_ranks_by_hand() -> None:
    """Against the confusion matrix, with weights; and as if the rows were repeated."""
    rng = np.random.default_rng(2)
    said, came, w = rng.integers(0, 4, 50), rng.integers(0, 4, 50), rng.integers(1, 4, 50)
    figures, often = RankFigures(4), RankFigures(4)
    figures.add(torch.tensor(said), torch.tensor(came), torch.tensor(w, dtype=torch.float64))
    often.add(torch.tensor(np.repeat(said, w)), torch.tensor(np.repeat(came, w)))
    o = np.zeros((4, 4))
    np.add.at(o, (came, said), w)
    e = np.outer(o.sum(1), o.sum(0)) / o.sum()
    square = (np.arange(4)[:, None] - np.arange(4)) ** 2
    assert figures.kappa == pytest.approx(1 - (square * o).sum() / (square * e).sum())
    assert (figures.kappa, figures.mae) == pytest.approx((often.kappa, often.mae))
    one = RankFigures(3)
    one.add(torch.tensor([1, 1]), torch.tensor([1, 1]))
    assert math.isnan(one.kappa)


def test_dispersion_and_zeros_by_hand() -> None:
    schema = Schema("count", (), TargetSchema("number", ("y",), "number"))
    figures = NumberFigures((), schema, Poisson())
    z, y = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64), torch.tensor([0.0, 4.0, 3.0]).double()
    figures.add(z, y, torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64))
    mu, w = np.exp([0.0, 1.0, 2.0]), np.array([1, 2, 1])
    expected = (w * (y.numpy() - mu) ** 2 / mu).sum() / 4
    assert figures.figures() == pytest.approx(
        {"dispersion": expected, "zeros": 0.25, "zeros_stated": (w * np.exp(-mu)).sum() / 4}
    )


def test_one_quantile_is_a_list_of_one() -> None:
    schema = Schema("quantile", (), TargetSchema("number", ("y",), "number", mean=10.0, std=2.0))
    output, target = torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.0])
    likelihood = Quantile([0.9])
    assert numbers(likelihood, schema, output, (0.9,)).tolist() == [10.0, 12.0]
    assert misses(likelihood, schema, output, target, (0.9,)).tolist() == pytest.approx([0.9, 0.2])
    assert pinball(torch.tensor([[1.0]]), torch.tensor([1.0]), (0.5,)).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--probs"], "--probs does not apply to a count run; it predicts numbers"),
        (["--threshold", "0.5"], "--threshold does not apply to a count run"),
        (["--prior", "estimate"], "--prior does not apply to a count run"),
    ],
)
def test_what_a_count_has_not(data: Path, tmp_path: Path, argv: list[str], said: str) -> None:
    path = only(data, "visits", tmp_path)
    train(config(path, "count", epochs=1), out=tmp_path / "run")
    assert said in run("predict", tmp_path / "run", path, *argv, code=2).output


def test_the_command_line_takes_levels_and_an_order(data: Path, tmp_path: Path) -> None:
    path = only(data, "hours", tmp_path)
    argv = ["--target", "hours", "--task", "quantile", "--sample-weight", "w", "--epochs", 1]
    run("train", path, *argv, "--levels", "0.25,0.75", "--out", tmp_path / "a")
    run("train", path, *argv, "--levels", "0.25", "--levels", "0.75", "--out", tmp_path / "b")
    assert (tmp_path / "a" / "model.safetensors").read_bytes()[200:] == (
        tmp_path / "b" / "model.safetensors"
    ).read_bytes()[200:]
    assert "--levels is '0.25,high'" in run("train", path, *argv, "--levels", "0.25,high", code=2).output
    grades = only(data, "grade", tmp_path)
    argv = ["--target", "grade", "--task", "ordinal", "--epochs", 1, "--sample-weight", "w"]
    run("train", grades, *argv, "--order", "low, medium,high,top", "--out", tmp_path / "c")
    assert load_run(tmp_path / "c").schema.classes == ("low", "medium", "high", "top")
    assert "needs the order" in run("train", grades, *argv, "--out", tmp_path / "d", code=2).output
    wrong = run(
        "train", grades, *argv, "--class-weight", "balanced", "--order", "low,medium,high,top", code=2
    )
    assert "--class-weight balanced does not apply to an ordinal task" in wrong.output


def test_two_models_of_the_same_counts_compare(data: Path, tmp_path: Path) -> None:
    path = only(data, "wide", tmp_path)
    for task in ("count", "overdispersed-count"):
        train(config(path, task, epochs=2, target="wide"), out=tmp_path / task)
    folders = [tmp_path / "count", tmp_path / "overdispersed-count"]
    said = run("compare", *folders, "--out", tmp_path / "c.html").output
    assert "overdispersed-count has the lowest NLL" in said
    assert "other data" not in said
    train(config(path, "robust-regression", epochs=1, target="wide"), out=tmp_path / "robust")
    refused = run("compare", folders[0], tmp_path / "robust", "--out", tmp_path / "d.html", code=2)
    assert "is a count run" in refused.output
