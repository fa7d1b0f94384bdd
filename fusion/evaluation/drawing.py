"""How all figures of a report are drawn: one style, one width, one inline SVG element each.

Text stays text, in the font of the page that holds the figure. The same input gives the same bytes.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

WIDTH = 7.2  # inches, of every figure

INK, MUTED, RULE = "#1b1f24", "#57606a", "#d8dee4"
# Okabe and Ito's palette, which colour-blind readers can tell apart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names may hold a dollar sign
    "svg.hashsalt": "fusion",
    "font.size": 8.5,
    "font.sans-serif": ["DejaVu Sans"],
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
}

Style = tuple[str, str]


def styles(names: Iterable[str]) -> dict[str, Style]:
    """Return a colour and a marker for each name, the same whatever the order of the names."""
    return {
        name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(sorted(names))
    }


def muted_styles(names: Iterable[str]) -> dict[str, Style]:
    """Return a marker for each name, all in grey: what others are held against."""
    return {name: (MUTED, MARKERS[i % len(MARKERS)]) for i, name in enumerate(sorted(names))}


def style() -> AbstractContextManager[None]:
    """Return the context in which everything is drawn."""
    # "default" first, so that a user's own matplotlib settings do not change a report
    return mpl.style.context(["default", STYLE])


def subplots(
    rows: int, columns: int, height: float, height_ratios: list[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure of the common width, so many inches high, and its panels."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, height_ratios=height_ratios)
    return figure, list(axes.flat)


def legend(ax: Axes) -> None:
    """Put the legend above the panel."""
    longest = max(len(str(line.get_label())) for line in ax.lines)
    columns = min(4, max(1, 60 // longest))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0, handlelength=2.4)


def floats(values: Iterable[float | None]) -> NDArray[np.float64]:
    """Return the values as an array, NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def series(names: Iterable[str]) -> str:
    """Join names for a sentence: a, b and c."""
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


def svg(figure: Figure, name: str, label: str) -> str:
    """Return the figure as an element to put into HTML: labelled, ids of its own, nothing fetched."""
    FigureCanvasSVG(figure)
    file = io.StringIO()
    figure.savefig(file, format="svg", dpi=200, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    # inside HTML no namespaces are needed, and matplotlib's style rule would apply to the whole page
    text = re.sub(r'\s+xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)


def picture(figure: Figure, form: str) -> bytes:
    """Return the figure as a file of its own, in the form "png" or "svg"."""
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    figure.savefig(file, format=form, dpi=200, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()


def name_points(drawing: str, mark: str, names: Sequence[str]) -> str:
    """Return the drawing in which the points of one collection say their names when pointed at.

    Parameters
    ----------
    drawing : str
        As `svg` gives it.
    mark : str
        The id of the collection in `drawing`.
    names : sequence of str
        One for each point, in the order in which they were drawn.
    """
    start = drawing.index(f'id="{mark}"')
    end = drawing.index("</g>", start)  # of the group that clips the points
    name = iter(names)
    points = re.sub(
        r"<use ([^>]*)/>",
        lambda use: f"<use {use[1]}><title>{html.escape(next(name))}</title></use>",
        drawing[start:end],
    )
    return drawing[:start] + points + drawing[end:]
