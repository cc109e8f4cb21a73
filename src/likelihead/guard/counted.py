"""What of a call the checks of values look at: not a class that cannot be, nor an example of weight 0."""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.guard.report import Finding, LossName, shape_text
from likelihead.guard.shape import CLASS_LOSSES

__all__ = ["masked_target", "that_count"]


@torch.no_grad()
def masked_target(
    target: Tensor | None, where: Tensor, ignore_index: int | None, sample_weight: Tensor | None
) -> Finding | None:
    """LH208: the target's class is one that ``where`` says the example cannot have, or it can have none."""
    if target is None or where.numel() == 0:
        return None
    dim = 1 if where.ndim > 1 else 0
    if target.is_floating_point():
        bad = ((target != 0) & ~where).any(dim) | ~where.any(dim)
    else:
        index = target.long()
        inside = (index >= 0) & (index < where.shape[dim])
        safe = torch.where(inside, index, 0).unsqueeze(dim)
        bad = inside & ~where.gather(dim, safe).squeeze(dim)
        if ignore_index is not None:
            bad &= index != ignore_index
    if sample_weight is not None:
        bad &= _counting(sample_weight, bad)
    if not bool(bad.any()):
        return None
    place = tuple(int(i) for i in bad.nonzero()[0])
    at = "" if not place else f" at {shape_text(place)}"
    what = "has a share on a class" if target.is_floating_point() else f"is {int(target[place])}{at}, a class"
    detail = f"The target {what} where `where` is False ({int(bad.sum())} of {bad.numel()} examples)."
    return Finding("LH208", detail)


@torch.no_grad()
def that_count(
    loss: LossName,
    input: Tensor,
    target: Tensor | None,
    mask: Tensor | None,
    where: Tensor | None,
    sample_weight: Tensor | None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Input, target and mask of the examples and classes that count, with harmless numbers for the rest."""
    by_class = loss in CLASS_LOSSES and input.ndim > 1
    if sample_weight is not None:
        rows = input[:, 0] if by_class else input
        counting = _counting(sample_weight, rows)
        if not by_class:
            mask = counting.expand_as(input) if mask is None else mask & counting
        counting = counting.unsqueeze(1) if by_class else counting
        input = torch.where(counting | input.isfinite(), input, 0)
        if target is not None and target.is_floating_point() and target.ndim == input.ndim:
            target = torch.where(counting | target.isfinite(), target, 0)
    if where is not None:
        input = torch.where(where, input, -torch.inf)
    return input, target, mask


def _counting(sample_weight: Tensor, like: Tensor) -> Tensor:
    weight = sample_weight.detach()
    return (weight != 0).reshape(*weight.shape, *[1] * (like.ndim - weight.ndim)).expand(like.shape)
