"""Errors by range of the measured accuracy: one number over all hides where a model errs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fusion.evaluation.intervals import interval
from fusion.evaluation.metrics import srocc
from fusion.evaluation.results import Extent, RangeErrors
from fusion.evaluation.values import highest

RANGES = {"best_tenth": (0.1, True), "best_fifth": (0.2, True), "worst_tenth": (0.1, False)}
"""Range -> share of the test architectures, and whether it is the upper end."""


def range_errors(predictions: Sequence[pd.DataFrame], model: str) -> dict[str, RangeErrors]:
    """Return the errors of a model in each range, over the splits.

    Parameters
    ----------
    predictions : sequence of DataFrame
        Columns `measured` and `model`; one table per split.
    model : str

    Notes
    -----
    A range of a split with n test architectures holds the ceil(share n) with the highest (or lowest)
    measured accuracy, and what ties with the last of them.
    """
    found = {}
    for name, (share, upper) in RANGES.items():
        sizes, rows = [], []
        for table in predictions:
            y = table["measured"].to_numpy(dtype=np.float64)
            inside = highest(y if upper else -y, share)
            y, p = y[inside], table[model].to_numpy(dtype=np.float64)[inside]
            sizes.append(len(y))
            rows.append((np.sqrt(np.mean((y - p) ** 2)), np.mean(np.abs(y - p)), srocc(y, p)))
        rmse, mae, rank = (interval(of, of) for of in np.array(rows).T)
        found[name] = RangeErrors(Extent(min(sizes), max(sizes)), rmse, mae, rank)
    return found
