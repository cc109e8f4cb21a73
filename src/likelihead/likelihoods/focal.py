"""Focal losses: the negative log-likelihood, weighed down where the model is already right."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from likelihead.core.links import SIGMOID
from likelihead.core.options import check_real_number, check_tensor_option
from likelihead.core.reduction import Normalizer, Reduction, check_reduction, reduce
from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.kernels.ops import sigmoid_valid, softmax_count
from likelihead.likelihoods.bernoulli import Bernoulli
from likelihead.likelihoods.categorical import Categorical
from likelihead.likelihoods.checks import check_tensor

__all__ = ["binary_focal_loss", "focal_loss"]


def focal_loss(
    logits: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    logit_offset: Tensor | None = None,
    reduction: Reduction = "mean",
    normalizer: Normalizer | None = None,
) -> Tensor:
    r"""Focal loss of a softmax over classes.

    .. math:: w_y\,(1 - p_y)^{\gamma}\,(-\log p_y)

    With ``gamma`` 0 it is the NLL, to the bit. It is no likelihood: with a ``gamma`` above 0 the
    probabilities that minimise it are less confident than the true ones, so calibrate afterwards.

    Args:
        logits: ``[N, C]`` or ``[N, C, d1, ...]``.
        target: class indices ``[N]`` or ``[N, d1, ...]``.
        gamma: how strongly confident right predictions are weighed down; not negative.
        weight: ``[C]``, class weights. The mean divides by the sum of the targets' weights.
        ignore_index: a class index that scores 0 and is not counted.
        logit_offset: ``[C]``, added to the logits, as for logit adjustment.
        reduction: ``"none"``, ``"sum"`` or ``"mean"``; the mean over nothing is 0.
        normalizer: what the mean divides by instead.

    Raises:
        OptionError: ``gamma`` is negative or not finite.
        ShapeError: a weight or an offset that is not ``[C]`` (LH602).
        DTypeError: a target that is no class indices (LH202).
        TargetError: a class index outside ``[0, C)`` (LH203).

    >>> logits, target = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> focal_loss(logits, target, 0.0), focal_loss(logits, target, 2.0)
    (tensor(0.1269), tensor(0.0018))

    References:
        Lin et al. (2017), Focal Loss for Dense Object Detection.
    """
    _check_gamma(gamma)
    check_tensor_option("weight", weight)
    check_tensor_option("logit_offset", logit_offset)
    check_tensor("logits", logits)
    check_tensor("target", target)
    check_reduction(reduction, normalizer)
    if target.is_floating_point():
        raise DTypeError(
            f"target is {target.dtype}; focal_loss takes class indices, as the probability of the one true "
            "class sets the weight. Use target.long(), or target.argmax(1) of one-hot rows.",
            code="LH202",
        )
    num_classes = logits.shape[1] if logits.dim() > 1 else 2
    plain = Categorical(num_classes, ignore_index=ignore_index)
    for name, values in (("weight", weight), ("logit_offset", logit_offset)):
        if values is not None and values.shape != (num_classes,):
            raise ShapeError(
                f"{name} has shape {list(values.shape)}; expected [{num_classes}], one for each class.",
                code="LH602" if name == "weight" else None,
            )
    # Set, not passed: the constructor reads the values, and would wait for a GPU at each call.
    plain._buffers["logit_offset"] = logit_offset
    if not gamma and reduction != "none":
        plain._buffers["weight"], plain.reduction = weight, reduction
        return plain.forward(logits, target, normalizer=normalizer)
    loss = plain.nll(logits, target)
    if gamma:
        # At -log p > 100 the factor 1 - p is 1 in float64, too; the bounds keep 0 * inf out of the gradient.
        miss = -torch.expm1(-loss.clamp(torch.finfo(loss.dtype).tiny, 100.0))
        loss = miss.pow(gamma) * loss
    if weight is not None:
        weight = weight.detach().to(loss)
        kept = target.long() != ignore_index
        of_target = weight[torch.where(kept, target.long(), 0)]
        # A class of weight 0 is not scored, however improbable its example was.
        loss = torch.where(kept & (of_target != 0), of_target * loss, torch.zeros_like(loss))
    count = softmax_count(target, num_classes, weight=weight, ignore_index=ignore_index)
    return _reduced(loss, count, reduction, normalizer)


def binary_focal_loss(
    logits: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    *,
    alpha: float | None = None,
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
    normalizer: Normalizer | None = None,
) -> Tensor:
    r"""Focal loss of independent yes-or-no outcomes, elementwise.

    .. math:: \alpha_y\,[\,y\,(1-p) + (1-y)\,p\,]^{\gamma}\,
              [-y \log p - (1-y) \log(1-p)], \qquad \alpha_y = \alpha y + (1-\alpha)(1-y)

    The factor in brackets is 1 minus the probability of what happened. With ``gamma`` 0 and no ``alpha`` the
    loss is the NLL, to the bit.

    Args:
        logits: any shape, one logit for each target.
        target: the same shape: 0 or 1, or a probability in between; NaN where it is missing.
        gamma: how strongly confident right predictions are weighed down; not negative.
        alpha: the share of the weight that a yes has, in [0, 1]; None weighs both outcomes with 1.
        mask: False where a label is left out.
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
    _check_gamma(gamma)
    check_reduction(reduction, normalizer)
    if alpha is not None:
        check_real_number("alpha", alpha, expected="a number, or None")
    if alpha is not None and not 0.0 <= alpha <= 1.0:
        raise OptionError(f"alpha is {alpha}; expected the share of a yes in [0, 1], or None.")
    likelihood = Bernoulli()
    if not gamma and alpha is None and reduction != "none":
        likelihood.reduction = reduction
        return likelihood.forward(logits, target, mask=mask, normalizer=normalizer)
    loss = likelihood.nll(logits, target, mask=mask)
    if gamma or alpha is not None:
        y = target.to(loss.dtype)
        valid = sigmoid_valid(target, mask=mask)
        if valid is not None:
            y = torch.where(valid, y, torch.zeros_like(y))
        if gamma:
            miss = y * SIGMOID.complement(logits) + (1 - y) * SIGMOID.inverse(logits)
            # An infinite power of 0 would make the gradient 0 * inf.
            loss = miss.clamp_min(torch.finfo(loss.dtype).tiny).pow(gamma) * loss
        if alpha is not None:
            loss = (alpha * y + (1 - alpha) * (1 - y)) * loss
    return _reduced(loss, likelihood.count(target, mask=mask), reduction, normalizer)


def _check_gamma(gamma: float) -> None:
    check_real_number("gamma", gamma)
    if not 0.0 <= gamma < math.inf:
        raise OptionError(f"gamma is {gamma}; expected a finite number that is not negative, such as 2.")


def _reduced(
    loss: Tensor, count: Tensor | int, reduction: Reduction, normalizer: Normalizer | None
) -> Tensor:
    if isinstance(count, Tensor) and count.is_floating_point():
        count = count.to(loss.dtype)
    return reduce(loss, reduction, count=count, normalizer=normalizer, empty="zero")
