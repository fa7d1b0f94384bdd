"""Indicators without the noise of their initialisation: smooth functions of what architectures are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular

from fusion.regression.checked import matrix, moderate, vector, within
from fusion.regression.columns import Array
from fusion.regression.kernels import blocks, matern, squared_distances
from fusion.work.threads import in_threads

# Architectures between which the kernel is interpolated; the time grows with its square.
_LANDMARKS = 1024
# Of more architectures than these, so many say what is smooth; memory grows with them.
_MOST = 16_384
_LENGTH = 1.5
_LINEAR = 0.3
# Noise over signal, of which each column takes the likeliest.
_NOISES = 10.0 ** np.arange(-4.0, 1.5, 0.5)
# Of the median error: twice a standard deviation of normal errors.
_REACH = 2 * 1.4826
_JITTER = 1e-6
_NEGLIGIBLE = 1e-10


def kernel(a: Array, b: Array) -> Array:
    """Return 0.3 a.b / p + Matern 5/2 of |a - b| / sqrt(p) at length 1.5, shape (len(a), len(b))."""
    columns = a.shape[1]
    found = matern(squared_distances(a, b) / columns, _LENGTH)
    found += a @ (b.T * (_LINEAR / columns))
    return found


@dataclass(frozen=True, eq=False)
class Smoothing:
    """What columns are expected to be, given an architecture's encoding, learned from unlabelled ones.

    An untrained network's indicators depend on the draw of its weights. What does not is a function of
    the architecture; like architectures say what it is. Each column is a Gaussian process over the
    encoding, with the noise that is likeliest, and the smoothed value of an architecture is

        x - (1 - share) (x - m),  x - m no further from 0 than `reach`,

    m what the process expects of it, x its own value, and `share` the part of the squared error of
    left-out predictions that is not noise: 0 where the encoding tells everything but noise, near 1 where
    it tells little. The reach is twice the usual error, 1.48 median |x - m|: what is further off is not
    noise, such as the values of a network that is cut off.

    Attributes
    ----------
    landmarks : ndarray, shape (q, p)
        Encodings between which is interpolated.
    coefficients : ndarray, shape (q, c)
        Of the kernel's values at the landmarks, by column.
    means, shares, reaches : ndarray, shape (c,)

    Notes
    -----
    Sources: learning from unlabelled architectures, R. Luo et al., "Semi-Supervised Neural Architecture
    Search", NeurIPS 2020 (there with pseudo-labels); Gaussian processes with landmarks, C. Rasmussen,
    C. Williams, "Gaussian Processes for Machine Learning", 2006, section 8.3 (subset of regressors).
    Smoothing indicators is this library's.
    """

    landmarks: Array
    coefficients: Array
    means: Array
    shares: Array
    reaches: Array

    @classmethod
    def learn(cls, encoding: Array, columns: Array) -> Smoothing:
        """Return what is expected, learned from the architectures of a pool.

        Parameters
        ----------
        encoding : ndarray, shape (n, p)
            Standardised.
        columns : ndarray, shape (n, c)
            Standardised indicators.
        """
        if len(encoding) > _MOST:
            drawn = np.random.default_rng(0).permutation(len(encoding))[:_MOST]
            chosen = np.lexsort(np.hstack([columns, encoding]).T)[drawn]
            encoding, columns = encoding[chosen], columns[chosen]
        distinct = np.unique(encoding, axis=0)
        drawn = np.random.default_rng(0).permutation(len(distinct))[:_LANDMARKS]
        landmarks = distinct[np.sort(drawn)]
        own = kernel(landmarks, landmarks)
        own[np.diag_indices_from(own)] += _JITTER
        factor = cholesky(own, lower=True)
        basis = solve_triangular(factor, kernel(landmarks, encoding), lower=True).T
        # the singular value decomposition, from the smaller Gram matrix
        eigenvalues, v = eigh(basis.T @ basis)
        kept = eigenvalues > _NEGLIGIBLE * eigenvalues[-1]
        eigenvalues, v = eigenvalues[kept], v[:, kept]
        s = np.sqrt(eigenvalues)
        u = basis @ (v / s)
        means = columns.mean(axis=0)
        coefficients = np.empty((len(landmarks), columns.shape[1]))
        shares, reaches = np.empty(columns.shape[1]), np.empty(columns.shape[1])
        for j, column in enumerate((columns - means).T):
            along = u.T @ column
            noise = _likeliest(along, column, eigenvalues)
            shrink = eigenvalues / (eigenvalues + noise)
            coefficients[:, j] = solve_triangular(factor, v @ (shrink / s * along), lower=True, trans="T")
            off = column - u @ (shrink * along)
            reaches[j] = _REACH * float(np.median(np.abs(off)))
            left_out = off / (1 - np.einsum("ij,j->i", u**2, shrink))
            error = float(np.mean(left_out**2))
            signal = _signal(along, column, eigenvalues, noise)
            shares[j] = max(0.0, 1 - noise * signal / error) if error > 0 else 0.0
        return cls(landmarks, coefficients, means, shares, reaches)

    def apply(self, encoding: Array, columns: Array) -> Array:
        """Return the smoothed columns of architectures, shape (n, c)."""
        smoothed = np.empty_like(columns)

        def smooth(rows: slice) -> None:
            expected = self.means + kernel(encoding[rows], self.landmarks) @ self.coefficients
            off = np.clip(columns[rows] - expected, -self.reaches, self.reaches)
            smoothed[rows] = columns[rows] - (1 - self.shares) * off

        in_threads(smooth, blocks(len(columns)))
        return smoothed

    def to_state(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "landmarks": self.landmarks.tolist(),
            "coefficients": self.coefficients.tolist(),
            "means": self.means.tolist(),
            "shares": self.shares.tolist(),
            "reaches": self.reaches.tolist(),
        }

    @classmethod
    def from_state(cls, state: Any, encoding: int, columns: int) -> Smoothing:
        """Return what gave `state`, of so many columns; raises KeyError, TypeError or ValueError."""
        rows = len(state["landmarks"])
        if not 0 < rows <= _LANDMARKS or not encoding:
            raise ValueError(f"{rows} landmarks of {encoding} numbers")
        landmarks = matrix(state["landmarks"], "landmarks", (rows, encoding))
        coefficients = matrix(state["coefficients"], "coefficients", (rows, columns))
        means, shares, reaches = (
            vector(state[name], name, columns) for name in ("means", "shares", "reaches")
        )
        return cls(
            moderate(landmarks, "landmarks"),
            moderate(coefficients, "coefficients"),
            moderate(means, "means"),
            within(shares, 0, 1, "shares"),
            within(moderate(reaches, "reaches"), 0, np.inf, "reaches"),
        )


def _signal(along: Array, column: Array, eigenvalues: Array, noise: float) -> float:
    """Return the likeliest variance of the process, of which `noise` is a multiple."""
    rest = float(column @ column - along @ along)
    return (float(np.sum(along**2 / (eigenvalues + noise))) + max(rest, 0.0) / noise) / len(column)


def _likeliest(along: Array, column: Array, eigenvalues: Array) -> float:
    """Return the noise over signal with the greatest marginal likelihood."""
    n, free = len(column), len(column) - len(along)

    def loss(noise: float) -> float:
        volume = float(np.log(eigenvalues + noise).sum()) + free * np.log(noise)
        return float(volume + n * np.log(_signal(along, column, eigenvalues, noise) + 1e-300))

    return float(min(_NOISES, key=loss))
