"""What is measured of a loss call: reductions where the tensors lie, without a branch on what they hold.

Nothing of the user's is changed. Temporaries are of `_ELEMENTS` numbers at most, a few MiB in all: of a
larger input evenly picked rows are taken, as strided views.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from likelihead.core.rounding import sum_tolerance
from likelihead.guard.shape import element_weight
from likelihead.watch.mode import readable

if TYPE_CHECKING:
    from likelihead.watch.call import LossCall

__all__ = ["LOG_TOLERANCE", "Measured", "measure"]

_ELEMENTS = 1 << 18  # of the input
_ROWS = 4  # at least, however many classes there are
_TARGETS = 1 << 19
_TALLIED = 1 << 22
_MOST_CLASSES = 1 << 18  # that are counted
_MOST_LABELS = 1 << 12
_NEAR = 1e-6
_CONFIDENT = 0.9
_LABEL_TOLERANCE = 0.01  # of a label that was interpolated or mixed

LOG_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.5, torch.bfloat16: 0.5}
"""How far above zero rounding may carry a log-probability, as `likelihead.guard.values` has it."""


@dataclass(frozen=True)
class Measured:
    """Numbers by name, then the counts of the classes, in one vector on the device; and what needed none."""

    names: tuple[str, ...]
    vector: Tensor
    known: dict[str, float]


def measure(call: LossCall, input: Tensor, result: Tensor, *, at_once: bool) -> Measured:
    """Reduce the tensors of this call to one vector.

    Args:
        call: the loss call.
        input: its input, detached.
        result: its result, detached.
        at_once: whether the loss may be read here: then NaN and infinities are looked for where it is not
            finite, and else not at all.
    """
    into = _Into(input.device)
    target = _beside(call.target, input)
    loss = into["loss"] = _mean_loss(result)
    suspicious = not at_once or not bool(torch.isfinite(loss))
    if input.numel() == 0 or not input.is_floating_point():
        into.known["count"] = float(input.numel() if target is None else target.numel())
    else:
        if suspicious:
            _tally(into, input, target)
        if call.spec.by_class:
            _classes(into, call, input, target)
        elif call.spec.binary:
            _labels(into, call, input, target)
        else:
            _numbers(into, input, target)
    return into.measured()


class _Into(dict[str, Tensor]):
    """Numbers by name, on the way into a vector."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.wide = torch.float32 if device.type == "mps" else torch.float64
        self.known: dict[str, float] = {}
        self.counts: Tensor | None = None

    def range(self, low: str, high: str, values: Tensor) -> None:
        if low not in self:  # or else it is that of all
            self[low], self[high] = torch.aminmax(values)

    def measured(self) -> Measured:
        vector = torch.stack([value.to(self.wide) for value in self.values()])
        if self.counts is not None:
            vector = torch.cat([vector, self.counts.to(self.wide)])
        return Measured(tuple(self), vector, self.known)


# -- by loss -----------------------------------------------------------------------------------------


def _classes(into: _Into, call: LossCall, input: Tensor, target: Tensor | None) -> None:
    dim = 1 if input.ndim > 1 else 0
    classes = input.shape[dim]
    at = _picks(input.shape, max(_ELEMENTS, _ROWS * classes), keep=dim)
    scores = _floats(input[at])
    into.known["seen"] = float(scores.numel())
    into.range("low", "high", scores)
    into.range("row_low", "row_high", scores.sum(dim))
    into.known["row_tolerance"] = sum_tolerance(input.dtype, classes)
    if call.spec.expects == "log-probabilities":
        tolerance = LOG_TOLERANCE.get(input.dtype, 1e-3)
        into["positive"] = _share(scores > tolerance)
        both = (scores.amax(dim) > tolerance) & (scores.amin(dim) < -tolerance)
        into["both_signs"] = _share(both)
    log_probs = scores.log_softmax(dim)
    probs = log_probs.exp()
    top, predicted = probs.max(dim)
    into["entropy"] = torch.special.entr(probs).sum(dim).mean()
    into["saturated"] = _share(top >= 1 - _NEAR)
    rows = input.numel() // classes
    into.known["count"] = float(rows)
    if target is None:
        return
    if target.is_floating_point():
        if target.shape == input.shape:
            into.known["rows"] = float(predicted.numel())
            soft = _floats(target[at])
            _soft_target(into, soft, dim, target.dtype, whole=soft.numel() == target.numel())
            wrong = (soft.argmax(dim) != predicted) & (top > _CONFIDENT)
            into["confident_wrong"] = _part((probs - soft).abs().sum(dim), wrong)
        return
    del into.known["count"]
    ignore_index = -100 if call.ignore_index is None else call.ignore_index
    _indices(into, target, ignore_index, classes)
    index = target[at[:dim] + at[dim + 1 :]].long()
    if index.shape != predicted.shape:
        return
    counted = index != ignore_index
    safe = index.clamp(0, classes - 1).unsqueeze(dim)
    mass = (1 - probs.gather(dim, safe).squeeze(dim)) * counted
    into["confident_wrong"] = _part(mass, (index != predicted) & (top > _CONFIDENT))
    into["target_masked"] = ((scores.gather(dim, safe).squeeze(dim) == -torch.inf) & counted).sum()


