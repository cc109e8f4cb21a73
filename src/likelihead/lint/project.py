"""The files around a file: which one an import means, each read once."""

from __future__ import annotations

import gc
import os
from functools import cache
from pathlib import Path
from typing import Any

from likelihead.lint.findings import Problem
from likelihead.lint.source import Source, read

__all__ = ["Project"]

# A folder with one of these is the top of a project: nothing above it is looked at.
_TOPS = (".git", "pyproject.toml", "setup.py", "setup.cfg")

# A megabyte each, or two.
MAX_SOURCES = 300


class Project:
    """Files by name, read at most once, and the modules that they are to each other.

    An absolute import is looked for in the folder of the importing file and in each folder above it, up to
    the top of the project, and in a ``src`` beside them, as ``python SCRIPT``, ``python -m`` and an installed
    package find it. Nothing is imported or run.
    """

    def __init__(self) -> None:
        self.problems: dict[Path, Problem] = {}
        # Modules that the analysis has executed, which the files of one process share.
        self.modules: dict[Path, Any] = {}
        self._sources: dict[Path, Source | None] = {}
        self._resolved: dict[tuple[Path, str], Path | None] = {}

    def source(self, path: Path) -> Source | None:
        """The file's source, or None (and an entry in `problems`) where it cannot be had."""
        if path not in self._sources:
            got = read(path)
            if isinstance(got, Problem):
                self.problems[path] = got
                self._sources[path] = None
            else:
                self._sources[path] = got
        return self._sources[path]

    def forget(self) -> None:
        """Let go of what was read, if that is a lot: the syntax trees of a large project take gigabytes."""
        if len(self._sources) > MAX_SOURCES:
            self._sources.clear()
            self.modules.clear()
            gc.collect()

    def resolve(self, module: str, importer: Path) -> Path | None:
        """The file of the project that the absolute import of `module` in the file `importer` means."""
        key = (importer.parent, module)
        if key not in self._resolved:
            self._resolved[key] = next(
                (
                    found
                    for folder in _search_folders(importer.parent)
                    if (found := _module_file(folder, module)) and found != importer
                ),
                None,
            )
        return self._resolved[key]

    def is_package(self, module: str, importer: Path) -> bool:
        """Whether the name is that of a folder of the project that holds modules but no ``__init__.py``."""
        parts = module.split(".")
        return any(
            (folder := above.joinpath(*parts)).is_dir() and next(folder.glob("*.py"), None) is not None
            for above in _search_folders(importer.parent)
        )

    def resolve_relative(self, level: int, module: str, importer: Path) -> Path | None:
        """The file that ``from ..module import`` with `level` dots means."""
        folder = importer.parent
        for _ in range(level - 1):
            folder = folder.parent
        if not module:
            return folder / "__init__.py" if _is_file(folder / "__init__.py") else None
        return _module_file(folder, module)


def _module_file(folder: Path, module: str) -> Path | None:
    base = folder.joinpath(*module.split("."))
    for candidate in (base.with_name(base.name + ".py"), base / "__init__.py"):
        if _is_file(candidate):
            return candidate
    return None


@cache
def _search_folders(folder: Path) -> tuple[Path, ...]:
    folders = []
    for above in (folder, *folder.parents):
        folders.append(above)
        if (above / "src").is_dir():
            folders.append(above / "src")
        if any((above / top).exists() for top in _TOPS):
            break
        if len(folders) > 12:
            break
    return tuple(folders)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)
