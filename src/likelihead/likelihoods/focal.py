"""Focal losses, as strict about what they are given as the likelihoods are."""

from __future__ import annotations

from torch import Tensor

from likelihead.core.domains import ClassIndex
from likelihead.core.options import whole_number
from likelihead.core.reduction import Normalizer, Reduction
from likelihead.functional.focal_loss import binary_focal_loss as fused_binary_focal_loss
from likelihead.functional.focal_loss import focal_loss as fused_focal_loss
from likelihead.kernels.ops import check_focal_gamma
from likelihead.likelihoods.checks import check_class_logits, check_class_target, check_same_shape

__all__ = ["binary_focal_loss", "focal_loss"]


def focal_loss(
    logits: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    logit_offset: Tensor | None = None,
    where: Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: Reduction = "mean",
    normalizer: Normalizer | None = None,
) -> Tensor:
    r"""Focal loss of a softmax over classes; see `likelihead.functional.focal_loss`, which computes it.

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
        where: False for a class that the example cannot have, in the logits' shape.
        sample_weight: a number per example.
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
    check_focal_gamma(gamma)
    check_focal_gamma(gamma or 1.0, target)
    ignore_index = whole_number("ignore_index", ignore_index)
    shape: tuple[int, ...] = getattr(logits, "shape", ())  # the next line refuses what is no tensor
    num_classes = shape[1] if len(shape) > 1 else 2
    check_class_logits(logits, num_classes)
    check_class_target(target, logits.shape, ClassIndex.of(num_classes, ignore_index))
    return fused_focal_loss(
        logits,
        target,
        gamma,
        weight=weight,
        ignore_index=ignore_index,
        logit_offset=logit_offset,
        where=where,
        sample_weight=sample_weight,
        reduction=reduction,
        normalizer=normalizer,
    )


def binary_focal_loss(
    logits: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    *,
    alpha: float | None = None,
    mask: Tensor | None = None,
    label_smoothing: float = 0.0,
    prior: float | Tensor | None = None,
    sample_weight: Tensor | None = None,
    reduction: Reduction = "mean",
    normalizer: Normalizer | None = None,
) -> Tensor:
    r"""Focal loss of yes-or-no outcomes, elementwise; see `likelihead.functional.binary_focal_loss`.

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
        label_smoothing: how far each label is drawn towards its ``prior``.
        prior: what it is drawn towards; None is a half.
        sample_weight: a number per example, or per label.
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
    check_same_shape(logits, target)
    if mask is not None:
        check_same_shape(logits, mask, name="mask")
    return fused_binary_focal_loss(
        logits,
        target,
        gamma,
        alpha=alpha,
        mask=mask,
        label_smoothing=label_smoothing,
        prior=prior,
        sample_weight=sample_weight,
        reduction=reduction,
        normalizer=normalizer,
    )
