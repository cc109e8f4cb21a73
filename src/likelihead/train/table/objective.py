"""The loss that a table's run is trained by: its likelihood, and what the options make of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from likelihead.functional import binary_focal_loss, focal_loss
from likelihead.likelihoods import Categorical, Likelihood
from likelihead.likelihoods.imbalance import ClassCounts
from likelihead.train.config import TrainConfig
from likelihead.train.table.data import Schema
from likelihead.train.table.teacher import Teacher

__all__ = ["Objective", "log_prior", "prior_shift"]


class Objective:
    r"""The mean loss of a batch.

    Rows with weights s are divided by what a batch of B rows counts on the average of the training rows, not
    by what this one counts:

    .. math:: \frac{\sum_{i \in \text{batch}} s_i \ell_i}{B \bar n}, \qquad
              \bar n = \frac{1}{N} \sum_{i=1}^{N} s_i n_i

    A row then pulls by its weight whatever rows are beside it, and the gradients of an epoch add up to that
    of the weighted mean over all rows. Of a batch of all rows it is that mean.

    Args:
        config, schema: of the run.
        criterion: the likelihood that is trained, with its weights, its smoothing and its offset.
        teacher: whose probabilities are the targets, where there is one.
        count_per_row: :math:`\bar n`, where the rows have weights.
    """

    def __init__(
        self,
        config: TrainConfig,
        schema: Schema,
        criterion: Likelihood,
        teacher: Teacher | None = None,
        *,
        count_per_row: float = 1.0,
    ) -> None:
        self.criterion, self.teacher, self.focal = criterion, teacher, config.focal
        self.count_per_row = count_per_row
        self.offset: float | None = None
        if schema.task == "binary" and config.logit_adjustment:
            # Of two logits the softmax sees the difference alone, and a Bernoulli has it as its one logit.
            no, yes = log_prior(schema).tolist()
            self.offset = config.logit_adjustment * (yes - no)

    def __call__(
        self, output: Tensor, target: Tensor, rows: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """The loss to be differentiated."""
        weighted: dict[str, Any] = {}
        if sample_weight is not None:
            weighted = {"sample_weight": sample_weight, "normalizer": len(target) * self.count_per_row}
        if self.teacher is not None:
            return self.teacher.loss(output, rows, **weighted)
        if self.offset is not None:
            output = output + self.offset
        if not self.focal:
            loss: Tensor = self.criterion(output, target, **weighted)
            return loss
        if isinstance(self.criterion, Categorical):
            weight, offset = self.criterion.weight, self.criterion.logit_offset
            return focal_loss(output, target, self.focal, weight=weight, logit_offset=offset, **weighted)
        pos_weight = self.criterion.pos_weight
        if isinstance(pos_weight, Tensor):
            # A yes that weighs more, and a mean that still divides by the rows.
            of_yes = torch.where(target > 0, pos_weight, torch.ones_like(target))
            weighted.setdefault("normalizer", len(target))
            weighted["sample_weight"] = of_yes if sample_weight is None else of_yes * sample_weight
        return binary_focal_loss(output, target, self.focal, **weighted)


def log_prior(schema: Schema) -> Tensor:
    """The logarithm of each class's share of the training rows, ``[C]``.

    A class without a row counts as :attr:`Schema.half_row`.
    """
    return ClassCounts.from_counts(schema.target.counts).logit_offset(smoothing=schema.half_row)


def prior_shift(config: TrainConfig, schema: Schema, class_weights: tuple[float, ...]) -> Tensor | None:
    r"""What the training has taken off the log prior in the network's logits, ``[C]``.

    Logit adjustment by :math:`\tau` trains :math:`z + \tau \log \pi` to predict the training rows, so z lacks
    that; balanced resampling and class weights w make the network learn the posterior under the prior
    :math:`\pi_k w_k`, so z lacks :math:`-\log w_k`, which is :math:`\log \pi_k` where they are balanced.
    Adding the shift to the logits gives those for the training's own frequencies of the classes.

    Returns:
        None where the task has no exclusive classes, or a class of weight 0 has no place in the prior.
    """
    if schema.task not in ("binary", "multiclass"):
        return None
    prior = log_prior(schema)
    shift = (config.logit_adjustment + (config.resample != "none")) * prior
    if not class_weights:
        return shift
    weights = torch.tensor(class_weights, dtype=prior.dtype)
    if schema.task == "binary":
        weights = torch.cat([torch.ones_like(weights), weights])
    return None if bool((weights == 0).any()) else shift - torch.log(weights)
