r"""Special functions whose usual forms cancel: what is left of a logarithm or of a gamma function.

Likelihoods of counts are differences of numbers of the size of :math:`y \log y`, which for a million leave
nothing in float32 and little in float64. Loader (2000), *Fast and accurate computation of binomial
probabilities*, takes the large parts out by hand; so is it done here.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["LOG_2PI", "log1p_excess", "psi_remainder", "softplus", "stirling_error"]

LOG_2PI = math.log(2 * math.pi)
_LARGE = 10.0
_SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_BOUND = 0.4
_TERMS = 18  # 0.25 ** 36 < 1e-21


def softplus(x: Tensor) -> Tensor:
    r""":math:`\log(1 + e^x)` to the last digit at both ends; ``F.softplus`` cuts it at 20.

    >>> softplus(torch.tensor([-40.0, 30.0], dtype=torch.float64))
    tensor([4.2484e-18, 3.0000e+01], dtype=torch.float64)
    """
    return -F.logsigmoid(-x)


def log1p_excess(x: Tensor) -> Tensor:
    r""":math:`\log(1 + x) - x`, with full relative accuracy around 0; never positive.

    >>> log1p_excess(torch.tensor([1e-8, 1.0], dtype=torch.float64))
    tensor([-5.0000e-17, -3.0685e-01], dtype=torch.float64)
    """
    is_small = x.abs() < _BOUND
    # Each branch sees 0 where the other is taken, so that no infinity enters its gradient.
    small = torch.where(is_small, x, 0)
    r = small / (2 + small)  # log(1 + x) = 2 atanh(r)
    square = r * r
    series = torch.full_like(r, 1 / (2 * _TERMS + 3))
    for k in range(_TERMS, 0, -1):
        series = 1 / (2 * k + 1) + square * series
    large = torch.where(is_small, 0, x)
    return torch.where(is_small, r * (2 * square * series - small), torch.log1p(large) - large)


def stirling_error(x: Tensor) -> Tensor:
    r"""What Stirling's formula leaves of :math:`\log x!` for :math:`x > 0`.

    .. math:: \delta(x) = \log \Gamma(x + 1) - (x + \tfrac12) \log x + x - \tfrac12 \log 2\pi

    >>> stirling_error(torch.tensor([1.0, 1e6], dtype=torch.float64))
    tensor([8.1061e-02, 8.3333e-08], dtype=torch.float64)
    """
    is_large = x > _LARGE
    large = torch.where(is_large, x, _LARGE)
    inverse = 1 / large
    square = inverse * inverse
    series = torch.full_like(large, _SERIES[-1])
    for coefficient in reversed(_SERIES[:-1]):
        series = coefficient + square * series
    small = torch.where(is_large, 1.0, x)
    direct = torch.lgamma(small + 1) - (small + 0.5) * torch.log(small) + small - 0.5 * LOG_2PI
    return torch.where(is_large, inverse * series, direct)


def psi_remainder(x: Tensor) -> Tensor:
    r""":math:`\log x - \frac{1}{2x} - \psi(x)`, the derivative of minus `stirling_error`, for :math:`x > 0`.

    >>> psi_remainder(torch.tensor([1.0, 1e3], dtype=torch.float64))
    tensor([7.7216e-02, 8.3333e-08], dtype=torch.float64)
    """
    is_large = x > _LARGE
    large = torch.where(is_large, x, _LARGE)
    square = 1 / (large * large)
    series = torch.full_like(large, _SERIES[-1] * (2 * len(_SERIES) - 1))
    for k in range(len(_SERIES) - 1, 0, -1):
        series = _SERIES[k - 1] * (2 * k - 1) + square * series
    small = torch.where(is_large, 1.0, x)
    direct = torch.log(small) - 0.5 / small - torch.digamma(small)
    return torch.where(is_large, square * series, direct)
