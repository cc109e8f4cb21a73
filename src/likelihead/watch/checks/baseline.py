"""LH703, LH704 and each site's baseline: the losses beside those of a model that does not look at its input.

**LH703, the first loss.** A fresh head of ordinary scale puts out logits within S = 3: three standard
deviations of independent logits of variance one, which is more than torch's own initialisation gives on
inputs of variance one (1/3). With all C logits within S and no relation to the targets the mean loss is at
most ``ln C + h``, where h is the largest ``logsumexp(z) - mean(z) - ln C`` over such logits; for one logit of
a yes or no it is ``softplus(S) - S/2 - ln 2``. Classes of unequal share pi add ``S sqrt(sum pi^2 - 1/C)``,
since one frequent class can happen to have a low logit; the first batch of n targets adds three standard
errors of a loss that moves by S, ``3 S / sqrt n``. Beyond the sum of these the scale is wrong. The other way
to begin badly needs no threshold on logits: where a uniform prediction costs `_SEVERAL` times the best
constant one, three quarters of the first loss are class frequencies, which a bias knows before the first
step. Four is beyond what has no strong imbalance: a language model (1.6), 80% background (2), pictures (2 to
3), one yes in twenty (3.5); and it must be so by two standard errors of the baseline. For labels it is held
against *one* constant for all of them, since pictures have pixels that never change.

**LH704, never below.** Of sampled calls both the loss and what the best constant costs on the call's own
targets are kept. For predictions that know nothing of the targets the expected difference is at least 0 (it
is a KL divergence), for others below; so the luck of the targets is out, and the mean difference over the
second half of the run is judged by its standard error. It is reported where it is not below zero by two
standard errors, and these are small enough to have seen a gain of a few hundredths. A constant that is
fitted on few targets is too good: (K - 1) / 2N is added (Miller and Madow). A loss that still falls is on its
way, and a short run proves nothing.

Silent: whatever has no targets from outside. Targets that are alike within a call and differ between calls
(GANs), or the same in each call and in order or all different (contrastive losses), targets that were
computed or sampled, losses without reduction (which are masked or weighted later), and for LH704 losses that
are optimised beside others, with unknown factors or negative ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor

from likelihead.watch.call import Backward, LossCall
from likelihead.watch.checks.base import Check
from likelihead.watch.constant import Binary, Classes, Constant, Numbers, Part, constant_for
from likelihead.watch.record import Record, Site
from likelihead.watch.signs import Sign

__all__ = ["Baselines"]

_S = 3.0
_SEVERAL = 4.0
_EVERY = 4  # calls whose targets are counted on the CPU, beside those that are looked into
_SMALL = 1 << 14  # targets of such a call
_NUMBERS = 1 << 18  # that are kept of a site's calls: beyond it every second call goes
_CALLS = 2048  # of which they are kept: beyond it too
_LONG = 100  # steps, before which nothing is said of a whole run
_POINTS = 8  # calls in its second half
_SHARP = 0.015  # the standard error, as a share of the baseline


@dataclass(eq=False)
class _Point:
    step: int
    loss: float
    part: Part


@dataclass(eq=False)
class _Seen:
    """What is kept of a site."""

    constant: Constant
    reduction: str
    points: list[_Point] = field(default_factory=list)
    first: list[_Point] = field(default_factory=list)  # before the first gradient
    passes: int = 0  # of all sites, before that
    calls: int = 0
    stride: int = 1
    size: int = 0
    computed: bool = False  # the targets were, by the script
    predicted: bool = False  # from what a model said
    prints: dict[int, set[int]] = field(default_factory=dict)  # of targets, by their number
    printed: int = 0
    ordered: int = 0  # calls whose targets are in order, or all different
    alone: int = 0  # backward passes
    beside: int = 0
    again: int = 0  # numbers that were met before, of those in `met_later`
    met_later: int = 0
    met: set[float] = field(default_factory=set)


class Baselines(Check):
    """See the module."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self._sites: dict[Any, _Seen | None] = {}
        self._passes = 0
        self._open: set[Any] = set()  # followed calls since the last backward pass

    # -- collecting ------------------------------------------------------------------------------------

    def counted(self, call: LossCall) -> None:
        seen = self._seen(call)
        if seen is None:
            return
        seen.calls += 1
        if call.deep:
            self._open.add(call.key)
        target = call.target
        if not isinstance(target, Tensor) or target.device.type != "cpu":
            return
        if call.look is None and ((seen.calls - 1) % (_EVERY * seen.stride) or target.numel() > _SMALL):
            return
        loss = call.look.loss if call.look is not None else _mean(call)
        if loss is not None:
            self._take(seen, call, loss)

    def looked(self, call: LossCall) -> None:
        """Where the targets are on a device: what was counted there."""
        seen = self._sites.get(call.key)
        if seen is not None and call.look is not None and call.target is None:
            self._take(seen, call, call.look.loss)

    def happened(self, sign: Sign) -> None:
        self._passes += sign.what == "differentiated"

    def backward(self, event: Backward) -> None:
        self._passes += 1
        for tag in event.tags:
            if tag is None or tag.kind != "loss":
                continue
            sites = {term.site for term in tag.terms}
            plain = all(term.factor is not None and term.factor > 0 for term in tag.terms)
            for site in sites:
                seen = self._sites.get(site)
                if seen is not None and len(sites) == 1 and plain:
                    seen.alone += 1
                elif seen is not None:
                    seen.beside += 1
        if event.deep and None in event.tags:  # what these went into is not known
            for key in self._open:
                seen = self._sites[key]
                if seen is not None:
                    seen.beside += 1
        self._open.clear()

    def _seen(self, call: LossCall) -> _Seen | None:
        if call.key not in self._sites:
            constant = constant_for(call)
            self._sites[call.key] = None if constant is None else _Seen(constant, call.reduction)
        return self._sites[call.key]

    def _take(self, seen: _Seen, call: LossCall, loss: float) -> None:
        tag = call.target_tag
        if tag is not None and tag.kind not in ("one_hot", "sequences", "padded"):
            seen.computed = True
            seen.predicted |= tag.kind != "class_index" or tag.of is not None
        if call.reduction != seen.reduction:
            seen.constant.known = False
        part = seen.constant.take(call)
        if part is None or not math.isfinite(loss):
            return
        point = _Point(call.step, loss, part)
        if seen.calls <= 3 and (not seen.first or seen.passes == self._passes):
            seen.first.append(point)
            seen.passes = self._passes
        seen.points.append(point)
        seen.size += part.sums.numel()
        if len(seen.points) > _CALLS or (seen.size > _NUMBERS and len(seen.points) > 2 * _POINTS):
            seen.points = seen.points[::2]
            seen.stride *= 2
            seen.size = sum(point.part.sums.numel() for point in seen.points)
        if call.target is not None and 1 < call.target.numel() <= 4096:
            _order(seen, call.target.detach().reshape(-1))

    # -- judging -----------------------------------------------------------------------------------------

    def end(self, record: Record) -> None:
        training = any(key[2] == "training" for key in self._sites)
        for key, seen in self._sites.items():
            if seen is None or not seen.constant.known or seen.constant.total is None:
                continue
            site = self.session.sites[key]
            site.baseline = seen.constant.cost()
            if seen.predicted or not _from_outside(seen):
                continue
            # A loss that is computed once a step where none has a gradient is one that was cut off.
            cut_off = not training and len(site.loss.steps) >= max(_LONG, 0.9 * record.steps)
            if key[2] == "training":
                self._first(key, site, seen)
            alone = seen.alone > 9 * seen.beside
            if not seen.computed and (alone if key[2] == "training" else cut_off):
                self._never(key, site, seen)

    def _first(self, key: Any, site: Site, seen: _Seen) -> None:
        constant = seen.constant
        if not seen.first or not isinstance(constant, (Classes, Binary)):
            return
        # Of several calls the one that is furthest above what is ordinary.
        beginnings = [(point, *_beginnings(constant, point.part)) for point in seen.first]
        point, uniform, base, allowed = max(beginnings, key=lambda one: one[0].loss - one[3])
        values = {"first_loss": point.loss, "baseline": base, "uniform": uniform, "allowed": allowed}
        at, step = key[1], point.step
        if point.loss > allowed:
            self.session.found(
                "LH703", at,
                f"The first loss is {point.loss:.4g}; equal probabilities would cost {uniform:.4g}, the best "
                f"constant prediction {base:.4g}, and logits within {_S:g} of 0 at most {allowed:.4g}. The "
                "scale of the logits is too large, or the weights are not those that were meant.",
                step=step, values=values,
            )  # fmt: skip
            return
        pictures = isinstance(constant, Binary) and constant.rows > 1 and seen.reduction == "sum"
        # So many of the targets may be of classes that were not met yet, which cost what all cost uniformly.
        unmet = min(1.0, constant.seen() / constant.count) if isinstance(constant, Classes) else 0.0
        truth = base + unmet * max(uniform - base, 0.0)
        if (
            base > 0
            and not pictures
            and not seen.computed
            and min(point.loss, uniform) >= _SEVERAL * truth * (1 + 2 * _doubt(constant))
        ):
            self.session.found(
                "LH703", at,
                f"The first loss is {point.loss:.4g}, {point.loss / base:.1f} times the {base:.4g} of the "
                "best constant prediction: the outcomes are far from equally frequent, and the bias of "
                "the last layer does not say so.",
                step=step, values=values,
            )  # fmt: skip

    def _never(self, key: Any, site: Site, seen: _Seen) -> None:
        last = max((point.step for point in seen.points), default=0)
        late = [point for point in seen.points if 2 * point.step >= last]
        base = seen.constant.cost()
        if last + 1 < _LONG or len(late) < _POINTS or base <= 0:
            return
        if isinstance(seen.constant, Numbers) and not _met_again(seen):
            return
        price = seen.constant.price()
        few = 0.0
        if isinstance(seen.constant, Classes):
            per_target = seen.constant.count / seen.constant.divisor  # a sum is as many times as large
            few = (seen.constant.seen() - 1) / (2 * seen.constant.count) * per_target
        over = [point.loss - seen.constant.cost(point.part, price) - few for point in late]
        gap, error = fmean(over), stdev(over) / math.sqrt(len(over))
        half = len(over) // 2
        earlier, later = over[:half], over[half:]
        fall = fmean(earlier) - fmean(later)
        doubt = math.sqrt(stdev(earlier) ** 2 / len(earlier) + stdev(later) ** 2 / len(later))
        falling = fall > 3 * doubt and fall > 0.01 * base
        if gap < -2 * error or error > _SHARP * base or falling:
            return
        loss = fmean(point.loss for point in late)
        self.session.found(
            "LH704", key[1],
            f"Over the second half of {last + 1} steps the loss is {loss:.4g} on average; the best constant "
            f"prediction costs {loss - gap:.4g} on the same targets. The difference is {gap:+.2g}, with a "
            f"standard error of {error:.1g} over {len(over)} calls.",
            step=late[0].step,
            values={
                "loss": loss, "baseline": loss - gap, "difference": gap, "standard_error": error,
                "calls": len(over), "steps": last + 1,
            },
        )  # fmt: skip


