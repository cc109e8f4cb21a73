r"""Calls of few logits on a processor, which cost as much as they have operators: torch's own, in float64.

In float64 :math:`\log p_t` is off by some :math:`2^{-52}`, and so is :math:`1 - p_t`: a loss, or a slope,
above :math:`2^{-24}` is right to a sixteenth of float32's last place. Every example is looked at; where a
class is surer than that, a form that subtracts nothing takes twice as many operators. Where something is not
finite, and where torch refuses, these functions answer None and the general way serves. They are
differentiated by torch's own nodes, any number of times.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._C import _are_functorch_transforms_active as transforms_are_active
from torch._C import _len_torch_dispatch_stack as modes_in_force
from torch._C._nn import cross_entropy_loss, softplus
from torch._C._nn import nll_loss_nd as nll_loss
from torch.autograd import forward_ad

from likelihead.core.devices import is_dense

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STEEPEST", "sigmoid_plain", "sigmoid_values", "softmax_plain", "softmax_values"]

# Found by timing both ways: beyond, float64 takes longer than the operators that it saves. Torch's softmax
# takes as long to begin with an example as for so many logits.
_FEW_LOGITS, _FEW_LABELS, _OF_EXAMPLE = 1 << 16, 1 << 15, 8

_SUREST = -(2.0**-24)
"""The largest log-probability that leaves the digits that are promised."""

STEEPEST = 16.0
r"""The largest logit, either way, that does in torch's :math:`(1 - t) x - \log \sigma(x)`.

A label of 0 leaves :math:`e^{-16}` of two terms of 16: :math:`2^{-26}` of it is lost, a quarter of float32's
last place.
"""

_WHOLE = 40
"""From where on log(1 + exp(s)) is s, to the last digit of float64."""

_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}
_REFUSED = (RuntimeError, IndexError, ValueError)  # by torch; the general way has the words


# What torch's losses have as well; every other option has to be at its default.
_SOFTMAX_OPTIONS = frozenset({"weight", "label_smoothing", "ignore_index", "torch_nonfinite"})
_SIGMOID_OPTIONS = frozenset({"weight", "pos_weight", "skip_nan_target", "torch_nonfinite"})


def _are_torchs(options: Mapping[str, Any], known: frozenset[str]) -> bool:
    for name, value in options.items():
        if name not in known and value is not None and (isinstance(value, Tensor) or value != 0):
            return False
    return True


def _shaped(logits: Tensor) -> bool:
    """Whether torch's backward takes them: of pixels it takes no other layout."""
    return logits.dim() == 2 or logits.is_contiguous()


