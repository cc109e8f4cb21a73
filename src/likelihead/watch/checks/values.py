"""What the numbers of a loss call show.

Of the input LH101, LH104, LH105 and LH108, of the target LH201, LH203 to LH205, LH207, LH301, LH303 and
LH402, of both LH801.

The words and tolerances are those of `likelihead.guard.values`; a run adds what one call cannot know. What
may be masked later (a loss that is not reduced) is left alone, and so is an input whose making is known: at
those `link` looks.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict, TypeGuard

from torch import Tensor

from likelihead.errors import LikelihoodError
from likelihead.guard.check import explain_shape
from likelihead.guard.provenance import holders, saved_elsewhere
from likelihead.guard.report import Finding as Seen
from likelihead.guard.report import shape_text
from likelihead.guard.shape import class_count, one_logit_each
from likelihead.guard.values import binary_range, index_range, logits_into_bce, non_finite
from likelihead.watch.call import FailedCall, LossCall, Step
from likelihead.watch.checks.base import Check
from likelihead.watch.look import Look
from likelihead.watch.mode import readable
from likelihead.watch.places import Spot
from likelihead.watch.record import Record
from likelihead.watch.signs import Sign

__all__ = ["Values", "weights"]

_ENOUGH_ROWS = 4  # that sum to one: fewer may by chance
_MIXED_SIGNS = 0.25  # of the rows: log-probabilities times a number have one sign in a row
_LEAVE_OUT = ("mask", "where", "sample_weight")  # options that say what does not count


@dataclass
class _OneHot:
    """A line whose targets were one-hot in each call so far."""

    detail: str
    step: int
    calls: int = 0
    always: bool = True


@dataclass
class _Open:
    """An NLL whose gradient is to come: until then the log-sum-exp of its input may be taken elsewhere."""

    at: Spot
    input: weakref.ref[Tensor]
    holders: int
    tell: Callable[[], Any] | None = None


class Values(Check):
    """Looks at the numbers of each loss call."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self._known: set[int] = set()  # calls whose input others judge
        self._picked = False  # an NLL of this run picks entries: so may those without a gradient
        self._open: dict[int, _Open] = {}
        self._rows: dict[Any, float] = {}  # by site: that sum to one, without exception
        self._one_hot: dict[Spot, _OneHot] = {}

    def call(self, call: LossCall) -> None:
        self._judge(call.at)
        if call.input_tag is not None or (call.spec.guard == "nll" and self._picks(call)):
            self._known.add(call.number)

    def looked(self, call: LossCall) -> None:
        known = call.number in self._known
        self._known.discard(call.number)
        look = call.look
        if look is None:
            return
        if not math.isfinite(look.loss):
            self._not_finite(call, look)
            return  # the sums below would be NaN as well
        if call.spec.by_class and call.spec.library != "keras" and not known:
            self._input(call, look)
        if any(call.options.get(name) is not None for name in _LEAVE_OUT):
            return
        if look.rows:
            self._soft_target(call, look)
        elif call.spec.binary and look.outside and call.reduction != "none":
            self._found(
                call, "LH207",
                f"The target goes from {look.target_low:.6g} to {look.target_high:.6g}; "
                f"{_percent(look.outside)} of it lies outside [0, 1].",
                smallest=look.target_low, largest=look.target_high, share_outside=look.outside,
            )  # fmt: skip

    def failed(self, call: FailedCall) -> None:
        input, target, guard = call.input, call.target, call.spec.guard
        if guard is None or isinstance(call.error, LikelihoodError):
            return  # our own losses say by themselves what is wrong; `shapes` reads it
        if not (_at_hand(input) and _at_hand(target)):
            return
        if explain_shape(guard, input, target, **weights(call.options)) is not None:
            return  # `shapes` explains it
        seen: Seen | None = None
        if call.spec.by_class and not target.is_floating_point():
            ignore_index = int(call.options.get("ignore_index", -100))
            seen = index_range(target, class_count(input.shape), ignore_index)
        elif guard == "bce":
            seen = (
                non_finite(guard, input, "input")
                or logits_into_bce(input)
                or binary_range(target, None, missing=False)
            )
        if seen is not None and seen.code is not None:
            self.session.found(seen.code, call.at, seen.detail, step=call.step)

    def backward_begins(self, event: None) -> None:
        self._judge()

    def step(self, event: Step) -> None:
        self._judge()

    def happened(self, sign: Sign) -> None:
        if sign.what == "differentiated":  # the graph is gone, and with it what it would have told
            self._known.update(self._open)
            self._open.clear()

    def end(self, record: Record) -> None:
        """Tell of one-hot targets: a line that mixes its examples on some calls alone needs rows."""
        self._judge()
        for at, seen in self._one_hot.items():
            if seen.always:
                calls = "the one call" if seen.calls == 1 else f"each of the {seen.calls} calls"
                self.session.found(
                    "LH201", at, f"{seen.detail}, in {calls} that were looked at.", step=seen.step
                )

    # -- parts -------------------------------------------------------------------------------------------

    def _found(self, call: LossCall, code: str, detail: str, **values: float | None) -> None:
        made_at = None if call.input_tag is None or code == "LH207" else call.input_tag.at
        self.session.found(code, call.at, detail, step=call.step, made_at=made_at, values=values)

    def _not_finite(self, call: LossCall, look: Look) -> None:
        """LH402, LH801; or a note, where neither is the reason."""
        if call.reduction == "none":
            # All is NaN, and no label was missing: nothing is left that a mask could keep.
            if math.isnan(look.loss) and look.nan and not look.target_nan:
                detail = f"The input {_input_held(call, look)}; no loss is a number."
                self._found(call, "LH801", detail, nan=look.nan)
            return
        if call.spec.by_class and look.ignored and not look.count:
            if call.reduction == "mean":
                detail = f"All {look.ignored:.0f} targets are ignore_index={call.ignore_index}."
                self._found(call, "LH402", detail, ignored=look.ignored)
            return
        counted = {name: getattr(look, name) for name in ("nan", "infinite", "masked", "target_nan")}
        reason = _reason(call, look)
        if reason is not None:
            self._found(call, "LH801", reason, loss=look.loss, **counted)
        elif look.tallied and _finite(look):
            self.session.note(
                "non-finite",
                f"The loss was {look.loss} though its input and its target are finite: an overflow, a "
                "logarithm of 0, or a division by 0 in the loss itself.",
                call.at,
            )

    def _picks(self, call: LossCall) -> bool:
        """Whether this NLL picks an entry: it is not reduced, or its input has a log-sum-exp elsewhere."""
        input, loss = call.input, call.result
        if call.reduction == "none" or input is None or loss is None:
            return True
        if not loss.requires_grad:
            return self._picked
        if not call.deep:
            return True  # nobody says when the backward pass begins
        if saved_elsewhere(input, loss):
            self._picked = True
            return True
        self._open[call.number] = _Open(call.at, weakref.ref(input), holders(input))
        return False

    def _judge(self, at: Spot | None = None) -> None:
        """Report what waits; with ``at`` what waits since the last call of this line."""
        for number, one in list(self._open.items()):
            if at is not None and one.at != at:
                continue
            del self._open[number]
            input = one.input()
            if input is not None and holders(input) > one.holders:
                self._picked = True
                self._known.add(number)
            elif one.tell is not None:
                one.tell()

    def _input(self, call: LossCall, look: Look) -> None:
        shape = shape_text(call.input_shape)
        if _probabilities(look) and class_count(call.input_shape) > 1:
            rows = self._rows.get(call.key, 0.0) + look.seen / class_count(call.input_shape)
            self._rows[call.key] = rows
            if rows >= _ENOUGH_ROWS:
                code = "LH101" if call.spec.guard == "cross_entropy" else "LH104"
                detail = f"The rows of the input {shape} lie in [0, 1] and sum to one."
                self._found(call, code, detail, smallest=look.low, largest=look.high)
            return
        self._rows[call.key] = -math.inf
        if look.positive and look.both_signs is not None and look.both_signs >= _MIXED_SIGNS:
            detail = (
                f"The input {shape} goes up to {look.high:.6g} ({_percent(look.positive)} of it lies above "
                "0); a log-probability is at most 0."
            )
            tell = partial(
                self._found, call, "LH105", detail, largest=look.high, share_positive=look.positive
            )
            if call.number in self._open:
                self._open[call.number].tell = tell
            else:
                tell()

    def _soft_target(self, call: LossCall, look: Look) -> None:
        target = f"The target {shape_text(call.target_shape)}"
        rows, tolerance = look.rows or 0.0, 1e-4
        known = self._one_hot.setdefault(call.at, _OneHot(f"{target} has one 1 in each row", call.step))
        known.calls += 1
        one_hot = bool(look.zeros_and_ones) and look.one_ones == rows
        known.always &= one_hot and call.spec.library != "keras"  # whose loss of this name takes no indices
        last, own = look.last_sums, look.row_sums
        if last is not None and own is not None and last <= tolerance < own:
            self._found(
                call, "LH301",
                f"The rows of the target {shape_text(call.target_shape)} sum to one over its last dimension, "
                "not over dimension 1.",
            )  # fmt: skip
        elif (
            look.zeros_and_ones
            and look.many_ones
            and (seen := one_logit_each(call.input_shape, call.target_shape))
        ):
            self._found(call, "LH303", seen.detail)
        elif look.zeros_and_ones and look.many_ones:
            detail = f"{target} holds more than one 1 in {look.many_ones:.0f} of {rows:.0f} rows."
            self._found(call, "LH204", detail, rows=look.many_ones)
        elif (
            look.off_rows
            and look.target_low is not None
            and look.target_low >= 0
            and (call.reduction != "none" or look.off_rows == rows)
        ):
            detail = (
                f"{target} has {look.off_rows:.0f} of {rows:.0f} rows that do not sum to one; the sums go "
                f"from {look.sum_low:.6g} to {look.sum_high:.6g}."
            )
            self._found(call, "LH205", detail, smallest_sum=look.sum_low, largest_sum=look.sum_high)


