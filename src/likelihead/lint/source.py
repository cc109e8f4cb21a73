"""A file of source: its text and its syntax tree, or the reason why there is none."""

from __future__ import annotations

import ast
import hashlib
import re
import tokenize
import warnings
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path

from likelihead.lint.findings import Place, Problem
from likelihead.lint.notebooks import NOTEBOOK, NotebookError, read_notebook

__all__ = ["Source", "Text", "digest_of", "read", "read_text"]


@dataclass(frozen=True)
class Text:
    """The Python that a file holds.

    Attributes:
        path: of the file.
        text: what Python sees of it; of a notebook the code of all cells, one after the other.
        encoding: that the bytes are in.
        cells: of a notebook the first line of each cell of code in `text`, and the cell's number.
    """

    path: Path
    text: str
    encoding: str = "utf-8"
    cells: tuple[tuple[int, int], ...] = ()

    @property
    def lines(self) -> list[str]:
        """The lines as Python counts them: a form feed or a Unicode separator ends none."""
        return self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    def in_cells(self, line: int) -> tuple[int, int]:
        """The cell that holds a line of `text`, and its line there; (0, line) in a file of Python."""
        if not self.cells:
            return 0, line
        first, number = self.cells[max(0, bisect_right(self.cells, (line, 1 << 60)) - 1)]
        return number, line - first + 1

    def place_in_cells(self, place: Place) -> Place:
        """A place of `text` as its reader finds it: in a notebook by cell."""
        if not self.cells:
            return place
        cell, line = self.in_cells(place.line)
        return replace(place, cell=cell, line=line, end_line=line + place.end_line - place.line)


_WORDS_OF_PEOPLE = re.compile(r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|#[^\n]*')

# In small letters: losses and what is done with them, predictions, and entry points.
_TELLING = (
    "loss", "criterion", "nll", "entropy", "bce", "dice", "jaccard", "tversky", "iou", "perplex", "ppl",
    "objective", "backward", "all_reduce", "log(", "exp(", "argmax", ".max(", "amax(", "topk(", "2 **",
    "2**", "pow(", "> 0.5", ">0.5", ">= 0.5", ">=0.5", "> .5", "< 0.5", "<= 0.5", "0.5 <", "threshold",
    ".gt(", ".ge(", "softmax(", "sigmoid(", ".round(", "compile(", "train(", "train_model", "train_one",
    "train_epoch", "train_step", "train_loop", "def train", "trainer(", "fit(", "main(", "__main__",
    "neuralnet", "learner(", "create_model(", "from_pretrained(",
)  # fmt: skip

# Other words that hold one of these: indices, previous, apply.
_OTHERS = {"dice": "indice", "iou": "ious", "ppl": "pply"}

# Networks, losses and what goes into them, on their way.
_MAKING = (
    "softmax", "sigmoid", "nn.", "linear", "model", "logit", "prob", "activation", "forward", "head",
    "target", "label", "loader", "dataset", "module", "onehot", "one_hot",
)  # fmt: skip
# Functions of fewer lines are always gone into: they hold the constants of a configuration.
SMALL = 12


@dataclass(eq=False)
class Source:
    """A file that was read.

    Attributes:
        path: of the file.
        text: what Python sees of it; of a notebook the code of all cells, one after the other.
        tree: its syntax tree.
        digest: of its bytes.
        lines: of the text.
    """

    path: Path
    text: str
    tree: ast.Module
    digest: str
    lines: list[str] = field(default_factory=list)

    def is_telling(self, node: ast.AST) -> bool:
        """Whether a function or class holds a word without which there is nothing to find in it."""
        return _has_line(self._telling_lines, node)

    def tells(self) -> bool:
        """Whether there is anything to find in the file, or by running it as a program."""
        return bool(self._telling_lines) or any(map(_acts, self.tree.body))

    def matters(self, node: ast.AST) -> bool:
        """Whether a function may make or take what is looked for, as no plot, download or parser does."""
        return (
            _height(node) < SMALL
            or _has_line(self._telling_lines, node)
            or _has_line(self._making_lines, node)
            or _hands_back(node)
        )

    @cached_property
    def bound_names(self) -> frozenset[str]:
        """The names that the file sets somewhere, but for parameters; ``*`` of an import that brings any."""
        names = {
            one.id
            for one in ast.walk(self.tree)
            if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)
        }
        for one in ast.walk(self.tree):
            if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.add(one.name)
            elif isinstance(one, (ast.Import, ast.ImportFrom)):
                names |= {alias.asname or alias.name.partition(".")[0] for alias in one.names}
        return frozenset(names)

    @cached_property
    def _telling_lines(self) -> list[int]:
        return self._lines_with(_TELLING)

    @cached_property
    def _making_lines(self) -> list[int]:
        return self._lines_with(_MAKING)

    @cached_property
    def _code(self) -> tuple[str, list[int]]:
        """The code in small letters, without comments and docstrings, and where each line starts."""
        text = _WORDS_OF_PEOPLE.sub(_line_ends, "\n".join(self.lines)).lower()
        return text, [0, *(end.end() for end in re.finditer("\n", text))]

    def _lines_with(self, words: tuple[str, ...]) -> list[int]:
        text, starts = self._code
        found: set[int] = set()
        for word in words:
            other = _OTHERS.get(word)
            at = text.find(word)
            while at >= 0:
                line = bisect_right(starts, at)
                if other is not None and other in text[max(0, at - 2) : at + 4]:
                    at = text.find(word, at + 1)
                    continue
                found.add(line)
                at = text.find(word, starts[line]) if line < len(starts) else -1
        return sorted(found)


