"""The report's figures, each an inline SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from likelihead.report.axes import DRAWABLE, finite, line_style, log_axis, numbered, share_axis
from likelihead.report.svg import COLOURS, RUN_COLOURS, bare, drawing, to_svg
from likelihead.report.text import MINUS, amount, number, percent
from likelihead.train.report.calibration import Reliability
from likelihead.train.report.content import Curves

__all__ = [
    "SCATTER_LIMIT",
    "confusion_image",
    "learning_curves",
    "overlaid_curves",
    "predicted_observed",
    "reliability_diagram",
    "reliability_lines",
    "residual_histogram",
    "score_curve",
]

SCATTER_LIMIT = 2000  # points; more make a heavy file and a solid blot


def learning_curves(
    curves: Curves, baseline_name: str, *, zero: bool = True, unit: str = "row", name: str = "curves"
) -> str:
    """Train and test NLL by epoch, with the baseline as a line.

    Args:
        curves: the values.
        baseline_name: what the baseline is called.
        zero: 0 is the NLL of a perfect model, as it is of a class but not of a density.
        unit: what the NLL is the mean over: ``row``, ``token``, ``pixel``.
        name: prefix of the ids, which differ between the figures of a page.
    """
    train, test = finite(curves.train_nll), finite(curves.test_nll)
    with drawing():
        figure, axes = bare()
        style = line_style(len(curves.epoch))
        axes.plot(curves.epoch, train, color=COLOURS["second"], label="training set", **style)
        axes.plot(curves.epoch, test, color=COLOURS["accent"], label="test set", **style)
        if np.isfinite(curves.baseline_nll):
            axes.axhline(
                curves.baseline_nll,
                color=COLOURS["muted"],
                linestyle=(0, (4, 3)),
                linewidth=1.2,
                label=baseline_name,
            )
        seen = np.concatenate([train, test, finite([curves.baseline_nll])])
        seen = seen[np.isfinite(seen)]
        if zero and len(seen) and seen.min() > 0:
            if seen.max() > 50 * seen.min():
                log_axis(axes)
            else:
                axes.set_ylim(0, 1.08 * seen.max())
        numbered(axes, "epoch", curves.epoch)
        axes.set_ylabel(f"NLL (nats per {unit})")
        figure.legend(loc="outside upper left", ncols=3, handlelength=1.6, columnspacing=1.2)
        last = (
            f"{number(train[-1])} on the training set and {number(test[-1])} on the test set"
            if len(train)
            else "none"
        )
        description = (
            f"Learning curves over {len(curves.epoch)} epochs, in nats per {unit}. Last NLL: {last}; "
            f"{baseline_name}: {number(curves.baseline_nll)}."
        )
        return to_svg(figure, name, description)


def overlaid_curves(
    runs: Sequence[tuple[Sequence[int], Sequence[float], Sequence[float]]],
    baselines: Sequence[float],
    *,
    unit: str = "row",
) -> tuple[str, str]:
    """The learning curves of several runs, each in its colour: test NLL and train NLL, on the same axes.

    Args:
        runs: (epoch, test NLL, train NLL) of each.
        baselines: the test NLL of each run's baseline; NaN draws none.
        unit: what the NLL is the mean over.
    """
    known = [v for _, test, train in runs for v in (*test, *train)] + [*baselines]
    values = finite(known)
    values = values[np.isfinite(values)]
    limits = _padded(values, 0.05) if len(values) else (0.0, 1.0)
    logarithmic = bool(len(values)) and values.min() > 0 and values.max() > 20 * values.min()
    if logarithmic:
        limits = (float(values.min()) / 1.2, float(values.max()) * 1.2)
    elif len(values) and values.min() > 0:
        limits = (0.0, 1.08 * float(values.max()))
    same = len(set(baselines)) == 1  # then they are drawn over each other, and belong to no run
    first = min((epoch[0] for epoch, _, _ in runs if epoch), default=1)
    last = max((epoch[-1] for epoch, _, _ in runs if epoch), default=1)
    drawn = []
    for which, part in ((1, "test"), (2, "training")):
        with drawing():
            figure, axes = bare()
            for run, colour in zip(runs, RUN_COLOURS, strict=False):
                style = line_style(len(run[0]))
                axes.plot(run[0], finite(run[which]), color=COLOURS[colour], **style)
            for baseline, colour in zip(baselines if which == 1 else (), RUN_COLOURS, strict=False):
                if abs(baseline) < DRAWABLE:
                    line = COLOURS["muted" if same else colour]
                    axes.axhline(baseline, color=line, linestyle=(0, (4, 3)), linewidth=1.0)
            numbered(axes, "epoch", [last])
            axes.set_xlim(first - 0.04 * (last - first) - 0.2, last + 0.04 * (last - first) + 0.2)
            if logarithmic:
                log_axis(axes)
            axes.set_ylim(*limits)
            axes.set_ylabel(f"{part} NLL (nats per {unit})")
            ends = ", ".join(number(run[which][-1]) if len(run[which]) else "none" for run in runs)
            description = (
                f"NLL of {len(runs)} runs on the {part} set by epoch; at the end, in their order: {ends}."
            )
            drawn.append(to_svg(figure, f"runs-{part}", description))
    return drawn[0], drawn[1]


def score_curve(
    epoch: Sequence[int],
    values: Sequence[float],
    score: str,
    *,
    share: bool = True,
    name: str = "",
    of: str = "test set",
) -> str:
    """A score on the test set by epoch; ``share``: it is a share of 1 and shown as a percentage."""
    drawn = finite(values)
    with drawing():
        figure, axes = bare()
        axes.plot(epoch, drawn, color=COLOURS["accent"], label=of, **line_style(len(epoch)))
        numbered(axes, "epoch", epoch)
        if share:
            share_axis(axes, "y")
        axes.set_ylabel(score)
        figure.legend(loc="outside upper left", handlelength=1.6)
        last = (percent(drawn[-1]) if share else number(drawn[-1])) if len(drawn) else "none"
        description = f"{of.split()[0].capitalize()} {score} over {len(epoch)} epochs, at the end {last}."
        return to_svg(figure, name or re.sub(r"\W+", "-", score), description)


def reliability_diagram(curve: Reliability, confidence: str, observed: str, name: str = "reliability") -> str:
    """Observed share against stated confidence by bin, and below it how many predictions each bin holds."""
    with drawing():
        figure, axes = bare(4.8, 4.5)
        axes.remove()
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
        width = curve.bins[0].high - curve.bins[0].low
        filled = [b for b in curve.bins if b.count]
        centres = [(b.low + b.high) / 2 for b in filled]
        upper.bar(centres, [b.observed for b in filled], 0.86 * width, color=COLOURS["accent"], alpha=0.30)
        upper.plot([0, 1], [0, 1], color=COLOURS["muted"], linestyle=(0, (4, 3)), linewidth=1.2)
        upper.plot(
            [b.confidence for b in filled],
            [b.observed for b in filled],
            "o",
            color=COLOURS["accent"],
            markersize=5,
        )
        upper.set_ylim(0, 1.04)
        share_axis(upper, "y")
        upper.set_ylabel(observed)
        lower.bar(centres, [b.count for b in filled], 0.86 * width, color=COLOURS["muted"], alpha=0.45)
        for x, b in zip(centres, filled, strict=True):
            lower.annotate(
                _short(b.count), (x, b.count), (0, 2), textcoords="offset points", ha="center", fontsize=8
            )
        lower.set_ylim(0, 1.35 * max((b.count for b in filled), default=1))
        lower.set_yticks([])
        lower.set_ylabel("count")
        lower.set_xlim(0, 1)
        share_axis(lower, "x")
        lower.set_xlabel(confidence)
        for part in (upper, lower):
            part.set_facecolor("none")
            part.tick_params(length=0)
        told = "; ".join(
            f"{percent(b.confidence)} stated, {percent(b.observed)} observed, {amount(b.count)} rows"
            for b in filled
        )
        return to_svg(figure, name, f"Reliability diagram, ECE {percent(curve.ece)}. {told}.")


def reliability_lines(
    curves: Sequence[tuple[Reliability, str]], confidence: str, observed: str, name: str
) -> str:
    """Several reliability curves on the same axes, each in its colour: before and after, or run by run.

    The larger a dot, the more of the curve's predictions its bin holds.

    Args:
        curves: each with its colour, a name of :data:`COLOURS`; a :class:`Legend` says which is which.
        confidence: the name of the axis across.
        observed: the name of the axis up.
        name: prefix of the ids, which differ between the figures of a page.
    """
    with drawing():
        figure, axes = bare(4.8, 4.2)
        axes.plot([0, 1], [0, 1], color=COLOURS["muted"], linestyle=(0, (4, 3)), linewidth=1.2)
        for curve, colour in curves:
            filled = [b for b in curve.bins if b.count]
            x, y = [b.confidence for b in filled], [b.observed for b in filled]
            total = sum(b.count for b in filled)
            # A bin of a handful of rows says little, and should not look as if it said much.
            areas = [12 + 120 * b.count / total for b in filled]
            axes.plot(x, y, color=COLOURS[colour], linewidth=1.4)
            axes.scatter(x, y, areas, color=COLOURS[colour], linewidths=0, zorder=3)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        share_axis(axes, "x")
        share_axis(axes, "y")
        axes.set_xlabel(confidence)
        axes.set_ylabel(observed)
        told = ", ".join(percent(curve.ece) for curve, _ in curves)
        return to_svg(figure, name, f"{len(curves)} reliability curves; ECE in their order: {told}.")


def confusion_image(matrix: NDArray[Any]) -> str:
    """The confusion matrix of many classes: a square per cell, as strong as its share of the true class."""
    total = matrix.sum(axis=1, keepdims=True)
    # The root lifts rare confusions out of the background.
    share = np.sqrt(matrix / np.where(total > 0, total, 1))
    pixels = np.empty((*matrix.shape, 4))
    pixels[..., :3] = (0.86, 0.42, 0.16)
    pixels[np.eye(len(matrix), dtype=bool), :3] = (0.22, 0.50, 0.80)
    pixels[..., 3] = share
    with drawing():
        figure, axes = bare(4.8, 4.8)
        axes.imshow(pixels, interpolation="none", aspect="equal")
        axes.grid(False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(True)
        axes.set_xlabel("predicted class (number)")
        axes.set_ylabel("true class (number)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(6, integer=True))
        right, of = amount(np.trace(matrix).item()), amount(matrix.sum().item())
        description = f"Confusion matrix of {len(matrix)} classes: {right} of {of} rows on the diagonal."
        return to_svg(figure, "confusion", description)


def predicted_observed(target: NDArray[Any], predicted: NDArray[Any], name: str) -> str:
    """Predictions against observations, one dot per row (at most ``SCATTER_LIMIT``, evenly spread)."""
    shown = np.unique(np.linspace(0, len(target) - 1, min(len(target), SCATTER_LIMIT)).astype(int))
    with drawing():
        figure, axes = bare(4.8, 4.2)
        low, high = _padded(np.concatenate([target, predicted]))
        axes.plot([low, high], [low, high], color=COLOURS["muted"], linestyle=(0, (4, 3)), linewidth=1.2)
        alpha = 0.75 if len(shown) < 200 else 0.35
        axes.plot(
            predicted[shown],
            target[shown],
            "o",
            color=COLOURS["accent"],
            alpha=alpha,
            markersize=4,
            markeredgewidth=0,
        )
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel("predicted")
        axes.set_ylabel("observed")
        return to_svg(
            figure,
            name,
            f"Observed against predicted values of {len(shown)} test rows; the line is perfect agreement.",
        )


def residual_histogram(residual: NDArray[Any], name: str, weights: NDArray[Any] | None = None) -> str:
    """How the residuals (observed - predicted) are spread; each counts its weight, where it has one."""
    with drawing():
        figure, axes = bare(4.8, 4.2)
        bins = int(min(40, max(6, np.ceil(np.sqrt(len(residual))))))
        counts, edges = np.histogram(residual, bins=bins, range=_padded(residual, 0.0), weights=weights)
        axes.bar(edges[:-1], counts, np.diff(edges) * 0.94, align="edge", color=COLOURS["accent"], alpha=0.55)
        axes.axvline(0, color=COLOURS["muted"], linestyle=(0, (4, 3)), linewidth=1.2)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=weights is None))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel(f"observed {MINUS} predicted")
        axes.set_ylabel("test rows" if weights is None else "weight of the test rows")
        mean = np.average(residual, weights=weights)
        deviation = np.sqrt(np.average(np.square(residual - mean), weights=weights))
        middle, spread = number(float(mean)), number(float(deviation))
        return to_svg(
            figure,
            name,
            f"Histogram of {len(residual)} residuals, mean {middle}, standard deviation {spread}.",
        )


def _padded(values: NDArray[Any], share: float = 0.04) -> tuple[float, float]:
    """Limits around ``values`` that are never equal, even for constant values."""
    low, high = float(np.min(values)), float(np.max(values))
    pad = share * (high - low)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        pad = 0.5 * max(abs(low), abs(high)) or 0.5
    return low - pad, high + pad


def _short(count: float) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= 10 * size:
            return f"{count / size:.0f}{unit}"
    return amount(count)
