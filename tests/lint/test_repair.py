"""Fixes of whole runs: on copies first, looked at again, and each file written whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from likelihead.errors import RunError
from likelihead.lint import lint_paths
from likelihead.lint import repair as module
from likelihead.lint.fix import Fixed
from likelihead.lint.repair import diff, repair, summary, write
from likelihead.lint.settings import Settings
from lint_projects import ACROSS, BAD, GOOD, MODEL
from lint_projects import write as put


def test_a_model_in_another_file_is_fixed_and_lints_clean(tmp_path: Path) -> None:
    put(tmp_path, {"model.py": MODEL, "train.py": ACROSS})
    repaired = repair([tmp_path])
    assert (tmp_path / "model.py").read_text() == MODEL  # nothing is written yet
    assert [(Path(one.path).name, one.code) for one in repaired.fixed] == [("train.py", "LH101")]
    assert list(repaired.changed) == [tmp_path / "model.py"]
    assert repaired.result.findings == []
    assert summary(repaired, write(repaired)) == "Fixed 1 of 1 findings; changed 1 file."
    assert "return self.body(x)\n" in (tmp_path / "model.py").read_text()
    assert lint_paths([tmp_path]).findings == []
    assert repair([tmp_path]).changed == {}


def test_line_ends_marks_and_rights_stay(tmp_path: Path) -> None:
    put(tmp_path, {})
    files = {
        "crlf.py": BAD.replace("\n", "\r\n").encode(),
        "bom.py": BAD.encode("utf-8-sig"),
        "latin.py": ("# coding: latin-1\n# é\n" + BAD).encode("latin-1"),
        "unended.py": BAD.rstrip("\n").encode(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o640 if name == "crlf.py" else 0o755)
    assert write(repair([tmp_path])) == []
    for name, data in files.items():
        assert (tmp_path / name).read_bytes() == data.replace(b"F.softmax(x, dim=1)", b"x")
        mode = stat.S_IMODE((tmp_path / name).stat().st_mode)
        assert mode == (0o640 if name == "crlf.py" else 0o755)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*files, "pyproject.toml"])


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    put(tmp_path, {"real/a.py": BAD})
    (tmp_path / "link.py").symlink_to("real/a.py")
    assert write(repair([tmp_path / "link.py"])) == []
    assert (tmp_path / "link.py").is_symlink()
    assert (tmp_path / "real/a.py").read_text() == GOOD


def test_what_is_not_selected_or_hidden_is_not_fixed(tmp_path: Path) -> None:
    put(tmp_path, {"a.py": BAD.replace("y)\n", "y)  # noqa\n"), "b.py": BAD})
    assert list(repair([tmp_path]).changed) == [tmp_path / "b.py"]
    assert repair([tmp_path], settings=Settings(ignore=("LH101",))).changed == {}


def test_notebooks_are_not_fixed_and_it_says_so(tmp_path: Path) -> None:
    put(tmp_path, {"a.ipynb": json.dumps({"cells": [{"cell_type": "code", "source": BAD}]})})
    repaired = repair([tmp_path])
    assert repaired.changed == {}
    assert [repaired.result.unfixed[one] for one in repaired.result.findings] == [
        "cells of notebooks are not edited"
    ]


def test_a_fix_that_reaches_beyond_the_paths_is_not_made(tmp_path: Path) -> None:
    put(tmp_path, {"model.py": MODEL, "train.py": ACROSS, "bad.py": BAD})
    repaired = repair([tmp_path / "train.py", tmp_path / "bad.py"])
    assert list(repaired.changed) == [tmp_path / "bad.py"]
    (finding,) = repaired.result.findings
    assert "model.py" in repaired.result.unfixed[finding]


def test_another_use_outside_the_paths_is_seen(tmp_path: Path) -> None:
    """Its own softmax is what predict.py prints: it may not go without a word."""
    use = "from model import Net\n\n\ndef predict(x):\n    return Net()(x).max()\n"
    put(tmp_path, {"model.py": MODEL, "train.py": ACROSS, "predict.py": use})
    repaired = repair([tmp_path / "train.py", tmp_path / "model.py"])
    assert repaired.changed == {}
    (finding,) = repaired.result.findings
    assert repaired.result.unfixed[finding]


def planted(monkeypatch: pytest.MonkeyPatch, text: str, name: str = "a.py") -> None:
    """A fixer that turns the file of this name into `text`."""

    def fix(sources: dict[str, str], findings: list[object], *, unsafe: bool) -> dict[str, Fixed]:
        return {path: Fixed(text if Path(path).name == name else old) for path, old in sources.items()}

    monkeypatch.setattr(module, "fix_project", fix)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import torch\ndef f(:\n", "the fix would leave a.py broken"),
        (
            BAD + "\n\ndef more(x, y):\n    return F.cross_entropy(F.sigmoid(x), y)\n",
            "the fix would bring LH102",
        ),
    ],
)
def test_a_fix_that_makes_it_worse_is_taken_back(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, {"a.py": BAD})
    monkeypatch.chdir(tmp_path)
    planted(monkeypatch, text)
    repaired = repair(["."])
    assert repaired.changed == {}
    assert [repaired.result.unfixed[one] for one in repaired.result.findings] == [reason]


def test_one_bad_fix_does_not_keep_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.fix_project

    def fix(sources: dict[str, str], findings: list[object], *, unsafe: bool) -> dict[str, Fixed]:
        fixes = real(sources, findings, unsafe=unsafe)  # type: ignore[arg-type]
        for path, fixed in fixes.items():
            if Path(path).name == "bad.py" and fixed.applied:
                fixed.text = "import torch\nbroken broken\n"
        return fixes

    monkeypatch.setattr(module, "fix_project", fix)
    put(tmp_path, {"a.py": BAD, "bad.py": BAD, "c.py": BAD})
    monkeypatch.chdir(tmp_path)
    repaired = repair(["."])
    assert [path.name for path in repaired.changed] == ["a.py", "c.py"]
    (finding,) = repaired.result.findings
    assert repaired.result.unfixed[finding] == "the fix would leave bad.py broken"


def test_a_fixer_that_never_ends_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fix(sources: dict[str, str], findings: list[object], *, unsafe: bool) -> dict[str, Fixed]:
        return {path: Fixed(f"{text}# more\n") for path, text in sources.items()}

    monkeypatch.setattr(module, "fix_project", fix)
    put(tmp_path, {"a.py": BAD})
    (_, new) = repair([tmp_path]).changed[tmp_path / "a.py"]
    assert new.count(b"# more") == module._ROUNDS


def test_a_file_that_somebody_changes_meanwhile_is_left_to_them(tmp_path: Path) -> None:
    put(tmp_path, {"a.py": BAD, "b.py": BAD})
    repaired = repair([tmp_path])
    (tmp_path / "a.py").write_text("theirs\n")
    (problem,) = write(repaired)
    assert "changed meanwhile" in problem.reason
    assert (tmp_path / "a.py").read_text() == "theirs\n"
    assert (tmp_path / "b.py").read_text() == GOOD
    assert summary(repaired, [problem]) == "Wrote 1 of 2 changed files."


@pytest.mark.parametrize("how", ["gone", "read-only", "full"])
def test_a_file_that_cannot_be_written_stays_whole(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, {"a.py": BAD})
    repaired = repair([tmp_path])
    if how == "gone":
        (tmp_path / "a.py").unlink()
    elif how == "read-only":
        monkeypatch.setattr(module.os, "access", lambda *_: False)
    else:

        def full(*_: object, **__: object) -> None:
            raise RunError("no space left on the device")

        monkeypatch.setattr(module, "replacing", full)
    (problem,) = write(repaired)
    assert problem.reason.startswith("not fixed: ")
    assert how == "gone" or (tmp_path / "a.py").read_text() == BAD
    assert os.listdir(tmp_path) == (["pyproject.toml"] if how == "gone" else os.listdir(tmp_path))


def test_unsafe_fixes_are_asked_for(tmp_path: Path) -> None:
    put(tmp_path, {"a.py": BAD.replace("F.softmax(x, dim=1)", "F.sigmoid(x)")})
    safe, unsafe = repair([tmp_path]), repair([tmp_path], unsafe=True)
    assert safe.changed == {}
    assert len(safe.result.unfixed) == 1
    assert list(unsafe.changed) == [tmp_path / "a.py"]


def test_a_form_feed_ends_no_line_of_a_patch(tmp_path: Path) -> None:
    put(tmp_path, {"a.py": BAD.replace("\n\n\n", "\n\x0c\n\n")})
    assert "@@ -2,4 +2,4 @@\n \x0c\n \n def loss(x, y):\n" in diff(repair([tmp_path]))


def test_a_difference_is_a_patch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, {"a.py": BAD.rstrip("\n"), "b.py": GOOD})
    monkeypatch.chdir(tmp_path)
    assert diff(repair(["."])) == (
        "--- a.py\n+++ a.py\n@@ -2,4 +2,4 @@\n \n \n def loss(x, y):\n"
        "-    return F.cross_entropy(F.softmax(x, dim=1), y)\n\\ No newline at end of file\n"
        "+    return F.cross_entropy(x, y)\n\\ No newline at end of file\n"
    )
    assert (tmp_path / "a.py").read_text() == BAD.rstrip("\n")
