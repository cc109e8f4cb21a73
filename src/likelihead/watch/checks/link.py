"""LH101 to LH112 and LH115: what went into a loss beside what it expects.

What a tensor's tag says is held against its numbers, where they lie in the processor's memory; what they deny
is not reported. Where nothing is known of a tensor, the guard's walk through its autograd graph may still
tell. What is done at prediction lies in `prediction`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from likelihead.guard.provenance import check_provenance
from likelihead.guard.report import shape_text
from likelihead.hazards import lookup
from likelihead.watch.call import Backward, LossCall, Step, Use
from likelihead.watch.checks.base import Check
from likelihead.watch.checks.numbers import Numbers, numbers
from likelihead.watch.kinds.rules import LOGARITHMS, PROBABILITIES
from likelihead.watch.places import Spot
from likelihead.watch.record import Record
from likelihead.watch.tags import Tag

__all__ = ["Link", "origin"]

OVERLAP_LOSSES = frozenset({"dice_loss", "jaccard_loss", "tversky_loss", "focal_tversky_loss", "lovasz_loss"})
_FAR = 0.1  # from 0, for the log-sum-exp of what is no row of log-probabilities
_FITS = {"logits": frozenset({"layer"}), "log-probabilities": LOGARITHMS, "probabilities": PROBABILITIES}


@dataclass
class _Held:
    """A finding that waits: the log-sum-exp of the same logits may be added to it."""

    layer: int | None
    at: Spot
    tell: Callable[[], Any]


class Link(Check):
    """Looks at what each loss is given."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self._by_hand: set[int | None] = set()  # layers of whose output the log-sum-exp is taken
        self._held: list[_Held] = []

    def call(self, call: LossCall) -> None:
        self._tell_held(call.at)
        if call.input is None:
            return
        tag = call.input_tag
        site = self.session.sites[call.key]
        if tag is None:
            self._by_graph(call)
            return
        code = _hazard(call, tag) or _by_rows(call, tag)
        if code is None:
            if site.fits is None and tag.kind in _FITS.get(call.spec.expects, ()):
                site.fits = True
            return
        seen = numbers(call.input, _class_dim(call.input) if tag.dim is None else tag.dim)
        if seen is not None and _denied(tag, seen):
            return
        if lookup(code).severity == "E":
            site.fits = False
        detail = f"{origin(tag, call.input, seen)}{_meant(code, tag, call.input)}"
        values = {"shape": shape_text(call.input_shape), **({} if seen is None else seen.values(tag))}

        def tell() -> None:
            self.session.found(code, call.at, detail, step=call.step, made_at=tag.at, values=values)

        if code != "LH105":
            tell()
        elif tag.layer not in self._by_hand:
            self._held.append(_Held(tag.layer, call.at, tell))

    def _by_graph(self, call: LossCall) -> None:
        """Of a tensor that was not followed: what its autograd graph proves."""
        input = call.input
        if call.spec.guard is None or input is None or input.grad_fn is None:
            return
        finding = check_provenance(call.spec.guard, input, full=True, reduction=call.reduction)
        if finding is None or finding.code is None:
            return
        if finding.code == "LH109" and call.spec.library == "keras":
            return
        if finding.code != "LH105" or not self._by_hand:
            self.session.found(
                finding.code,
                call.at,
                finding.detail,
                step=call.step,
                values={"shape": shape_text(input.shape)},
            )

    def _skipped(self, code: str, input: Tensor) -> bool:
        return code == "LH105" and bool(self._by_hand)

    def used(self, event: Use) -> None:
        tag = event.tag
        layer = tag if tag.kind == "layer" else tag.of
        summed = event.what == "logsumexp" or (event.what == "normalised" and tag.kind == "exp_of_layer")
        if summed and layer is not None and layer.layer is not None:
            self._by_hand.add(layer.layer)
            self._held = [held for held in self._held if held.layer != layer.layer]

    def backward(self, event: Backward) -> None:
        self._tell_held()

    def step(self, event: Step) -> None:
        self._tell_held()

    def end(self, record: Record) -> None:
        self._tell_held()

    def _tell_held(self, at: Spot | None = None) -> None:
        """Report what waits; with ``at`` what waits since the last call of this place."""
        if self._held:
            due = [held for held in self._held if at is None or held.at == at]
            self._held = [held for held in self._held if held not in due]
            for held in due:
                held.tell()


# -- which hazard a tag proves -----------------------------------------------------------------------


