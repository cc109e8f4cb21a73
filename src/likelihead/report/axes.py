"""What the axes of the reports' figures have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

__all__ = ["DRAWABLE", "finite", "line_style", "log_axis", "numbered", "share_axis"]

DRAWABLE = 1e100  # beyond it the axes' own arithmetic overflows


def finite(values: Any) -> NDArray[np.float64]:
    """``values``, with NaN where one cannot be drawn."""
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.abs(array) < DRAWABLE, array, np.nan)


def line_style(points: int) -> dict[str, Any]:
    """A marker at each point of a short line: a single point is no line, and few are better seen."""
    return {"marker": "o", "markersize": 4} if points <= 15 else {}


def numbered(axes: Axes, label: str, numbers: Any) -> None:
    """The axis across counts something: epochs, steps."""
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if len(numbers) == 1:
        axes.set_xlim(numbers[0] - 1, numbers[0] + 1)


def log_axis(axes: Axes) -> None:
    """The axis up is logarithmic, its labels plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def share_axis(axes: Axes, which: str) -> None:
    """An axis, ``"x"`` or ``"y"``, of shares of 1, labelled in percent."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
