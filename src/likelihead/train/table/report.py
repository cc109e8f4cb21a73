"""What the report of a table's run is made of."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from likelihead.report.page import Section, write_page
from likelihead.train.config import TrainConfig
from likelihead.train.report import Curves, ReportContent, TestSet, highest_loss_rows
from likelihead.train.report.scores import measure
from likelihead.train.report.table_run import table_figures, table_page
from likelihead.train.run import read_metrics
from likelihead.train.table.balance import UNEQUAL, balance_section, worlds
from likelihead.train.table.calibration import shift_of
from likelihead.train.table.data import Schema
from likelihead.train.table.held_out import (
    calibration_section,
    soft_section,
    teacher_section,
    threshold_section,
)
from likelihead.train.table.network import DTYPE, EVAL_BATCH, row_nll
from likelihead.train.table.numbers import numbers
from likelihead.train.table.objective import log_prior
from likelihead.train.table.own_sections import own_sections

if TYPE_CHECKING:
    from likelihead.train.loop import Trainer
    from likelihead.train.table.problem import TableProblem

__all__ = ["write"]

REPORT_ROWS = 200_000
"""Test rows beyond these stay out of the report, which needs them in memory; ``likelihead evaluate`` takes
them all."""


@dataclass(frozen=True)
class Outputs:
    """What the network says of the test rows that the report is about, as tensors.

    Attributes:
        rows: the rows' numbers.
        target: as the likelihood takes it.
        raw: the network's output.
        output: the same, calibrated.
        weight: the rows' sample weights; None without.
    """

    rows: Tensor
    target: Tensor
    raw: Tensor
    output: Tensor
    weight: Tensor | None = None


def write(problem: TableProblem, trainer: Trainer) -> None:
    """Write ``report.html`` and ``report.json`` into the run's folder.

    Raises:
        RunError: they cannot be written.
    """
    epochs = [record for record in read_metrics(trainer.folder) if record["kind"] == "epoch"]
    outputs = _outputs(problem)
    content = _content(problem, trainer, epochs, outputs)
    scores = measure(content)
    page, figures = table_page(content, scores), table_figures(content, scores)
    sections, more = _more(problem, outputs, epochs)
    # After the learning curves: they say what the other figures stand for.
    page = replace(page, sections=[page.sections[0], *sections, *page.sections[1:]])
    figures["figures"] |= more.pop("figures", {})
    figures |= more
    write_page(trainer.folder, page, figures)


def _more(
    problem: TableProblem, outputs: Outputs, epochs: list[dict[str, Any]]
) -> tuple[list[Section], dict[str, Any]]:
    """The sections that the run's options and its data call for, and their figures."""
    config, schema, fitted, plain = problem.config, problem.data.schema, problem.fitted, problem.plain
    sections: list[Section] = []
    figures: dict[str, Any] = {}
    if not len(outputs.rows):
        return sections, figures
    if schema.numeric or schema.task == "ordinal":
        return own_sections(
            problem.likelihood({}), config, schema, outputs.output, outputs.target, outputs.weight
        )
    if schema.soft:
        section, figures["soft"] = soft_section(plain, outputs.output, outputs.target, outputs.weight)
        sections.append(section)
    elif schema.task != "multilabel" and _about_frequencies(config, schema):
        shift = shift_of(config, schema, problem.resolved, fitted)
        weight = outputs.weight
        rows = worlds(plain, outputs.output, outputs.target, log_prior(schema), shift, sample_weight=weight)
        sections.append(balance_section(config, schema, rows, known=shift is not None))
        figures["balance"] = [row.figures() for row in rows]
    if fitted is not None and fitted.how != "none":
        section, figures["calibrated"] = calibration_section(
            plain, schema, fitted, outputs.raw, outputs.output, outputs.target, outputs.weight
        )
        sections.append(section)
    if fitted is not None and fitted.thresholds:
        probs = plain.probs(outputs.output)
        section, figures["thresholds"] = threshold_section(
            schema, fitted, probs, outputs.target, outputs.weight
        )
        sections.append(section)
    if problem.teacher is not None:
        section, figures["teacher"] = teacher_section(
            plain, problem.teacher, outputs.output, outputs.target, outputs.rows, epochs, outputs.weight
        )
        sections.append(section)
    return sections, figures


def _about_frequencies(config: TrainConfig, schema: Schema) -> bool:
    asked = (
        config.logit_adjustment or config.focal or config.resample != "none" or config.class_weight != "none"
    )
    counts = schema.target.counts
    return bool(asked) or max(counts) >= UNEQUAL * min(counts)


def _content(
    problem: TableProblem, trainer: Trainer, epochs: list[dict[str, Any]], outputs: Outputs
) -> ReportContent:
    data, config, resolved = problem.data, problem.config, problem.resolved
    test = _test_set(problem, trainer, outputs)
    notes = list(problem.notes)
    if problem.fitted is not None:
        notes.append(problem.fitted.describe(data.schema))
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
            None if data.schema.numeric else [_number(record[problem.score_name]) for record in epochs],
        ),
        test=test,
        config={**config.applying(data.task), "resolved": resolved.to_dict()},
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


def _outputs(problem: TableProblem) -> Outputs:
    parts: list[tuple[Tensor, ...]] = []
    taken = 0
    with torch.no_grad():
        for features, target, rows, weight in problem.data.test.weighted_batches(EVAL_BATCH, dtype=DTYPE):
            raw = problem.model(features)
            part = (rows, target, raw, problem.calibrated(raw))
            parts.append(part if weight is None else (*part, weight))
            taken += len(rows)
            if taken >= REPORT_ROWS:
                break
    return Outputs(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _test_set(problem: TableProblem, trainer: Trainer, outputs: Outputs) -> TestSet:
    schema, likelihood = problem.data.schema, problem.likelihood(trainer.position.kept)
    target, output = outputs.target, outputs.output
    with torch.no_grad():
        nll = row_nll(likelihood, schema, output, target)
        if schema.numeric:
            prediction = numbers(likelihood, schema, output, problem.config.levels)
            target = schema.restore(target)
        else:
            prediction = likelihood.probs(output)
        if schema.soft:
            target = target.argmax(1)
    weights = None if outputs.weight is None else outputs.weight.numpy()
    return TestSet(outputs.rows.numpy(), target.numpy(), prediction.numpy(), nll.numpy(), weights=weights)
