"""The best constant prediction of a categorical likelihood: what it scores, and the bias that makes it."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from likelihead.likelihoods.counts import seen_or

__all__ = ["baseline", "best_bias"]


class _Options(Protocol):
    """What a `Categorical` says of its classes."""

    num_classes: int
    label_smoothing: float
    softcap: float | None
    weight: Tensor | None
    logit_offset: Tensor | None


def baseline(options: _Options, summary: Tensor) -> Tensor:
    """The mean NLL of the best constant prediction; 0 where nothing counts.

    Args:
        options: the likelihood.
        summary: ``[2, C]``, the counts of class indices and the sums of probability targets.
    """
    weight = None if options.weight is None else options.weight.to(summary)
    share = _share_of_loss(options, summary.sum(0), weight)
    of_indices, of_probabilities = summary
    count = (of_indices if weight is None else of_indices * weight).sum() + of_probabilities.sum()
    nll = -torch.special.xlogy(share, share / share.sum()).sum()
    return torch.where(count > 0, nll / count, torch.zeros_like(nll))


def best_bias(options: _Options, summary: Tensor, smoothing: float) -> Tensor:
    """The logits of the best constant prediction, a class that was never seen counted as ``smoothing``."""
    # A class of weight 0 is never scored: any bias is best, and its frequency is a finite one.
    weight = None if options.weight is None else torch.where(options.weight == 0, 1, options.weight)
    counts = seen_or(summary.sum(0), smoothing)
    share = _share_of_loss(options, counts, None if weight is None else weight.to(summary))
    bias = torch.log(share / share.sum())
    if options.logit_offset is not None:
        # A class that an offset of -inf takes out keeps a finite bias.
        bias = bias - options.logit_offset.to(bias).nan_to_num(neginf=0.0)
    if options.softcap is not None:
        # The cap itself is out of reach; this is as near as a finite bias should go.
        bias = options.softcap * torch.atanh((bias / options.softcap).clamp(-0.999, 0.999))
    return bias


def _share_of_loss(options: _Options, counts: Tensor, weight: Tensor | None) -> Tensor:
    """How much each class weighs in the sum of the losses."""
    smoothing = options.label_smoothing
    share = (1 - smoothing) * counts + smoothing / options.num_classes * counts.sum()
    return share if weight is None else share * weight
