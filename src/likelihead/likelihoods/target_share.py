"""How much each class weighs in the loss of a categorical target, and the loss of ready log-probabilities."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from likelihead.kernels.ops import along_classes, shared

__all__ = ["nll_of_log_probs", "target_share"]


class _Options(Protocol):
    """What a `Categorical` says of its targets."""

    num_classes: int
    ignore_index: int
    label_smoothing: float
    weight: Tensor | None


def target_share(
    options: _Options, target: Tensor, like: Tensor, where: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """How much each class weighs in the NLL, in the logits' shape; and which targets are kept.

    Args:
        options: the likelihood: its smoothing, weight and ignored index.
        target: class indices, int64, or probabilities of the shape of ``like``.
        like: the logits.
        where: the classes that an example can have, over which its smoothing is spread.
    """
    kept: Tensor | None = None
    if target.is_floating_point():
        share = target.to(like.dtype)
    else:
        kept = target != options.ignore_index
        index = torch.where(kept, target, torch.zeros_like(target)).unsqueeze(1)
        share = torch.zeros_like(like).scatter(1, index, 1.0)
    if options.label_smoothing:
        each: Tensor | float = options.label_smoothing / options.num_classes
        if where is not None:
            each = torch.where(where, options.label_smoothing / where.sum(1, keepdim=True), 0)
        share = share * (1 - options.label_smoothing) + each
    if options.weight is not None:
        share = share * along_classes(options.weight.to(like.dtype), like)
    return share, kept


def nll_of_log_probs(
    options: _Options, log_probs: Tensor, target: Tensor, where: Tensor | None = None
) -> Tensor:
    """The NLL of each target under ready log-probabilities; 0 where it is ignored."""
    if not target.is_floating_point() and not options.label_smoothing:
        kept = target != options.ignore_index
        index = torch.where(kept, target, torch.zeros_like(target))
        nll = -log_probs.gather(1, index.unsqueeze(1)).squeeze(1)
        if options.weight is not None:
            nll = shared(options.weight.to(nll.dtype)[index], nll)
        return torch.where(kept, nll, torch.zeros_like(nll))
    share, scored = target_share(options, target, log_probs, where)
    nll = -shared(share, log_probs).sum(1)
    return nll if scored is None else torch.where(scored, nll, torch.zeros_like(nll))
