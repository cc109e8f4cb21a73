"""What an import pulls in, each in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPTIONAL = {"triton", "sklearn", "pyarrow", "matplotlib", "jinja2", "safetensors", "libcst"}


def loaded_after(statement: str, candidates: set[str]) -> set[str]:
    """Which of the candidates are loaded once the statement has run in a fresh interpreter."""
    program = f"{statement}\nimport sys\nprint(*sorted(set({sorted(candidates)!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "statement",
    [
        "import likelihead",
        "import likelihead.functional, likelihead.nn, likelihead.likelihoods, likelihead.guard",
        "import likelihead\nfor name in likelihead.__all__: getattr(likelihead, name)",
    ],
)
def test_the_library_leaves_optional_packages_unloaded(statement: str) -> None:
    assert loaded_after(statement, OPTIONAL) == set()


@pytest.mark.parametrize("module", ["hazards", "errors", "cli", "cli.explain", "cli.info"])
def test_light_modules_leave_torch_and_numpy_unloaded(module: str) -> None:
    assert loaded_after(f"import likelihead.{module}", {"torch", "numpy"} | OPTIONAL) == set()


def test_explaining_a_hazard_needs_no_torch() -> None:
    statement = "from likelihead.hazards import HAZARDS\nassert all(h.page for h in HAZARDS.values())"
    assert loaded_after(statement, {"torch", "numpy"}) == set()


def test_the_check_can_fail() -> None:
    assert loaded_after("import likelihead.hazards, jinja2", OPTIONAL) == {"jinja2"}


def test_a_failing_import_is_not_taken_for_a_light_one() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        loaded_after("import likelihead.no_such_module", OPTIONAL)