def _indices(into: _Into, target: Tensor, ignore_index: int, classes: int) -> None:
    into["count"] = _count_others(target, ignore_index)
    into["ignored"] = target.numel() - into["count"]
    index = target[_picks(target.shape, _TARGETS)].long()
    counted = index != ignore_index
    # Out of every range where nothing counts: the low end above the high one.
    into["target_low"] = index.masked_fill(~counted, torch.iinfo(torch.int64).max).amin()
    into["target_high"] = index.masked_fill(~counted, torch.iinfo(torch.int64).min).amax()
    if classes <= _MOST_CLASSES:
        inside = counted & (index >= 0) & (index < classes)
        index = index.masked_fill(~inside, classes).flatten()
        ones = torch.ones(1, dtype=into.wide, device=index.device).expand(index.shape)
        counts = torch.zeros(classes + 1, dtype=into.wide, device=index.device).index_add_(0, index, ones)
        into.counts = counts[:classes]


def _soft_target(into: _Into, soft: Tensor, dim: int, dtype: torch.dtype, *, whole: bool) -> None:
    classes = soft.shape[dim]
    sums = soft.sum(dim)
    ones = (soft == 1).sum(dim)
    into["zeros_and_ones"] = ((soft == 0) | (soft == 1)).all()
    into["many_ones"] = (ones > 1).sum()
    into["one_ones"] = (ones == 1).sum()
    into.range("target_low", "target_high", soft)
    into.range("sum_low", "sum_high", sums)
    tolerance = _tolerance(soft, dtype, classes)
    off = (sums - 1).abs()
    into["off_rows"] = ((off > tolerance) & (sums != 0) & ((soft != 0).sum(dim) > 1)).sum()
    if soft.ndim > 2 and whole:
        into["row_sums"] = off.amax()
        into["last_sums"] = (soft.sum(-1) - 1).abs().amax()
    if classes <= _MOST_CLASSES:
        into.counts = soft.movedim(dim, 0).flatten(1).sum(1) if soft.ndim > 1 else soft


def _labels(into: _Into, call: LossCall, input: Tensor, target: Tensor | None) -> None:
    at = _picks(input.shape, _ELEMENTS)
    scores = _floats(input[at])
    into.known |= {"seen": float(scores.numel()), "count": float(input.numel())}
    into.range("low", "high", scores)
    if call.spec.expects == "logits":
        probs = scores.sigmoid()
        into["saturated"] = _share(scores.abs() >= math.log(1 / _NEAR))
    else:
        probs = scores
        into["saturated"] = _share((scores <= _NEAR) | (scores >= 1 - _NEAR))
    into["entropy"] = (torch.special.entr(probs) + torch.special.entr(1 - probs)).mean()
    if target is None or target.shape != input.shape:
        return
    labels = _floats(target[at])
    mass = (probs - labels).abs()
    into["confident_wrong"] = _part(mass, mass > _CONFIDENT)
    into.range("target_low", "target_high", labels)
    into["target_variance"], into["target_mean"] = torch.var_mean(labels, correction=0)
    into["zeros_and_ones"] = ((labels == 0) | (labels == 1)).all()
    outside = (labels < -_LABEL_TOLERANCE) | (labels > 1 + _LABEL_TOLERANCE)
    weight = _beside(call.options.get("weight"), input)
    if weight is not None and element_weight(input.shape, weight.shape) is None:
        outside &= weight.expand(input.shape)[at] != 0
    into["outside"] = _share(outside)
    labelled = labels.ndim == 2 and 1 < labels.shape[1] == input.shape[1] <= _MOST_LABELS
    into.counts = labels.sum(0) if labelled else labels.sum().reshape(1)


