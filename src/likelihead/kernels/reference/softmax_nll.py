r"""Categorical negative log-likelihood in plain torch, with full relative accuracy.

The textbook forms ``logsumexp(x) - x_t`` and ``softmax(x)_t - 1`` subtract two nearly equal numbers when the
model is confident and right. Here the target's own term never enters a sum that it is later subtracted from:

- target is the largest logit: ``nll = log1p(rest / e_t)``, with ``rest`` the sum of the *other* exponentials;
- it is not: ``nll = (max - x_t) + log(total)``; both terms are non-negative and the result is at least log 2.

Autograd differentiates either form into ``-rest / total`` at the target and ``e_j / total`` elsewhere, again
without a cancellation, so no gradient is written by hand and every order of derivative exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from likelihead.core.overwritten import will_overwrite
from likelihead.core.reduction import Normalizer
from likelihead.core.sample_weight import expand_sample_weight, weigh
from likelihead.errors import OptionError
from likelihead.kernels.ops import (
    SoftmaxOptions,
    along_classes,
    compute_dtype,
    reduce_softmax_nll,
    shared,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["softmax_entropy", "softmax_loss", "softmax_nll", "softmax_prediction"]


def softmax_nll(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    z_loss: float = 0.0,
    softcap: float | None = None,
    logit_offset: Tensor | None = None,
    torch_nonfinite: bool = False,
    where: Tensor | None = None,
    focal_gamma: float = 0.0,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """See `likelihead.kernels.ops.SoftmaxNLL`."""
    dtype = compute_dtype(logits.dtype)
    z = logits.to(dtype)
    kept: Tensor | None = None
    if not target.is_floating_point():
        target = target.long()  # before comparing: in uint8 a class 156 would equal -100
        kept = target != ignore_index
        if not torch_nonfinite:
            # A row that is left out has no gradient; cut first, since an upstream 0 leaves 0 * NaN = NaN.
            z = torch.where(kept.unsqueeze(1), z, z.detach())
    if sample_weight is not None:
        counts = expand_sample_weight(sample_weight.detach(), z[:, 0]) != 0
        z = torch.where(counts.unsqueeze(1), z, z.detach())
        if kept is None:
            target = torch.where(counts.unsqueeze(1) | target.isfinite(), target, 0)
    z = _bent(z, softcap, logit_offset, where)
    if weight is not None:
        weight = weight.to(dtype)

    # Neither the maximum nor its index carries a gradient: the result does not depend on them.
    top, top_class = z.detach().max(1, keepdim=True)
    exps = _exp_of_difference(z, top)
    top = top.squeeze(1)
    lse_above_top = _log_of_total(exps, top_class)
    lse = top + lse_above_top
    times = torch.mul if torch_nonfinite else shared

    if kept is None:
        q = target.to(dtype)
        if label_smoothing and where is None:
            q = q * (1 - label_smoothing) + label_smoothing / z.shape[1]
        elif label_smoothing and where is not None:
            each = label_smoothing / where.sum(1, keepdim=True).to(dtype)
            q = q * (1 - label_smoothing) + torch.where(where, each, 0)
        if weight is not None:
            q = q * along_classes(weight, z)
        below_top = top.unsqueeze(1) - z
        if where is not None:
            below_top = torch.where((q == 0) & ~where, 0, below_top)
        nll = _every_class(times(q, below_top).sum(1), q.sum(1), lse_above_top)
        return weigh(_plus_z_loss(nll, lse, z_loss), sample_weight), lse

    index = torch.where(kept, target, 0)
    nll = _nll_of_class(z, exps, top, index)
    if focal_gamma:
        nll = _focal_factor(exps, index, nll, focal_gamma) * nll
    if weight is not None:
        nll = times(weight[index], nll)
    if label_smoothing:
        below_top = top.unsqueeze(1) - z
        classes: Tensor | int = z.shape[1]
        weight_sum: Tensor | int = classes if weight is None else weight.sum()
        if where is not None:
            below_top = torch.where(where, below_top, 0)
            classes = where.sum(1).to(dtype)
            weight_sum = classes if weight is None else (where * along_classes(weight, z)).sum(1)
        if weight is not None:
            below_top = times(along_classes(weight, z), below_top)
        every_class = _every_class(below_top.sum(1), weight_sum, lse_above_top)
        nll = (1 - label_smoothing) * nll + (label_smoothing / classes) * every_class
    return weigh(torch.where(kept, _plus_z_loss(nll, lse, z_loss), 0), sample_weight), lse


def softmax_entropy(
    logits: Tensor,
    *,
    softcap: float | None = None,
    logit_offset: Tensor | None = None,
    where: Tensor | None = None,
    **others: object,
) -> Tensor:
    r"""The entropy of the distribution of each example, in nats: :math:`-\sum_k p_k \log p_k`.

    With :math:`d_k` the gap of a logit to the largest it is :math:`\log \sum_k e^{-d_k} + \sum_k p_k d_k`:
    two terms that are not negative. The largest is left out of both sums, and its derivative is the others'
    with the sign turned: so they are accurate where it has nearly all of the probability. Of the options of
    `SoftmaxNLL` those that change the logits are regarded.
    """
    z = _bent(logits.to(compute_dtype(logits.dtype)), softcap, logit_offset, where)
    top, top_class = z.max(1, keepdim=True)
    gap = (top - z).scatter(1, top_class, 0)
    exps = torch.exp(-gap).scatter(1, top_class, 0)
    gap = torch.where(exps == 0, 0, gap)  # an infinite one has no share
    rest = exps.sum(1)
    return torch.log1p(rest) + (exps * gap).sum(1) / (1 + rest)


def softmax_prediction(
    logits: Tensor,
    *,
    softcap: float | None = None,
    logit_offset: Tensor | None = None,
    where: Tensor | None = None,
    **others: object,
) -> Tensor:
    """The first index of the largest logit of each example, of the options as in `softmax_entropy`."""
    z = logits.detach().to(compute_dtype(logits.dtype))
    return _bent(z, softcap, logit_offset, where).argmax(1)


def _bent(z: Tensor, softcap: float | None, logit_offset: Tensor | None, where: Tensor | None) -> Tensor:
    """The logits as they enter the softmax."""
    if where is not None:
        # Before anything is computed: what stands at a masked class may be NaN, and a NaN that is only left
        # out afterwards comes back in the gradient as 0 * NaN.
        z = torch.where(where, z, 0)
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    if logit_offset is not None:
        z = z + along_classes(logit_offset.to(z.dtype), z)
    return z if where is None else torch.where(where, z, -torch.inf)


def softmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    inplace_backward: bool = False,
    **options: Unpack[SoftmaxOptions],
) -> Tensor:
    """See `likelihead.kernels.ops.SoftmaxLoss`."""
    if will_overwrite(inplace_backward, logits):
        raise OptionError(
            "inplace_backward=True needs the native backend, and the reference backend serves this call "
            "(`likelihead.explain` says why); leave it out."
        )
    nll, _ = softmax_nll(logits, target, **options)
    return reduce_softmax_nll(nll, logits, target, reduction=reduction, normalizer=normalizer, **options)


def _focal_factor(exps: Tensor, index: Tensor, nll: Tensor, gamma: float) -> Tensor:
    r""":math:`(1 - p)^\gamma`, where 1 - p is the sum of the *other* exponentials' shares.

    Its derivative is that of :math:`\exp(\gamma \log(1 - p))`, which is bounded for any gamma where that of
    the power is not; its value is the power, with one rounding. The correction is a constant to autograd.
    """
    column = index.unsqueeze(1)
    rest = _sum_without(exps, column)
    total = rest + exps.gather(1, column).squeeze(1)
    none = rest == 0  # no other class is left: the factor is 0, and so are its derivatives
    factor = torch.exp(gamma * (torch.log(torch.where(none, 1, rest)) - torch.log(total)))
    power = (rest.detach() / total.detach()).pow(gamma)
    factor = factor * torch.where(factor.detach() == 0, 1, power / factor.detach())
    factor = torch.where(none, 0, factor)
    # Of an infinite loss only its own slope is left; 0 * inf would make that NaN.
    return torch.where(nll.detach().isinf(), factor.detach(), factor)


def _every_class(gap: Tensor, shares: Tensor | int, above: Tensor) -> Tensor:
    """The shares' gaps to the top, and the rest of their losses.

    An infinite share has an infinite loss, also at the top, where its gap is 0 and their product NaN.
    """
    rest = shares * above
    if not isinstance(shares, Tensor):
        return gap + rest
    infinite = shares.isinf() & above.isfinite()
    return torch.where(infinite, rest, gap + rest)


def _plus_z_loss(nll: Tensor, lse: Tensor, z_loss: float) -> Tensor:
    return nll + z_loss * lse.square() if z_loss else nll


def _nll_of_class(z: Tensor, exps: Tensor, top: Tensor, index: Tensor) -> Tensor:
    column = index.unsqueeze(1)
    z_t, exp_t = z.gather(1, column).squeeze(1), exps.gather(1, column).squeeze(1)
    rest = _sum_without(exps, column)
    is_top = z_t == top
    # `where` differentiates both branches; the one not taken must stay finite or its 0 * inf is NaN.
    right = torch.log1p(rest / torch.where(is_top, exp_t, 1))
    wrong = (top - z_t) + torch.log(torch.where(is_top, 1, rest + exp_t))
    return torch.where(is_top, right, wrong)


def _log_of_total(exps: Tensor, top_class: Tensor) -> Tensor:
    """``log(sum of exps)``, accurate also when the largest, which is 1, is nearly all of it.

    The value is that of log1p over the others; the gradient is that of the plain logarithm, ``e_j / total``,
    where log1p's would be ``1 - rest / total`` for the largest. The correction is a constant to autograd.
    """
    rest = _sum_without(exps, top_class)
    log_total = torch.log(rest + exps.gather(1, top_class).squeeze(1))
    correction = torch.log1p(rest.detach()) - log_total.detach()
    return log_total + correction


def _exp_of_difference(z: Tensor, top: Tensor) -> Tensor:
    """``exp(z - top)``, with the rounding error of the subtraction made good.

    At a difference of 60 half a unit in its last place is already 32 units of the exponential (float32).
    Knuth's two-sum recovers that error e exactly, and ``exp(d + e) = exp(d) * (1 + e)`` to first order.
    """
    difference = z - top
    x, d = z.detach(), difference.detach()
    back = d - x
    error = (x - (d - back)) - (top + back)
    error = error.nan_to_num(0.0, 0.0, 0.0)  # an infinite logit: the difference is exact, or NaN on its own
    return torch.exp(difference) * (1 + error)


def _sum_without(exps: Tensor, column: Tensor) -> Tensor:
    """The sum over the classes but for one, with one rounding instead of C.

    Adding and subtracting 1.5 C rounds each term to a multiple of at least 0.75 C times the dtype's epsilon,
    and C of those, of at most 1 each, add up exactly; what was rounded off is small, and summed apart (Rump,
    Ogita, Oishi 2008, "Accurate floating-point summation").
    """
    others = exps.scatter(1, column, 0)
    grid = 1.5 * exps.shape[1]
    coarse = (others.detach() + grid) - grid
    return coarse.sum(1) + (others - coarse).sum(1)
