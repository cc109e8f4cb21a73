"""Focal losses from logits: the negative log-likelihood, weighed down where the model is already right."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from likelihead.core.devices import check_devices
from likelihead.core.options import check_real_number
from likelihead.core.reduction import Normalizer, check_reduction
from likelihead.core.reduction import reduce as reduce_values
from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.functional._call import (
    in_dtype,
    is_class_index,
    is_real,
    is_tensor,
    overridable,
    result_dtype,
)
from likelihead.functional._class_index import blame_target
from likelihead.functional._sample_weight import checked_weight
from likelihead.guard.check import check_call, explain_shape
from likelihead.kernels import dispatch
from likelihead.kernels.ops import (
    SigmoidOptions,
    SoftmaxOptions,
    as_prior,
    check_class_mask,
    check_focal_gamma,
    check_label_smoothing,
    check_softmax_options,
    compute_dtype,
    sigmoid_count,
    softmax_count,
)

__all__ = ["binary_focal_loss", "focal_loss"]

_PLAIN = (torch.Tensor, torch.nn.Parameter)


@overridable
def focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    softcap: float | None = None,
    logit_offset: Tensor | None = None,
    where: Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
) -> Tensor:
    r"""Focal loss of a softmax over classes, from logits, in one pass of the kernel.

    .. math:: w_y\,(1 - p_y)^{\gamma}\,(-\log p_y)

    With ``gamma`` 0 it is the NLL, to the bit. :math:`1 - p_y` is summed from the other classes, so that a
    confident model's loss and gradient keep their digits. It is no likelihood: with a ``gamma`` above 0 the
    probabilities that minimise it are less confident than the true ones, so calibrate afterwards.

    Args:
        input: logits.
        target: class indices (int64, int32, int16, int8 or uint8).
        gamma: how strongly confident right predictions are weighed down; not negative.
        weight: ``[C]``, class weights. The mean divides by the sum of the targets' weights.
        ignore_index: a class index that scores 0 and is not counted.
        softcap: as in :func:`cross_entropy`.
        logit_offset: as in :func:`cross_entropy`.
        where: as in :func:`cross_entropy`.
        sample_weight: as in :func:`cross_entropy`.
        reduction: ``"none"``, ``"sum"`` or ``"mean"``; the mean over nothing is 0.
        normalizer: what the mean divides by instead.

    Shape:
        - input: ``[C]``, ``[N, C]`` or ``[N, C, d1, ...]``.
        - target: ``[]``, ``[N]`` or ``[N, d1, ...]``.
        - returns: the target's shape for ``"none"``, else 0-d; the input's dtype.

    Raises:
        OptionError: ``gamma`` is negative or not finite.
        ShapeError: sizes that do not fit; a weight that is not ``[C]`` (LH602).
        DTypeError: a target that is no class indices (LH202).
        IndexError: a class index outside ``[0, C)`` that is not ``ignore_index`` (LH203).

    >>> logits, target = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> focal_loss(logits, target, 0.0), focal_loss(logits, target, 2.0)
    (tensor(0.1269), tensor(0.0018))

    References:
        Lin et al. (2017), Focal Loss for Dense Object Detection.
    """
    check_reduction(reduction, normalizer)
    check_focal_gamma(gamma)
    _check_tensors(
        input, target, weight=weight, logit_offset=logit_offset, where=where, sample_weight=sample_weight
    )
    check_focal_gamma(gamma or 1.0, target)
    if input.dim() < 1 or not is_class_index(target) or target.shape != _rows(input):
        finding = explain_shape("cross_entropy", input, target)
        if finding is not None:
            raise finding.error()
        raise ShapeError(
            f"target has shape {list(target.shape)} and the input {list(input.shape)}; expected class "
            f"indices {list(_rows(input))}."
        )
    classes = input.shape[1] if input.dim() > 1 else input.shape[0]
    for name, values in (("weight", weight), ("logit_offset", logit_offset)):
        if values is not None and tuple(values.shape) != (classes,):
            raise ShapeError(
                f"{name} has shape {list(values.shape)}; expected [{classes}], one for each class.",
                code="LH602" if name == "weight" else None,
            )
    check_softmax_options(classes, softcap=softcap, logit_offset=logit_offset)
    check_class_mask(where, input.shape)
    sample_weight = checked_weight(sample_weight, target.shape)
    check_call(
        "cross_entropy",
        input,
        target,
        default_action="raise",
        weight=weight,
        ignore_index=ignore_index,
        where=where,
        sample_weight=sample_weight,
    )
    dtype = result_dtype(input)
    single = input.dim() == 1
    if single:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
        where = None if where is None else where.unsqueeze(0)
        sample_weight = None if sample_weight is None else sample_weight.unsqueeze(0)
    options: SoftmaxOptions = {
        # A weight is an amount, not a parameter: it has no derivative, as in torch's losses.
        "weight": None if weight is None else weight.detach(),
        "ignore_index": ignore_index,
        "softcap": softcap,
        "logit_offset": logit_offset,
        "where": where,
        "focal_gamma": float(gamma),
        "sample_weight": sample_weight,
    }
    try:
        if _reduces_at_once(input, target, reduction, normalizer):
            loss = dispatch.softmax_loss(input, target, reduction=reduction, normalizer=normalizer, **options)
            if _is_settled(loss, reduction):
                return in_dtype(loss, dtype)
        nll, _ = dispatch.softmax_nll(input, target, **options)
    except (IndexError, RuntimeError) as error:
        blame_target(error, target, classes, ignore_index)
        raise
    if reduction == "none":
        return in_dtype(nll.squeeze(0) if single else nll, dtype)
    count = None
    if reduction == "mean" and normalizer is None:
        wide = None if weight is None else weight.detach().to(nll.dtype)
        count = softmax_count(
            target, classes, weight=wide, ignore_index=ignore_index, sample_weight=sample_weight
        )
    return in_dtype(_over(nll, reduction, count, normalizer), dtype)


@overridable
def binary_focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    *,
    alpha: float | None = None,
    mask: Tensor | None = None,
    label_smoothing: float = 0.0,
    prior: float | Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
) -> Tensor:
    r"""Focal loss of independent yes-or-no outcomes, from logits, elementwise, in one pass of the kernel.

    .. math:: \alpha_y\,[\,y\,(1-p) + (1-y)\,p\,]^{\gamma}\,
              [-y \log p - (1-y) \log(1-p)], \qquad \alpha_y = \alpha y + (1-\alpha)(1-y)

    The factor in brackets is 1 minus the probability of what happened. With ``gamma`` 0 and no ``alpha`` the
    loss is the NLL, to the bit.

    Args:
        input: logits, any shape, one for each target.
        target: the same shape: 0 or 1, or a probability in between; NaN where it is missing.
        gamma: how strongly confident right predictions are weighed down; not negative.
        alpha: the share of the weight that a yes has, in [0, 1]; None weighs both outcomes with 1.
        mask: False where a label is left out.
        label_smoothing: as in :func:`binary_cross_entropy_with_logits`.
        prior: as in :func:`binary_cross_entropy_with_logits`.
        sample_weight: as in :func:`binary_cross_entropy_with_logits`.
        reduction: ``"none"``, ``"sum"`` or ``"mean"`` over the labels that are scored; over nothing it is 0.
        normalizer: what the mean divides by instead.

    Raises:
        OptionError: ``gamma`` is negative or not finite, or ``alpha`` is outside [0, 1].
        ShapeError: the shapes differ (LH302).

    >>> logits, target = torch.tensor([2.0, -1.0]), torch.tensor([1, 1])
    >>> binary_focal_loss(logits, target, reduction="none")
    tensor([0.0018, 0.7019])

    References:
        Lin et al. (2017), Focal Loss for Dense Object Detection.
    """
    check_reduction(reduction, normalizer)
    check_focal_gamma(gamma)
    if alpha is not None:
        check_real_number("alpha", alpha, expected="a number, or None for equal weights")
    if alpha is not None and not 0.0 <= alpha <= 1.0:
        raise OptionError(f"alpha is {alpha}; expected the share of a yes in [0, 1], or None.")
    _check_tensors(input, target, mask=mask, sample_weight=sample_weight)
    for name, values in (("target", target), ("mask", mask)):
        if values is not None and values.shape != input.shape:
            raise ShapeError(
                f"{name} has shape {list(values.shape)} and the input {list(input.shape)}; expected the "
                "same.",
                code="LH302",
            )
    if mask is not None and mask.dtype != torch.bool:
        raise DTypeError(f"mask is {mask.dtype}; expected torch.bool, True where a label is scored.")
    check_label_smoothing(label_smoothing, prior, input.shape)
    sample_weight = checked_weight(sample_weight, input.shape)
    check_call(
        "bce_with_logits",
        input,
        target,
        default_action="raise",
        mask=mask,
        nan_target_is_missing=True,
        sample_weight=sample_weight,
    )
    dtype = result_dtype(input)
    options: SigmoidOptions = {
        "mask": mask,
        "label_smoothing": label_smoothing,
        "prior": as_prior(prior, input),
        "focal_gamma": float(gamma),
        "focal_alpha": None if alpha is None else float(alpha),
        "sample_weight": sample_weight,
    }
    if _reduces_at_once(input, target, reduction, normalizer):
        loss = dispatch.sigmoid_loss(input, target, reduction=reduction, normalizer=normalizer, **options)
        if _is_settled(loss, reduction):
            return in_dtype(loss, dtype)
    nll = dispatch.sigmoid_nll(input, target, **options)
    if reduction == "none":
        return in_dtype(nll, dtype)
    count = None
    if reduction == "mean" and normalizer is None:
        count = sigmoid_count(target, mask=mask, sample_weight=sample_weight)
    return in_dtype(_over(nll, reduction, count, normalizer), dtype)


def _rows(input: Tensor) -> torch.Size:
    """The shape of class indices."""
    return input.shape[:1] + input.shape[2:] if input.dim() > 1 else torch.Size([])


def _check_tensors(input: object, target: object, **others: Any) -> None:
    if not is_real(input) or not is_tensor(target):
        what = getattr(input, "dtype", type(input).__name__)
        raise DTypeError(
            f"input is {what} and target {type(target).__name__}; expected floating-point logits and a "
            "tensor of targets."
        )
    if isinstance(target, Tensor) and target.is_complex():
        raise DTypeError(f"target is {target.dtype}; expected real numbers.", code="LH202")
    check_devices("input", input, target=target, **others)


def _reduces_at_once(input: Tensor, target: Tensor, reduction: str, normalizer: Normalizer | None) -> bool:
    """Whether the kernel may reduce the loss itself: its mean over nothing is NaN, ours 0."""
    if reduction == "none" or isinstance(normalizer, Tensor) or (normalizer is not None and not normalizer):
        return False
    return not torch.compiler.is_compiling() and all(_can_read(tensor) for tensor in (input, target))


def _can_read(values: Tensor) -> bool:
    return (
        values.device.type == "cpu"
        and type(values) in _PLAIN
        and not torch._C._are_functorch_transforms_active()
        and torch._C._get_tracing_state() is None
        and torch._C._len_torch_dispatch_stack() == 0
    )


def _is_settled(loss: Tensor, reduction: str) -> bool:
    return reduction == "sum" or math.isfinite(loss.detach())


def _over(nll: Tensor, reduction: str, count: Tensor | int | None, normalizer: Normalizer | None) -> Tensor:
    if isinstance(count, Tensor) and count.is_floating_point():
        count = count.to(compute_dtype(nll.dtype))
    return reduce_values(nll, reduction, count=count, normalizer=normalizer, empty="zero")
