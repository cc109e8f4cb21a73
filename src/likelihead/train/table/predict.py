"""Predict with a trained run: one line per row, as CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor
from torch.distributions import Bernoulli

from likelihead.core.output import Output
from likelihead.errors import OptionError
from likelihead.train.option import with_article
from likelihead.train.table.cost import read_cost
from likelihead.train.table.data import load_for_schema
from likelihead.train.table.deployment import for_prior
from likelihead.train.table.network import DTYPE, EVAL_BATCH
from likelihead.train.table.numbers import numbers, quantile_names, quantiles
from likelihead.train.table.trained import Trained, load_run

__all__ = ["FORMATS", "Predictions", "predict", "predictions_file"]

Columns: TypeAlias = dict[str, list[Any]]


class Predictions:
    """What is predicted for each row, and how it is decided.

    Args:
        trained: the run.
        probs: whether the probabilities are given as well.
        threshold: of a yes (binary, multilabel); None takes the tuned one, where the run has one.
        cost: a file with a cost matrix.

    Raises:
        OptionError: an option that the run's task would ignore, or a threshold outside [0, 1].
        DataError: the cost file is not right.
    """

    def __init__(
        self,
        trained: Trained,
        *,
        probs: bool = False,
        threshold: float | None = None,
        cost: Path | None = None,
    ) -> None:
        schema, run = trained.schema, f"{with_article(trained.schema.task)} run"
        if threshold is not None and cost is not None:
            raise OptionError(
                "--threshold and --cost are both given; a cost matrix sets the threshold: give one"
            )
        if threshold is not None and schema.task not in ("binary", "multilabel"):
            raise OptionError(
                f"--threshold does not apply to {with_article(schema.task)} run; it is for a yes or a no"
            )
        if threshold is not None and not 0 <= threshold <= 1:
            raise OptionError(f"--threshold is {threshold}; expected a probability in [0, 1]")
        for option, is_given in (("--cost", cost is not None), ("--probs", probs)):
            if is_given and schema.numeric:
                raise OptionError(f"{option} does not apply to {run}; it predicts numbers, not classes")
        self.trained, self.probs = trained, probs
        self.threshold: float | Tensor | None = threshold
        if threshold is None and cost is None:
            self.threshold = trained.threshold
        self.cost: Tensor | None = None
        self.decisions = schema.target.names
        if cost is not None:
            outcomes = ("0", "1") if schema.task == "multilabel" else schema.classes
            self.cost, decisions = read_cost(
                cost, outcomes, more_decisions=schema.task in ("multiclass", "ordinal")
            )
            self.decisions = schema.target.names if schema.task == "multilabel" else decisions

    def columns(self, output: Tensor, rows: Tensor) -> Columns:
        """The columns for a batch of the network's outputs: ``row``, ``prediction`` and ``prob_<class>``."""
        schema, likelihood = self.trained.schema, self.trained.likelihood
        columns: Columns = {"row": rows.tolist()}
        if schema.numeric:
            levels = self.trained.config.levels
            columns["prediction"] = numbers(likelihood, schema, output, levels).tolist()
            if schema.task == "quantile":
                each = quantiles(likelihood, schema, output).unbind(1)
                named = zip(quantile_names(levels), each, strict=True)
                columns |= {name: values.tolist() for name, values in named}
            return columns
        decided = likelihood.predict(output, threshold=self.threshold, cost=self.cost)
        names = schema.target.names
        if schema.task != "multilabel":
            columns["prediction"] = [self.decisions[index] for index in decided.tolist()]
        elif schema.target.form == "sets":
            columns["prediction"] = [
                # As training reads it: a lone semicolon is a row without labels, an empty cell a missing one.
                ";".join(name for name, yes in zip(names, row, strict=True) if yes) or ";"
                for row in decided.tolist()
            ]
        else:
            columns |= {f"prediction_{name}": decided[:, index].tolist() for index, name in enumerate(names)}
        if self.probs:
            probs = likelihood.probs(output)
            if schema.task == "binary":
                # From the other side, so that the small one of the two keeps its digits.
                no = cast(Bernoulli, likelihood.distribution(output)).logits.neg().sigmoid()
                columns |= {f"prob_{names[0]}": no.tolist(), f"prob_{names[1]}": probs.tolist()}
            else:
                columns |= {f"prob_{name}": probs[:, index].tolist() for index, name in enumerate(names)}
        return columns


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
    """Predict every row of a data file, in its order and in bounded memory.

    Args:
        run: the run's folder.
        data: a bundled set or a file with the columns of the training data; it needs no target.
        out: the file to write, whose name ends in a key of :data:`FORMATS`; there whole or not at all.
        stream: without ``out``, where CSV goes.
        probs: whether the probabilities are given as well.
        threshold: of a yes (binary, multilabel).
        cost: a file with a cost matrix.
        prior: the frequencies of the classes where the predictions are for: ``a=0.1,b=0.9``, a file, or
            ``estimate``.
        memory: bytes for the rows.
        overwrite: whether a file that is there already may be replaced; never an input.
        reading: how the file is to be read where that is not as in training: options of
            :meth:`likelihead.train.table.data.Reading.with_options`.

    Returns:
        What is to be known about the data: imputed cells, columns ignored.

    Raises:
        OptionError: an option that does not apply, ``out`` of an unknown format or one that
            may not be written.
        RunError: no finished run folder, or ``out`` cannot be written.
        CheckpointError: the model's file is damaged.
        DataError: the data cannot be read.
    """
    if out is not None and out.suffix.lower() not in FORMATS:
        raise OptionError(f"--out {out}: expected a name that ends in {', '.join(FORMATS)}")
    if (out is None) == (stream is None):
        raise OptionError("give either out or stream")
    output = None if out is None else predictions_file(out, (data, cost, prior), overwrite)
    trained = load_run(run)
    read_as = trained.schema.reading.with_options(**(reading or {}))
    rows_of = cache(
        partial(load_for_schema, data, trained.schema, need_target=False, memory=memory, reading=read_as)
    )
    if prior is not None:
        trained = for_prior(trained, prior, rows_of, memory)
    predictions = Predictions(trained, probs=probs, threshold=threshold, cost=cost)
    dataset = rows_of()

    def batches() -> Iterator[Columns]:
        for features, rows in dataset.all.feature_batches(EVAL_BATCH, dtype=DTYPE):
            yield predictions.columns(trained.output(features, rows, dataset.path), rows)

    if stream is not None:
        _write(_csv(stream), batches())
    elif out is not None and output is not None:
        with output.open() as file:
            _write(FORMATS[out.suffix.lower()](file), batches())
    return [*trained.notes(), *dataset.notes]