def _hazard(call: LossCall, tag: Tag) -> str | None:
    """As the guard's `provenance` has it; the first that holds."""
    assert call.input is not None
    if call.spec.library == "likelihead" and call.spec.name in OVERLAP_LOSSES:
        return _overlap(call, tag)
    kind, loss = tag.kind, call.spec.guard
    bare = kind == "log_of_softmax" and not tag.guarded
    if loss == "cross_entropy":
        if kind == "log_softmax":
            redundant = tag.whole and tag.dim == _class_dim(call.input)
            return "LH103" if redundant else None
        return {"softmax": "LH101", "sigmoid": "LH102"}.get(kind, "LH110" if bare else None)
    if loss == "nll":
        if kind in ("log_softmax", "log_of_softmax") and _wrong_dimension(tag, call.input):
            return "LH112"
        if call.reduction == "none":
            return "LH110" if bare else None  # it picks an entry of each row, whatever that is
        return {"softmax": "LH104", "layer": "LH105"}.get(kind, "LH110" if bare else None)
    if loss in ("bce_with_logits", "multilabel_soft_margin"):
        return {"sigmoid": "LH106", "softmax": "LH107"}.get(kind)
    if loss == "bce":
        if kind == "layer" and tag.whole:
            return "LH108"  # torch refuses logits once one of them leaves [0, 1]
        # Keras's takes probabilities unless it is told otherwise: a sigmoid is right there.
        return "LH109" if kind == "sigmoid" and not tag.mixed and call.spec.library != "keras" else None
    if call.spec.name == "kl_div":
        other = call.target_tag
        if kind == "log_softmax" and other is not None and other.kind in ("softmax", "log_softmax"):
            both = tag.whole and other.whole and None not in (tag.dim, other.dim)
            if both and tag.dim != other.dim:
                return "LH112"
        return "LH110" if bare else None
    return None


def _by_rows(call: LossCall, tag: Tag) -> str | None:
    """Log-probabilities whose dimension or rows have changed since: what their numbers say.

    LH103 where some rows were picked, and these are normalised; LH112 where no number was changed, or rows
    were picked of a softmax over the rows, and they are not normalised over the classes.
    """
    assert call.input is not None
    if tag.kind != "log_softmax" or tag.mixed or call.spec.guard not in ("cross_entropy", "nll"):
        return None
    classes = _class_dim(call.input)
    redundant = call.spec.guard == "cross_entropy"
    if redundant:
        asked = not tag.whole and tag.dim == classes
    elif tag.whole:
        asked = tag.dim is None
    else:
        asked = (tag.rest_of if tag.dim is None else tag.dim) not in (None, classes)
    seen = numbers(call.input, classes) if asked else None
    if seen is None:
        return None
    if redundant:
        return "LH103" if seen.log_normalised else None
    off = max(abs(seen.lse_low), abs(seen.lse_high))
    square = call.input.dim() == 2 and call.input.shape[0] == call.input.shape[1]
    return "LH112" if off > _FAR and not square else None


def _overlap(call: LossCall, tag: Tag) -> str | None:
    """LH115: only where the caller says that these are logits. A softmax of log-probabilities is right."""
    if call.options.get("from_logits") is not True:
        return None
    single = call.options.get("task") in ("binary", "multilabel")
    wrong = tag.kind in PROBABILITIES or (single and tag.kind in LOGARITHMS)
    return "LH115" if wrong else None


def _wrong_dimension(tag: Tag, input: Tensor) -> bool:
    """Rows of a square similarity matrix are classes as well."""
    if tag.dim in (None, _class_dim(input)) or not tag.whole:
        return False
    return not (input.dim() == 2 and input.shape[0] == input.shape[1])


def _class_dim(input: Tensor) -> int:
    return 0 if input.dim() <= 1 else 1


# -- in words --------------------------------------------------------------------------------------------


def origin(tag: Tag, input: Tensor, seen: Numbers | None) -> str:
    """Where the input comes from and what it holds, as a sentence."""
    kind = tag.kind.replace("_", " ").replace("layer", "layer with no log-softmax behind it")
    kind = f"average of {kind} outputs" if tag.mixed else f"{kind}"
    over = f" over dimension {tag.dim}" if tag.dim is not None else ""
    article = "an" if kind[0] in "aeio" else "a"
    held = "" if seen is None else f"; {seen.text(tag)}"
    return f"The input {shape_text(input.shape)} comes from {article} {kind}{over}{held}."


def _meant(code: str, tag: Tag, input: Tensor) -> str:
    if code == "LH104":
        return " To pick the probability of each target use reduction='none'."
    if code == "LH105":
        return " Where the log-sum-exp is added outside, pick the logits with reduction='none'."
    if code == "LH112":
        classes = _class_dim(input)
        if tag.dim is None:
            return f" It did not run over dimension {classes}, the classes'."
        return f" It ran over dimension {tag.dim}; the classes are dimension {classes}."
    return ""


def _denied(tag: Tag, seen: Numbers) -> bool:
    """Whether the numbers cannot be what the tag says they are."""
    slack = seen.slack
    if tag.kind in PROBABILITIES:
        if not (-slack <= seen.smallest and seen.largest <= 1 + slack):
            return True
        exact = tag.kind == "softmax" and tag.whole and not tag.mixed and tag.dim is not None
        return exact and not (abs(seen.sum_low - 1) <= slack and abs(seen.sum_high - 1) <= slack)
    if tag.kind in LOGARITHMS:
        return seen.largest > slack
    if tag.kind == "layer":
        return seen.largest <= slack and abs(seen.lse_low) <= slack and abs(seen.lse_high) <= slack
    return False
