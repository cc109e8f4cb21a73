"""LH502, and LH501 in training: what the backward passes of one optimizer step add up to.

Which passes a step's gradients are the sum of is told by the gradients themselves (`gradients`). Passes are
micro-batches of one loss where they come from the same lines, on the same way there, with the same terms, on
targets of their own. Then a mean loss of weight 1 is LH502, an error. Weights of 1/k over counts that differ
are a mean of means, as LH501 has it, and fragile only: most who divide by k know what they do, and for parts
of nearly equal size it is near enough.
"""

from __future__ import annotations

import weakref
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from likelihead.watch.call import Backward, LossCall, Step
from likelihead.watch.checks.base import Check
from likelihead.watch.gradients import Gradients
from likelihead.watch.loops import goes_over_terms
from likelihead.watch.places import Spot, callers, place
from likelihead.watch.ranks import world_size
from likelihead.watch.record import Record
from likelihead.watch.shares import Shares
from likelihead.watch.signs import Sign
from likelihead.watch.tags import LossTerm

if TYPE_CHECKING:
    from likelihead.watch.session import Session

__all__ = ["Accumulation", "Seen", "is_plain_mean", "uneven"]

_SPREAD = 1.05  # counts that differ by less make no difference that matters
_KEPT = 4096  # loss calls remembered


@dataclass
class Seen:
    """What is remembered of a loss call."""

    plain: bool
    target: weakref.ref[Any] | None
    loss: float | None = None
    count: float | None = None


@dataclass(frozen=True)
class _Pass:
    """A backward pass."""

    at: Spot
    way: tuple[tuple[int, int], ...]
    terms: tuple[LossTerm, ...]  # empty where they are not known, or the pass was no plain one
    derivatives: int  # calls of torch.autograd.grad before
    steps: int  # of any optimizer before


@dataclass
class _Sums:
    """Steps seen of one backward line whose passes have weight 1/k."""

    steps: int = 0
    uneven: int = 0
    worst: tuple[float, float, float, float, int, int, Spot] | None = None


def is_plain_mean(call: LossCall) -> bool:
    """Whether a mean of this loss is its sum over its count."""
    weighted = call.spec.by_class and call.options.get("weight") is not None
    return not weighted and call.options.get("normalizer") is None


def uneven(counts: list[float]) -> bool:
    """Whether counts differ by enough to matter."""
    return min(counts) > 0 and max(counts) > _SPREAD * min(counts)


