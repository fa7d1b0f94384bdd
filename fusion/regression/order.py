"""An order of training rows and columns that is the same however they were given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fusion.regression.columns import Array

Indices = npt.NDArray[np.intp]


def order_of_rows(values: Array, goal: Array) -> Indices:
    """Return the order of rows by `goal`, then by what values they have, in whatever columns.

    Parameters
    ----------
    values : ndarray, shape (n, p)
        NaN counts as the largest.
    goal : ndarray, shape (n,)
    """
    return np.lexsort([*np.sort(values, axis=1).T[::-1], goal])


def order_of_columns(values: Array) -> Indices:
    """Return the order of columns by their values from the first row on."""
    return np.lexsort(values[::-1])
