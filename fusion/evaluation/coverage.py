"""How prediction intervals hold: how often the measured accuracy lies inside, and how wide they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fusion.evaluation.intervals import interval
from fusion.evaluation.results import IntervalsHeld, PredictionIntervals

Array = NDArray[np.float64]

LEVEL = 0.9
"""Share of the architectures that intervals are asked to hold."""

TENTHS = 10


def held(measured: Array, predicted: Array, low: Array, high: Array) -> Array:
    """Return how the intervals of one test part held.

    Parameters
    ----------
    measured, predicted, low, high : ndarray, shape (architectures,)
        Accuracies, their predictions, and the ends of the intervals, all in the same units.

    Returns
    -------
    ndarray, shape (11, 2)
        The share of measured accuracies inside, ends included, and the mean width; first over all, then in
        each tenth of the architectures by prediction, lowest first. NaN for a tenth without any.
    """
    table = np.column_stack([(low <= measured) & (measured <= high), high - low])
    tenths = np.array_split(table[np.argsort(predicted, kind="stable")], TENTHS)
    return np.array([part.mean(axis=0) if len(part) else [np.nan, np.nan] for part in (table, *tenths)])


def prediction_intervals(found: Sequence[Array]) -> PredictionIntervals:
    """Return means and percentiles over the splits of what `held` found in each."""
    rows = [
        IntervalsHeld(*(interval(values, values) for values in row.T)) for row in np.swapaxes(found, 0, 1)
    ]
    return PredictionIntervals(LEVEL, rows[0], tuple(rows[1:]))