def digest_of(data: bytes) -> str:
    """What stands for the bytes of a file."""
    return hashlib.sha256(data).hexdigest()


def read_text(path: Path, data: bytes | None = None) -> Text | Problem:
    """Read a file, or take `data` for its bytes; whatever stands in the way is a `Problem`."""
    try:
        if data is None:
            data = path.read_bytes()
        if path.suffix == NOTEBOOK:
            text, cells = read_notebook(data)
            return Text(path, text, cells=cells)
        encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
        return Text(path, data.decode(encoding), encoding)
    except OSError as error:
        return Problem(str(path), _reason(error))
    except NotebookError as error:
        return Problem(str(path), str(error))
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        return Problem(str(path), f"cannot be decoded: {' '.join(str(error).split())}")


def read(path: Path, data: bytes | None = None) -> Source | Problem:
    """Read and parse a file; whatever stands in the way is a `Problem`, never an exception."""
    try:
        if data is None:
            data = path.read_bytes()
    except OSError as error:
        return Problem(str(path), _reason(error))
    text = read_text(path, data)
    if isinstance(text, Problem):
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes in other people's strings
            tree = ast.parse(text.text, str(path))
    except SyntaxError as error:
        cell, line = text.in_cells(error.lineno or 0)
        where = f"cell {cell}, line {line}: " if cell else ""
        return Problem(str(path), f"{where}not Python 3: {error.msg}", 0 if cell else line)
    except (RecursionError, MemoryError):  # of the syntax tree, of the parser's stack
        return Problem(str(path), "its expressions are nested too deeply to be parsed")
    except ValueError as error:  # a null byte
        return Problem(str(path), f"not Python 3: {error}")
    return Source(path, text.text, tree, digest_of(data), text.lines)


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _line_ends(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _height(node: ast.AST) -> int:
    start: int = getattr(node, "lineno", 1)
    end: int = getattr(node, "end_lineno", start)
    return end - start + 1


def _hands_back(node: ast.AST) -> bool:
    """Whether a function, short but for its docstring, ends with the return of what it is given."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    first, last = node.body[0], node.body[-1]
    if not isinstance(last, ast.Return) or not isinstance(last.value, ast.Name):
        return False
    name = last.value.id
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and _height(node) - _height(first) < SMALL
        and any(one.arg == name for one in (*node.args.posonlyargs, *node.args.args))
    )


def _has_line(lines: list[int], node: ast.AST) -> bool:
    start: int = getattr(node, "lineno", 1)
    last: int = getattr(node, "end_lineno", start)
    first = bisect_left(lines, start)
    return first < len(lines) and lines[first] <= last


def _acts(statement: ast.stmt) -> bool:
    """Whether a statement of a module does more than to define and import."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call)
    return isinstance(statement, (ast.For, ast.While, ast.With, ast.If))
