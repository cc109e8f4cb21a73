"""A file of source: its text and its syntax tree, or the reason why there is none."""

from __future__ import annotations

import ast
import hashlib
import re
import tokenize
import warnings
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

from likelihead.lint.findings import Problem

__all__ = ["Source", "read"]

_LINE_ENDS = re.compile(r"\r\n|\r|\n")

# In small letters: losses and what is done with them, predictions, and entry points.
_TELLING = (
    *(
        "loss",
        "criterion",
        "nll",
        "entropy",
        "bce",
        "dice",
        "jaccard",
        "tversky",
        "iou",
        "perplex",
        "ppl",
        "objective",
    ),
    *("backward", "all_reduce", "log(", "exp(", "argmax", ".max(", "topk(", "2 **", "2**", "pow("),
    *(
        "> 0.5",
        ">0.5",
        ">= 0.5",
        ">=0.5",
        "> .5",
        ".round(",
        "compile(",
        "train(",
        "train_",
        "trainer",
        "fit(",
        "main(",
    ),
)


@dataclass(eq=False)
class Source:
    """A file that was read.

    Attributes:
        path: of the file.
        text: what Python sees of it; of a notebook the code of all cells, one after the other.
        tree: its syntax tree.
        digest: of its bytes.
    """

    path: Path
    text: str
    tree: ast.Module
    digest: str

    @cached_property
    def lines(self) -> list[str]:
        """Its lines, as the syntax tree counts them."""
        return _LINE_ENDS.split(self.text)

    @cached_property
    def _telling_lines(self) -> list[int]:
        starts = [0, *(end.end() for end in _LINE_ENDS.finditer(self.text))]
        text = self.text.lower()
        found: set[int] = set()
        for word in _TELLING:
            at = text.find(word)
            while at >= 0:
                line = bisect_right(starts, at)
                found.add(line)
                at = text.find(word, starts[line]) if line < len(starts) else -1
        return sorted(found)

    def is_telling(self, node: ast.AST) -> bool:
        """Whether a function or class holds a word without which there is nothing to find in it."""
        start: int = getattr(node, "lineno", 1)
        last: int = getattr(node, "end_lineno", start)
        first = bisect_left(self._telling_lines, start)
        return first < len(self._telling_lines) and self._telling_lines[first] <= last


def read(path: Path) -> Source | Problem:
    """Read and parse a file; whatever stands in the way is a `Problem`, never an exception."""
    try:
        data = path.read_bytes()
        encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
        text = data.decode(encoding)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes in other people's strings
            tree = ast.parse(text, str(path))
    except OSError as error:
        return Problem(str(path), error.strerror or str(error))
    except SyntaxError as error:
        return Problem(str(path), f"not Python 3: {error.msg}", error.lineno or 0)
    except (UnicodeDecodeError, LookupError, ValueError, RecursionError, MemoryError) as error:
        return Problem(str(path), f"cannot be read as Python: {error}")
    return Source(path, text, tree, hashlib.sha256(data).hexdigest())
