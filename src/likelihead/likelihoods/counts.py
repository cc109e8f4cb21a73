"""Class counts of targets, of a tensor or of a stream of batches."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import pad

from likelihead.errors import ShapeError, TargetError

__all__ = ["class_counts", "class_counts_of_stream"]


def class_counts(targets: Tensor, ignore_index: int, num_classes: int = 0) -> Tensor:
    """How often each class occurs, in float64.

    Args:
        targets: class indices of any shape, or probabilities with the classes along dimension 1.
        ignore_index: the index that is not counted.
        num_classes: the least number of columns.

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
        mass = targets.double().movedim(1, -1).flatten(0, -2).sum(0)
        return torch.stack([torch.zeros_like(mass), mass])
    indices = targets.long().flatten()
    indices = indices[indices != ignore_index]
    if indices.numel() and int(indices.min()) < 0:
        raise TargetError(
            f"targets hold {int(indices.min())}; expected class indices from 0 up, or "
            f"ignore_index={ignore_index}.",
            code="LH203",
        )
    counts = torch.bincount(indices, minlength=num_classes).double()
    return torch.stack([counts, torch.zeros_like(counts)])


def class_counts_of_stream(batches: Iterable[Tensor], ignore_index: int) -> Tensor:
    """The counts of all batches together, with as many columns as there are classes in any of them."""
    total = torch.zeros(2, 0, dtype=torch.float64)
    for batch in batches:
        part = class_counts(batch, ignore_index).to(total.device)
        width = max(total.shape[1], part.shape[1])
        total = pad(total, (0, width - total.shape[1])) + pad(part, (0, width - part.shape[1]))
    return total
