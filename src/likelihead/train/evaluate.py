"""Score a trained run on other data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likelihead.train.kinds import kind_module, prior_option, table_options
from likelihead.train.stored import stored

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
    """The figures of a run on other data, by name; undefined ones are None.

    All of the data is scored, in bounded memory. The baseline is the best constant prediction of the training
    targets.

    Args:
        run: the run's folder.
        data: a bundled set, a file or a folder of the kind that the run was trained on, targets included.
        prior: of a table's classes, their frequencies in the data: ``a=0.1,b=0.9``, a file, or
            ``estimate``.
        memory: bytes for the rows of a table.
        reading: how a table's file is to be read where that is not as in training.
        strict: of a table, whether a row without a target is an error.

    Raises:
        RunError: no finished run folder.
        CheckpointError: the model's file is damaged.
        DataError: the data cannot be read, or has a class that training did not have.
    """
    config, _ = stored(run)
    more = prior_option(prior, config.kind)
    more |= table_options(config.kind, reading=reading or None, strict=strict or None)
    return kind_module(config.kind).evaluate(run, data, memory=memory, **more)
