"""A run on images, from its options."""

from __future__ import annotations

from likelihead.train.config import TrainConfig
from likelihead.train.images.classify import begin_classify, classify_again
from likelihead.train.images.load import load
from likelihead.train.images.problem import ImageProblem
from likelihead.train.images.segment import begin_segmentation, segmentation_again
from likelihead.train.resolved import Resolved

__all__ = ["again", "begin"]


def begin(config: TrainConfig) -> ImageProblem:
    """A new run's problem; draws the first weights from torch's global generator.

    Raises:
        OptionError: an option that the task would ignore.
        DataError: the images cannot be read, or cannot be learnt from.
    """
    data = load(config)
    make = begin_segmentation if data.schema.task == "segmentation" else begin_classify
    return make(config, data)


def again(config: TrainConfig, resolved: Resolved) -> ImageProblem:
    """The problem of a run that goes on; its weights come from a checkpoint.

    Raises:
        DataError: the images cannot be read.
    """
    data = load(config)
    make = segmentation_again if data.schema.task == "segmentation" else classify_again
    return make(config, resolved, data)
