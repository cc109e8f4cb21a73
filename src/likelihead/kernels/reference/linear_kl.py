r"""Divergence of two linear heads, by their logits: differentiable any number of times.

Where teacher and student are nearly equal, :math:`\sum p \log (p / q)` is a small sum of large terms. With
:math:`\lambda = \log (b / a)` the same sum is

.. math:: \sum_k a_k \log \frac{a_k}{b_k} = \sum_k a_k \, (e^{\lambda_k} - 1 - \lambda_k)

since both sum to one: no term is negative, none cancels another, and an error :math:`\delta` of a log-sum-exp
enters as :math:`\delta^2 / 2`, which is taken off again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn.functional import linear

from likelihead.core.reduction import Normalizer
from likelihead.core.reduction import reduce as reduce_values
from likelihead.core.sample_weight import weigh, weighted_count
from likelihead.kernels.ops import compute_dtype

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from likelihead.kernels.ops import KLOptions

__all__ = ["bent", "bucket_log_probs", "buckets", "distributions", "divergence", "linear_kl", "log_ratio"]

_FAR = 1e30  # for the logarithm of 0


def linear_kl(
    hidden: Tensor,
    head_weight: Tensor,
    teacher: Tensor,
    teacher_weight: Tensor | None = None,
    *,
    head_bias: Tensor | None = None,
    teacher_bias: Tensor | None = None,
    teacher_index: Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    chunk_tokens: int = 0,
    compact: bool | None = None,
    **options: Unpack[KLOptions],
) -> Tensor:
    """See `likelihead.kernels.ops.LinearKL`; chunks and their rows have no use where logits exist."""
    direction, beta = options.get("direction", "forward"), options.get("beta", 0.5)
    temperature = options.get("temperature", 1.0)
    wide = torch.promote_types(compute_dtype(hidden.dtype), compute_dtype(teacher.dtype))
    if sample_weight is not None:
        # What is left out may be NaN, which would come back in the gradient as 0 * NaN.
        kept = (sample_weight != 0).unsqueeze(1)
        hidden, teacher = torch.where(kept, hidden, 0), torch.where(kept, teacher, 0)
        teacher_index = None if teacher_index is None else torch.where(kept, teacher_index, 0)
    with torch.autocast(hidden.device.type, enabled=False):
        z = linear(hidden, head_weight, head_bias).to(wide)
        z = bent(z / temperature, options.get("softcap"), temperature)
        if teacher_weight is not None:
            t = linear(teacher, teacher_weight, teacher_bias).to(wide)
            t = bent(t / temperature, options.get("teacher_softcap"), temperature)
            p, q, ratio = distributions(t, z)
        else:
            log_q = bucket_log_probs(z, cast("Tensor", teacher_index))
            log_p = buckets(teacher.to(wide), head_weight.shape[0])
            p, q, ratio = log_p.exp(), log_q.exp(), log_ratio(log_p, log_q, 0)
        kl = divergence(p, q, ratio, direction, beta)[0].to(compute_dtype(hidden.dtype))
    if reduction == "none":
        return weigh(kl, sample_weight)
    count = None if sample_weight is None else weighted_count(None, sample_weight, kl.shape)
    return reduce_values(weigh(kl, sample_weight), reduction, count=count, normalizer=normalizer)


def bent(z: Tensor, softcap: float | None, temperature: float) -> Tensor:
    """Logits that the temperature has divided, as they enter the softmax."""
    if not softcap:
        return z
    cap = softcap / temperature
    return cap * torch.tanh(z / cap)


def log_ratio(log_a: Tensor, log_b: Tensor, constant: Tensor | float) -> Tensor:
    """``log_a - log_b - constant``: the logits' difference first, which is exact where they are near."""
    return (log_a - log_b) - constant


