"""A column of weights in training: whole numbers are repeated rows, and 0 is no row."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.train import TrainConfig, train
from likelihead.train.evaluate import evaluate
from likelihead.train.table.data.sides import Sides
from likelihead.train.table.problem import TableProblem, begin

ROWS, CALIBRATION = 160, 0.2


def columns(task: str) -> dict[str, list[Any]]:
    draw = random.Random(5)
    x = [(draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(ROWS)]
    noisy = [a - b + draw.gauss(0, 1.2) for a, b in x]
    target: dict[str, list[Any]] = {
        "binary": {"y": ["yes" if v > 0.5 else "no" for v in noisy]},
        "multiclass": {"y": ["abc"[int(v > -0.5) + int(v > 0.7)] for v in noisy]},
        "multilabel": {"y": [int(v > 0) for v in noisy], "also": [int(v > 0.8) for v in noisy]},
        "regression": {"y": noisy},
        "soft": {"y": [0.2 if v > 0 else 0.6 for v in noisy]},
    }[task]
    if task == "soft":
        target["rest"] = [1 - p for p in target["y"]]
    return {"x1": [a for a, _ in x], "x2": [b for _, b in x], **target}


def weights() -> list[int]:
    draw = random.Random(6)
    return [draw.choice([0, 1, 1, 2, 3]) for _ in range(ROWS)]


def repeated(sides: Sides, weight: list[int]) -> list[int]:
    """Which row stands in each line of a file of the rows repeated, such that each is on its row's side."""
    all_rows = np.arange(1, 40 * ROWS)
    part_of = {part: sides.of(all_rows, part) for part in ("train", "test", "calibration")}  # type: ignore[arg-type]
    queue = {
        part: [row for row in range(ROWS) if here[row] for _ in range(weight[row])]
        for part, here in part_of.items()
    }
    lines: list[int] = []
    done = dict.fromkeys(queue, 0)
    while any(done[part] < len(queue[part]) for part in queue):
        part = next(part for part, here in part_of.items() if here[len(lines)])
        # Where a part is through, its rows come again, with the weight 0.
        lines.append(queue[part][done[part] % len(queue[part])])
        done[part] += 1
    return lines


def files(tmp_path: Path, task: str, sides: Sides) -> tuple[Path, Path, dict[str, int]]:
    """The weighted rows; and the repeated ones, with lines of weight 0 where a side would have too many."""
    values, weight = columns(task), weights()
    lines = repeated(sides, weight)
    part_of = {p: sides.of(np.arange(1, len(lines) + 1), p) for p in ("train", "test", "calibration")}  # type: ignore[arg-type]
    total = {p: sum(w for w, here in zip(weight, part_of[p], strict=False) if here) for p in part_of}
    seen, once = dict.fromkeys(part_of, 0), []
    for at in range(len(lines)):
        part = next(p for p, here in part_of.items() if here[at])
        seen[part] += 1
        once.append(int(seen[part] <= total[part]))
    one, two = tmp_path / "weighted.parquet", tmp_path / "repeated.parquet"
    pq.write_table(pa.table({**values, "w": weight}), one)
    pq.write_table(pa.table({**{n: [v[i] for i in lines] for n, v in values.items()}, "w": once}), two)
    return one, two, total


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("binary", {"class_weight": "balanced"}),
    ("binary", {"focal": 2.0, "class_weight": "balanced"}),
    ("multiclass", {"class_weight": "balanced", "label_smoothing": 0.1}),
    ("multiclass", {"class_weight": "effective"}),
    ("multiclass", {"logit_adjustment": 0.5}),
    ("multiclass", {"output": "log-probs"}),
    ("multilabel", {"class_weight": "balanced"}),
    ("regression", {}),
    ("binary", {"calibrate": "platt", "tune_thresholds": True}),
    ("multiclass", {"calibrate": "vector"}),
    ("soft", {"class_weight": "balanced"}),
]


