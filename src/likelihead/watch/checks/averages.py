"""LH501 in evaluations and in what is logged: the mean of the means of batches whose counts differ.

What a site's calls return is added up as a script would do it, to the last bit: the sum of the means, their
mean, and beside it the mean over all targets. A variable of the user's that holds the sum of the means, in an
evaluation, or their mean is the proof; one that adds means times counts holds neither. The variables are read
only where batches differ at all: when the first one differs, a few times after, and when the loop is over.
Averages of tensors are known by their tags.
"""

from __future__ import annotations

import ctypes
import linecache
import math
import re
import weakref
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from likelihead.watch.call import LossCall, Step, Use
from likelihead.watch.checks.accumulation import is_plain_mean, uneven
from likelihead.watch.checks.base import Check
from likelihead.watch.frames import Variable, variables
from likelihead.watch.look import Event, to_host
from likelihead.watch.loops import goes_over_terms
from likelihead.watch.places import Spot
from likelihead.watch.record import Record
from likelihead.watch.signs import Sign

if TYPE_CHECKING:
    from likelihead.watch.session import Session

__all__ = ["Averages"]

_KEPT = 4096  # batches remembered by their number, for tags, and waited for
_APART = 1e-5  # relative; means that differ by less do not tell which of them a variable is
_READS = frozenset({2, 3, 4, 5, 8, 16, 32, 64})  # after so many batches


@dataclass
class _Batch:
    """A loss call."""

    count: float
    mean: float | None  # None until the device has told
    drawn: int = 0  # batches that loaders have given since the last call
    coming: tuple[Tensor, Event] | None = None

    def arrived(self) -> bool:
        """Whether the mean is known by now; waits for nothing."""
        if self.mean is None and self.coming is not None and self.coming[1].query():
            self.mean, self.coming = float(self.coming[0]), None
        return self.mean is not None


@dataclass
class _Run:
    """Calls of one site, in a row."""

    key: Any
    step: int
    total: float = 0.0  # of the means
    total_of_floats: float = 0.0  # the same in float32
    weighted: float = 0.0  # of the means times the counts
    count: float = 0.0
    calls: int = 0
    last: float = math.nan
    first_count: float = 0.0
    smallest: float = math.inf
    largest: float = 0.0
    waiting: list[_Batch] = field(default_factory=list)
    draws: int = 0  # of batches from a loader
    undrawn: int = 0  # calls without one
    turns: int = 0  # how often counts rose after the first
    shorter: int = 0  # calls with fewer targets than the first one
    seen: int = 0  # calls, those whose mean is not known yet too
    last_count: float = 0.0
    suspects: set[tuple[CodeType, str]] = field(default_factory=set)
    target: weakref.ref[Any] | None = None
    strange: bool = False  # several losses on one target, or a count that is not known
    proof: str = ""

    def add(self, batch: _Batch) -> None:
        """One more."""
        if self.seen == 0:
            self.first_count = batch.count
        self.turns += self.seen > 0 and batch.count > self.last_count
        self.shorter += batch.count < self.first_count
        self.draws += batch.drawn if self.seen else 0
        self.undrawn += self.seen > 0 and not batch.drawn
        self.last_count = batch.count
        self.seen += 1
        self.waiting.append(batch)
        self.settle()

    def settle(self) -> None:
        """Add up what is known."""
        while self.waiting and self.waiting[0].arrived():
            batch = self.waiting.pop(0)
            mean = self.last = batch.mean if batch.mean is not None else math.nan
            self.calls += 1
            self.total += mean
            self.total_of_floats = ctypes.c_float(self.total_of_floats + mean).value
            self.weighted += mean * batch.count
            self.count += batch.count
            self.smallest, self.largest = min(self.smallest, batch.count), max(self.largest, batch.count)

    @property
    def mean_of_means(self) -> float:
        return self.total / self.calls

    @property
    def mean(self) -> float:
        return self.weighted / self.count

    @property
    def uneven(self) -> bool:
        """Whether it makes a difference."""
        return (
            self.calls > 1
            and uneven([self.smallest, self.largest])
            and math.isfinite(self.total)
            and abs(self.mean_of_means - self.mean) > _APART * abs(self.mean)
        )

    @property
    def of_batches(self) -> bool:
        """Whether these are the batches of a data set, and no time steps of one batch."""
        if self.draws:
            return self.undrawn <= 1  # a loader that reads ahead has none left at the last
        return self.turns > 0 or (self.seen > 2 and self.shorter == 1 and self.last_count < self.first_count)


