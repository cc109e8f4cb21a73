"""The figures of a language model's report, each an inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.ticker import MaxNLocator

from likelihead.report.svg import COLOURS, bare, drawing, to_svg
from likelihead.report.text import number

__all__ = ["bits_curve", "position_curve"]


def bits_curve(epoch: Sequence[int], train: Sequence[float], test: Sequence[float], baseline: float) -> str:
    """Bits per byte by epoch on the training and the held-out text, with the baseline as a line."""
    style: dict[str, Any] = {"marker": "o", "markersize": 4} if len(epoch) <= 15 else {}
    with drawing():
        figure, axes = bare()
        axes.plot(epoch, train, color=COLOURS["second"], label="training text", **style)
        axes.plot(epoch, test, color=COLOURS["accent"], label="held-out text", **style)
        if math.isfinite(baseline):
            axes.axhline(
                baseline, color=COLOURS["muted"], linestyle=(0, (4, 3)), linewidth=1.2, label="frequencies"
            )
        seen = [value for value in (*train, *test, baseline) if math.isfinite(value)]
        if seen and 0 < max(seen) < 1e100:
            axes.set_ylim(0, 1.08 * max(seen))
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if len(epoch) == 1:
            axes.set_xlim(epoch[0] - 1, epoch[0] + 1)
        axes.set_ylabel("bits per byte")
        figure.legend(loc="outside upper left", ncols=3, handlelength=1.6, columnspacing=1.2)
        last = f"{number(test[-1])} on the held-out text" if len(test) else "none"
        description = (
            f"Bits per byte over {len(epoch)} epochs. At the end: {last}; by frequencies alone: "
            f"{number(baseline)}."
        )
        return to_svg(figure, "bits", description)


def position_curve(first: Sequence[int], nll: Sequence[float]) -> str:
    """Mean NLL of a token by how many tokens the network had read before it, in powers of two."""
    with drawing():
        figure, axes = bare()
        axes.plot(first, nll, color=COLOURS["accent"], marker="o", markersize=4)
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(first), [f"{value:,}" for value in first])
        axes.minorticks_off()
        if len(first) == 1:
            axes.set_xlim(first[0] / 2, first[0] * 2)
        axes.set_ylim(0, 1.08 * max(nll) if 0 < max(nll) < 1e100 else None)
        axes.set_xlabel("tokens read before")
        axes.set_ylabel("NLL (nats per token)")
        description = (
            f"Mean NLL by the number of tokens read before: {number(nll[0])} nats with {first[0]}, "
            f"{number(nll[-1])} with {first[-1]} or more."
        )
        return to_svg(figure, "position", description)