@pytest.mark.parametrize(("task", "options"), OPTIONS)
def test_whole_numbers_are_repeated_rows(tmp_path: Path, task: str, options: dict[str, Any]) -> None:
    """Twelve steps on all rows at once, and every figure of the report and of the log."""
    one, two, total = files(tmp_path, task, Sides(0, 0.2, CALIBRATION if "calibrate" in options else 0.0))
    target: Any = {"multilabel": ("y", "also"), "soft": ("y", "rest")}.get(task, "y")
    common: dict[str, Any] = {
        "target": target,
        "task": "multiclass" if task == "soft" else task,
        "hidden": (4,),
        "epochs": 12,
        "batch_size": 10_000,
        "sample_weight": "w",
        **options,
    }
    runs = [tmp_path / "one", tmp_path / "two"]
    for data, out in zip((one, two), runs, strict=True):
        train(TrainConfig(data=str(data), **common), out=out)
    models = [load_file(out / "model.safetensors") for out in runs]
    for name, tensor in models[0].items():
        torch.testing.assert_close(tensor, models[1][name], rtol=1e-9, atol=1e-9, msg=name)
    reports = [json.loads((out / "report.json").read_text()) for out in runs]
    first, second = (report["figures"] for report in reports)
    assert first["total_weight"] == second["total_weight"] == total["test"]
    assert second["effective_rows"] == total["test"] > first["effective_rows"]
    for name in first:
        if name not in ("rows", "rows_used", "effective_rows"):
            _same(first[name], second[name], name)
    for key in ("curves", "per_class", "per_target", "confusion", "balance", "soft", "thresholds"):
        _same(reports[0].get(key), reports[1].get(key), key)
    for when in ("before", "after") if "calibrate" in options else ():
        _same(*(report["calibrated"][when] for report in reports), when)
    exclusive = task in ("binary", "multiclass")
    for prior in (None, "estimate") if exclusive else (None,):
        scored = [evaluate(run, str(data), prior=prior) for run, data in zip(runs, (one, two), strict=True)]
        for name, value in scored[0].items():
            if name not in ("run", "data", "notes", "rows", "effective_rows"):
                _same(value, scored[1][name], name)


def _same(one: object, two: object, name: str) -> None:
    if isinstance(one, dict) and isinstance(two, dict):
        assert one.keys() == two.keys()
        for key in one:
            _same(one[key], two[key], f"{name}.{key}")
    elif isinstance(one, list) and isinstance(two, list):
        assert len(one) == len(two)
        for index, (a, b) in enumerate(zip(one, two, strict=True)):
            _same(a, b, f"{name}[{index}]")
    elif isinstance(one, float) or isinstance(two, float):
        assert one == pytest.approx(two, rel=1e-7, abs=1e-8), name
    else:
        assert one == two, name


def problem(tmp_path: Path, **options: Any) -> TableProblem:
    path = tmp_path / "weighted.parquet"
    pq.write_table(pa.table({**columns("multiclass"), "w": [0.25 * w for w in weights()]}), path)
    return begin(TrainConfig(data=str(path), target="y", sample_weight="w", hidden=(), **options))


@pytest.mark.parametrize("options", [{}, {"class_weight": "balanced"}, {"focal": 1.5}])
def test_the_batches_of_an_epoch_add_up_to_the_weighted_mean(tmp_path: Path, options: Any) -> None:
    """Whatever rows meet in a batch: its gradient is its part of that of all rows."""
    small, whole = problem(tmp_path, batch_size=7, **options), problem(tmp_path, batch_size=10_000, **options)
    gradients = []
    for each in (small, whole):
        with torch.no_grad():
            generator = torch.Generator().manual_seed(1)
            for parameter in each.model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        rows = len(each.data.train)
        total = torch.zeros(())
        for batch in each.batches(0, 0):
            total = total + each.loss(batch, {}) * len(batch.rows) / rows
        gradients.append(torch.autograd.grad(total, list(each.model.parameters())))
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-13)


