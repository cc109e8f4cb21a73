"""A record in words: what a person reads first, and what the terminal and the page call things."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from likelihead.core.shown import printable, shown
from likelihead.guard.report import shape_text
from likelihead.hazards import SEVERITIES
from likelihead.report.text import amount, number, percent
from likelihead.watch.record import Classes, Cost, Finding, Place, Record, Site

__all__ = [
    "FIGURES",
    "NOT_FOLLOWED",
    "Names",
    "beside",
    "by_saving",
    "by_weight",
    "command",
    "cost_sentence",
    "cost_subject",
    "count",
    "duration",
    "figure",
    "figures",
    "finding_counts",
    "fit",
    "seen",
    "sentences",
    "settled",
    "spread",
    "title",
    "unit",
    "unseen",
    "watched",
]

NOT_FOLLOWED = ("compiled", "unread", "children", "threads", "fault")
"""Kinds of notes that say what the watch did not see."""

FIGURES = ("first", "last", "baseline", "entropy")
"""The headings of what a table says of the losses of a site."""

_NATS = ("logits", "log-probabilities", "probabilities")
_UNSEEN = 8
_TITLE = 72  # characters
_TAIL = 10  # the loss "at the end" is the mean over the last tenth of the curve: single batches scatter
_ALIKE = 0.005  # of its size: losses closer than this are called equal


class Names:
    """What the files of a record are called where there is little room: no longer than tells them apart."""

    def __init__(self, record: Record) -> None:
        files = {place.file for place in _places(record)}
        parts = {file: PurePath(shown(file)).parts for file in files}
        self._names: dict[str, str] = {}
        for file, own in parts.items():
            others = [other for name, other in parts.items() if name != file]
            length = next(
                (n for n in range(1, len(own)) if all(other[-n:] != own[-n:] for other in others)), len(own)
            )
            self._names[file] = printable("/".join(own[-length:]) if length < len(own) else shown(file))

    def __call__(self, place: Place) -> str:
        """``train.py:31``."""
        name = self._names.get(place.file) or printable(shown(place.file))
        return f"{name}:{place.line}" if place.line > 0 else name

    @staticmethod
    def full(place: Place) -> str:
        """The same with the path from the working folder, which editors and terminals can open."""
        name = printable(shown(place.file))
        return f"{name}:{place.line}" if place.line > 0 else name


def _places(record: Record) -> Iterator[Place]:
    found = [place for site in record.sites for place in (site.at, site.made_at)]
    found += [place for finding in record.findings for place in (finding.at, finding.made_at)]
    found += [note.at for note in record.notes] + [*record.compiled]
    return (place for place in found if place is not None)


def title(record: Record) -> str:
    """What was run, without its arguments."""
    words = list(record.command)
    if not words:
        return "a watched block"
    name = printable(" ".join(words[:2] if words[0] in ("-m", "-c") else words[:1]))
    return name if len(name) <= _TITLE else f"{name[: _TITLE - 1]}…"


def command(record: Record) -> str:
    """What was run, as a shell would take it."""
    return printable(shlex.join(record.command))


def sentences(record: Record) -> list[str]:
    """What a person reads first: the run and its losses; what was found; what was not seen."""
    names = Names(record)
    said = [" ".join([_run(record), *_losses(record, names)]), _found(record, names), _unseen(record)]
    return [sentence for sentence in said if sentence]


def _run(record: Record) -> str:
    how = printable(record.ended)
    if how == "finished":
        how = "ran to its end"
    elif how.startswith("exit code"):
        how = f"ended with {how}"
    elif how.startswith("killed"):
        how = f"was {how}"
    steps = f"{count(record.steps, 'step')} of training" if record.steps else "no step of an optimizer"
    processes = f" on {record.ranks:,} processes" if record.ranks > 1 else ""
    name = title(record) if record.command else "The watched block"
    return f"{name} {how}{processes}: {steps} in {duration(record.seconds)}."


def _losses(record: Record, names: Names) -> Iterator[str]:
    sites = by_weight(record.sites)
    if not sites:
        yield "It called no loss that the watch knows, so there is nothing to say about one."
        return
    first, *others = sites
    if first.phase != "training":
        yield "No loss was called with a gradient."
    yield _course(first, names)
    counts = Counter(site.phase for site in others)
    further = [
        f"{count(counts[phase], 'loss', 'losses')} in {phase}"
        for phase in ("training", "evaluation")
        if counts[phase]
    ]
    if further:
        yield f"There {'is' if len(others) == 1 else 'are'} also {' and '.join(further)}."


def _course(site: Site, names: Names) -> str:
    """What one loss did, and how it stands against a model that has learnt nothing."""
    what = "loss" if site.phase == "training" else "loss in evaluation"
    subject = f"Its {what}, {printable(site.function)} at {names(site.at)},"
    values = site.loss.values
    if not values:
        return f"{subject} was called {count(site.calls, 'time')}; none of its values was looked at."
    bad = [step for step, value in zip(site.loss.steps, values, strict=True) if not math.isfinite(value)]
    if bad:
        last = "ends so" if not math.isfinite(values[-1]) else f"ends at {number(values[-1])}{unit(site)}"
        return (
            f"{subject} was not a finite number at {count(len(bad), 'step')} of the {len(values):,} looked "
            f"at, first at step {bad[0]:,}, and {last}."
        )
    end = settled(values)
    return f"{subject} {_movement(site, values[0], end)}{_against(site, end)}."


def _movement(site: Site, first: float, end: float) -> str:
    if len(site.loss.values) == 1:
        return f"was {number(end)}{unit(site)}"
    if abs(end - first) <= _ALIKE * max(abs(first), abs(end)):
        return f"stayed at {number(end)}{unit(site)}"
    mean = " (mean of the last tenth)" if len(site.loss.values) >= 2 * _TAIL else ""
    return f"{'fell' if end < first else 'rose'} from {number(first)} to {number(end)}{unit(site)}{mean}"


def _against(site: Site, end: float) -> str:
    baseline = site.baseline
    if baseline is None or not math.isfinite(baseline):
        return ""
    meaning = "the best constant prediction for these targets"
    nothing = f"{number(baseline)} of a model that has learnt nothing, {meaning}"
    if end >= baseline - _ALIKE * abs(baseline):
        if _in_hindsight(site) > _ALIKE * abs(baseline):
            return f"; {meaning}, in hindsight, costs {number(baseline)}, and there are too few to say more"
        return f", which is no better than the {nothing}"
    if baseline > 0 and end >= 0:
        return f", {percent(1 - end / baseline)} below the {nothing}"
    return f", below the {nothing}"


def _in_hindsight(site: Site) -> float:
    """How much less the frequencies of the targets themselves cost than the true ones (Miller 1955)."""
    counts = site.classes.counts if site.classes is not None else {}
    return (len(counts) - 1) / (2 * max(sum(counts.values()), 1)) if counts else 0.0


def _found(record: Record, names: Names) -> str:
    if not record.findings:
        looked = sum(site.looked_at for site in record.sites)
        calls = sum(site.calls for site in record.sites)
        if not looked:
            return f"None of {count(calls, 'loss call')} was looked into." if calls else ""
        of = f"{looked:,} of {count(calls, 'loss call')}"
        return f"No hazard was met; {of} {'was' if looked == 1 else 'were'} looked into."
    worst = record.findings[0]
    which = f"{worst.code}, {worst.hazard.name}, at {names(worst.at)}. Remedy: {worst.hazard.remedy}"
    if len(record.findings) == 1:
        return f"1 hazard was met, {SEVERITIES[worst.hazard.severity]}: {which}"
    severities = {finding.hazard.severity for finding in record.findings}
    levels = f": {finding_counts(record.findings)}"
    if len(severities) == 1:
        levels = f", {'both' if len(record.findings) == 2 else 'all of them'} {SEVERITIES[severities.pop()]}"
    return f"{count(len(record.findings), 'hazard')} were met{levels}. The worst is {which}"


def _unseen(record: Record) -> str:
    regions = len(record.compiled)
    if not regions:
        return ""
    return (
        f"{count(regions, 'compiled region')} {'was' if regions == 1 else 'were'} left alone: what happens "
        "there is not known."
    )


def finding_counts(findings: Iterable[Finding]) -> str:
    """``"1 certainly wrong, 2 fragile"``."""
    levels = Counter[str](finding.hazard.severity for finding in findings)
    return ", ".join(f"{levels[letter]:,} {word}" for letter, word in SEVERITIES.items() if levels[letter])


def by_weight(sites: Iterable[Site]) -> list[Site]:
    """Sites, the one that matters most first: training before evaluation, then by their calls."""
    return sorted(sites, key=lambda site: (site.phase != "training", -site.calls, site.at, site.function))


def settled(values: Sequence[float]) -> float:
    """Where a curve ends: the mean of its last tenth; NaN without a value that is a number."""
    known = [value for value in values if math.isfinite(value)]
    tail = known[-max(1, len(known) // _TAIL) :]
    return sum(tail) / len(tail) if tail else math.nan


def unit(site: Site) -> str:
    """``" nats"`` of a loss that is a negative log-likelihood, nothing of others."""
    return " nats" if site.expects in _NATS else ""


def fit(site: Site) -> str:
    """What a loss expects, and whether that is what went in."""
    if not site.expects:
        return ""
    if site.fits is None:
        return f"expects {printable(site.expects)}"
    expected = printable(site.expects)
    return f"as it expects: {expected}" if site.fits else f"but it expects {expected}"


def figures(site: Site) -> tuple[str, ...]:
    """What :data:`FIGURES` names: the entropy is that of the last predictions that were looked at."""
    entropy = site.entropy.values[-1] if site.entropy.values else None
    return tuple(figure(value) for value in (site.first_loss, site.last_loss, site.baseline, entropy))


def figure(value: float | None) -> str:
    """A figure; one that is no number is not the same as one that is not known."""
    return "NaN" if value is not None and math.isnan(value) else number(value)


def beside(site: Site) -> str:
    """The target and the options: ``"target: int64 [64]; ignore_index=0"``."""
    target = [f"target: {printable(site.target)}"] if site.target else []
    return "; ".join([*target, *(printable(f"{name}={value}") for name, value in site.options.items())])


def seen(finding: Finding) -> str:
    """How often, since when and by whom a finding was met."""
    often = f"seen {count(finding.count, 'time')}, first at step {finding.step:,}"
    if not finding.ranks:
        return often
    return f"{often}, on {'rank' if len(finding.ranks) == 1 else 'ranks'} {_ranges(finding.ranks)}"


def cost_sentence(record: Record) -> str:
    """What likelihead's kernels change, or would change, over the whole run."""
    if not record.costs:
        return ""
    torch, ours = _seconds(record.costs)
    pair = f"{duration(ours)} in place of {duration(torch)}"
    share = f" of the run's {duration(record.seconds)}" if record.seconds else ""
    if record.accelerated:
        return f"likelihead's kernels ran in place of torch's losses: {pair}."
    return f"With likelihead's kernels (--accelerate) these losses would take {pair}{share}."


