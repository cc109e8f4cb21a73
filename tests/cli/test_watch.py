"""``likelihead watch``: what it refuses, where its reports go, and its exit codes with torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from command import run as command
from likelihead.cli import main
from likelihead.cli.handover import Handover
from lint_projects import write

WRONG = """
import sys, torch
from torch.nn.functional import cross_entropy
for step in range(3):
    x = torch.zeros(4, 3, requires_grad=True)
    cross_entropy(x.softmax(dim=1), torch.tensor([0, 1, 2, 0])).backward()
    print("step", step)
"""
RIGHT = WRONG.replace("x.softmax(dim=1)", "x")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a.py": "print('ran', __import__('sys').argv[1:])\n"})
    monkeypatch.chdir(tmp_path)


def watch(*words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "likelihead", "watch", *words]
    return subprocess.run(program, capture_output=True, text=True, timeout=120)


# ---- refused before anything runs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "SCRIPT is missing; give a script, -m MODULE or -c CODE"),
        (["none.py"], "none.py: No such file or directory"),
        ([""], "SCRIPT is '', a folder"),
        (["folder"], "SCRIPT is 'folder', a folder; expected a file, such as folder/__main__.py"),
        (["circle.py"], "circle.py: Too many levels of symbolic links"),
        (["--no-such-option", "a.py"], "--no-such-option"),
        (["--json"], "--json"),
        (["-m"], "-m"),
        (["-m", "no_such_module_here"], "-m is 'no_such_module_here': there is no such module"),
        (["-m", "a.py"], "-m is 'a.py': there is no such module; a script's file is given without -m"),
        (["-m", "json.nothing"], "-m is 'json.nothing': there is no such module"),
        (["-m", "json"], "-m is 'json': a package without a module __main__ cannot be run"),
        (["-m", ""], "-m is '': there is no such module"),
        (["-m", ".a"], "-m is '.a': there is no such module"),
        (["--json", "no/such/r.json", "a.py"], "there is no such folder; create it"),
        (["--html", "folder", "a.py"], "folder: that is a folder; give the name of a file"),
        (["--html", "a.py/r.html", "a.py"], "a part of the path is a file"),
        (["--json", "a.py", "a.py"], "a.py is the input a.py itself, which would be lost"),
        (["--json", "-", "a.py"], "--json is -: standard output is the script's"),
        (["--json", f"{'n' * 300}.json", "a.py"], "the name is too long"),
        (["--json", "r", "--html", "./r", "a.py"], "--json and --html are both r"),
        (["shadowed/torch.py"], "shadowed/torch.py would be imported in place of the package torch"),
        (["shadowed/likelihead/a.py", "x"], None),
        (["other/a.py"], "other/likelihead/__init__.py would be imported in place of the package likelihead"),
    ],
)
def test_a_wrong_command_is_one_line_and_2(words: list[str], said: str | None) -> None:
    files = {"folder/a.py": "", "shadowed/torch.py": "", "other/a.py": "", "other/likelihead/__init__.py": ""}
    write(Path.cwd(), files | {"shadowed/likelihead/a.py": ""})
    Path("circle.py").symlink_to("circle.py")
    before = sorted(Path.cwd().rglob("*"))
    path = sys.path[:]
    if said is None:  # a folder of that name is no package, and hides nothing
        with pytest.raises(Handover):
            CliRunner().invoke(main, ["watch", *words])
        return
    done = command("watch", *words, code=2)
    (line,) = done.stderr.splitlines()
    assert line.startswith("likelihead: ")
    assert said in line
    assert (done.stdout, sys.path, sorted(Path.cwd().rglob("*"))) == ("", path, before)


def test_a_script_from_a_standard_input_that_is_closed() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m likelihead watch - <&-', sys.executable], capture_output=True, text=True
    )
    said = "likelihead: SCRIPT is -, and standard input is no file or pipe; give a script\n"
    assert (done.returncode, done.stderr) == (2, said)


def test_a_report_that_cannot_be_written_is_refused_and_its_file_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("r.json").write_text("earlier")
    with pytest.raises(Handover):
        command("watch", "--json", "r.json", "a.py")
    assert sorted(os.listdir()) == ["a.py", "pyproject.toml", "r.json"]
    assert Path("r.json").read_text() == "earlier"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permission denied" in command("watch", "--json", "r.json", "a.py", code=2).stderr


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_page_without_its_libraries_is_refused(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert f"this needs {package}" in command("watch", "--html", "r.html", "a.py", code=2).stderr
    with pytest.raises(Handover):
        command("watch", "--json", "r.json", "a.py")


def test_a_package_of_which_a_part_comes_only_when_it_is_imported_is_not_refused() -> None:
    init = "import os\n__path__.append(os.path.join(os.path.dirname(__file__), 'more'))\n"
    write(Path.cwd(), {"late/__init__.py": init, "late/more/part.py": "print('found')"})
    write(Path.cwd(), {"broken/__init__.py": "import no_such_thing_here"})
    done = watch("--quiet", "-m", "late.part")
    assert (done.returncode, done.stdout, done.stderr) == (0, "found\n", "")
    done = watch("--quiet", "-m", "broken.part")
    assert done.returncode == 1
    assert "No module named 'no_such_thing_here'" in done.stderr


# ---- without torch


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["a.py", "--help", "--strict", "--", "-c", "x"], ["--help", "--strict", "--", "-c", "x"]),
        (["-m", "a", "--json", "x", "--"], ["--json", "x", "--"]),
        (["-ma", "-c", "x"], ["-c", "x"]),
        (["-c", "import a", "-m", "b"], ["-m", "b"]),
        (["--", "a.py", "--quiet"], ["--quiet"]),
    ],
)
def test_what_comes_after_the_program_is_its_own(words: list[str], arguments: list[str]) -> None:
    done = watch("--quiet", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ran {arguments}\n", "")


def test_a_report_finds_its_place_whatever_the_script_does() -> None:
    write(Path.cwd(), {"b.py": "import os, sys\nos.chdir('/')\nsys.stdout = sys.stderr = None\nsys.exit(5)"})
    done = watch("--json", "r.json", "b.py", "x")
    assert done.returncode == 5
    assert done.stdout == ""
    assert "b.py ended with exit code 5" in " ".join(done.stderr.split())
    record = json.loads(Path("r.json").read_text())
    assert record["command"] == ["b.py", "x"]
    assert record["ended"] == "exit code 5"


def test_a_report_that_cannot_be_written_after_all_is_told() -> None:
    Path("out").mkdir()
    write(Path.cwd(), {"b.py": "import os\nos.rmdir('out')\nprint('x')"})
    done = watch("--quiet", "--json", "out/r.json", "b.py")
    assert (done.returncode, done.stdout) == (0, "x\n")
    assert done.stderr.startswith("likelihead watch b.py\n")  # though it was to be quiet
    assert done.stderr.splitlines()[-1].startswith("likelihead: cannot write ")


@pytest.mark.parametrize("line", ["sys.exit(4)", "1 / 0", "os._exit(5)", "os.kill(os.getpid(), 15)"])
def test_a_watch_within_a_watch_keeps_the_end(line: str) -> None:
    write(Path.cwd(), {"b.py": f"import os, sys\nprint('x', flush=True)\n{line}"})
    plain = subprocess.run([sys.executable, "b.py"], capture_output=True, text=True)
    done = watch("--quiet", "-m", "likelihead", "watch", "--quiet", "b.py")
    assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_nothing_heavy_is_loaded_for_a_script_without_torch() -> None:
    heavy = ("torch", "numpy", "rich", "jinja2", "matplotlib", "logging")
    code = f"import sys; print([name for name in {heavy} if name in sys.modules])"
    assert watch("--json", "r.json", "--html", "r.html", "-c", code).stdout == "[]\n"


# ---- with torch


def test_a_wrong_script_is_told_and_ends_as_it_is_asked_to() -> None:
    write(Path.cwd(), {"wrong.py": WRONG})
    steps = "step 0\nstep 1\nstep 2\n"
    done = watch("--strict", "--json", "r.json", "--html", "r.html", "wrong.py")
    assert (done.returncode, done.stdout) == (1, steps)
    assert "LH101" in done.stderr
    record = json.loads(Path("r.json").read_text())
    assert [finding["code"] for finding in record["findings"]] == ["LH101"]
    assert "LH101" in Path("r.html").read_text()
    done = watch("--fail-fast", "--json", "r.json", "wrong.py")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("likelihead: stopped by LH101 in ")
    assert "Traceback" not in done.stderr
    assert json.loads(Path("r.json").read_text())["ended"].startswith("was stopped by LH101 in ")


def test_a_right_script_passes_when_it_is_strict() -> None:
    write(Path.cwd(), {"right.py": RIGHT + "sys.exit(0)"})
    done = watch("--strict", "--fail-fast", "right.py")
    assert (done.returncode, done.stdout) == (0, "step 0\nstep 1\nstep 2\n")
    assert "LH101" not in done.stderr


def test_modules_of_the_script_s_that_the_report_needs_of_others() -> None:
    names = ("html", "jinja2", "markupsafe", "matplotlib", "rich", "statistics")
    write(Path.cwd(), {f"{name}.py": "own = True" for name in names})
    early, late = "import html, rich\n", "import atexit\natexit.register(check)\n"
    check = (
        f"def check():\n    import {', '.join(names)}\n    print([name.own for name in ({', '.join(names)})])"
    )
    write(Path.cwd(), {"b.py": early + RIGHT + check + "\n" + late})
    done = watch("--json", "r.json", "--html", "r.html", "b.py")
    assert (done.returncode, done.stdout) == (0, f"step 0\nstep 1\nstep 2\n{[True] * len(names)}\n")
    assert done.stderr.startswith("likelihead watch b.py\n")
    assert "<svg" in Path("r.html").read_text()


def test_a_script_with_torch_ends_as_under_python() -> None:
    source = """
