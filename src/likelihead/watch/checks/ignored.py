"""LH403: an ignore_index that is a real class.

One of two classes is certain, but where another loss of the same step sees that class: each of the two then
has a weight of its own. So such a finding waits for the end of the step, or for the next call of its line.
With more classes an index inside the range is padding as a rule, or what nobody has labelled, and the data
have to say that it is not:

- *Plain examples*, ``[N, C]`` with ``[N]``, in a script that embeds nothing and fills nothing up: the ignored
  class is about as frequent as the others. What is not labelled is a class of its own size.
- *Text*, where the target is what went into the embedding, one step on: the ignored id stands in the middle
  of rows, as a word among words. Padding stands at their ends.

Pictures, tags and masked language models are left alone: there an ignored class may lie anywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from likelihead.guard.shape import ignored_class
from likelihead.watch.arriving import Arriving, readable
from likelihead.watch.call import LossCall, Step, Use
from likelihead.watch.checks.base import Check
from likelihead.watch.kinds.rows import is_index
from likelihead.watch.places import Spot
from likelihead.watch.record import Record

__all__ = ["Ignored"]

_MOST = 1 << 17  # ids that are kept until the loss
_KEPT = 4  # embeddings
_PLAIN = 3  # examples of the ignored class
_TARGETS = 24  # in all
_TWICE = 2.0  # as frequent as the median of the others, or as rare
_CALLS = 4  # in a step: micro-batches
_INSIDE = 3  # words in the middle of rows


@dataclass(frozen=True, eq=False)
class _Text:
    """Ids that went into an embedding: a copy of our own."""

    ids: Tensor
    padding_idx: int | None


@dataclass(frozen=True)
class _Of:
    """A loss over classes in this step: the sizes of its input, and what is told of an ignored class."""

    shape: tuple[int, ...]
    call: LossCall
    detail: str | None


@dataclass
class _Seen:
    """Of a site."""

    ignored: float = 0.0
    counts: Tensor | None = None
    inside: float = 0.0
    size: float = 0.0
    out: bool = False


class Ignored(Check):
    """See the module."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self._texts: dict[Spot, _Text] = {}
        self._plain: dict[Any, _Seen] = {}
        self._inside: dict[Any, _Seen] = {}
        self._rows = False  # rows of ids or of labels were seen: examples need not be plain ones
        self._followed = False  # tensors are, or else rows would not have been seen
        self._arriving = Arriving()
        self._step: dict[tuple[Spot, int | None], _Of] = {}  # by line and ignored class

    def used(self, event: Use) -> None:
        if event.what != "embedding":
            return
        self._rows = True
        ids = event.details.get("ids")
        if not is_index(ids) or ids.dim() != 2 or not readable(ids) or ids.numel() > _MOST:
            return
        self._texts.pop(event.at, None)
        while len(self._texts) >= _KEPT:
            del self._texts[next(iter(self._texts))]
        self._texts[event.at] = _Text(ids.clone(), event.details.get("padding_idx"))

    def call(self, call: LossCall) -> None:
        tag, target = call.target_tag, call.target
        self._rows |= tag is not None and tag.kind in ("padded", "sequences")
        self._followed |= call.deep
        if not call.spec.by_class or not is_index(target) or target.shape == call.input_shape:
            return
        inside = _inside_range(call)
        certain = ignored_class(call.input_shape, call.ignore_index or 0) if inside else None
        self._hold(call, None if certain is None else certain.detail)
        if certain is not None or not inside:
            return
        shape = tag.shape if tag is not None and tag.whole and tag.shape else call.target_shape
        if not call.deep or len(shape) != 2 or not readable(target):
            return
        for at, text in self._texts.items():
            for dim, numbers in enumerate(_beside(target.detach(), shape, text, call.ignore_index or 0)):
                if numbers is not None:
                    self._send(call, at, dim, numbers)

    def looked(self, call: LossCall) -> None:
        """Plain examples: how often each class was a target."""
        look = call.look
        plain = len(call.target_shape) == 1 and len(call.input_shape) == 2 and not self._rows
        if look is None or look.counts is None or not plain or not self._followed:
            return
        if not _inside_range(call) or call.input_shape[1] < 3 or self._often(call):
            return
        seen = self._plain.setdefault(call.key, _Seen())
        seen.ignored += look.ignored
        seen.counts = look.counts if seen.counts is None else seen.counts + look.counts
        others = [count for count in seen.counts.tolist() if count]
        if seen.ignored < _PLAIN or sum(others) + seen.ignored < _TARGETS or len(others) < 2:
            return
        usual, chance = median(others), 2 * math.sqrt(seen.ignored)
        at_most = max(usual * _TWICE, 1.25 * max(others)) + chance
        if usual / _TWICE - chance <= seen.ignored <= at_most:
            self._found(
                call,
                f"Class {call.ignore_index} is about as frequent as the others: {seen.ignored:.0f} of "
                f"{sum(others) + seen.ignored:.0f} targets, and none of them counts.",
            )

    def counted(self, call: LossCall) -> None:
        self._arriving.read()

    def step(self, event: Step) -> None:
        for key in self._step:
            self._judge(key)
        self._step.clear()

    def end(self, record: Record) -> None:
        self._arriving.read(wait=True)
        for key in self._step:
            self._judge(key)

    def _hold(self, call: LossCall, detail: str | None) -> None:
        """Hold the losses over classes of a step side by side."""
        key = (call.at, None if detail is None else call.ignore_index)
        if key in self._step:
            self._judge(key)
        self._step[key] = _Of(call.input_shape, call, detail)

    def _judge(self, key: tuple[Spot, int | None]) -> None:
        """Report it, unless targets of the same sizes go into a loss that sees the class."""
        one = self._step[key]
        beside = (other[1] for other, seen in self._step.items() if seen.shape[1:] == one.shape[1:])
        if one.detail is not None and all(index == key[1] for index in beside):
            self._found(one.call, one.detail)

    def _often(self, call: LossCall) -> bool:
        """Whether the line runs several times a step: over time, where rows may have come to their end."""
        return self.session.sites[call.key].calls > _CALLS * (call.step + 1)

    def _send(self, call: LossCall, at: Spot, dim: int, numbers: dict[str, Tensor]) -> None:
        def judge(found: dict[str, float]) -> None:
            seen = self._inside.setdefault((call.key, at, dim), _Seen())
            seen.out |= found["different"] > 0
            seen.inside += found["inside"]
            seen.size += found["size"]
            if not seen.out and seen.inside >= _INSIDE:
                self._found(
                    call,
                    f"{call.ignore_index} stands in the middle of rows, {seen.inside:.0f} times among "
                    f"{seen.size:.0f} ids that go into the embedding at {at[0]}:{at[1]} and are predicted "
                    "one step ahead; where it is the next one, nothing counts.",
                )

        self._arriving.send(numbers, judge)

    def _found(self, call: LossCall, detail: str) -> None:
        self.session.found(
            "LH403", call.at, detail, step=call.step, values={"ignore_index": call.ignore_index}
        )


