"""Reading a correct script, and edits of it that move no line.

An injector looks for places in the syntax tree and edits the source text there. An edit keeps the number of
lines, so a line of the correct script is the same line of the mutant.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SCRIPTS = Path(__file__).parent / "scripts"
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


class Source:
    """A file: its text, its tree, and for each node where it lies and what holds it."""

    def __init__(self, path: str, text: str) -> None:
        if not text.isascii():  # columns of ast count bytes
            raise ValueError(f"{path} is not ASCII.")
        self.path, self.text = path, text
        self.tree = ast.parse(text)
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.parents = {
            child: parent for parent in ast.walk(self.tree) for child in ast.iter_child_nodes(parent)
        }

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node lies in the text; before Python 3.12 that is not known inside an f-string."""
        if self.enclosing(node, ast.JoinedStr) is not None:
            raise ValueError(f"{self.path}:{node.lineno}: what may be edited stands outside of f-strings.")
        start = self.starts[node.lineno - 1] + node.col_offset
        return start, self.starts[node.end_lineno - 1] + node.end_col_offset

    def segment(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def enclosing(self, node: ast.AST, kinds: type | tuple[type, ...]) -> ast.AST | None:
        while (node := self.parents.get(node)) is not None:
            if isinstance(node, kinds):
                return node
        return None

    def names(self) -> set[str]:
        """What the file's imports bind."""
        imports = [n for n in ast.walk(self.tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        return {(alias.asname or alias.name) for node in imports for alias in node.names}


@dataclass(frozen=True)
class Edit:
    """Replace the text from start to end of a file."""

    path: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Mutant:
    """A script with one hazard in it.

    Attributes:
        script: name of the correct script.
        code: the hazard.
        how: the way in which it was injected.
        files: the whole script, edited: path to text.
        expected: path and line where the finding may stand; one of them is enough.
    """

    script: str
    code: str
    how: str
    files: dict[str, str] = field(repr=False)
    expected: frozenset[tuple[str, int]]

    def __str__(self) -> str:
        places = ", ".join(f"{path}:{line}" for path, line in sorted(self.expected))
        return f"{self.code} in {self.script} ({self.how}), expected at {places}"


class Script:
    """A correct script of one or several files."""

    def __init__(self, name: str, texts: dict[str, str]) -> None:
        self.name = name
        self.sources = [Source(path, text) for path, text in texts.items()]
        self._source = {node: source for source in self.sources for node in ast.walk(source.tree)}
        self._walked: dict[tuple[tuple[type, ...], ast.AST | None], list[ast.AST]] = {}

    def walk(self, *kinds: type, inside: ast.AST | None = None) -> list[ast.AST]:
        """Nodes of these kinds in the order of the source: of all files, or below one node."""
        if (kinds, inside) not in self._walked:
            trees = [source.tree for source in self.sources] if inside is None else [inside]
            found = [[node for node in ast.walk(tree) if isinstance(node, kinds)] for tree in trees]
            ordered = [sorted(nodes, key=lambda node: (node.lineno, node.col_offset)) for nodes in found]
            self._walked[kinds, inside] = [node for nodes in ordered for node in nodes]
        return self._walked[kinds, inside]

    def calls(self, *names: str, inside: ast.AST | None = None) -> list[ast.Call]:
        """Calls of what has one of these names, behind any prefix."""
        return [call for call in self.walk(ast.Call, inside=inside) if last(call.func) in names]

    def source(self, node: ast.AST) -> Source:
        return self._source[node]

    def segment(self, node: ast.AST) -> str:
        return self.source(node).segment(node)

    def function(self, node: ast.AST) -> ast.AST:
        """The function that holds a node, or its file's tree."""
        source = self.source(node)
        return source.enclosing(node, FUNCTION) or source.tree

    def enclosing(self, node: ast.AST, kinds: type | tuple[type, ...]) -> ast.AST | None:
        return self.source(node).enclosing(node, kinds)

    def definition(self, name: str, kinds: type | tuple[type, ...]) -> ast.AST | None:
        return next((node for node in self.walk(*_tuple(kinds)) if node.name == name), None)

    def assigned(self, target: str, inside: ast.AST | None = None) -> list[ast.expr]:
        """Values that are assigned to a name or attribute, as it is written."""
        values = []
        for node in self.walk(ast.Assign, inside=inside):
            for to in node.targets:
                if ast.unparse(to) == target:
                    values.append(node.value)
                elif isinstance(to, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = zip(to.elts, node.value.elts, strict=True)
                    values += [value for name, value in pairs if ast.unparse(name) == target]
        return values

    # ---- edits

    def replace(self, node: ast.AST, text: str) -> Edit:
        source = self.source(node)
        start, end = source.span(node)
        missing = source.text.count("\n", start, end) - text.count("\n")
        return Edit(source.path, start, end, text + "\n" * missing)  # inside brackets, where it is harmless

    def wrap(self, node: ast.AST, before: str, after: str) -> list[Edit]:
        source = self.source(node)
        start, end = source.span(node)
        return [Edit(source.path, start, start, before), Edit(source.path, end, end, after)]

    def put_after(self, node: ast.AST, text: str) -> Edit:
        return self.wrap(node, "", text)[1]

    def replace_keyword(self, call: ast.Call, name: str, text: str) -> Edit:
        """Put a text, or nothing, in the place of a keyword argument."""
        keyword = next(keyword for keyword in call.keywords if keyword.arg == name)
        edit = self.replace(keyword, text)
        if text:
            return edit
        source = self.source(call)
        before = source.text[: edit.start].rstrip()
        if before.endswith(","):  # the comma that comes before it goes with it
            between = source.text[len(before) : edit.start]
            return Edit(edit.path, len(before) - 1, edit.end, between.strip(" "))
        return edit

    def add_argument(self, call: ast.Call, text: str) -> Edit:
        """A further argument at the end of a call."""
        given = [*call.args, *call.keywords]
        if given:
            final = max(given, key=lambda node: (node.end_lineno, node.end_col_offset))
            return self.put_after(final, f", {text}")
        source = self.source(call)
        end = source.span(call)[1] - 1
        return Edit(source.path, end, end, text)

    def mutant(
        self, code: str, how: str, edits: Sequence[Edit | None], expected: Sequence[ast.AST]
    ) -> Mutant | None:
        """The edited script; None where an edit or a place is missing, so that the way does not apply."""
        if not expected or not edits or any(edit is None for edit in edits):
            return None
        files = {}
        for source in self.sources:
            text, unedited = source.text, len(source.text)
            here = [edit for edit in dict.fromkeys(edits) if edit.path == source.path]
            # From the end of the file; of two insertions at one place the later one ends up behind.
            for edit in sorted(here, key=lambda e: (e.start, e.end, here.index(e)), reverse=True):
                if edit.end > unedited:
                    raise ValueError(f"Edits of {self.name} overlap: {code}, {how}.")
                text, unedited = text[: edit.start] + edit.text + text[edit.end :], edit.start
            if text.count("\n") != source.text.count("\n"):
                raise ValueError(f"An edit of {self.name} moves lines: {code}, {how}.")
            files[source.path] = text
        places = frozenset((self.source(node).path, node.lineno) for node in expected)
        return Mutant(self.name, code, how, files, places)


def load() -> list[Script]:
    """The correct scripts; a folder is one script."""
    scripts = []
    for entry in sorted(SCRIPTS.iterdir()):
        paths = sorted(entry.rglob("*.py")) if entry.is_dir() else [entry]
        if entry.name != "__pycache__":
            texts = {str(path.relative_to(SCRIPTS)): path.read_text(encoding="utf-8") for path in paths}
            scripts.append(Script(entry.stem, texts))
    return scripts


def last(node: ast.AST) -> str:
    """The last part of a dotted name, or an empty string."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def is_method(node: ast.AST | None, *names: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names


def _tuple(kinds: type | tuple[type, ...]) -> tuple[type, ...]:
    return kinds if isinstance(kinds, tuple) else (kinds,)
