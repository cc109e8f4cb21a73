"""Paths and foreign text as a terminal shows them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["printable", "shown"]


def shown(path: str) -> str:
    """A path as it is shown: relative to the working folder where it lies in that."""
    try:
        relative = os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path
    except FileNotFoundError:  # the working folder has been removed
        relative = path
    return Path(relative).as_posix()


def printable(text: str) -> str:
    r"""A text in one line, without what a terminal would obey or could not show.

    >>> printable("two\nlines.py")
    'two\\nlines.py'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
