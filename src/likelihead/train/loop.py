"""The training loop: steps, the log, checkpoints, and a stop at a step's boundary.

What a run does is a function of its configuration and its data. A checkpoint holds all that the steps so far
have left behind, so a run that is resumed makes the same steps on the same bits.
"""

from __future__ import annotations

import math
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor

from likelihead.errors import CheckpointError, DomainError, LikelihoodWarning
from likelihead.guard.switch import guard
from likelihead.likelihoods import Likelihood
from likelihead.train import checkpoint
from likelihead.train.checkpoint import Checkpoint
from likelihead.train.config import TrainConfig
from likelihead.train.data import Dataset
from likelihead.train.metrics import Mean, hits
from likelihead.train.models import MLP
from likelihead.train.network import DTYPE, Resolved, plain, row_nll
from likelihead.train.run import CHECKPOINTS, METRICS, MetricsLog

__all__ = ["EVAL_BATCH", "LOG_EVERY", "Interrupted", "Observer", "Position", "Trainer", "optimizer_for"]

LOG_EVERY = 100
"""Steps between the lines of ``metrics.jsonl`` that hold a step's loss."""

EVAL_BATCH = 1024
VARIANCE_FLOOR = 1e-12


class Interrupted(Exception):  # no error: a stop that was asked for
    """A run was asked to stop, and did so after saving a checkpoint.

    Attributes:
        signum: the signal that asked.
        folder: the run's folder, to resume from.
        step: the last step made.
    """

    def __init__(self, signum: int, folder: Path, step: int) -> None:
        super().__init__(
            f"stopped by {signal.Signals(signum).name} after step {step}; {folder} can be resumed"
        )
        self.signum, self.folder, self.step = signum, folder, step


class Observer(Protocol):
    """What is told of a run while it goes."""

    def begin(self, trainer: Trainer) -> None:
        """The run is about to make its first step, or the first after it was resumed."""

    def step(self, trainer: Trainer) -> None:
        """A step was made."""

    def epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """An epoch has ended; ``record`` is its line in the log."""


