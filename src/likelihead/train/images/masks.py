"""Masks: from the values or colours of their pixels to classes, and back."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from likelihead.errors import DataError, OptionError
from likelihead.train.images.decode import Bands, bands_of
from likelihead.train.images.large import roomy
from likelihead.train.images.schema import IGNORE, Coding

__all__ = [
    "MOST_CLASSES",
    "Palette",
    "RawMask",
    "encoded",
    "mask_image",
    "mask_kind",
    "parse_ignore",
    "raw_mask",
    "read_palette",
    "shown",
]

MOST_CLASSES = 256

_INDEX_MODES = ("1", "L", "P", "I;16", "I;16B", "I;16L", "I")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class RawMask:
    """A mask as its file has it.

    Attributes:
        file: its pixels.
        kind: whether they are values or colours.
        ignore: the value or ``#rrggbb`` of pixels that are not labelled; empty for none.
    """

    file: Bands
    kind: Literal["index", "colour"]
    ignore: str

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.file.size

    @property
    def palette(self) -> tuple[int, ...]:
        """The file's own, as red, green and blue of each index; empty where it has none."""
        return self.file.palette

    def bands(self) -> Iterator[tuple[slice, NDArray[np.int64]]]:
        """Rows, and their values, or colours as ``0xrrggbb``; -1 where a pixel is not labelled."""
        for rows, band in self.file:
            by_colour = self.kind == "colour" or self.ignore.startswith("#")
            colours = _colours(band) if by_colour else None
            values = np.asarray(band).astype(np.int64) if band.mode in _INDEX_MODES else None
            codes = colours if self.kind == "colour" else values
            if codes is None:  # `raw_mask` has seen to it
                raise DataError("holds neither values nor colours")
            codes = codes.copy()
            if self.ignore.startswith("#") and colours is not None:
                codes[colours == int(self.ignore[1:], 16)] = -1
            elif self.ignore and values is not None:
                codes[values == int(self.ignore)] = -1
            yield rows, codes


@dataclass(frozen=True)
class Palette:
    """The classes that a ``palette.csv`` names, by value or colour."""

    kind: Literal["index", "colour"]
    names: tuple[str, ...]
    codes: tuple[int, ...]
    path: str


def parse_ignore(text: str) -> str:
    """``--ignore-colour`` in one way of writing: ``#rrggbb`` or a whole number.

    Raises:
        OptionError: it is neither.

    >>> parse_ignore("#FF00FF"), parse_ignore("255"), parse_ignore("")
    ('#ff00ff', '255', '')
    """
    text = text.strip()
    if text and not _COLOUR.fullmatch(text) and not (text.isascii() and text.isdigit()):
        raise OptionError(f"--ignore-colour is {text!r}; write a colour as #rrggbb, or a value such as 255")
    return str(int(text)) if text.isdigit() else text.lower()


def mask_kind(path: Path) -> Literal["index", "colour"]:
    """Whether a mask holds values or colours.

    Raises:
        DataError: it cannot be read or decoded.
    """
    return "index" if bands_of(path).mode in _INDEX_MODES else "colour"


def raw_mask(path: Path, kind: Literal["index", "colour"], ignore: str) -> RawMask:
    """A mask's values or colours.

    Args:
        path: the file.
        kind: which of the two.
        ignore: the value or ``#rrggbb`` of pixels that are not labelled; empty for none.

    Raises:
        DataError: it cannot be read or decoded, or holds colours where the others hold values.
    """
    file = bands_of(path)
    by_value = file.mode in _INDEX_MODES
    if kind == "index" and not by_value:
        raise DataError(
            f"is a colour image (mode {file.mode}), but the masks hold class values; save them all in "
            "one way, or give a palette.csv of class,#rrggbb",
            path=str(path),
        )
    if not by_value and ignore.isdigit():
        raise DataError(
            f"is a colour image, which --ignore-colour {ignore} does not fit; write the colour as #rrggbb",
            path=str(path),
        )
    return RawMask(file, kind, ignore)


def _colours(image: Image.Image) -> NDArray[np.int64]:
    if image.mode.startswith("I"):  # Pillow cuts deep values off at white
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 255)
        return grey * 0x010101
    red, green, blue = np.asarray(image.convert("RGB")).astype(np.int64).transpose(2, 0, 1)
    colours: NDArray[np.int64] = red << 16 | green << 8 | blue
    return colours


