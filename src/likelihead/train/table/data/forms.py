"""How numbers and times are written in a column: decimal commas, thousands separators, times of day, dates.

A column is rewritten as a text that reads as a number (or as an ISO date); a cell that is not of the column's
form stays as it is, to be found by whoever reads it as a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from likelihead.errors import DataError
from likelihead.train.table.data.columns import MISSING, NUMBER_PATTERN
from likelihead.train.table.data.source import short

__all__ = ["FORMS", "MARKS", "describe_forms", "find_forms", "rewritten"]

#: What stands for a missing number where a column holds numbers besides.
MARKS = (
    *("-", "--", "---", ".", "..", "...", "*", "\u2013", "\u2014", "N.A.", "n.a.", "<NA>", "NaT", "NULL"),
    *("#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#N/A!"),
)

_NUMBER = re.compile(NUMBER_PATTERN)
# 11,9 and 1.234,5 and 1.234.567: a comma before the decimals, points between groups of three.
_COMMA = re.compile(r"[+-]?([0-9]+,[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?")
_POINTS_COMMA = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]*)?")
# 1,234.5 and 1,234,567.
_COMMAS_POINT = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?")
# What may be either: 1,234.
_EITHER = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
_TIME = re.compile(r"([01]?[0-9]|2[0-4])(?:\.[0-5][0-9]\.[0-5][0-9]|:[0-5][0-9](?::[0-5][0-9])?)")
_DATE = re.compile(r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4})")

#: The forms, and the words for them.
FORMS = {
    "comma": "decimal comma",
    "point": "commas between thousands",
    "time": "times of day, as hours",
    "dmy": "dates, the day first",
    "mdy": "dates, the month first",
}


def find_forms(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    decimal: str,
    separator: str,
    known: Mapping[str, str],
    path: str,
) -> dict[str, str]:
    """The form of each column that has one, told from its first rows.

    Args:
        names: of the columns.
        rows: the first rows.
        decimal: ``,`` or ``.`` as asked for, or ``auto``.
        separator: between the cells.
        known: the forms of the training data, which decide where the rows do not.
        path: for messages.

    Raises:
        DataError: commas in numbers that may be before decimals or between thousands, or that stand among
            decimal points.
    """
    whole = [row for row in rows if len(row) == len(names)]
    columns = {name: [row[i].strip() for row in whole] for i, name in enumerate(names)}
    cells = {
        name: [cell for cell in column if cell not in MISSING and cell not in MARKS]
        for name, column in columns.items()
    }
    found: dict[str, str] = {}
    either: list[str] = []
    plain: list[str] = []
    has_points = False
    for name, column in cells.items():
        form = _form(column)
        if form == "either":
            either.append(name)
        elif form == "plain":
            plain.append(name)
            has_points = has_points or any("." in cell for cell in column)
        elif form:
            found[name] = form
    if decimal != "auto":
        wanted = "comma" if decimal == "," else "point"
        found = {n: wanted if form in ("comma", "point") else form for n, form in found.items()}
        if wanted == "comma":
            either += [name for name in plain if not _has_point(cells[name])]
        return found | dict.fromkeys(either, wanted)
    for name in found:
        if found[name] == "comma" != known.get(name):
            _check_alone(name, cells, separator, path)
    for name in (*either, *plain):
        if known.get(name) in ("comma", "point") and (name in either or not _has_point(cells[name])):
            found[name] = known[name]
    either = [name for name in either if name not in found]
    if either:
        commas = "comma" in found.values()
        if commas or ("point" not in found.values() and not has_points and separator != ","):
            if not commas:
                cell = next(cell for cell in cells[either[0]] if "," in cell)
                raise DataError(
                    f"{short(cell)} may be {cell.replace(',', '.')} or {cell.replace(',', '')}: say which "
                    "with --decimal , or --decimal .",
                    path=path,
                    column=either[0],
                )
            found |= dict.fromkeys(either, "comma")
        else:
            found |= dict.fromkeys(either, "point")
    if "comma" in found.values():
        # Whole numbers so far, and points between thousands; further down a comma may come.
        found |= {n: "comma" for n in plain if n not in found and not _has_point(cells[n])}
    return found


def _check_alone(name: str, cells: Mapping[str, Sequence[str]], separator: str, path: str) -> None:
    """Refuse a decimal comma among decimal points, of its column or where commas stand between cells.

    There ``"1,5"`` may as well be a slip or two values.

    Raises:
        DataError: names both cells.
    """
    column = cells[name]
    others = [name] if separator != "," else [name, *cells]
    for other in others:
        point = next((cell for cell in cells[other] if _is_point(cell)), None)
        if point is not None:
            comma = next(
                c for c in column if "," in c and (_COMMA.fullmatch(c) or _POINTS_COMMA.fullmatch(c))
            )
            where = "beside it" if other == name else f"in column {short(other)}"
            raise DataError(
                f"{short(comma)} has a comma and {short(point)} {where} a point before its decimals: correct "
                "the cell, or say --decimal , for a decimal comma, --decimal . for text",
                path=path,
                column=name,
            )


def _is_point(cell: str) -> bool:
    return "." in cell and _NUMBER.fullmatch(cell) is not None and not _POINTS_COMMA.fullmatch(cell)


def _has_point(cells: Sequence[str]) -> bool:
    """Whether a column has decimals behind points, which are not between thousands."""
    return any("." in cell and not _POINTS_COMMA.fullmatch(cell) for cell in cells)


def _form(cells: Sequence[str]) -> str:
    """A form, ``plain`` numbers, ``either`` of two forms, or nothing of the kind."""
    if not cells:
        return ""
    if all(_TIME.fullmatch(cell) for cell in cells):
        return "time"
    if all(_DATE.fullmatch(cell) for cell in cells):
        return _day_or_month(cells)
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    commas = [cell for cell in cells if _COMMA.fullmatch(cell) or _POINTS_COMMA.fullmatch(cell)]
    points = [cell for cell in cells if _COMMAS_POINT.fullmatch(cell)]
    if 2 * len({*numbers, *commas, *points}) <= len(set(cells)):
        return ""
    is_comma = any(
        ("," in cell and not _EITHER.fullmatch(cell) and _COMMA.fullmatch(cell))
        or (_POINTS_COMMA.fullmatch(cell) and ("," in cell or cell.count(".") > 1))
        for cell in commas
    )
    is_point = any("." in cell or cell.count(",") > 1 for cell in points)
    if is_comma and is_point:
        return ""
    if is_comma:
        return "comma"
    if is_point:
        return "point"
    if any("," in cell for cell in commas):
        # With decimal points in the same column, a comma is between thousands.
        return "point" if any("." in cell for cell in numbers) else "either"
    return "plain"


def _day_or_month(cells: Sequence[str]) -> str:
    """Which comes first; nothing where no day is above 12. Points stand behind the day."""
    parts = [match for cell in cells if (match := _DATE.fullmatch(cell))]
    first, second = max(int(m[1]) for m in parts), max(int(m[3]) for m in parts)
    if second <= 12 and (first > 12 or all(m[2] == "." for m in parts)):
        return "dmy"
    return "mdy" if first <= 12 < second else ""


def rewritten(array: Any, form: str) -> Any:
    """A text column with the cells of a form rewritten."""
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return array
    text = pc.utf8_trim_whitespace(array)
    return _REWRITE[form](text)


def _where(text: Any, pattern: re.Pattern[str], made: Any) -> Any:
    return pc.if_else(pc.match_substring_regex(text, f"^(?:{pattern.pattern})$"), made, text)


def _comma(text: Any) -> Any:
    grouped = _where(text, _POINTS_COMMA, pc.replace_substring(text, ".", ""))
    return _where(grouped, _COMMA, pc.replace_substring(grouped, ",", "."))


def _point(text: Any) -> Any:
    return _where(text, _COMMAS_POINT, pc.replace_substring(text, ",", ""))


def _time(text: Any) -> Any:
    fits = pc.match_substring_regex(text, f"^(?:{_TIME.pattern})$")
    parts = pc.extract_regex(text, r"^(?P<h>[0-9]{1,2})[.:](?P<m>[0-9]{2})(?:[.:](?P<s>[0-9]{2}))?$")
    hours, minutes, seconds = (
        pc.cast(pc.replace_substring_regex(pc.struct_field(parts, [name]), "^$", "0"), pa.float64())
        for name in "hms"
    )
    value = pc.add(hours, pc.divide(pc.add(pc.multiply(minutes, 60.0), seconds), 3600.0))
    return pc.if_else(pc.fill_null(fits, False), pc.cast(value, pa.string()), text)


def _date(day: int) -> Callable[[Any], Any]:
    pattern = r"^([0-9]{1,2})[./-]([0-9]{1,2})[./-]([0-9]{4})$"

    def make(text: Any) -> Any:
        iso = pc.replace_substring_regex(text, pattern, rf"\3-0\{3 - day}-0\{day}")
        # Two digits of month and day.
        return pc.replace_substring_regex(iso, r"^([0-9]{4})-0*([0-9]{2})-0*([0-9]{2})$", r"\1-\2-\3")

    return make


_REWRITE: dict[str, Callable[[Any], Any]] = {
    "comma": _comma,
    "point": _point,
    "time": _time,
    "dmy": _date(1),
    "mdy": _date(2),
}


def describe_forms(forms: Mapping[str, str]) -> list[str]:
    """The forms in words, with some of their columns."""
    said = []
    for form, words in FORMS.items():
        names = [name for name, found in forms.items() if found == form]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            said.append(f"{words} ({', '.join(names[:3])}{more})")
    return said
