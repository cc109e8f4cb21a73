"""Kill a run on text anywhere, resume it, and compare every byte with the run that was never stopped."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from killed import exit_codes, job, state, work
from likelihead.cli import main
from likelihead.train import TrainConfig, checkpoint, train

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX's")

# Two documents of 500 bytes are trained on, in four streams of 251 tokens, nine a step: 28 steps a pass.
BASE: dict[str, Any] = {"task": "language", "hidden": [8], "batch_size": 4, "context": 9, "epochs": 3}
KINDS: dict[str, dict[str, Any]] = {
    "gru": {"hidden": [8, 6]},
    "transformer": {"network": "transformer", "hidden": [8, 8]},
    "padded": {"packing": "padded", "label_smoothing": 0.1},
}
KILLS: dict[str, list[list[Any]]] = {
    "first-step": [["step", 1]],
    "between-checkpoints": [["step", 20]],
    "at-a-checkpoint": [["step", 26]],
    "end-of-an-epoch": [["epoch", 1]],
    "in-the-second-pass": [["step", 43], ["step", 3], ["epoch", 1]],
    "stopped-by-a-signal": [["stop", 17]],
    "stopped-in-an-evaluation": [["stop", 29]],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]]]:
    root = tmp_path_factory.mktemp("runs")
    (root / "texts").mkdir()
    for i in range(3):
        words = " ".join(str((i + 7) * k % 911) for k in range(400))
        (root / "texts" / f"{i}.txt").write_text(words[:500])
    jobs = []
    for kind, more in KINDS.items():
        options = {**BASE, "data": str(root / "texts"), "test_fraction": 0.34, "checkpoint_every": 13, **more}
        jobs += [job(f"{kind}-{name}", options, kills, root) for name, kills in {"none": [], **KILLS}.items()]
    codes, errors = work(jobs, "likelihead.train.language.problem:LanguageProblem")
    assert errors == []
    return root, codes


@pytest.mark.parametrize("name", list(KILLS))
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_resumed_run_is_bit_identical(
    runs: tuple[Path, dict[str, list[int]]], kind: str, name: str
) -> None:
    root, codes = runs
    assert codes[f"{kind}-{name}"] == exit_codes(KILLS[name])
    assert state(root / f"{kind}-{name}") == state(root / f"{kind}-none")


def test_the_carried_state_is_in_the_checkpoint(runs: tuple[Path, dict[str, list[int]]]) -> None:
    root, _ = runs
    for kind, count in {"gru": 2, "transformer": 0, "padded": 0}.items():
        saved = checkpoint.read(checkpoint.paths(root / f"{kind}-none" / "checkpoints")[-1])
        carried = [name for name in saved.tensors if name.startswith("carried.")]
        assert len(carried) == count
        assert all(bool(saved.tensors[name].any()) for name in carried)


def test_the_comparison_can_fail(runs: tuple[Path, dict[str, list[int]]]) -> None:
    root, _ = runs
    first, second = state(root / "gru-none"), state(root / "transformer-none")
    assert first["model.safetensors"] != second["model.safetensors"]


def test_a_text_that_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    path, out = tmp_path / "t.txt", tmp_path / "run"
    path.write_text("some words " * 30)
    config = TrainConfig(
        data=str(path), task="language", hidden=(8,), context=8, batch_size=2, epochs=1, test_fraction=0.2
    )
    train(config, out=out)
    path.write_text("some wards " * 30)  # as long as before
    result = CliRunner().invoke(main, ["train", "--resume", "--out", str(out)])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "changed since the run began" in result.stderr
