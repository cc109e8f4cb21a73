"""Dice, Jaccard, Tversky and focal Tversky: one index of TP, FP and FN, with different weights."""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.core.reduction import Normalizer
from likelihead.errors import OptionError
from likelihead.functional._call import overridable
from likelihead.functional.overlap.average import average
from likelihead.functional.overlap.options import Classes, Options, Task, check_number
from likelihead.functional.overlap.pixels import Pixels, counted, read
from likelihead.functional.overlap.sums import Sums, overlap_sums

__all__ = ["dice_loss", "focal_tversky_loss", "jaccard_loss", "tversky_loss"]


@overridable
def dice_loss(
    input: Tensor,
    target: Tensor,
    *,
    from_logits: bool,
    task: Task = "multiclass",
    ignore_index: int = -100,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    weight: Tensor | None = None,
    per_image: bool = False,
    classes: Classes = "present",
    smooth: float = 0.0,
    per_class: bool = False,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
) -> Tensor:
    r"""One minus the soft Dice coefficient of each class, averaged over the classes.

    .. math:: 1 - \frac{2\,TP + s}{2\,TP + FP + FN + s}
              = 1 - \frac{2\sum_i w_i p_i t_i + s}{\sum_i w_i p_i + \sum_i w_i t_i + s}

    It is `tversky_loss` with ``alpha`` and ``beta`` of 1/2 and half of ``smooth``. See there for the
    arguments, the shapes and the errors, and :doc:`/images` for which loss to choose.

    ``smooth`` is the :math:`s` of this formula. All else is as in `tversky_loss`.

    >>> logits = torch.tensor([[[4.0, 0.0, -4.0]]])
    >>> dice_loss(logits, torch.tensor([[[1, 1, 0]]]), from_logits=True, task="binary")
    tensor(0.1531)

    References:
        Milletari et al. 2016, "V-Net"; with the denominator of Drozdzal et al. 2016, without squares.
    """
    options = Options(
        from_logits=from_logits,
        task=task,
        ignore_index=ignore_index,
        mask=mask,
        sample_weight=sample_weight,
        weight=weight,
        per_image=per_image,
        classes=classes,
        per_class=per_class,
        reduction=reduction,
        normalizer=normalizer,
    )
    smooth = check_number("smooth", smooth)
    return _loss(input, target, options, alpha=0.5, beta=0.5, smooth=smooth / 2)


@overridable
def jaccard_loss(
    input: Tensor,
    target: Tensor,
    *,
    from_logits: bool,
    task: Task = "multiclass",
    ignore_index: int = -100,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    weight: Tensor | None = None,
    per_image: bool = False,
    classes: Classes = "present",
    smooth: float = 0.0,
    per_class: bool = False,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
) -> Tensor:
    r"""One minus the soft Jaccard index (intersection over union) of each class, averaged over the classes.

    .. math:: 1 - \frac{TP + s}{TP + FP + FN + s}

    It is `tversky_loss` with ``alpha`` and ``beta`` of 1; `lovasz_loss` is the other extension of the same
    index to probabilities. See `tversky_loss` for the arguments, the shapes and the errors.

    >>> logits = torch.tensor([[[4.0, 0.0, -4.0]]])
    >>> jaccard_loss(logits, torch.tensor([[[1, 1, 0]]]), from_logits=True, task="binary")
    tensor(0.2656)

    References:
        Rahman and Wang 2016, "Optimizing intersection-over-union in deep neural networks".
    """
    options = Options(
        from_logits=from_logits,
        task=task,
        ignore_index=ignore_index,
        mask=mask,
        sample_weight=sample_weight,
        weight=weight,
        per_image=per_image,
        classes=classes,
        per_class=per_class,
        reduction=reduction,
        normalizer=normalizer,
    )
    return _loss(input, target, options, alpha=1.0, beta=1.0, smooth=check_number("smooth", smooth))


