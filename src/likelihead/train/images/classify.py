"""Images with one class or several labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from likelihead.train.config import TrainConfig
from likelihead.train.images.network import build_model, criterion, plain
from likelihead.train.images.pictures import Side, as_batch
from likelihead.train.images.problem import ImageProblem, resolve
from likelihead.train.images.schema import ImageSchema
from likelihead.train.images.survey import ImageData
from likelihead.train.label_prior import label_prior
from likelihead.train.problem import Measured
from likelihead.train.resolved import Resolved
from likelihead.train.table.data.schema import Schema
from likelihead.train.table.means import Mean
from likelihead.train.table.metrics import Tally, known_rows
from likelihead.train.table.network import row_nll
from likelihead.train.table.weights import class_weights

__all__ = ["EVAL_BATCH", "ClassifyProblem", "begin_classify", "classify_again", "image_batches", "targets_of"]

EVAL_BATCH = 64


def targets_of(side: Side) -> Tensor:
    """The targets of a side's images: class indices ``[N]``, or labels ``[N, L]``."""
    return torch.from_numpy(np.stack([side.target(index) for index in range(len(side))]))


def image_batches(side: Side, schema: ImageSchema) -> Iterator[tuple[Tensor, list[int]]]:
    """The images of a side in order, as the network takes them, and their numbers."""
    for first in range(0, len(side), EVAL_BATCH):
        numbers = list(range(first, min(first + EVAL_BATCH, len(side))))
        yield as_batch([side.image(index) for index in numbers], schema.mean, schema.std), numbers


def begin_classify(config: TrainConfig, data: ImageData) -> ClassifyProblem:
    """A new run's problem; draws the first weights from torch's global generator.

    Raises:
        DataError, OptionError: the class weights are not right.
    """
    table, targets = data.schema.as_table(), targets_of(data.train)
    weights = _weights(config.class_weight, table, targets)
    summary = plain(config, data.schema).summarise(targets) if table.task == "multilabel" else None
    prior = label_prior(config, summary, data.schema.num_outputs)
    model, likelihood, unweighted, resolved = resolve(config, data, weights, prior)
    likelihood.init_bias_(model.head, targets)
    constant = unweighted.best_constant(targets)
    baseline, tests = Mean(), targets_of(data.test)
    some = known_rows(tests)
    tests = tests if some is None else tests[some]
    baseline.add(row_nll(unweighted, table, constant.expand(len(tests), -1), tests))
    resolved = replace(resolved, baseline_nll=baseline.value, constant=tuple(constant.tolist()))
    return ClassifyProblem(config, resolved, data, model)


def _weights(option: str, table: Schema, targets: Tensor) -> tuple[float, ...]:
    """The class weights; of a label by the images that it is known of."""
    if table.task != "multilabel" or option not in ("balanced", "effective"):
        return class_weights(option, table)
    known = (~targets.isnan()).sum(0).tolist()
    one_by_one = (
        replace(table, train_rows=n, target=replace(table.target, names=(name,), counts=(yes,)))
        for name, yes, n in zip(table.target.names, table.target.counts, known, strict=True)
    )
    return tuple(class_weights(option, label)[0] for label in one_by_one)


def classify_again(config: TrainConfig, resolved: Resolved, data: ImageData) -> ClassifyProblem:
    """The problem of a run that goes on; its weights come from a checkpoint."""
    likelihood = criterion(config, data.schema, resolved.class_weights, resolved.label_prior)
    return ClassifyProblem(config, resolved, data, build_model(config, data.schema, likelihood))


class ClassifyProblem(ImageProblem):
    """A convolutional net on images that are scaled to one size."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.table = self.data.schema.as_table()
        self.score_name = "test_macro_f1" if self.data.schema.task == "multilabel" else "test_accuracy"

    @property
    def steps_per_epoch(self) -> int:
        """One for each batch of images."""
        return -(-len(self.data.train) // self.config.batch_size)

    def batches(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images ``[B, C, H, W]``, and class indices ``[B]`` or labels ``[B, L]``."""
        train, schema, size = self.data.train, self.data.schema, self.config.batch_size
        order = np.random.default_rng([self.config.seed, 4, epoch]).permutation(len(train)).tolist()
        for first in range(start * size, len(order), size):
            chosen = order[first : first + size]
            images = as_batch([train.image(index) for index in chosen], schema.mean, schema.std)
            yield images, torch.from_numpy(np.stack([train.target(index) for index in chosen]))

    def loss(self, batch: tuple[Tensor, Tensor], sums: dict[str, float]) -> Tensor:
        """The criterion; ``sums`` hold the plain NLL, summed over an image's labels."""
        images, target = batch
        logits = self.output(images)
        loss: Tensor = self.criterion(logits, target)
        with torch.no_grad():
            nll = row_nll(self.plain, self.table, logits.detach(), target)
            sums["nll"] = sums.get("nll", 0.0) + float(nll.double().sum())
            some = known_rows(target)
            sums["count"] = sums.get("count", 0) + (len(nll) if some is None else int(some.sum()))
        return loss

    def measure(self, kept: Mapping[str, float], pause: Callable[[], None] = lambda: None) -> Measured:
        """The mean test NLL per image, and the score: accuracy, or macro-F1 over the labels."""
        figures = self.tally(pause).figures()
        score = figures[self.score_name.removeprefix("test_")]
        more = {"test_exact_match": figures["exact_match"]} if self.data.schema.task == "multilabel" else {}
        return Measured(figures["nll"], math.nan if score is None else score, more)

    def tally(self, pause: Callable[[], None] = lambda: None) -> Tally:
        """Score the network on the test images."""
        tally = Tally(self.plain, self.table, self.resolved.constant, self.plain)
        self.model.eval()
        with torch.no_grad():
            for images, numbers in image_batches(self.data.test, self.data.schema):
                target = np.stack([self.data.test.target(index) for index in numbers])
                tally.add(self.scored(self.model(images)), torch.from_numpy(target))
                pause()
        return tally
