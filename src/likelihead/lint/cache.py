"""What the last runs found, for files that are as they were then.

A cache folder holds one file for each project. An entry holds as long as the bytes of its file and of all
files that were looked at on the way are the same, the imports of these files mean the same files, and the
linter and its settings are the same. Whatever is wrong with a cache, there is none then: never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from likelihead.lint.findings import Finding, Place, Problem
from likelihead.lint.project import Project

__all__ = ["CACHE_FOLDER", "Cache", "Outcome"]

CACHE_FOLDER = ".likelihead_cache"
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache of likelihead; see https://bford.info/cachedir/\n"


@dataclass
class Outcome:
    """What the analysis of one file came to.

    Attributes:
        path: the file.
        findings: as the analysis reports them: all codes, lines of `Source.text`, absolute paths.
        reads: the other files that it looked at.
        problem: why there was no analysis.
        internal: whether that is a mistake of the linter's own.
        functions: how many were interpreted.
        exhausted: those that were given up because their budget was used up.
    """

    path: Path
    findings: list[Finding] = field(default_factory=list)
    reads: list[Path] = field(default_factory=list)
    problem: Problem | None = None
    internal: bool = False
    functions: int = 0
    exhausted: list[str] = field(default_factory=list)


class Cache:
    """The outcomes of earlier runs.

    Args:
        folder: where they lie; by default in ``.likelihead_cache`` beside the pyproject.toml above each file,
            and nowhere for files that have none.
        on_disk: whether there is a folder at all; else the outcomes last as long as this object.
    """

    def __init__(self, folder: Path | None = None, *, on_disk: bool = True) -> None:
        self._folder, self._on_disk = folder, on_disk
        self._shelves: dict[Path, _Shelf] = {}
        self._tops: dict[Path, Path | None] = {}

    def get(
        self, path: Path, losses: Mapping[str, str], project: Project, digest: Callable[[Path], str]
    ) -> Outcome | None:
        """The outcome for a file as it is now."""
        shelf = self._shelf(path)
        return None if shelf is None else shelf.get(path, losses, project, digest)

    def put(
        self, outcome: Outcome, losses: Mapping[str, str], project: Project, digest: Callable[[Path], str]
    ) -> None:
        """Keep an outcome; `project` has answered the imports of all files that it looked at."""
        shelf = self._shelf(outcome.path)
        if shelf is not None and not outcome.internal:
            shelf.put(outcome, losses, project, digest)

    def save(self) -> None:
        """Write what is new to the disk."""
        for shelf in self._shelves.values():
            shelf.save()

    def _shelf(self, path: Path) -> _Shelf | None:
        top = self._top(path.parent)
        if top is None and self._folder is None and self._on_disk:
            return None
        top = top or Path(path.anchor)
        if top not in self._shelves:
            folder = (self._folder or top / CACHE_FOLDER) if self._on_disk else None
            self._shelves[top] = _Shelf(folder, top)
        return self._shelves[top]

    def _top(self, folder: Path) -> Path | None:
        if folder not in self._tops:
            if (folder / "pyproject.toml").is_file():
                self._tops[folder] = folder
            else:
                self._tops[folder] = None if folder.parent == folder else self._top(folder.parent)
        return self._tops[folder]


class _Shelf:
    """The outcomes of one project, all paths relative to its top."""

    def __init__(self, folder: Path | None, top: Path) -> None:
        self._folder, self._top = folder, top
        self._changed = False
        self._valid: dict[str, bool] = {}  # whether the imports of a folder mean what they did
        self._entries: dict[str, Any] = {}
        self._imports: dict[str, dict[str, list[str]]] = {}
        if folder is not None and (held := self._load(folder)) is not None:
            self._entries, self._imports = held["files"], held["imports"]

    def _file(self, folder: Path) -> Path:
        return folder / f"lint-{_digest(str(self._top))[:16]}.cache"

    def _load(self, folder: Path) -> dict[str, Any] | None:
        try:
            checksum, _, content = self._file(folder).read_bytes().partition(b"\n")
        except OSError:
            return None
        if checksum.decode(errors="replace") != hashlib.sha256(content).hexdigest():
            return None
        held: dict[str, Any] = json.loads(content)
        return held if (held["linter"], held["top"]) == (_linter(), str(self._top)) else None

    def get(
        self, path: Path, losses: Mapping[str, str], project: Project, digest: Callable[[Path], str]
    ) -> Outcome | None:
        entry = self._entries.get(self._short(path))
        if entry is None or entry["losses"] != _losses(losses) or entry["digest"] != digest(path):
            return None
        reads = {self._long(name): held for name, held in entry["reads"].items()}
        if any(digest(read) != held for read, held in reads.items()):
            return None
        if not all(self._same_imports(folder, project) for folder in _folders((path, *reads))):
            return None
        return Outcome(
            path,
            [self._finding(one) for one in entry["findings"]],
            list(reads),
            None if entry["problem"] is None else Problem(str(path), **entry["problem"]),
            functions=entry["functions"],
            exhausted=entry["exhausted"],
        )

    def _same_imports(self, folder: Path, project: Project) -> bool:
        name = self._short(folder)
        if name not in self._valid:
            held = self._imports.get(name, {})
            self._valid[name] = all(
                [self._short(path) for path in project.candidates(folder, module)] == answer
                for module, answer in held.items()
            )
            if not self._valid[name]:
                self._forget(folder)
        return self._valid[name]

    def _forget(self, folder: Path) -> None:
        """Drop whatever rests on the imports of a folder, before its new answers are learnt."""
        del self._imports[self._short(folder)]
        for name, entry in list(self._entries.items()):
            if folder in _folders(self._long(one) for one in (name, *entry["reads"])):
                del self._entries[name]

    def put(
        self,
        outcome: Outcome,
        losses: Mapping[str, str],
        project: Project,
        digest: Callable[[Path], str],
    ) -> None:
        problem = outcome.problem
        self._changed = True
        self._entries[self._short(outcome.path)] = {
            "digest": digest(outcome.path),
            "losses": _losses(losses),
            "reads": {self._short(path): digest(path) for path in outcome.reads},
            "findings": [self._packed(finding) for finding in outcome.findings],
            "problem": None if problem is None else {"reason": problem.reason, "line": problem.line},
            "functions": outcome.functions,
            "exhausted": outcome.exhausted,
        }
        for folder in _folders((outcome.path, *outcome.reads)):
            self._imports.setdefault(self._short(folder), {}).update(
                (module, [self._short(path) for path in paths])
                for module, paths in project.answers.get(folder, {}).items()
            )

    def save(self) -> None:
        if self._folder is None or not self._changed:
            return
        for name in [name for name in self._entries if not self._long(name).is_file()]:
            del self._entries[name]
        held = {"linter": _linter(), "top": str(self._top), "files": self._entries, "imports": self._imports}
        content = json.dumps(held, separators=(",", ":")).encode()
        with contextlib.suppress(OSError):
            _make_folder(self._folder)
            descriptor, temporary = tempfile.mkstemp(dir=self._folder, prefix=".lint-", suffix=".tmp")
            try:
                with open(descriptor, "wb") as file:
                    file.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
                os.replace(temporary, self._file(self._folder))
            except BaseException:
                os.unlink(temporary)
                raise

    def _short(self, path: Path) -> str:
        return os.path.relpath(path, self._top) if path.is_relative_to(self._top) else str(path)

    def _long(self, name: str) -> Path:
        return Path(os.path.normpath(self._top / name))

    def _packed(self, finding: Finding) -> dict[str, Any]:
        packed = asdict(finding)
        for place in _places(packed):
            place["path"] = self._short(Path(place["path"]))
        return packed

    def _finding(self, packed: dict[str, Any]) -> Finding:
        def place(held: dict[str, Any]) -> Place:
            return Place(**{**held, "path": str(self._long(held["path"]))})

        return Finding(
            place(packed["place"]),
            packed["code"],
            packed["detail"],
            None if packed["made"] is None else place(packed["made"]),
            tuple(place(call) for call in packed["calls"]),
        )


def _places(packed: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield packed["place"]
    if packed["made"] is not None:
        yield packed["made"]
    yield from packed["calls"]


def _folders(paths: Iterable[Path]) -> set[Path]:
    return {path.parent for path in paths}


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    (folder / ".gitignore").write_text("# Made by likelihead.\n*\n")
    (folder / "CACHEDIR.TAG").write_text(_TAG)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _losses(losses: Mapping[str, str]) -> str:
    return _digest(json.dumps(sorted(losses.items())))


@cache
def _linter() -> str:
    """What stands for the linter: its version and source, the table of hazards, and Python."""
    digest = hashlib.sha256(str(sys.version_info[:3]).encode())
    here = Path(__file__).parent
    for path in (here.parent / "__init__.py", here.parent / "hazards.py", *sorted(here.rglob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()
