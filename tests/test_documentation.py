"""The README's and the documentation's Python runs, block after block, as a reader would run it."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from likelihead.cli import main
from likelihead.hazards import HAZARDS
from likelihead.lint.fix import FIXABLE
from likelihead.lint.settings import parse_settings

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if page.parent.name not in {"hazards", "_build"}
    ),
]
BLOCK = re.compile(r"^```(python|pycon)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_blocks(text: str, name: str) -> None:
    """Run a page's Python in one namespace, in order."""
    torch.manual_seed(0)
    namespace: dict[str, object] = {"__name__": "__page__"}
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        if block[1] == "python":
            # The line numbers of a traceback are those of the page.
            exec(compile("\n" * (line - 1) + block[2], name, "exec"), namespace)
        else:
            test = doctest.DocTestParser().get_doctest(block[2], namespace, name, name, line - 1)
            test.globs = namespace
            report: list[str] = []
            doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append, clear_globs=False)
            assert not report, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_examples_of_a_page_run(page: Path) -> None:
    if page.name == "hugging-face.md":
        for name in ("transformers", "accelerate", "peft"):
            pytest.importorskip(name)
    run_blocks(page.read_text(encoding="utf-8"), str(page))


@pytest.mark.parametrize("page", ["README.md", "docs/mathematics.md", "docs/guard.md", "docs/likelihoods.md"])
def test_these_pages_have_examples(page: str) -> None:
    assert len(BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))) >= 2


FENCED = re.compile(r"^```(py|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def run_project(text: str) -> int:
    """Write a page's files, run its commands, in order, and compare what they print; how many there were.

    A block of ``py`` is a file, whose name is the comment in its first line. One of ``console`` holds
    commands behind ``$``, each with all that the terminal then shows.
    """
    Path("pyproject.toml").touch()
    code, commands = 0, 0
    for block in FENCED.finditer(text):
        if block[1] == "py":
            Path(block[2].partition("\n")[0].removeprefix("# ")).write_text(block[2], encoding="utf-8")
            continue
        for part in block[2].removeprefix("$ ").split("\n$ "):
            command, _, expected = part.partition("\n")
            if command == "echo $?":
                shown = f"{code}\n"
            else:
                program, *arguments = command.split()
                assert program == "likelihead"
                result = CliRunner().invoke(main, arguments)
                code, shown = result.exit_code, result.output
                commands += 1
            assert timeless(shown) == timeless(expected), command
    return commands


def timeless(text: str) -> str:
    """What is printed, whatever work and time it took, and without the end of its last line."""
    return re.sub(r"\d+ functions, \d+\.\d\d s\.", "some functions and time.", text).removesuffix("\n")


@pytest.mark.parametrize(("page", "commands"), [("README.md", 1), ("docs/lint.md", 5)])
def test_the_linter_prints_what_the_page_shows(
    page: str, commands: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("libcst")
    monkeypatch.chdir(tmp_path)
    assert run_project((ROOT / page).read_text(encoding="utf-8")) == commands


def wordly(text: str) -> list[str]:
    """What a report says, without its numbers, their units, and the ends of its lines."""
    text = " ".join(text.replace("─", "").split())
    return re.sub(r"-?\d[\d,.]*(e-?\d+)?( (ms|s|min|MiB)\b|%)?", "#", text).split()


def test_the_watch_prints_what_its_page_shows(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "watch.md").read_text(encoding="utf-8")
    blocks = dict(FENCED.findall(text))
    (tmp_path / "train.py").write_text(blocks["py"], encoding="utf-8")
    command, _, shown = blocks["console"].removeprefix("$ likelihead ").partition("\n")
    done = subprocess.run(
        [sys.executable, "-m", "likelihead", *command.split()],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "80"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout == ""
    assert wordly(done.stderr) == wordly(shown)


def test_the_watchs_page_has_each_hazard() -> None:
    text = (ROOT / "docs" / "watch.md").read_text(encoding="utf-8")
    table = text.partition("<!-- hazards -->\n\n")[2].partition("\n\n<!-- /hazards -->")[0]
    assert table.splitlines()[2:] == [
        f"| [{code}](hazards/{code}.md) | {hazard.severity} | {hazard.name} |"
        for code, hazard in HAZARDS.items()
        if hazard.watch
    ]


def test_a_wrong_output_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = "```py\n# a.py\nimport torch\n```\n\n```console\n$ likelihead lint\n{}\n$ echo $?\n{}\n```\n"
    assert run_project(page.format("No hazards found in 1 file.", 0)) == 1
    for wrong in (
        page.format("No hazards found in 2 files.", 0),
        page.format("No hazards found in 1 file.", 1),
    ):
        with pytest.raises(AssertionError):
            run_project(wrong)


def test_the_linters_page_has_each_rule_and_only_settings_that_exist() -> None:
    text = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    rows = [
        f"| [{code}](hazards/{code}.md) | {hazard.severity} | {hazard.name} | {FIXABLE.get(code, '')} |"
        for code, hazard in HAZARDS.items()
        if hazard.lint
    ]
    table = text.partition("<!-- rules -->\n\n")[2].partition("\n\n<!-- /rules -->")[0]
    assert table.splitlines()[2:] == rows
    assert f"It knows {len(rows)} hazards" in (ROOT / "README.md").read_text(encoding="utf-8")
    toml = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    for page in ("lint.md", "command-line.md"):
        (block,) = re.findall(
            r"^```toml\n(.*?)^```$",
            (ROOT / "docs" / page).read_text(encoding="utf-8"),
            re.DOTALL | re.MULTILINE,
        )
        assert parse_settings(toml.loads(block)["tool"]["likelihead"]["lint"], ROOT).losses


def test_a_wrong_example_is_noticed() -> None:
    with pytest.raises(AssertionError, match="Expected"):
        run_blocks("```pycon\n>>> 1 + 1\n3\n```\n", "page")
    with pytest.raises(ZeroDivisionError):
        run_blocks("```python\nx = 0\n```\n\ntext\n\n```python\n1 / x\n```\n", "page")


def test_every_hazard_has_a_page_in_the_documentation() -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("hazard_pages", ROOT / "docs" / "_ext" / "hazard_pages.py")
    assert spec is not None
    assert spec.loader is not None
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    pages = extension.pages()
    assert set(pages) == {"index.md"} | {f"{code}.md" for code in HAZARDS}
    for code in HAZARDS:
        assert f"[{code}]({code}.md)" in pages["index.md"]
