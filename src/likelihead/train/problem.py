"""What a run learns, as the loop, the run's folder and the commands see it.

A kind of data (tables, text, images) is a package with a :class:`Problem` of its own. The loop makes steps,
keeps the log and the checkpoints, and stops at a step's boundary; all that it does not know is asked here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from likelihead.train.config import TrainConfig
from likelihead.train.resolved import Resolved

if TYPE_CHECKING:
    from likelihead.train.loop import Trainer

__all__ = ["Measured", "NotFiniteError", "Problem", "SavedSchema", "optimizer_for"]


class NotFiniteError(Exception):
    """The network's output or the loss is not finite: the training has diverged."""


class SavedSchema(Protocol):
    """What the data look like: kept as ``schema.json`` and with the model, and compared on resuming."""

    def to_json(self) -> str:
        """As JSON, the same bytes for the same schema."""


@dataclass(frozen=True)
class Measured:
    """What the test data say of the network.

    Attributes:
        test_nll: mean NLL, in nats: per row, token or pixel.
        score: the value that ``Problem.score_name`` names.
        more: further figures for the log, by name.
    """

    test_nll: float
    score: float
    more: Mapping[str, float] = field(default_factory=dict)


class Problem(ABC):
    """A task on its data, with its network.

    A problem is a function of (config, resolved, data): what steps leave behind is in the network, the
    optimizer, torch's global generator, and what :meth:`carried` and ``kept`` return. A run that is resumed
    then makes the same steps on the same bits.

    Attributes:
        config, resolved: of the run.
        model: the network.
        schema: what the data look like.
        notes: lines on what was imputed, dropped or inferred.
        score_name: of the score, in the log and on the console: ``test_accuracy``.
        clip: the largest norm of the gradient, or None.
    """

    config: TrainConfig
    resolved: Resolved
    model: nn.Module
    schema: SavedSchema
    notes: Sequence[str] = ()
    score_name: str
    clip: float | None = None

    # -- the data and the steps -------------------------------------------------------------------

    @abstractmethod
    def describe(self) -> str:
        """One line about the data."""

    @abstractmethod
    def summary(self) -> str:
        """One line about the network and its likelihood."""

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; the test data are measured after each."""

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        whole = self.steps_per_epoch * self.config.epochs
        return min(whole, self.config.steps) if self.config.steps else whole

    @abstractmethod
    def batches(self, epoch: int, start: int) -> Iterator[Any]:
        """The batches of an epoch, from number ``start`` on; a function of (data, config, epoch)."""

    @abstractmethod
    def loss(self, batch: Any, sums: dict[str, float]) -> Tensor:
        """The criterion on a batch, to be differentiated; adds the batch's figures to ``sums``.

        Raises:
            NotFiniteError: the network's output is not finite.
        """

    def optimizer(self) -> torch.optim.Optimizer:
        """A new optimizer of the network's parameters."""
        return optimizer_for(self.config, list(self.model.parameters()))

    def lr(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self.config.lr

    def carried(self) -> dict[str, Tensor]:
        """Tensors that one step hands to the next besides the weights, such as a recurrent state."""
        return {}

    def carry(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`carried` returned."""
        return None

    # -- figures ----------------------------------------------------------------------------------

    @abstractmethod
    def train_nll(self, sums: Mapping[str, float]) -> float:
        """Mean NLL of the rows that ``sums`` were taken of, in nats; NaN of none."""

    def end_epoch(self, sums: Mapping[str, float], kept: dict[str, float]) -> None:
        """Take what the test and the model's file need from an epoch's sums into ``kept``."""
        return None

    @abstractmethod
    def measure(self, kept: Mapping[str, float], pause: Callable[[], None] = lambda: None) -> Measured:
        """Score the network on the test data; ``pause`` is called after each batch and may raise."""

    def figures(self, nll: float) -> str:
        """An NLL as the progress line shows it."""
        return f"NLL {nll:.4f}"

    # -- what is left behind ----------------------------------------------------------------------

    def metadata(self, kept: Mapping[str, float]) -> dict[str, str]:
        """What the model's file says besides the run, the task and the schema."""
        return {}

    def complete(self, kept: dict[str, float]) -> None:
        """What is left to do when all steps are made, before the model is written: calibration, for one."""
        return None

    @abstractmethod
    def write_report(self, trainer: Trainer) -> None:
        """Write ``report.html`` and ``report.json`` into the run's folder."""


def optimizer_for(config: TrainConfig, parameters: Any) -> torch.optim.Optimizer:
    """The optimizer by its name, of parameters or groups of them; SGD has a momentum of 0.9."""
    lr, decay = config.lr, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=decay)
    make = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return make(parameters, lr=lr, weight_decay=decay)