def _mean(call: LossCall) -> float | None:
    return None if call.result is None else float(call.result.detach().double().mean())


def _order(seen: _Seen, flat: Tensor) -> None:
    """Whether the targets are the same in each call, and in order; and numbers that come again."""
    values = flat.tolist()
    prints = seen.prints.setdefault(len(values), set())
    if len(prints) < 64:
        prints.add(hash(tuple(values)))
    seen.printed += 1
    steps = flat[1:] - flat[:-1] if flat.dtype != torch.bool else flat[1:].long() - flat[:-1].long()
    monotone = bool((steps >= 0).all()) or bool((steps <= 0).all())
    seen.ordered += monotone or len(set(values)) == len(values)
    if isinstance(seen.constant, Numbers):
        head = values[:32]
        if len(seen.met) < 2048:
            seen.met.update(values[:1024])
        else:
            seen.again += sum(value in seen.met for value in head)
            seen.met_later += len(head)


def _met_again(seen: _Seen) -> bool:
    """Whether numbers come again as those of a data set do; those that a script computes do not."""
    return len(seen.met) > 64 and seen.met_later > 0 and seen.again >= 0.2 * seen.met_later


def _from_outside(seen: _Seen) -> bool:
    """Whether the targets look like draws from data: see the module."""
    points, constant = seen.points, seen.constant
    if not points or seen.reduction == "none":
        return False
    if not isinstance(constant, Numbers) and constant.cost() < 1e-9:
        return False  # one outcome alone
    several = [point.part for point in points if point.part.count > 1]
    if len(several) * 2 < len(points):
        return False  # one target a call: nothing tells a label from an action
    alike = fmean(part.alike for part in several)
    assert constant.total is not None
    if not isinstance(constant, Numbers):
        mass = constant.total if constant.total.dim() == 1 else constant.total.sum(0)
        share = mass / mass.sum()
        expected = fmean(float(share.pow(min(part.count, 1e6)).sum()) for part in several)
        if alike > expected + 0.25 + 1 / math.sqrt(len(several)):  # two standard errors of the share
            return False
    elif alike > 0.5:
        return False
    # The same targets in each call, in order or each once.
    same = seen.printed > 1 and sum(len(prints) for prints in seen.prints.values()) == len(seen.prints)
    return not (same and seen.ordered >= 0.9 * seen.printed)


