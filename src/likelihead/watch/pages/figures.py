"""The figures of a watched run's page, each an inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from likelihead.report.axes import DRAWABLE, finite, line_style, log_axis, numbered
from likelihead.report.svg import COLOURS, bare, drawing, to_svg
from likelihead.report.text import number
from likelihead.watch.pages.words import settled
from likelihead.watch.record import Curve

__all__ = ["count_curve", "curve_with_level"]

POINTS = 300  # of a drawn curve; more make a heavy file and a solid blot
_SMOOTHED_FROM = 60  # points
_WINDOW = 0.05  # of the curve


def curve_with_level(
    curve: Curve, label: str, level: float | None, level_label: str, axis: str, name: str
) -> str:
    """A curve over the steps, and a dashed line at what it is to be seen beside.

    A long curve of single batches is drawn pale, with its running mean over it.

    Args:
        curve: with at least one number.
        label: what it is.
        level: where the dashed line is; None or NaN leaves it out.
        level_label: what that is.
        axis: the name of the axis up.
        name: prefix of the ids, which differ between the figures of a page.
    """
    steps, values = _thinned(curve)
    is_long = len(values) >= _SMOOTHED_FROM
    beside = level if level is not None and abs(level) < DRAWABLE else None  # which NaN is not
    with drawing():
        figure, axes = bare()
        # Numbers that stand alone between such as cannot be drawn are seen as points only.
        style = {"linewidth": 1.0, "alpha": 0.45} if is_long else line_style(int(np.isfinite(values).sum()))
        axes.plot(steps, values, color=COLOURS["accent"], label=None if is_long else label, **style)
        if is_long:
            axes.plot(steps, _running_mean(values), color=COLOURS["accent"], label=f"{label}, running mean")
        if beside is not None:
            axes.axhline(
                beside, color=COLOURS["second"], linestyle=(0, (4, 3)), linewidth=1.4, label=level_label
            )
        known = np.append(values, [] if beside is None else [beside])
        known = known[np.isfinite(known)]
        if known.min() > 0 and known.max() > 50 * known.min():
            log_axis(axes)
        elif known.min() >= 0:
            axes.set_ylim(0, 1.08 * known.max() or 1.0)
        numbered(axes, "step", steps)
        if steps[-1] > steps[0]:
            margin = 0.03 * (steps[-1] - steps[0])
            axes.set_xlim(steps[0] - margin, steps[-1] + margin)
        axes.set_ylabel(axis)
        figure.legend(loc="outside upper left", ncols=2, handlelength=1.6, columnspacing=1.2)
        told = f"; {level_label}: {number(beside)}" if beside is not None else ""
        description = (
            f"{label} over {len(curve.steps):,} steps that were looked at: first {number(curve.values[0])}, "
            f"at the end {number(settled(curve.values))}{told}."
        )
        return to_svg(figure, name, description)


def count_curve(counts: Sequence[float], classes: int, name: str) -> str:
    """How often each class was a target, the most frequent first; for more classes than there are bars."""
    ordered = np.sort(finite(counts))[::-1]
    places = np.unique(np.geomspace(1, len(ordered), POINTS).round().astype(int))
    with drawing():
        figure, axes = bare()
        axes.plot(places, ordered[places - 1], color=COLOURS["accent"])
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
            axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
        axes.set_xlim(1, max(classes, 2))
        axes.set_xlabel("classes, the most frequent first")
        axes.set_ylabel("targets")
        description = (
            f"Targets by class, from the most frequent, {number(float(ordered[0]))}, to the rarest that was "
            f"seen, {number(float(ordered[-1]))}; {len(ordered):,} of {classes:,} classes were seen."
        )
        return to_svg(figure, name, description)


def _thinned(curve: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most :data:`POINTS` points, each the mean of its neighbours that are numbers."""
    steps, values = np.asarray(curve.steps, dtype=np.float64), finite(curve.values)
    size = math.ceil(len(values) / POINTS)
    if size <= 1:
        return steps, values
    starts = np.arange(0, len(values), size)
    known = np.isfinite(values)
    number_of = np.add.reduceat(known.astype(np.float64), starts)
    total = np.add.reduceat(np.where(known, values, 0.0), starts)
    return steps[starts], np.divide(total, number_of, out=np.full(len(starts), np.nan), where=number_of > 0)


def _running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each point and its neighbours that are numbers; NaN where the point is none."""
    reach = max(1, int(len(values) * _WINDOW / 2))
    known = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    number_of = np.concatenate([[0.0], np.cumsum(known)])
    position = np.arange(len(values))
    low, high = np.maximum(position - reach, 0), np.minimum(position + reach + 1, len(values))
    mean = (total[high] - total[low]) / np.maximum(number_of[high] - number_of[low], 1)
    return np.where(known, mean, np.nan)
