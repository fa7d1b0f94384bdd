"""Kernels of Gaussian processes between the rows of two arrays."""

from __future__ import annotations

import numpy as np
import torch

from fusion.regression.columns import Array

_ROOT5 = np.sqrt(5.0)
# Rows whose kernel with some thousand others is in memory at once: few enough for the cache.
_BLOCK = 256


def blocks(rows: int) -> list[slice]:
    """Return slices that cover so many rows, each of as many as are best worked on at once."""
    return [slice(start, start + _BLOCK) for start in range(0, rows, _BLOCK)]


def squared_distances(a: Array, b: Array) -> Array:
    """Return |a_i - b_j|^2, shape (len(a), len(b))."""
    return products_and_squares(a, b)[1]


def products_and_squares(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the inner products a_i . b_j and the squared distances |a_i - b_j|^2."""
    products: Array = a @ b.T
    squares = products * -2
    squares += np.einsum("ij,ij->i", a, a)[:, None]
    squares += np.einsum("ij,ij->i", b, b)
    return products, np.maximum(squares, 0, out=squares)


def matern(squares: Array, length: float) -> Array:
    """Return the Matern 5/2 kernel (1 + x + x^2 / 3) exp(-x), x = sqrt(5 squares) / length.

    Source: C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006,
    equation 4.17.
    """
    x = np.sqrt(squares)
    x *= _ROOT5 / length
    found: Array = x * x
    found /= 3
    found += x
    found += 1
    found *= decayed(x)
    return found


def decayed(x: Array) -> Array:
    """Write exp(-x) over x and return it, by torch: without AVX-512 numpy takes several times as long."""
    torch.exp_(torch.from_numpy(np.negative(x, out=x)))
    return x


def matern_and_slope(squares: Array, length: float) -> tuple[Array, Array]:
    """Return `matern`, and its derivative by each of `squares`, -5/6 (1 + x) exp(-x) / length^2."""
    x = np.sqrt(squares)
    x *= _ROOT5 / length
    slope: Array = x + 1
    decay = decayed(x.copy())
    x *= x
    x /= 3
    x += slope
    x *= decay
    decay *= -5 / 6 / length**2
    slope *= decay
    return x, slope
