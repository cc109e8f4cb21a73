"""From a column as it stands in a file to numbers, dates or texts.

Every reader hands over Arrow arrays; CSV and JSON lines as text, Parquet with types of its own. What a
text column holds is found by trying, over the whole file, from the narrowest meaning to the widest.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = [
    "KINDS",
    "MISSING",
    "NUMBER_PATTERN",
    "Kind",
    "as_numbers",
    "canonical",
    "class_key",
    "is_number",
    "native_kind",
    "tidy",
]

Kind = Literal["boolean", "number", "date", "text", "unread"]

#: The meanings a text column is tried for, in this order; ``text`` is what is left.
KINDS: tuple[Kind, ...] = ("boolean", "number", "date")

#: Cells that are read as missing, after spaces around them are taken away.
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "null", "NULL", "None", "NaN", "nan", "NAN", "-nan", "-NaN", "?")

#: What a number looks like; the same in Python's and in Arrow's (RE2) regular expressions.
NUMBER_PATTERN = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"

_NUMBER, _WHOLE = re.compile(NUMBER_PATTERN), re.compile(r"[+-]?[0-9]+")
_MICROSECONDS_PER_DAY = 86_400_000_000


def native_kind(kind: Any) -> Kind | None:
    """The meaning an Arrow type has by itself; None for text, which has to be tried."""
    types = pa.types
    if types.is_dictionary(kind):
        return native_kind(kind.value_type)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind):
        return None
    if types.is_list(kind) or types.is_large_list(kind):
        return None if native_kind(kind.value_type) is None else "unread"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_date(kind) or types.is_timestamp(kind):
        return "date"
    if (
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_time(kind)
        or types.is_duration(kind)
    ):
        return "number"
    return "unread"


def tidy(array: Any) -> Any:
    """The column with missing cells as nulls: NaN, and the texts of :data:`MISSING`.

    Lists of texts become one text each, joined by ``;``.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if native_kind(kind) == "unread":
            return array
        joined = [
            None if cell is None else ";".join(str(part) for part in cell) or ";"
            for cell in array.to_pylist()
        ]
        array = pa.array(joined, pa.string())
    elif pa.types.is_null(kind):
        array = pc.cast(array, pa.string())
    if pa.types.is_floating(array.type):
        if pa.types.is_float16(array.type):
            array = pc.cast(array, pa.float32())
        return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        text = pc.utf8_trim_whitespace(pc.cast(array, pa.string()))
        return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING)), pa.scalar(None, pa.string()), text)
    return array


def _is_text(array: Any) -> bool:
    return bool(pa.types.is_string(array.type))


def _text_as(array: Any, kind: Kind) -> Any:
    if kind == "boolean":
        lower = pc.utf8_lower(array)
        if pc.all(pc.is_in(lower, value_set=pa.array(["true", "false", None], pa.string()))).as_py() is False:
            raise pa.ArrowInvalid("neither true nor false")
        return pc.cast(pc.equal(lower, "true"), pa.float64())
    if kind == "number":
        return pc.cast(array, pa.float64())
    try:
        moments = pc.cast(array, pa.timestamp("us"))
    except pa.ArrowInvalid:
        moments = pc.cast(array, pa.timestamp("us", "UTC"))
    return pc.divide(pc.cast(pc.cast(moments, pa.int64()), pa.float64()), float(_MICROSECONDS_PER_DAY))


def as_numbers(array: Any, kind: Kind) -> NDArray[np.float64]:
    """A tidy column as float64, NaN where it is missing; booleans as 0 and 1, dates as days since 1970.

    Raises:
        pyarrow.ArrowInvalid: a cell has no such meaning.
    """
    if _is_text(array):
        array = _text_as(array, kind)
    elif kind != native_kind(array.type):
        raise pa.ArrowInvalid(f"a column of type {array.type} holds no {kind}")
    elif kind == "date":
        moments = pc.cast(array, pa.timestamp("us"), safe=False)
        array = pc.divide(pc.cast(pc.cast(moments, pa.int64()), pa.float64()), float(_MICROSECONDS_PER_DAY))
    elif pa.types.is_time(array.type) or pa.types.is_duration(array.type):
        whole = pa.int32() if pa.types.is_time32(array.type) else pa.int64()
        array = pc.cast(pc.cast(array, whole), pa.float64())
    else:
        array = pc.cast(array, pa.float64(), safe=False)
    numbers: NDArray[np.float64] = pc.fill_null(array, float("nan")).to_numpy(zero_copy_only=False)
    return numbers


def is_number(text: str) -> bool:
    """Whether a text reads as a number, by the rules the columns are read with.

    >>> is_number("1e3"), is_number("1,000")
    (True, False)
    """
    try:
        as_numbers(pa.array([text]), "number")
    except pa.ArrowInvalid:
        return False
    return True


def class_key(value: object) -> str:
    """A cell as the text a class is named by: whole floats without their ``.0``, booleans in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value)


def canonical(text: str, values: str) -> str:
    """One spelling for equal values: ``1``, ``1.0`` and ``01`` are one class of a numeric column.

    >>> canonical("1.0", "number"), canonical("True", "boolean"), canonical("1.0", "text")
    ('1', 'true', '1.0')
    """
    if values == "boolean":
        return text.lower()
    if values == "number" and _NUMBER.fullmatch(text):
        # Whole numbers do not pass through a float, which would merge neighbours above 2**53.
        return str(int(text)) if _WHOLE.fullmatch(text) else class_key(float(text))
    return text
