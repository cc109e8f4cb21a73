r"""Bernoulli negative log-likelihood in plain torch, with full relative accuracy.

The value is a sum of two non-negative terms, :math:`\pi t \operatorname{softplus}(-x)` and
:math:`(1-t) \operatorname{softplus}(x)`, and loses nothing. The gradient,
:math:`(1-t)\,\sigma(x) - \pi t\,\sigma(-x)`, is a genuine difference when the label is soft: near its zero it
keeps only what spare digits the sigmoids carry. 16-bit logits have those in float32 and float32 logits in
float64, where autograd does. float64 has nothing wider, so there the residual is formed in pairs of floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from likelihead.core.reduction import Normalizer
from likelihead.core.sample_weight import expand_sample_weight, weigh
from likelihead.kernels.ops import SigmoidOptions, compute_dtype, reduce_sigmoid_nll, sigmoid_valid
from likelihead.kernels.reference.sigmoid_residual import forward_over_forward, nll_with_exact_residual

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["sigmoid_loss", "sigmoid_nll"]


def sigmoid_nll(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    mask: Tensor | None = None,
    skip_nan_target: bool = True,
    torch_nonfinite: bool = False,
    label_smoothing: float = 0.0,
    prior: Tensor | None = None,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """See `likelihead.kernels.ops.SigmoidNLL`."""
    dtype = compute_dtype(logits.dtype)
    wide = _with_spare_digits(logits)
    x, t = logits.to(wide), target.to(wide)
    valid = sigmoid_valid(target, mask=mask, skip_nan_target=skip_nan_target)
    if valid is not None:
        # Before anything is computed: a NaN that is only left out afterwards comes back in the gradient as 0
        # * NaN.
        x, t = torch.where(valid, x, 0), torch.where(valid, t, 0)
    if sample_weight is not None:
        # What is left out has no gradient, and its NaN no way into one; the value is the weight's derivative.
        counts = expand_sample_weight(sample_weight.detach(), x) != 0
        x, t = torch.where(counts, x, x.detach()), torch.where(counts, t, t.detach())
    if label_smoothing:
        half = 0.5 if prior is None else prior.to(wide)
        t = t * (1 - label_smoothing) + label_smoothing * half
    given_x, given_t = x, t
    if torch_nonfinite:
        finite = x.isfinite() & t.isfinite()
        as_torch = _torchs_form(torch.where(finite, 0, x), torch.where(finite, 0, t), pos_weight)
        x, t = torch.where(finite, x, 0), torch.where(finite, t, 0)
    positive = t if pos_weight is None else t * pos_weight.to(wide)
    if wide == logits.dtype and not torch.compiler.is_compiling() and not forward_over_forward():
        nll = nll_with_exact_residual(x, 1 - t, positive)
    else:
        # The compiler takes no custom forward-mode derivative, and chooses its own exponential anyway.
        nll = positive * -logsigmoid(x) + (1 - t) * -logsigmoid(-x)
    if torch_nonfinite:
        nll = torch.where(finite, nll, as_torch)
    if focal_gamma:
        nll = _focal_factor(given_x, given_t, nll, focal_gamma) * nll
    if focal_alpha is not None:
        nll = (given_t * focal_alpha + (1 - given_t) * (1 - focal_alpha)) * nll
    if weight is not None:
        nll = nll * weight.to(wide)
    if valid is not None:
        nll = torch.where(valid, nll, 0)
    return weigh(nll, sample_weight).to(dtype)


def sigmoid_loss(
    logits: Tensor,
    target: Tensor,
    *,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    **options: Unpack[SigmoidOptions],
) -> Tensor:
    """See `likelihead.kernels.ops.SigmoidLoss`."""
    nll = sigmoid_nll(logits, target, **options)
    return reduce_sigmoid_nll(nll, target, reduction=reduction, normalizer=normalizer, **options)


def _focal_factor(x: Tensor, t: Tensor, nll: Tensor, gamma: float) -> Tensor:
    r""":math:`[t (1 - p) + (1 - t) p]^\gamma`, by way of its logarithm, whose derivatives are bounded.

    Both terms are of one sign, in units of :math:`1 / (1 + e)` with :math:`e = \exp(-|x|)`.
    """
    size = torch.where(x >= 0, x, -x)  # abs, but with a slope at 0, where torch's abs has none
    e = torch.exp(-size)
    wrong = torch.where(x >= 0, t * e + (1 - t), t + (1 - t) * e)
    none = wrong == 0  # a hard label, and e is 0 in this dtype: its logarithm is known all the same
    log_wrong = torch.where(none, -size, torch.log(torch.where(none, 1, wrong)))
    factor = torch.exp(gamma * (log_wrong - torch.log1p(e)))
    # With the one rounding of the power; a constant to autograd.
    power = (wrong.detach() / (1 + e.detach())).pow(gamma)
    factor = factor * torch.where(none | (factor.detach() == 0), 1, power / factor.detach())
    # Of an infinite loss only its own slope is left; 0 * inf would make that NaN.
    return torch.where(nll.detach().isinf(), factor.detach(), factor)


def _torchs_form(x: Tensor, t: Tensor, pos_weight: Tensor | None) -> Tensor:
    log_p = logsigmoid(x)
    if pos_weight is not None:
        log_p = (1 + (pos_weight.to(x.dtype) - 1) * t) * log_p
    return (1 - t) * x - log_p


def _with_spare_digits(logits: Tensor) -> torch.dtype:
    if logits.dtype in (torch.float16, torch.bfloat16):
        return torch.float32
    if logits.dtype == torch.float32 and logits.device.type == "mps":
        return torch.float32  # Apple's GPUs have no float64: pairs of float32 serve there
    return torch.float64
