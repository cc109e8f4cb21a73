"""Segmentation: a class for each pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.likelihoods import Categorical, Likelihood
from likelihead.train.config import TrainConfig
from likelihead.train.images.network import build_model, criterion
from likelihead.train.images.overlap import check_overlap_options, overlap_loss, overlap_words
from likelihead.train.images.pictures import CACHE_BYTES, as_batch
from likelihead.train.images.problem import ImageProblem, resolve
from likelihead.train.images.schema import IGNORE
from likelihead.train.images.survey import ImageData
from likelihead.train.images.tally import PixelTally, as_target, constant_nll, pixel_nll
from likelihead.train.images.tiles import cut, drawn_starts, pieces, tiles_in
from likelihead.train.label_prior import label_prior
from likelihead.train.options import BY_NAME
from likelihead.train.problem import Measured
from likelihead.train.resolved import Resolved
from likelihead.train.table.weights import class_weights

__all__ = ["SegmentationProblem", "begin_segmentation", "segmentation_again"]


def begin_segmentation(config: TrainConfig, data: ImageData) -> SegmentationProblem:
    """A new run's problem; draws the first weights from torch's global generator.

    Raises:
        DataError, OptionError: the class weights are not right, or an overlap loss or a prior of labels is
            given that nothing uses.
    """
    check_overlap_options(config)
    weights = class_weights(config.class_weight, data.schema.as_table())
    prior = _label_prior(config, data)
    model, likelihood, unweighted, resolved = resolve(config, data, weights, prior)
    for each in (likelihood, unweighted):
        each.summary = _summary(each, data.schema.counts)
    likelihood.init_bias_(model.head)
    constant = tuple(unweighted.best_constant().tolist())
    counts = np.array(data.test_counts, dtype=np.float64)
    costs = constant_nll(unweighted, data.schema, constant)
    resolved = replace(resolved, baseline_nll=float(counts @ costs / counts.sum()), constant=constant)
    return SegmentationProblem(config, resolved, data, model)


def segmentation_again(config: TrainConfig, resolved: Resolved, data: ImageData) -> SegmentationProblem:
    """The problem of a run that goes on; its weights come from a checkpoint."""
    likelihood = criterion(config, data.schema, resolved.class_weights, resolved.label_prior)
    return SegmentationProblem(config, resolved, data, build_model(config, data.schema, likelihood))


def _label_prior(config: TrainConfig, data: ImageData) -> tuple[float, ...]:
    """What the pixels of two classes are drawn towards.

    Raises:
        OptionError: a prior was given for several classes, over which smoothing spreads evenly.
    """
    if data.schema.is_binary:
        return label_prior(config, torch.tensor(data.schema.counts, dtype=torch.float64), 1)
    if config.label_prior != BY_NAME["label_prior"].default:
        raise OptionError(
            f"--label-prior {config.label_prior} is of a yes or no, and these masks have "
            f"{len(data.schema.names)} classes, over which --label-smoothing spreads evenly; leave it out"
        )
    return ()


def _summary(likelihood: Likelihood, counts: tuple[int, ...]) -> Tensor:
    """What ``from_targets`` would have seen on pixels of these counts."""
    pixels = torch.tensor(counts, dtype=torch.float64)
    return torch.stack([pixels, torch.zeros_like(pixels)]) if isinstance(likelihood, Categorical) else pixels


class SegmentationProblem(ImageProblem):
    """A U-Net, trained on tiles and tested on whole images."""

    score_name = "test_mean_iou"
    unit = "pixel"

    @property
    def steps_per_epoch(self) -> int:
        """One for each batch of tiles."""
        edges, train = self.data.schema.edges, self.data.train
        tiles = sum(int(np.prod(tiles_in(train.size(i), edges))) for i in range(len(train)))
        return -(-tiles // self.config.batch_size)

    def batches(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Tiles and their classes, ``[B, C, H, W]`` and ``[B, H, W]``."""
        train, schema, size = self.data.train, self.data.schema, self.config.batch_size
        places = self._places(epoch)
        for first in range(start * size, len(places), size):
            images, masks = [], []
            for index, top, left in places[first : first + size]:
                images.append(cut(train.image(index), top, left, schema.edges))
                masks.append(cut(train.mask(index), top, left, schema.edges, IGNORE))
            classes = torch.from_numpy(np.stack(masks).astype(np.int64))
            yield as_batch(images, schema.mean, schema.std), classes

    def _places(self, epoch: int) -> list[tuple[int, int, int]]:
        """The tiles of an epoch as (image, top, left), in an order in which few images are decoded twice.

        Images are shuffled and taken in groups that stay in memory together; the tiles of a group are
        shuffled again.
        """
        edges, train = self.data.schema.edges, self.data.train
        draw = np.random.default_rng([self.config.seed, 4, epoch])
        places: list[tuple[int, int, int]] = []
        group: list[tuple[int, int, int]] = []
        held = 0
        for index in draw.permutation(len(train)).tolist():
            height, width = train.size(index)
            size = height * width * (self.data.schema.channels * 2 + 2)
            if group and held + size > CACHE_BYTES // 2:
                places += [group[i] for i in draw.permutation(len(group))]
                group, held = [], 0
            down, across = tiles_in((height, width), edges)
            for top in drawn_starts(height, edges[0], down, draw):
                # Each row of tiles has cuts of its own, so that no line through the image is always a border.
                group += [(index, top, left) for left in drawn_starts(width, edges[1], across, draw)]
            held += size
        return places + [group[i] for i in draw.permutation(len(group))]

    def loss(self, batch: tuple[Tensor, Tensor], sums: dict[str, float]) -> Tensor:
        """The criterion, and an overlap loss if one was asked for.

        ``sums`` hold the plain NLL of the labelled pixels, and apart from it the overlap loss of the batches.
        """
        images, classes = batch
        logits = self.output(images)
        loss: Tensor = self.criterion(logits, as_target(classes, self.data.schema))
        count = int((classes != IGNORE).sum())
        if self._is_plain:
            total = float(loss.detach()) * count
        else:
            with torch.no_grad():
                nll = pixel_nll(self.plain, self.data.schema, logits.detach(), classes)
                total = float(nll.double().sum())
        sums["nll"] = sums.get("nll", 0.0) + total
        sums["count"] = sums.get("count", 0) + count
        if self.config.overlap != "none":
            overlap = overlap_loss(self.config, self.data.schema, logits, classes)
            if count:
                sums["overlap"] = sums.get("overlap", 0.0) + float(overlap.detach())
                sums["overlaps"] = sums.get("overlaps", 0) + 1
            loss = loss + self.config.overlap_weight * overlap
        return loss

    def end_epoch(self, sums: Mapping[str, float], kept: dict[str, float]) -> None:
        """The mean overlap loss of the epoch's batches, for the log."""
        if sums.get("overlaps"):
            kept["overlap"] = sums["overlap"] / sums["overlaps"]

    def summary(self) -> str:
        """The network, its likelihood, and what is added to it."""
        more = overlap_words(self.config)
        return f"{super().summary()}{f' + {more}' if more else ''}"

    def measure(self, kept: Mapping[str, float], pause: Callable[[], None] = lambda: None) -> Measured:
        """The mean test NLL per pixel, and the mean IoU."""
        tally = self.tally(pause)
        figures = tally.figures(self.resolved.constant)
        more = {"test_pixel_accuracy": figures["pixel_accuracy"]}
        if "overlap" in kept:
            more["train_overlap"] = kept["overlap"]
        return Measured(tally.mean_nll, tally.mean_iou, more)

    def tally(self, pause: Callable[[], None] = lambda: None) -> PixelTally:
        """Score the network on the test images."""
        tally, test, schema = PixelTally(self.plain, self.data.schema), self.data.test, self.data.schema
        self.model.eval()
        for piece in pieces(self.model, test, range(len(test)), schema.edges, schema.mean, schema.std):
            tally.add(self.scored(piece.logits), piece.classes(test))
            pause()
        return tally
