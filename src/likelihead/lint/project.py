"""The files around a file: which one an import means, each read once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from likelihead.lint.findings import Problem
from likelihead.lint.source import Source, read

__all__ = ["Project", "top_of"]

# A folder with one of these is the top of a project: nothing above it is looked at.
_TOPS = (".git", "pyproject.toml", "setup.py", "setup.cfg")


def _is_by_name(module: str) -> bool:
    """Whether what a module holds is known by its name, also where its source is in the project."""
    return module.partition(".")[0] in ("torch", "likelihead")


class Project:
    """Files by name, read at most once, and the modules that they are to each other.

    An absolute import is looked for in the folder of the importing file and in each folder above it, up to
    the top of the project, and in a ``src`` beside them, as ``python SCRIPT``, ``python -m`` and an installed
    package find it. Nothing is imported or run.
    """

    def __init__(self, overlay: Mapping[Path, bytes] | None = None) -> None:
        """Read nothing yet; `overlay` holds the bytes that stand for those of a file on the disk."""
        self.problems: dict[Path, Problem] = {}
        self.characters = 0  # of all files read
        self._overlay = overlay or {}
        # Modules that the analysis has executed, which the files of one process share.
        self.modules: dict[Path, Any] = {}
        self._sources: dict[Path, Source | None] = {}
        self._candidates: dict[Path, dict[str, tuple[Path, ...]]] = {}
        self._places: dict[Path, dict[str, tuple[Path, ...]]] = {}
        self._folders: dict[Path, tuple[Path, ...]] = {}
        self._listed: dict[Path, frozenset[str]] = {}

    def release(self) -> None:
        """Let go of all that was read and executed; nothing more can be asked."""
        for scope in self.modules.values():
            scope.release()
        self.modules.clear()
        self._sources.clear()

    def source(self, path: Path) -> Source | None:
        """The file's source, or None (and an entry in `problems`) where it cannot be had."""
        if path not in self._sources:
            got = read(path, self._overlay.get(path))
            if isinstance(got, Problem):
                self.problems[path] = got
                self._sources[path] = None
            else:
                self._sources[path] = got
                self.characters += len(got.text)
        return self._sources[path]

    def resolve(self, module: str, importer: Path) -> Path | None:
        """The file of the project that the absolute import of `module` from the file `importer` means."""
        if _is_by_name(module):
            return None
        return next((found for found in self.candidates(importer.parent, module) if found != importer), None)

    def is_package(self, module: str, importer: Path) -> bool:
        """Whether the name is that of a folder of the project that holds modules but no ``__init__.py``."""
        parts = module.split(".")
        return not _is_by_name(module) and any(
            (folder := above.joinpath(*parts)).is_dir() and next(folder.glob("*.py"), None) is not None
            for above in self._search_folders(importer.parent)
        )

    def resolve_relative(self, level: int, module: str, importer: Path) -> Path | None:
        """The file that ``from ..module import`` with `level` dots means."""
        return next(iter(self.candidates(importer.parent, "." * level + module)), None)

    def candidates(self, folder: Path, name: str) -> tuple[Path, ...]:
        """The files that `name`, with its dots, may mean to an import in `folder`, the likeliest first.

        A file is not what it imports itself, so there may be a second one.
        """
        known = self._candidates.setdefault(folder, {})
        found = known.get(name)
        if found is None:
            module = name.lstrip(".")
            first = module.partition(".")[0]
            if level := len(name) - len(module):
                places: Sequence[Path] = (folder, *folder.parents)[level - 1 : level]
            else:
                places = self._places_of(folder, first)
            files = (_module_file(place, module) for place in places)
            found = known[name] = tuple(file for file in files if file is not None)[:2]
        return found

    def _places_of(self, folder: Path, first: str) -> tuple[Path, ...]:
        """Where the first part of an absolute import's name is; of most imports it is nowhere."""
        known = self._places.setdefault(folder, {})
        places = known.get(first)
        if places is None:
            places = known[first] = tuple(
                place
                for place in self._search_folders(folder)
                if first in (names := self._names_in(place)) or f"{first}.py" in names
            )
        return places

    def _names_in(self, folder: Path) -> frozenset[str]:
        if folder not in self._listed:
            try:
                self._listed[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._listed[folder] = frozenset()
        return self._listed[folder]

    def _search_folders(self, folder: Path) -> tuple[Path, ...]:
        if folder in self._folders:
            return self._folders[folder]
        folders = []
        for above in (folder, *folder.parents):
            folders.append(above)
            if (above / "src").is_dir():
                folders.append(above / "src")
            if _is_top(above):
                break
            if len(folders) > 12:
                break
        self._folders[folder] = tuple(folders)
        return self._folders[folder]


def _module_file(folder: Path, module: str) -> Path | None:
    base = os.path.join(folder, *module.split("."))
    for candidate in (os.path.join(base, "__init__.py"), f"{base}.py" if module else ""):  # a package first
        if candidate and os.path.isfile(candidate):
            return Path(candidate)
    return None


def top_of(folder: Path) -> Path | None:
    """The top of the project that a folder belongs to, if it belongs to one."""
    return next((above for above in (folder, *folder.parents) if _is_top(above)), None)


def _is_top(folder: Path) -> bool:
    return any((folder / top).exists() for top in _TOPS)
