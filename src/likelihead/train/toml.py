"""The TOML that a run folder needs: tables of strings, numbers, booleans and lists of them.

The standard library reads TOML and does not write it; what is written here is read back by ``tomllib`` to the
same values, which the tests hold it to.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from likelihead.errors import OptionError

# Python 3.10 has no tomllib of its own; tomli, which the extra `train` brings there, is the same code.
tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

__all__ = ["TOMLDecodeError", "dumps", "loads"]

TOMLDecodeError: type[ValueError] = tomllib.TOMLDecodeError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
}


def loads(text: str) -> dict[str, Any]:
    """Parse TOML.

    >>> loads("lr = 0.01")
    {'lr': 0.01}
    """
    values: dict[str, Any] = tomllib.loads(text)
    return values


def dumps(values: Mapping[str, Any]) -> str:
    r"""Write scalars and lists first, then each nested mapping as a table; None is left out.

    >>> print(dumps({"lr": 0.01, "hidden": [7], "data": {"source": "a\\b"}}), end="")
    lr = 0.01
    hidden = [7]
    <BLANKLINE>
    [data]
    source = "a\\b"

    Raises:
        OptionError: a value that is no string, number, boolean, list or mapping of them.
    """
    lines: list[str] = []
    _table(values, (), lines)
    return "\n".join(lines) + "\n"


def _table(values: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    nested = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    plain = {key: value for key, value in values.items() if key not in nested and value is not None}
    if path and (plain or not nested):
        if lines:
            lines.append("")
        lines.append(f"[{'.'.join(_key(part) for part in path)}]")
    lines.extend(f"{_key(key)} = {_value(value, key)}" for key, value in plain.items())
    for key, value in nested.items():
        _table(value, (*path, key), lines)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _string(key)


def _value(value: object, key: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return repr(value)
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item, key) for item in value)}]"
    raise OptionError(
        f"{key} is a {type(value).__name__}; a configuration holds strings, numbers, booleans and lists of "
        "them"
    )


def _string(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise OptionError(
            f"{text!a} is not valid Unicode, and a configuration file is UTF-8; rename the file"
        )
    return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else _unicode(c)) for c in text) + '"'


def _unicode(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
