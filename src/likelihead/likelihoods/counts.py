"""Class counts of targets, of a tensor or of a stream of batches."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import pad

from likelihead.core.sample_weight import expand_sample_weight
from likelihead.errors import ShapeError, TargetError
from likelihead.likelihoods.checks import check_observed_weight

__all__ = ["class_counts", "class_counts_of_stream", "seen_or"]


def seen_or(counts: Tensor, smoothing: float) -> Tensor:
    """The counts, with ``smoothing`` for an outcome that was never seen.

    One that was seen is not touched, however little it counts: its share of the examples may be small where
    it has a part of a probability target, or where the examples have small weights.

    >>> seen_or(torch.tensor([0.0, 0.25, 3.0]), 0.5)
    tensor([0.5000, 0.2500, 3.0000])
    """
    return torch.where(counts == 0, smoothing, counts)


def class_counts(
    targets: Tensor, ignore_index: int, num_classes: int = 0, *, sample_weight: Tensor | None = None
) -> Tensor:
    """How often each class occurs, in float64.

    Args:
        targets: class indices of any shape, or probabilities with the classes along dimension 1.
        ignore_index: the index that is not counted.
        num_classes: the least number of columns.
        sample_weight: what each example counts as, a prefix of the shape of class indices.

    Returns:
        ``[2, C]``: the counts of class indices, and the total probabilities; the mean of a loss divides by
        the one with class weights and by the other without.

    >>> class_counts(torch.tensor([0, 2, 2, -100]), -100)
    tensor([[1., 0., 2.],
            [0., 0., 0.]], dtype=torch.float64)
    """
    if targets.is_floating_point():
        if targets.dim() < 2:
            raise ShapeError(
                f"targets have shape {list(targets.shape)} and dtype {targets.dtype}; expected probabilities "
                "[N, C, ...], or class indices as integers: targets.long()."
            )
        shares = targets.double().movedim(1, -1)
        weight = _weights(sample_weight, shares[..., 0])
        kept = torch.ones_like(shares) if weight is None else weight.unsqueeze(-1)
        kept = kept != 0
        wrong = ~((shares >= 0) & (shares <= 1 + _ROUNDING)) & kept
        if bool(wrong.any()):
            raise TargetError(
                f"targets of {targets.dtype} hold {shares[wrong][0].item()}; expected probabilities in "
                "[0, 1], the classes along dimension 1. Class indices are integers: targets.long().",
                code="LH202",
            )
        if weight is not None:
            shares = torch.where(kept, shares * weight.unsqueeze(-1), 0.0)
        mass = shares.flatten(0, -2).sum(0)
        return torch.stack([torch.zeros_like(mass), mass])
    weight = _weights(sample_weight, targets)
    indices = targets.long().flatten()
    kept = indices != ignore_index
    if weight is not None:
        kept = kept & (weight.flatten() != 0)
        weight = weight.flatten()[kept]
    indices = indices[kept]
    if indices.numel() and int(indices.min()) < 0:
        raise TargetError(
            f"targets hold {int(indices.min())}; expected class indices from 0 up, or "
            f"ignore_index={ignore_index}.",
            code="LH203",
        )
    counts = torch.bincount(indices, weights=weight, minlength=num_classes).double()
    return torch.stack([counts, torch.zeros_like(counts)])


_ROUNDING = 1e-3  # of probabilities in half precision


def _weights(sample_weight: Tensor | None, like: Tensor) -> Tensor | None:
    """One weight for each target, in float64, or None."""
    weight = check_observed_weight(sample_weight, like.shape)
    return None if weight is None else expand_sample_weight(weight.double(), like.double()).expand_as(like)


def class_counts_of_stream(batches: Iterable[tuple[Tensor, Tensor | None]], ignore_index: int) -> Tensor:
    """The counts of all batches together, with as many columns as there are classes in any of them."""
    total = torch.zeros(2, 0, dtype=torch.float64)
    for batch, weight in batches:
        part = class_counts(batch, ignore_index, sample_weight=weight).to(total.device)
        width = max(total.shape[1], part.shape[1])
        total = pad(total, (0, width - total.shape[1])) + pad(part, (0, width - part.shape[1]))
    return total
