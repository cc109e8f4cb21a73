"""Checkpoints: whole or not at all, and no altered byte goes unseen."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from likelihead.errors import CheckpointError, RunError
from likelihead.train import checkpoint
from likelihead.train.checkpoint import Checkpoint


def make(value: float = 1.0) -> Checkpoint:
    tensors = {
        "model.w": torch.full((2, 3), value, dtype=torch.float64),
        "optimizer.0.step": torch.tensor(3.0),
        "rng.torch": torch.get_rng_state(),
    }
    return Checkpoint(tensors, {"run": "abc", "position": {"step": 3, "nll_total": 0.1 + 0.2}})


def test_round_trip_is_exact(tmp_path: Path) -> None:
    saved = make()
    back = checkpoint.read(checkpoint.write(tmp_path, 3, saved))
    assert back.header == saved.header
    assert set(back.tensors) == set(saved.tensors)
    for name, tensor in saved.tensors.items():
        assert back.tensors[name].dtype == tensor.dtype
        assert torch.equal(back.tensors[name], tensor)


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (0, 5, 10, 1_000_000_000):
        checkpoint.write(tmp_path, step, make(step))
    assert [path.name for path in checkpoint.paths(tmp_path)] == [
        "step-000000010.ckpt",
        "step-1000000000.ckpt",
    ]


def test_every_truncation_is_found(tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, 3, make())
    content = path.read_bytes()
    for length in [*range(0, 64), *range(64, len(content), 211), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            checkpoint.read(path)


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, 3, make())
    content = path.read_bytes()
    for position in [*range(0, 64), *range(64, len(content), 173), len(content) - 1]:
        altered = bytearray(content)
        altered[position] ^= 1 << (position % 8)
        path.write_bytes(altered)
        with pytest.raises(CheckpointError, match=path.name):
            checkpoint.read(path)


def test_the_error_names_the_file_and_the_one_before(tmp_path: Path) -> None:
    before = checkpoint.write(tmp_path, 1, make())
    path = checkpoint.write(tmp_path, 2, make())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError) as failure:
        checkpoint.read(path)
    assert str(path) in str(failure.value)
    assert before.name in str(failure.value)
    before.unlink()
    with pytest.raises(CheckpointError, match="no other checkpoint"):
        checkpoint.read(path)


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint.latest(tmp_path)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_one_before_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    before = checkpoint.write(tmp_path, 1, make())
    content = before.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(RunError, match="no space left"):
        checkpoint.write(tmp_path, 2, make())
    assert [path.name for path in tmp_path.iterdir()] == [before.name]
    assert before.read_bytes() == content


def test_an_orphan_is_cleared_away(tmp_path: Path) -> None:
    checkpoint.write(tmp_path, 1, make())
    orphan = tmp_path / ".step-000000002.ckpt.4711.tmp"
    orphan.write_bytes(b"half")
    assert checkpoint.latest(tmp_path).name == "step-000000001.ckpt"
    assert not orphan.exists()
