"""Where rows come from: what every reader offers, whatever the format."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

from likelihead.errors import DataError
from likelihead.train.table.data.hashing import Ints

__all__ = ["Source", "check_names", "near", "nearest", "raw_rows", "row_number", "short"]


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


def short(text: str) -> str:
    """A cell's text in quotes as a message shows it: a long one is cut.

    >>> short("setosa"), len(short("x" * 1000))
    ("'setosa'", 62)
    """
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def row_number(first: int | Ints, position: int) -> int:
    """The number of a row in its file.

    Args:
        first: of the batch's first row; or of each of its rows, where some were left out.
        position: of the row in the batch.
    """
    return first + position if isinstance(first, int) else int(first[position])


def near(name: str, names: Iterable[str]) -> str | None:
    """The nearest of ``names``, if one is near.

    >>> near("specis", ["species", "width"])
    'species'
    """
    folded = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def nearest(name: str, names: Iterable[str], what: str = "the columns are") -> str:
    """A remedy that names the nearest of ``names``, or several of them where none is near.

    >>> nearest("specis", ["species", "width"])
    "did you mean 'species'?"
    """
    known = list(names)
    close = near(name, known)
    if close is not None:
        return f"did you mean {close!r}?"
    return f"{what} {', '.join(map(repr, known[:12]))}" + (", ..." if len(known) > 12 else "")


def check_names(path: str, names: Sequence[str]) -> None:
    """Refuse a table without columns, or with two of one name.

    Raises:
        DataError: names the first repeated column.
    """
    if not names:
        raise DataError("the file has no columns", path=path)
    seen: set[str] = set()
    for place, name in enumerate(names, 1):
        if name in seen:
            raise DataError(
                f"two columns have this name (the second is column {place}): rename one",
                path=path,
                column=name,
            )
        seen.add(name)


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