def distributions(t: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The softmax p of the teacher's logits, q of the student's, and `log_ratio` of them.

    What the logits' largest stand for is kept apart, which a log-sum-exp would round to their size.
    """
    p, q = t.softmax(1), z.softmax(1)
    largest = t.amax(1, keepdim=True) - z.amax(1, keepdim=True)
    constant = largest - (p.amax(1, keepdim=True).log() - q.amax(1, keepdim=True).log())
    return p, q, log_ratio(t, z, constant)


def divergence(
    p: Tensor, q: Tensor, ratio: Tensor, direction: str, beta: float = 0.5, *, quick: bool = False
) -> tuple[Tensor, Tensor]:
    """The divergence of each row, and what its derivative by the student's logits is made of.

    Args:
        p: the teacher's probabilities.
        q: the student's.
        ratio: :func:`log_ratio` of p and q.
        direction: as in `LinearKL`.
        beta: as in `LinearKL`.
        quick: spare the steps that are for infinite logits, ratios whose exponential would be, and values
            below 1e-3.

    Returns:
        The values, and a slope s of each class: for ``"forward"`` the derivative by the student's logits,
        q - p; else the derivative by q, up to a constant, which makes :math:`q (s - sum q s)` of it.
    """
    values, slope = _divergence(p, q, ratio, direction, beta, quick)
    if quick:
        return values, slope
    # Of a row that has NaN nothing is known: 0, or NaN.
    unknown = 0 * (p.sum(1) + q.sum(1))
    return values + unknown, slope + unknown.unsqueeze(1)


def _divergence(
    p: Tensor, q: Tensor, ratio: Tensor, direction: str, beta: float, quick: bool
) -> tuple[Tensor, Tensor]:
    if not quick:
        # 0 where neither can be, and very large where only one can: finite, for autograd.
        ratio = ratio.nan_to_num(nan=0.0, posinf=_FAR, neginf=-_FAR)
    if direction == "forward":
        values, difference = _bregman(p, q, -ratio, quick)
        if not quick:
            values = values.masked_fill(((ratio >= _FAR) & (p > 0)).any(1), torch.inf)
        return values, difference
    if direction == "reverse":
        values, _ = _bregman(q, p, ratio, quick)
        if not quick:
            values = values.masked_fill(((ratio <= -_FAR) & (q > 0)).any(1), torch.inf)
        return values, -ratio
    # Of the mixture m: log(m / p) and log(m / q), by whichever does not overflow.
    negative = ratio < 0
    part = torch.expm1(torch.where(negative, ratio, -ratio))
    least = torch.log1p(torch.where(negative, beta * part, (1 - beta) * part))
    to_p = torch.where(negative, least - ratio, least)
    to_q = torch.where(negative, least, least + ratio)
    m = p if quick else beta * p + (1 - beta) * q
    of_p, of_q = _bregman(p, m, to_p, quick)[0], _bregman(q, m, to_q, quick)[0]
    return beta * of_p + (1 - beta) * of_q, (beta - 1) * to_q


def _bregman(a: Tensor, b: Tensor, ratio: Tensor, quick: bool) -> tuple[Tensor, Tensor]:
    """The sum of ``a log(a / b)`` over each row, for ``ratio`` = log(b / a), and ``b - a`` of each class.

    Every branch is finite wherever it is computed: autograd would make NaN of what is only left out. ``b`` is
    for where it is not ``quick``.
    """
    growth = torch.expm1(ratio if quick else ratio.clamp(max=1))
    terms, difference = a * (growth - ratio), a * growth
    if not quick:
        difference = torch.where(ratio < 1, difference, b - a)
        bound, last = (0.01, 7) if a.dtype is torch.float64 else (0.05, 5)
        near = ratio.clamp(-bound, bound)
        series = torch.ones_like(near)
        for k in range(last, 2, -1):
            series = 1 + near / k * series
        small = a * (0.5 * near * near) * series
        terms = torch.where(ratio.abs() < bound, small, difference - a * ratio)
    # The differences sum to 0 but for an error of the ratios that all of a row share.
    error = difference.sum(1, keepdim=True)
    return terms.sum(1) - 0.5 * error.squeeze(1).square(), torch.addcmul(difference, a, error, value=-1)


def buckets(log_probs: Tensor, num_classes: int) -> Tensor:
    """Log-probabilities ``[N, k]`` and that of the rest ``[N, k + 1]``; no rest where k is all there are.

    Where the k sum to more than 1, or are all there are, they are divided by their sum.
    """
    total = log_probs.logsumexp(1, keepdim=True)
    if log_probs.shape[1] == num_classes:
        return log_probs - total
    some = total < 0
    rest = torch.log(-torch.expm1(torch.where(some, total, -1)))
    return torch.cat([log_probs - total.clamp(min=0), torch.where(some, rest, -torch.inf)], 1)


def bucket_log_probs(z: Tensor, index: Tensor) -> Tensor:
    """The student's log-probabilities of the same buckets."""
    index = index.long()
    lse = z.logsumexp(1, keepdim=True)
    chosen = z.gather(1, index) - lse
    if index.shape[1] == z.shape[1]:
        return chosen
    others = z.scatter(1, index, -torch.inf)
    empty = (others == -torch.inf).all(1, keepdim=True)
    rest = torch.where(empty, 0, others).logsumexp(1, keepdim=True) - lse
    return torch.cat([chosen, torch.where(empty, -torch.inf, rest)], 1)
