"""Kill a run on images, resume it, and compare every byte with the run that was never stopped."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from killed import exit_codes, job, state, work

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX's")

KILLS: dict[str, list[list[Any]]] = {
    "none": [],
    "steps": [["step", 1], ["step", 6], ["epoch", 1]],
    "in-an-evaluation": [["stop", 9], ["step", 5]],
}


def folders(root: Path) -> dict[str, Path]:
    """Pictures with masks of three and of two classes, and with labels, some of them missing."""
    draw = np.random.default_rng(0)
    rows = ["image,a,b"]
    found = {name: root / name for name in ("classes", "binary", "labels")}
    for index in range(10):
        mask = np.zeros((24, 20 + index), dtype=np.uint8)
        mask[4:12, 3:9], mask[10:20, 8:18] = 1 + index % 2, 2
        image = np.clip(60 * mask + draw.normal(50, 9, mask.shape), 0, 255).astype(np.uint8)
        for name in ("classes", "binary"):
            for part, pixels in (("images", image), ("masks", mask if name == "classes" else mask // 2)):
                (found[name] / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(found[name] / part / f"{index}.png")
        found["labels"].mkdir(exist_ok=True)
        Image.fromarray(image).save(found["labels"] / f"{index}.png")
        rows.append(f"{index}.png,{index % 2},{'' if index == 3 else int(index > 4)}")
    (found["labels"] / "labels.csv").write_text("\n".join(rows))
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]]]:
    folder = tmp_path_factory.mktemp("runs")
    common = {"hidden": [4, 6], "epochs": 3, "batch_size": 4, "checkpoint_every": 4, "lr": 0.01}
    data = folders(folder / "data")
    options = {
        "classes": {
            **common,
            "data": str(data["classes"]),
            "tile": 16,
            "class_weight": "balanced",
            "overlap": "dice",
        },
        "binary": {**common, "data": str(data["binary"]), "tile": 16, "overlap": "lovasz"},
        "labels": {**common, "data": str(data["labels"]), "image_size": 12, "batch_size": 1},
    }
    jobs = [
        job(f"{name}-{kill}", options[name], kills, folder)
        for name in options
        for kill, kills in KILLS.items()
    ]
    codes, errors = work(jobs, "likelihead.train.images:ImageProblem")
    assert errors == []
    return folder, codes


@pytest.mark.parametrize("kill", [name for name in KILLS if name != "none"])
@pytest.mark.parametrize("name", ["classes", "binary", "labels"])
def test_a_resumed_run_is_bit_identical(
    runs: tuple[Path, dict[str, list[int]]], name: str, kill: str
) -> None:
    folder, codes = runs
    assert codes[f"{name}-{kill}"] == exit_codes(KILLS[kill])
    assert state(folder / f"{name}-{kill}") == state(folder / f"{name}-none")


def test_the_comparison_can_fail(runs: tuple[Path, dict[str, list[int]]]) -> None:
    folder, _ = runs
    assert (
        state(folder / "classes-none")["model.safetensors"]
        != state(folder / "binary-none")["model.safetensors"]
    )
    records = [
        json.loads(line) for line in (folder / "classes-none" / "metrics.jsonl").read_text().splitlines()
    ]
    assert len({record["train_nll"] for record in records}) == 3


def test_data_that_changed_are_not_resumed(tmp_path: Path) -> None:
    from likelihead.errors import RunError
    from likelihead.train import Interrupted, TrainConfig, resume, train

    data, out = folders(tmp_path)["labels"], tmp_path / "run"
    config = TrainConfig(data=str(data), hidden=(4,), image_size=12, epochs=2)
    with pytest.raises(Interrupted):
        train(config, out=out, stop=lambda: signal.SIGTERM)
    (data / "labels.csv").write_text((data / "labels.csv").read_text().replace("0.png,0,0", "0.png,1,1"))
    with pytest.raises(RunError, match="changed since the run began"):
        resume(out)