@dataclass
class Position:
    """How far a run is: all that is not a tensor.

    Attributes:
        epoch: epochs ended, evaluation included.
        batch: batches of the current epoch that were trained on.
        step: batches trained on since the start.
        nll_total, nll_count: of the current epoch's mean training NLL.
        squared_total: of a regression's squared error, in the training's units.
        best: the lowest test NLL of an epoch.
        variance: of a regression's residuals in the last epoch, in the training's units.
        findings: the hazards that were reported, as (code, message).
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    nll_total: float = 0.0
    nll_count: int = 0
    squared_total: float = 0.0
    variance: float = 1.0
    best: float | None = None
    findings: list[tuple[str, str]] = field(default_factory=list)


def optimizer_for(config: TrainConfig, model: MLP) -> torch.optim.Optimizer:
    """The optimizer by its name; SGD has a momentum of 0.9."""
    parameters, lr, decay = list(model.parameters()), config.lr, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=decay)
    make = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return make(parameters, lr=lr, weight_decay=decay)


class Trainer:
    """One run, from where its position says to its end.

    Args:
        folder: the run's folder.
        config, resolved: of the run.
        data: what to train and test on.
        model, criterion: the network and the likelihood that is trained.
        stop: asked after each step; a signal's number ends the run with :class:`Interrupted`.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        resolved: Resolved,
        data: Dataset,
        model: MLP,
        criterion: Likelihood,
        *,
        digest: str,
        stop: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.folder, self.config, self.resolved, self.data = folder, config, resolved, data
        self.model, self.criterion, self.digest, self._stop = model, criterion, digest, stop
        self.optimizer = optimizer_for(config, model)
        self.position = Position()
        self.plain = plain(config, data.schema)
        self.batches = data.train.num_batches(config.batch_size)
        self.log_length = 0
        self.last_loss = math.nan
        self._saved = -1
        self._caught: list[warnings.WarningMessage] = []

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.batches * self.config.epochs

    @property
    def score_name(self) -> str:
        """What the score of `measure` is called in the log and on the console."""
        return {"regression": "test_rmse", "multilabel": "test_exact_match"}.get(
            self.data.task, "test_accuracy"
        )

    @property
    def train_nll(self) -> float:
        """Mean NLL of the current epoch's rows so far, as the steps met them."""
        return self._epoch_nll()

    # -- checkpoints ------------------------------------------------------------------------------

    def snapshot(self) -> Checkpoint:
        """All that the steps so far have left behind."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items() if isinstance(v, Tensor)}
        tensors["rng.torch"] = torch.get_rng_state()
        header = {"run": self.digest, "metrics_bytes": self.log_length, "position": asdict(self.position)}
        # safetensors refuses tensors that share memory, and the optimizer goes on writing to these.
        return Checkpoint({name: tensor.detach().clone() for name, tensor in tensors.items()}, header)

    def save(self) -> Path:
        """Write a checkpoint.

        Raises:
            DomainError: a weight is not finite; the checkpoint before it stays the last one.
            RunError: it cannot be written.
        """
        if not all(bool(torch.isfinite(p).all()) for p in self.model.parameters()):
            raise self._diverged("the weights are not finite")
        self._collect()
        path = checkpoint.write(self.folder / CHECKPOINTS, self.position.step, self.snapshot())
        self._saved = self.position.step
        return path

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            CheckpointError: it is damaged, or of another run.
        """
        saved = checkpoint.read(path)
        if saved.header.get("run") != self.digest:
            raise CheckpointError(
                f"{path} belongs to another run, or config.toml was edited since; "
                "restore the file, or train again"
            )
        try:
            self._take(saved)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            # Its checksum holds, so it is as it was written: by another version.
            raise CheckpointError(
                f"{path} does not fit this version of likelihead ({error}); resume with the version that "
                "wrote it"
            ) from error

    def _take(self, saved: Checkpoint) -> None:
        values = dict(saved.header["position"])
        values["findings"] = [(code, message) for code, message in values["findings"]]
        self.position = Position(**values)
        self.log_length = int(saved.header["metrics_bytes"])
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "rng": {}}
        for name, tensor in saved.tensors.items():
            kind, _, rest = name.partition(".")
            groups[kind][rest] = tensor
        self.model.load_state_dict(groups["model"])
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in groups["optimizer"].items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict(
            {"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]}
        )
        torch.set_rng_state(groups["rng"]["torch"])
        self._saved = self.position.step

    # -- training ---------------------------------------------------------------------------------

    def run(self, observer: Observer | None = None) -> None:
        """Make the steps that are left.

        Raises:
            Interrupted: a stop was asked for.
            DomainError: the loss is not finite.
            RunError: the folder cannot be written.
        """
        log = MetricsLog(self.folder / METRICS, self.log_length)
        try:
            with self._watched():
                self._run(log, observer)
        finally:
            log.close()

    def _run(self, log: MetricsLog, observer: Observer | None) -> None:
        config, at = self.config, self.position
        if observer is not None:
            observer.begin(self)
        while at.epoch < config.epochs:
            batches = self.data.train.batches(
                config.batch_size, epoch=at.epoch, seed=config.seed, dtype=DTYPE, start=at.batch
            )
            for features, target in batches:
                self.step(features, target)
                if at.step % LOG_EVERY == 0:
                    self._log(log, {"kind": "step", "step": at.step, "loss": self.last_loss})
                if at.step % config.checkpoint_every == 0:
                    log.sync()
                    self.save()
                if observer is not None:
                    observer.step(self)
                self._stop_if_asked(log)
            record = self._end_epoch(log)
            if observer is not None:
                observer.epoch(self, record)
        # The last step's own checkpoint may have been made before the last epoch's line.
        log.sync()
        self.save()

    def step(self, features: Tensor, target: Tensor) -> None:
        """One update.

        Raises:
            DomainError: the loss is not finite.
        """
        at = self.position
        self.optimizer.zero_grad(set_to_none=True)
        output = self.model(features)
        if not bool(torch.isfinite(output).all()):
            raise self._diverged("the network's output is not finite")
        loss = self.criterion(output, target)
        self.last_loss = float(loss.detach())
        if not math.isfinite(self.last_loss):
            raise self._diverged(f"the loss is {self.last_loss}")
        with torch.no_grad():
            nll = row_nll(self.plain, self.data.schema, output.detach(), target)
            at.nll_total += float(nll.sum())
            at.nll_count += len(nll)
            if self.data.task == "regression":
                at.squared_total += float((output.detach() - target).square().sum())
        loss.backward()
        self.optimizer.step()
        at.batch += 1
        at.step += 1

    def _epoch_nll(self) -> float:
        at = self.position
        if not at.nll_count:
            return math.nan
        if self.data.task == "regression":
            # With the variance that fits best, as in the test NLL.
            variance = max(at.squared_total / at.nll_count, VARIANCE_FLOOR)
            return 0.5 * (math.log(2 * math.pi * variance) + 1) + math.log(self.data.schema.target.std)
        return at.nll_total / at.nll_count

    def _end_epoch(self, log: MetricsLog) -> dict[str, Any]:
        at = self.position
        if self.data.task == "regression":
            at.variance = max(at.squared_total / at.nll_count, VARIANCE_FLOOR)
        test_nll, score = self.measure(log)
        record: dict[str, Any] = {
            "kind": "epoch",
            "epoch": at.epoch + 1,
            "step": at.step,
            "train_nll": self._epoch_nll(),
            "test_nll": test_nll,
        }
        record[self.score_name] = score
        # JSON has no infinity.
        record = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
        at.best = test_nll if at.best is None else min(at.best, test_nll)
        at.epoch += 1
        at.batch, at.nll_total, at.nll_count, at.squared_total = 0, 0.0, 0, 0.0
        if at.epoch == self.config.epochs:
            self._check_baseline(test_nll)
        self._log(log, record)
        return record

    def measure(self, log: MetricsLog | None = None) -> tuple[float, float]:
        """The mean test NLL, in nats per row, and the score: accuracy, exact match or RMSE."""
        likelihood = plain(self.config, self.data.schema, self.position.variance)
        nll, score = Mean(), Mean()
        with torch.no_grad():
            for features, target in self.data.test.batches(EVAL_BATCH, dtype=DTYPE, shuffle=False):
                output = self.model(features)
                nll.add(row_nll(likelihood, self.data.schema, output, target))
                score.add(hits(likelihood, self.data.schema, output, target))
                if log is not None:
                    self._stop_if_asked(log)
        if self.data.task == "regression":
            return nll.value, math.sqrt(score.value) * self.data.schema.target.std
        return nll.value, score.value

    def _log(self, log: MetricsLog, record: dict[str, Any]) -> None:
        log.write(record)
        self.log_length = log.length

    def _stop_if_asked(self, log: MetricsLog) -> None:
        signum = self._stop()
        if signum is not None:
            log.sync()
            if self._saved != self.position.step:
                self.save()
            raise Interrupted(signum, self.folder, self.position.step)

    def _diverged(self, what: str) -> DomainError:
        at, lr = self.position, self.config.lr
        last = checkpoint.paths(self.folder / CHECKPOINTS)
        kept = f"; the last checkpoint, {last[-1].name}, is intact" if last else ""
        return DomainError(
            f"{what} at step {at.step + 1} (epoch {at.epoch + 1}): the training has diverged; "
            f"start again with a lower --lr, such as {lr / 10:g}{kept}"
        )

    # -- findings ---------------------------------------------------------------------------------

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Collect the guard's warnings; pass on all others."""
        with warnings.catch_warnings(record=True) as self._caught:
            warnings.simplefilter("always", LikelihoodWarning)
            try:
                with guard(cast('Literal["off", "cheap", "full"]', self.config.guard)):
                    yield
            finally:
                self._collect()
                others, self._caught = self._caught, []
        for other in others:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)

    def _collect(self) -> None:
        for warning in self._caught:
            if isinstance(warning.message, LikelihoodWarning):
                self._find(warning.message.code or "", str(warning.message))
        self._caught[:] = [w for w in self._caught if not isinstance(w.message, LikelihoodWarning)]

    def _find(self, code: str, message: str) -> None:
        # Without a count: the guard reports a place once in each process, however often a run is resumed.
        if (code, message) not in self.position.findings:
            self.position.findings.append((code, message))

    def _check_baseline(self, last: float) -> None:
        best, baseline = self.position.best, self.resolved.baseline_nll
        if self.config.guard == "off" or best is None or last < baseline:
            return
        if best < baseline:
            self._find(
                "LH704",
                f"The test NLL ended at {last:.4g} nats, above the baseline of {baseline:.4g}, after "
                f"{best:.4g} in its best epoch: the training rows were learnt by heart; take fewer --epochs, "
                "a smaller --hidden or a higher --weight-decay.",
            )
        else:
            self._find(
                "LH704",
                f"The test NLL never went below the baseline of {baseline:.4g} nats; the best epoch had "
                f"{best:.4g}.",
            )
