"""Hazards that the sizes show: one function each, free of data.

Two uses. `accepted` looks at calls that torch would take without a word; it runs on each call. `impossible`
puts a call that cannot be computed into words; it runs when one has failed, or before, for an object that
validates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from likelihead.guard.report import Finding, LossName, shape_text

__all__ = ["accepted", "class_count", "impossible", "index_shape"]

Shape = Sequence[int]

CLASS_LOSSES = ("cross_entropy", "nll")
BINARY_LOSSES = ("bce", "bce_with_logits", "multilabel_soft_margin")


def accepted(
    loss: LossName,
    input: Tensor,
    target: Tensor | None,
    *,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    ignore_index: int | None = None,
) -> Finding | None:
    """The first hazard in a call whose sizes torch accepts."""
    shape = input.shape
    if loss in CLASS_LOSSES:
        if loss == "cross_entropy":
            finding = one_logit(shape)
            if finding is not None:
                return finding
        if ignore_index is not None and ignore_index >= 0 and target is not None and target.shape != shape:
            return ignored_class(shape, ignore_index)
        return None
    if target is not None and target.shape != shape:
        finding = all_pairs(shape, target.shape)
        if finding is not None:
            return finding
    if loss == "multilabel_soft_margin" and weight is not None:
        return element_weight(shape, weight.shape)
    if loss == "bce_with_logits" and pos_weight is not None:
        return pos_weight_along_batch(shape, pos_weight.shape)
    return None


def impossible(
    loss: LossName,
    input: Tensor,
    target: Tensor | None,
    *,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
) -> Finding | None:
    """What keeps these sizes from fitting, or None where they fit."""
    if target is None:
        return None
    if loss in CLASS_LOSSES:
        return _impossible_classes(loss, input, target, weight)
    shape, wanted = input.shape, target.shape
    if loss in BINARY_LOSSES:
        if shape != wanted and not (
            loss == "multilabel_soft_margin" and _broadcast(shape, wanted) is not None
        ):
            return (
                two_logits(shape, wanted)
                or extra_dimension(shape, wanted)
                or index_target_into_binary(target, shape)
                or _unfit(shape, wanted, f"of the input's shape {shape_text(shape)}")
            )
        if weight is not None:
            finding = element_weight(shape, weight.shape)
            if finding is not None:
                return finding
        if pos_weight is not None:
            return pos_weight_unfit(shape, pos_weight.shape)
        return None
    if _broadcast(shape, wanted) is None:
        return extra_dimension(shape, wanted) or _unfit(
            shape, wanted, f"of the input's shape {shape_text(shape)}"
        )
    return None


def _impossible_classes(
    loss: LossName, input: Tensor, target: Tensor, weight: Tensor | None
) -> Finding | None:
    shape, given = input.shape, target.shape
    if not shape:
        return _finding(None, "The input has no dimension; it must be [classes] or [batch, classes, ...].")
    soft = loss == "cross_entropy" and target.is_floating_point() and given == shape
    expected = index_shape(shape)
    if not soft and tuple(given) != expected:
        return (
            class_dimension_last(shape, given)
            or one_logit_each(shape, given)
            or extra_dimension(expected, given, of_index=True)
            or _unfit(
                shape,
                given,
                f"{shape_text(expected)} (class indices)"
                + (f" or {shape_text(shape)} (probabilities)" if loss == "cross_entropy" else ""),
            )
        )
    return None if weight is None else class_weight(shape, weight.shape)


def index_shape(shape: Shape) -> tuple[int, ...]:
    """The shape of class indices for logits of this shape: without the class dimension.

    >>> index_shape((2, 5, 7))
    (2, 7)
    """
    return (*shape[:1], *shape[2:]) if len(shape) > 1 else ()


def class_count(shape: Shape) -> int:
    """The size of the class dimension; 0 where there is no dimension at all."""
    return shape[1] if len(shape) > 1 else shape[0] if shape else 0


# -- one function per hazard -------------------------------------------------------------------------


def class_dimension_last(shape: Shape, target: Shape) -> Finding | None:
    """LH301: ``[B, T, V]`` with a target ``[B, T]``."""
    if len(shape) < 3 or tuple(target) != tuple(shape[:-1]):
        return None
    return _finding(
        "LH301",
        f"The input {shape_text(shape)} with a target {shape_text(target)} has its {shape[-1]} classes last: "
        f"pass input.movedim(-1, 1), or input.flatten(0, {len(shape) - 2}) and target.flatten().",
    )


def all_pairs(shape: Shape, target: Shape) -> Finding | None:
    """LH302: ``[B]`` against ``[B, 1]``, where broadcasting makes ``[B, B]``.

    Only sizes that agree but for ones, and differ in number: ``[B, 1]`` against ``[1, B]`` is written on
    purpose, and a target that is spread over the input (``[D]`` against ``[B, D]``) pairs nothing wrongly.
    """
    if len(shape) == len(target) or _without_ones(shape) != _without_ones(target):
        return None
    together = _broadcast(shape, target)
    if together is None or math.prod(together) <= math.prod(shape):
        return None
    return _finding(
        "LH302",
        f"The input {shape_text(shape)} and the target {shape_text(target)} broadcast to "
        f"{shape_text(together)}.",
    )


def extra_dimension(expected: Shape, target: Shape, *, of_index: bool = False) -> Finding | None:
    """LH302, where it cannot be computed: sizes that differ by ones alone."""
    if tuple(expected) == tuple(target) or _without_ones(expected) != _without_ones(target):
        return None
    meant = "for these logits it must be" if of_index else "the input is"
    return _finding("LH302", f"The target is {shape_text(target)}; {meant} {shape_text(expected)}.")


def one_logit(shape: Shape) -> Finding | None:
    """LH303: cross-entropy over one class, which is 0 whatever the logit.

    A single row is left alone: with in-batch negatives the last batch may hold one example.
    """
    if len(shape) < 2 or shape[1] != 1 or math.prod(shape) <= 1:
        return None
    return _finding(
        "LH303",
        f"The input {shape_text(shape)} holds one class, whose probability is 1: the loss is always 0.",
    )


def one_logit_each(shape: Shape, target: Shape) -> Finding | None:
    """LH303: one logit and one label for each example, into cross-entropy."""
    if len(shape) != 1 or tuple(shape) != tuple(target):
        return None
    return _finding(
        "LH303",
        f"The input {shape_text(shape)} holds one logit for each of {shape[0]} targets; cross-entropy takes "
        f"[batch, classes], and reads [{shape[0]}] as the classes of one example.",
    )


def two_logits(shape: Shape, target: Shape) -> Finding | None:
    """LH303: two logits for each 0/1 label, into BCE."""
    labels = tuple(target[:-1]) if len(target) > 1 and target[-1] == 1 else tuple(target)
    if tuple(shape) != (*labels, 2):
        return None
    return _finding(
        "LH303",
        f"The input {shape_text(shape)} holds two logits for each label of the target {shape_text(target)}.",
    )


def index_target_into_binary(target: Tensor, shape: Shape) -> Finding | None:
    """Class indices into BCE: no hazard of the table, but worth its own words."""
    if tuple(target.shape) != index_shape(shape) or len(shape) < 2 or target.is_floating_point():
        return None
    return _finding(
        None,
        f"The input {shape_text(shape)} has {shape[1]} outputs and the target {shape_text(target.shape)} of "
        f"{target.dtype} looks like class indices. For exclusive classes use cross_entropy; for labels that "
        "occur together pass a 0/1 target of the input's shape.",
    )


def ignored_class(shape: Shape, ignore_index: int) -> Finding | None:
    """LH403: only where the task has two classes, so that what is left cannot be learned from.

    With more classes an index inside the range is usually the padding id, and nothing here can tell.
    """
    classes = class_count(shape)
    if classes != 2 or ignore_index >= classes:
        return None
    return _finding(
        "LH403",
        f"ignore_index={ignore_index} is one of two classes: the loss sees class {1 - ignore_index} alone.",
    )


def pos_weight_along_batch(shape: Shape, pos_weight: Shape) -> Finding | None:
    """LH601: ``[B, 1]`` against logits ``[B, C]``, one weight per example.

    A vector against a vector is left alone: one unbatched example with a weight per label is right.
    """
    lead, rest = pos_weight[:1], pos_weight[1:]
    if (
        len(pos_weight) < 2
        or len(pos_weight) != len(shape)
        or lead[0] <= 1
        or any(size != 1 for size in rest)
    ):
        return None
    if lead[0] != shape[0] or math.prod(shape[1:]) <= 1:
        return None
    return _finding(
        "LH601",
        f"The pos_weight {shape_text(pos_weight)} against the input {shape_text(shape)} gives one weight to "
        "each example, along the batch.",
    )


def pos_weight_unfit(shape: Shape, pos_weight: Shape) -> Finding | None:
    """LH601, where it cannot be computed."""
    if _spreads_over(pos_weight, shape):
        return None
    return _finding("LH601", f"The pos_weight is {shape_text(pos_weight)} and the input {shape_text(shape)}.")


def element_weight(shape: Shape, weight: Shape) -> Finding | None:
    """LH602: a BCE ``weight`` that does not spread over the elements, as one weight per class does not."""
    if _spreads_over(weight, shape):
        return None
    return _finding(
        "LH602",
        f"The weight {shape_text(weight)} does not spread over the elements of the input "
        f"{shape_text(shape)}.",
    )


def class_weight(shape: Shape, weight: Shape) -> Finding | None:
    """LH602: a class weight of the wrong length."""
    classes = class_count(shape)
    if tuple(weight) == (classes,):
        return None
    return _finding(
        "LH602",
        f"The weight is {shape_text(weight)}; the input {shape_text(shape)} has {classes} classes, "
        f"so it must be [{classes}].",
    )


# -- sizes -------------------------------------------------------------------------------------------


def _finding(code: str | None, detail: str) -> Finding:
    return Finding(code, detail)


def _unfit(shape: Shape, target: Shape, expected: str) -> Finding:
    return _finding(
        None, f"The input is {shape_text(shape)} and the target {shape_text(target)}; it must be {expected}."
    )


def _without_ones(shape: Shape) -> list[int]:
    return [size for size in shape if size != 1]


def _broadcast(first: Shape, second: Shape) -> tuple[int, ...] | None:
    # torch.broadcast_shapes says no by an exception, which costs more than the whole check.
    ndim = max(len(first), len(second))
    sizes = []
    for a, b in zip(
        (1,) * (ndim - len(first)) + tuple(first), (1,) * (ndim - len(second)) + tuple(second), strict=True
    ):
        if a != b and a != 1 and b != 1:
            return None
        sizes.append(b if a == 1 else a)
    return tuple(sizes)


def _spreads_over(small: Shape, shape: Shape) -> bool:
    return _broadcast(small, shape) == tuple(shape)
