"""`torch.nn.functional.binary_cross_entropy` and its logits form: the Bernoulli likelihood."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import binary_cross_entropy as torchs_bce
from torch.nn.functional import binary_cross_entropy_with_logits as torchs_bce_with_logits

from likelihead.core.devices import check_devices
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.core.reduction import reduce as reduce_values
from likelihead.core.sample_weight import expand_sample_weight, weigh, weighted_count
from likelihead.functional._call import (
    broadcasts_to,
    in_dtype,
    is_real,
    is_tensor,
    legacy_reduction,
    overridable,
    promoted,
    result_dtype,
    torchs_answer,
    wants_gradient,
)
from likelihead.functional._plain import plain_bce_with_logits
from likelihead.functional._sample_weight import checked_weight
from likelihead.guard.check import check_call
from likelihead.kernels import dispatch
from likelihead.kernels.ops import SigmoidOptions, as_prior, check_label_smoothing, compute_dtype

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits"]

# What torch lets be a 0-d tensor on the CPU beside any device.
_SCALARS = ("weight", "pos_weight", "normalizer")


@partial(overridable, short=plain_bce_with_logits)
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
    *,
    normalizer: Normalizer | None = None,
    label_smoothing: float = 0.0,
    prior: float | Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    r"""Binary cross-entropy of logits, elementwise, in nats.

    .. math:: \ell(x, t) = w\,[\pi\,t\operatorname{softplus}(-x) + (1 - t)\operatorname{softplus}(x)]

    Arguments, defaults, dtypes, shapes and errors are those of
    `torch.nn.functional.binary_cross_entropy_with_logits`; value and gradient keep their relative accuracy
    where the model is confident and right.

    Args:
        input: logits.
        target: labels or probabilities, of the input's shape.
        weight: multiplies each element's loss; broadcasts against the input.
        size_average: deprecated in torch; see ``reduction``.
        reduce: deprecated in torch; see ``reduction``.
        reduction: ``"none"``, ``"sum"`` or ``"mean"`` over all elements.
        pos_weight: the weight of the positive label's term; broadcasts against the input, so one number per
            label goes on the last dimension.
        normalizer: a number or 0-d tensor that the mean divides by instead.
        label_smoothing: how far each label is drawn towards its ``prior``, in [0, 1]: t becomes
            ``(1 - label_smoothing) * t + label_smoothing * prior``.
        prior: what the labels are drawn towards: a probability, or a tensor of one for each label, which
            broadcasts against the input; None is a half. The labels' own frequencies leave their mean alone.
        sample_weight: a number per example, not negative, that multiplies its loss and what it counts: of the
            input's shape, or as many of its first dimensions as it tells apart. One of 0 leaves the
            example out.

    Shape:
        - input, target: any, the same.
        - returns: that shape for ``"none"``, else 0-d.

    Raises:
        ValueError: the target's shape is not the input's (LH302).
        RuntimeError: as torch does, with the guard's explanation where it has one.

    >>> logits, labels = torch.tensor([0.0, 30.0]), torch.ones(2)
    >>> binary_cross_entropy_with_logits(logits, labels, reduction="none")
    tensor([6.9315e-01, 9.3576e-14])
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if weight is normalizer is sample_weight is prior is None and label_smoothing == 0:
        plain = plain_bce_with_logits(input, target, reduction, pos_weight)
        if plain is not None:
            return plain
    check_devices(
        "input",
        input,
        scalars=_SCALARS,
        target=target,
        weight=weight,
        pos_weight=pos_weight,
        normalizer=normalizer,
        sample_weight=sample_weight,
    )
    served = (
        is_real(input)
        and is_tensor(target)
        and target.shape == input.shape
        and target.is_floating_point()
        and target.device == input.device
        and reduction in ("none", "sum", "mean")
        and broadcasts_to(weight, input)
        and broadcasts_to(pos_weight, input)
        and not wants_gradient(pos_weight)
    )
    if not served:
        return torchs_answer(
            torchs_bce_with_logits,
            "bce_with_logits",
            input,
            target,
            weight=weight,
            pos_weight=pos_weight,
            reduction=reduction,
            ours={
                "normalizer": normalizer,
                "label_smoothing": label_smoothing,
                "prior": None if prior is None else True,
                "sample_weight": None if sample_weight is None else True,
            },
        )
    check_reduction(reduction, normalizer)
    check_label_smoothing(label_smoothing, prior, input.shape)
    sample_weight = checked_weight(sample_weight, input.shape)
    check_call(
        "bce_with_logits",
        input,
        target,
        default_action="warn",
        weight=weight,
        pos_weight=pos_weight,
        sample_weight=sample_weight,
    )
    dtype = result_dtype(target)  # torch forms the sum in place, in 1 - target
    input = in_dtype(input, promoted(input.dtype, target, weight, pos_weight))
    options: SigmoidOptions = {
        "weight": weight,
        "pos_weight": pos_weight,
        "skip_nan_target": False,
        "torch_nonfinite": True,
        "label_smoothing": label_smoothing,
        "prior": as_prior(prior, input),
        "sample_weight": sample_weight,
    }
    if reduction == "none":
        return in_dtype(dispatch.sigmoid_nll(input, target, **options), dtype)
    loss = dispatch.sigmoid_loss(input, target, reduction=reduction, normalizer=normalizer, **options)
    return in_dtype(loss, dtype)


