"""Numbers by class from files: weights and priors."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

from likelihead.errors import DataError
from likelihead.train.table.data.source import nearest

__all__ = ["read_by_class"]

# Sums and ratios of numbers within these are finite.
_LOWEST, _HIGHEST = 1e-100, 1e100


def read_by_class(path: Path, names: tuple[str, ...], *, what: str, number: str, remedy: str) -> list[float]:
    """A number for each class, in the order of their indices.

    The file is a JSON object of numbers by class, or CSV lines ``class,number``.

    Args:
        path: the file.
        names: the classes.
        what: ``class`` or ``label``.
        number: what the number is: ``weight``, for one.
        remedy: what the option takes, where the file cannot be read.

    Raises:
        DataError: the file cannot be read; a class is unknown, missing or repeated; a number is none,
            negative, NaN or infinite.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"cannot be read as {what} {number}s ({(error.strerror or str(error)).lower()}); {remedy}",
            path=str(path),
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"is not UTF-8 text; give JSON or CSV lines `{what},{number}`", path=str(path)
        ) from error
    pairs = _from_json(text, path) if text.lstrip().startswith("{") else _from_csv(text, path, number)
    weights: dict[str, float] = {}
    for row, name, value in pairs:
        if name not in names:
            raise DataError(f"there is no {what} {name!r}; {_known(name, names)}", path=str(path), row=row)
        if name in weights:
            raise DataError(f"{what} {name!r} is there twice; give it once", path=str(path), row=row)
        weights[name] = _number(value, f"the {number} of {name!r}", path, row)
    missing = [name for name in names if name not in weights]
    if missing:
        raise DataError(f"no {number} for {what} {missing[0]!r}; give one for each {what}", path=str(path))
    return [weights[name] for name in names]


def _known(name: str, names: tuple[str, ...]) -> str:
    return nearest(name, names).replace("the columns are", "there are")


def _from_json(text: str, path: Path) -> Iterable[tuple[int | None, str, object]]:
    try:
        values = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not valid JSON ({error})", path=str(path)) from error
    return [(None, str(name), value) for name, value in values]


def _from_csv(text: str, path: Path, number: str) -> Iterable[tuple[int | None, str, object]]:
    pairs: list[tuple[int | None, str, object]] = []
    try:
        lines = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    except csv.Error as error:
        raise DataError(f"is not valid CSV ({error})", path=str(path)) from error
    for row, line in enumerate(lines, 1):
        if len(line) != 2:
            raise DataError(f"expected `class,{number}`, not {len(line)} cells", path=str(path), row=row)
        if row == 1 and [cell.strip().lower() for cell in line] in (["class", number], ["label", number]):
            continue
        pairs.append((row, line[0].strip(), line[1].strip()))
    return pairs


def _number(value: object, said: str, path: Path, row: int | None) -> float:
    expected = f"{said} is {value!r}; expected 0 or a number from {_LOWEST:g} to {_HIGHEST:g}"
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DataError(expected, path=str(path), row=row)
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise DataError(expected, path=str(path), row=row) from error
    if number and not _LOWEST <= number <= _HIGHEST:
        raise DataError(expected, path=str(path), row=row)
    return number
