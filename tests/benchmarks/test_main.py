"""`python -m benchmarks`: its suites, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.sweep import CASES as SHAPES
from likelihead.bench.case import AGAIN, EAGER
from likelihead.bench.cases import CASES, select
from likelihead.bench.results import read


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likelihead.bench.clock.SCRATCH_MIB", 1)


def test_the_suites() -> None:
    assert set(main.commands) == {
        "cpu",
        "sweep",
        "scaling",
        "identity",
        "throughput",
        "lint",
        "watch",
        "gpu",
        "host",
        "predict",
        "plot",
    }


@pytest.mark.parametrize(("again", "code"), [([1.0], 0), ([1.2], 1), ([0.8], 1)])
def test_torch_against_itself_fails_where_the_method_is_off(
    again: list[float], code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("likelihead.bench.cases.select", lambda only: [CASES[0].shrunk(6)])
    monkeypatch.setattr(
        "likelihead.bench.run.interleave", lambda *args, **kwargs: {EAGER: [1.0], AGAIN: again}
    )
    out = tmp_path / "identity.json"
    result = CliRunner().invoke(
        main, ["identity", "--threads", "1", "--repeat", "1", "--json", str(out), "--save", str(tmp_path)]
    )
    assert result.exit_code == code, result.output
    assert read(out).suite == "identity"
    assert len(list(tmp_path.glob("*-identity.md"))) == 1


@pytest.mark.parametrize("suite", ["cpu", "sweep", "identity", "gpu"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "("], "no regular expression"),
        (["--only", "zzz"], "finds no"),
        (["--repeat", "0"], "--repeat is 0"),
        (["--json", "no/such/out.json"], "does not exist"),
        (["--save", "no/such"], "is no folder"),
    ],
)
def test_wrong_input_is_one_line(suite: str, arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, [suite, *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert len(result.stderr) < 500


@pytest.mark.parametrize(
    ("command", "least"), [(["sweep", "--patience"], 0), (["cpu", "--patience"], 0), (["gpu", "--budget"], 1)]
)
@pytest.mark.parametrize("given", ["x", "nan", "inf", "-1", ""])
def test_what_is_no_number_of_seconds(command: list[str], least: int, given: str) -> None:
    result = CliRunner().invoke(main, [*command, given])
    assert result.exit_code == 2
    assert f"'{command[1]}': {given!r}; expected a number of seconds, {least} or more." in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_name_with_brackets_is_told_as_a_regular_expression() -> None:
    result = CliRunner().invoke(main, ["sweep", "--only", "CE [1, 2]"])
    assert result.exit_code == 2
    assert f"as a regular expression that text is {re.escape('CE [1, 2]')!r}" in result.stderr
    assert "CE [1, 2]" in [case.name for case in select(re.escape("CE [1, 2]"), SHAPES)]


def test_many_cases_are_not_all_named() -> None:
    result = CliRunner().invoke(main, ["sweep", "--only", "zzz"])
    assert "there are 60, from 'CE [1, 2]' to 'BCE [2, 5, 33, 65, 31]'." in result.stderr


def test_results_that_cannot_be_drawn(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["plot", str(tmp_path / "none.json")])
    assert result.exit_code == 2
    assert "No such file" in result.stderr
