"""From the paths of a command line to the files that are looked at."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from likelihead.errors import UserDataError
from likelihead.lint.findings import Problem
from likelihead.lint.notebooks import NOTEBOOK

__all__ = ["EXCLUDED", "Discovered", "discover"]

# Folders that hold other people's code or none; a path that is given is looked at whatever its name.
EXCLUDED = frozenset(
    {
        ".bzr", ".direnv", ".eggs", ".git", ".git-rewrite", ".hg", ".ipynb_checkpoints",
        ".likelihead_cache", ".mypy_cache", ".nox", ".pants.d", ".pyenv", ".pytest_cache", ".pytype",
        ".ruff_cache", ".svn", ".tox", ".venv", ".vscode", "__pycache__", "__pypackages__", "_build",
        "buck-out", "build", "dist", "node_modules", "site-packages", "venv",
    }
)  # fmt: skip
_SUFFIXES = (".py", NOTEBOOK)


@dataclass
class Discovered:
    """Files to look at, by absolute paths in the order of their names, and folders that could not be read."""

    files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def discover(paths: Iterable[str | os.PathLike[str]], given: Container[Path] = ()) -> Discovered:
    """The files that are given, and all Python files and notebooks in the folders that are given.

    Links are followed, and each file and folder is visited once: by its own name where that lies in a given
    path, else by the first link that leads to it. Files of `given` need not be on the disk.

    Raises:
        UserDataError: a path is not there, or is neither a file nor a folder.
    """
    walk = _Walk()
    for name in paths:
        path = Path(os.path.abspath(name))
        if not os.fspath(name):  # an empty variable of a shell, not the working folder
            raise UserDataError("a path is empty; expected files or folders of Python source")
        if path.is_dir():
            walk.folder(path)
        elif path in given or path.is_file():
            walk.file(path)
        else:
            what = "is neither a file nor a folder" if os.path.exists(path) else "is not there"
            raise UserDataError(f"{os.fspath(name)} {what}; expected files or folders of Python source")
    walk.follow_links()
    return Discovered(sorted(walk.files), sorted(walk.problems))


class _Walk:
    def __init__(self) -> None:
        self.files: set[Path] = set()
        self.problems: set[Problem] = set()
        self._seen: set[str] = set()  # real paths
        self._links: list[Path] = []

    def file(self, path: Path) -> None:
        if (real := os.path.realpath(path)) not in self._seen:
            self._seen.add(real)
            self.files.add(path)

    def folder(self, top: Path) -> None:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            if (real := os.path.realpath(folder)) in self._seen:
                continue
            self._seen.add(real)
            for entry in self._entries(folder):
                path = folder / entry.name
                if entry.is_symlink():
                    self._links.append(path)
                elif entry.is_dir():
                    if not _excluded(path):
                        waiting.append(path)
                elif path.suffix in _SUFFIXES and entry.is_file():
                    self.file(path)

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                yield from entries
        except OSError as error:
            self.problems.add(Problem(str(folder), error.strerror or str(error)))

    def follow_links(self) -> None:
        """Visit what links lead to, once all that has a name of its own is known."""
        while self._links:
            path = self._links.pop(0)
            if path.is_dir():
                if not _excluded(path):
                    self.folder(path)
            elif path.suffix in _SUFFIXES and path.is_file():
                self.file(path)


def _excluded(folder: Path) -> bool:
    # A virtual environment of any name has this file at its top.
    return folder.name in EXCLUDED or os.path.isfile(folder / "pyvenv.cfg")
