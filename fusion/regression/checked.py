"""Checks of what a saved model says it learned, before it is used: types, shapes, ranges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def number(value: object, what: str) -> float:
    """Return a number; raises ValueError for anything else."""
    if type(value) not in (int, float):
        raise ValueError(f"{what} is no number")
    return float(value)  # type: ignore[arg-type]


def whole(value: object, what: str, least: int = 0) -> int:
    """Return a whole number of at least `least`; raises ValueError for anything else."""
    if type(value) is not int or not least <= value < 2**53:
        raise ValueError(f"{what} is no whole number from {least} on")
    return value


def one_of(value: object, options: Sequence[str], what: str) -> str:
    """Return one of `options`; raises ValueError for anything else."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{what} is none of {', '.join(options)}")
    return value


def vector(value: object, what: str, size: int | None = None) -> Array:
    """Return an array of numbers, of `size` where that is given.

    Raises
    ------
    ValueError
        For anything else than a list of numbers, of that length.
    """
    if not isinstance(value, list) or not set(map(type, value)) <= {int, float}:
        raise ValueError(f"{what} is no list of numbers")
    if size is not None and len(value) != size:
        raise ValueError(f"{what} has {len(value)} numbers, not {size}")
    return np.array(value, dtype=np.float64)


def increasing(values: Array, what: str) -> Array:
    """Return `values`; raises ValueError unless there are some and each is greater than the one before."""
    if not len(values) or not (values[1:] > values[:-1]).all():
        raise ValueError(f"{what} does not increase")
    return values


def matrix(value: object, what: str, shape: tuple[int, int]) -> Array:
    """Return an array of numbers of this shape; raises ValueError for anything else."""
    if not isinstance(value, list) or len(value) != shape[0]:
        raise ValueError(f"{what} are not {shape[0]} lists")
    return np.array([vector(row, what, shape[1]) for row in value]).reshape(shape)


def positive(values: Array, what: str) -> Array:
    """Return `values`; raises ValueError unless all are greater than 0."""
    if not (values > 0).all():
        raise ValueError(f"{what} has a number that is not positive")
    return values


def within(values: Array, low: float, high: float, what: str) -> Array:
    """Return `values`; raises ValueError unless all are from `low` to `high`."""
    if not ((values >= low) & (values <= high)).all():
        raise ValueError(f"{what} has a number outside {low:g} .. {high:g}")
    return values


def moderate(values: Array, what: str) -> Array:
    """Return `values`; raises ValueError where one is so large that products of a few would overflow."""
    return within(values, -1e12, 1e12, what)


def different(value: object, what: str, below: int) -> npt.NDArray[np.intp]:
    """Return different places under `below`, in any order; raises ValueError for anything else."""
    if not isinstance(value, list) or any(type(x) is not int for x in value):
        raise ValueError(f"{what} is no list of whole numbers")
    places(sorted(value), what, below)
    return np.array(value, dtype=np.intp)


def places(value: object, what: str, below: int) -> list[int]:
    """Return a list of different places under `below`, in order; raises ValueError for anything else."""
    if not isinstance(value, list) or any(type(x) is not int for x in value):
        raise ValueError(f"{what} is no list of whole numbers")
    if value != sorted(set(value)) or (value and not 0 <= value[0] <= value[-1] < below):
        raise ValueError(f"{what} has a number outside 0 .. {below - 1}, or one twice")
    return value