class Averages(Check):
    """See the module."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._drawn = 0
        self._drawn_at_call: dict[Any, int] = {}
        self._runs: dict[Any, _Run] = {}
        self._batches: dict[int, _Batch] = {}
        self._sums: dict[Any, tuple[tuple[int, ...], bool, int]] = {}  # calls, divided, step
        self._ignores: set[Any] = set()  # sites at which not every target counts

    # -- what happens --------------------------------------------------------------------------------

    def happened(self, sign: Sign) -> None:
        if sign.what == "drawn":
            self._drawn += 1
            if getattr(sign.args[0], "_num_yielded", 0) == 1:  # somebody begins to go over a loader
                self._close_all()

    def counted(self, call: LossCall) -> None:
        if call.reduction != "mean" or not is_plain_mean(call) or call.spec.name == "ctc_loss":
            return
        if call.phase == "training":
            self._close_all("evaluation")
        run = self._runs.get(call.key)
        count = self._count(call)
        if run is not None and self._begins_anew(run, count):
            self._close(call.key)
            run = None
        if run is None:
            run = self._runs[call.key] = _Run(call.key, call.step)
            self._drawn_at_call[call.key] = self._drawn
        self._follow(run, call, count)

    def looked(self, call: LossCall) -> None:
        if call.look is None:
            return
        if call.look.ignored:
            self._ignores.add(call.key)
        batch = self._batches.get(call.number)
        if batch is not None:
            batch.count = call.look.count
            if batch.mean is None:
                batch.mean = call.look.loss

    def used(self, event: Use) -> None:
        terms = event.tag.terms
        if event.tag.kind != "loss" or not terms or not event.tag.whole:
            return
        site, factor = terms[0].site, terms[0].factor
        if len(terms) == 1:
            batch = self._batches.get(terms[0].call)
            if batch is not None and event.value is not None and factor == 1:
                batch.mean = event.value
            return
        if factor is None or site[2] != "evaluation":
            return
        if any((term.site, term.mean, term.factor) != (site, True, factor) for term in terms):
            return
        calls = tuple(term.call for term in terms)
        if abs(factor * len(calls) - 1) < 1e-3:
            self._sums[site] = calls, True, event.step
        elif factor == 1:
            self._sums[site] = calls, False, event.step

    def step(self, event: Step) -> None:
        self._close_all("evaluation")

    def end(self, record: Record) -> None:
        self._close_all()

    # -- runs ----------------------------------------------------------------------------------------

    def _count(self, call: LossCall) -> float | None:
        """How many targets the mean is over; without a look where all of them have counted so far."""
        if call.look is not None:
            return call.look.count
        if call.key not in self._ignores:
            return _elements(call)
        target = call.target
        if isinstance(target, Tensor) and target.device.type == "cpu" and call.phase == "evaluation":
            return float(torch.count_nonzero(target.ne(call.ignore_index or 0)))
        return None

    def _begins_anew(self, run: _Run, count: float | None) -> bool:
        """Whether a loop over no loader has begun again: its last batch was its only short one."""
        return (
            not run.draws
            and run.shorter == 1
            and run.last_count < run.first_count == count
            and not run.turns
            and run.seen > 2
        )

    def _follow(self, run: _Run, call: LossCall, count: float | None) -> None:
        target = call.target
        drawn = self._drawn - self._drawn_at_call[call.key]
        self._drawn_at_call[call.key] = self._drawn
        run.strange |= count is None or (run.target is not None and run.target() is target)
        if run.strange or run.proof or len(run.waiting) > _KEPT:
            return
        assert count is not None
        run.target = weakref.ref(target) if isinstance(target, Tensor) else None
        run.settle()
        if run.calls > 1 and not run.waiting and call.phase == "evaluation":
            if run.uneven and run.calls in _READS:
                self._read(run)
            elif not run.uneven and uneven([count, run.first_count]):
                self._suspect(run)
        batch = _batch(call, count)
        batch.drawn = drawn
        if batch.mean is None and batch.coming is None:
            run.strange = True
            return
        run.add(batch)
        if call.phase == "evaluation" and (call.deep or batch.mean is None):
            self._batches[call.number] = batch
            if len(self._batches) > _KEPT:
                del self._batches[next(iter(self._batches))]

    def _suspect(self, run: _Run) -> None:
        """The first batch that differs comes: who has added up means so far will do so with this one."""
        for one in variables() if run.total else ():
            if one.numbers is None:
                found = one.value in (run.total, run.total_of_floats) and not _weighs(one)
            else:
                found = _holds(one.numbers, run) and _averages(one)
            if found:
                run.suspects.add((one.code, one.name))

    def _read(self, run: _Run) -> bool:
        """Look for the sum or the mean of the means; whether the mean over all targets was seen instead."""
        training = run.key[2] == "training"
        right = False
        means = run.mean_of_means, math.exp(min(run.mean_of_means, 700.0))
        for one in variables():
            if one.numbers is not None and not training and _holds(one.numbers, run) and _averages(one):
                run.proof = f"`{_short(one)}` holds the means of"
            elif any(math.isclose(one.value, mean, rel_tol=1e-7) for mean in means):
                run.proof = f"`{one.name}` is the mean of the means of"
                return False
            elif one.value in (run.total, run.total_of_floats) and not training and one.numbers is None:
                run.proof = f"`{one.name}` is the sum of the means of"
            elif math.isclose(one.value, run.mean, rel_tol=1e-7):
                right = True
            elif (one.code, one.name) in run.suspects and one.value != 0 and one.numbers is None:
                run.suspects.discard((one.code, one.name))  # something else was added to it
        return right

    def _close_all(self, phase: str = "") -> None:
        for key in [key for key in self._runs if not phase or key[2] == phase]:
            self._close(key)
        for site, (calls, divided, step) in self._sums.items():
            batches = [self._batches[call] for call in calls if call in self._batches]
            if len(batches) == len(calls) and (divided or len(calls) > 2):
                run = _Run(site, step)
                for batch in batches:
                    run.add(batch)
                run.proof = f"{'The mean' if divided else 'The sum'} is taken of the means of"
                self._judge(run)
        self._sums.clear()
        if not self._runs:
            self._batches.clear()

    def _close(self, key: Any) -> None:
        run = self._runs.pop(key)
        run.settle()
        if run.strange or run.waiting or not run.uneven or not run.of_batches:
            return
        right = bool(run.proof) or self._read(run)
        if not right and not run.proof and run.suspects:
            name = min(name for _, name in run.suspects)
            run.proof = f"`{name.removesuffix('[-1]')}` takes up the means of"
        self._judge(run)

    def _judge(self, run: _Run) -> None:
        at: Spot = run.key[1]
        if not run.proof or not run.uneven or not run.of_batches or goes_over_terms(at):
            return
        self.session.found(
            "LH501",
            at,
            f"{run.proof} {run.calls} batches, which hold {run.smallest:g} to {run.largest:g} targets. The "
            f"mean of the means is {run.mean_of_means:.6g}; the mean over all targets is {run.mean:.6g}.",
            step=run.step,
            values={
                **{"batches": run.calls, "mean_of_means": run.mean_of_means, "mean": run.mean},
                **{"smallest_count": run.smallest, "largest_count": run.largest},
            },
        )


def _batch(call: LossCall, count: float) -> _Batch:
    result = call.result
    if result is None or result.dim() > 0:
        return _Batch(count, None)
    if result.device.type == "cpu":
        return _Batch(count, float(result))
    if call.phase == "training" or (result.is_cuda and torch.cuda.is_current_stream_capturing()):
        return _Batch(count, None)
    return _Batch(count, None, coming=to_host(result.detach().reshape(1)))


def _elements(call: LossCall) -> float:
    """How many targets there are by the shapes."""
    shape = call.target_shape if call.target_shape else call.input_shape
    if call.spec.by_class and len(shape) == len(call.input_shape) and len(shape) > 1:
        return float(math.prod(shape) // max(shape[1], 1))  # probabilities
    return float(math.prod(shape))


def _holds(numbers: list[Any], run: _Run) -> bool:
    """Whether a list holds the means of this run and nothing else."""
    if len(numbers) != run.calls or numbers[-1] != run.last or any(type(one) is not float for one in numbers):
        return False
    total = 0.0
    for one in numbers:  # `sum` is more exact since Python 3.12
        total += one
    return total == run.total


def _averages(variable: Variable) -> bool:
    """Whether the code that has this list takes its mean, by its text."""
    name = re.escape(_short(variable))
    mean = re.compile(
        rf"(?<!\w)(sum\({name}\)\s*/|f?mean\({name}\)|(tensor|array|asarray|stack|FloatTensor)\({name}\)\.mean)"
    )
    return bool(mean.search(_text(variable.code)))


def _weighs(variable: Variable) -> bool:
    """Whether what is added to this number is a product, by the text."""
    return bool(re.search(rf"(?<!\w){re.escape(variable.name)}\s*\+=.*\*", _text(variable.code)))


def _text(code: CodeType) -> str:
    lines = {line for *_, line in code.co_lines() if line}
    return "".join(linecache.getline(code.co_filename, line) for line in sorted(lines))


def _short(variable: Variable) -> str:
    return variable.name.removesuffix("[-1]")