def _numbers(into: _Into, input: Tensor, target: Tensor | None) -> None:
    values = _floats(input[_picks(input.shape, _ELEMENTS)])
    into.known |= {"seen": float(values.numel()), "count": float(input.numel())}
    into.range("low", "high", values)
    if target is not None and target.numel() and not target.is_complex():
        wanted = _floats(target[_picks(target.shape, _ELEMENTS)])
        into.range("target_low", "target_high", wanted)
        into["target_variance"], into["target_mean"] = torch.var_mean(wanted, correction=0)


# -- their parts -------------------------------------------------------------------------------------


def _beside(value: object, input: Tensor) -> Tensor | None:
    """This argument where it can be read together with the input."""
    if not readable(value) or value.device != input.device or not value.numel():
        return None
    return value.detach()


def _mean_loss(result: Tensor) -> Tensor:
    if result.ndim == 0:
        return result
    return _floats(result[_picks(result.shape, _ELEMENTS)]).nanmean()


def _tally(into: _Into, input: Tensor, target: Tensor | None) -> None:
    """Whether any value is none, which the range of all tells in one pass; and how many, of those picked."""
    into.range("low", "high", input)
    picked = input[_picks(input.shape, _TALLIED)]
    into.known["tallied"] = float(picked.numel())
    into["nan"] = _total(picked, torch.isnan)
    into["infinite"] = _total(picked, lambda values: values == torch.inf)
    into["masked"] = _total(picked, lambda values: values == -torch.inf)
    if target is not None and target.is_floating_point():
        into.range("target_low", "target_high", target)
        picked = target[_picks(target.shape, _TALLIED)]
        into.known["target_tallied"] = float(picked.numel())
        into["target_nan"] = _total(picked, torch.isnan)
        into["target_infinite"] = _total(picked, torch.isinf)


def _total(values: Tensor, what: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.stack([what(part).sum() for part in _parts(values)]).sum()


def _count_others(target: Tensor, ignore_index: int) -> Tensor:
    """How many targets are not this one: of all, in parts."""
    ends = torch.iinfo(target.dtype) if target.dtype is not torch.bool else None
    if ends is None or not ends.min <= ignore_index <= ends.max:
        return torch.full((), target.numel(), dtype=torch.int64, device=target.device)
    return torch.stack([(part != ignore_index).sum() for part in _parts(target)]).sum()


def _parts(values: Tensor) -> tuple[Tensor, ...]:
    """Views of some `_ELEMENTS` each, along the first dimension that is long enough."""
    shape, wanted = values.shape, -(-values.numel() // _ELEMENTS)
    if wanted <= 1:
        return (values,)
    dim = next((dim for dim, size in enumerate(shape) if size >= wanted), shape.index(max(shape)))
    return torch.split(values, max(1, shape[dim] // wanted), dim)


def _picks(shape: torch.Size, most: int, keep: int | None = None) -> tuple[slice, ...]:
    """Every so many along each dimension but ``keep``, until there are no more elements than ``most``."""
    left, steps = list(shape), [1] * len(shape)
    while math.prod(left) > most:
        free = [dim for dim in range(len(shape)) if dim != keep and left[dim] > 1]
        if not free:
            break
        longest = max(free, key=left.__getitem__)
        steps[longest] *= 2
        left[longest] = -(-shape[longest] // steps[longest])
    return tuple(slice(None, None, step) for step in steps)


def _floats(values: Tensor) -> Tensor:
    return values if values.dtype is torch.float64 else values.to(torch.float32)


def _share(which: Tensor) -> Tensor:
    return which.float().mean()


def _part(mass: Tensor, where: Tensor) -> Tensor:
    """The part of a mass; 0 of nothing."""
    return (mass * where).sum() / mass.sum().clamp_min(torch.finfo(mass.dtype).tiny)


def _tolerance(soft: Tensor, dtype: torch.dtype, classes: int) -> Tensor:
    """How far a sum may be from one: that of the narrowest dtype which holds all of these numbers.

    Probabilities that a teacher computed in bfloat16 stay as rounded when they are made float32.
    """
    tolerance = torch.full((), sum_tolerance(dtype, classes), dtype=soft.dtype, device=soft.device)
    for narrow in (torch.float16, torch.bfloat16):
        held = (soft.to(narrow).to(soft.dtype) == soft).all()
        wider = torch.full_like(tolerance, sum_tolerance(narrow, classes))
        tolerance = torch.maximum(tolerance, wider.where(held, tolerance))
    return tolerance
