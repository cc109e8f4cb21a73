"""``likelihead bench``: what it refuses before it measures, and what it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from likelihead.bench.cases import CASES
from likelihead.bench.results import read
from likelihead.cli import main


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likelihead.bench.clock.SCRATCH_MIB", 1)
    monkeypatch.setattr("likelihead.bench.cases.select", lambda only: [CASES[0].shrunk(6)])


def test_a_table_and_its_files(tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    arguments = ["bench", "--threads", "1", "--repeat", "1", "--no-compile", "--no-memory", "--warm"]
    result = CliRunner().invoke(main, [*arguments, "--json", str(out), "--save", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "torch eager" in result.stdout
    assert "goals met" in result.stdout
    assert result.stderr == "lm ...\n"
    results = read(out)
    assert results.settings == {"threads": 1, "rounds": 1, "caches": "warm"}
    saved = sorted(path.name for path in tmp_path.glob(f"{results.date}-*"))
    assert [Path(name).suffix for name in saved] == [".json", ".md"]
    assert saved[0].endswith("-1-threads.json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--threads", "0"], "--threads is 0"),
        (["--threads", "two"], "two"),
        (["--repeat", "0"], "--repeat is 0"),
        (["--json", "no/such/folder/out.json"], "does not exist"),
        (["--json", "."], "is a folder"),
        (["--save", "no/such/folder"], "is no folder"),
    ],
)
def test_wrong_input_is_told_before_anything_is_measured(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likelihead.bench.run.measure", lambda *args, **kwargs: pytest.fail("measured"))
    result = CliRunner().invoke(main, ["bench", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("only", ["(", "zzz"])
def test_a_wrong_selection(only: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    result = CliRunner().invoke(main, ["bench", "--only", only])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "--only is" in result.stderr