def _inside_range(call: LossCall) -> bool:
    """Whether a class is ignored."""
    if not call.spec.by_class or len(call.input_shape) < 2 or call.ignore_index is None:
        return False
    return 0 <= call.ignore_index < call.input_shape[1]


def _beside(
    target: Tensor, shape: tuple[int, ...], text: _Text, ignored: int
) -> list[dict[str, Tensor] | None]:
    """How often the ignored id stands in the middle, and whether the target is the ids one step on.

    The rows may run along the last dimension or along the first.
    """
    if text.padding_idx == ignored or text.ids.device != target.device:
        return []
    rows = target.reshape(shape)
    return [_one_step_on(rows, text.ids, ignored), _one_step_on(rows.t(), text.ids.t(), ignored)]


def _one_step_on(rows: Tensor, ids: Tensor, ignored: int) -> dict[str, Tensor] | None:
    steps = ids.shape[1]
    if rows.shape[0] != ids.shape[0] or rows.shape[1] not in (steps, steps - 1) or steps < 3:
        return None
    other = ids != ignored
    place = torch.arange(1, steps + 1, device=ids.device)
    last = torch.where(other, place, 0).amax(1, keepdim=True)
    begun = torch.where(other, place, steps + 1).amin(1, keepdim=True)
    return {
        "different": (rows[:, : steps - 1] != ids[:, 1:]).sum(),
        "inside": (~other & (place > begun) & (place < last)).sum(),
        "size": torch.full((), float(ids.numel()), device=ids.device),
    }
