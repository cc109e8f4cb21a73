"""Figures of a segmentation on pixels that stream by: counts of (true, predicted) pairs, sums of the NLL."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likelihead.evaluate import ConfusionMatrix
from likelihead.likelihoods import Likelihood
from likelihead.train.images.schema import IGNORE, ImageSchema
from likelihead.train.table.metrics import defined

__all__ = ["PixelTally", "as_target", "constant_nll", "pixel_nll"]


def as_target(classes: Tensor, schema: ImageSchema) -> Tensor:
    """Classes as the likelihood takes them: indices; with one logit 0, 1 and NaN, ``[B, 1, H, W]``."""
    if not schema.is_binary:
        return classes
    return torch.where(classes == IGNORE, math.nan, classes.to(torch.float32)).unsqueeze(1)


def pixel_nll(likelihood: Likelihood, schema: ImageSchema, logits: Tensor, classes: Tensor) -> Tensor:
    """The NLL of each pixel, ``[B, H, W]``, in nats; 0 where it is not labelled."""
    nll = likelihood.nll(logits, as_target(classes, schema))
    return nll.squeeze(1) if schema.is_binary else nll


def constant_nll(
    likelihood: Likelihood, schema: ImageSchema, constant: tuple[float, ...]
) -> NDArray[np.float64]:
    """What a pixel of each class costs where every pixel gets the same logits, ``[K]``, in nats."""
    classes = torch.arange(len(schema.names)).reshape(-1, 1, 1)
    logits = torch.tensor(constant, dtype=torch.float64).reshape(1, -1, 1, 1).expand(len(classes), -1, 1, 1)
    costs: NDArray[np.float64] = pixel_nll(likelihood, schema, logits, classes).flatten().numpy()
    return costs


class PixelTally:
    """All figures of a segmentation.

    Args:
        likelihood: the plain one, which the logits belong to.
        schema: the run's.
    """

    def __init__(self, likelihood: Likelihood, schema: ImageSchema) -> None:
        self.likelihood, self.schema = likelihood, schema
        self.confusion = ConfusionMatrix(len(schema.names), ignore_index=IGNORE)
        self.nll = np.zeros(len(schema.names))
        self.ignored = 0

    def add(self, logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Take in ``[B, K, H, W]`` logits and ``[B, H, W]`` classes; gives the predictions and the NLLs."""
        predicted = self.likelihood.predict(logits)
        predicted = predicted.squeeze(1) if self.schema.is_binary else predicted
        nll = pixel_nll(self.likelihood, self.schema, logits, classes)
        known = classes != IGNORE
        self.confusion.update(predicted, classes)
        self.nll += torch.bincount(
            classes[known], weights=nll[known].double(), minlength=len(self.nll)
        ).numpy()
        self.ignored += int((~known).sum())
        return predicted, nll

    @property
    def pairs(self) -> NDArray[np.int64]:
        """How often each class, by row, is taken for which, by column."""
        pairs: NDArray[np.int64] = self.confusion.compute().numpy()
        return pairs

    @property
    def support(self) -> NDArray[np.int64]:
        """Labelled pixels of each class."""
        support: NDArray[np.int64] = self.confusion.rates().support.numpy()
        return support

    @property
    def mean_nll(self) -> float:
        """Nats per labelled pixel; NaN of none."""
        count = self.support.sum()
        return float(self.nll.sum() / count) if count else math.nan

    @property
    def mean_iou(self) -> float:
        """Over the classes that occur or are predicted."""
        return self.confusion.rates().macro("iou")

    def figures(self, constant: tuple[float, ...]) -> dict[str, Any]:
        """The figures by name; None where one is undefined.

        Args:
            constant: the logits of the baseline.
        """
        rates, support = self.confusion.rates(), self.support
        total = int(support.sum())
        costs = constant_nll(self.likelihood, self.schema, constant)
        columns = zip(
            self.schema.names,
            support.tolist(),
            rates.iou.tolist(),
            rates.dice.tolist(),
            rates.precision.tolist(),
            rates.recall.tolist(),
            (
                lost / n if n else math.nan
                for lost, n in zip(self.nll.tolist(), support.tolist(), strict=True)
            ),
            strict=True,
        )
        keys = ("name", "support", "iou", "dice", "precision", "recall", "nll")
        return defined(
            {
                "pixels": total,
                "pixels_not_labelled": self.ignored,
                "nll": self.mean_nll,
                "baseline_nll": float(support @ costs) / total if total else math.nan,
                "mean_iou": self.mean_iou,
                "mean_dice": rates.macro("dice"),
                "pixel_accuracy": self.confusion.accuracy(),
                "per_class": [defined(dict(zip(keys, row, strict=True))) for row in columns],
            }
        )
