"""The plugin of flake8, called as flake8 calls it."""

from __future__ import annotations

import ast
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from likelihead.lint.flake8 import Plugin
from lint_projects import ACROSS, BAD, GOOD, MODEL, write


def found(path: Path | str, text: str) -> list[tuple[int, int, str]]:
    plugin = Plugin(tree=ast.parse(text), filename=str(path), lines=text.splitlines(keepends=True))
    return [(line, column, said[:5]) for line, column, said, kind in plugin.run() if kind is Plugin]


def test_a_finding_with_the_project_on_the_disk(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": MODEL, "train.py": ACROSS})
    assert found(tmp_path / "train.py", ACROSS) == [(10, 11, "LH101")]
    assert found(tmp_path / "model.py", MODEL) == []


def test_the_text_is_one_line_and_names_both_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"model.py": MODEL, "train.py": ACROSS})
    monkeypatch.chdir(tmp_path)
    ((_, _, said, _),) = Plugin(ast.parse(ACROSS), "./train.py", ACROSS.splitlines(True)).run()
    assert said.startswith("LH101 ")
    assert "Made at model.py:11:16" in said
    assert "\n" not in said


def test_an_unsaved_buffer_is_what_counts(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": GOOD})
    assert found(tmp_path / "a.py", BAD) == [(5, 11, "LH101")]
    assert found(tmp_path / "a.py", GOOD) == []


@pytest.mark.parametrize("name", ["stdin", "-"])
def test_standard_input_has_the_project_of_the_working_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"model.py": MODEL})
    monkeypatch.chdir(tmp_path)
    assert found(name, ACROSS) == [(10, 11, "LH101")]


def test_our_settings_and_comments_hold(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": '[tool.likelihead.lint]\nignore = ["LH101"]\n', "a.py": BAD})
    assert found(tmp_path / "a.py", BAD) == []
    write(tmp_path / "b", {"a.py": BAD})
    assert found(tmp_path / "c/a.py", BAD.replace("y)\n", "y)  # likelihead: ignore\n")) == []


def test_flake8_finds_it_by_its_entry_point() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert '[project.entry-points."flake8.extension"]\nLH = "likelihead.lint.flake8:Plugin"\n' in text
    for entry in entry_points(group="flake8.extension", name="LH"):  # where it is installed in this version
        assert entry.load() is Plugin