def by_saving(costs: Iterable[Cost]) -> list[Cost]:
    """Costs, the one first in which the most time could be saved or was."""
    return sorted(costs, key=lambda cost: -cost.calls * (cost.torch_ms - cost.likelihead_ms))


def cost_subject(cost: Cost) -> str:
    """``"cross_entropy of float32 [64, 10] on cpu"``."""
    return f"{printable(cost.function)} of {cost.dtype} {shape_text(cost.shape)} on {cost.device}"


def watched(record: Record) -> str:
    """How closely the run was followed, and what that took."""
    share = f" ({percent(record.overhead_seconds / record.seconds)} of the run)" if record.seconds > 0 else ""
    return (
        f"{record.deep_steps:,} of {count(record.steps, 'step')} were followed in full; the watch took "
        f"{duration(record.overhead_seconds)}{share}."
    )


def spread(counts: Iterable[float]) -> str:
    """``"5,421 to 6,742"``."""
    low, high = min(counts := list(counts)), max(counts)
    return amount(low) if low == high else f"{amount(low)} to {amount(high)}"


def unseen(classes: Classes) -> str:
    """The classes that were never a target, as far as there is room for their numbers."""
    shown = classes.unseen[:_UNSEEN]
    numbers = ", ".join(map(str, shown))
    if not shown:
        return count(classes.unseen_count, "class", "classes")
    more = classes.unseen_count - len(shown)
    return f"{'class' if classes.unseen_count == 1 else 'classes'} {numbers}" + (
        f" and {more:,} more" if more > 0 else ""
    )


def _seconds(costs: Iterable[Cost]) -> tuple[float, float]:
    torch = sum(cost.calls * cost.torch_ms for cost in costs) / 1000
    return torch, sum(cost.calls * cost.likelihead_ms for cost in costs) / 1000


def count(number_of: int, one: str, many: str = "") -> str:
    """``"1 step"``, ``"1,200 steps"``."""
    return f"{number_of:,} {one if number_of == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """A time in the unit that suits it.

    >>> duration(0.00012), duration(0.5), duration(12.34), duration(754), duration(9000)
    ('0.12 ms', '500 ms', '12.3 s', '12 min 34 s', '2 h 30 min')
    """
    if not math.isfinite(seconds):
        return number(seconds)
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def _ranges(ranks: Iterable[int]) -> str:
    """``"0 to 3, 7"``, as there may be hundreds."""
    runs: list[list[int]] = []
    for rank in sorted(ranks):
        if runs and rank == runs[-1][-1] + 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
