"""How far rounding may carry a sum of probabilities from one."""

from __future__ import annotations

import torch

__all__ = ["PRIOR_TOLERANCE", "sum_tolerance"]

PRIOR_TOLERANCE = 1.001e-3
"""For shares that a person has written down: three decimals each, as in 0.333, 0.333, 0.333."""

# Rounding of each term, over a long row, and of the softmax that made it.
_OF_DTYPE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
_SPACING = 2.0**-24  # of the smallest float16 numbers


def sum_tolerance(dtype: torch.dtype, terms: int = 1) -> float:
    """The tolerance for a sum of so many probabilities that were rounded to this dtype.

    Below 6e-5 a float16 number has an absolute error, which adds up over a vocabulary.

    >>> sum_tolerance(torch.float32)
    0.0001
    """
    tolerance = _OF_DTYPE.get(dtype, 1e-4)
    return tolerance + terms * _SPACING / 2 if dtype is torch.float16 else tolerance
