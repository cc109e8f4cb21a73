"""The numbers of one loss call, read without waiting for a device.

`likelihead.watch.measures` reduces the tensors, where they lie, to one small vector. On the CPU it is read at
once. On a device it is copied into pinned memory behind the script's own work, and read when it has come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from likelihead.watch.measures import Measured, measure

if TYPE_CHECKING:
    from likelihead.watch.call import LossCall

__all__ = ["Event", "Look", "Pending", "look", "to_host"]


@dataclass(frozen=True, eq=False)
class Look:
    """What the tensors of a loss call hold; None where it has no meaning for this loss.

    Of a large input evenly picked rows are looked at; `count` and `ignored` are of all.

    Attributes:
        loss: what was returned; without reduction the mean of it, NaN left out.
        count: targets that count (not ignored); elements for losses of numbers and of labels.
        ignored: targets that ignore_index left out.
        seen: elements of the input that were looked at.
        low, high: the range of the input; NaN where it holds a NaN.
        nan, infinite, masked: how many values of the input are NaN, +inf, -inf. On the CPU None where the
            loss is finite; where they are not, both ranges are of all values.
        tallied: how many were looked at for that.
        target_nan, target_infinite, target_tallied: the same of the target.
        row_low, row_high: the range of the sums over the class dimension.
        row_tolerance: how far from one such a sum may be by rounding.
        positive: share of the values above zero, further than rounding carries a log-probability.
        both_signs: share of the rows with values well above zero and well below.
        entropy: mean entropy of the predictions in nats.
        saturated: share of the predicted probabilities within 1e-6 of 0 or 1; of exclusive classes that of
            the predicted one, within 1e-6 of 1.
        confident_wrong: share of the gradient (of the plain loss, by the logits) that comes from rows
            predicted wrong with more than 0.9.
        target_masked: rows whose target has a logit of -inf.
        target_low, target_high: the range of the target; of class indices those that count.
        target_mean, target_variance: of a target of numbers or labels.
        outside: share of the labels outside [0, 1], rounding aside, where the element weight is not 0.
        zeros_and_ones: whether a soft target or the labels are zeros and ones alone.
        rows: rows of a soft target that were looked at.
        many_ones: those with more than one 1.
        one_ones: those with exactly one 1.
        off_rows: those that mix classes and do not sum to one, rounding aside; rows of zeros are left out.
        sum_low, sum_high: the range of their sums.
        last_sums, row_sums: how far the sums of a soft target over its last dimension, and over the class
            dimension, are from one at most; where it has three dimensions or more.
        counts: how often each class was a target: class indices that count, sums of a soft target, and of
            labels ``[N, L]`` the sum for each, of others one sum.
    """

    loss: float
    count: float
    ignored: float = 0.0
    seen: float = 0.0
    low: float | None = None
    high: float | None = None
    nan: float | None = None
    infinite: float | None = None
    masked: float | None = None
    tallied: float | None = None
    target_nan: float | None = None
    target_infinite: float | None = None
    target_tallied: float | None = None
    row_low: float | None = None
    row_high: float | None = None
    row_tolerance: float | None = None
    positive: float | None = None
    both_signs: float | None = None
    entropy: float | None = None
    saturated: float | None = None
    confident_wrong: float | None = None
    target_masked: float | None = None
    target_low: float | None = None
    target_high: float | None = None
    target_mean: float | None = None
    target_variance: float | None = None
    outside: float | None = None
    zeros_and_ones: bool | None = None
    rows: float | None = None
    many_ones: float | None = None
    one_ones: float | None = None
    off_rows: float | None = None
    sum_low: float | None = None
    sum_high: float | None = None
    last_sums: float | None = None
    row_sums: float | None = None
    counts: Tensor | None = None


class Event(Protocol):
    """What tells that a copy has come: ``torch.Event``."""

    def query(self) -> bool: ...

    def synchronize(self) -> Any: ...


Send = Callable[[Tensor], tuple[Tensor, Event]]

_PINNED = ("cuda", "xpu")  # devices that copy into pinned memory behind the script's own work


class Pending:
    """A look whose numbers are on their way from a device."""

    def __init__(self, measured: Measured, host: Tensor, event: Event) -> None:
        self._names = measured.names
        self._known = measured.known
        self._host = host
        self._event = event

    def ready(self) -> bool:
        """Whether they have come; asks, and never waits."""
        try:
            return self._event.query()
        except RuntimeError:
            return True  # the device is lost, and they with it

    def result(self) -> Look | None:
        """The look; None where the device was lost. Waits where they have not come yet."""
        try:
            self._event.synchronize()
        except RuntimeError:
            return None
        return _read(self._names, self._known, self._host)


def look(call: LossCall, send: Send | None = None) -> Look | Pending | None:
    """Measure the tensors of this call; None where they may not be read.

    Args:
        call: its tensors are there.
        send: how a vector leaves its device; the tests bring their own.
    """
    if call.input is None or call.result is None or not torch.is_floating_point(call.result):
        return None
    kind = call.input.device.type
    if kind == "cuda" and torch.cuda.is_current_stream_capturing():
        return None  # a CUDA graph would run what is done here again and again
    at_once = kind == "cpu" and send is None
    if not at_once and send is None and kind not in _PINNED:
        return None
    # Autocast of the script's would round what is computed here.
    with torch.no_grad(), torch._C._DisableAutocast():
        measured = measure(call, call.input.detach(), call.result.detach(), at_once=at_once)
        if at_once:
            return _read(measured.names, measured.known, measured.vector)
        return Pending(measured, *(send or to_host)(measured.vector))


def to_host(vector: Tensor) -> tuple[Tensor, Event]:
    """Copy behind the script's own work; the event tells when it has come."""
    # Torch keeps pinned memory for the next such copy, and does not give it out before this one is done.
    host = torch.empty(vector.shape, dtype=vector.dtype, device="cpu", pin_memory=True)
    host.copy_(vector, non_blocking=True)
    event = torch.Event(vector.device)
    event.record()
    return host, event


def _read(names: tuple[str, ...], known: dict[str, float], vector: Tensor) -> Look:
    numbers: dict[str, Any] = {**known, **dict(zip(names, vector[: len(names)].tolist(), strict=True))}
    if numbers.get("zeros_and_ones") is not None:
        numbers["zeros_and_ones"] = bool(numbers["zeros_and_ones"])
    counts = vector[len(names) :].double().clone() if vector.numel() > len(names) else None
    return Look(**numbers, counts=counts)