# Of CSV and of JSON lines.
_HEAD = re.compile(rb'(row|image),"?prediction|\{"(row|image)": ("[^"]*"|\d+), "prediction')


def predictions_file(out: Path, inputs: Iterable[str | Path | None], overwrite: bool) -> Output:
    """The file that predictions go to; predictions that are there already are left if they are the same.

    Raises:
        OptionError: it may not be written.
    """
    return Output(out, inputs=[name for name in inputs if name], overwrite=overwrite, again=_is_predictions)


def _is_predictions(path: Path) -> bool:
    """Whether a file begins as predictions do."""
    with path.open("rb") as file:
        head = file.read(256)
    if path.suffix.lower() == ".parquet":
        return head.startswith(b"PAR1")
    return _HEAD.match(head) is not None


Writer: TypeAlias = Callable[[Columns], None]


def _write(writer: AbstractContextManager[Writer], batches: Iterator[Columns]) -> None:
    with writer as write:
        for columns in batches:
            write(columns)


@contextmanager
def _csv(file: BinaryIO) -> Iterator[Writer]:
    header: list[str] = []

    def write(columns: Columns) -> None:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        if not header:
            header.extend(columns)
            table.writerow(header)
        table.writerows(zip(*columns.values(), strict=True))
        file.write(text.getvalue().encode())

    yield write
    file.flush()


@contextmanager
def _json_lines(file: BinaryIO) -> Iterator[Writer]:
    def write(columns: Columns) -> None:
        for row in zip(*columns.values(), strict=True):
            line = json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False)
            file.write(f"{line}\n".encode())

    yield write


@contextmanager
def _parquet(file: BinaryIO) -> Iterator[Writer]:
    opened: list[Any] = []

    def write(columns: Columns) -> None:
        table = pa.table(columns)
        if not opened:
            opened.append(pq.ParquetWriter(file, table.schema))
        opened[0].write_table(table)

    yield write
    for writer in opened:
        writer.close()


FORMATS: dict[str, Callable[[BinaryIO], AbstractContextManager[Writer]]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
"""The formats of ``--out``, by the end of the file's name."""