import os, sys, threading, warnings
def mine(*args, **kwargs):
    print("mine")
    return original(*args, **kwargs)
def late():
    if sys.version_info < (3, 11):
        1 / 0  # a function that raises an exception again stays in its traceback there
    cross_entropy(torch.zeros(2, 3), torch.zeros(3).long())
original = torch.nn.functional.cross_entropy
torch.nn.functional.cross_entropy = mine
torch.nn.CrossEntropyLoss()(x, torch.tensor([0, 1, 2, 0])).backward()
torch.nn.functional.mse_loss(torch.zeros(3), torch.zeros(3, 1))
sys.stdout.flush()
if os.fork() == 0:
    cross_entropy(x, torch.tensor([0, 1, 2, 0])).backward()
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.wait()[1]))
thread = threading.Thread(target=late, name="late")
thread.start()
thread.join()
os.chdir("/")
os.remove(__file__)
try:
    torch.zeros(2, 3) @ torch.zeros(7, 7)
except RuntimeError as error:
    raise KeyError("last") from error
"""
    ends = []
    for begin in ([], ["-m", "likelihead", "watch", "--quiet", "--json", "r.json"]):
        write(Path.cwd(), {"b.py": RIGHT + source})
        # With one thread: those of OpenMP are not there in a forked child, which would wait for them.
        done = subprocess.run(
            [sys.executable, *begin, "b.py"],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        ends.append((done.returncode, done.stdout, done.stderr))
    assert ends[0] == ends[1]
    assert ends[0][1].splitlines()[3:] == ["mine", "3"]
    record = json.loads(Path("r.json").read_text())
    assert record["ended"] == "raised KeyError"
    assert [finding["code"] for finding in record["findings"]] == ["LH302"]
    assert not [note for note in record["notes"] if note["kind"] == "fault"]
