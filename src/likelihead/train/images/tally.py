"""Figures of a segmentation on pixels that stream by: counts of (true, predicted) pairs, sums of the NLL."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likelihead.likelihoods import Likelihood
from likelihead.train.images.schema import IGNORE, ImageSchema

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
        classes = len(schema.names)
        self.pairs = np.zeros((classes, classes), dtype=np.int64)
        self.nll = np.zeros(classes)
        self.ignored = 0

    def add(self, logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Take in ``[B, K, H, W]`` logits and ``[B, H, W]`` classes; gives the predictions and the NLLs."""
        predicted = self.likelihood.predict(logits)
        predicted = predicted.squeeze(1) if self.schema.is_binary else predicted
        nll = pixel_nll(self.likelihood, self.schema, logits, classes)
        known = classes != IGNORE
        true, said = classes[known], predicted[known]
        width = len(self.pairs)
        self.pairs += torch.bincount(true * width + said, minlength=width**2).reshape(width, width).numpy()
        self.nll += torch.bincount(true, weights=nll[known].double(), minlength=width).numpy()
        self.ignored += int((~known).sum())
        return predicted, nll

    @property
    def support(self) -> NDArray[np.int64]:
        """Labelled pixels of each class."""
        support: NDArray[np.int64] = self.pairs.sum(1)
        return support

    @property
    def mean_nll(self) -> float:
        """Nats per labelled pixel; NaN of none."""
        return float(self.nll.sum() / self.pairs.sum()) if self.pairs.any() else math.nan

    @property
    def iou(self) -> NDArray[np.float64]:
        r"""Intersection over union, :math:`TP / (TP + FP + FN)`, by class; NaN of one that is nowhere."""
        right = self.pairs.diagonal()
        return _ratio(right, self.pairs.sum(0) + self.pairs.sum(1) - right)

    @property
    def mean_iou(self) -> float:
        """Over the classes that occur or are predicted."""
        return _mean_defined(self.iou)

    def figures(self, constant: tuple[float, ...]) -> dict[str, Any]:
        """The figures by name; None where one is undefined.

        Args:
            constant: the logits of the baseline.
        """
        support, said, right = self.support, self.pairs.sum(0), self.pairs.diagonal()
        dice = _ratio(2 * right, support + said)
        recall, precision, nll = _ratio(right, support), _ratio(right, said), _ratio(self.nll, support)
        total = int(support.sum())
        costs = constant_nll(self.likelihood, self.schema, constant)
        return finite(
            {
                "pixels": total,
                "pixels_not_labelled": self.ignored,
                "nll": self.mean_nll,
                "baseline_nll": float(support @ costs) / total if total else math.nan,
                "mean_iou": self.mean_iou,
                "mean_dice": _mean_defined(dice),
                "pixel_accuracy": float(right.sum() / total) if total else math.nan,
                "per_class": [
                    finite(
                        {
                            "name": name,
                            "support": int(support[c]),
                            "iou": float(self.iou[c]),
                            "dice": float(dice[c]),
                            "precision": float(precision[c]),
                            "recall": float(recall[c]),
                            "nll": float(nll[c]),
                        }
                    )
                    for c, name in enumerate(self.schema.names)
                ],
            }
        )


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    ratio = np.full(len(below), math.nan)
    np.divide(above, below, out=ratio, where=below > 0)
    return ratio


def _mean_defined(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


def finite(figures: dict[str, Any]) -> dict[str, Any]:
    """The same, with None for what is undefined."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in figures.items()}
