"""What each site's losses, entropies and counts were over the run: no hazard, but what the report draws."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from likelihead.guard.report import shape_text
from likelihead.watch.call import LossCall
from likelihead.watch.checks.base import Check
from likelihead.watch.look import Look
from likelihead.watch.places import Spot, place
from likelihead.watch.record import Classes, Record, Site
from likelihead.watch.tags import Tag

if TYPE_CHECKING:
    from likelihead.watch.session import Session

__all__ = ["Curves"]


_EARLY = 0.1  # share of saturated predictions that is many for a model that has learnt nothing
_LOST = 0.01  # share of saturated probabilities through which no gradient passes
_MOST = 2 / 3  # share of the gradient
_LOOKS = 5  # in a row
_UNSEEN = 20  # that are named
_PER_CLASS = 20  # targets for each class, until one that is not among them is worth a word
_MOST_LABELS = 100  # a target of more is not a list of classes: an image
_HALVES = (torch.float16, torch.bfloat16)


@dataclass
class _Seen:
    """What was seen of the targets and predictions of a site, in the calls that were looked at."""

    counts: Tensor | None = None
    targets: float = 0.0
    ignored: float = 0.0
    classes: bool = True  # whether the counts are of classes
    wrong: list[float] = field(default_factory=list)  # the last shares of confident_wrong
    dtype: torch.dtype | None = None  # of the loss


class Curves(Check):
    """Fills the sites."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._seen: dict[Any, _Seen] = {}

    def call(self, call: LossCall) -> None:
        site = self.session.sites[call.key]
        site.looked_at += 1
        if site.looked_at == 1 or (call.input_tag is not None and site.made_at is None):
            self._describe(site, call)
        if call.result is not None:
            self._seen.setdefault(call.key, _Seen()).dtype = call.result.dtype

    def looked(self, call: LossCall) -> None:
        look = call.look
        site = self.session.sites[call.key]
        if look is None:
            return
        seen = self._seen.setdefault(call.key, _Seen())
        if look.entropy is not None and math.isfinite(look.entropy):
            self.session.plot(site.entropy, call.step, look.entropy)
        if look.saturated is not None:
            self._saturation(call, look, first=site.saturated is None)
            site.saturated = look.saturated
        if look.confident_wrong is not None and math.isfinite(look.confident_wrong):
            site.confident_wrong = look.confident_wrong
            seen.wrong = [*seen.wrong[1 - _LOOKS :], look.confident_wrong]
        if seen.dtype in _HALVES and math.isfinite(look.loss):
            self._narrow(call, look.loss, seen.dtype)
            seen.dtype = None
        _count(seen, call, look)

    def end(self, record: Record) -> None:
        seen_in_training = [(key, seen) for key, seen in self._seen.items() if key[2] == "training"]
        for key, seen in self._seen.items():
            self.session.sites[key].classes = _classes(seen)
        # The lines that have one of two labels alone: two sides of a GAN, where another has the other.
        lacking = [
            classes.unseen[0]
            for key, _ in seen_in_training
            if (classes := self.session.sites[key].classes)
            and (classes.classes, classes.unseen_count) == (2, 1)
        ]
        for key, seen in seen_in_training:
            site, at = self.session.sites[key], key[1]
            two_sides = site.classes is not None and site.classes.classes == 2 and len(set(lacking)) == 2
            if site.classes is not None and site.classes.unseen_count and not two_sides:
                self._unseen(site.classes, seen, site, at)
            if len(seen.wrong) == _LOOKS and min(seen.wrong) > _MOST:
                self.session.note(
                    "confident",
                    f"Predictions that are wrong with a probability above 0.9 make up {min(seen.wrong):.0%} "
                    f"of the gradient or more in each of the last {_LOOKS} calls looked at: look at those "
                    "examples for wrong labels, and at the learning rate.",
                    at,
                )

    def _saturation(self, call: LossCall, look: Look, *, first: bool) -> None:
        """Say so where it matters: a gradient is lost, or a model is sure that has learnt nothing."""
        share = look.saturated or 0.0
        if call.phase != "training":
            return
        if call.spec.guard == "bce" and share > _LOST:
            self.session.note(
                "saturation",
                "More than 1% of the probabilities lie within 1e-6 of 0 or 1. There a sigmoid passes on no "
                "gradient, and float32 has no numbers nearer to 1; from the logits "
                "binary_cross_entropy_with_logits has both.",
                call.at,
            )
        elif first and call.step == 0 and share > _EARLY and (look.confident_wrong or 0.0) > _EARLY:
            self.session.note(
                "saturation",
                f"{share:.0%} of the first predictions lie within 1e-6 of 0 or 1, and many of them are "
                "wrong: the logits are too large for a model that has learnt nothing; look at their scale.",
                call.at,
            )

    def _narrow(self, call: LossCall, loss: float, dtype: torch.dtype) -> None:
        spacing = torch.finfo(dtype).eps * 2.0 ** math.floor(math.log2(abs(loss))) if loss else 0.0
        digits = 3 if dtype is torch.float16 else 2
        self.session.note(
            "dtype",
            f"The loss is computed in {str(dtype).removeprefix('torch.')}, which holds {digits} digits: next "
            f"to {loss:.4g} the nearest numbers are {spacing:.2g} apart. Pass input.float(), or run it under "
            "torch.autocast.",
            call.at,
        )

    def _unseen(self, classes: Classes, seen: _Seen, site: Site, at: Spot) -> None:
        if seen.targets < _PER_CLASS * classes.classes or classes.classes > 1000:
            return
        shown = ", ".join(str(label) for label in classes.unseen)
        more = " and others" if classes.unseen_count > len(classes.unseen) else ""
        self.session.note(
            "unseen-label",
            f"{classes.unseen_count} of {classes.classes} classes never occur ({shown}{more}) among the "
            f"{seen.targets:.0f} targets of the {site.looked_at} calls that were looked at.",
            at,
        )

    def _describe(self, site: Site, call: LossCall) -> None:
        if call.input is None:
            return
        tag = call.input_tag
        made = words(tag) if tag is not None else "unknown"
        site.went_in = f"{made}, {_dtype(call.input)} {shape_text(call.input.shape)}"
        site.made_at = place(tag.at) if tag is not None else None
        site.reduction = call.reduction
        site.device = str(call.input.device)
        if call.target is not None and hasattr(call.target, "dtype"):
            site.target = f"{_dtype(call.target)} {shape_text(call.target.shape)}"
        site.options = {
            name: shown for name, value in call.options.items() if (shown := _option(value)) is not None
        }