class Accumulation(Check):
    """See the module."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._gradients: dict[int, tuple[weakref.ref[Any], Gradients | None]] = {}
        self._passes: dict[int, _Pass] = {}
        self._seen: dict[int, Seen] = {}
        self._number = self._derivatives = self._steps = 0
        self._ready: dict[int, list[_Pass]] = {}  # by optimizer, between the hooks of its step
        self._waiting: list[tuple[list[_Pass], Step, bool]] = []  # and whether the ranks share the step
        self._twice: Counter[Spot] = Counter()
        self._sums: dict[Spot, _Sums] = {}
        self._shares = Shares(world_size() > 1)

    # -- losses --------------------------------------------------------------------------------------

    def call(self, call: LossCall) -> None:
        if call.phase != "training":
            return
        target = call.target
        reference = weakref.ref(target) if hasattr(target, "_version") else None
        self._seen[call.number] = Seen(is_plain_mean(call), reference)
        if len(self._seen) > _KEPT:
            del self._seen[next(iter(self._seen))]

    def looked(self, call: LossCall) -> None:
        seen = self._seen.get(call.number)
        if seen is not None and call.look is not None:
            seen.loss, seen.count = call.look.loss, call.look.count

    # -- passes and steps ----------------------------------------------------------------------------

    def happened(self, sign: Sign) -> None:
        if sign.what == "optimizer":
            self._know(sign.args[0])
        elif sign.what == "replicated":
            self._shares.replicated(sign.args[0])
        elif sign.what == "differentiated":
            self._derivatives += 1
        elif sign.what == "unversioned":
            for gradients in self._each():
                gradients.unversioned(sign.args[0])
        elif sign.what == "rescaling":
            for gradients in self._each():
                gradients.rescaling()
        elif sign.what == "rescaled":
            for gradients in self._each():
                gradients.rescaled()

    def backward_begins(self, event: None) -> None:
        for gradients in self._each():
            gradients.before_pass()

    def backward(self, event: Backward) -> None:
        self._number += 1
        tag = event.tags[0] if len(event.tags) == 1 and event.plain else None
        terms = tag.terms if tag is not None and tag.kind == "loss" else ()
        frames = callers(2, 8)
        way = tuple((id(frame.f_code), frame.f_lineno) for frame in frames)
        del frames
        self._passes[self._number] = _Pass(event.at, way, terms, self._derivatives, self._steps)
        for gradients in self._each():
            gradients.after_pass(self._number)

    def step_begins(self, optimizer: Any) -> None:
        gradients = self._know(optimizer)
        if gradients is not None:
            passes = gradients.passes()
            self._ready[id(optimizer)] = [self._passes[one] for one in passes if one in self._passes]

    def step(self, event: Step) -> None:
        self._steps += 1
        passes = self._ready.pop(id(event.optimizer), [])
        shared = event.deep and self._shares.wanted and self._shares.are_averaged(event.optimizer)
        if event.deep and (len(passes) > 1 or (shared and passes)) and self._same_loss(passes):
            self._waiting.append((passes, event, shared))
        self._weigh()
        for number in [one for one in self._passes if one < self._number - 1024]:
            del self._passes[number]

    def end(self, record: Record) -> None:
        self._weigh()
        self._shares.write(record)
        for at, sums in self._sums.items():
            if sums.uneven >= 2 and 2 * sums.uneven >= sums.steps and sums.worst is not None:
                self._report_means(at, sums)

    def _know(self, optimizer: Any) -> Gradients | None:
        """The gradients of an optimizer, from when its parameters are known."""
        entry = self._gradients.get(id(optimizer))
        if entry is not None and entry[0]() is optimizer and entry[1] is not None:
            return entry[1]
        made = Gradients(optimizer) if hasattr(optimizer, "param_groups") else None
        self._gradients[id(optimizer)] = weakref.ref(optimizer), made
        return made

    def _each(self) -> list[Gradients]:
        gone = [key for key, (reference, _) in self._gradients.items() if reference() is None]
        for key in gone:
            del self._gradients[key]
        return [gradients for _, gradients in self._gradients.values() if gradients is not None]

    # -- what they add up to ---------------------------------------------------------------------------

    def _same_loss(self, passes: list[_Pass]) -> bool:
        """Whether these are micro-batches of one loss."""
        first = passes[0]
        kinds = {(one.way, one.derivatives, one.steps, _composition(one.terms)) for one in passes}
        if len(kinds) > 1 or not first.terms or any(term.factor is None for term in first.terms):
            return False
        targets: set[int] = set()
        for one in passes:
            for term in one.terms:
                seen = self._seen.get(term.call)
                target = None if seen is None or seen.target is None else seen.target()
                if target is not None:
                    if id(target) in targets and len(one.terms) == 1:
                        return False  # several losses on the same data
                    targets.add(id(target))
        return not goes_over_terms(first.at)

    def _weigh(self) -> None:
        """Look at the steps whose numbers have come."""
        waiting, self._waiting = self._waiting, []
        for passes, event, shared in waiting:
            seen = [[self._seen.get(term.call) for term in one.terms] for one in passes]
            if any(one is not None and one.loss is None for row in seen for one in row):
                self._waiting.append((passes, event, shared))
                continue
            means = [term for term in passes[0].terms if term.mean]
            if not means or any(one is None for row in seen for one in row):
                continue
            if shared:
                self._share(passes, event)
            if len(passes) == 1:
                continue
            # Of parts with weights of their own the one with the largest says how the pass is weighed.
            largest = max(abs(factor) for *_, factor in _composition(tuple(means)))
            if abs(largest * len(passes) - 1) < 1e-3:
                self._add(passes, event)
            elif largest == 1.0 or any(term.factor == 1.0 for term in means):
                self._twice[passes[0].at] += 1
                # Two passes may be one that was left over, once.
                if len(passes) > 2 or self._twice[passes[0].at] > 1:
                    self._report_sum(passes, event)

    def _share(self, passes: list[_Pass], event: Step) -> None:
        numbers = [
            (loss, count, term.factor or 0.0)
            for loss, count, term in self._numbers(passes)
            if count is not None
        ]
        site = next(term for term in passes[0].terms if term.mean).site
        where = place(site[1])
        if len(numbers) == len(passes) and where is not None:
            self._shares.add(site[0], where, event.step, numbers)

    def _numbers(self, passes: list[_Pass]) -> list[tuple[float, float | None, LossTerm]]:
        """Loss, count and term of each pass's first mean."""
        found: list[tuple[float, float | None, LossTerm]] = []
        for one in passes:
            term = next(term for term in one.terms if term.mean)
            seen = self._seen[term.call]
            loss = seen.loss or 0.0
            if _is_mixture(one.terms):
                parts = [(self._seen[part.call].loss or 0.0, part.factor or 0.0) for part in one.terms]
                loss, term = sum(value * factor for value, factor in parts), replace(term, factor=1.0)
            found.append((loss, seen.count if seen.plain else None, term))
        return found

    def _report_sum(self, passes: list[_Pass], event: Step) -> None:
        numbers = self._numbers(passes)
        losses = [loss for loss, _, _ in numbers]
        counts = [count for _, count, _ in numbers]
        meant = _meant(losses, counts)
        k = len(passes)
        self.session.found(
            "LH502",
            passes[0].at,
            f"The gradients of {k} backward passes are added up before {type(event.optimizer).__name__} "
            f"steps, and each pass begins at a mean with weight 1. The loss that was optimised is the sum of "
            f"the {k} means, {sum(losses):.6g}; the loss that was meant, the mean over all that they hold, "
            f"is {meant:.6g}.",
            step=event.step,
            made_at=numbers[0][2].site[1],
            values={"passes": k, "optimised": sum(losses), "meant": meant},
        )

    def _add(self, passes: list[_Pass], event: Step) -> None:
        numbers = self._numbers(passes)
        counts = [count for _, count, _ in numbers if count]
        sums = self._sums.setdefault(passes[0].at, _Sums())
        sums.steps += 1
        if len(counts) < len(numbers) or len(passes[0].terms) > 1 or not uneven(counts):
            return
        sums.uneven += 1
        losses = [loss for loss, _, _ in numbers]
        optimised, meant = sum(losses) / len(losses), _meant(losses, list(counts))
        if sums.worst is None or abs(optimised - meant) > abs(sums.worst[0] - sums.worst[1]):
            smallest, largest = min(counts), max(counts)
            sums.worst = (
                *(optimised, meant, smallest, largest, len(passes), event.step),
                numbers[0][2].site[1],
            )

    def _report_means(self, at: Spot, sums: _Sums) -> None:
        assert sums.worst is not None
        optimised, meant, smallest, largest, k, step, made_at = sums.worst
        finding = self.session.found(
            "LH501",
            at,
            f"Each step's gradient is that of the mean of {k} means, which are taken over {smallest:g} to "
            f"{largest:g} targets. The loss that was optimised is {optimised:.6g}; the loss that was meant, "
            f"the sum over all targets of the step divided by their count, is {meant:.6g}.",
            step=step,
            made_at=made_at,
            values={
                **{"passes": k, "optimised": optimised, "meant": meant},
                **{"smallest_count": smallest, "largest_count": largest},
            },
        )
        finding.count = sums.uneven


def _composition(terms: tuple[LossTerm, ...]) -> tuple[tuple[Any, bool, int, float], ...]:
    """What a loss is made of, whatever batch it is of: how many terms of each line, of what weight together.

    The weights of a mixup differ from batch to batch, and their sum does not.
    """
    found: dict[tuple[Any, bool], list[float]] = {}
    for term in terms:
        found.setdefault((term.site, term.mean), []).append(term.factor or 0.0)
    parts = [(*key, len(factors), round(sum(factors), 6)) for key, factors in found.items()]
    return tuple(sorted(parts, key=repr))


def _is_mixture(terms: tuple[LossTerm, ...]) -> bool:
    """Whether this is an average of several means, as of a mixed batch and its two targets."""
    factors = [term.factor for term in terms if term.mean and term.factor is not None and term.factor > 0]
    return len(terms) > 1 and len(factors) == len(terms) and abs(sum(factors) - 1) < 1e-6


def _meant(losses: list[float], counts: list[float | None]) -> float:
    """The sum over all that counts, divided by the count; of equal parts where the counts are not known."""
    known = [count for count in counts if count]
    if len(known) < len(losses):
        return sum(losses) / len(losses)
    return sum(loss * count for loss, count in zip(losses, known, strict=True)) / sum(known)
