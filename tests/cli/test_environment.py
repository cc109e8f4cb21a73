"""Environment variables that are no setting: one line that names the variable, and no traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from likelihead.cli import main
from likelihead.kernels.native import _library, build

SOURCES = Path(build.__file__).parents[2]

# Read by every command.
SETTINGS = {
    "LIKELIHEAD_GUARD": ("foo", "='foo': guard level is 'foo'; it must be one of off, cheap, full"),
    "LIKELIHEAD_ISA": (
        "avx",
        " is 'avx'; expected one of baseline, avx2, avx512. Unset it, and the best is found.",
    ),
    "LIKELIHEAD_STORES": (
        "fast",
        " is 'fast'; expected one of cached, past. Unset it, and the best is found.",
    ),
}
# Read by `likelihead build` alone.
OF_THE_BUILD = {
    "MAX_JOBS": ("many", "expected a number of compilers, 1 or more"),
    **dict.fromkeys(
        ("CXX", "CPPFLAGS", "CXXFLAGS", "LDFLAGS"), ("'open", "expected words as a shell takes them")
    ),
}
# Of which no value is wrong: paths, where there may be nothing, what Triton reads by its own rules, and the
# wish for no colours, which any value says.
ANYTHING = {"LIKELIHEAD_NATIVE_LIBRARY", "XDG_CACHE_HOME", "TRITON_INTERPRET", "NO_COLOR"}
# Written by torchrun, for the watch to know which rank it is; and how much torch's profiler says.
BY_TORCH = {"WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE", "KINETO_LOG_LEVEL"}


def run(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)


def test_these_are_all_that_the_package_reads() -> None:
    reads = re.compile(r"""(?:environ(?:\.get\(|\[)|getenv\(|_words\()"(\w+)""")
    found = set()
    for path in [*SOURCES.rglob("*.py"), *SOURCES.rglob("*.cpp"), *SOURCES.rglob("*.h")]:
        found |= set(reads.findall(path.read_text(encoding="utf-8")))
    assert found == {*SETTINGS, *OF_THE_BUILD, *ANYTHING, *BY_TORCH}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("command", ["info", "explain"])
def test_a_misspelt_setting_is_one_line(name: str, command: str) -> None:
    value, says = SETTINGS[name]
    done = run("from likelihead.cli import run; run()", command, **{name: value})
    assert done.returncode == 2
    assert done.stderr == f"likelihead: environment variable {name}{says}\n"
    assert done.stdout == ""


@pytest.mark.parametrize("name", SETTINGS)
def test_in_python_it_is_the_same_sentence_at_first_use(name: str) -> None:
    value, says = SETTINGS[name]
    loss = "likelihead.functional.cross_entropy(torch.zeros(1, 2), torch.tensor([0]))"
    done = run(f"import likelihead, torch; print(1); {loss}", **{name: value, "TRITON_INTERPRET": "0"})
    assert done.returncode == 1
    assert done.stdout == "1\n"
    assert done.stderr.splitlines()[-1] == f"likelihead.errors.OptionError: environment variable {name}{says}"


@pytest.mark.parametrize("name", OF_THE_BUILD)
def test_what_the_compiler_cannot_be_given_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value, says = OF_THE_BUILD[name]
    monkeypatch.setattr(_library, "PATH", None)
    monkeypatch.setattr(build, "_torch", lambda: Path())
    monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, ["build"])
    assert result.exit_code == 2
    told = result.stderr.splitlines()[-1]
    assert told.startswith(f"likelihead: environment variable {name} is {value!r}; {says}")
    assert "Error:" not in result.stderr


@pytest.mark.parametrize("name", sorted(ANYTHING))
def test_no_value_of_a_path_is_an_error(name: str) -> None:
    done = run("from likelihead.cli import run; run()", "info", **{name: "/nowhere/at/all"})
    assert done.returncode == 0
    assert done.stderr == ""