def _count(seen: _Seen, call: LossCall, look: Look) -> None:
    counts, rows = look.counts, look.rows or look.count
    if counts is None or not seen.classes:
        return
    if call.spec.binary:
        seen.classes = bool(look.zeros_and_ones) and len(counts) <= _MOST_LABELS
        rows = look.seen / len(counts)
        if len(counts) == 1:  # a label is not there, or is
            counts = torch.cat([rows - counts, counts])
    seen.classes &= seen.counts is None or seen.counts.shape == counts.shape
    if not seen.classes or not bool(counts.isfinite().all()):
        return
    seen.counts = counts if seen.counts is None else seen.counts + counts
    seen.targets += rows
    seen.ignored += look.ignored


def _classes(seen: _Seen) -> Classes | None:
    if seen.counts is None or not seen.classes or not seen.targets + seen.ignored:
        return None
    counts = seen.counts.tolist()
    unseen = [label for label, number in enumerate(counts) if not number]
    return Classes(
        len(counts),
        {label: number for label, number in enumerate(counts) if number},
        int(seen.ignored),
        unseen[:_UNSEEN],
        len(unseen),
    )


def words(tag: Tag) -> str:
    """A kind in words: ``"softmax over dimension 1"``."""
    name = tag.kind.replace("_", " ")
    over = f" over dimension {tag.dim}" if tag.dim is not None else ""
    return f"{name}{over}" + (", changed since" if not tag.whole else "")


def _dtype(tensor: object) -> str:
    return str(getattr(tensor, "dtype", "?")).removeprefix("torch.")


def _option(value: object) -> str | None:
    if isinstance(value, (int, float, str)):
        return str(value)
    shape = getattr(value, "shape", None)
    return None if shape is None else f"tensor {shape_text(shape)}"
