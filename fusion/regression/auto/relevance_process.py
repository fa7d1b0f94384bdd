"""A Gaussian process that learns which features matter, around a prior score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, lapack, solve_triangular
from scipy.optimize import minimize

from fusion.regression.checked import moderate, vector, within
from fusion.regression.columns import Array
from fusion.regression.kernels import (
    blocks,
    matern,
    matern_and_slope,
    products_and_squares,
    squared_distances,
)
from fusion.work.threads import in_threads

# Logarithms of the variances of the prior's slope, of the linear, the smooth and the encoding's part; of
# the lengths of the last two; and of the noise.
_MEAN = np.array([0.0, -1.0, -1.0, -1.0, 0.5, 0.5, -2.0])
_BOUND = (-10.0, 6.0)
# The slope that is expected of the prior score, which like the goal has standard deviation 1.
_SLOPE = 0.5
_ITERATIONS = 60
# Of the negative log posterior, the relative gain at which a descent ends: predictions change no more.
_GAIN = 1e-5
# Of more architectures than these, so many settle the parameters, the second number from where the first
# ended; all of them the prediction.
_SETTLING = (400, 1000)
_JITTER = 1e-8


@dataclass(frozen=True, eq=False)
class Rows:
    """What the process knows of architectures.

    Attributes
    ----------
    prior : ndarray, shape (n,)
        A score, higher is better, of standard deviation about 1.
    features : ndarray, shape (n, p)
        Of which it learns how relevant each is; of standard deviation about 1.
    encoding : ndarray, shape (n, e)
        Of which all are alike relevant; may have no columns.
    """

    prior: Array
    features: Array
    encoding: Array

    def __len__(self) -> int:
        return len(self.prior)

    def take(self, rows: Any) -> Rows:
        """Return some of the architectures, by index, mask or slice."""
        return Rows(self.prior[rows], self.features[rows], self.encoding[rows])


@dataclass(frozen=True, eq=False)
class RelevanceProcess:
    """Gaussian process regression whose kernel weighs each feature by its relevance.

    With s the prior score, x the p features, e the encoding, w = relevance / sqrt(p), the goal of an
    architecture is 0.5 s plus a process of covariance

        v1 s s' + v2 (w x).(w x') + v3 k(|w (x - x')| / l1) + v4 k(|e - e'| / sqrt(len e) / l2),

    k Matern 5/2, plus noise. The log of each relevance has a normal prior of mean 0 and deviation
    `freedom`, the logs of the other parameters ones of deviation 1; all are where likelihood times prior is
    greatest. With few accuracies nothing stands out, and it is a process of distances over all features;
    with more, those that say nothing of the accuracy shrink.

    Attributes
    ----------
    parameters : ndarray, shape (7 + p,)
        Logarithms of v1 to v4, l1, l2, the variance of the noise, and the relevances.
    rows : Rows
        What was learned from.
    solved : ndarray, shape (n,)
        Inverse of `factor @ factor.T`, times the goals less half the prior scores.
    factor : ndarray, shape (n, n)
        Lower Cholesky factor of the covariance with noise.

    Notes
    -----
    Source: C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006,
    sections 5.1 (automatic relevance determination) and 5.4.1.
    """

    parameters: Array
    rows: Rows
    solved: Array
    factor: Array

    @classmethod
    def learn(cls, rows: Rows, goal: Array, freedom: float, start: Array | None = None) -> RelevanceProcess:
        """Return the process given the goals of some architectures.

        Parameters
        ----------
        rows : Rows
        goal : ndarray, shape (n,)
            Of mean 0 and standard deviation about 1.
        freedom : float
            Standard deviation of the log of each relevance.
        start : ndarray, shape (7 + p,), optional
            Parameters from which likelier ones are looked for, by the first number of rows alone, such as
            those given most of the same goals; by default the middle of their prior.
        """
        rest = goal - _SLOPE * rows.prior
        few, many = (min(settling, len(rows)) for settling in _SETTLING)
        parameters = _settled(rows, rest, freedom, few, start)
        if start is None and many > few:
            parameters = _settled(rows, rest, freedom, many, parameters)
        return cls.given(parameters, rows, goal)

    @classmethod
    def given(cls, parameters: Array, rows: Rows, goal: Array) -> RelevanceProcess:
        """Return the process with these parameters given the goals of some architectures."""
        factor = _factor(parameters, rows)
        solved = cho_solve((factor, True), goal - _SLOPE * rows.prior)
        return cls(parameters, rows, solved, factor)

    @property
    def relevance(self) -> Array:
        """How relevant each feature is, shape (p,); 1 is usual."""
        relevance: Array = np.exp(self.parameters[len(_MEAN) :])
        return relevance

    def predict(self, rows: Rows) -> Array:
        """Return the mean of the goal of each, shape (n,)."""
        means = _SLOPE * rows.prior

        def add(part: slice) -> None:
            means[part] += _covariance(self.parameters, rows.take(part), self.rows) @ self.solved

        in_threads(add, blocks(len(rows)))
        return means

    def spread(self, rows: Rows) -> Array:
        """Return the standard deviation of the goal of each, noise included, shape (n,)."""
        variances = np.empty(len(rows))
        noise = np.exp(self.parameters[6])

        def vary(part: slice) -> None:
            some = rows.take(part)
            half = solve_triangular(self.factor, _covariance(self.parameters, some, self.rows).T, lower=True)
            own = _own_variance(self.parameters, some)
            variances[part] = own + noise - np.einsum("ij,ij->j", half, half)

        in_threads(vary, blocks(len(rows)))
        spreads: Array = np.sqrt(np.maximum(variances, noise))
        return spreads

    def to_state(self) -> dict[str, Any]:
        """Return the parameters and what is solved; the rows are the caller's."""
        return {"parameters": self.parameters.tolist(), "solved": self.solved.tolist()}

    @classmethod
    def from_state(cls, state: Any, rows: Rows) -> RelevanceProcess:
        """Return what gave `state`, learned from `rows`; raises KeyError, TypeError or ValueError."""
        parameters = vector(state["parameters"], "parameters", len(_MEAN) + rows.features.shape[1])
        within(parameters, *_BOUND, "parameters")
        solved = moderate(vector(state["solved"], "solved", len(rows)), "solved")
        return cls(parameters, rows, solved, _factor(parameters, rows))


def _settled(rows: Rows, rest: Array, freedom: float, count: int, start: Array | None) -> Array:
    """Return the likeliest parameters given `count` of the rows, always the same of as many."""
    some = np.sort(np.random.default_rng(0).permutation(len(rows))[:count])
    posterior = _Posterior.of(rows.take(some), rest[some], freedom)
    return posterior.most_likely(posterior.centre if start is None else start)


def _weighted(parameters: Array, features: Array) -> Array:
    relevance = np.exp(parameters[len(_MEAN) :]) / np.sqrt(max(1, features.shape[1]))
    weighted: Array = features * relevance
    return weighted


def _covariance(parameters: Array, a: Rows, b: Rows) -> Array:
    variances, lengths = np.exp(parameters[:4]), np.exp(parameters[4:6])
    x, z = _weighted(parameters, a.features), _weighted(parameters, b.features)
    found, near = products_and_squares(x, z)
    found *= variances[1]
    found += np.outer(variances[0] * a.prior, b.prior)
    smooth = matern(near, lengths[0])
    smooth *= variances[2]
    found += smooth
    if columns := a.encoding.shape[1]:
        far = squared_distances(a.encoding, b.encoding)
        far /= columns
        along = matern(far, lengths[1])
        along *= variances[3]
        found += along
    return found


def _own_variance(parameters: Array, rows: Rows) -> Array:
    """Return the diagonal of the covariance of rows with themselves."""
    variances = np.exp(parameters[:4])
    x = _weighted(parameters, rows.features)
    own = variances[0] * rows.prior**2 + variances[1] * np.einsum("ij,ij->i", x, x) + variances[2]
    diagonal: Array = own + (variances[3] if rows.encoding.shape[1] else 0.0)
    return diagonal


def _factor(parameters: Array, rows: Rows) -> Array:
    """Return the lower Cholesky factor of the covariance of the rows with noise."""
    own = _covariance(parameters, rows, rows)
    own[np.diag_indices_from(own)] += np.exp(parameters[6]) + _JITTER
    return _lower(own)


def _lower(covariance: Array) -> Array:
    """Return the lower Cholesky factor; the diagonal is raised where rounding leaves no positive one."""
    more = 1e-12 * float(np.trace(covariance)) / len(covariance)
    while True:
        try:
            factor: Array = cholesky(covariance, lower=True)
            return factor
        except LinAlgError:
            covariance[np.diag_indices_from(covariance)] += more
            more *= 10


@dataclass(frozen=True, eq=False)
class _Posterior:
    """How likely parameters are, given goals: what does not change with the parameters is computed once.

    Attributes
    ----------
    rows : Rows
    rest : ndarray, shape (n,)
        Goals less what the prior score says of them.
    centre, width : ndarray, shape (7 + p,)
        Of the normal prior of each parameter.
    far, outer : ndarray, shape (n, n)
        Squared distances between encodings, over their number of columns; products of prior scores.
    """

    rows: Rows
    rest: Array
    centre: Array
    width: Array
    far: Array
    outer: Array

    @classmethod
    def of(cls, rows: Rows, rest: Array, freedom: float) -> _Posterior:
        centre = np.concatenate([_MEAN, np.zeros(rows.features.shape[1])])
        width = np.concatenate([np.ones(len(_MEAN)), np.full(rows.features.shape[1], freedom)])
        far = squared_distances(rows.encoding, rows.encoding) / max(1, rows.encoding.shape[1])
        return cls(rows, rest, centre, width, far, np.outer(rows.prior, rows.prior))

    def loss(self, parameters: Array) -> tuple[float, Array]:
        """Return the negative log of likelihood times prior, but for constants, and its gradient."""
        v1, v2, v3, v4, l1, l2, noise = np.exp(parameters[: len(_MEAN)])
        x = _weighted(parameters, self.rows.features)
        linear, near = products_and_squares(x, x)
        smooth, by_near = matern_and_slope(near, l1)
        covariance = v1 * self.outer
        covariance += v2 * linear
        covariance += v3 * smooth
        if self.rows.encoding.shape[1]:
            along, by_far = matern_and_slope(self.far, l2)
            covariance += v4 * along
        covariance[np.diag_indices_from(covariance)] += noise + _JITTER
        factor = _lower(covariance)
        solved = cho_solve((factor, True), self.rest)
        # the inverse, of which only the lower half is computed, zeros above it: whole by symmetry
        half = lapack.dpotri(factor, lower=1)[0]
        slope = half + half.T
        slope[np.diag_indices_from(slope)] = np.diag(half)
        slope -= np.outer(solved, solved)
        slope *= 0.5  # of the loss by each entry of the covariance
        gradient = np.zeros_like(parameters)
        gradient[:3] = [
            v1 * np.vdot(slope, self.outer),
            v2 * np.vdot(slope, linear),
            v3 * np.vdot(slope, smooth),
        ]
        by_near *= slope
        by_near *= v3
        gradient[4] = -2 * np.vdot(by_near, near)
        if self.rows.encoding.shape[1]:
            gradient[3] = v4 * np.vdot(slope, along)
            by_far *= slope
            gradient[5] = -2 * v4 * np.vdot(by_far, self.far)
        gradient[6] = noise * np.trace(slope)
        # sum over pairs of by_near (x_i - x_j)^2, by column, and of the linear part
        pairs = by_near.sum(axis=1) @ (x * x) - np.einsum("ij,ij->j", x, by_near @ x)
        gradient[len(_MEAN) :] = 4 * pairs + 2 * v2 * np.einsum("ij,ij->j", x, slope @ x)
        off = (parameters - self.centre) / self.width
        value = 0.5 * self.rest @ solved + np.log(np.diag(factor)).sum() + 0.5 * off @ off
        return float(value), gradient + off / self.width

    def most_likely(self, start: Array) -> Array:
        """Return the parameters that the descent from some ends at."""
        found = minimize(
            self.loss,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[_BOUND] * len(self.centre),
            options={"maxiter": _ITERATIONS, "ftol": _GAIN},
        )
        settled: Array = found.x
        return settled