@overridable
def tversky_loss(
    input: Tensor,
    target: Tensor,
    *,
    from_logits: bool,
    alpha: float = 0.5,
    beta: float = 0.5,
    task: Task = "multiclass",
    ignore_index: int = -100,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    weight: Tensor | None = None,
    per_image: bool = False,
    classes: Classes = "present",
    smooth: float = 0.0,
    per_class: bool = False,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
) -> Tensor:
    r"""One minus the soft Tversky index of each class, averaged over the classes.

    .. math:: 1 - \frac{TP + s}{TP + \alpha\,FP + \beta\,FN + s}
              = \frac{\alpha\,FP + \beta\,FN}{TP + \alpha\,FP + \beta\,FN + s}

    where TP, FP and FN are sums over the pixels that count, of the image or of the whole batch:

    .. math:: TP = \sum_i w_i\,p_i t_i, \quad FP = \sum_i w_i\,p_i (1 - t_i), \quad
              FN = \sum_i w_i\,(1 - p_i)\,t_i

    It is computed in the second form, so that a nearly perfect overlap keeps its digits; 16-bit inputs are
    computed in float32, and sums are added up in float64. No one-hot copy of the target is made.

    **Classes that are not there.** With ``classes="present"`` the mean is over the classes that the target
    holds (in the image, or in the batch): another has no overlap to speak of, and without ``smooth`` its loss
    is 1 for whatever is predicted, with a gradient of 0. With ``classes="all"`` it counts, as 0 where nothing
    of it is predicted either (0/0), and with ``smooth`` as :math:`\alpha FP/(\alpha FP + s)`, which does
    teach its absence. An image or a batch in which nothing counts has a loss of 0, connected to the graph,
    and is left out of the mean.

    Args:
        input: logits or probabilities.
        target: class indices, or for each class 0 or 1 or a share in between. With shares the loss is not
            least at the probabilities that equal them; use hard targets, or a likelihood.
        from_logits: True where the input holds logits: a softmax (multiclass) or a sigmoid (binary,
            multilabel) is applied; False where it holds probabilities. There is no default: the two cannot be
            told apart.
        alpha: how much a false positive counts.
        beta: how much a false negative counts; above ``alpha`` it favours recall.
        task: ``"multiclass"``, classes that exclude each other; ``"binary"``, one number for each pixel, and
            one class, the positive one; ``"multilabel"``, labels that do not exclude each other.
        ignore_index: the class index of missing pixels; in binary and multilabel targets the label of missing
            elements.
        mask: bool, True where a pixel counts; of the pixels' shape, or for labels of the input's.
        sample_weight: a weight for each image ``[N]``, or for each pixel. With ``per_image`` the weights of
            images weigh the mean over images; all others multiply the terms of the sums. A weight of 2 is the
            image or pixel twice, and of 0 it is left out.
        weight: ``[C]``, weighs the mean over classes. A weight of 0 leaves out a class, such as the
            background.
        per_image: whether the index is taken in each image, and then averaged over images, or once over the
            batch.
        classes: ``"present"`` or ``"all"``, as told above.
        smooth: added to the numerator and the denominator.
        per_class: with ``reduction="none"``: a value for each class, 0 for those that do not count.
        reduction: over images, if ``per_image``: ``"none"``, ``"sum"`` or ``"mean"`` over those that count. A
            batch that is taken as one is the same under each.
        normalizer: what the mean over images divides by instead; 1 is meant where the batch is taken as one.

    Shape:
        - input: ``[N, C, d1, ...]`` (multiclass, multilabel); ``[N, 1, d1, ...]`` or ``[N, d1, ...]``
          (binary).
        - target: ``[N, d1, ...]`` class indices, or the input's shape. Binary targets may lack the channel.
          NaN is a missing element, in a share for each of several classes a missing pixel.
        - returns: 0-d; for ``"none"`` with ``per_image`` ``[N]``; ``[C]`` or ``[N, C]`` with ``per_class``.
          Float32, or float64 for float64.

    Missing pixels add nothing to any sum, and their gradient is exactly 0, also where their input is NaN or
    infinite. On the CPU an impossible target raises; on an accelerator (which is not waited for) or under
    ``torch.compile`` the loss is then NaN.

    Raises:
        ShapeError: the shapes do not fit (LH301, LH302, LH303, LH602, LH603).
        DTypeError: a dtype that cannot mean what it must (LH202).
        TargetError: a class index outside ``[0, C)`` (LH203), a label outside [0, 1] (LH207).
        OptionError: an option without meaning.

    >>> probs = torch.tensor([[[0.9, 0.6, 0.1], [0.1, 0.4, 0.9]]])
    >>> tversky_loss(probs, torch.tensor([[0, 0, 1]]), from_logits=False, alpha=0.3, beta=0.7)
    tensor(0.1993)

    References:
        Salehi et al. 2017, "Tversky loss function for image segmentation using 3D fully convolutional deep
        networks".
    """
    options = Options(
        from_logits=from_logits,
        task=task,
        ignore_index=ignore_index,
        mask=mask,
        sample_weight=sample_weight,
        weight=weight,
        per_image=per_image,
        classes=classes,
        per_class=per_class,
        reduction=reduction,
        normalizer=normalizer,
    )
    alpha, beta = _balance(alpha, beta)
    return _loss(input, target, options, alpha=alpha, beta=beta, smooth=check_number("smooth", smooth))


