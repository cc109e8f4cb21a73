"""Hazards that dtypes show: one function each, free of data."""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.guard.report import Finding, LossName, shape_text
from likelihead.guard.shape import BINARY_LOSSES, CLASS_LOSSES, class_count, index_shape

__all__ = ["binary_target", "index_dtype", "narrow_index", "weight_dtype"]

_INDEX_DTYPES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def index_dtype(loss: LossName, input: Tensor, target: Tensor | None) -> Finding | None:
    """LH202: a dtype that cannot be class indices here, which no backend computes.

    Floats and booleans in the shape of class indices, and integers in the shape of probabilities.
    """
    if target is None or loss not in CLASS_LOSSES:
        return None
    shape, given = tuple(input.shape), tuple(target.shape)
    if given == index_shape(shape) and target.dtype not in _INDEX_DTYPES:
        return Finding(
            "LH202",
            f"The target {shape_text(given)} has the shape of class indices and the dtype {target.dtype}; "
            "int64, int32, int16, int8 and uint8 can be indices.",
        )
    if given == shape and len(shape) > 1 and not target.is_floating_point():
        return Finding(
            "LH202",
            f"The target {shape_text(given)} has the input's shape and the dtype {target.dtype}; "
            "of a one-hot target pass the class indices, target.argmax(dim=1).",
        )
    return None


def narrow_index(loss: LossName, input: Tensor, target: Tensor | None) -> Finding | None:
    """LH202: an integer too narrow for the number of classes, such as uint8 with 1000 of them."""
    if (
        target is None
        or loss not in CLASS_LOSSES
        or target.dtype not in (torch.uint8, torch.int8, torch.int16)
    ):
        return None
    classes = class_count(input.shape)
    largest = torch.iinfo(target.dtype).max
    if classes - 1 <= largest:
        return None
    return Finding(
        "LH202", f"The target is {target.dtype}, which ends at {largest}, and there are {classes} classes."
    )


def weight_dtype(
    loss: LossName, input: Tensor, target: Tensor | None, weight: Tensor | None
) -> Finding | None:
    """A class weight of another dtype than the input's: torch refuses it beside class indices."""
    if loss not in CLASS_LOSSES or weight is None or target is None or target.is_floating_point():
        return None
    if weight.dtype == input.dtype:
        return None
    return Finding(
        None, f"The weight is {weight.dtype} and the input {input.dtype}. Pass weight.to(input.dtype)."
    )


def binary_target(loss: LossName, target: Tensor | None) -> Finding | None:
    """A BCE target that is not floating-point: torch refuses it, for a reason that its words do not give."""
    if target is None or loss not in BINARY_LOSSES or target.is_floating_point():
        return None
    if loss == "multilabel_soft_margin" and target.dtype is not torch.bool:
        return None
    return Finding(
        None,
        f"The target is {target.dtype}; binary cross-entropy takes probabilities of the input's dtype. "
        "Pass target.to(input.dtype).",
    )
