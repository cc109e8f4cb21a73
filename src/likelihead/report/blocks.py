"""What a section of a report is made of: plain data, without markup.

All text is a reader's text and is escaped by the template; the only markup that a block carries is an SVG of
:mod:`likelihead.report.svg`.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from likelihead.errors import DomainError, OptionError, ShapeError
from likelihead.report.text import amount, number, percent, visible

__all__ = [
    "Bars",
    "Block",
    "Callout",
    "Figure",
    "Finding",
    "Grid",
    "Images",
    "Legend",
    "Lines",
    "Matrix",
    "Picture",
    "Row",
    "Table",
    "Text",
    "Tokens",
]

Cell: TypeAlias = "str | int | float | None"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Lines:
    """A list of short lines."""

    lines: Sequence[str]
    kind: ClassVar[str] = "lines"


@dataclass(frozen=True)
class Callout:
    """What a reader must know before the figures: a warning with its lines."""

    title: str
    text: str = ""
    lines: Sequence[str] = ()
    kind: ClassVar[str] = "callout"


@dataclass(frozen=True)
class Finding:
    """A hazard that was met: what it is, where, what was seen, and what to do.

    Attributes:
        title: its code and its name.
        line: how bad, how often.
        text: what was seen, in paragraphs.
        sources: (where, the line of code there) of the places that it is about.
        remedy: what to do.
        severe: whether it is certainly wrong.
    """

    title: str
    line: str
    text: Sequence[str] = ()
    sources: Sequence[tuple[str, str]] = ()
    remedy: str = ""
    severe: bool = False
    kind: ClassVar[str] = "finding"


@dataclass(frozen=True)
class Figure:
    """An inline SVG, which carries its own description, and a caption under it."""

    svg: str
    caption: str
    kind: ClassVar[str] = "figure"

    def __post_init__(self) -> None:
        if not self.svg.startswith("<svg"):
            raise OptionError(
                f"svg starts with {self.svg[:12]!r}; expected an <svg> element, as to_svg gives it"
            )


@dataclass(frozen=True)
class Table:
    """Headings and rows of cells.

    Attributes:
        columns: the headings.
        rows: cells: text as it is to be shown, or a number, which is rounded; None is a dash.
        figures: the columns set flush right; None takes those that hold nothing but numbers.
        note: a line below the table.
        wrong: cells (row, column) that are mistakes.
        best: cells (row, column) that are the best of their kind.
        label: what a screen reader calls the table.
        title: a heading above the table.
        keys: whether the first column names the rows, as the keys of a configuration do; other cells of text
            are then broken over lines.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    figures: Collection[int] | None = None
    note: str = ""
    wrong: Collection[tuple[int, int]] = ()
    best: Collection[tuple[int, int]] = ()
    label: str = ""
    title: str = ""
    keys: bool = False
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        for i, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ShapeError(
                    f"rows[{i}] has {len(row)} cells for {len(self.columns)} columns; give one each"
                )

    @property
    def right(self) -> frozenset[int]:
        """The columns that are set flush right."""
        if self.figures is not None:
            return frozenset(self.figures)
        return frozenset(
            c
            for c in range(len(self.columns))
            if self.rows and all(row[c] is None or not isinstance(row[c], str) for row in self.rows)
        )

    @property
    def shown(self) -> list[list[str]]:
        """The cells as text."""
        return [[cell if isinstance(cell, str) else number(cell) for cell in row] for row in self.rows]


def _shown(count: float) -> int | str:
    """0 stays a number, which the template sets apart."""
    return int(count) if isinstance(count, int) or not count else amount(count)


@dataclass(frozen=True)
class Matrix:
    """Counts by true class (down) and predicted class (across), coloured by their share of the row.

    Attributes:
        counts: a row of counts for each of ``names``.
        names: of the rows.
        says: of the columns; the same without it.
        title: a heading above the matrix.
        label: what a screen reader calls it.
    """

    counts: Sequence[Sequence[float]]
    names: Sequence[str]
    says: Sequence[str] = ()
    title: str = ""
    label: str = "Confusion matrix"
    kind: ClassVar[str] = "matrix"

    def __post_init__(self) -> None:
        n = len(self.names)
        if len(self.counts) != n or any(len(row) != n for row in self.counts):
            raise ShapeError(
                f"counts is not {n} by {n}, but names has {n} entries; give a row and a column each"
            )

    @property
    def cells(self) -> list[list[tuple[int | str, str]]]:
        """Each count with its share of the row's sum; sums of weights with four digits."""
        return [[(_shown(n), f"{n / (sum(row) or 1):.2f}") for n in row] for row in self.counts]

    @property
    def style(self) -> str:
        """How much room the cells and the names take."""
        width = max((len(name) for name in self.names), default=0)
        shape = " few" if len(self.names) <= 4 else " many" if width > 3 else ""
        return shape + (" dense" if len(self.names) > 10 else "")


