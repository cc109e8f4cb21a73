"""Notebooks: the Python of their cells, without what only IPython understands."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

__all__ = ["NOTEBOOK", "NotebookError", "read_notebook"]

NOTEBOOK = ".ipynb"

# Magics of a whole cell whose other lines are Python that runs here.
_PYTHON_CELLS = {"capture", "prun", "python", "python3", "time", "timeit"}
_ASSIGNED = re.compile(r"(?P<target>\s*[\w.,\s()\[\]*]+?=\s*)[!%][^=]")
_ASKED = re.compile(r"[%\w.*\[\]]+\?{1,2}")
# Magics that IPython takes without their percent sign, as far as no Python begins in this way.
_BARE = re.compile(r"(?:pip3?|conda|mamba|cd|ls|ll|mkdir|rmdir|rm|cp|mv|cat|git)\s+[-\w./~]|pwd$")
_OPENING, _CLOSING = "([{", ")]}"


class NotebookError(ValueError):
    """A file that is called a notebook and is none; its message is one line."""


def read_notebook(data: bytes) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The Python of all cells, and the first line and the number of each cell of code.

    Cells count from 1, those of text among them, as notebooks number them. A notebook in another language
    than Python is empty.

    Raises:
        NotebookError: it is no notebook of format 4.
    """
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise NotebookError(f"not a notebook: its JSON cannot be read: {error}") from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise NotebookError(
            "not a notebook of format 4: it has no list of cells; "
            "`jupyter nbconvert --to notebook --inplace` converts older ones"
        )
    if _language(notebook) not in ("", "python"):
        return "", ()
    parts: list[str] = []
    cells: list[tuple[int, int]] = []
    line = 1
    for number, cell in enumerate(notebook["cells"], start=1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        code = "\n".join(_python(_lines(cell.get("source"), number))) + "\n"
        parts.append(code)
        cells.append((line, number))
        line += code.count("\n")
    return "".join(parts), tuple(cells)


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata")
    for section, key in (("kernelspec", "language"), ("language_info", "name")):
        found = metadata.get(section) if isinstance(metadata, dict) else None
        if isinstance(found, dict) and isinstance(found.get(key), str):
            return str(found[key]).lower()
    return ""


def _lines(source: Any, number: int) -> list[str]:
    if isinstance(source, list) and all(isinstance(part, str) for part in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise NotebookError(f"not a notebook: the source of cell {number} is no text")
    return source.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _python(lines: list[str]) -> list[str]:
    """The lines with magics taken out, one for one."""
    first = next((index for index, line in enumerate(lines) if line.strip()), None)
    if first is not None and lines[first].startswith("%%"):
        name = lines[first][2:].split(maxsplit=1)
        if not name or name[0] not in _PYTHON_CELLS:
            return [""] * len(lines)
        lines = [*lines[:first], "", *lines[first + 1 :]]
    if _parses("\n".join(lines)):
        return lines
    return _without_magics(lines)


def _parses(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _without_magics(lines: list[str]) -> list[str]:
    kept: list[str] = []
    within = _Within()
    magic = False  # whether the line before was one, and goes on here
    for line in lines:
        if magic:
            kept.append("")
        elif within.statement or (plain := _plain(line)) is None:
            kept.append(line)
            within.pass_over(line)
            continue
        else:
            kept.append(plain)
        magic = line.rstrip().endswith("\\")
    return kept


def _plain(line: str) -> str | None:
    """What stands in the place of a line that begins a statement of IPython's; None if it does not."""
    text = line.strip()
    indent = line[: len(line) - len(line.lstrip())]
    if text.startswith(("%", "!", "?")) or _ASKED.fullmatch(text) or _BARE.match(text):
        return indent + "pass"
    if assigned := _ASSIGNED.match(line):
        return assigned["target"] + "None"
    return None


class _Within:
    """Whether the next line continues a statement, told by brackets, strings and backslashes."""

    def __init__(self) -> None:
        self._depth = 0
        self._quote = ""
        self._continued = False

    @property
    def statement(self) -> bool:
        return bool(self._depth > 0 or self._quote or self._continued)

    def pass_over(self, line: str) -> None:
        at = 0
        self._continued = False
        while at < len(line):
            character = line[at]
            if self._quote:
                if character == "\\":
                    at += 1
                elif line.startswith(self._quote, at):
                    at += len(self._quote) - 1
                    self._quote = ""
            elif character == "#":
                break
            elif character in "\"'":
                triple = character * 3
                self._quote = triple if line.startswith(triple, at) else character
                at += len(self._quote) - 1
            elif character in _OPENING:
                self._depth += 1
            elif character in _CLOSING:
                self._depth = max(0, self._depth - 1)
            elif character == "\\" and at == len(line) - 1:
                self._continued = True
            at += 1
        if len(self._quote) == 1 and not line.endswith("\\"):
            self._quote = ""  # a string that was not closed ends with its line
