"""What a finished run left behind, read back to be shown beside others."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likelihead.errors import RunError
from likelihead.report.page import SCHEMA_VERSION
from likelihead.train.report.calibration import Bin, Reliability
from likelihead.train.run import SCHEMA, read_metrics, read_toml

__all__ = ["FinishedRun", "read_run"]

REPORT = "report.json"


@dataclass(frozen=True)
class FinishedRun:
    """A run as its files tell it.

    Attributes:
        folder: of the run.
        task: of the run; ``unit``: what an NLL is the mean over: ``row``, ``token``, ``pixel``.
        figures: the headline figures by name; NaN where one is not defined.
        epoch, train_nll, test_nll: the learning curves, in nats per unit.
        parts: the figures of each class, label or target, by its name and the figure's.
        reliability: of the test set, or None.
        options: what the run was asked for and, with the prefix ``resolved.``, what it came to.
        data: lines that describe the data.
        schema: what the data look like.
        digest: SHA-256 of that.
        versions: version by component.
    """

    folder: Path
    task: str
    unit: str
    figures: Mapping[str, float]
    epoch: Sequence[int]
    train_nll: Sequence[float]
    test_nll: Sequence[float]
    parts: Mapping[str, Mapping[str, float]]
    reliability: Reliability | None
    options: Mapping[str, object]
    data: Sequence[str]
    schema: Mapping[str, object]
    digest: str
    versions: Mapping[str, str]


def read_run(folder: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        RunError: the folder is no run, the run is not finished, or one of its files is damaged.
    """
    config = read_toml(folder)
    report = _read_json(folder / REPORT, folder)
    schema = _read_json(folder / SCHEMA, folder)
    if report.get("schema") != "likelihead.report" or report.get("schema_version") != SCHEMA_VERSION:
        raise RunError(
            f"{folder / REPORT} is of version {report.get('schema_version')!r}, and this likelihead reads "
            f"{SCHEMA_VERSION}; train the run again, or use the version that wrote it"
        )
    try:
        records = [record for record in read_metrics(folder) if record["kind"] == "epoch"]
        parts = report.get("per_class") or report.get("per_target") or []
        resolved = {f"resolved.{key}": value for key, value in config["resolved"].items()}
        return FinishedRun(
            folder=folder,
            task=str(report["task"]),
            unit=str(report.get("unit", "row")),
            figures={str(k): _number(v) for k, v in report["figures"].items() if _is_number(v)},
            epoch=[int(record["epoch"]) for record in records],
            train_nll=[_number(record["train_nll"]) for record in records],
            test_nll=[_number(record["test_nll"]) for record in records],
            parts={
                str(part["name"]): {k: _number(v) for k, v in part.items() if _is_number(v)} for part in parts
            },
            reliability=_reliability(report.get("calibration")),
            options={**config["options"], **resolved},
            data=[str(line) for line in report["data"]],
            schema=schema,
            digest=hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest(),
            versions={str(k): str(v) for k, v in report["versions"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(
            f"the files of {folder} are not those of a finished run ({type(error).__name__}: {error}); "
            "restore them, or train again"
        ) from error


def _read_json(path: Path, folder: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"{folder} has no {path.name}: its training is not finished; "
            f"finish it with `likelihead train --resume --out {folder}`"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read ({error}); restore it, or train again") from error
    if not isinstance(values, dict):
        raise RunError(f"{path} holds a {type(values).__name__}, not an object; restore it, or train again")
    return values


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _reliability(calibration: Mapping[str, Any] | None) -> Reliability | None:
    if calibration is None:
        return None
    bins = tuple(
        Bin(
            float(b["low"]),
            float(b["high"]),
            float(b["count"]),
            _number(b["confidence"]),
            _number(b["observed"]),
        )
        for b in calibration["bins"]
    )
    return Reliability(bins, _number(calibration["ece"]))
