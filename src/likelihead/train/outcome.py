"""What a finished run leaves: the model's file, its figures and its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from likelihead.train.loop import Trainer
from likelihead.train.run import read_schema, write_model

__all__ = ["Outcome", "finish"]


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        folder: the run's folder.
        task: never ``auto``.
        test_nll: mean NLL of the test rows, in nats.
        baseline_nll: the same of the best constant prediction.
        score_name, score: ``test_accuracy``, ``test_exact_match`` or ``test_rmse``, and its value.
        more: further figures on the test data, by name.
        findings: hazards that were reported, as (code, message).
    """

    folder: Path
    task: str
    test_nll: float
    baseline_nll: float
    score_name: str
    score: float
    findings: tuple[tuple[str, str], ...]
    more: Mapping[str, float] = field(default_factory=dict)


def finish(trainer: Trainer) -> Outcome:
    """Write the model and the report of a run whose steps are all made.

    Raises:
        RunError: the folder cannot be written; the checkpoints are all there, and resuming writes the rest.
    """
    problem, kept = trainer.problem, trainer.position.kept
    resolved = problem.resolved
    problem.complete(kept)
    metadata = {
        "format": "likelihead.model",
        "task": resolved.task,
        "likelihood": resolved.likelihood,
        "run": trainer.digest,
        # As the run's folder has it: a run from before some field goes on without it.
        "schema": json.dumps(read_schema(trainer.folder), indent=2, ensure_ascii=False),
        **problem.metadata(kept),
    }
    write_model(trainer.folder, problem.model.state_dict(), metadata)
    problem.write_report(trainer)
    measured = problem.measure(kept)
    return Outcome(
        trainer.folder,
        resolved.task,
        measured.test_nll,
        resolved.baseline_nll,
        problem.score_name,
        measured.score,
        tuple(trainer.position.findings),
        measured.more,
    )
