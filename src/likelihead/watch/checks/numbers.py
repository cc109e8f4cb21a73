"""A few numbers of a tensor in the processor's memory, held against what is known of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from likelihead.watch.kinds.rules import LOGARITHMS
from likelihead.watch.tags import Tag

__all__ = ["Numbers", "numbers"]

_MOST = 1 << 22  # numbers; of a larger tensor some rows are looked at
_SLACK = {torch.float16: 1e-2, torch.bfloat16: 3e-2}


@dataclass(frozen=True)
class Numbers:
    """Smallest and largest of the numbers, of the sums along a dimension and of the log-sum-exps along it.

    Attributes:
        slack: how far rounding may carry a probability.
    """

    smallest: float
    largest: float
    sum_low: float
    sum_high: float
    lse_low: float
    lse_high: float
    slack: float

    @property
    def log_normalised(self) -> bool:
        """Whether these are log-probabilities along the dimension, all of them."""
        return max(abs(self.lse_low), abs(self.lse_high)) <= self.slack

    def values(self, tag: Tag) -> dict[str, float]:
        """For programs."""
        found = {"smallest": self.smallest, "largest": self.largest}
        if tag.kind == "softmax":
            found |= {"smallest_row_sum": self.sum_low, "largest_row_sum": self.sum_high}
        elif tag.kind in LOGARITHMS or tag.kind == "layer":
            found |= {"smallest_row_logsumexp": self.lse_low, "largest_row_logsumexp": self.lse_high}
        return found

    def text(self, tag: Tag) -> str:
        """In words."""
        text = f"its values lie between {self.smallest:.4g} and {self.largest:.4g}"
        if tag.kind == "softmax" and tag.dim is not None:
            low, high = f"{self.sum_low:.4g}", f"{self.sum_high:.4g}"
            sums = (
                f"and sum to {low} over it" if low == high else f"their sums over it between {low} and {high}"
            )
            return f"{text}, {sums}"
        if tag.kind == "layer":
            return (
                f"{text}, and the log-sum-exp of its rows between {self.lse_low:.4g} and "
                f"{self.lse_high:.4g}, where that of log-probabilities is 0"
            )
        return text


def numbers(input: Tensor, dim: int) -> Numbers | None:
    """Look; None for a tensor on a device, which would have to be waited for, and for one that is no number.

    Called outside every mode and without gradients.
    """
    if input.device.type != "cpu" or not input.is_floating_point() or not input.numel():
        return None
    if torch._C._len_torch_dispatch_stack() > 0:
        return None  # a mode of the script would see it
    values = input.detach()
    if values.dim() == 0:
        values = values.reshape(1)
    dim = min(dim, values.dim() - 1)
    if values.numel() > _MOST:
        along = 0 if dim != 0 else values.dim() - 1
        if along != dim:
            values = values.narrow(along, 0, max(1, values.size(along) * _MOST // values.numel()))
    wide = values.to(torch.promote_types(values.dtype, torch.float32))
    smallest, largest = (float(value) for value in wide.aminmax())
    if not (math.isfinite(largest) and not math.isnan(smallest)):
        return None
    sums, lse = wide.sum(dim).aminmax(), wide.logsumexp(dim).aminmax()
    slack = _slack(input.dtype, wide)
    return Numbers(smallest, largest, float(sums[0]), float(sums[1]), float(lse[0]), float(lse[1]), slack)


def _slack(dtype: torch.dtype, values: Tensor) -> float:
    """As wide as that of a narrower dtype where all numbers have come from there, out of autocast."""
    if dtype not in _SLACK:
        narrow = (one for one in _SLACK if torch.equal(values.to(one).to(values.dtype), values))
        dtype = next(narrow, dtype)
    return _SLACK.get(dtype, 1e-3)