def test_the_loss_is_the_weighted_mean(tmp_path: Path) -> None:
    """By hand, with the class weights: sum of s w nll over sum of s w."""
    run = problem(tmp_path, batch_size=10_000, class_weight="balanced")
    with torch.no_grad():
        run.model.head.weight.normal_(generator=torch.Generator().manual_seed(2))
    features, target, _, s = batch = next(run.batches(0, 0))
    assert s is not None
    log_probs = torch.log_softmax(run.model(features), 1)
    w = torch.tensor(run.resolved.class_weights, dtype=torch.float64)[target]
    nll = -log_probs.gather(1, target.unsqueeze(1)).squeeze(1)
    sums: dict[str, float] = {}
    torch.testing.assert_close(run.loss(batch, sums), (s * w * nll).sum() / (s * w).sum())
    assert run.train_nll(sums) == pytest.approx(float((s * nll).detach().sum() / s.sum()))
    # The classes weigh the same in all, by their weights and not by their rows.
    by_class: Tensor = torch.zeros(3, dtype=torch.float64).index_add_(0, target, s * w)
    torch.testing.assert_close(by_class, by_class.mean().expand(3))


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression", "ordinal", "count"])
def test_only_the_ratio_of_the_weights_counts(tmp_path: Path, task: str) -> None:
    """Importance weights may have any scale: the start, the baseline, the loss and its gradient stay."""
    values = columns({"ordinal": "multiclass", "count": "regression"}.get(task, task))
    options: dict[str, Any] = {"target": "y", "task": task}
    if task == "multilabel":
        # A label that no row has, as well.
        values["also"] = [0] * ROWS
        options["target"] = ("y", "also")
    if task == "multiclass":
        options["class_weight"] = "effective"
    if task == "ordinal":
        options["order"] = ("a", "b", "c")
    if task == "count":
        values["y"] = [max(0, round(v)) for v in values["y"]]
    found = []
    for scale in (0.9, 1e-6, 1e-30):
        path = tmp_path / f"{scale}.parquet"
        pq.write_table(pa.table({**values, "w": [scale * w / 3 for w in weights()]}), path)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            run = begin(TrainConfig(data=str(path), sample_weight="w", hidden=(3,), batch_size=40, **options))
        loss = run.loss(next(run.batches(0, 0)), {})
        gradients = torch.autograd.grad(loss, [run.model.head.weight, run.model.head.bias])
        found.append(
            [
                run.resolved.baseline_nll,
                *run.resolved.constant,
                *run.resolved.constant_parameters,
                float(loss.detach()),
                *torch.cat([g.flatten() for g in gradients]).tolist(),
            ]
        )
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-6, abs=1e-9)


def test_a_teacher_is_learnt_from_by_weight(tmp_path: Path) -> None:
    """By hand; the teacher speaks of every row of the file, those that are left out among them."""
    path = tmp_path / "weighted.parquet"
    pq.write_table(pa.table({**columns("multiclass"), "w": [0.5 * w for w in weights()]}), path)
    common: dict[str, Any] = {"target": "y", "sample_weight": "w", "hidden": (), "batch_size": 10_000}
    train(TrainConfig(data=str(path), epochs=3, **common), out=tmp_path / "teacher")
    config = TrainConfig(data=str(path), teacher=str(tmp_path / "teacher"), temperature=2.0, **common)
    run = begin(config)
    features, _, rows, s = batch = next(run.batches(0, 0))
    assert run.teacher is not None
    assert s is not None
    assert len(run.teacher.logits) == ROWS
    q = torch.softmax(run.teacher.logits[rows - 1] / 2, 1)
    each = -4 * (q * torch.log_softmax(run.model(features) / 2, 1)).sum(1)
    sums: dict[str, float] = {}
    torch.testing.assert_close(run.loss(batch, sums), (s * each).sum() / s.sum())
    kl = (q * (torch.log(q) - torch.log_softmax(run.model(features) / 2, 1))).sum(1).detach()
    assert sums["teacher_kl"] / sums["count"] == pytest.approx(float((s * kl).sum() / s.sum()))


def test_resampling_would_be_undone(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="which --sample-weight would undo"):
        problem(tmp_path, resample="balanced")
