"""Score a trained run on a data file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from likelihead.train.table.data import load_for_schema
from likelihead.train.table.deployment import for_prior
from likelihead.train.table.metrics import Tally
from likelihead.train.table.network import DTYPE, EVAL_BATCH
from likelihead.train.table.trained import load_run

__all__ = ["evaluate"]


def evaluate(
    run: Path,
    data: str,
    *,
    prior: str | None = None,
    memory: int = 2**30,
    reading: Mapping[str, Any] | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """The figures of a run on a data file, by name; undefined ones are None.

    All rows of the file are scored, in bounded memory. The baseline is the best constant prediction of the
    training targets.

    Args:
        run: the run's folder.
        data: a bundled set or a file with the columns of the training data, the target included.
        prior: the frequencies of the classes in the data: ``a=0.1,b=0.9``, a file, or
            ``estimate``.
        memory: bytes for the rows.
        reading: how the file is to be read where that is not as in training: options of
            :meth:`likelihead.train.table.data.Reading.with_options`.
        strict: whether a row without a target is an error; otherwise it is left out and counted.

    Raises:
        RunError: no finished run folder.
        CheckpointError: the model's file is damaged.
        DataError: the data cannot be read, or has a class that training did not have.
    """
    trained = load_run(run)
    read_as = trained.schema.reading.with_options(**(reading or {}))
    options: dict[str, Any] = {"need_target": True, "memory": memory, "reading": read_as, "strict": strict}
    rows_of = cache(partial(load_for_schema, data, trained.schema, **options))
    if prior is not None:
        trained = for_prior(trained, prior, rows_of, memory)
    dataset = rows_of()
    tally = Tally(
        trained.likelihood,
        trained.schema,
        trained.resolved.constant,
        trained.baseline,
        trained.threshold,
        levels=trained.config.levels,
    )
    for features, target, rows, weight in dataset.all.weighted_batches(EVAL_BATCH, dtype=DTYPE):
        tally.add(trained.output(features, rows, dataset.path), target, weight)
    notes = [*trained.notes(), *dataset.notes]
    if math.isinf(tally.gain.compute().model_nll):
        notes.append(
            "the NLL is infinite, shown as undefined: a class that occurs was given the probability 0"
        )
    return {
        "run": str(run),
        "data": dataset.path,
        "task": trained.schema.task,
        **tally.figures(),
        "notes": notes,
    }
