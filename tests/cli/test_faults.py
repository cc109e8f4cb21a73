"""What can go wrong on the command line: one clear line, exit code 2, no traceback, nothing half-written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from likelihead.cli import main
from likelihead.train import TrainConfig, train
from likelihead.train.checkpoint import paths

# Each line: what is typed, what the message must say. {tmp} is an empty folder, {run} a finished iris run,
# {cancer} a finished breast-cancer run, {number} a run of a regression.
OPTIONS: list[tuple[str, str]] = [
    ("train", "DATA is missing"),
    ("train no-such-set", "no-such-set"),
    ("train {tmp}/absent.csv", "absent.csv"),
    ("train iris --target specis", "target"),
    ("train iris --task guess", "task is 'guess'"),
    ("train iris --task regression", "row 1"),
    ("train iris --task binary", "binary"),
    ("train iris --output probs", "output is 'probs'"),
    ("train {tmp}/number.csv --output log-probs", "--output log-probs does not apply to a regression task"),
    ("train iris --hidden 0", "hidden is 0"),
    ("train iris --hidden -3", "hidden is -3"),
    ("train iris --hidden 9000000000000", "PiB of memory"),
    ("train iris --hidden seven", "--hidden is 'seven'"),
    ("train iris --hidden none --hidden 7", "--hidden is 'none,7'"),
    ("train iris --activation swoosh", "activation is 'swoosh'"),
    ("train iris --epochs 0", "epochs is 0"),
    ("train iris --epochs many", "'many' is not a valid integer"),
    ("train iris --batch-size 0", "batch_size is 0"),
    ("train iris --batch-size 1.5", "not a valid integer"),
    ("train iris --lr 0", "lr is 0.0"),
    ("train iris --lr nan", "lr is nan"),
    ("train iris --lr fast", "not a valid float"),
    ("train iris --lr 1e300 --optimizer sgd --out {tmp}/diverged", "lower --lr"),
    ("train iris --optimizer magic", "optimizer is 'magic'"),
    ("train iris --weight-decay -1", "weight_decay is -1.0"),
    ("train iris --label-smoothing 1", "label_smoothing is 1.0"),
    ("train {tmp}/number.csv --label-smoothing 0.1", "does not apply to a regression task"),
    ("train breast-cancer --label-smoothing 0.1 --focal 2", "--label-smoothing"),
    ("train iris --class-weight heavy", "none, balanced, effective or a file"),
    ("train iris --class-weight {tmp}/weights.csv", "no weight for class 'virginica'"),
    ("train {tmp}/number.csv --class-weight balanced", "does not apply to a regression task"),
    ("train iris --seed -1", "seed is -1"),
    ("train iris --seed x", "not a valid integer"),
    ("train iris --test-fraction 0", "test_fraction is 0.0"),
    ("train iris --test-fraction 1", "test_fraction is 1.0"),
    ("train iris --memory lots", "--memory is 'lots'"),
    ("train iris --memory 1KiB", "memory is 1024"),
    ("train iris --checkpoint-every 0", "checkpoint_every is 0"),
    ("train iris --guard high", "guard is 'high'"),
    ("train iris --out .", "has no name of its own"),
    ("train iris --out ..", "has no name of its own"),
    ("train iris --out {run}", "resume the run in it with --resume"),
    ("train iris --out {tmp}/number.csv", "is a file"),
    ("train iris --out {tmp}/number.csv/run", "not a folder"),
    ("train iris --out /proc/absent/run", "cannot write"),
    ("train --resume", "--resume needs"),
    ("train iris --resume --out {tmp}/absent", "is not there"),
    ("train iris --resume --out {tmp}", "not a run folder"),
    ("train --resume --out {run} --epochs 4", "--epochs is 4, but the run to resume was started with 1"),
    ("train --resume --out {run} --task regression", "--task is regression"),
    ("train --resume --out {run} --hidden 7,7", "--hidden is 7,7"),
    ("train wine --resume --out {run}", "data is wine"),
    ("train iris --no-such-option", "No such option"),
    ("predict {tmp}/absent iris", "is not there"),
    ("predict {tmp} iris", "not a run folder"),
    ("predict {run} wine", "'sepal length (cm)'"),
    ("predict {run} {tmp}/absent.csv", "absent.csv"),
    ("predict {run}", "DATA"),
    ("predict {run} iris --threshold 0.5", "does not apply to a multiclass run"),
    ("predict {cancer} breast-cancer --threshold 2", "expected a probability"),
    ("predict {cancer} breast-cancer --cost {tmp}/weights.csv", "weights.csv"),
    ("predict {number} {tmp}/number.csv --probs", "does not apply to a regression run"),
    ("predict {run} iris --out {tmp}/p.xlsx", ".parquet"),
    ("predict {run} iris --out {tmp}/absent/p.csv", "no such folder"),
    ("evaluate {tmp} iris", "not a run folder"),
    ("evaluate {run} digits", "missing"),
    ("evaluate {cancer} iris", "missing"),
    ("evaluate {run}", "DATA"),
    ("evaluate {run} iris --jsno", "No such option"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    here = tmp_path_factory.mktemp("trained")
    number = here / "number.csv"
    rows = [f"{i * 7.3 % 20:.2f},{i * 3.7 % 9:.2f},{i % 13 + 0.25}\n" for i in range(60)]
    number.write_text("".join(["u,v,price\n", *rows]))
    configs = {
        "run": TrainConfig(data="iris", epochs=1),
        "cancer": TrainConfig(data="breast-cancer", epochs=1),
        "number": TrainConfig(data=str(number), epochs=1),
    }
    return {name: train(config, out=here / name).folder for name, config in configs.items()}


@pytest.fixture
def place(tmp_path: Path, trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder but for two files, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "number.csv").write_bytes((trained["run"].parent / "number.csv").read_bytes())
    (tmp_path / "weights.csv").write_text("setosa,1\nversicolor,1\n")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(("typed", "message"), OPTIONS, ids=[typed for typed, _ in OPTIONS])
def test_one_clear_line(typed: str, message: str, place: Path, trained: dict[str, Path]) -> None:
    before, runs = contents(place), {name: contents(run) for name, run in trained.items()}
    argv = [word.format(tmp=place, **trained) for word in typed.split()]
    result = CliRunner().invoke(main, argv)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert message in last
    assert {name: contents(run) for name, run in trained.items()} == runs
    # A run that diverges keeps its folder and its first checkpoint; nothing else leaves anything.
    left = {name: data for name, data in contents(place).items() if not name.startswith("diverged/")}
    assert left == before
    assert not (place / "runs").exists()


# -- a run folder that is damaged, or whose files belong to different runs -------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return train(TrainConfig(data="iris", epochs=1), out=tmp_path / "run").folder


def fails(*argv: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in argv])
    assert result.exit_code == 2, result.output
    lines: list[str] = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    return lines[0]


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_damaged_model(run: Path, command: str) -> None:
    model = run / "model.safetensors"
    content = bytearray(model.read_bytes())
    content[-5] ^= 4
    model.write_bytes(content)
    line = fails(command, run, "iris")
    assert "model.safetensors is damaged" in line
    assert "--resume" in line
    model.write_bytes(content[:-30])
    assert "model.safetensors is damaged" in fails(command, run, "iris")
    # The remedy that the line names works.
    model.unlink()
    assert "not finished" in fails(command, run, "iris")
    assert CliRunner().invoke(main, ["train", "--resume", "--out", str(run)]).exit_code == 0
    assert CliRunner().invoke(main, [command, str(run), "iris"]).exit_code == 0


def test_files_of_different_runs(run: Path, trained: dict[str, Path]) -> None:
    own, schema = (run / "model.safetensors").read_bytes(), (run / "schema.json").read_bytes()
    (run / "model.safetensors").write_bytes((trained["cancer"] / "model.safetensors").read_bytes())
    line = fails("predict", run, "iris")
    assert "binary task" in line
    assert "multiclass task" in line
    (run / "model.safetensors").write_bytes(own)
    (run / "schema.json").write_bytes((trained["cancer"] / "schema.json").read_bytes())
    assert "schema.json" in fails("predict", run, "iris")
    for content in ("{}", '{"version"', "[" * 100_000):
        (run / "schema.json").write_text(content)
        assert "schema.json" in fails("predict", run, "iris")
    (run / "metrics.jsonl").unlink()
    (run / "schema.json").write_bytes(schema)
    result = CliRunner().invoke(main, ["train", "--resume", "--out", str(run)])
    assert result.exit_code == 2
    assert result.stderr.strip().endswith("metrics.jsonl is gone; restore it, or train again")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hidden = [32]", "hidden = [9]"),
        ('activation = "tanh"', 'activation = "relu"'),
        ('output = "logits"', 'output = "log-odds"'),
        ("epochs = 1", "epochs = "),
    ],
)
def test_an_edited_configuration(run: Path, old: str, new: str) -> None:
    path = run / "config.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert "config.toml" in fails("predict", run, "iris")


def test_a_damaged_checkpoint_names_the_one_before(tmp_path: Path) -> None:
    config = TrainConfig(data="iris", epochs=2, checkpoint_every=3)
    run = train(config, out=tmp_path / "run").folder
    before, newest = paths(run / "checkpoints")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    kept = before.read_bytes()
    line = fails("train", "--resume", "--out", run)
    assert newest.name in line
    assert before.name in line
    assert before.read_bytes() == kept
    newest.unlink()
    assert CliRunner().invoke(main, ["train", "--resume", "--out", str(run)]).exit_code == 0


# -- a disk that is full ---------------------------------------------------------------------------

MAIN = [sys.executable, "-c", "from likelihead.cli import main; main()"]


def limited(size: int, *argv: object, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run in a process that may write no file larger than ``size``: its writes fail as on a full disk."""
    return subprocess.run(
        [*MAIN, *map(str, argv)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        check=False,
    )


def test_no_space_for_a_new_run_leaves_nothing(tmp_path: Path) -> None:
    done = limited(100, "train", "iris", "--epochs", 1, "--out", tmp_path / "a" / "run")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "cannot write" in done.stderr
    assert ".tmp" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_space_for_the_report_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = limited(12_000, "train", "iris", "--epochs", 1, "--hidden", 7, "--out", run)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert "report.html" in last
    assert "--resume --out" in last
    assert not [path for path in run.rglob("*") if path.name.endswith(".tmp") or "report" in path.name]
    assert CliRunner().invoke(main, ["train", "--resume", "--out", str(run)]).exit_code == 0
    assert (run / "report.html").is_file()


def test_no_space_for_predictions_leaves_the_file_as_it_was(trained: dict[str, Path], tmp_path: Path) -> None:
    for end in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"p.{end}"
        out.write_text("before")
        done = limited(1000, "predict", trained["run"], "iris", "--probs", "--overwrite", "--out", out)
        assert done.returncode == 2, done.stderr
        assert "cannot write" in done.stderr
        assert "Traceback" not in done.stderr
        assert out.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_no_space_on_standard_output(trained: dict[str, Path]) -> None:
    with open("/dev/full", "w") as full:
        done = limited(2**30, "predict", trained["run"], "iris", stdout=full.fileno())
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
