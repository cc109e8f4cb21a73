"""The part of a watched run's page that is about its losses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from likelihead.core.shown import printable
from likelihead.report.blocks import Bars, Block, Cell, Figure, Row, Table, Text
from likelihead.report.page import Section
from likelihead.report.text import amount, percent
from likelihead.watch.pages import words
from likelihead.watch.pages.figures import count_curve, curve_with_level
from likelihead.watch.record import Classes, Site

__all__ = ["loss_sections"]

ROWS = 500  # of the table of losses
DRAWN = 12  # losses with figures of their own
BARS = 24  # classes with a bar each
_BASELINE = "a model that has learnt nothing"
_SATURATED = "probabilities within 1e-6 of 0 or 1"
_CONFIDENT = "gradient from rows predicted wrong with more than 0.9"

_COLUMNS = ("loss", "where", "phase", "calls", "what went in", "expects")


def loss_sections(sites: Sequence[Site], names: words.Names) -> Iterator[Section]:
    """A table of the losses, and a section with the figures of each of those that matter most."""
    sites = words.by_weight(sites)
    if not sites:
        yield Section("Losses", [Text("No loss that the watch knows was called.")], id="losses")
        return
    rest = len(sites) - ROWS
    table = Table(
        [*_COLUMNS, *words.FIGURES],
        [_row(site, names) for site in sites[:ROWS]],
        figures={3, 6, 7, 8, 9},
        wrong={(i, 4) for i, site in enumerate(sites[:ROWS]) if site.fits is False},
        label="Losses",
        note=f"And {rest:,} more, which --json has." if rest > 0 else "",
    )
    lead = (
        "First and last are single values; the baseline is the loss of the best constant prediction for the "
        "targets seen, under the same options; the entropy is the predictions', last looked at."
    )
    yield Section("Losses", [table], lead, id="losses")
    drawn = [site for site in sites if _is_drawn(site)][:DRAWN]
    for i, site in enumerate(drawn, 1):
        yield _site(site, names, f"loss-{i}")


def _row(site: Site, names: words.Names) -> list[Cell]:
    return [
        printable(site.function),
        names(site.at),
        site.phase,
        site.calls,
        printable(site.went_in) or None,
        printable(site.expects) or None,
        *words.figures(site),
    ]


def _is_drawn(site: Site) -> bool:
    return bool(_has_number(site.loss.values) or _has_number(site.entropy.values) or site.classes)


def _has_number(values: Sequence[float]) -> bool:
    return any(math.isfinite(value) for value in values)


def _site(site: Site, names: words.Names, id: str) -> Section:
    lead = f"{words.count(site.calls, 'call')} in {site.phase}, {site.looked_at:,} looked into"
    if site.went_in:
        lead += f". In went: {printable(site.went_in)}"
        lead += f", made at {names(site.made_at)}" if site.made_at is not None else ""
        lead += f"; {fit}" if (fit := words.fit(site)) else ""
    beside = f". {beside[0].upper()}{beside[1:]}" if (beside := words.beside(site)) else ""
    blocks = [block for row in (_curves(site, id), _shares(site, id)) for block in row]
    return Section(f"{printable(site.function)} at {names(site.at)}", blocks, f"{lead}{beside}.", id=id)


def _curves(site: Site, id: str) -> Iterator[Block]:
    figures: list[Block] = []
    unit = words.unit(site).strip()
    if _has_number(site.loss.values):
        bad = sum(not math.isfinite(value) for value in site.loss.values)
        what = "The loss as it was returned" + (
            ", without reduction its mean" if site.reduction == "none" else ""
        )
        gaps = f"; {words.count(bad, 'value is', 'values are')} no finite number and left out" if bad else ""
        svg = curve_with_level(
            site.loss, "loss", site.baseline, _BASELINE, f"loss ({unit})" if unit else "loss", f"{id}-loss"
        )
        figures.append(Figure(svg, f"{what}{gaps}."))
    if _has_number(site.entropy.values):
        classes = site.classes.classes if site.classes else 0
        level = math.log(classes) if classes > 1 and site.expects != "probabilities" else None
        svg = curve_with_level(
            site.entropy,
            "entropy",
            level,
            f"uniform over {classes:,} classes",
            "entropy (nats)",
            f"{id}-entropy",
        )
        figures.append(
            Figure(
                svg, "Mean entropy of the predictions: 0 where the model is certain, whether right or wrong."
            )
        )
    if len(figures) == 2:
        yield Row(figures)
    else:
        yield from figures


def _shares(site: Site, id: str) -> Iterator[Block]:
    known = {_SATURATED: site.saturated, _CONFIDENT: site.confident_wrong}
    shares = {name: share for name, share in known.items() if share is not None and math.isfinite(share)}
    bars = Bars(list(shares), {"share": list(shares.values())}, share=True, caption="Where last looked.")
    classes = list(_classes(site.classes, id)) if site.classes is not None else []
    if len(classes) == 1 and isinstance(classes[0], Bars) and shares:
        yield Row([*classes, bars])
        return
    yield from classes
    if shares:
        yield bars


def _classes(classes: Classes, id: str) -> Iterator[Block]:
    """A bar for each class; of many classes the course of their counts, and the ends of it."""
    counts = {c: n for c, n in sorted(classes.counts.items()) if math.isfinite(n)}
    ignored = f" {classes.ignored:,} targets were ignored." if classes.ignored else ""
    never = f" Never a target: {words.unseen(classes)}." if classes.unseen_count else ""
    caption = f"How often each class was a target.{never}{ignored}"
    absent = {c: 0.0 for c in classes.unseen if c not in counts}
    if len(counts) + classes.unseen_count <= BARS and len(absent) == classes.unseen_count:
        both = sorted({**counts, **absent}.items())
        if both:
            bars = [f"class {c} (never)" if c in absent else f"class {c}" for c, _ in both]
            yield Bars(bars, {"targets": [_whole(n) for _, n in both]}, caption=caption)
        return
    if not counts:
        yield Text(caption)
        return
    caption = f"{caption} In the table: the most frequent and the rarest of them."
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    half = 6
    ends = ordered if len(ordered) <= 2 * half else [*ordered[:half], *ordered[-half:]]
    table = Table(
        ["class", "targets", "share"],
        [[str(c), amount(n), percent(n / sum(counts.values()))] for c, n in ends],
        figures={0, 1, 2},
        label="Targets by class",
    )
    if max(counts.values()) > 0:
        yield Row(
            [Figure(count_curve(list(counts.values()), classes.classes, f"{id}-classes"), caption), table]
        )
    else:
        yield Row([Text(caption), table])


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value
