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
from likelihead.train import checkpoint
from likelihead.train.checkpoint import Checkpoint
from likelihead.train.problem import NotFiniteError, Problem
from likelihead.train.run import CHECKPOINTS, METRICS, MetricsLog

__all__ = ["LOG_EVERY", "Interrupted", "Observer", "Position", "Trainer"]

LOG_EVERY = 100
"""Steps between the lines of ``metrics.jsonl`` that hold a step's loss."""


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
        sums: of the current epoch, as the problem adds them up.
        kept: of the last epoch, what the test and the model's file need.
        best: the lowest test NLL of an epoch.
        variance: of a regression's residuals in the last epoch, in the training's units.
        findings: the hazards that were reported, as (code, message).
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    kept: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    findings: list[tuple[str, str]] = field(default_factory=list)


class Trainer:
    """One run, from where its position says to its end.

    Args:
        folder: the run's folder.
        problem: what is learned.
        digest: of the run's configuration.
        stop: asked after each step; a signal's number ends the run with :class:`Interrupted`.
    """

    def __init__(
        self,
        folder: Path,
        problem: Problem,
        *,
        digest: str,
        stop: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.folder, self.problem, self.digest, self._stop = folder, problem, digest, stop
        self.config, self.model = problem.config, problem.model
        self.optimizer = problem.optimizer()
        self.position = Position()
        self.log_length = 0
        self.last_loss = math.nan
        self._saved = -1
        self._caught: list[warnings.WarningMessage] = []

    @property
    def train_nll(self) -> float:
        """Mean NLL of the current epoch so far, as the steps met it."""
        return self.problem.train_nll(self.position.sums)

    # -- checkpoints ------------------------------------------------------------------------------

    def snapshot(self) -> Checkpoint:
        """All that the steps so far have left behind."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items() if isinstance(v, Tensor)}
        tensors |= {f"carried.{name}": value for name, value in self.problem.carried().items()}
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
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "carried": {}, "rng": {}}
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
        self.problem.carry(groups["carried"])
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
        config, at, problem = self.config, self.position, self.problem
        if observer is not None:
            observer.begin(self)
        while at.epoch < config.epochs and not self._ended:
            for batch in problem.batches(at.epoch, at.batch):
                if at.step >= problem.total_steps:
                    break
                self.step(batch)
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

    @property
    def _ended(self) -> bool:
        """Whether the last epoch's line is written: that of --epochs, or the one in which --steps end."""
        return self.position.batch == 0 and self.position.step >= self.problem.total_steps

    def step(self, batch: Any) -> None:
        """One update.

        Raises:
            DomainError: the loss is not finite.
        """
        at, problem = self.position, self.problem
        self.optimizer.zero_grad(set_to_none=True)
        try:
            loss = problem.loss(batch, at.sums)
        except NotFiniteError as error:
            raise self._diverged(str(error)) from error
        self.last_loss = float(loss.detach())
        if not math.isfinite(self.last_loss):
            raise self._diverged(f"the loss is {self.last_loss}")
        torch.autograd.backward(loss)
        if problem.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), problem.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = problem.lr(at.step)
        self.optimizer.step()
        at.batch += 1
        at.step += 1

    def _end_epoch(self, log: MetricsLog) -> dict[str, Any]:
        at, problem = self.position, self.problem
        problem.end_epoch(at.sums, at.kept)
        measured = problem.measure(at.kept, lambda: self._stop_if_asked(log))
        test_nll = measured.test_nll
        record: dict[str, Any] = {
            "kind": "epoch",
            "epoch": at.epoch + 1,
            "step": at.step,
            "train_nll": self.train_nll,
            "test_nll": test_nll,
            problem.score_name: measured.score,
            **measured.more,
        }
        # JSON has no infinity.
        record = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
        at.best = test_nll if at.best is None else min(at.best, test_nll)
        at.epoch += 1
        at.batch, at.sums = 0, {}
        if at.epoch == self.config.epochs or self._ended:
            self._check_baseline(test_nll)
        self._log(log, record)
        return record

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
        best, baseline = self.position.best, self.problem.resolved.baseline_nll
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
