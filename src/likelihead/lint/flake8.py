"""The linter as a plugin of flake8, which finds it by its entry point.

flake8 hands over one file at a time: reported is what follows from that file and what it imports, and lies in
it. ``likelihead lint`` on a whole project also sees which other files call it, and with what. flake8's own
``select``, ``ignore`` and ``noqa`` hold beside ``[tool.likelihead.lint]`` and ``# likelihead: ignore``.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from likelihead.lint.formats import message_of
from likelihead.lint.run import lint_paths
from likelihead.lint.settings import Configuration
from likelihead.lint.source import read_text
from likelihead.lint.workers import Analyser

__all__ = ["Plugin"]

_STREAMS = ("-", "stdin", "(none)")


class Plugin:
    """What flake8 calls for each file, with the arguments that it knows by their names."""

    name: ClassVar[str] = "likelihead"
    version: ClassVar[str] = version("likelihead")
    # Kept from one file to the next: they import the same ones.
    _analyser: ClassVar[Analyser] = Analyser()
    _configuration: ClassVar[Configuration] = Configuration()

    def __init__(self, tree: ast.AST, filename: str, lines: list[str]) -> None:
        # flake8 takes a class for one that checks trees by the name of its first argument.
        del tree
        self._path = Path(os.path.abspath("stdin.py" if filename in _STREAMS else filename))
        self._text = "".join(lines)

    def run(self) -> Iterator[tuple[int, int, str, type[Plugin]]]:
        """Line, column from 0, text and class of each finding."""
        on_disk = read_text(self._path)
        if getattr(on_disk, "text", None) == self._text:
            result = lint_paths([self._path], settings=self._configuration, analyser=self._analyser)
        else:  # an editor's unsaved buffer
            overlay = {self._path: self._text.encode()}
            result = lint_paths([self._path], settings=self._configuration, overlay=overlay)
        for finding in result.findings:
            place = finding.place
            yield place.line, place.column - 1, f"{finding.code} {message_of(finding)}", type(self)
