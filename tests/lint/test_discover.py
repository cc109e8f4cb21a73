"""Which files are looked at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from likelihead.errors import UserDataError
from likelihead.lint import discover as module
from likelihead.lint.discover import discover


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(folder: Path, *paths: str | Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in discover(paths or [folder]).files]


def test_python_and_notebooks_in_the_order_of_their_names(tmp_path: Path) -> None:
    put(tmp_path, "b.py", "a/x.py", "a/y.ipynb", "a/z.txt", "c.pyc", "README")
    assert names(tmp_path) == ["a/x.py", "a/y.ipynb", "b.py"]


def test_folders_of_other_peoples_code_are_left_out(tmp_path: Path) -> None:
    skipped = (".git", ".venv", "node_modules", "build", "__pycache__", "lib/site-packages", "dist")
    put(tmp_path, *(f"{name}/x.py" for name in skipped), "own/pyvenv.cfg", "own/x.py", "src/build.py")
    assert names(tmp_path) == ["src/build.py"]


def test_a_path_that_is_given_is_looked_at_whatever_its_name(tmp_path: Path) -> None:
    put(tmp_path, "site-packages/timm/x.py", "site-packages/timm/build/y.py", "script")
    assert names(tmp_path, tmp_path / "site-packages") == ["site-packages/timm/x.py"]
    assert names(tmp_path, tmp_path / "site-packages/timm/build") == ["site-packages/timm/build/y.py"]
    assert names(tmp_path, tmp_path / "script") == ["script"]


def test_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a/x.py")
    monkeypatch.chdir(tmp_path)
    assert names(tmp_path, "a", "a/x.py", tmp_path / "a", "./a/../a") == ["a/x.py"]


def test_a_folder_that_is_a_link_to_itself(tmp_path: Path) -> None:
    put(tmp_path, "a/x.py")
    (tmp_path / "a/again").symlink_to(tmp_path / "a")
    (tmp_path / "a/dot").symlink_to(".")
    (tmp_path / "a/round").symlink_to("round")
    (tmp_path / "a/round.py").symlink_to("round.py")
    assert names(tmp_path) == ["a/x.py"]


def test_links_are_followed_and_a_file_keeps_its_own_name(tmp_path: Path) -> None:
    put(tmp_path, "project/z/x.py", "elsewhere/y.py", "elsewhere/build/n.py")
    (tmp_path / "project/a").symlink_to("z")
    (tmp_path / "project/b").symlink_to("../elsewhere")
    (tmp_path / "project/c.py").symlink_to("z/x.py")
    (tmp_path / "project/build").symlink_to("../elsewhere")
    assert names(tmp_path, tmp_path / "project") == ["project/b/y.py", "project/z/x.py"]


def test_a_folder_that_cannot_be_read_is_a_problem_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a/x.py", "locked/y.py", "z.py")
    scandir = os.scandir

    def refuse(folder: Path) -> object:
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(module.os, "scandir", refuse)
    found = discover([tmp_path])
    assert [path.name for path in found.files] == ["x.py", "z.py"]
    assert [(problem.path, problem.reason) for problem in found.problems] == [
        (str(tmp_path / "locked"), "Permission denied")
    ]


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserDataError, match=r"none\.py is not there; expected files or folders"):
        discover([tmp_path / "none.py"])


def test_a_device_is_neither_a_file_nor_a_folder() -> None:
    with pytest.raises(UserDataError, match="/dev/zero is neither a file nor a folder"):
        discover(["/dev/zero"])


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert discover([tmp_path]).files == []
