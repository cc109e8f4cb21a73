"""What can be told of a file from its bytes, before it is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from likelihead.lint.findings import Problem
from likelihead.lint.notebooks import NOTEBOOK
from likelihead.lint.project import Project
from likelihead.lint.source import digest_of

__all__ = ["Glance", "Glances"]

# What every file that uses torch or Keras holds somewhere.
_MARKS = (b"torch", b"keras")
# The beginning of a line of Python.
_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+(?P<module>[.\w]+)[ \t]+import[ \t]*(?P<names>\([^)]*\)|[^\r\n#\\]*)"
    rb"|import[ \t]+(?P<modules>[^\r\n#\\]*))",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Glance:
    """A file's bytes in short.

    Attributes:
        digest: of its bytes; empty where they cannot be read.
        marked: whether it names torch or keras.
        imports: the names that it may import, with their dots; none are looked for in a file that is marked.
        problem: why it cannot be read.
    """

    digest: str
    marked: bool = False
    imports: tuple[str, ...] = ()
    problem: Problem | None = None


class Glances:
    """Files, each glanced at once.

    Args:
        project: says which file an import means.
        overlay: bytes that stand for those of a file on the disk.
    """

    def __init__(self, project: Project, overlay: Mapping[Path, bytes]) -> None:
        self._project, self._overlay = project, overlay
        self._glances: dict[Path, Glance] = {}
        self._concerned: dict[Path, bool] = {}

    def at(self, path: Path) -> Glance:
        """The file's bytes in short."""
        if path not in self._glances:
            self._glances[path] = self._look(path)
        return self._glances[path]

    def _look(self, path: Path) -> Glance:
        try:
            data = self._overlay[path] if path in self._overlay else path.read_bytes()
        except OSError as error:
            return Glance("", problem=Problem(str(path), error.strerror or str(error)))
        marked = any(mark in data for mark in _MARKS)
        return Glance(digest_of(data), marked, () if marked else tuple(dict.fromkeys(_imports(path, data))))

    def concerned(self, path: Path) -> bool:
        """Whether the file, or a file of the project that it imports from, names torch or keras."""
        seen, waiting = {path}, [path]
        while waiting:
            current = waiting.pop()
            glance = self.at(current)
            if glance.marked or self._concerned.get(current, False):
                self._concerned[path] = True
                return True
            if current in self._concerned:
                continue
            for name in glance.imports:
                new = set(self._project.candidates(current.parent, name)) - seen
                seen |= new
                waiting += new
        self._concerned.update(dict.fromkeys(seen, False))
        return False


def _imports(path: Path, data: bytes) -> Iterator[str]:
    if path.suffix == NOTEBOOK:
        data = data.replace(b"\\n", b"\n").replace(b'"', b"\n")  # each line of code by itself
    for found in _IMPORT.finditer(data):
        if found["modules"] is not None:
            for part in found["modules"].split(b","):
                if words := re.match(rb"\s*([.\w]+)", part):
                    yield words[1].decode(errors="replace")
            continue
        module = found["module"].decode(errors="replace")
        yield module
        for name in re.findall(rb"\w+", found["names"]):
            text = name.decode(errors="replace")
            yield f"{module}{text}" if module.endswith(".") else f"{module}.{text}"
