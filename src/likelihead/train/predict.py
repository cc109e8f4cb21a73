"""Predict with a trained run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from likelihead.core.output import check_stream
from likelihead.train.kinds import kind_module, prior_option, table_options
from likelihead.train.stored import stored

__all__ = ["predict"]


def predict(
    run: Path,
    data: str,
    *,
    out: Path | None = None,
    stream: BinaryIO | None = None,
    probs: bool = False,
    threshold: float | None = None,
    cost: Path | None = None,
    prior: str | None = None,
    memory: int = 2**30,
    overwrite: bool = False,
    reading: Mapping[str, Any] | None = None,
) -> list[str]:
    """Predict every row or image of some data, in its order and in bounded memory.

    Args:
        run: the run's folder.
        data: of the kind that the run was trained on; it needs no targets.
        out: where to write; None writes to ``stream``.
        stream: a binary stream for lines, where there is no ``out``.
        probs: whether the probabilities are given as well.
        threshold: of a yes (binary, multilabel).
        cost: a file with a cost matrix.
        prior: the frequencies of a table's classes where the predictions are for: ``a=0.1,b=0.9``, a
            file, or ``estimate``.
        memory: bytes for the rows of a table.
        overwrite: whether a file that is there already may be replaced; never an input.
        reading: how a table's file is to be read where that is not as in training.

    Returns:
        Notes on what was imputed or left out.

    Raises:
        OptionError: an option that the run's task would ignore, or ``out`` is an input or there already.
        RunError: no finished run folder, or the output cannot be written.
        CheckpointError: the model's file is damaged.
        DataError: the data cannot be read, or do not fit the run.
    """
    config, _ = stored(run)
    more: dict[str, Any] = prior_option(prior, config.kind)
    if stream is not None:
        check_stream([data])
    more |= table_options(config.kind, reading=reading or None)
    if overwrite:
        more["overwrite"] = True
    return kind_module(config.kind).predict(
        run, data, out=out, stream=stream, probs=probs, threshold=threshold, cost=cost, memory=memory, **more
    )
