"""Figures and foreign text as they are shown: rounded, cut and cleaned. Escaping is the template's."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any
from unicodedata import category

__all__ = ["MINUS", "MISSING", "amount", "cell", "clean", "fixed", "jsonable", "number", "percent", "visible"]

MINUS = "\N{MINUS SIGN}"
MISSING = "\N{EN DASH}"
TEXT_LIMIT = 1000  # characters of one text in report.json


def clean(value: object, limit: int = 80) -> str:
    """``str(value)`` on one line of at most ``limit`` characters, without control characters.

    >>> clean("a" + chr(0) + "b" + chr(10) + "c") == "a" + chr(0xFFFD) + "b c"
    True
    >>> clean("abcdef", 4)
    'abc…'
    """
    # Cut before the work: a cell may hold megabytes.
    text = str(value)[: 4 * limit]
    text = text.encode("utf-8", "replace").decode("utf-8")
    # Joiners are format characters that scripts and emoji need; direction marks end at the cell's own border.
    text = "".join(
        "\N{REPLACEMENT CHARACTER}" if category(c) == "Cc" and not c.isspace() else c for c in text
    )
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def visible(token: str) -> str:
    """A token of a text, with its spaces, line ends that can be seen, and no other control character.

    >>> visible(" a" + chr(10)) == " a" + chr(0x21B5) + chr(10)
    True
    """
    text = (
        token.encode("utf-8", "replace")
        .decode("utf-8")
        .replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}\n")
    )
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if category(c) == "Cc" and c not in "\n\t" else c for c in text
    )


def number(value: float | None, digits: int = 4) -> str:
    """A figure with ``digits`` significant digits, a true minus sign, and a dash for what is undefined.

    >>> number(0.123456), number(-2).replace(MINUS, "-"), number(1234567.8)
    ('0.1235', '-2', '1,234,568')
    >>> number(float("nan")) == MISSING
    True
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if isinstance(value, int) or (10**digits <= abs(value) < 1e15):
        text = f"{value:,.0f}"
    else:
        # Trailing zeros are kept, so that the figures of a column line up.
        text = f"{value:#.{digits}g}".rstrip(".") if value else "0"
    return text.replace("-", MINUS)


def amount(value: float) -> str:
    """A number of rows, or the sum of their weights with four digits.

    >>> amount(1234), amount(1234.0), amount(2.5)
    ('1,234', '1,234', '2.500')
    """
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e15 else number(value)


def percent(value: float | None) -> str:
    """A share as a percentage that says 100% and 0% only where they are exact.

    >>> percent(0.9667), percent(1.0), percent(0.99999), percent(1e-9)
    ('96.7%', '100%', '>99.9%', '<0.1%')
    """
    if value is None or not math.isfinite(value):
        return number(value)
    if value in (0.0, 1.0):
        return f"{value:.0%}"
    text = f"{100 * value:.1f}%"
    if text == "100.0%" and value < 1:
        return ">99.9%"
    if text in ("0.0%", "-0.0%"):
        return "<0.1%" if value > 0 else "0.0%"
    return text.replace("-", MINUS)


def fixed(value: float) -> str:
    """A figure in [0, 1] with three decimals, a dash where it is undefined.

    >>> fixed(1.0), fixed(0.9046)
    ('1.000', '0.905')
    """
    return MISSING if math.isnan(value) else f"{value:.3f}"


def cell(value: object) -> str:
    """A cell of the data file, or a value of the configuration, as a table shows it."""
    value = _plain(value, "generic")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", MINUS)
    if isinstance(value, (list, tuple)) and len(value) <= 1000:
        return clean(", ".join(cell(v) for v in value)) or MISSING
    return clean(value)


def jsonable(value: object) -> object:
    """The same value in JSON's types: NaN and infinity become null, foreign types their text.

    >>> jsonable({"a": 0.5, "b": [float("inf"), (1, None)]})
    {'a': 0.5, 'b': [None, [1, None]]}
    """
    value = _plain(value, "generic", "ndarray")
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(jsonable(str(k))): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [jsonable(v) for v in value]
    # Escapes of control characters are JSON's own; a lone surrogate it could not write.
    return str(value)[:TEXT_LIMIT].encode("utf-8", "replace").decode("utf-8")


def _plain(value: Any, *kinds: str) -> Any:
    """A value of NumPy's as Python's own; NumPy, which torch can do without, is not loaded for this."""
    numpy = sys.modules.get("numpy")
    known = numpy is not None and isinstance(value, tuple(getattr(numpy, kind) for kind in kinds))
    return value.tolist() if known else value