def shown(code: int, kind: str) -> str:
    """A value or a colour as people write it.

    >>> shown(7, "index"), shown(255, "colour")
    ('7', '#0000ff')
    """
    return f"#{code:06x}" if kind == "colour" else str(code)


def encoded(raw: RawMask, coding: Coding, names: Sequence[str], path: str) -> NDArray[np.int16]:
    """The classes of a mask, ``[H, W]``, with :data:`IGNORE` where a pixel is not labelled.

    Raises:
        DataError: a value or a colour that no class has.
    """
    codes = np.array(coding.codes, dtype=np.int64)
    order = np.argsort(codes)
    whole: NDArray[np.int16] = roomy(raw.shape, np.int16)
    for rows, found in raw.bands():
        where = np.minimum(np.searchsorted(codes[order], found), len(codes) - 1)
        classes = order[where].astype(np.int16)
        ignored = found == -1
        classes[ignored] = IGNORE
        unknown = (codes[order][where] != found) & ~ignored
        if unknown.any():
            y, x = np.argwhere(unknown)[0]
            what = "colour" if coding.kind == "colour" else "value"
            known = ", ".join(
                f"{shown(code, coding.kind)} ({name})" if name != shown(code, coding.kind) else name
                for code, name in list(zip(coding.codes, names, strict=True))[:12]
            )
            known += ", ..." if len(coding.codes) > 12 else ""
            raise DataError(
                f"the pixel at x={x}, y={y + rows.start} has the {what} "
                f"{shown(int(found[y, x]), coding.kind)}, which is not in the palette: {known}; mend the "
                f"mask, or leave the {what} out with --ignore-colour",
                path=path,
            )
        whole[rows] = classes
    return whole


def mask_image(classes: NDArray[Any], coding: Coding | None) -> Image.Image:
    """Classes as a mask of the kind that training read: with its values or colours, and its palette."""
    codes = np.arange(MOST_CLASSES) if coding is None else np.array(coding.codes)
    if coding is not None and coding.kind == "colour":
        channels = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)
        return Image.fromarray(channels.astype(np.uint8)[classes])
    if int(codes.max()) > 255:
        return Image.fromarray(codes.astype(np.uint16)[classes])
    image = Image.fromarray(codes.astype(np.uint8)[classes])
    if coding is not None and coding.palette:
        image.putpalette(list(coding.palette))
    return image


def read_palette(folders: Collection[Path]) -> Palette | None:
    """The ``palette.csv`` of the first folder that has one: lines ``class,#rrggbb`` or ``class,value``.

    Raises:
        DataError: it is not of that form, or names a class or a colour twice.
    """
    path = next((folder / "palette.csv" for folder in folders if (folder / "palette.csv").is_file()), None)
    if path is None:
        return None
    rows = [(row, cells) for row, cells in _lines(path) if cells]
    if rows and [cell.strip().lower() for cell in rows[0][1]] in (["class", "colour"], ["class", "value"]):
        rows = rows[1:]
    names: list[str] = []
    codes: list[int] = []
    kinds: set[Literal["index", "colour"]] = set()
    for row, cells in rows:
        if len(cells) != 2:
            raise DataError(
                f"expected `class,#rrggbb` or `class,value`, not {len(cells)} cells", path=str(path), row=row
            )
        name, text = (cell.strip() for cell in cells)
        if _COLOUR.fullmatch(text):
            kinds.add("colour")
            code = int(text[1:], 16)
        elif text.isascii() and text.isdigit() and len(text) < 6:
            kinds.add("index")
            code = int(text)
        else:
            raise DataError(
                f"{text!r} is no colour (#rrggbb) and no value (0, 1, ...)", path=str(path), row=row
            )
        if not name or name in names or code in codes:
            what = "has no name" if not name else f"{name!r} or {text} is there twice"
            raise DataError(f"the class {what}; give each class one line", path=str(path), row=row)
        names.append(name)
        codes.append(code)
    if len(kinds) > 1:
        raise DataError("some classes have a colour and some a value; write all in one way", path=str(path))
    if not 2 <= len(names) <= MOST_CLASSES:
        raise DataError(f"names {len(names)} classes; expected 2 to {MOST_CLASSES}", path=str(path))
    return Palette(kinds.pop(), tuple(names), tuple(codes), str(path))


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return list(enumerate(csv.reader(io.StringIO(text), strict=True), 1))
    except OSError as error:
        raise DataError(
            f"cannot be read: {(error.strerror or str(error)).lower()}", path=str(path)
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"is not valid CSV in UTF-8 ({error})", path=str(path)) from error
