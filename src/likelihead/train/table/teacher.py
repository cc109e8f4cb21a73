"""Distillation: another run's probabilities as the targets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from likelihead.errors import OptionError, RunError
from likelihead.likelihoods import Categorical
from likelihead.train.config import TrainConfig
from likelihead.train.run import MODEL
from likelihead.train.stored import stored
from likelihead.train.table.data import Dataset, load_for_schema
from likelihead.train.table.network import DTYPE, EVAL_BATCH

__all__ = ["Teacher", "teacher_of"]


@dataclass(frozen=True)
class Teacher:
    r"""What a finished run says of each row of the data.

    The student's loss on a row is

    .. math:: T^2 \Bigl(-\sum_k q_k \log p_k\Bigr), \qquad
              q = \operatorname{softmax}(t / T), \quad p = \operatorname{softmax}(z / T)

    with t the teacher's logits and z the student's. Its gradient shrinks as :math:`1 / T^2`, which the factor
    undoes, so that a learning rate fits any temperature. The cross-entropy is the divergence
    :math:`\mathrm{KL}(q \| p)` and the teacher's entropy, which no student can do anything about.

    Attributes:
        logits: ``[rows, C]``, by row number, counted from 1.
        temperature: T.
        digest: of the teacher's model file.
        prior_shift: ``[C]``, what its own training took off the log prior; None where that is not known.
        notes: what is to be known about it.

    References:
        Hinton, Vinyals and Dean (2015), Distilling the Knowledge in a Neural Network.
    """

    logits: Tensor
    temperature: float
    digest: str
    prior_shift: Tensor | None = None
    notes: tuple[str, ...] = ()

    def softened(self, rows: Tensor) -> Tensor:
        """The teacher's logits of some rows, divided by the temperature."""
        return self.logits[rows - 1] / self.temperature

    def loss(self, output: Tensor, rows: Tensor, **weighted: Any) -> Tensor:
        """The mean loss of a batch; ``weighted`` are the likelihood's sample_weight and normalizer."""
        likelihood = Categorical(output.shape[1])
        targets = torch.softmax(self.softened(rows), 1)
        loss: Tensor = self.temperature**2 * likelihood(output / self.temperature, targets, **weighted)
        return loss

    def kl(self, output: Tensor, rows: Tensor) -> Tensor:
        """The divergence of the student from the teacher for each row, both softened, in nats."""
        return Categorical(output.shape[1]).kl(self.softened(rows), output / self.temperature)

    def entropy(self, rows: Tensor) -> Tensor:
        """The entropy of the softened teacher for each row, in nats."""
        return Categorical(self.logits.shape[1]).entropy(self.softened(rows))


def teacher_of(config: TrainConfig, data: Dataset, digest: str = "") -> Teacher | None:
    """The teacher that the options ask for, having read all of the student's data once.

    Args:
        config: the student's.
        data: the student's.
        digest: of the teacher's model when the run began; empty for a new run.

    Raises:
        OptionError: it has learnt other classes or another task, or what it says does not fit the memory.
        RunError: it is no finished run, or has changed since the student's run began.
        DataError: a column is missing that it was trained on.
    """
    if not config.teacher:
        return None
    # Both need the objective, which takes a teacher.
    from likelihead.train.table.calibration import shift_of
    from likelihead.train.table.trained import load_run

    folder, names = Path(config.teacher), data.schema.target.names
    theirs, resolved = stored(folder)
    if theirs.kind != "table" or resolved.task != "multiclass":
        raise OptionError(
            f"--teacher {folder} is of a {resolved.task} task on {theirs.kind} data; expected a multiclass "
            "run on a table"
        )
    trained = load_run(folder)
    found = hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()
    if digest and found != digest:
        raise RunError(
            f"the teacher {folder} is not the one that this run began with (its {MODEL} differs): restore "
            "it, or start a new run"
        )
    known = trained.schema.target.names
    if known != names:
        odd = sorted(set(known) ^ set(names))
        raise OptionError(
            f"--teacher {folder} has learnt {len(known)} classes and the data has {len(names)}"
            + (f" ({', '.join(map(repr, odd[:4]))} in one alone)" if odd else ", in another order")
            + "; expected the same classes"
        )
    # By row number: those that the training leaves out have a place as well.
    rows_of = load_for_schema(config.data, trained.schema, need_target=False, memory=config.memory)
    size = 8 * len(names) * len(rows_of.all)
    if size > config.memory // 2:
        raise OptionError(
            f"--teacher: its probabilities of {len(rows_of.all)} rows take {size / 2**20:.1f} MiB, more than "
            f"half of --memory; give --memory {-(-2 * size // 2**20)}MiB"
        )
    logits = torch.empty(len(rows_of.all), len(names), dtype=DTYPE)
    with _one_thread():
        for features, rows in rows_of.all.feature_batches(EVAL_BATCH, dtype=DTYPE):
            logits[rows - 1] = trained.output(features, rows, rows_of.path)
    shift = shift_of(theirs, trained.schema, resolved, trained.fitted)
    return Teacher(logits, config.temperature, found, shift, tuple(_notes(config, theirs)))


def _notes(config: TrainConfig, theirs: TrainConfig) -> Iterator[str]:
    yield f"the targets are the probabilities of {config.teacher} at temperature {config.temperature:g}"
    if theirs.data != config.data:
        yield "the teacher was trained on other data; rows that are tested on here may be among it"
    elif (theirs.seed, theirs.test_fraction) != (config.seed, config.test_fraction):
        yield (
            "the teacher had another split (--seed, --test-fraction): it may have learnt the rows that are "
            "tested on here"
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in the same order whatever the number of cores: a resumed run needs the same targets."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
