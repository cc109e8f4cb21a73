r"""Entropies and Kullback-Leibler divergences from log-probabilities, without cancellation.

:math:`\sum_k p_k (\log p_k - \log q_k)` subtracts numbers that are almost equal when p is near q, and can
come out negative. Since both distributions sum to one, the same value is a sum of terms that are never
negative:

.. math:: \sum_k p_k \bigl(e^{d_k} - 1 - d_k\bigr), \qquad d_k = \log q_k - \log p_k

so an error in the log-probabilities counts to second order only.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["entropy_terms", "expm1_excess", "kl_terms"]

_SERIES_BOUND = 0.25
_SERIES_TERMS = 12  # 0.25**12 * 2 / 14! < 2e-18: below one unit in the last place of float64


def expm1_excess(d: Tensor) -> Tensor:
    r""":math:`e^d - 1 - d`, with full relative accuracy around 0.

    >>> expm1_excess(torch.tensor([1e-8, 1.0], dtype=torch.float64))
    tensor([5.0000e-17, 7.1828e-01], dtype=torch.float64)
    """
    is_small = d.abs() < _SERIES_BOUND
    # Each branch sees 0 where the other is taken, so that no infinity enters its gradient.
    small = torch.where(is_small, d, torch.zeros_like(d))
    series = torch.ones_like(small)
    for k in range(_SERIES_TERMS + 2, 2, -1):
        series = 1 + small / k * series
    large = torch.where(is_small, torch.zeros_like(d), d)
    return torch.where(is_small, 0.5 * small * small * series, torch.expm1(large) - large)


def entropy_terms(log_p: Tensor) -> Tensor:
    r""":math:`-p \log p` for each log-probability; 0 for an impossible outcome.

    >>> entropy_terms(torch.tensor([0.5]).log())
    tensor([0.3466])
    """
    finite = torch.where(log_p == -torch.inf, torch.zeros_like(log_p), log_p)
    return -torch.exp(log_p) * finite


def kl_terms(log_p: Tensor, log_q: Tensor) -> Tensor:
    r""":math:`p (e^d - 1 - d)` for each outcome, whose sum over the outcomes is KL(p || q).

    An outcome that p cannot have contributes q; one that only q cannot have makes the divergence infinite.

    >>> kl_terms(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()).sum()
    tensor(0.1438)
    """
    impossible = log_p == -torch.inf
    p, q = torch.exp(log_p), torch.exp(log_q)
    # Where p is 0 the difference would be +inf or NaN; the term's limit there is q.
    zero = torch.zeros_like(log_p)
    difference = torch.where(impossible, zero, log_q - log_p)
    # For a large difference e^d overflows, while p e^d = q is at most 1.
    is_large = difference > 1.0
    near = p * expm1_excess(torch.where(is_large, zero, difference))
    far = q - p - p * torch.where(is_large, difference, zero)
    return torch.where(impossible, q, torch.where(is_large, far, near))
