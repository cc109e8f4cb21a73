"""From per-example values to the number that is reported: one place that knows (sum, count)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from likelihead.core.devices import check_devices
from likelihead.errors import OptionError, ShapeError

__all__ = ["Normalizer", "Reduction", "check_reduction", "reduce"]

Reduction = Literal["none", "sum", "mean"]
Normalizer = float | int | Tensor

_REDUCTIONS = ("none", "sum", "mean")


def check_reduction(reduction: str, normalizer: Normalizer | None = None) -> None:
    """Refuse an unknown reduction, and a normalizer where nothing is divided.

    Raises:
        OptionError: the reduction is not one of none, sum, mean; or a normalizer is given without mean.
        ShapeError: a normalizer of several numbers, or of one in a list.
    """
    if reduction not in _REDUCTIONS:
        raise OptionError(f"reduction is {reduction!r}; expected 'none', 'sum' or 'mean'.")
    if normalizer is not None and reduction != "mean":
        raise OptionError(
            f"normalizer= replaces the count of reduction='mean', but reduction is {reduction!r}; "
            "leave normalizer out, or use reduction='mean'."
        )
    if isinstance(normalizer, Tensor) and normalizer.dim() > 0:
        raise ShapeError(
            f"normalizer has shape {list(normalizer.shape)}; expected a number or a 0-d tensor, such as "
            "normalizer.sum()."
        )


def reduce(
    values: Tensor,
    reduction: str,
    *,
    count: Tensor | int | None = None,
    normalizer: Normalizer | None = None,
    empty: Literal["nan", "zero"] = "nan",
) -> Tensor:
    """Reduce per-example values.

    Args:
        values: per-example negative log-likelihoods, 0 where an example does not count.
        reduction: ``"none"`` returns ``values``; ``"sum"`` their sum; ``"mean"`` the sum divided by
            ``count`` (the sum of the weights of the examples that count; by default the number of values).
        count: what ``"mean"`` divides by.
        normalizer: a number or 0-d tensor that replaces ``count``, so that micro-batches, ranks and
            gradient accumulation divide by the same total.
        empty: what the mean over a count, or a normalizer, of zero is: ``"nan"``, torch's 0/0, or ``"zero"``,
            still connected to the graph.

    >>> reduce(torch.tensor([1.0, 2.0, 0.0]), "mean", count=2)
    tensor(1.5000)
    >>> reduce(torch.tensor([1.0, 2.0, 0.0]), "mean", normalizer=6)
    tensor(0.5000)
    """
    check_reduction(reduction, normalizer)
    if reduction == "none":
        return values
    total = values.sum()  # torch sums in cascade: the error grows with log(N), not with N
    if reduction == "sum":
        return total
    denominator: Normalizer = values.numel() if count is None else count
    if normalizer is not None:
        check_devices("the loss", total, scalars=("normalizer",), normalizer=normalizer)
        denominator = normalizer
    if empty == "zero":
        if isinstance(denominator, Tensor):
            denominator = torch.where(denominator == 0, torch.ones_like(denominator), denominator)
        else:
            denominator = denominator or 1
    return total / denominator
