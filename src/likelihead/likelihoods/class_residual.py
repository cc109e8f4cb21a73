"""The residual of a categorical likelihood: the gradient of its NLL by the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from likelihead.core.links import at_least_float32, with_spare_digits
from likelihead.core.sample_weight import weigh, without_left_out
from likelihead.likelihoods.target_share import target_share

if TYPE_CHECKING:
    from likelihead.likelihoods.categorical import Categorical

__all__ = ["finite", "residual"]


def residual(
    likelihood: Categorical,
    logits: Tensor,
    target: Tensor,
    sample_weight: Tensor | None,
    where: Tensor | None,
) -> Tensor:
    """See `Categorical.residual`; of a target that has been checked."""
    dtype = at_least_float32(logits).dtype
    logits, target = finite(with_spare_digits(logits), target, sample_weight)
    share, kept = target_share(likelihood, target, logits, where)
    if likelihood.takes_log_probs:
        gradient = -share
        if where is not None:
            # Masked log-probabilities are normalised anew.
            gradient = share.sum(1, keepdim=True) * likelihood.probs(logits, where=where) - share
    else:
        z = likelihood._effective(logits, where)
        p, total = likelihood.link.inverse(z, 1), share.sum(1, keepdim=True)
        gradient = (total - share) * p - share * likelihood.link.complement(z, 1)
        if likelihood.z_loss:
            gradient = gradient + 2 * likelihood.z_loss * torch.logsumexp(z, 1, keepdim=True) * p
        if likelihood.softcap is not None:
            gradient = gradient / torch.cosh(logits / likelihood.softcap).square()
    if where is not None:
        gradient = torch.where(where, gradient, 0)
    if kept is not None:
        gradient = torch.where(kept.unsqueeze(1), gradient, torch.zeros_like(gradient))
    if sample_weight is not None:
        gradient = weigh(gradient, sample_weight.unsqueeze(1))
    return gradient.to(dtype)


def finite(logits: Tensor, target: Tensor, sample_weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Finite logits and targets in the examples of weight 0."""
    if sample_weight is None:
        return logits, target
    weight = sample_weight.unsqueeze(1)
    return without_left_out(logits, weight), without_left_out(target, weight)
