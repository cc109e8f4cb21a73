"""``likelihead train`` with the options for rare classes, calibration and soft targets: what it says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from command import run
from likelihead.train.table.problem import TableProblem

QUICK = ("--epochs", "1", "--hidden", "4")

train = partial(run, "train")


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training here."""
    monkeypatch.setattr(TableProblem, "write_report", lambda self, trainer: None)


def test_the_console_has_nll_and_ece_before_and_after(tmp_path: Path) -> None:
    said = train("digits-long-tail", *QUICK, "--calibrate", "temperature", "--out", tmp_path / "run").output
    assert "to calibrate" in said
    assert "rows are left out of the training to thin the classes" in said
    assert "rows are held out of the training" in said
    for figure in ("test nll uncalibrated", "test ece ", "test ece uncalibrated"):
        assert figure in said.splitlines()[-2]


def test_the_log_has_the_distance_from_the_teacher(tmp_path: Path) -> None:
    train("iris", *QUICK, "--out", tmp_path / "teacher")
    said = train(
        "iris", *QUICK, "--teacher", tmp_path / "teacher", "--temperature", 2, "--out", tmp_path / "run"
    )
    assert "the targets are the probabilities of" in said.output
    assert "test teacher kl" in said.output
    assert "train_teacher_kl" in (tmp_path / "run" / "metrics.jsonl").read_text()


SOFT = "x,a,b\n" + "".join(f"{i / 7},{i % 3 / 2},{1 - i % 3 / 2}\n" for i in range(40))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["iris", "--class-weight", "balanced", "--resample", "balanced"], "would favour the rare ones"),
        (["iris", "--tune-thresholds"], "--tune-thresholds does not apply to a multiclass task"),
        (["iris", "--calibrate", "platt"], "takes temperature or vector"),
        (["iris", "--calibrate", "isotonic"], "expected one of none, temperature, vector, platt"),
        (["iris", "--focal", "-1"], "focal is -1.0; expected a number from 0 to 100"),
        (["iris", "--logit-adjustment", "nan"], "expected a number from 0 to 100"),
        (["iris", "--logit-adjustment", "1e308"], "expected a number from 0 to 100"),
        (["iris", "--focal", "1e308"], "expected a number from 0 to 100"),
        (["iris", "--teacher", "x", "--temperature", "1e300"], "expected a number from 0.001 to 1000"),
        (["iris", "--teacher", "x", "--temperature", "1e-300"], "expected a number from 0.001 to 1000"),
        (["iris", "--teacher", "nowhere"], "nowhere"),
        (["iris", "--temperature", "2"], "give --teacher RUN"),
        (["breast-cancer", "--teacher", "x"], "--teacher"),
        (["SOFT", "--target", "a", "--target", "b"], "take --task multiclass"),
        (["SOFT", "--target", "a,b", "--task", "multiclass", "--resample", "balanced"], "targets are prob"),
        (
            ["BAD", "--target", "a,b", "--task", "multiclass"],
            "row 2, column 'a, b': the probabilities sum to 1.5",
        ),
    ],
)
def test_bad_options_are_one_line(tmp_path: Path, argv: list[str], message: str) -> None:
    files = {"SOFT": SOFT, "BAD": "x,a,b\n1,0.5,0.5\n3,0.5,1\n2,1,0\n"}
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    words = [str(tmp_path / f"{word}.csv") if word in files else word for word in argv]
    result = train(*words, *QUICK, "--out", tmp_path / "run", code=2)
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_soft_targets_on_the_console(tmp_path: Path) -> None:
    (tmp_path / "soft.csv").write_text(SOFT)
    argv = (tmp_path / "soft.csv", "--target", "a", "--target", "b", "--task", "multiclass", *QUICK)
    said = train(*argv, "--out", tmp_path / "run").output
    assert "the targets are probabilities" in said
    assert "test kl" in said
