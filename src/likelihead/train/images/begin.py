"""A run on images, from its options."""

from __future__ import annotations

from likelihead.train.config import TrainConfig
from likelihead.train.footprint import Footprint, conv_net, require, u_net
from likelihead.train.images.classify import begin_classify, classify_again
from likelihead.train.images.load import load
from likelihead.train.images.problem import ImageProblem
from likelihead.train.images.segment import begin_segmentation, segmentation_again
from likelihead.train.images.survey import ImageData
from likelihead.train.images.tiles import tiles_in
from likelihead.train.resolved import Resolved

__all__ = ["again", "begin"]


def begin(config: TrainConfig) -> ImageProblem:
    """A new run's problem; draws the first weights from torch's global generator.

    Raises:
        OptionError: an option that the task would ignore.
        DataError: the images cannot be read, or cannot be learnt from.
    """
    _check_scale(config)
    data = load(config)
    _check_memory(config, data)
    make = begin_segmentation if data.schema.task == "segmentation" else begin_classify
    return make(config, data)


def _check_scale(config: TrainConfig) -> None:
    """Refuse images of a size that not one of them fits into memory, which reading them would find out."""
    one = config.image_size**2 * 3
    require(Footprint(0, one, 1, f"image of {config.image_size} pixels a side", 4, "--image-size"), "sgd")


def _check_memory(config: TrainConfig, data: ImageData) -> None:
    if not config.hidden:
        return  # the network says what is wrong with that
    schema, pixels = data.schema, data.schema.edges[0] * data.schema.edges[1]
    is_masked = schema.task == "segmentation"
    counts = (u_net if is_masked else conv_net)(schema.channels, config.hidden, schema.num_outputs, pixels)
    items = len(data.train)
    if is_masked:
        tiles = (tiles_in(data.train.size(index), schema.edges) for index in range(len(data.train)))
        items = sum(down * across for down, across in tiles)
    remedy = "--batch-size, --tile" if is_masked else "--batch-size, --image-size"
    batch = min(config.batch_size, max(1, items))
    require(Footprint(*counts, batch, "tile" if is_masked else "image", 4, remedy), config.optimizer)


def again(config: TrainConfig, resolved: Resolved) -> ImageProblem:
    """The problem of a run that goes on; its weights come from a checkpoint.

    Raises:
        DataError: the images cannot be read.
    """
    data = load(config)
    _check_memory(config, data)
    make = segmentation_again if data.schema.task == "segmentation" else classify_again
    return make(config, resolved, data)
