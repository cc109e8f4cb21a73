"""From the values of classes to one number: over the classes that count, then over the images that count."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from likelihead.core.reduction import reduce
from likelihead.functional.overlap.options import Options
from likelihead.functional.overlap.pixels import Pixels

__all__ = ["average"]


def average(values: Tensor, total: Tensor, valid: Tensor, pixels: Pixels, options: Options) -> Tensor:
    r"""The mean over classes, then the reduction over images.

    .. math:: L_g = \frac{\sum_c \omega_c\, n_{gc}\, v_{gc}}{\sum_c \omega_c\, n_{gc}}

    where :math:`n_{gc}` is 1 for a class that counts and 0 for another. An image in which nothing counts is 0
    and is not counted.

    Args:
        values: ``[G, C]``, of each image or of the batch as one.
        total: ``[G, C]``, what there is of each class.
        valid: ``[G, C]``, whether any pixel of it is not missing.
        pixels: what was read.
        options: of the call.
    """
    counts = total > 0 if options.classes == "present" else valid
    counts = counts.detach()
    values = torch.where(counts, values, torch.zeros_like(values))
    if options.per_class:
        if pixels.image_weight is not None:
            values = values * pixels.image_weight.to(values.dtype).unsqueeze(1)
        return _told(values if options.per_image else values.squeeze(0), pixels)
    share = counts.to(values.dtype)
    if options.weight is not None:
        share = share * options.weight.to(values.dtype)
    whole = share.sum(1)
    per_image = (values * share).sum(1) / torch.where(whole > 0, whole, torch.ones_like(whole))
    count = (whole > 0).to(values.dtype).detach()
    if pixels.image_weight is not None:
        weight = pixels.image_weight.to(values.dtype)
        per_image, count = per_image * weight, count * weight
    if not options.per_image:
        per_image = per_image.squeeze(0)
    result = reduce(
        per_image, options.reduction, count=count.sum(), normalizer=options.normalizer, empty="zero"
    )
    return _told(result, pixels)


def _told(result: Tensor, pixels: Pixels) -> Tensor:
    result = result.to(pixels.dtype)
    if pixels.wrong is None:
        return result
    return torch.where(pixels.wrong, torch.full_like(result, math.nan), result)
