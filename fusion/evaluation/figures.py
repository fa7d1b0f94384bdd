"""The figures of a report, each as one inline SVG element of the same width.

Text stays text, in the font of the page that holds the figure. The same input gives the same bytes.
"""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

WIDTH = 7.2  # inches, of every figure
MAX_WEIGHTS = 20  # rows of the weights figure
MAX_VECTOR_POINTS = 2500  # more points than that are drawn as an image, or the file grows to megabytes
MAX_ANNOTATED = 16  # more indicators than that leave no room for numbers in the heat map

INK, MUTED, RULE = "#1b1f24", "#57606a", "#d8dee4"
# Okabe and Ito's palette, which colour-blind readers can tell apart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"

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


def scatter(
    predictions: pd.DataFrame, shown: Mapping[str, Mapping[str, float | None]], look: Mapping[str, Style]
) -> str:
    """Draw predicted against measured accuracy, one panel per model.

    Parameters
    ----------
    predictions : DataFrame
        Columns `measured` and one per model, of one split.
    shown : mapping
        Model -> metric -> value, written into the model's panel.
    look : mapping
        Model -> colour and marker, as `styles` gives them.

    Returns
    -------
    str
        An SVG element. Predictions far outside are drawn on the frame.
    """
    names = sorted(shown)
    columns = min(len(names), 2 if len(names) in (2, 4) else 3)
    rows = -(-len(names) // columns)
    measured = predictions["measured"].to_numpy(dtype=np.float64)
    usual = np.percentile(predictions[names].to_numpy(dtype=np.float64), [0.5, 99.5])
    low, high = min(measured.min(), usual[0]), max(measured.max(), usual[1])
    margin = 0.04 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    with _style():
        figure, axes = _subplots(rows, columns, {1: 4.2, 2: 3.7, 3: 2.75}[columns] * rows)
        for ax, name in zip(axes, names, strict=False):
            colour = look[name][0]
            ax.plot(limits, limits, color=MUTED, linewidth=0.8, zorder=1)
            ax.scatter(
                measured,
                np.clip(predictions[name].to_numpy(dtype=np.float64), *limits),
                s=9,
                color=colour,
                alpha=0.45,
                linewidths=0,
                rasterized=len(measured) > MAX_VECTOR_POINTS,
            )
            ax.set(xlim=limits, ylim=limits, aspect="equal", title=name, xlabel="measured accuracy")
            ax.xaxis.set_major_locator(MaxNLocator(5))
            ax.yaxis.set_major_locator(MaxNLocator(5))
            text = "\n".join(
                f"{metric.upper()} {number(value, decimals(value) if metric == 'rmse' else 3)}"
                for metric in ("srocc", "krocc", "plcc", "rmse")
                for value in [shown[name][metric]]
            )
            # lower right, where a model that is any good has no points
            ax.text(0.97, 0.04, text, transform=ax.transAxes, ha="right", linespacing=1.45)
        for ax in axes[len(names) :]:
            ax.remove()
        for ax in axes[: len(names) : columns]:
            ax.set_ylabel("predicted accuracy")
        label = (
            f"Scatter plots of predicted against measured accuracy of {_series(names)}, with the identity."
        )
        return _svg(figure, "scatter", label)


def learning_curve(
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    best: tuple[str, float] | None,
    look: Mapping[str, Style],
) -> str:
    """Draw SROCC over the number of training architectures, with bands.

    Parameters
    ----------
    curves : mapping
        Model -> points with `train_size` and `srocc` (mean, low, high).
    best : tuple of str and float, or None
        Name and SROCC of the best single indicator, a dashed line.
    look : mapping
        Model -> colour and marker, as `styles` gives them.

    Returns
    -------
    str
        An SVG element.
    """
    with _style():
        figure, (ax,) = _subplots(1, 1, 3.6)
        sizes = sorted({point["train_size"] for points in curves.values() for point in points})
        for name in sorted(curves):
            colour, marker = look[name]
            x = [point["train_size"] for point in curves[name]]
            mean, low, high = (
                _floats([point["srocc"][key] for point in curves[name]]) for key in ("mean", "low", "high")
            )
            ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            ax.plot(x, mean, color=colour, marker=marker, label=name)
        if best is not None:
            ax.axhline(best[1], color=INK, linewidth=1, linestyle=(0, (5, 3)), label=f"{best[0]} alone")
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
        ax.set(xlabel="training architectures", ylabel="SROCC on the rest")
        ax.grid(axis="y")
        _legend(ax)
        against = "" if best is None else f", against the indicator {best[0]} alone"
        label = (
            f"Line chart of SROCC over the number of training architectures for {_series(curves)}{against}."
        )
        return _svg(figure, "curve", label)


def heat_map(names: Sequence[str], correlations: Sequence[Sequence[float | None]]) -> str:
    """Draw the rank correlations between indicators, similar indicators side by side.

    Parameters
    ----------
    names : sequence of str
        The indicators.
    correlations : sequence of sequences of float or None
        Their symmetric matrix; None where undefined.

    Returns
    -------
    str
        An SVG element.
    """
    matrix = np.array([_floats(row) for row in correlations])
    order = _clustered(matrix)
    matrix, names = matrix[np.ix_(order, order)], [names[i] for i in order]
    n = len(names)
    with _style():
        figure, (ax,) = _subplots(1, 1, min(6.4, 2.2 + 0.36 * n))
        mesh = ax.pcolormesh(matrix, cmap="RdBu_r", vmin=-1, vmax=1, edgecolors="white", linewidth=0.8)
        ax.set(aspect="equal", xlim=(0, n), ylim=(n, 0))
        ax.set_xticks(np.arange(n) + 0.5, names, rotation=45, ha="right", rotation_mode="anchor")
        ax.set_yticks(np.arange(n) + 0.5, names)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        for (i, j), value in np.ndenumerate(matrix):
            if n <= MAX_ANNOTATED and np.isfinite(value):
                # as in tables of correlations, no zero before the point
                text = f"{value:.2f}".replace("0.", ".", 1).replace("-", MINUS)
                colour = "white" if abs(value) > 0.65 else INK
                ax.text(j + 0.5, i + 0.5, text, ha="center", va="center_baseline", color=colour, fontsize=6.5)
        bar = figure.colorbar(mesh, ax=ax, shrink=0.75, aspect=28, pad=0.03)
        bar.set_label("Spearman's correlation")
        bar.outline.set_visible(False)
        return _svg(figure, "correlations", f"Heat map of the rank correlations between {_series(names)}.")


def weights(
    weights: Mapping[str, Mapping[str, Mapping[str, float | None]]], look: Mapping[str, Style]
) -> str:
    """Draw each model's weights with their spread, largest first.

    Parameters
    ----------
    weights : mapping
        Model -> feature -> mean, low, high.
    look : mapping
        Model -> colour and marker, as `styles` gives them.

    Returns
    -------
    str
        An SVG element; at most `MAX_WEIGHTS` features per model.
    """
    names = sorted(weights)
    largest = {
        name: sorted(weights[name], key=lambda feature, of=weights[name]: -abs(of[feature]["mean"] or 0))  # type: ignore[misc]
        for name in names
    }
    counts = [min(len(weights[name]), MAX_WEIGHTS) for name in names]
    with _style():
        height = sum(0.85 + 0.21 * count for count in counts)
        figure, axes = _subplots(len(names), 1, height, height_ratios=[2 + count for count in counts])
        for ax, name in zip(axes, names, strict=True):
            features = largest[name][:MAX_WEIGHTS]
            colour, marker = look[name]
            mean, low, high = (
                _floats([weights[name][feature][key] for feature in features])
                for key in ("mean", "low", "high")
            )
            y = np.arange(len(features))
            ax.axvline(0, color=MUTED, linewidth=0.8)
            ax.hlines(y, low, high, color=colour, linewidth=1.6, alpha=0.55)
            ax.plot(mean, y, marker, color=colour)
            ax.set_yticks(y, features)
            ax.set_ylim(len(features) - 0.4, -0.6)
            ax.tick_params(axis="y", length=0)
            ax.spines["left"].set_visible(False)
            ax.grid(axis="x")
            ax.set(title=name, xlabel="weight")
        return _svg(figure, "weights", f"Weights of the features in {_series(names)}, with their spread.")


def search_trajectories(trajectories: Mapping[str, Sequence[Sequence[float]]], optimum: float | None) -> str:
    """Draw the best measured accuracy so far: median over runs, band from the quartiles.

    Parameters
    ----------
    trajectories : mapping
        Method -> runs -> best accuracy after 1, 2, ... measured architectures. Runs of unequal
        length are drawn up to the end of the shortest.
    optimum : float or None
        The best accuracy in the space, a dotted line.

    Returns
    -------
    str
        An SVG element.
    """
    with _style():
        figure, (ax,) = _subplots(1, 1, 3.6)
        for name, (colour, _) in styles(trajectories).items():
            length = min(len(run) for run in trajectories[name])
            runs = np.array([run[:length] for run in trajectories[name]], dtype=float)
            low, median, high = np.percentile(runs, [25, 50, 75], axis=0)
            x = np.arange(1, length + 1)
            ax.fill_between(x, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
            ax.step(x, median, where="post", color=colour, label=name)
        if optimum is not None:
            ax.axhline(optimum, color=INK, linewidth=1, linestyle=":", label="optimum of the space")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="measured architectures", ylabel="best measured accuracy")
        ax.grid(axis="y")
        _legend(ax)
        label = (
            "Line chart of the best measured accuracy so far over the number of measured "
            f"architectures for {_series(trajectories)}."
        )
        return _svg(figure, "search", label)


def number(value: float | None, digits: int = 3) -> str:
    """Return `value` with a true minus sign, a dash for None."""
    return DASH if value is None else f"{value:.{max(0, digits)}f}".replace("-", MINUS)


def decimals(value: float | None) -> int:
    """Return how many decimals show three significant digits of `value`."""
    return 2 - math.floor(math.log10(abs(value))) if value else 3


def _style() -> AbstractContextManager[None]:
    # "default" first, so that a user's own matplotlib settings do not change a report
    return mpl.style.context(["default", STYLE])


def _subplots(
    rows: int, columns: int, height: float, height_ratios: list[float] | None = None
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, height_ratios=height_ratios)
    return figure, list(axes.flat)


def _legend(ax: Axes) -> None:
    longest = max(len(str(line.get_label())) for line in ax.lines)
    columns = min(4, max(1, 60 // longest))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0, handlelength=2.4)


def _clustered(matrix: NDArray[np.float64]) -> list[int]:
    """Return the order of the leaves of an average-linkage tree over 1 - correlation."""
    if len(matrix) < 3:
        return list(range(len(matrix)))
    distance = 1 - np.nan_to_num(matrix, nan=0.0)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return [int(leaf) for leaf in leaves_list(tree)]


def _floats(values: Iterable[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _series(names: Iterable[str]) -> str:
    """Join names for a sentence: a, b and c."""
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


def _svg(figure: Figure, name: str, label: str) -> str:
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
