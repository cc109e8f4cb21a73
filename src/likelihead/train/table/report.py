"""What the report of a table's run is made of."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from likelihead.train.report import Curves, ReportContent, TestSet, highest_loss_rows, write_report
from likelihead.train.run import read_metrics
from likelihead.train.table.network import DTYPE, EVAL_BATCH, row_nll

if TYPE_CHECKING:
    from likelihead.train.loop import Trainer
    from likelihead.train.table.problem import TableProblem

__all__ = ["write"]

REPORT_ROWS = 200_000
"""Test rows beyond these stay out of the report, which needs them in memory; `likelihead evaluate` takes "
"them all."""


def write(problem: TableProblem, trainer: Trainer) -> None:
    """Write ``report.html`` and ``report.json`` into the run's folder.

    Raises:
        RunError: they cannot be written.
    """
    write_report(trainer.folder, _content(problem, trainer))


def _content(problem: TableProblem, trainer: Trainer) -> ReportContent:
    data, config, resolved = problem.data, problem.config, problem.resolved
    epochs = [record for record in read_metrics(trainer.folder) if record["kind"] == "epoch"]
    test = _test_set(problem, trainer)
    notes = list(data.notes)
    if len(data.test) > len(test):
        notes.append(
            f"the report's figures are of the first {len(test):,} of {len(data.test):,} test rows; "
            "`likelihead evaluate` takes a whole file"
        )
    return ReportContent(
        run_name=trainer.folder.name,
        task=data.task,
        likelihood=type(problem.plain).__name__,
        classes=data.schema.target.names or data.schema.target.columns,
        curves=Curves(
            [record["epoch"] for record in epochs],
            [_number(record["train_nll"]) for record in epochs],
            [_number(record["test_nll"]) for record in epochs],
            resolved.baseline_nll,
            None if data.task == "regression" else [_number(record[problem.score_name]) for record in epochs],
        ),
        test=test,
        config={**config.to_dict(), "resolved": resolved.to_dict()},
        data=[data.describe()],
        notes=notes,
        headline={"parameters": resolved.parameters, "steps": trainer.position.step},
        raw_rows=dict(data.raw_rows(highest_loss_rows(test))),
        guard_findings=[
            {"code": code, "message": message, "count": 1} for code, message in trainer.position.findings
        ],
        versions={
            "likelihead": version("likelihead"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    )


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _test_set(problem: TableProblem, trainer: Trainer) -> TestSet:
    data = problem.data
    likelihood = problem.likelihood(trainer.position.kept)
    parts: list[tuple[NDArray[Any], ...]] = []
    taken = 0
    with torch.no_grad():
        for features, target, rows in data.test.numbered_batches(EVAL_BATCH, dtype=DTYPE):
            output = problem.calibrated(problem.model(features))
            nll = row_nll(likelihood, data.schema, output, target)
            if data.task == "regression":
                prediction, target = (data.schema.restore(v) for v in (likelihood.predict(output), target))
            else:
                prediction = likelihood.probs(output)
            parts.append(tuple(t.numpy() for t in (rows, target, prediction, nll)))
            taken += len(rows)
            if taken >= REPORT_ROWS:
                break
    return TestSet(*(np.concatenate(column) for column in zip(*parts, strict=True)))
