"""The command table: lazy, with a nearest name for a slip, and one line for every expected failure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import click
import pytest
from click.testing import CliRunner, Result

import likelihead
from likelihead.cli import COMMANDS, CommandEntry, main
from likelihead.errors import DataError, LikelihoodError


@pytest.fixture
def run_failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Result]:
    """Run a command that raises the given error."""

    def run(error: BaseException) -> Result:
        @click.command("boom")
        def command() -> None:
            raise error

        module = ModuleType("planted_command")
        module.command = command
        monkeypatch.setitem(sys.modules, "planted_command", module)
        monkeypatch.setitem(COMMANDS, "boom", CommandEntry("planted_command:command", "fails"))
        return CliRunner().invoke(main, ["boom"])

    return run


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            DataError("no number", path="a.csv", row=3, column="age"),
            "likelihead: a.csv, row 3, column 'age': no number\n",
        ),
        (LikelihoodError("two\nlines"), "likelihead: two lines\n"),
        (
            FileNotFoundError(2, "No such file or directory", "a.csv"),
            "likelihead: a.csv: No such file or directory\n",
        ),
        (OSError(28, "No space left on device"), "likelihead: No space left on device\n"),
        (
            ModuleNotFoundError("No module named 'pyarrow.csv'", name="pyarrow.csv"),
            "likelihead: this needs pyarrow, which is not installed; run: pip install 'likelihead[train]'\n",
        ),
    ],
)
def test_an_expected_failure_is_one_line(
    run_failing: Callable[[BaseException], Result], error: BaseException, line: str
) -> None:
    result = run_failing(error)
    assert result.exit_code == 2
    assert result.stderr == line
    assert result.stdout == ""


def test_ctrl_c_is_one_line_and_130(run_failing: Callable[[BaseException], Result]) -> None:
    result = run_failing(KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.stderr == "Interrupted.\n"


def test_a_documented_exit_code_is_kept(run_failing: Callable[[BaseException], Result]) -> None:
    assert run_failing(SystemExit(75)).exit_code == 75
    assert run_failing(click.exceptions.Exit(75)).exit_code == 75


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), ModuleNotFoundError("x", name="ours")])
def test_a_bug_is_shown_whole(run_failing: Callable[[BaseException], Result], error: Exception) -> None:
    assert run_failing(error).exception is error


@pytest.mark.parametrize(
    ("slip", "expected"), [("trian", "did you mean 'train'?"), ("zzz", "the commands are train")]
)
def test_an_unknown_command_names_the_nearest(slip: str, expected: str) -> None:
    result = CliRunner().invoke(main, [slip])
    assert result.exit_code == 2
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_help_lists_every_command_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "absent", CommandEntry("no.such.module:command", "Never imported."))
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name, entry in COMMANDS.items():
        assert name in result.stdout
        assert entry.help in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_has_help(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert f"{name} " in result.stdout


def test_version() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 0
    assert result.stdout == f"likelihead {likelihead.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "iris", "--epochs", "1e9"], "--epochs"),
        (["train", "iris", "--bogus"], "--bogus"),
        (["--bogus"], "--bogus"),
        (["predict"], "RUN"),
    ],
)
def test_a_wrong_word_is_one_line_that_points_to_the_help(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert said in line
    assert "--help`" in line


@pytest.mark.parametrize(
    ("arguments", "code", "stream"),
    [(["explain", "LH101"], 0, "stdout"), (["explain", "LH999"], 2, "stderr"), (["explian"], 2, "stderr")],
)
def test_the_program_ends_with_its_exit_code_whatever_the_interpreters_end_does(
    arguments: list[str], code: int, stream: str
) -> None:
    program = "import atexit, os, sys; atexit.register(os.abort); from likelihead.cli import {}; {}()"
    outcomes = [
        subprocess.run(
            [sys.executable, "-c", program.format(name, name), *arguments], capture_output=True, text=True
        )
        for name in ("run", "main")
    ]
    assert outcomes[0].returncode == code
    assert getattr(outcomes[0], stream) == getattr(outcomes[1], stream) != ""
    assert outcomes[1].returncode < 0  # the planted abort is one
