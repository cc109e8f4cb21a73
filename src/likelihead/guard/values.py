"""Hazards that only the numbers show, at level *full*: one function each.

Cost: a few elementwise passes and reductions over the input and the target, temporaries of their size, and
one wait for the device per check. A check that finds something reads the first offender as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from likelihead.core.rounding import sum_tolerance
from likelihead.guard.report import Finding, LossName, shape_text
from likelihead.guard.shape import BINARY_LOSSES, CLASS_LOSSES, class_count

__all__ = ["check_values", "class_target"]

# How far above zero rounding may carry a log-probability, where the log-sum-exp that was taken off is large.
_LOG_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.5, torch.bfloat16: 0.5}


def check_values(
    loss: LossName,
    input: Tensor,
    target: Tensor | None,
    *,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    mask: Tensor | None = None,
    missing: bool = False,
    input_known: bool = False,
) -> Iterator[Finding]:
    """Every hazard that the values show.

    Args:
        loss: the loss that is about to be computed.
        input: its first argument.
        target: its target.
        num_classes: how many classes there are, where it is not the size of the input's class dimension.
        ignore_index: the class index that is left out.
        mask: elements of a BCE target that count; where it is False the target may be anything.
        missing: whether a NaN in a BCE target stands for a missing label.
        input_known: whether a hazard of the input is reported already.
    """
    input = input.detach()
    if input.ndim == 0 or input.numel() == 0 or not input.is_floating_point():
        return
    finding = non_finite(loss, input, "input", mask)
    if finding is not None:
        yield finding
        return  # the sums below would be NaN as well
    if not input_known:
        finding = _INPUT_CHECKS[loss](input) if loss in _INPUT_CHECKS else None
        if finding is not None:
            yield finding
    if target is None or target.numel() == 0:
        return
    target = target.detach()
    indices = loss in CLASS_LOSSES and not target.is_floating_point()
    if indices or (loss == "cross_entropy" and target.shape == input.shape):
        classes = num_classes if num_classes is not None else class_count(input.shape)
        finding = class_target(target, classes, ignore_index)
    elif loss in BINARY_LOSSES:
        finding = binary_range(target, mask, missing=missing)
    elif loss in ("mse", "gaussian_nll") and target.is_floating_point():
        finding = non_finite(loss, target, "target")
    if finding is not None:
        yield finding


def class_target(target: Tensor, classes: int, ignore_index: int | None) -> Finding | None:
    """What is wrong with class indices, or with probabilities along dimension 1."""
    if not target.is_floating_point():
        return index_range(target, classes, ignore_index)
    return non_finite("cross_entropy", target, "target") or soft_target(target)


def soft_target(target: Tensor) -> Finding | None:
    """The one hazard that describes a probability target best: LH301, LH204, LH201 or LH205."""
    return class_dimension_last(target) or multi_hot(target) or one_hot(target) or unnormalised_rows(target)


# -- the input ---------------------------------------------------------------------------------------


def non_finite(
    loss: LossName, values: Tensor, name: Literal["input", "target"], mask: Tensor | None = None
) -> Finding | None:
    """LH801: NaN, and infinities that mean nothing.

    A logit or log-probability of -inf is a masked class, and is right. A label cannot be masked so: its loss
    is NaN.
    """
    bad = ~torch.isfinite(values)
    if name == "input" and loss in CLASS_LOSSES:
        bad &= values != -torch.inf
    if mask is not None:
        bad &= mask.detach().bool()
    if not bool(bad.any()):
        return None
    return Finding("LH801", f"The {name} {_first(bad, values)} ({_how_many(bad)}).")


def probabilities_into_cross_entropy(logits: Tensor) -> Finding | None:
    """LH101 by its values: every row lies in [0, 1] and sums to one."""
    if not _rows_are_probabilities(logits):
        return None
    return Finding("LH101", f"The rows of the input {shape_text(logits.shape)} lie in [0, 1] and sum to one.")


def no_log_probabilities(log_probs: Tensor) -> Finding | None:
    """LH104 or LH105: log-probabilities above zero."""
    above = log_probs > _LOG_TOLERANCE.get(log_probs.dtype, 1e-3)
    if not bool(above.any()):
        return None
    if _rows_are_probabilities(log_probs):
        shape = shape_text(log_probs.shape)
        return Finding("LH104", f"The rows of the input {shape} lie in [0, 1] and sum to one.")
    detail = f"The input {_first(above, log_probs)} ({_how_many(above)}); a log-probability is at most 0."
    return Finding("LH105", detail)


def logits_into_bce(probs: Tensor) -> Finding | None:
    """LH108: probabilities outside [0, 1]."""
    outside = (probs < 0) | (probs > 1)
    if not bool(outside.any()):
        return None
    return Finding("LH108", f"The input {_first(outside, probs)} ({_how_many(outside)}).")


_INPUT_CHECKS = {
    "cross_entropy": probabilities_into_cross_entropy,
    "nll": no_log_probabilities,
    "bce": logits_into_bce,
}


# -- the target --------------------------------------------------------------------------------------


def index_range(target: Tensor, classes: int, ignore_index: int | None) -> Finding | None:
    """LH203: a class index outside [0, classes) that is not ignored."""
    index = target.long()  # in uint8 a comparison with -100 would wrap around
    bad = (index < 0) | (index >= classes)
    if ignore_index is not None:
        bad &= index != ignore_index
    if not bool(bad.any()):
        return None
    detail = f"The target {_first(bad, index)} ({_how_many(bad)}), and there are {classes} classes."
    return Finding(
        "LH203", detail if ignore_index is None else f"{detail} The ignore_index is {ignore_index}."
    )


def class_dimension_last(target: Tensor) -> Finding | None:
    """LH301 by its values: the rows sum to one over the last dimension, and not over dimension 1."""
    if target.ndim < 3 or _sum_to_one(target, 1) or not _sum_to_one(target, -1):
        return None
    return Finding(
        "LH301",
        f"The rows of the target {shape_text(target.shape)} sum to one over its last dimension, not over "
        "dimension 1.",
    )


def multi_hot(target: Tensor) -> Finding | None:
    """LH204: zeros and ones alone, with more than one 1 in a row."""
    if not _zeros_and_ones(target):
        return None
    many = target.sum(_class_dim(target), dtype=torch.float32) > 1
    if not bool(many.any()):
        return None
    return Finding(
        "LH204", f"The target {shape_text(target.shape)} holds more than one 1 in {_how_many(many, 'row')}."
    )


def one_hot(target: Tensor) -> Finding | None:
    """LH201: exactly one 1 in each row, so that class indices say the same."""
    if not _zeros_and_ones(target):
        return None
    if not bool((target.sum(_class_dim(target), dtype=torch.float32) == 1).all()):
        return None
    return Finding("LH201", f"The target {shape_text(target.shape)} of {target.dtype} has one 1 in each row.")


def unnormalised_rows(target: Tensor) -> Finding | None:
    """LH205. A row of zeros is left alone: it takes its example out of the loss, and may be meant to."""
    dim = _class_dim(target)
    sums = target.sum(dim, dtype=_wide(target))
    off = ((sums - 1).abs() > sum_tolerance(target.dtype, target.shape[dim])) & (sums != 0)
    if not bool(off.any()):
        return None
    place = _position(off)
    value = float(sums[place])
    row = "" if not place else f" at {shape_text(place)}"
    return Finding("LH205", f"The row of the target{row} sums to {value:.6g} ({_how_many(off, 'row')}).")


def binary_range(target: Tensor, mask: Tensor | None, *, missing: bool) -> Finding | None:
    """LH207: a label outside [0, 1]; LH801 for a NaN that does not stand for a missing label."""
    if target.dtype is torch.bool:
        return None
    counts = None if mask is None else mask.detach().bool()
    if target.is_floating_point() and not missing:
        lost = target.isnan() if counts is None else target.isnan() & counts
        if bool(lost.any()):
            return Finding("LH801", f"The target {_first(lost, target)} ({_how_many(lost)}).")
    outside = (target < 0) | (target > 1)
    if counts is not None:
        outside = outside & counts
    if not bool(outside.any()):
        return None
    return Finding("LH207", f"The target {_first(outside, target)} ({_how_many(outside)}).")


# -- reading tensors ---------------------------------------------------------------------------------


def _class_dim(values: Tensor) -> int:
    return 1 if values.ndim > 1 else 0


def _wide(values: Tensor) -> torch.dtype:
    return torch.float64 if values.dtype is torch.float64 else torch.float32


def _sum_to_one(values: Tensor, dim: int) -> bool:
    off = (values.sum(dim, dtype=_wide(values)) - 1).abs()
    return bool((off <= sum_tolerance(values.dtype, values.shape[dim])).all())


def _rows_are_probabilities(values: Tensor) -> bool:
    """Two classes at least: a single number that is one proves nothing."""
    dim = _class_dim(values)
    if values.ndim == 0 or values.shape[dim] < 2 or not bool(((values >= 0) & (values <= 1)).all()):
        return False
    return _sum_to_one(values, dim)


def _zeros_and_ones(values: Tensor) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _position(bad: Tensor) -> tuple[int, ...]:
    return tuple(int(i) for i in bad.nonzero()[0])


def _first(bad: Tensor, values: Tensor) -> str:
    values = values.expand_as(bad) if values.shape != bad.shape else values
    place = _position(bad)
    value = values[place].item()
    shown = str(value) if isinstance(value, int) else f"{value:.6g}"
    return f"is {shown}" if not place else f"is {shown} at {shape_text(place)}"


def _how_many(bad: Tensor, what: str = "value") -> str:
    return f"{int(bad.sum())} of {bad.numel()} {what}s"
