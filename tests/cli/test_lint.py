"""``likelihead lint``: its options, its exit codes, and whatever it may be given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from likelihead.cli import main
from likelihead.lint import analysis
from likelihead.lint import discover as discovery
from lint_projects import ACROSS, BAD, GOOD, MODEL, write


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {})
    monkeypatch.chdir(tmp_path)


def lint(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["lint", *map(str, arguments)])


def put(**files: str) -> None:
    """Files by their names without ``.py``."""
    write(Path.cwd(), {f"{name}.py": text for name, text in files.items()})


# ---- exit codes


def test_nothing_found() -> None:
    put(a=GOOD)
    result = lint(".")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "No hazards found in 1 file.\n"


def test_something_found() -> None:
    put(model=MODEL, train=ACROSS)
    result = lint(".")
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.startswith("train.py:10:12: LH101 error: ")
    assert "  made at model.py:11:16: " in result.stdout
    assert "\x1b" not in result.stdout


def test_the_working_folder_is_the_default() -> None:
    put(a=BAD)
    assert lint().exit_code == 1


def test_exit_zero() -> None:
    put(a=BAD)
    result = lint("--exit-zero")
    assert result.exit_code == 0
    assert "LH101" in result.stdout


# ---- options


def test_select_and_ignore() -> None:
    put(a=BAD)
    for arguments in (
        ["--select", "LH2"],
        ["--ignore", "lh1"],
        ["--select", "LH1", "--ignore", "LH101,LH102"],
    ):
        assert lint(*arguments).exit_code == 0
    for arguments in (["--select", "LH2,LH101"], ["--select", "LH2", "--select", "LH1"], ["--ignore", "LH2"]):
        assert lint(*arguments).exit_code == 1


def test_fix_writes_what_is_fixed_and_reports_the_rest() -> None:
    put(a=BAD, b=BAD.replace("softmax(x, dim=1)", "sigmoid(x)"))
    result = lint("--fix")
    assert result.exit_code == 1
    assert result.stderr == "Fixed 1 of 2 findings; changed 1 file.\n"
    assert Path("a.py").read_text() == GOOD
    assert result.stdout.startswith("b.py:5:12: LH102 ")
    assert "  not fixed: " in result.stdout
    put(b=GOOD)
    assert lint("--fix").exit_code == 0


def test_diff_writes_nothing_and_ends_with_1_where_it_would() -> None:
    put(a=BAD)
    result = lint("--diff")
    assert result.exit_code == 1
    assert "-    return F.cross_entropy(F.softmax(x, dim=1), y)\n" in result.stdout
    assert Path("a.py").read_text() == BAD
    put(a=BAD.replace("softmax(x, dim=1)", "sigmoid(x)"))
    result = lint("--diff")
    assert (result.exit_code, result.stdout) == (0, "")
    assert lint("--diff", "--unsafe-fixes").exit_code == 1


def test_without_libcst_a_fix_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    put(a=BAD)
    for name in [name for name in sys.modules if name.startswith(("libcst", "likelihead.lint.fix."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "libcst", None)
    result = lint("--fix")
    assert result.exit_code == 2
    assert "pip install 'likelihead[lint]'" in result.stderr
    assert lint().exit_code == 1


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_formats_for_programs(form: str) -> None:
    put(a=BAD)
    result = lint("--format", form)
    assert result.exit_code == 1
    assert "LH101" in json.dumps(json.loads(result.stdout))


def test_github() -> None:
    put(a=BAD)
    assert lint("--format", "github").stdout.startswith("::error title=likelihead LH101,file=a.py,line=5,")


def test_statistics() -> None:
    put(a=BAD, b=BAD)
    result = lint("--statistics")
    assert result.exit_code == 1
    assert result.stdout.startswith("2  LH101  softmax output into cross-entropy\n")
    assert "2 files interpreted" in result.stdout
    assert json.loads(lint("--statistics", "--format", "json").stdout)["statistics"]["files"] == 2


def test_an_output_file_holds_no_colours_and_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    put(a=BAD)
    for _ in range(2):
        result = lint("--output-file", "found.txt")
        assert (result.exit_code, result.stdout) == (1, "")
        assert Path("found.txt").read_text().startswith("a.py:5:12: LH101 error: ")


def test_the_cache_is_beside_pyproject_unless_told_otherwise() -> None:
    put(a=BAD)
    lint("--no-cache")
    assert not Path(".likelihead_cache").exists()
    lint("--cache-dir", "elsewhere/cache")
    assert Path("elsewhere/cache/CACHEDIR.TAG").is_file()
    assert not Path(".likelihead_cache").exists()
    for interpreted in (1, 0):
        done = json.loads(lint("--format", "json").stdout)["statistics"]
        assert (done["analysed"], done["cached"]) == (interpreted, 1 - interpreted)


# ---- usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.py"], "none.py is not there; expected files or folders of Python source"),
        (["--select", "LH999"], "select holds 'LH999', which fits no rule"),
        (["--select", "LH203"], "LH203', which is told by the data and not by the source"),
        (["--ignore", "E501"], "ignore holds 'E501', which fits no rule"),
        (["--select", ""], "'' has an empty code"),
        (["--select", "LH1,,LH2"], "'LH1,,LH2' has an empty code"),
        (["--format", "xml"], "'xml' is not one of"),
        (["--jobs", "0"], "0 is not in the range"),
        (["--unsafe-fixes"], "--unsafe-fixes is given without --fix or --diff"),
        (["--fix", "--diff"], "--fix and --diff exclude each other"),
        (["--diff", "--format", "json"], "--diff is a format of its own"),
        (["--diff", "--statistics"], "--diff is a format of its own"),
        (["--statistics", "--format", "sarif"], "--statistics has no place in --format sarif"),
        (["--no-cache", "--cache-dir", "x"], "--no-cache and --cache-dir exclude each other"),
        (["--output-file", "a.py"], "--output-file is a.py; expected a name that is not one of source"),
        (["--output-file", "no/such/folder"], "cannot write no/such/folder"),
        (["--no-such-option"], "no-such-option"),
        (["/dev/null"], "/dev/null is neither a file nor a folder"),
    ],
)
def test_wrong_usage_is_one_line_and_2(arguments: list[str], words: str) -> None:
    put(a=BAD)
    result = lint(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert Path("a.py").read_text() == BAD


@pytest.mark.parametrize("text", ["= x", "[tool.likelihead.lint]\nselct = ['LH1']\n"])
def test_a_broken_pyproject_is_one_line_and_2(text: str) -> None:
    put(a=BAD)
    Path("pyproject.toml").write_text(text)
    result = lint()
    assert result.exit_code == 2
    assert f"{Path.cwd() / 'pyproject.toml'}: " in result.stderr
    assert len(result.stderr.splitlines()) == 1


# ---- bad input: a line each, and the run goes on


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("broken.py", b"import torch\ndef f(:\n", "broken.py:2: not Python 3: invalid syntax"),
        ("old.py", b"import torch\nprint 'x'\n", "old.py:2: not Python 3: Missing parentheses"),
        ("latin.py", b"import torch  # caf\xe9\n", "latin.py: cannot be decoded: "),
        ("null.py", b"import torch\x00\n", "null.py"),
        ("book.ipynb", b"torch", "book.ipynb: not a notebook: its JSON cannot be read: "),
        ("minus.py", b"import torch\nx = " + b"-" * 9_000 + b"1\n", "minus.py: its expressions are nested"),
    ],
)
@pytest.mark.parametrize("mode", [[], ["--fix"], ["--format", "json"]])
def test_a_file_that_cannot_be_looked_at(name: str, data: bytes, words: str, mode: list[str]) -> None:
    put(zz=BAD.replace("softmax(x, dim=1)", "sigmoid(x)"))
    Path(name).write_bytes(data)
    result = lint(*mode)
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if not line.startswith("Fixed ")]
    assert len(lines) == 1
    assert lines[0].startswith("likelihead: ")
    assert words in lines[0]
    assert "LH102" in result.stdout
    assert Path(name).read_bytes() == data
    Path("zz.py").unlink()
    assert lint(*mode).exit_code == 1


def test_a_folder_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    put(a=BAD)
    Path("locked").mkdir()
    scandir = os.scandir

    def refuse(folder: Path) -> object:
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(discovery.os, "scandir", refuse)
    result = lint()
    assert result.exit_code == 1
    assert result.stderr == "likelihead: locked: Permission denied\n"
    assert "LH101" in result.stdout


def test_a_mistake_of_our_own_is_a_line_and_2(monkeypatch: pytest.MonkeyPatch) -> None:
    put(a=BAD)
    monkeypatch.setattr(analysis, "analyse", lambda *_: 1 / 0)
    result = lint("--exit-zero")
    assert result.exit_code == 2
    assert "likelihead: a.py: the linter failed (ZeroDivisionError: " in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_large_deep_and_circular_programs_end() -> None:
    deep = "x = 1\nx = x" + " + x" * 5_000
    write(
        Path.cwd(),
        {
            "loop.py": "import torch\nwhile True:\n    for i in range(10**12):\n        x = torch.relu(x)\n",
            "many.py": "import torch\n" + "x = torch.relu(x)\n" * 50_000,
            "sum.py": f"import torch\n{deep}\n",
            "dots.py": f"import torch\nx = torch{'.x' * 5_000}\n",
            "calls.py": f"import torch\nx = {'f(' * 90}{')' * 90}\n",
            "chain.py": f"import torch\nx = torch{'.relu()' * 5_000}\n",
            "lambda.py": f"import torch\nx = {'lambda: ' * 2_000}1\n",
            "elif.py": "import torch\nif a:\n    pass\n" + "elif b:\n    pass\n" * 3_000,
            "a.py": "import torch\nimport b\n\n\ndef f(x):\n    return b.g(x)\n",
            "b.py": "import torch\nimport a\n\n\ndef g(x):\n    return a.f(x)\n\n\ng(1)\n",
            "zz.py": BAD,
        },
    )
    Path("again").symlink_to(".")
    result = lint()
    assert result.exit_code == 1
    assert "zz.py:5:12: LH101" in result.stdout
    for line in result.stderr.splitlines():
        assert line.startswith("likelihead: ")
        assert "nested too deeply" in line


# ---- the program itself


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", "from likelihead.cli import run; run()", "lint", *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_program_with_several_processes() -> None:
    write(Path.cwd(), {f"m{number}.py": BAD for number in range(60)})
    done = program("--jobs", "2", "--statistics", ".")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("60  LH101  ")


def test_the_program_loads_no_torch_and_little_else() -> None:
    put(a=BAD)
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom likelihead.cli import main\n"
        "assert CliRunner().invoke(main, ['lint', 'a.py']).exit_code == 1\n"
        "print(sorted({'torch', 'numpy', 'libcst', 'rich', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ---- names and streams of any kind


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' file names are text")
@pytest.mark.parametrize(
    ("form", "encoding"), [("text", "latin-1"), ("json", "utf-8"), ("sarif", "utf-8"), ("github", "utf-8")]
)
def test_what_the_output_has_no_character_for(
    form: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(os.fsdecode(b"na\xffme.py")).write_text(BAD.replace("import", "# \u65e5\x1b[31m\nimport", 1))
    Path(os.fsdecode(b"bro\xffken.py")).write_text("import torch(\n")
    Path("two\nlines.py").write_text(BAD)
    monkeypatch.setenv("PYTHONIOENCODING", f"{encoding}:strict")
    command = ["likelihead", "lint", ".", "--no-cache", "--format", form]
    program = f"import sys; sys.argv = {command}; from likelihead.cli import run; run()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.decode() == "likelihead: bro\\udcffken.py:1: not Python 3: invalid syntax\n"
    if form == "sarif":
        places = [one["locations"][0] for one in json.loads(done.stdout)["runs"][0]["results"]]
        names = {place["physicalLocation"]["artifactLocation"]["uri"] for place in places}
        assert names == {"na%FFme.py", "two%0Alines.py"}
    elif form != "json":
        assert b"two\\nlines.py" in done.stdout


def test_streams_that_are_closed() -> None:
    put(a=BAD)
    program = "from likelihead.cli import run; run()"
    for closed, path, code in ((">&-", "a.py", 1), ("2>&-", "nowhere", 2)):
        command = f'exec "$0" -c "{program}" lint {path} {closed}'
        done = subprocess.run(["/bin/sh", "-c", command, sys.executable], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (code, b"")


def test_an_empty_path() -> None:
    result = lint("")
    assert (result.exit_code, result.stderr) == (
        2,
        "likelihead: a path is empty; expected files or folders of Python source\n",
    )