class _Weights(TypedDict, total=False):
    weight: Tensor
    pos_weight: Tensor


def weights(options: Mapping[str, Any]) -> _Weights:
    """Of a loss call, those that were given."""
    found: _Weights = {}
    if readable(weight := options.get("weight")):
        found["weight"] = weight
    if readable(pos_weight := options.get("pos_weight")):
        found["pos_weight"] = pos_weight
    return found


def _at_hand(value: Any) -> TypeGuard[Tensor]:
    """Whether this can be read without waiting."""
    return readable(value) and value.device.type == "cpu" and value.numel() > 0


def _probabilities(look: Look) -> bool:
    low, high, slack = look.row_low, look.row_high, look.row_tolerance
    if low is None or high is None or slack is None or look.low is None or look.high is None:
        return False
    return look.low >= 0 and look.high <= 1 and low >= 1 - slack and high <= 1 + slack


def _finite(look: Look) -> bool:
    """Whether input and target are, where both ranges are of all values."""
    ends = (look.low, look.high, look.target_low, look.target_high)
    return all(end is None or math.isfinite(end) for end in ends)


def _reason(call: LossCall, look: Look) -> str | None:
    """Why a loss is not finite, as far as its input and its target tell."""
    held = _input_held(call, look)
    if held is not None:
        return f"The input {held}."
    held = _held(
        look.target_low, look.target_high, look.target_nan, look.target_infinite, look.target_tallied
    )
    if held is not None:
        return f"The target {held}."
    if look.target_masked:
        return f"The logit of the target's class is -inf in {look.target_masked:.0f} rows."
    if look.masked and look.entropy is not None and math.isnan(look.entropy):
        return "Every class of some rows has a logit of -inf."
    return None


def _input_held(call: LossCall, look: Look) -> str | None:
    # -inf is the logit of a class that cannot be; and an alignment of CTC may be impossible as well.
    if call.spec.by_class or call.spec.name == "ctc_loss":
        return _held(
            None if look.low == -math.inf else look.low, look.high, look.nan, look.infinite, look.tallied
        )
    return _held(look.low, look.high, look.nan, (look.infinite or 0) + (look.masked or 0), look.tallied)


def _held(
    low: float | None, high: float | None, nan: float | None, infinite: float | None, looked_at: float | None
) -> str | None:
    """What is no number: counted, or else by the ends of the range."""
    counted = [
        f"{what} in {number:.0f} of {looked_at:.0f} values"
        for what, number in (("NaN", nan), ("infinity", infinite))
        if number
    ]
    if counted:
        return f"holds {' and '.join(counted)}"
    if low is not None and math.isnan(low):
        return "holds NaN"
    return "holds infinity" if high == math.inf or low == -math.inf else None


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
