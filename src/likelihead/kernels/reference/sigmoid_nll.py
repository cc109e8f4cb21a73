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
    if weight is not None:
        nll = nll * weight.to(wide)
    if valid is not None:
        nll = torch.where(valid, nll, 0)
    return nll.to(dtype)


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
