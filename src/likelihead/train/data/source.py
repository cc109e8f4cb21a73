"""Where rows come from: what every reader offers, whatever the format."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

from likelihead.errors import DataError

__all__ = ["Source", "nearest", "raw_rows"]


class Source(Protocol):
    """A table that is read from its beginning, batch by batch, as often as wanted."""

    @property
    def path(self) -> str:
        """What messages call it."""

    @property
    def names(self) -> Sequence[str]:
        """The columns' names."""

    @property
    def default_target(self) -> str | None:
        """The target, where the source itself knows it."""

    def batches(self, columns: Collection[str] | None = None) -> Iterator[Any]:
        """Record batches of the named columns (None: all of them), in the file's order."""


def nearest(name: str, names: Iterable[str]) -> str:
    """A remedy that names the nearest of ``names``, or all of them where none is near.

    >>> nearest("specis", ["species", "width"])
    "did you mean 'species'?"
    """
    known = list(names)
    folded = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
    if close:
        return f"did you mean {folded[close[0]]!r}?"
    shown = ", ".join(map(repr, known[:12])) + (", ..." if len(known) > 12 else "")
    return f"the columns are {shown}"


def raw_rows(source: Source, rows: Iterable[int]) -> dict[int, dict[str, str]]:
    """The cells of some rows as they stand in the file, in one pass.

    Raises:
        DataError: a row number that the file does not have.
    """
    wanted = sorted(set(rows))
    found: dict[int, dict[str, str]] = {}
    if not wanted:
        return found
    if wanted[0] < 1:
        raise DataError("rows count from 1", path=source.path, row=wanted[0])
    first, position = 1, 0
    for batch in source.batches():
        end = first + batch.num_rows
        while position < len(wanted) and wanted[position] < end:
            row = wanted[position]
            cells = batch.slice(row - first, 1).to_pylist()[0]
            found[row] = {name: "" if cell is None else str(cell) for name, cell in cells.items()}
            position += 1
        if position == len(wanted):
            return found
        first = end
    raise DataError(
        f"the file has only {first - 1} rows: ask for a row number within it",
        path=source.path,
        row=wanted[position],
    )
