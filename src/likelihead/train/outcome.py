"""What a finished run leaves: the model's file, its figures and its report."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from likelihead.train.data import Dataset
from likelihead.train.loop import EVAL_BATCH, Trainer
from likelihead.train.network import DTYPE, plain, row_nll
from likelihead.train.report import Curves, ReportContent, TestSet, highest_loss_rows, write_report
from likelihead.train.run import read_metrics, write_model

__all__ = ["Outcome", "finish"]

REPORT_ROWS = 200_000
"""Test rows beyond these stay out of the report, which needs them in memory; `likelihead evaluate` takes "
"them all."""


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        folder: the run's folder.
        task: never ``auto``.
        test_nll: mean NLL of the test rows, in nats.
        baseline_nll: the same of the best constant prediction.
        score_name, score: ``test_accuracy``, ``test_exact_match`` or ``test_rmse``, and its value.
        findings: hazards that were reported, as (code, message).
    """

    folder: Path
    task: str
    test_nll: float
    baseline_nll: float
    score_name: str
    score: float
    findings: tuple[tuple[str, str], ...]


def finish(trainer: Trainer) -> Outcome:
    """Write the model and the report of a run whose steps are all made.

    Raises:
        RunError: the folder cannot be written; the checkpoints are all there, and resuming writes the rest.
    """
    data, resolved = trainer.data, trainer.resolved
    metadata = {
        "format": "likelihead.model",
        "task": resolved.task,
        "likelihood": resolved.likelihood,
        "run": trainer.digest,
        "schema": data.schema.to_json(),
        "variance": repr(trainer.position.variance),
    }
    write_model(trainer.folder, trainer.model.state_dict(), metadata)
    write_report(trainer.folder, _content(trainer))
    test_nll, score = trainer.measure()
    return Outcome(
        trainer.folder,
        resolved.task,
        test_nll,
        resolved.baseline_nll,
        trainer.score_name,
        score,
        tuple(trainer.position.findings),
    )


def _content(trainer: Trainer) -> ReportContent:
    data, config, resolved = trainer.data, trainer.config, trainer.resolved
    epochs = [record for record in read_metrics(trainer.folder) if record["kind"] == "epoch"]
    test = _test_set(trainer)
    notes = list(data.notes)
    if len(data.test) > len(test):
        notes.append(
            f"the report's figures are of the first {len(test):,} of {len(data.test):,} test rows; "
            "`likelihead evaluate` takes a whole file"
        )
    return ReportContent(
        run_name=trainer.folder.name,
        task=data.task,
        likelihood=type(trainer.plain).__name__,
        classes=data.schema.target.names or data.schema.target.columns,
        curves=Curves(
            [record["epoch"] for record in epochs],
            [_number(record["train_nll"]) for record in epochs],
            [_number(record["test_nll"]) for record in epochs],
            resolved.baseline_nll,
            None if data.task == "regression" else [_number(record[trainer.score_name]) for record in epochs],
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


def _test_set(trainer: Trainer) -> TestSet:
    data: Dataset = trainer.data
    likelihood = plain(trainer.config, data.schema, trainer.position.variance)
    parts: list[tuple[NDArray[Any], ...]] = []
    taken = 0
    with torch.no_grad():
        for features, target, rows in data.test.numbered_batches(EVAL_BATCH, dtype=DTYPE):
            output = trainer.model(features)
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
