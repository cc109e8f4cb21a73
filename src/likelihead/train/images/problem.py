"""What a run on images learns, whatever its task: the steps, their rate, and how the network starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from likelihead.errors import DomainError
from likelihead.likelihoods import Likelihood
from likelihead.train.config import TrainConfig
from likelihead.train.images.network import DTYPE, ImageNet, build_model, criterion, plain
from likelihead.train.images.survey import ImageData
from likelihead.train.problem import NotFiniteError, Problem
from likelihead.train.resolved import Resolved

if TYPE_CHECKING:
    from likelihead.train.loop import Trainer

__all__ = ["ImageProblem", "resolve"]

_WARM_UP = 0.05


class ImageProblem(Problem):
    """See :class:`likelihead.train.problem.Problem`.

    Args:
        config, resolved: of the run.
        data: what to train and test on.
        model: the network.
    """

    model: ImageNet
    schema: Any
    unit = "image"

    def __init__(self, config: TrainConfig, resolved: Resolved, data: ImageData, model: ImageNet) -> None:
        self.config, self.resolved, self.data, self.model = config, resolved, data, model
        self.schema, self.notes = data.schema, data.notes
        self.criterion = criterion(config, data.schema, resolved.class_weights, resolved.label_prior)
        self.plain = plain(config, data.schema)
        self._is_plain = not resolved.class_weights and not config.label_smoothing

    def describe(self) -> str:
        """The set, its images and its classes."""
        schema = self.data.schema
        what = "labels" if schema.task == "multilabel" else "classes"
        shown = ", ".join(schema.names[:12]) + (", ..." if len(schema.names) > 12 else "")
        colour = "grey" if schema.channels == 1 else "colour"
        return (
            f"{self.data.path}: {schema.task}, {schema.train_images} {colour} images to train on and "
            f"{schema.test_images} to test on, {len(schema.names)} {what}: {shown}"
        )

    def summary(self) -> str:
        """The network, its input and its likelihood."""
        kind = "U-Net" if self.data.schema.task == "segmentation" else "convolutional net"
        widths = "-".join(str(width) for width in self.model.widths)
        height, width = self.data.schema.edges
        piece = "tiles" if self.data.schema.task == "segmentation" else "images"
        resolved = self.resolved
        return (
            f"{kind} {widths} on {piece} of {height}x{width}, {resolved.parameters} parameters, "
            f"{resolved.likelihood}"
        )

    def lr(self, step: int) -> float:
        """Rising over the first steps, then falling along half a cosine to nothing."""
        total = self.total_steps
        rise = min(1.0, (step + 1) / max(_WARM_UP * total, 1.0))
        return self.config.lr * rise * 0.5 * (1 + math.cos(math.pi * step / total))

    def output(self, images: Tensor) -> Tensor:
        """The logits in training.

        Raises:
            NotFiniteError: one of them is not finite.
        """
        self.model.train()
        logits: Tensor = self.model(images)
        if not bool(torch.isfinite(logits).all()):
            raise NotFiniteError("the network's output is not finite")
        return logits

    def scored(self, logits: Tensor) -> Tensor:
        """The logits of test images.

        Raises:
            DomainError: one of them is not finite, so that there is nothing to report.
        """
        if not bool(torch.isfinite(logits).all()):
            raise DomainError(
                "the network's output on the test images is not finite: the training has diverged; start "
                f"again with a lower --lr, such as {self.config.lr / 10:g}"
            )
        return logits

    def train_nll(self, sums: Mapping[str, float]) -> float:
        """The mean over what was scored."""
        return sums["nll"] / sums["count"] if sums.get("count") else math.nan

    def write_report(self, trainer: Trainer) -> None:
        """The report of a run on images."""
        from likelihead.train.images.report import write

        write(self, trainer)


def resolve(
    config: TrainConfig, data: ImageData, weights: tuple[float, ...], label_prior: tuple[float, ...] = ()
) -> tuple[ImageNet, Likelihood, Likelihood, Resolved]:
    """The network at random weights, the likelihoods trained and reported, and what the options came to.

    The baseline is left at 0: the caller knows the test data.
    """
    likelihood = criterion(config, data.schema, weights, label_prior)
    unweighted = plain(config, data.schema)
    model = build_model(config, data.schema, likelihood)
    resolved = Resolved(
        task=data.schema.task,
        likelihood=likelihood.name,
        layers=(data.schema.channels, *model.widths, data.schema.num_outputs),
        parameters=sum(p.numel() for p in model.parameters()),
        dtype=str(DTYPE).removeprefix("torch."),
        threads=torch.get_num_threads(),
        class_weights=weights,
        baseline_nll=0.0,
        label_prior=label_prior,
    )
    return model, likelihood, unweighted, resolved