@dataclass(frozen=True)
class Bars:
    """A bar for each name and series; names are set as text, in any script and at any length.

    Attributes:
        names: of the classes, labels or runs.
        series: values of at least 0 by the series' name, one for each of ``names``; NaN leaves a dash.
        maximum: the value of a full bar; None takes the largest.
        share: the values are shares of 1 and are shown as percentages.
        caption: a line below the bars.
        colours: of the series, names of :data:`likelihead.report.svg.COLOURS`.
    """

    names: Sequence[str]
    series: Mapping[str, Sequence[float]]
    maximum: float | None = None
    share: bool = False
    caption: str = ""
    colours: Sequence[str] = ("accent", "second", "third")
    kind: ClassVar[str] = "bars"

    def __post_init__(self) -> None:
        if len(self.series) > len(self.colours):
            raise OptionError(
                f"series has {len(self.series)} entries for {len(self.colours)} colours; give one each"
            )
        for name, values in self.series.items():
            if len(values) != len(self.names):
                raise ShapeError(f"series {name!r} has {len(values)} values for {len(self.names)} names")
            if any(value < 0 for value in values):
                raise DomainError(f"series {name!r} holds {min(values)}; a bar shows a value of at least 0")

    @property
    def rows(self) -> list[tuple[str, list[tuple[str, str, str]]]]:
        """Each name with (width in percent, value as text, colour) of its bars."""
        finite = [v for values in self.series.values() for v in values if math.isfinite(v)]
        full = max(finite, default=1.0) if self.maximum is None else self.maximum
        full = 1.0 if self.share and self.maximum is None else full or 1.0
        rows = []
        for i, name in enumerate(self.names):
            bars = []
            for values, colour in zip(self.series.values(), self.colours, strict=False):
                value = values[i]
                width = min(value / full, 1.0) if math.isfinite(value) else float(value == math.inf)
                shown = percent(value) if self.share else number(value)
                bars.append((f"{100 * width:.2f}", shown, colour))
            rows.append((name, bars))
        return rows


@dataclass(frozen=True)
class Legend:
    """Which colour is what.

    Attributes:
        items: (name, colour): a CSS colour as ``#rrggbb``, or a name of
            :data:`likelihead.report.svg.COLOURS`, which follows the reader's light or dark page.
    """

    items: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "legend"

    @property
    def shown(self) -> list[tuple[str, str]]:
        """(name, CSS colour) of each item."""
        return [
            (name, colour if colour.startswith("#") else f"var(--{colour})") for name, colour in self.items
        ]


@dataclass(frozen=True)
class Picture:
    """A PNG with its caption; ``alt`` describes it where the caption does not."""

    png: bytes
    caption: str = ""
    alt: str = ""

    def __post_init__(self) -> None:
        if self.png[:8] != b"\x89PNG\r\n\x1a\n" or len(self.png) < 33:
            raise OptionError(
                f"png starts with {self.png[:8]!r}; expected the bytes of a PNG, as png_of gives"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width, height = struct.unpack(">II", self.png[16:24])
        return int(width), int(height)

    @property
    def source(self) -> str:
        """The picture as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


@dataclass(frozen=True)
class Images:
    """A gallery of pictures, as many in a line as there is room for.

    Attributes:
        items: the pictures.
        per_line: groups of so many stay together in a line where there is room (image, mask, prediction);
            0 fills each line.
        smooth: whether enlarged pictures are smoothed, as photographs are; masks keep their pixels.
    """

    items: Sequence[Picture]
    per_line: int = 0
    smooth: bool = False
    kind: ClassVar[str] = "images"


@dataclass(frozen=True)
class Tokens:
    """A text whose tokens are coloured by their NLL: the stronger, the less the model expected them.

    Attributes:
        tokens: (text, NLL in nats) in reading order; NaN leaves a token without a colour.
        full: the NLL of the strongest colour.
        title: a heading above the text: which document, where in it.
        caption: a line below it.
    """

    tokens: Sequence[tuple[str, float]]
    full: float = 8.0
    title: str = ""
    caption: str = ""
    kind: ClassVar[str] = "tokens"

    def __post_init__(self) -> None:
        if not self.full > 0:
            raise OptionError(f"full is {self.full}; expected a positive NLL in nats")

    @property
    def spans(self) -> list[tuple[str, str, str]]:
        """(text, strength in [0, 1], NLL as text) of each token."""
        return [
            (
                visible(text),
                f"{min(max(nll / self.full, 0.0), 1.0):.2f}" if nll == nll else "0",
                number(nll, 3),
            )
            for text, nll in self.tokens
        ]


@dataclass(frozen=True)
class Row:
    """Two blocks a line where there is room, one under the other on a telephone."""

    blocks: Sequence[Block]
    title: str = ""
    kind: ClassVar[str] = "row"


@dataclass(frozen=True)
class Grid:
    """Small blocks, as many in a line as there is room for."""

    blocks: Sequence[Block]
    kind: ClassVar[str] = "grid"


Block: TypeAlias = (
    "Text | Lines | Callout | Finding | Figure | Table | Matrix | Bars | Legend | Images | Tokens | "
    "Row | Grid"
)
