"""LH401: positions that are padding, and are scored.

Three kinds of evidence, and one of them is enough:

- The target itself was filled up, by `pad_sequence` or row by row with ``F.pad``, and nothing that could tell
  padding from the rest was done to it since. Then it is certain as soon as more was filled in than has been
  cut off.
- The ids that went into an embedding end, in many rows, with one id that occurs nowhere else, at lengths that
  vary; and the target, at all of these positions, holds one class. It need not be the same id, nor one that
  occurs nowhere else: tag 0 of a word and of padding. Where a single position holds something else, these
  ids are not what fills up this target, and where it is ignored all is well.
- Where no embedding was seen (it is compiled, or the features are no ids) the target alone: long rows of many
  classes, neighbours that are as different as words are, and one class at an end of the range that stands at
  the ends of many rows, at lengths that vary, and nowhere else.

A loss without reduction is masked later, a class weight of 0 masks, and so do log-probabilities that were
multiplied by 0. Pictures, text in windows and classes that stay once they are reached have no such class.

All is worked out where the tensors lie, without a branch on what they hold, and read when it has come.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from likelihead.guard.report import shape_text
from likelihead.watch.arriving import Arriving, readable
from likelihead.watch.call import LossCall, Use
from likelihead.watch.checks.base import Check
from likelihead.watch.kinds.rows import is_index
from likelihead.watch.places import Spot
from likelihead.watch.record import Record
from likelihead.watch.rows import Runs, Target, alone, beside, first, runs, target_rows
from likelihead.watch.tags import Padded

__all__ = ["Padding"]

_KEPT = 16  # embeddings that are remembered
_MASKS = ("sample_weight", "normalizer", "where")  # of likelihead's losses
_LONG = 16  # steps of a row that tells by itself
_MANY = 12  # classes of such a target
_ALIKE = 0.2  # share of its neighbours that are alike
_FALLING = 0.25  # share of those where the second is the smaller one; one half in text
_ENDS = 3  # classes at either end of the range, of which one may be padding


@dataclass(frozen=True, eq=False)
class _Ids:
    """A tensor of ids that went into an embedding: as rows along ``dim``."""

    at: Spot
    dim: int
    shape: tuple[int, int]
    runs: Runs
    declared: int | None


@dataclass
class _Sum:
    """What several calls of one site show together."""

    calls: int = 0
    positions: float = 0.0
    ending: float = 0.0
    longest: float = 0.0
    lengths: frozenset[float] = frozenset()
    value: float | None = None
    out: bool = False  # it is no padding, or is masked


@dataclass
class _Pieces:
    """Calls with what one filled-up tensor was cut into."""

    padded: Padded
    calls: int = 0
    size: int = 0
    count: float = 0.0


class Padding(Check):
    """See the module."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self._ids: deque[_Ids] = deque(maxlen=_KEPT)
        self._sums: dict[Any, _Sum] = {}
        self._pieces: dict[Any, _Pieces] = {}
        self._arriving = Arriving()

    # -- what is seen ----------------------------------------------------------------------------------

    def used(self, event: Use) -> None:
        ids = event.details.get("ids") if event.what == "embedding" else None
        if not is_index(ids) or ids.dim() != 2 or not readable(ids) or min(ids.shape) < 2:
            return
        for dim in (1, 0):
            for known in [one for one in self._ids if (one.at, one.dim) == (event.at, dim)]:
                self._ids.remove(known)
            rows = first(ids if dim == 1 else ids.t())
            shape = (ids.shape[0], ids.shape[1])
            self._ids.append(_Ids(event.at, dim, shape, runs(rows), event.details.get("padding_idx")))

    def call(self, call: LossCall) -> None:
        target, tag = call.target, call.target_tag
        if not call.deep or not call.spec.by_class or call.reduction == "none":
            return
        if not is_index(target) or not readable(target) or len(call.input_shape) < 2:
            return
        if any(call.options.get(name) is not None for name in _MASKS):
            return
        if tag is not None and tag.padded is not None and tag.padded.value != call.ignore_index:
            value = torch.full((1,), tag.padded.value, device=target.device)
            whole = target_rows(call, (1, target.numel()), 1)
            if whole is not None:
                self._send(call, tag.padded, whole, whole.filled(value))
        shape = tag.shape if tag is not None and tag.whole and tag.shape else call.target_shape
        if len(shape) != 2 or min(shape) < 2 or math.prod(shape) != target.numel():
            return
        found = [(ids, _as_rows(call, (shape[0], shape[1]), ids)) for ids in self._ids]
        together = [(ids, rows) for ids, rows in found if rows is not None]
        for ids, rows in together:
            self._send(call, ids, rows, beside(rows, ids.runs))
        if not together and shape[1] >= _LONG and call.input_shape[1] >= _MANY:
            by_itself = target_rows(call, shape, 1)
            if by_itself is not None:
                self._send(call, None, by_itself, alone(by_itself))

    def counted(self, call: LossCall) -> None:
        self._arriving.read()

    def end(self, record: Record) -> None:
        self._arriving.read(wait=True)

    def _send(
        self, call: LossCall, source: _Ids | Padded | None, rows: Target, found: dict[str, Tensor]
    ) -> None:
        size = rows.rows.numel()

        def judge(numbers: dict[str, float]) -> None:
            if numbers.get("weight") == 0 or numbers.get("cost") == 0:
                return  # masked
            if isinstance(source, Padded):
                self._filled(call, source, size, numbers)
            else:
                self._ended(call, source, size, numbers)

        self._arriving.send(found, judge)

    # -- what it says ----------------------------------------------------------------------------------

    def _filled(self, call: LossCall, padded: Padded, size: int, numbers: dict[str, float]) -> None:
        """More was filled in than is missing here: positions of it are among these, without exception."""
        seen = self._pieces.get(call.key)
        if seen is None or seen.padded is not padded:
            seen = self._pieces[call.key] = _Pieces(padded)
        seen.calls += 1
        seen.size += size
        seen.count += numbers["count"]
        sure = padded.count - (padded.size - min(seen.size, padded.size))
        least = 0 if seen.calls == 1 else seen.calls  # an end of text that is the padding's id, for each row
        if sure <= least or seen.count < sure or padded.least == padded.most:
            return
        tag = call.target_tag
        self._found(
            call, padded.value, seen.count, seen.size,
            f"the target was filled up with {padded.value} to rows of one length",
            None if tag is None else tag.at,
        )  # fmt: skip

    def _ended(self, call: LossCall, ids: _Ids | None, size: int, numbers: dict[str, float]) -> None:
        key = (call.key, None if ids is None else (ids.at, ids.dim))
        seen = self._sums.setdefault(key, _Sum())
        value = numbers["high"]
        if not numbers["positions"] or (ids is None and not numbers["ending"]):
            seen.out |= ids is not None and numbers["elsewhere"] > 0
            return
        if (
            numbers["low"] != value
            or numbers["elsewhere"]
            or numbers["least"] < 1
            or value in (call.ignore_index, -1)
            or not 0 <= value < call.input_shape[1]
            or seen.value not in (None, value)
        ):
            seen.out = True
        if ids is None and (
            numbers["alike"] > _ALIKE
            or numbers["falling"] < _FALLING
            or numbers["classes"] < _MANY
            or _ENDS < value < call.input_shape[1] - _ENDS
        ):
            seen.out = True
        seen.value = value
        seen.calls += 1
        seen.positions += numbers["positions"]
        seen.ending += numbers["ending"]
        seen.longest = max(seen.longest, numbers["longest"])
        seen.lengths |= {numbers[name] for name in ("shortest", "middle", "longest")}
        if seen.out or not _enough(seen, ids, numbers["value"]):
            return
        if ids is None:
            why = "it stands at the ends of rows and nowhere else"
        else:
            why = (
                f"there the ids {shape_text(ids.shape)} that went into the embedding at "
                f"{ids.at[0]}:{ids.at[1]} are filled up with {numbers['value']:.0f}"
            )
        self._found(call, int(value), numbers["positions"], size, why, None if ids is None else ids.at)

    def _found(
        self, call: LossCall, value: int, count: float, size: int, why: str, made_at: Spot | None
    ) -> None:
        self.session.found(
            "LH401",
            call.at,
            f"{count:.0f} of {size} targets ({count / size:.1%}) are the padding {value}, and count in the "
            f"loss: {why}, and ignore_index is {call.ignore_index}.",
            step=call.step,
            made_at=made_at,
            values={"pad_id": value, "padded": int(count), "targets": size, "share": count / size},
        )


def _enough(seen: _Sum, ids: _Ids | None, value: float) -> bool:
    """Whether so many rows end so that no text would."""
    if ids is None:
        enough = seen.positions >= 32 and seen.ending >= 8 and seen.longest >= 4 and seen.calls > 1
        return enough and len(seen.lengths) > 2
    if ids.declared is not None and ids.declared == value:
        return seen.positions >= 2 and seen.longest >= 2 and len(seen.lengths) > 1
    return seen.positions >= 8 and seen.ending >= 3 and seen.longest >= 3 and len(seen.lengths) > 2


def _as_rows(call: LossCall, shape: tuple[int, int], ids: _Ids) -> Target | None:
    """The target as rows beside those of the ids: as long, or one step shorter."""
    rows, steps = ids.shape if ids.dim == 1 else ids.shape[::-1]
    for dim in (ids.dim, 1 - ids.dim):
        height, width = shape if dim == 1 else shape[::-1]
        if height == rows and width in (steps, steps - 1):
            target = target_rows(call, shape, dim)
            same = target is not None and target.rows.device == ids.runs.real.device
            return target if same else None
    return None
