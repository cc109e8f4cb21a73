"""LH114 and LH112 where a prediction is made: a link inverted that the output does not have.

The exp of a layer's output is reported only where a cross-entropy of this run takes that layer's output for
logits, and the exp is read as probabilities and nowhere normalised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from likelihead.guard.report import shape_text
from likelihead.watch.call import Backward, LossCall, Step, Use
from likelihead.watch.checks.base import Check
from likelihead.watch.checks.numbers import numbers
from likelihead.watch.kinds.rules import LOGARITHMS
from likelihead.watch.places import Spot, by_user
from likelihead.watch.record import Record
from likelihead.watch.tags import Tag

__all__ = ["Prediction"]

_READ = frozenset({"max", "topk", "argmax", "compare", "tolist", "item"})


class Prediction(Check):
    """Looks at what the outputs are put through beside the loss."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self._logits: dict[int | None, Spot] = {}  # layers whose output a cross-entropy takes, and where
        self._normalised: set[Spot] = set()
        self._exps: dict[Spot, tuple[str, dict[str, Any]]] = {}  # where an exp was taken: what it held
        self._read: dict[Spot, tuple[int | None, Callable[[], Any]]] = {}

    def call(self, call: LossCall) -> None:
        self._tell_read()
        tag = call.input_tag
        if call.spec.guard == "cross_entropy" and tag is not None and tag.kind == "layer":
            self._logits.setdefault(tag.layer, call.at)

    def used(self, event: Use) -> None:
        tag = event.tag
        if tag.kind in LOGARITHMS:
            if event.what in ("softmax", "sigmoid"):
                self._of_log_probabilities(event)
        elif tag.kind == "layer":
            if event.what == "exp" and isinstance(event.details.get("input"), Tensor):
                self._remember(event)
        elif tag.kind == "exp_of_layer":
            if event.what == "normalised":
                self._normalised.add(tag.at)
                self._read.pop(tag.at, None)
            elif event.what in _READ and tag.at not in self._normalised and by_user(2):
                self._exp_is_read(event)
        elif tag.kind == "softmax" and event.what in ("argmax", "max", "topk"):
            self._over_the_batch(event)

    def backward(self, event: Backward) -> None:
        self._tell_read()

    def step(self, event: Step) -> None:
        self._tell_read()

    def end(self, record: Record) -> None:
        self._tell_read()

    # -- log-probabilities -------------------------------------------------------------------------------

    def _of_log_probabilities(self, event: Use) -> None:
        tag, input = event.tag, event.details.get("input")
        if event.what == "softmax" and (tag.dim is None or tag.dim != event.dim):
            return  # over another dimension: then it normalises
        if not isinstance(input, Tensor) or not by_user(2):
            return
        kind = tag.kind.replace("_", " ")
        meant = (
            "their exp is the probabilities already"
            if event.what == "softmax"
            else "it is at most one half; their exp is meant"
        )
        seen = numbers(input, 0 if tag.dim is None else tag.dim)
        if seen is not None and seen.largest > seen.slack:
            return
        # Over some of the classes a softmax normalises; over some of the rows it does not.
        if event.what == "softmax" and not tag.whole and (seen is None or not seen.log_normalised):
            return
        held = "" if seen is None else f" The values lie between {seen.smallest:.4g} and {seen.largest:.4g}."
        detail = (
            f"This is a {event.what} of log-probabilities {shape_text(input.shape)}, the output of a {kind}: "
            f"{meant}.{held}"
        )
        values = {"shape": shape_text(input.shape), **({} if seen is None else seen.values(tag))}
        self.session.found("LH114", event.at, detail, step=event.step, made_at=tag.at, values=values)

    # -- the exp of logits -------------------------------------------------------------------------------

    def _remember(self, event: Use) -> None:
        """What the rows of an exp sum to, before it is known whether somebody reads them."""
        input: Tensor = event.details["input"]
        if event.tag.layer not in self._logits and event.at in self._exps:
            return
        seen = numbers(input.detach().exp(), input.dim() - 1) if input.device.type == "cpu" else None
        text, values = "", {"shape": shape_text(input.shape)}
        if seen is not None:
            if abs(seen.sum_low - 1) <= seen.slack and abs(seen.sum_high - 1) <= seen.slack:
                self._exps.pop(event.at, None)
                return  # the numbers deny it: these were log-probabilities
            text = f" Its rows sum to between {seen.sum_low:.4g} and {seen.sum_high:.4g}."
            values |= {"smallest_row_sum": seen.sum_low, "largest_row_sum": seen.sum_high}  # type: ignore[dict-item]
        self._exps[event.at] = (f"{shape_text(input.shape)}.{text}", values)

    def _exp_is_read(self, event: Use) -> None:
        tag = event.tag
        layer = tag.of.layer if tag.of is not None else None
        seen = self._exps.get(tag.at)
        if layer is None or seen is None or tag.at in self._read:
            return
        text, values = seen

        def tell() -> None:
            where = self._logits[layer]
            detail = (
                f"The exp of a layer's output is read as probabilities ({event.what}), and a cross-entropy "
                f"takes the same layer's output for logits ({where[0]}:{where[1]}). Its shape is {text}"
            )
            self.session.found("LH114", tag.at, detail, step=event.step, made_at=_made(tag), values=values)

        self._read[tag.at] = (layer, tell)

    def _tell_read(self) -> None:
        for at, (layer, tell) in list(self._read.items()):
            if layer in self._logits:
                del self._read[at]
                tell()

    # -- a softmax over the batch ------------------------------------------------------------------------

    def _over_the_batch(self, event: Use) -> None:
        """LH112: the classes of classifier's logits are compared after a softmax over the examples."""
        tag, input = event.tag, event.details.get("input")
        logits = tag.of
        if logits is None or logits.layer not in self._logits or not isinstance(input, Tensor):
            return
        if tag.mixed or not tag.whole or tag.dim != 0 or event.dim != 1 or input.dim() != 2:
            return
        if input.shape[0] == input.shape[1] or not by_user(2):
            return
        seen = numbers(input, 0)
        rows = numbers(input, 1)
        if seen is None or rows is None or abs(rows.sum_low - 1) <= rows.slack >= abs(rows.sum_high - 1):
            return
        if abs(seen.sum_low - 1) > seen.slack or abs(seen.sum_high - 1) > seen.slack:
            return
        detail = (
            f"The softmax {shape_text(input.shape)} ran over dimension 0, the examples; its rows sum to "
            f"between {rows.sum_low:.4g} and {rows.sum_high:.4g}, and the classes, dimension 1, are compared."
        )
        values = {
            "shape": shape_text(input.shape),
            "smallest_row_sum": rows.sum_low,
            "largest_row_sum": rows.sum_high,
        }
        self.session.found("LH112", tag.at, detail, step=event.step, made_at=logits.at, values=values)


def _made(tag: Tag) -> Spot | None:
    return tag.of.at if tag.of is not None else None
