"""The figures of a report, each as one inline SVG element of the same width.

Text stays text, in the font of the page that holds the figure. The same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import (
    EngFormatter,
    FixedFormatter,
    FixedLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from fusion.evaluation.drawing import (
    COLOURS,
    INK,
    MUTED,
    Style,
    floats,
    legend,
    name_points,
    series,
    style,
    styles,
    subplots,
    svg,
)
from fusion.evaluation.evaluation import SearchRuns
from fusion.evaluation.fronts import PREFIX, Front
from fusion.evaluation.results import CurvePoint, Interval
from fusion.evaluation.words import MINUS, decimals, number
from fusion.tables.costs import pareto

MAX_WEIGHTS = 20  # rows of the weights figure
MAX_VECTOR_POINTS = 2500  # more points than that are drawn as an image, or the file grows to megabytes
MAX_ANNOTATED = 16  # more indicators than that leave no room for numbers in the heat map


def scatter(
    predictions: pd.DataFrame, shown: Mapping[str, Mapping[str, float | None]], look: Mapping[str, Style]
) -> str:
    """Draw predicted against measured accuracy, one panel per model.

    Parameters
    ----------
    predictions : DataFrame
        Columns `arch`, `measured` and one per model, of one split.
    shown : mapping
        Model -> metric -> value, written into the model's panel.
    look : mapping
        Model -> colour and marker, as `styles` gives them.

    Returns
    -------
    str
        An SVG element. Predictions far outside are drawn on the frame. Points name their architecture
        when pointed at, up to `MAX_VECTOR_POINTS`.
    """
    names = sorted(shown)
    columns = min(len(names), 2 if len(names) in (2, 4) else 3)
    rows = -(-len(names) // columns)
    measured = predictions["measured"].to_numpy(dtype=np.float64)
    usual = np.percentile(predictions[names].to_numpy(dtype=np.float64), [0.5, 99.5])
    low, high = min(measured.min(), usual[0]), max(measured.max(), usual[1])
    margin = 0.04 * (high - low) or 1.0
    vector = len(measured) <= MAX_VECTOR_POINTS
    limits = (low - margin, high + margin)
    with style():
        figure, axes = subplots(rows, columns, {1: 4.2, 2: 3.7, 3: 2.75}[columns] * rows)
        for i, (ax, name) in enumerate(zip(axes, names, strict=False)):
            colour = look[name][0]
            ax.plot(limits, limits, color=MUTED, linewidth=0.8, zorder=1)
            points = ax.scatter(
                measured,
                np.clip(predictions[name].to_numpy(dtype=np.float64), *limits),
                s=9,
                color=colour,
                alpha=0.45,
                linewidths=0,
                rasterized=not vector,
            )
            points.set_gid(f"points-{i}")
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
        label = f"Scatter plots of predicted against measured accuracy of {series(names)}, with the identity."
        drawing = svg(figure, "scatter", label)
    for i, name in enumerate(names if vector else []):
        places = zip(predictions["arch"], measured, predictions[name], strict=True)
        texts = [f"{arch}: measured {y:.6g}, predicted {p:.6g}" for arch, y, p in places]
        drawing = name_points(drawing, f"scatter-points-{i}", texts)
    return drawing


def fronts(predictions: pd.DataFrame, found: Mapping[str, Front]) -> str:
    """Draw predicted accuracy against each cost, with the front of the predictions and that of all measured.

    Parameters
    ----------
    predictions : DataFrame
        Columns `measured`, one per model and `cost.NAME`, of one split.
    found : mapping
        Cost -> its front.

    Returns
    -------
    str
        An SVG element.
    """
    columns = min(len(found), 2)
    rows = -(-len(found) // columns)
    with style():
        figure, axes = subplots(rows, columns, 2.9 * rows)
        for ax, (cost, front) in zip(axes, found.items(), strict=False):
            known = predictions[predictions[f"{PREFIX}{cost}"].notna()]
            x = known[f"{PREFIX}{cost}"].to_numpy(dtype=np.float64)
            measured = known["measured"].to_numpy(dtype=np.float64)
            predicted = known[front.model].to_numpy(dtype=np.float64)
            ax.scatter(x, predicted, s=7, color=MUTED, alpha=0.35, linewidths=0, rasterized=True)
            best = pareto(x, measured)
            ax.step(x[best], measured[best], where="post", color=INK, linewidth=1, linestyle=(0, (5, 3)),
                    label="front of the measured")  # fmt: skip
            on = [(point.cost, point.predicted, point.measured) for point in front.points]
            at, promised, kept = np.array(on).T
            ax.step(
                at, promised, where="post", color=COLOURS[0], label="front of the predicted", linewidth=1.2
            )
            ax.plot(at, kept, linestyle="none", marker="o", markersize=3.2, color=COLOURS[1],
                    label="its architectures, measured")  # fmt: skip
            ax.set(xlabel=cost)
            if x.min() > 0 and x.max() > 20 * x.min():
                ax.set_xscale("log")
                ax.xaxis.set_minor_formatter(NullFormatter())
            ax.xaxis.set_major_formatter(EngFormatter(sep=""))
            low = np.percentile(predicted, 2)
            ax.set_ylim(bottom=min(low, kept.min()))  # the worst would press the front together
        for ax in axes[len(found) :]:
            ax.remove()
        for ax in axes[: len(found) : columns]:
            ax.set_ylabel("accuracy")
        axes[0].legend(loc="lower right", fontsize=7)
        return svg(figure, "fronts", f"Accuracy against {series(found)}, with the Pareto fronts.")


def learning_curve(
    curves: Mapping[str, Sequence[CurvePoint]],
    best: tuple[str, float] | None,
    look: Mapping[str, Style],
) -> str:
    """Draw SROCC over the number of training architectures, with bands.

    Parameters
    ----------
    curves : mapping
        Model or baseline -> points, of which the SROCC is drawn.
    best : tuple of str and float, or None
        Name and SROCC of the best single indicator, a dashed line.
    look : mapping
        Model -> colour and marker, as `styles` gives them.

    Returns
    -------
    str
        An SVG element.
    """
    with style():
        figure, (ax,) = subplots(1, 1, 3.6)
        sizes = sorted({point.train_size for points in curves.values() for point in points})
        # a logarithmic axis has no 0: it stands a step before the others
        place = {size: float(size or min(filter(None, sizes), default=2) / 2) for size in sizes}
        for name in sorted(curves):
            colour, marker = look[name]
            x = [place[point.train_size] for point in curves[name]]
            mean, low, high = _columns([point.scores["srocc"] for point in curves[name]])
            ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            ax.plot(x, mean, color=colour, marker=marker, label=name)
        if best is not None:
            ax.axhline(best[1], color=INK, linewidth=1, linestyle=(0, (5, 3)), label=f"{best[0]} alone")
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator(list(place.values())))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FixedFormatter([f"{size:,}" for size in place]))
        ax.set(xlabel="training architectures", ylabel="SROCC on the rest")
        ax.grid(axis="y")
        legend(ax)
        against = "" if best is None else f", against the indicator {best[0]} alone"
        label = (
            f"Line chart of SROCC over the number of training architectures for {series(curves)}{against}."
        )
        return svg(figure, "curve", label)


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
    matrix = np.array([floats(row) for row in correlations])
    order = _clustered(matrix)
    matrix, names = matrix[np.ix_(order, order)], [names[i] for i in order]
    n = len(names)
    with style():
        figure, (ax,) = subplots(1, 1, min(6.4, 2.2 + 0.36 * n))
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
        return svg(figure, "correlations", f"Heat map of the rank correlations between {series(names)}.")


def weights(
    found: Mapping[str, Mapping[str, Interval]], look: Mapping[str, Style], name: str = "weights"
) -> str:
    """Draw each model's weights with their spread, largest first.

    Parameters
    ----------
    found : mapping
        Model -> feature -> weight.
    look : mapping
        Model -> colour and marker, as `styles` gives them.
    name : str
        Prefix of the ids in the drawing.

    Returns
    -------
    str
        An SVG element; at most `MAX_WEIGHTS` features per model.
    """
    return _ranked(found, look, "weight", name)


def strengths(srocc: Mapping[str, Interval]) -> str:
    """Draw the rank correlations of single indicators with the accuracy, strongest first.

    Parameters
    ----------
    srocc : mapping
        Indicator -> SROCC.

    Returns
    -------
    str
        An SVG element; at most `MAX_WEIGHTS` indicators.
    """
    panel = "single indicators"
    return _ranked({panel: srocc}, styles([panel]), "SROCC", "strengths")


def _ranked(
    found: Mapping[str, Mapping[str, Interval]], look: Mapping[str, Style], what: str, name: str
) -> str:
    panels = sorted(found)
    largest = {
        panel: sorted(found[panel], key=lambda feature, of=found[panel]: -abs(of[feature].mean or 0))  # type: ignore[misc]
        for panel in panels
    }
    counts = [min(len(found[panel]), MAX_WEIGHTS) for panel in panels]
    with style():
        height = sum(0.85 + 0.21 * count for count in counts)
        figure, axes = subplots(len(panels), 1, height, height_ratios=[2 + count for count in counts])
        for ax, panel in zip(axes, panels, strict=True):
            features = largest[panel][:MAX_WEIGHTS]
            colour, marker = look[panel]
            mean, low, high = _columns([found[panel][feature] for feature in features])
            y = np.arange(len(features))
            ax.axvline(0, color=MUTED, linewidth=0.8)
            ax.hlines(y, low, high, color=colour, linewidth=1.6, alpha=0.55)
            ax.plot(mean, y, marker, color=colour)
            ax.set_yticks(y, features)
            ax.set_ylim(len(features) - 0.4, -0.6)
            ax.tick_params(axis="y", length=0)
            ax.spines["left"].set_visible(False)
            ax.grid(axis="x")
            ax.set(title=panel, xlabel=what)
        return svg(
            figure, name, f"Dot plot of the {what} of each feature of {series(panels)}, with its spread."
        )


def search_trajectories(methods: Mapping[str, SearchRuns], best: float | None, best_of: str) -> str:
    """Draw the best measured accuracy so far: median over runs, band from the quartiles.

    Parameters
    ----------
    methods : mapping
        Kind of search -> its runs. Runs of unequal length are drawn up to the end of the shortest.
    best : float or None
        The best accuracy that is known, a dotted line.
    best_of : str
        What that is the best of.

    Returns
    -------
    str
        An SVG element.
    """
    with style():
        figure, (ax,) = subplots(1, 1, 3.6)
        for name, (colour, _) in styles(methods).items():
            trajectories = methods[name].trajectories
            length = min(len(run) for run in trajectories)
            runs = np.array([run[:length] for run in trajectories], dtype=float)
            low, median, high = np.percentile(runs, [25, 50, 75], axis=0)
            x = np.arange(1, length + 1)
            ax.fill_between(x, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
            ax.step(x, median, where="post", color=colour, label=name)
        if best is not None:
            ax.axhline(best, color=INK, linewidth=1, linestyle=":", label=best_of)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="measured architectures", ylabel="best measured accuracy")
        ax.grid(axis="y")
        legend(ax)
        label = (
            "Line chart of the best measured accuracy so far over the number of measured "
            f"architectures for {series(methods)}."
        )
        return svg(figure, "search", label)


def _columns(found: Sequence[Interval]) -> tuple[NDArray[np.float64], ...]:
    """Return means, lower and upper ends."""
    return (
        floats([of.mean for of in found]),
        floats([of.low for of in found]),
        floats([of.high for of in found]),
    )


def _clustered(matrix: NDArray[np.float64]) -> list[int]:
    """Return the order of the leaves of an average-linkage tree over 1 - correlation."""
    if len(matrix) < 3:
        return list(range(len(matrix)))
    distance = 1 - np.nan_to_num(matrix, nan=0.0)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return [int(leaf) for leaf in leaves_list(tree)]
