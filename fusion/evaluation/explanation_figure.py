"""What carries a prediction, as a bar chart in a file."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from fusion.errors import FusionError
from fusion.evaluation.drawing import COLOURS, MUTED, picture, style, subplots
from fusion.regression import Explanation
from fusion.storage.files import write_atomic

MAX_BARS = 15  # of each panel
_WIDEST = 60  # characters of a line
_FORMS = (".png", ".svg")


def check_figure_name(path: Path) -> None:
    """Raise FusionError unless `write_explanation_figure` knows the ending of a name."""
    if path.suffix.lower() not in _FORMS:
        raise FusionError(f"{path}: the name must end in {' or '.join(_FORMS)}")


def write_explanation_figure(path: Path, explanation: Explanation) -> None:
    """Draw the groups that carry most, and where there are reasons what each adds, into a file.

    Parameters
    ----------
    path : Path
        Ends in .png or .svg.
    explanation : Explanation

    Raises
    ------
    FusionError
        For another ending, or when it cannot be written.
    """
    check_figure_name(path)
    reasons = explanation.reasons
    importances = explanation.importances[:MAX_BARS]
    contributions = reasons.contributions[:MAX_BARS] if reasons else ()
    counts = [len(importances)] + [len(contributions)] * (reasons is not None)
    with style():
        height = sum(1.1 + 0.21 * count for count in counts)
        figure, axes = subplots(len(counts), 1, height, height_ratios=[3 + count for count in counts])
        falls = [one.fall for one in importances]
        _bars(axes[0], [one.title for one in importances], falls, [one.spread for one in importances])
        axes[0].set(title=f"What carries {explanation.model}")
        axes[0].set_xlabel(textwrap.fill(f"fall of {explanation.measured_on}", _WIDEST))
        if reasons is not None:
            _bars(axes[1], [one.title for one in contributions], [one.added for one in contributions])
            axes[1].set(title=f"Why {reasons.predicted:.6g} is predicted")
            axes[1].set_xlabel(f"added to the mean of {reasons.expected:.6g} by\n{_shortened(reasons.arch)}")
        write_atomic(path, picture(figure, path.suffix.lower().removeprefix(".")))


def _bars(ax: Axes, titles: Sequence[str], values: Sequence[float], spreads: Sequence[float] = ()) -> None:
    y = np.arange(len(values))
    colours = [COLOURS[value < 0] for value in values]
    ax.barh(y, values, color=colours, height=0.65)
    if spreads:
        ax.errorbar(values, y, xerr=spreads, fmt="none", ecolor=MUTED, elinewidth=1)
    ax.axvline(0, color=MUTED, linewidth=0.8)
    ax.set_yticks(y, list(map(_shortened, titles)))
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")


def _shortened(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."
