"""Rows and columns in an order that is the same however they were given; equal rows once."""

from __future__ import annotations

from collections.abc import Callable

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


def once_each(of: Callable[[Array], Array], rows: Array) -> Array:
    """Return what `of` gives of each row, computed once of rows that are equal to the last bit.

    Parameters
    ----------
    of : callable
        From rows, shape (m, p), to an array of as many entries or rows.
    rows : ndarray, shape (n, p)
    """
    places: dict[bytes, int] = {}
    again = np.fromiter((places.setdefault(row.tobytes(), len(places)) for row in rows), np.intp, len(rows))
    if len(places) == len(rows):
        return of(rows)
    return of(rows[np.unique(again, return_index=True)[1]])[again]
