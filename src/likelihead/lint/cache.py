"""What the last runs found, for files that are as they were then.

A cache folder holds one file for each project. An entry holds as long as the file and all files that it may
import, by however many steps, are the same files with the same bytes, and the linter and its settings are the
same. Whatever is wrong with a cache, there is none then: never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from likelihead.core.atomic import replacing
from likelihead.errors import RunError
from likelihead.lint.findings import Finding, Place, Problem
from likelihead.lint.glance import Glances
from likelihead.lint.source import digest_of

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

    def get(self, path: Path, losses: Mapping[str, str], glances: Glances) -> Outcome | None:
        """The outcome for a file, if the files are as they were."""
        shelf = self._shelf(path)
        return None if shelf is None else shelf.get(path, losses, glances)

    def put(self, outcome: Outcome, losses: Mapping[str, str], glances: Glances) -> None:
        """Keep an outcome for the files as they are."""
        shelf = self._shelf(outcome.path)
        if shelf is not None and not outcome.internal:
            shelf.put(outcome, losses, glances)

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
    """The outcomes of one project: a file whose first line stands for the rest."""

    def __init__(self, folder: Path | None, top: Path) -> None:
        self._file = None if folder is None else folder / f"lint-{digest_of(os.fsencode(top))[:16]}.cache"
        self._changed = False
        self._entries: dict[str, Any] = {} if self._file is None else _load(self._file)

    def get(self, path: Path, losses: Mapping[str, str], glances: Glances) -> Outcome | None:
        entry = self._entries.get(str(path))
        if entry is None or entry["losses"] != sorted(map(list, losses.items())):
            return None
        more = [Path(one) for one in entry["more"]]
        if entry["key"] != glances.key(path, more):
            return None
        return Outcome(
            path,
            [_finding(one) for one in entry["findings"]],
            more,
            None if entry["problem"] is None else Problem(*entry["problem"]),
            functions=entry["functions"],
            exhausted=entry["exhausted"],
        )

    def put(self, outcome: Outcome, losses: Mapping[str, str], glances: Glances) -> None:
        more = glances.unreached(outcome.path, outcome.reads)
        self._changed = True
        self._entries[str(outcome.path)] = {
            "key": glances.key(outcome.path, more),
            "more": [str(one) for one in more],
            "losses": sorted(map(list, losses.items())),
            "findings": [astuple(finding) for finding in outcome.findings],
            "problem": None if outcome.problem is None else astuple(outcome.problem),
            "functions": outcome.functions,
            "exhausted": outcome.exhausted,
        }

    def save(self) -> None:
        if self._file is None or not self._changed:
            return
        there = {name: entry for name, entry in self._entries.items() if os.path.isfile(name)}
        content = json.dumps({"linter": _linter(), "files": there}, separators=(",", ":")).encode()
        with contextlib.suppress(OSError, RunError):
            _make_folder(self._file.parent)
            with replacing(self._file, durable=False) as file:
                file.write(digest_of(content).encode() + b"\n" + content)


def _load(path: Path) -> dict[str, Any]:
    try:
        checksum, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return {}
    if checksum != digest_of(content).encode():
        return {}
    held = json.loads(content)
    # What another version has written may look different in every way.
    if not isinstance(held, dict) or held.get("linter") != _linter():
        return {}
    entries: dict[str, Any] = held["files"]
    return entries


def _finding(held: list[Any]) -> Finding:
    place, code, detail, made, calls = held
    return Finding(
        Place(*place),
        code,
        detail,
        None if made is None else Place(*made),
        tuple(Place(*call) for call in calls),
    )


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    (folder / ".gitignore").write_text("# Made by likelihead.\n*\n")
    (folder / "CACHEDIR.TAG").write_text(_TAG)


@cache
def _linter() -> str:
    """What stands for the linter: its version and source, the table of hazards, and Python."""
    digest = hashlib.sha256(str(sys.version_info[:3]).encode())
    here = Path(__file__).parent
    for path in (here.parent / "__init__.py", here.parent / "hazards.py", *sorted(here.rglob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()
