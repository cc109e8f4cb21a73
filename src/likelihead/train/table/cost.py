"""Cost matrices from files, with the classes by name."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from likelihead.errors import DataError
from likelihead.train.table.data.source import nearest

__all__ = ["read_cost"]


def read_cost(
    path: Path, outcomes: tuple[str, ...], *, more_decisions: bool
) -> tuple[Tensor, tuple[str, ...]]:
    """A matrix ``cost[true, decision]`` and the decisions' names.

    The file is CSV, its first line ``true`` and the decisions, each further line a true class and its costs;
    or a JSON object of objects, ``{"true class": {"decision": cost}}``.

    Args:
        path: the file.
        outcomes: the classes in the order of their indices.
        more_decisions: whether a decision need not be a class: ``abstain``, for one. The classes come first
            then, in their order.

    Raises:
        DataError: the file cannot be read; a class is unknown, missing or repeated; a cost is missing or no
            finite number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"cannot be read ({(error.strerror or str(error)).lower()}); give a cost matrix as CSV or JSON",
            path=str(path),
        ) from error
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8 text; give a cost matrix as CSV or JSON", path=str(path)) from error
    table = _from_json(text, path) if text.lstrip().startswith("{") else _from_csv(text, path)
    for name in table:
        if name not in outcomes:
            raise DataError(f"there is no class {name!r}; {_known(name, outcomes)}", path=str(path))
    given = list(dict.fromkeys(decision for costs in table.values() for decision in costs))
    further = [decision for decision in given if decision not in outcomes]
    if further and not more_decisions:
        raise DataError(
            f"there is no class {further[0]!r} to decide for; {_known(further[0], outcomes)}", path=str(path)
        )
    decisions = tuple(name for name in outcomes if more_decisions is False or name in given) + tuple(further)
    rows = []
    for name in outcomes:
        if name not in table:
            raise DataError(
                f"no costs where the truth is {name!r}; give a line for each class", path=str(path)
            )
        rows.append([_cost(table[name].get(decision), name, decision, path) for decision in decisions])
    return torch.tensor(rows, dtype=torch.float64), decisions


def _known(name: str, names: tuple[str, ...]) -> str:
    return nearest(name, names).replace("the columns are", "there are")


def _cost(value: object, true: str, decision: str, path: Path) -> float:
    where = f"the cost of deciding {decision!r} where the truth is {true!r}"
    if value is None or value == "":
        raise DataError(f"{where} is missing", path=str(path))
    message = f"{where} is {value!r}; expected a finite number"
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DataError(message, path=str(path))
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise DataError(message, path=str(path)) from error
    if not math.isfinite(number):
        raise DataError(message, path=str(path))
    return number


def _from_csv(text: str, path: Path) -> Mapping[str, Mapping[str, object]]:
    try:
        lines = [
            [cell.strip() for cell in line] for line in csv.reader(io.StringIO(text), strict=True) if line
        ]
    except csv.Error as error:
        raise DataError(f"is not valid CSV ({error})", path=str(path)) from error
    if len(lines) < 2 or len(lines[0]) < 2:
        raise DataError(
            "expected a line `true` and the decisions, then a line of costs per class", path=str(path)
        )
    header = lines[0][1:]
    if len(set(header)) != len(header):
        raise DataError("a decision is there twice in the first line; give each once", path=str(path))
    table: dict[str, Mapping[str, object]] = {}
    for row, line in enumerate(lines[1:], 1):
        if len(line) != len(lines[0]):
            raise DataError(f"expected {len(lines[0])} cells, not {len(line)}", path=str(path), row=row)
        if line[0] in table:
            raise DataError(f"class {line[0]!r} is there twice; give it once", path=str(path), row=row)
        table[line[0]] = dict(zip(header, line[1:], strict=True))
    return table


def _from_json(text: str, path: Path) -> Mapping[str, Mapping[str, object]]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not valid JSON ({error})", path=str(path)) from error
    if not isinstance(table, dict) or not all(isinstance(costs, dict) for costs in table.values()):
        raise DataError('expected {"true class": {"decision": cost}}', path=str(path))
    return table