def softmax_values(
    logits: Tensor, target: Tensor, reduction: str, options: Mapping[str, Any]
) -> Tensor | None:
    """The nll, reduced or of each example, of what `softmax_nll` serves on a processor; or None."""
    soft, smoothing = target.is_floating_point(), options.get("label_smoothing", 0.0)
    twice = soft or smoothing  # there are passes
    if (
        logits.numel() > (_FEW_LOGITS >> bool(twice)) - _OF_EXAMPLE * (logits.numel() // logits.shape[1])
        or logits.dtype is torch.float64
        or not _shaped(logits)
        or not _are_torchs(options, _SOFTMAX_OPTIONS)
    ):
        return None
    weight = options.get("weight")
    rest: tuple[Any, ...] = (
        None if weight is None else weight.double(),
        _REDUCTIONS[reduction],
        -100 if soft else options.get("ignore_index", -100),
    )
    target = target.double() if soft else target.long()
    try:
        log_probs = torch.log_softmax(logits, 1, dtype=torch.float64)
        if twice:
            nll: Tensor = cross_entropy_loss(  # type: ignore[call-arg]
                log_probs, target, *rest, smoothing
            )
        else:
            nll = nll_loss(log_probs, target, *rest)
    except _REFUSED:
        return None
    if not math.isfinite(nll.detach().sum().item()):
        return None
    if log_probs.detach().max().item() < _SUREST:
        return nll.float()
    if twice or weight is not None:
        return None
    return _of_sure(logits, target, options.get("ignore_index", -100), reduction)


def _of_sure(logits: Tensor, target: Tensor, ignore_index: int, reduction: str) -> Tensor | None:
    """The nll of int64 classes as log(1 + exp(s)), with s the logsumexp of the others less the target.

    It has all digits however sure the target is; an example that is ignored it does not take.
    """
    if 0 <= ignore_index < logits.shape[1]:
        return None
    z, column = logits.double(), target.unsqueeze(1)
    try:
        others = (z - z.gather(1, column)).scatter(1, column, -torch.inf)
    except _REFUSED:
        return None
    above = others.logsumexp(1)
    if not above.detach().sum().isfinite():
        return None  # there are no others
    nll = softplus(above, 1, _WHOLE)
    return _reduced(nll, reduction).float()


def _reduced(values: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()


def sigmoid_values(
    logits: Tensor, target: Tensor, reduction: str, options: Mapping[str, Any]
) -> Tensor | None:
    """The nll, reduced or of each element, of what `sigmoid_nll` serves on a processor; or None."""
    if (
        logits.numel() > _FEW_LABELS
        or logits.dtype is torch.float64
        or not _are_torchs(options, _SIGMOID_OPTIONS)
    ):
        return None
    weight, pos_weight = (
        None if w is None else w.double() for w in (options.get("weight"), options.get("pos_weight"))
    )
    low, high = torch.aminmax(logits.detach())
    if -low.item() <= STEEPEST >= high.item():
        nll = torch.binary_cross_entropy_with_logits(
            logits.double(), target.double(), weight, pos_weight, _REDUCTIONS[reduction]
        )
    else:
        nll = _of_steep(logits, target, weight, pos_weight, reduction)
    return nll.float() if math.isfinite(nll.detach().sum().item()) else None


def _of_steep(
    logits: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> Tensor:
    """The nll as a sum of two terms that are not negative, in float64."""
    x, t = logits.double(), target.double()
    right = t if pos_weight is None else t * pos_weight
    nll = (1 - t) * softplus(x, 1, _WHOLE) + right * softplus(-x, 1, _WHOLE)
    return _reduced(nll if weight is None else nll * weight, reduction)


def softmax_plain(logits: Tensor, target: Tensor, ignore_index: int, mean: bool) -> Tensor | None:
    """`softmax_nll.softmax_loss` of what `likelihead.kernels.dispatch.plain` says, or None."""
    if (
        logits.dtype is not torch.float32
        or not (is_dense(logits) and is_dense(target))
        or not 0 < logits.numel() <= _FEW_LOGITS - _OF_EXAMPLE * target.numel()
        or not _shaped(logits)
        or transforms_are_active()
        or forward_ad._current_level >= 0
        or modes_in_force()
    ):
        return None
    try:
        log_probs = torch.log_softmax(logits, 1, dtype=torch.float64)
        loss: Tensor = nll_loss(log_probs, target, None, 1 if mean else 2, ignore_index)  # type: ignore[arg-type]
    except _REFUSED:
        return None
    if not math.isfinite(loss.item()):
        return None
    if log_probs.detach().max().item() < _SUREST:
        return loss.float()
    return _of_sure(logits, target, ignore_index, "mean" if mean else "sum")


def sigmoid_plain(
    logits: Tensor, target: Tensor, mean: bool, pos_weight: Tensor | None = None
) -> Tensor | None:
    """`sigmoid_nll.sigmoid_loss` without ``skip_nan_target``, in the same way."""
    if (
        pos_weight is not None
        or logits.dtype is not torch.float32
        or not (is_dense(logits) and is_dense(target))
        or not 0 < logits.numel() <= _FEW_LABELS
        or logits.shape != target.shape
        or target.requires_grad
        or transforms_are_active()
        or forward_ad._current_level >= 0
        or modes_in_force()
    ):
        return None
    low, high = torch.aminmax(logits.detach())
    if -low.item() <= STEEPEST >= high.item():
        wide = torch.binary_cross_entropy_with_logits(
            logits.double(), target.double(), None, None, 1 if mean else 2
        )
    else:
        wide = _of_steep(logits, target, None, None, "mean" if mean else "sum")
    return wide.float() if math.isfinite(wide.item()) else None
