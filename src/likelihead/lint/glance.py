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

# What every file that uses torch or Keras holds somewhere; and a snippet that leaves out its imports.
_MARKS = (
    b"torch", b"keras", b"EntropyLoss", b"NLLLoss", b"BCELoss", b"WithLogitsLoss", b"F.cross_entropy",
    b"nll_loss", b"F.binary_cross_entropy", b"F.softmax", b"nn.Softmax", b"nn.Module", b"nn.Sequential",
    b"NeuralNetClassifier",
)  # fmt: skip
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
        marked: whether it names torch, keras, or something of theirs that is called the same everywhere.
        imports: the names that it may import, with their dots.
        problem: why it cannot be read.
    """

    digest: str
    marked: bool = False
    imports: tuple[str, ...] = ()
    problem: Problem | None = None


@dataclass(frozen=True)
class _Knot:
    """Files that import each other, round and round; most often one alone.

    Attributes:
        key: stands for the names and bytes of its files and of all that they reach.
        concerned: whether one of these is marked.
        beyond: the knots that its files import directly.
    """

    key: str
    concerned: bool
    beyond: frozenset[int]


class Glances:
    """Files, each glanced at once, and what they reach by their imports.

    Args:
        project: says which file an import means.
        overlay: bytes that stand for those of a file on the disk.
    """

    def __init__(self, project: Project, overlay: Mapping[Path, bytes]) -> None:
        self._project, self._overlay = project, overlay
        self._glances: dict[Path, Glance] = {}
        self._knots: list[_Knot] = []
        self._knot_of: dict[Path, int] = {}

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

    def concerned(self, path: Path) -> bool:
        """Whether the file, or one that it imports by however many steps, is marked."""
        return self.at(path).marked or self._knot(path).concerned

    def key(self, path: Path, more: Iterable[Path] = ()) -> str:
        """What stands for the names and bytes of all files that a file and those of `more` reach."""
        keys = sorted(self._knot(one).key for one in more)
        return digest_of(" ".join([self._knot(path).key, *keys]).encode())

    def unreached(self, path: Path, others: Iterable[Path]) -> list[Path]:
        """Those of the other files that the file does not reach by its imports."""
        self._knot(path)
        seen = {self._knot_of[path]}
        waiting = list(seen)
        while waiting:
            new = self._knots[waiting.pop()].beyond - seen
            seen |= new
            waiting += new
        return sorted(other for other in set(others) if self._knot_of.get(other) not in seen)

    def _knot(self, path: Path) -> _Knot:
        if path not in self._knot_of:
            self._explore(path)
        return self._knots[self._knot_of[path]]

    def _next(self, path: Path) -> list[Path]:
        names, folder = self.at(path).imports, path.parent
        found = [one for name in names for one in self._project.candidates(folder, name)]
        return list(dict.fromkeys(found))

    def _explore(self, root: Path) -> None:
        """Tie what the file reaches into knots: the strongly connected components, by Tarjan's algorithm.

        In time linear in files and imports, where a set of files for each file would be quadratic.
        """
        following: dict[Path, list[Path]] = {root: self._next(root)}
        order: dict[Path, int] = {root: 0}
        low: dict[Path, int] = {root: 0}
        open_files = [root]  # of no knot yet, in the order in which they were met
        way = [(root, iter(following[root]))]
        while way:
            path, rest = way[-1]
            for one in rest:
                if one in self._knot_of:
                    continue
                if one not in order:
                    order[one] = low[one] = len(order)
                    open_files.append(one)
                    following[one] = self._next(one)
                    way.append((one, iter(following[one])))
                    break
                low[path] = min(low[path], order[one])
            else:
                way.pop()
                if way:
                    low[way[-1][0]] = min(low[way[-1][0]], low[path])
                if low[path] == order[path]:
                    tied = [open_files.pop()]
                    while tied[-1] != path:
                        tied.append(open_files.pop())
                    self._tie(tied, following)

    def _tie(self, files: list[Path], following: Mapping[Path, list[Path]]) -> None:
        self._knot_of.update(dict.fromkeys(files, len(self._knots)))
        numbers = {self._knot_of[one] for path in files for one in following[path]}
        beyond = frozenset(numbers - {len(self._knots)})
        lines = sorted(f"{path} {self.at(path).digest}" for path in files)
        lines += sorted(self._knots[number].key for number in beyond)
        self._knots.append(
            _Knot(
                digest_of("\n".join(lines).encode(errors="surrogateescape")),
                any(self.at(path).marked for path in files)
                or any(self._knots[number].concerned for number in beyond),
                beyond,
            )
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
