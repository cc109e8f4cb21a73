"""Kill a run anywhere, resume it, and compare every byte with the run that was never stopped."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from killed import exit_codes, job, state, work
from likelihead.train import checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX's")

OPTIONS: dict[str, Any] = {
    "data": "iris",
    "hidden": [7],
    "epochs": 8,
    "batch_size": 8,
    "checkpoint_every": 13,
    "class_weight": "balanced",
}
# 123 training rows make 16 steps an epoch, and 128 in all.
KILLS: dict[str, list[list[Any]]] = {
    "none": [],
    "first-step": [["step", 1]],
    "at-a-checkpoint": [["step", 13]],
    "just-before-one": [["step", 12]],
    "end-of-an-epoch": [["epoch", 3]],
    "in-a-log-interval": [["step", 107]],
    "last-step": [["step", 128]],
    "three-times": [["step", 30], ["step", 55], ["epoch", 2]],
    "writing-a-checkpoint": [["fsync", 15]],
    "syncing-the-log": [["fsync", 16]],
    "before-the-rename": [["replace", 8]],
    "before-the-last-files": [["replace", 14]],
    "stopped-by-a-signal": [["stop", 17], ["stop", 9]],
    "stopped-in-an-evaluation": [["stop", 9]],
}
STREAMED_KILLS = [["step", 31], ["step", 60], ["epoch", 1]]

# The write of the model, counted from the resumption before it: all that is fitted after the training is
# fitted again.
BEFORE_THE_MODEL: dict[str, list[Any]] = {
    "adjusted": ["replace", 4],
    "resampled": ["replace", 4],
    "effective": ["replace", 4],
    "soft": ["replace", 4],
    "taught": ["replace", 4],
    "tuned": ["replace", 3],
}


PROBLEM = "likelihead.train.table.problem:TableProblem"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]]]:
    folder = tmp_path_factory.mktemp("runs")
    jobs = [job(name, OPTIONS, kills, folder) for name, kills in KILLS.items()]
    sgd = {**OPTIONS, "optimizer": "sgd", "output": "log-probs"}
    jobs += [job("sgd-none", sgd, [], folder), job("sgd-killed", sgd, [["step", 70]], folder)]
    streamed = {**OPTIONS, "data": str(_large_file(folder)), "memory": 2**20, "epochs": 2, "batch_size": 64}
    jobs += [
        job("streamed-none", streamed, [], folder),
        job("streamed-killed", streamed, STREAMED_KILLS, folder),
    ]
    for name, options in balancing(folder).items():
        kills = [["step", 9], ["epoch", 1], BEFORE_THE_MODEL[name]]
        jobs += [job(f"{name}-none", options, [], folder), job(f"{name}-killed", options, kills, folder)]
    codes, errors = work(jobs, PROBLEM)
    assert errors == []
    return folder, codes


def balancing(folder: Path) -> dict[str, dict[str, Any]]:
    """A run for each way to weigh, to draw, to calibrate and to choose the targets."""
    soft = _soft_file(folder)
    small = {**OPTIONS, "class_weight": "none", "epochs": 3}
    # The run that was never stopped is the first scenario, and there when these begin.
    return {
        "adjusted": {**small, "logit_adjustment": 1.0, "calibrate": "temperature"},
        "resampled": {**small, "resample": "balanced", "focal": 2.0, "calibrate": "vector"},
        "effective": {**small, "class_weight": "effective", "focal": 1.0},
        "soft": {**small, "data": soft, "target": ["p_0", "p_1", "p_2"], "task": "multiclass"},
        "taught": {**small, "teacher": str(folder / "none"), "temperature": 3.0},
        "tuned": {
            **small,
            "data": "breast-cancer",
            "batch_size": 64,
            "calibrate": "platt",
            "tune_thresholds": True,
        },
    }


def _soft_file(folder: Path) -> str:
    draw = random.Random(1)
    lines = ["x,z,p_0,p_1,p_2"]
    for _ in range(120):
        first, second = sorted((draw.randrange(101), draw.randrange(101)))
        share = first / 100, (second - first) / 100, (100 - second) / 100
        lines.append(f"{draw.random():.4f},{draw.random():.4f}," + ",".join(f"{p:.2f}" for p in share))
    (folder / "soft.csv").write_text("\n".join(lines) + "\n")
    return str(folder / "soft.csv")


def _large_file(folder: Path) -> Path:
    """More rows than the least memory budget holds."""
    draw = random.Random(0)
    rows = [[draw.random() for _ in range(16)] for _ in range(5000)]
    lines = [",".join([*(f"{v:.4f}" for v in row), "ab"[row[0] > row[1]]]) for row in rows]
    path = folder / "large.csv"
    path.write_text("\n".join([",".join([*(f"n{i}" for i in range(16)), "side"]), *lines]) + "\n")
    return path


@pytest.mark.parametrize("name", [name for name in KILLS if name != "none"])
def test_a_resumed_run_is_bit_identical(runs: tuple[Path, dict[str, list[int]]], name: str) -> None:
    folder, codes = runs
    assert codes[name] == exit_codes(KILLS[name])
    assert state(folder / name) == state(folder / "none")


def test_another_optimizer_and_output(runs: tuple[Path, dict[str, list[int]]]) -> None:
    folder, codes = runs
    assert codes["sgd-killed"] == [-signal.SIGKILL, 0]
    assert state(folder / "sgd-killed") == state(folder / "sgd-none")


@pytest.mark.parametrize("name", list(BEFORE_THE_MODEL))
def test_every_way_to_balance_and_to_calibrate(runs: tuple[Path, dict[str, list[int]]], name: str) -> None:
    folder, codes = runs
    assert codes[f"{name}-killed"][-1] == 0
    assert codes[f"{name}-killed"].count(-signal.SIGKILL) == 3
    assert state(folder / f"{name}-killed") == state(folder / f"{name}-none")


def test_a_streamed_file(runs: tuple[Path, dict[str, list[int]]]) -> None:
    folder, codes = runs
    assert codes["streamed-killed"] == exit_codes(STREAMED_KILLS)
    assert state(folder / "streamed-killed") == state(folder / "streamed-none")


def test_the_comparison_can_fail(runs: tuple[Path, dict[str, list[int]]]) -> None:
    folder, _ = runs
    assert state(folder / "sgd-none")["model.safetensors"] != state(folder / "none")["model.safetensors"]


def test_nothing_temporary_is_left(runs: tuple[Path, dict[str, list[int]]]) -> None:
    folder, _ = runs
    assert [path for path in folder.rglob("*") if path.name.endswith(".tmp")] == []


def test_the_log_has_every_epoch_once(runs: tuple[Path, dict[str, list[int]]]) -> None:
    folder, _ = runs
    records = [
        json.loads(line) for line in (folder / "three-times" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [r["epoch"] for r in records if r["kind"] == "epoch"] == list(range(1, 9))
    assert [r["step"] for r in records if r["kind"] == "step"] == [100]


def test_a_full_disk_stops_the_run_and_keeps_what_was_saved(tmp_path: Path) -> None:
    """The kernel's limit on a file's size stands in for a full disk: the write fails half-way."""
    jobs = [job("whole", OPTIONS, [], tmp_path), job("limited", OPTIONS, [["limit", 20]], tmp_path)]
    codes, errors = work(jobs, PROBLEM)
    assert codes["limited"] == [2, 0]
    assert len(errors) == 1
    assert "cannot write" in errors[0]
    assert "step-000000026.ckpt" in errors[0]
    assert "--resume --out" in errors[0]
    assert state(tmp_path / "limited") == state(tmp_path / "whole")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_exits_with_its_code(tmp_path: Path, signum: int, code: int) -> None:
    out = tmp_path / "run"
    argv = ["train", "iris", "--epochs", "1000000", "--hidden", "7", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", f"from likelihead.cli import main; main({argv!r})"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = out / "metrics.jsonl"
    while not (log.exists() and log.stat().st_size > 500):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signum)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert "Traceback" not in error
    last = error.strip().splitlines()[-1]
    assert last.endswith(f"go on with: likelihead train --resume --out {out}")
    saved = checkpoint.read(checkpoint.paths(out / "checkpoints")[-1])
    assert f"after step {saved.header['position']['step']}," in last
    assert not (out / "model.safetensors").exists()
