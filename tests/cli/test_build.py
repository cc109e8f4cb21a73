"""``likelihead build``: its words, and where the library that it makes is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command import run
from likelihead.kernels.dispatch import backends
from likelihead.kernels.native import _library, build

NATIVE = {b.name: b for b in backends()}["native"]
needs_native = pytest.mark.skipif(not NATIVE.available, reason=f"native is absent: {NATIVE.reason}")


@needs_native
def test_where_there_are_kernels_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "after_installation", lambda: pytest.fail("compiled again"))
    assert f"there already: {_library.PATH}" in run("build").stdout


def test_what_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_library, "PATH", None)
    monkeypatch.setenv("CXX", "no-such-compiler")
    lines = run("build", code=2).stderr.splitlines()
    assert lines[0] == "Compiling the kernels ..."
    assert lines[1].startswith("likelihead: there is no C++ compiler: CXX is 'no-such-compiler'")
    assert len(lines) == 2


@needs_native
def test_what_was_made_is_loaded_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _library.PATH is not None
    monkeypatch.setattr(_library, "PATH", None)
    monkeypatch.setattr(build, "after_installation", lambda: _library_of_this_process())
    assert f"The kernels are in {_library_of_this_process()} (" in run("build").stdout
    # One that does not load is no success.
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(build, "after_installation", lambda: broken)
    assert str(broken) in run("build", code=2).stderr


def _library_of_this_process() -> Path:
    override = os.environ.get("LIKELIHEAD_NATIVE_LIBRARY")
    return Path(override) if override else build.FOLDER / build.SHIPPED


# What a plain installation without torch leaves behind: the package, its sources, and no library.
@pytest.fixture
def installed(tmp_path: Path) -> Path:
    package = Path(build.__file__).parents[2]
    shutil.copytree(
        package,
        tmp_path / "site" / "likelihead",
        ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.txt"),
    )
    return tmp_path


def _python(installed: Path, program: str, *options: str) -> str:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("LIKELIHEAD")}
    variables |= {"PYTHONPATH": str(installed / "site"), "XDG_CACHE_HOME": str(installed / "cache")}
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        cwd=installed,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


SLOW = """
import warnings
import torch
import likelihead
from likelihead import functional as F
from likelihead.errors import BackendWarning
from likelihead.kernels.dispatch import backends
logits, target = torch.randn(3, 4, requires_grad=True), torch.tensor([0, 1, 2])
assert not {b.name: b for b in backends()}["native"].available

def caught(call):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [w for w in found if issubclass(w.category, BackendWarning)]

def loss(): return F.cross_entropy(logits, target)

with likelihead.use_backend("reference"):
    assert caught(loss) == []  # asked for by name
assert caught(torch.compile(loss, backend="eager", fullgraph=True)) == []  # tracing
assert caught(lambda: F.cross_entropy(logits.to("meta"), target.to("meta"))) == []  # nothing is computed
(first,) = caught(loss)
assert "`likelihead build`" in str(first.message), first
assert first.filename == "<string>", first
assert caught(loss) == []  # once
assert caught(lambda: F.binary_cross_entropy_with_logits(logits, torch.rand(3, 4))) == []
"""


def test_without_kernels_the_first_loss_says_so_once(installed: Path) -> None:
    _python(installed, SLOW)


def test_the_warning_can_be_silenced(installed: Path) -> None:
    program = (
        "import warnings, torch\nfrom likelihead import errors, functional\n"
        "warnings.filterwarnings('ignore', category=errors.BackendWarning)\n"
        "functional.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]))\n"
    )
    _python(installed, program)
    with pytest.raises(AssertionError, match="BackendWarning"):
        _python(installed, program.replace("'ignore'", "'default'"))


@needs_native
@pytest.mark.parametrize("place", [0, 1], ids=["beside the package", "in the cache"])
def test_what_was_built_after_the_installation_is_found(installed: Path, place: int) -> None:
    where = "from likelihead.kernels.native.build import places\nprint(*places(), sep='\\n')"
    library = Path(_python(installed, where).splitlines()[place])
    library.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_library_of_this_process(), library)
    program = (
        "import torch\nfrom likelihead import functional\nfrom likelihead.kernels.native import _library\n"
        "functional.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]))\nprint(_library.PATH)"
    )
    assert _python(installed, program, "-W", "error") == f"{library}\n"
    # Of other sources it is not taken.
    with (installed / "site/likelihead/kernels/native/csrc/library.cpp").open("a") as file:
        file.write("// changed\n")
    assert _python(installed, program.replace("functional.", "0 and functional.")) == "None\n"


@needs_native
def test_a_library_that_does_not_load_is_passed_over_and_named(installed: Path) -> None:
    native = installed / "site/likelihead/kernels/native"
    (native / build.SHIPPED).write_bytes(b"of another machine")
    program = "from likelihead.kernels.native import _library\nprint(_library.ABSENT)"
    assert f"{build.SHIPPED} does not load into this torch" in _python(installed, program)
    where = "from likelihead.kernels.native.build import places\nprint(places()[1])"
    library = Path(_python(installed, where).strip())
    library.parent.mkdir(parents=True)
    shutil.copy(_library_of_this_process(), library)
    assert _python(installed, program) == "None\n"