@overridable
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    normalizer: Normalizer | None = None,
    label_smoothing: float = 0.0,
    prior: float | Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    r"""Binary cross-entropy of probabilities, elementwise, in nats.

    .. math:: \ell(p, t) = -w\,[t\log p + (1 - t)\log(1 - p)]

    with each logarithm clamped at -100, as in torch. Arguments, defaults, dtypes, shapes and errors are
    those of `torch.nn.functional.binary_cross_entropy`; 16-bit inputs are computed and summed in float32. A
    probability near 1 has few digits left for ``1 - p``: `binary_cross_entropy_with_logits` has them all
    (LH109).

    Args:
        input: probabilities in [0, 1].
        target: labels or probabilities, of the input's shape.
        weight: multiplies each element's loss; broadcasts against the input.
        size_average: deprecated in torch; see ``reduction``.
        reduce: deprecated in torch; see ``reduction``.
        reduction: ``"none"``, ``"sum"`` or ``"mean"`` over all elements.
        normalizer: a number or 0-d tensor that the mean divides by instead.
        label_smoothing: how far each label is drawn towards its ``prior``, in [0, 1]: t becomes
            ``(1 - label_smoothing) * t + label_smoothing * prior``.
        prior: what the labels are drawn towards: a probability, or a tensor of one for each label, which
            broadcasts against the input; None is a half. The labels' own frequencies leave their mean alone.
        sample_weight: a number per example, not negative, that multiplies its loss and what it counts: of the
            input's shape, or as many of its first dimensions as it tells apart. One of 0 leaves the
            example out.

    Shape:
        - input, target: any, the same.
        - returns: that shape for ``"none"``, else 0-d.

    Raises:
        ValueError: the target's shape is not the input's (LH302).
        RuntimeError: an input outside [0, 1], as raw logits are (LH108); otherwise as torch does.

    >>> binary_cross_entropy(torch.tensor([0.25]), torch.tensor([1.0]))
    tensor(1.3863)
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_devices("input", input, scalars=_SCALARS, target=target, weight=weight, normalizer=normalizer)
    floats = is_real(input) and is_tensor(target) and target.is_floating_point()
    if not floats or reduction not in ("none", "sum", "mean"):
        return torchs_answer(
            torchs_bce,
            "bce",
            input,
            target,
            weight=weight,
            reduction=reduction,
            ours={
                "normalizer": normalizer,
                "label_smoothing": label_smoothing,
                "prior": None if prior is None else True,
                "sample_weight": None if sample_weight is None else True,
            },
        )
    check_reduction(reduction, normalizer)
    check_label_smoothing(label_smoothing, prior, input.shape)
    sample_weight = checked_weight(sample_weight, input.shape)
    check_call("bce", input, target, default_action="warn", weight=weight, sample_weight=sample_weight)
    dtype, wide = result_dtype(input), compute_dtype(input.dtype)
    if wide != input.dtype and target.dtype == input.dtype:
        input, target = input.to(wide), target.to(wide)
        weight = weight if weight is None else weight.to(wide)
    if label_smoothing:
        half = 0.5 if prior is None else prior
        target = (target * (1 - label_smoothing) + label_smoothing * half).to(target.dtype)
    count = None
    if sample_weight is not None and target.shape == input.shape:
        # Of an example that is left out nothing may reach a gradient; 1/2 is a probability like any other.
        counts = expand_sample_weight(sample_weight.detach(), input) != 0
        input = torch.where(counts, input, torch.where(input.isfinite(), input, 0.5).clamp(0, 1))
        target = torch.where(counts | target.isfinite(), target, 0)
        count = weighted_count(None, sample_weight, input.shape)
    # torch's own elementwise form: its clamps and its gradient at 0 and 1 are the definition here.
    nll = torchs_answer(torchs_bce, "bce", input, target, weight=weight, reduction="none")
    if forward_ad._current_level >= 0:
        nll = _in_forward_mode(nll, input, target, weight)
    return reduce_values(weigh(nll, sample_weight), reduction, count=count, normalizer=normalizer).to(dtype)


def _in_forward_mode(nll: Tensor, input: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """The value of ``nll``, by arithmetic whose derivatives are torch's in every order of the modes.

    The gradient of torch's elementwise loss has no forward derivative (it writes into a zero that is shared).
    """
    # The slopes of torch's loss: by the probability it is held finite at 0 and 1, by the target not at all.
    p, t = input.detach(), target.detach()
    inner = (p > 0) & (p < 1)
    safe = torch.where(inner, input, 0.5)
    by_formula = -(target * safe.log() + (1 - target) * torch.log1p(-safe))
    at_edge = (p - t) / 1e-12 * input - target * (p.log() - torch.log1p(-p)).clamp(-100, 100)
    term = torch.where(inner, by_formula, at_edge)
    if weight is not None:
        term = term * weight
    return term + (nll.detach() - term.detach()).nan_to_num(0.0, 0.0, 0.0)