def _beginnings(constant: Classes | Binary, first: Part) -> tuple[float, float, float]:
    """Of the first call: what uniform and constant predictions cost, and the most that is ordinary."""
    assert constant.total is not None
    if isinstance(constant, Classes):
        classes, price = constant.classes, constant.price()
        uniform, share = constant.cost(first, constant.uniform()), constant.total / constant.total.sum()
        at_most = _spread(classes)
    else:
        classes, price = 2, constant.pooled()
        mass = constant.total.sum(0)
        uniform = constant.cost(first, torch.full((2,), math.log(2), dtype=torch.float64))
        share = mass / mass.sum()
        at_most = math.log1p(math.exp(_S)) - _S / 2 - math.log(2)
    base = constant.cost(None, price)
    uneven = _S * math.sqrt(max(float(share.square().sum()) - 1 / classes, 0.0))
    chance = 3 * _S / math.sqrt(first.count)
    scale = uniform / math.log(classes) if classes > 1 else 1.0
    return uniform, base, uniform + scale * (at_most + uneven + chance)


def _doubt(constant: Classes | Binary) -> float:
    """The standard error of the baseline over the targets seen, as a share of it: few say little."""
    assert constant.total is not None
    if isinstance(constant, Classes):
        mass, price = constant.total, constant.price()
    else:
        mass, price = constant.total.sum(0), constant.pooled()
    share = mass / mass.sum()
    mean, square = float((share * price).sum()), float((share * price.square()).sum())
    return math.sqrt(max(square / mean**2 - 1, 0.0) / constant.count)


def _spread(classes: int) -> float:
    """The largest ``logsumexp(z) - mean(z) - ln C`` over logits within S: some are S, the others -S."""
    high, low = math.exp(_S), math.exp(-_S)
    parts = min(classes, 1024)
    shares = [k / parts for k in range(1, parts)]
    return max(
        (math.log(share * high + (1 - share) * low) - _S * (2 * share - 1) for share in shares), default=0.0
    )
