"""From per-example values to the number that is reported: one place that knows (sum, count)."""

from __future__ import annotations

from numbers import Real
from typing import Literal

import torch
from torch import Tensor

from likelihead.core.devices import check_devices
from likelihead.core.options import shown
from likelihead.errors import DTypeError, OptionError, ShapeError

__all__ = ["Normalizer", "Reduction", "check_reduction", "reduce"]

Reduction = Literal["none", "sum", "mean"]
Normalizer = float | int | Tensor

_REDUCTIONS = ("none", "sum", "mean")
_NUMBERS = (int, float, Real, torch.SymInt, torch.SymFloat)  # numpy's are Real


def check_reduction(reduction: object, normalizer: object = None) -> None:
    """Refuse an unknown reduction, and a normalizer that is no number or has nothing to divide.

    Raises:
        OptionError: the reduction is not one of none, sum, mean; or a normalizer is given without mean, or is
            a negative number or NaN.
        ShapeError: a normalizer of several numbers, or of one in a list.
        DTypeError: a normalizer that is no real number.
    """
    if not isinstance(reduction, str) or reduction not in _REDUCTIONS:
        raise OptionError(f"reduction is {_named(reduction)}; expected 'none', 'sum' or 'mean'.")
    if normalizer is None:
        return
    if reduction != "mean":
        raise OptionError(
            f"normalizer= replaces the count of reduction='mean', but reduction is {reduction!r}; "
            "leave normalizer out, or use reduction='mean'."
        )
    if isinstance(normalizer, Tensor):
        if normalizer.dim() > 0:
            raise ShapeError(
                f"normalizer has shape {list(normalizer.shape)}; expected a number or a 0-d tensor, such as "
                "normalizer.sum()."
            )
        if normalizer.dtype is torch.bool or normalizer.is_complex():
            raise DTypeError(
                f"normalizer is {normalizer.dtype}; expected a real number or a 0-d tensor of one."
            )
    elif isinstance(normalizer, bool) or not isinstance(normalizer, _NUMBERS):
        raise DTypeError(
            f"normalizer is {shown(normalizer)}; expected a real number or a 0-d tensor of one, "
            "such as the number of targets that count."
        )
    elif not normalizer >= 0:  # type: ignore[operator]  # of numbers.Real too
        raise OptionError(
            f"normalizer is {normalizer}; expected a number that is not negative, which would turn the loss "
            "round."
        )


def _named(reduction: object) -> str:
    return repr(reduction) if isinstance(reduction, str) else shown(reduction)


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
        empty: what the mean over a count, or a normalizer, of zero is: ``"nan"``, torch's division by zero,
            or ``"zero"``, whatever the values are, still connected to the graph.

    Returns:
        A tensor of the values' dtype, also where ``count`` or ``normalizer`` is a wider one.

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
    if empty == "nan":
        mean = total / denominator
    elif isinstance(denominator, Tensor):
        nothing = denominator == 0
        # Divided by one where it is dropped, so that no NaN enters the gradient.
        mean = _zero_where(nothing, total / torch.where(nothing, 1, denominator))
    elif denominator:
        mean = total / denominator
    else:
        mean = _zero_where(torch.ones_like(total, dtype=torch.bool), total)
    return mean if mean.dtype is total.dtype else mean.to(total.dtype)  # a float64 count does not widen it


def _zero_where(nothing: Tensor, mean: Tensor) -> Tensor:
    """0 for whatever the mean is, an infinity too, with gradient 0."""
    return torch.where(nothing.to(mean.device), 0, mean)
