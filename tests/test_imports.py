"""What an import pulls in, each in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

PLOTS_AND_FILES = {"sklearn", "pyarrow", "matplotlib", "jinja2", "safetensors", "PIL", "tokenizers"}
OPTIONAL = {"triton", "libcst", "transformers", "peft", *PLOTS_AND_FILES}


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
        "import likelihead.integrations.huggingface",
        "import likelihead.report.text",
        "import likelihead\nfor name in likelihead.__all__: getattr(likelihead, name)",
    ],
)
def test_the_library_leaves_optional_packages_unloaded(statement: str) -> None:
    assert loaded_after(statement, OPTIONAL) == set()


@pytest.mark.parametrize(
    "module", ["hazards", "errors", "cli", "cli.explain", "cli.info", "cli.lint", "lint", "lint.run"]
)
def test_light_modules_leave_torch_and_numpy_unloaded(module: str) -> None:
    assert loaded_after(f"import likelihead.{module}", {"torch", "numpy"} | OPTIONAL) == set()


def test_explaining_a_hazard_needs_no_torch() -> None:
    statement = (
        "from likelihead.hazards import HAZARDS\nfrom likelihead.lint.rules.pages import full_page\n"
        "assert all(full_page(h) for h in HAZARDS.values())"
    )
    assert loaded_after(statement, {"torch", "numpy"}) == set()


def test_the_check_can_fail() -> None:
    assert loaded_after("import likelihead.hazards, jinja2", OPTIONAL) == {"jinja2"}


def test_a_failing_import_is_not_taken_for_a_light_one() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        loaded_after("import likelihead.no_such_module", OPTIONAL)


FIRST_LOSS = """
import sys, torch
before = set(sys.modules)
{statement}
new = set(sys.modules) - before
print(*sorted(name for name in new if name.partition(".")[0] != "likelihead"))
"""
CLASSES = "torch.randn(3, 2, requires_grad=True), torch.tensor([0, 1, 1])"
LABELS = "torch.randn(3, requires_grad=True), torch.rand(3)"


@pytest.mark.parametrize(
    "statement",
    [
        f"import likelihead.functional\nlikelihead.functional.cross_entropy({CLASSES}).backward()",
        f"from likelihead import nn\nnn.BCEWithLogitsLoss()({LABELS}).backward()",
        f"import likelihead\nlikelihead.Categorical(2)({CLASSES}).backward()",
        f"import likelihead\nlikelihead.Bernoulli(reduction='none')({LABELS}).sum().backward()",
        f"import likelihead\nlikelihead.functional.cross_entropy({CLASSES}, label_smoothing=0.1).backward()",
    ],
)
def test_the_first_loss_loads_nothing_but_the_library(statement: str) -> None:
    """A cold start costs what it loads: torch has loaded all else that a loss needs."""
    program = FIRST_LOSS.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    # The standard library is free of surprises; of torch, nothing that a compiler or an exporter needs.
    assert {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names} == set()


def test_what_the_first_loss_loads_is_noticed() -> None:
    program = FIRST_LOSS.format(statement="import likelihead.functional, torch._dynamo")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "torch._dynamo" in done.stdout.split()


NO_NUMPY = """
import sys, warnings
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "numpy":
            raise ModuleNotFoundError({message!r}, name=name)
sys.meta_path.insert(0, Absent())
{statement}
import torch
"""


@pytest.mark.parametrize(
    ("statement", "message", "said"),
    [
        ("import likelihead", "No module named 'numpy'", False),
        ("from likelihead import nn", "No module named 'numpy'", False),
        ("import likelihead", "No module named 'numpy.core._multiarray'", True),  # one that does not work
        ("", "No module named 'numpy'", True),  # by torch alone, as far as this test can tell
    ],
)
def test_torch_says_nothing_of_a_numpy_that_is_not_there(statement: str, message: str, said: bool) -> None:
    program = NO_NUMPY.format(statement=statement, message=message)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ("Failed to initialize NumPy" in done.stderr) == said, done.stderr
    assert said or done.stderr == ""
