"""Run folders: made whole or not at all; the model's file shows any change."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from likelihead.errors import CheckpointError, RunError
from likelihead.train.run import MetricsLog, created, newest, read_metrics, read_model, read_toml, write_model


def fill(folder: Path) -> None:
    (folder / "config.toml").write_text("")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def entries(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_runs_are_numbered() -> None:
    for expected in ("iris-1", "iris-2", "iris-3"):
        with created(None, "iris", fill) as folder:
            assert folder == Path("runs") / expected
    with created(None, "/else/where/my data.csv", fill) as folder:
        assert folder.name == "my-data-1"
    assert newest("iris").name == "iris-3"
    with pytest.raises(RunError, match="no run of wine"):
        newest("wine")


def test_a_failure_while_filling_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for out in (None, Path("a/b/run")):
        with pytest.raises(RunError, match="no space left"), created(out, "iris", fail):
            pytest.fail("the folder could not be made")
        assert entries(tmp_path) == []


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    stale = tmp_path / "runs" / ".iris-1.4711.tmp"
    stale.mkdir(parents=True)
    fill(stale)
    with created(None, "iris", fill):
        assert not stale.exists()


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    with pytest.raises(RunError, match="files in it"), created(Path("full"), "iris", fill):
        pytest.fail("the folder was taken")
    assert entries(tmp_path / "full") == ["thesis.txt"]
    (tmp_path / "empty").mkdir()
    with created(Path("empty"), "iris", fill) as folder:
        assert entries(folder) == ["config.toml"]


def test_an_error_in_the_block_is_not_taken_for_the_folders() -> None:
    with pytest.raises(FileNotFoundError, match="data"), created(Path("run"), "iris", fill):
        raise FileNotFoundError(errno.ENOENT, "data")
    assert Path("run").is_dir()


@pytest.mark.parametrize("out", ["file/run", "file"])
def test_a_path_through_a_file(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match=r"is a file|not a folder"), created(Path(out), "iris", fill):
        pytest.fail("there can be no such folder")
    assert entries(tmp_path) == ["file"]


TENSORS = {"w": torch.arange(6, dtype=torch.float64).reshape(2, 3), "b": torch.zeros(3)}


def test_the_model_round_trips(tmp_path: Path) -> None:
    write_model(tmp_path, TENSORS, {"task": "binary"})
    tensors, metadata = read_model(tmp_path)
    assert metadata == {"task": "binary"}
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())


def test_every_flipped_bit_of_the_model_is_found(tmp_path: Path) -> None:
    write_model(tmp_path, TENSORS, {"task": "binary"})
    path = tmp_path / "model.safetensors"
    content = path.read_bytes()
    header = int.from_bytes(content[:8], "little")
    # The header's padding means nothing, and no bit of it is looked at.
    used = len(content[: 8 + header].rstrip(b" "))
    for position in [*range(used), *range(8 + header, len(content))]:
        altered = bytearray(content)
        altered[position] ^= 1 << (position % 8)
        path.write_bytes(altered)
        with pytest.raises(CheckpointError, match="damaged"):
            read_model(tmp_path)
    for length in (0, 7, 8, 50, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="damaged"):
            read_model(tmp_path)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not finished.*--resume"):
        read_model(tmp_path)


@pytest.mark.parametrize(
    "content", [b"\xff", b"a = [", b"", b"options = 1\nresolved = 2\n", b"a = " + b"[" * 5000]
)
def test_no_configuration(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(RunError, match=r"config\.toml"):
        read_toml(tmp_path)


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        read_toml(tmp_path)
    with pytest.raises(RunError, match="is not there"):
        read_toml(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="is a file"):
        read_toml(tmp_path / "file")


def test_the_log_is_cut_to_its_length_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"st')
    log = MetricsLog(path, 12)
    log.write({"step": 20})
    log.close()
    assert read_metrics(tmp_path) == [{"step": 1}, {"step": 20}]
    path.write_bytes(b"{}\nnonsense\n")
    with pytest.raises(RunError, match="line 2"):
        read_metrics(tmp_path)
    with pytest.raises(CheckpointError, match="is gone"):
        MetricsLog(tmp_path / "absent.jsonl", 12)
