from __future__ import annotations

import sys
from pathlib import Path

import pytest

from likelihead.core.shown import shown


def test_paths_are_shown_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert shown(str(tmp_path / "a/b.py")) == "b.py"
    assert shown(str(tmp_path / "b.py")) == str(tmp_path / "b.py")


@pytest.mark.skipif(sys.platform == "win32", reason="a working folder cannot be removed there")
def test_paths_are_shown_whole_from_a_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    (tmp_path / "a").rmdir()
    assert shown(str(tmp_path / "b.py")) == str(tmp_path / "b.py")
