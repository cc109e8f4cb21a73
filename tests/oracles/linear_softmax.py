"""A linear head and its softmax in float64, by the formulas, with its logits whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mpmath import mp, mpf
from torch import Tensor


@dataclass
class Given:
    """One call. Every tensor that is not an index is float64; what is not given is what changes nothing."""

    hidden: Tensor
    head: Tensor
    target: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    weight: Tensor | None = None
    label_smoothing: float = 0.0
    ignore_index: int = -100
    z_loss: float = 0.0
    softcap: float | None = None
    logit_offset: Tensor | None = None
    torch_nonfinite: bool = False  # about numbers that are not finite; there are none here
    where: Tensor | None = None
    focal_gamma: float = 0.0
    sample_weight: Tensor | None = None


def values(given: Given) -> tuple[Tensor, Tensor, Tensor]:
    """Negative log-likelihood, logsumexp and entropy of each token; 0 for one that is left out."""
    rows = kept(given).nonzero().flatten()
    z = given.hidden[rows] @ given.head.T
    if given.bias is not None:
        z = z + given.bias
    z = z * given.scale
    if given.softcap is not None:
        z = given.softcap * torch.tanh(z / given.softcap)
    if given.logit_offset is not None:
        z = z + given.logit_offset
    can_be = torch.ones_like(z, dtype=torch.bool) if given.where is None else given.where[rows]
    z = z.masked_fill(~can_be, -torch.inf)
    lse = torch.logsumexp(z, 1)
    cost = torch.where(can_be, lse.unsqueeze(1) - z, 0)  # the negative log-probabilities
    entropy = (torch.exp(-cost) * cost * can_be).sum(1)

    weight = torch.ones_like(z[:0].sum(0)) if given.weight is None else given.weight
    smooth = given.label_smoothing * can_be / can_be.sum(1, keepdim=True)
    if given.target.is_floating_point():
        nll = (weight * ((1 - given.label_smoothing) * given.target[rows] + smooth) * cost).sum(1)
    else:
        index = given.target[rows].long().unsqueeze(1)
        of_target = cost.gather(1, index).squeeze(1)
        if given.focal_gamma:
            of_target = of_target * (-torch.expm1(-of_target)) ** given.focal_gamma
        nll = (1 - given.label_smoothing) * weight[index.squeeze(1)] * of_target
        nll = nll + (weight * smooth * cost).sum(1)
    nll = nll + given.z_loss * lse**2
    if given.sample_weight is not None:
        nll = nll * given.sample_weight[rows]
    nothing = given.hidden.new_zeros(given.hidden.shape[0])
    return tuple(nothing.index_put((rows,), of) for of in (nll, lse, entropy))  # type: ignore[return-value]


def cost(given: Given) -> Tensor:
    """The negative log-probability of each target, infinite where it cannot be."""
    if given.where is None:
        return values(given)[0]
    can_be = given.where.gather(1, given.target[:, None])[:, 0]
    return torch.where(can_be, values(given)[0], torch.inf)


def kept(given: Given) -> Tensor:
    """Which tokens count."""
    counts = torch.ones(given.hidden.shape[0], dtype=torch.bool)
    if not given.target.is_floating_point():
        counts &= given.target.long() != given.ignore_index
    if given.sample_weight is not None:
        counts &= given.sample_weight != 0
    return counts


def count(given: Given) -> Tensor:
    """What the mean divides by."""
    each = kept(given).double()
    if given.weight is not None and not given.target.is_floating_point():
        each = each * given.weight[torch.where(kept(given), given.target.long(), 0)]
    return each.sum() if given.sample_weight is None else (each * given.sample_weight).sum()


def entropy(logits: Sequence[float]) -> tuple[float, list[float]]:
    """The entropy of one token's distribution and its gradient by the logits, each with all its digits."""
    with mp.workdps(60):
        exps = [mp.exp(mpf(z)) for z in logits]
        log_p = [mp.log(e / mp.fsum(exps)) for e in exps]
        found = -mp.fsum(mp.exp(lp) * lp for lp in log_p)
        return float(found), [float(-mp.exp(lp) * (lp + found)) for lp in log_p]
