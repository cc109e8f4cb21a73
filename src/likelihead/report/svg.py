"""From a matplotlib figure to an inline SVG that takes its colours and its font from the page.

matplotlib knows no CSS variables, so figures are drawn in the stand-in colours of :data:`COLOURS`, which are
replaced in the text of the SVG. No text of the user's goes into a figure: names stand in HTML, where the
browser has the glyphs and the template does the escaping.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["COLOURS", "RUN_COLOURS", "bare", "drawing", "to_svg"]

COLOURS = {
    "ink": "#010101",
    "muted": "#010102",
    "line": "#010103",
    "accent": "#010104",
    "second": "#010105",
    **{f"run-{n}": f"#01010{n + 5:x}" for n in range(1, 9)},
}
"""The stand-in of each colour of the page's style sheet."""

RUN_COLOURS = tuple(name for name in COLOURS if name.startswith("run-"))
"""Colours of things that are compared, each told from the others."""

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "likelihead",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1.0,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.7,
    "xtick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.color": COLOURS["line"],
    "ytick.labelcolor": COLOURS["muted"],
    "text.color": COLOURS["muted"],
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "patch.linewidth": 0.0,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the report's style; the user's own matplotlib settings are restored after."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def bare(width: float = 4.8, height: float = 3.1) -> tuple[Figure, Axes]:
    """A figure with one set of axes, narrow, so that its text can be read when a telephone scales it down."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    axes = figure.add_subplot(facecolor="none")
    axes.tick_params(length=0)
    return figure, axes


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The ``<svg>`` element of ``figure``: the same bytes for the same figure, ids prefixed by ``name``."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    for stand_in, variable in ((colour, f"var(--{key})") for key, colour in COLOURS.items()):
        svg = svg.replace(stand_in, variable)
    # Several figures share the page, and matplotlib calls the parts of each alike.
    svg = re.sub(r'\b(id=")', rf"\g<1>{name}-", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    view_box = re.search(r'viewBox="[^"]*"', svg)
    opening = f'<svg {view_box[0] if view_box else ""} role="img" aria-label="{escape(description)}">'
    # HTML knows the namespaces of SVG without being told.
    return re.sub(r"\A<svg[^>]*>", lambda _: opening, svg).strip()
