"""Predicted accuracy against cost: which architectures are on the front, and what the front is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.evaluation.results import Interval
from fusion.tables.costs import pareto

PREFIX = "cost."
"""Of the columns of the predictions that are costs."""


@dataclass(frozen=True)
class FrontPoint:
    """An architecture than which none costs less and is predicted better.

    Attributes
    ----------
    arch : str
    cost, predicted, measured : float
    """

    arch: str
    cost: float
    predicted: float
    measured: float


@dataclass(frozen=True)
class Front:
    """Predicted accuracy against one cost.

    Attributes
    ----------
    model : str
        By which it is predicted.
    points : tuple of FrontPoint
        Of the first split, the cheapest first.
    left_out : int
        Tested architectures of that split without this cost.
    regret : Interval
        How much better than an architecture of the front the best one is that was tested and costs no more,
        by measured accuracy: mean over the front; mean and 2.5 and 97.5 percentiles over the splits.
    """

    model: str
    points: tuple[FrontPoint, ...]
    left_out: int
    regret: Interval


def regret(cost: NDArray[np.float64], predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> float:
    """Return by how much the front of the predictions falls short, see `Front`."""
    front = pareto(cost, predicted)
    best = [measured[cost <= cost[at]].max() for at in front]
    return float(np.mean(best - measured[front]))


def with_costs(predictions: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Return predictions by architecture, and each architecture's costs beside them."""
    found = costs.loc[predictions["arch"]].add_prefix(PREFIX)
    return pd.concat([predictions, found.set_axis(predictions.index)], axis=1)


def fronts(predictions: pd.DataFrame, model: str | None) -> dict[str, Front]:
    """Return cost -> the front of a model's predictions; costs that do not vary are left out.

    Parameters
    ----------
    predictions : DataFrame
        Columns `split`, `arch`, `measured`, one of the model, and costs, as `with_costs` gives them.
    model : str or None
        None is no front at all.
    """
    found: dict[str, Front] = {}
    if model is None:
        return found
    for column in map(str, predictions):
        if not column.startswith(PREFIX):
            continue
        known = predictions[predictions[column].notna()]
        if known["split"].nunique() < predictions["split"].nunique() or known[column].nunique() < 2:
            continue
        of_split = [
            regret(*(part[name].to_numpy(dtype=np.float64) for name in (column, model, "measured")))
            for _, part in known.groupby("split")
        ]
        first = predictions["split"].min()
        shown = known[known["split"] == first]
        low, high = np.percentile(of_split, [2.5, 97.5])
        found[column.removeprefix(PREFIX)] = Front(
            model,
            _points(shown, column, model),
            int((predictions["split"] == first).sum()) - len(shown),
            Interval(float(np.mean(of_split)), *((float(low), float(high)) if len(of_split) > 1 else ())),
        )
    return found


def _points(shown: pd.DataFrame, column: str, model: str) -> tuple[FrontPoint, ...]:
    values: Mapping[str, NDArray[np.float64]] = {
        name: shown[name].to_numpy(dtype=np.float64) for name in (column, model, "measured")
    }
    return tuple(
        FrontPoint(str(shown["arch"].iloc[at]), *(float(of[at]) for of in values.values()))
        for at in pareto(values[column], values[model])
    )