@overridable
def focal_tversky_loss(
    input: Tensor,
    target: Tensor,
    *,
    from_logits: bool,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 0.75,
    task: Task = "multiclass",
    ignore_index: int = -100,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    weight: Tensor | None = None,
    per_image: bool = False,
    classes: Classes = "present",
    smooth: float = 0.0,
    per_class: bool = False,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
) -> Tensor:
    r"""A power of one minus the soft Tversky index of each class, averaged over the classes.

    .. math:: (1 - TI)^{\gamma}

    ``gamma`` is the exponent itself. Abraham and Khan write :math:`(1 - TI)^{1/\gamma}` with their best value
    at 4/3, which is ``gamma=0.75`` here, the default. Below 1 a class that is nearly right keeps a strong
    gradient; above 1 it is left alone in favour of those that are wrong. At an index of exactly 1 the
    gradient is 0, for every ``gamma``. ``alpha`` and ``beta`` default to the 0.3 and 0.7 of that paper; with
    both at 1/2 and ``gamma=1`` it is the Dice loss.

    All else is as in `tversky_loss`.

    >>> logits = torch.tensor([[[4.0, 0.0, -4.0]]])
    >>> focal_tversky_loss(logits, torch.tensor([[[1, 1, 0]]]), from_logits=True, task="binary")
    tensor(0.2978)

    References:
        Abraham and Khan 2019, "A novel focal Tversky loss function with improved attention U-Net for lesion
        segmentation", where alpha weighs the false negatives; here it weighs the false positives, as in
        Salehi et al.
    """
    options = Options(
        from_logits=from_logits,
        task=task,
        ignore_index=ignore_index,
        mask=mask,
        sample_weight=sample_weight,
        weight=weight,
        per_image=per_image,
        classes=classes,
        per_class=per_class,
        reduction=reduction,
        normalizer=normalizer,
    )
    alpha, beta = _balance(alpha, beta)
    gamma = check_number("gamma", gamma, above=0.0)
    smooth = check_number("smooth", smooth)
    return _loss(input, target, options, alpha=alpha, beta=beta, smooth=smooth, gamma=gamma)


def _balance(alpha: float, beta: float) -> tuple[float, float]:
    alpha, beta = check_number("alpha", alpha), check_number("beta", beta)
    if alpha == beta == 0:
        raise OptionError("alpha and beta are both 0, so that no mistake counts; one must be above 0.")
    return alpha, beta


def _loss(
    input: Tensor,
    target: Tensor,
    options: Options,
    *,
    alpha: float,
    beta: float,
    smooth: float,
    gamma: float = 1.0,
) -> Tensor:
    pixels: Pixels = read(input, target, options)
    sums = overlap_sums(pixels, options.per_image)
    values = _one_minus_index(sums, alpha, beta, smooth)
    if gamma != 1:
        # The slope of a power at 0 is infinite or 0: at 0 itself the value is replaced, and the gradient 0.
        above = values > 0
        values = torch.where(above, torch.where(above, values, torch.ones_like(values)).pow(gamma), values)
    return average(values, sums.total, counted(pixels, options.per_image), pixels, options)


def _one_minus_index(sums: Sums, alpha: float, beta: float, smooth: float) -> Tensor:
    wrong = alpha * sums.fp + beta * sums.fn
    whole = sums.tp + wrong + smooth
    # 0/0: nothing of the class is there, and nothing was predicted.
    return wrong / torch.where(whole == 0, torch.ones_like(whole), whole)
