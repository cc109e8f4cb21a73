"""A file of source: its text and its syntax tree, or the reason why there is none."""

from __future__ import annotations

import ast
import hashlib
import tokenize
import warnings
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from likelihead.lint.findings import Problem

__all__ = ["Source", "read"]


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
    lines: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.text.splitlines()


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
