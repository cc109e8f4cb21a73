"""What can be told of a file from its bytes, before it is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
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
        imports: the names that it may import, with their dots.
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
        self._reach: dict[Path, frozenset[Path]] = {}

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
        return Glance(digest_of(data), marked, tuple(dict.fromkeys(_imports(path, data))))

    def reach(self, path: Path) -> frozenset[Path]:
        """The file and all files of the project that it may import, by however many steps."""
        if path not in self._reach:
            seen, waiting = {path}, [path]
            while waiting:
                current = waiting.pop()
                if current in self._reach:
                    seen |= self._reach[current]
                    continue
                for name in self.at(current).imports:
                    new = set(self._project.candidates(current.parent, name)) - seen
                    seen |= new
                    waiting += new
            self._reach[path] = frozenset(seen)
        return self._reach[path]

    def concerned(self, path: Path) -> bool:
        """Whether the file, or one that it imports, names torch or keras."""
        return self.at(path).marked or any(self.at(one).marked for one in self.reach(path))

    def key(self, path: Path, more: Iterable[Path] = ()) -> str:
        """What stands for the names and bytes of all files that a file and those of `more` reach."""
        files = self.reach(path).union(*(self.reach(one) for one in more))
        return digest_of(
            "\n".join(f"{one} {self.at(one).digest}" for one in sorted(files)).encode(errors="replace")
        )


def _imports(path: Path, data: bytes) -> Iterator[str]:
    if path.suffix == NOTEBOOK:
        # Each line of code by itself.
        data = data.replace(b"\\n", b"\n").replace(b'"', b"\n")
    for found in _IMPORT.finditer(data):
        if found["modules"] is not None:
            for part in found["modules"].split(b","):
                if words := re.match(rb"\s*([.\w]+)", part):
                    yield from _with_packages(words[1].decode(errors="replace"))
            continue
        module = found["module"].decode(errors="replace")
        yield from _with_packages(module)
        for name in re.findall(rb"\w+", found["names"]):
            text = name.decode(errors="replace")
            yield f"{module}{text}" if module.endswith(".") else f"{module}.{text}"


def _with_packages(name: str) -> Iterator[str]:
    """The name, and those of the packages that it is in.

    >>> list(_with_packages("..a.b"))
    ['..', '..a', '..a.b']
    """
    inner = name.lstrip(".")
    dots = name[: len(name) - len(inner)]
    if dots:
        yield dots
    parts = inner.split(".") if inner else []
    for count in range(1, len(parts) + 1):
        yield dots + ".".join(parts[:count])
