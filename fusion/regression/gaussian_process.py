"""Gaussian process regression on the transformed indicators: a linear and a smooth part, and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, lapack, solve_triangular
from scipy.optimize import minimize

from fusion.regression.base import MODELS, FusionModel, ModelState
from fusion.regression.checked import different, matrix, number, positive, vector
from fusion.regression.columns import Array
from fusion.regression.kernels import blocks, decayed
from fusion.regression.order import order_of_columns, order_of_rows
from fusion.work.threads import in_threads

# Training rows on which starts are compared; the best goes on with all of them.
_COMPARED = 256
_ITERATIONS = 50
# Added to the noise's variance, so that equal rows do not make the kernel matrix singular.
_JITTER = 1e-6
# Mean and standard deviation of the normal priors of the parameters' logarithms: linear and smooth
# amplitude, length scale, noise, for a goal of variance 1 and columns of variance 1.
_PRIOR_MEAN = np.log([0.5, 0.5, 1.0, 0.4])
_PRIOR_SD = np.array([1.0, 1.0, 1.0, 1.0])
_BOUNDS = ((-6.0, 3.0), (-6.0, 3.0), (-4.0, 6.0), (-5.0, 2.0))
_STARTS = np.log([[0.5, 0.5, 1.0, 0.4], [0.9, 0.1, 1.0, 0.4], [0.1, 0.9, 0.5, 0.2]])


@dataclass(frozen=True)
class _Gram:
    """What the kernel of two sets of rows is computed from.

    Attributes
    ----------
    linear : ndarray, shape (n, m)
        Inner products over the number of columns.
    distance : ndarray, shape (n, m)
        Euclidean distances over the square root of the number of columns.
    """

    linear: Array
    distance: Array

    @classmethod
    def of(cls, a: Array, b: Array) -> _Gram:
        columns = max(1, a.shape[1])
        linear = a @ b.T / columns
        squares = [np.einsum("ij,ij->i", rows, rows) / columns for rows in (a, b)]
        distance = linear * -2
        distance += squares[0][:, None]
        distance += squares[1]
        np.maximum(distance, 0, out=distance)
        return cls(linear, np.sqrt(distance, out=distance))

    def kernel(self, parameters: Array) -> tuple[Array, Array, Array]:
        """Return the linear and the smooth part, and the latter's derivative by the log of its length."""
        linear, smooth, length, _ = np.exp(parameters)
        x = self.distance * (np.sqrt(5) / length)
        decay = decayed(x.copy())
        decay *= smooth**2
        squared = x * x / 3
        return linear**2 * self.linear, (1 + x + squared) * decay, squared * (1 + x) * decay


@MODELS.register
class GaussianProcess(FusionModel):
    """Gaussian process regression with a linear and a Matern 5/2 kernel.

    The prior covariance of two architectures with features x and x', p columns brought to mean 0 and
    standard deviation 1 over the training architectures, is

        a^2 x.x' / p  +  b^2 (1 + s + s^2 / 3) exp(-s),   s = sqrt(5) |x - x'| / (l sqrt(p)),

    and c^2 more between an architecture and itself, its noise. The amplitudes a, b, c and the length l
    maximise the log marginal likelihood of the goal, brought to mean 0 and standard deviation 1, plus
    weak log-normal priors, which decide where there are few architectures. Columns that are the same for
    all training architectures are left out.

    Parameters
    ----------
    target : {"gaussian", "accuracy"}
        What is modelled, see `fusion.regression.target`.

    Attributes
    ----------
    parameters_ : ndarray, shape (4,)
        Logarithms of a, b, l and c.
    columns_, means_, scales_ : ndarray, shape (p,)
        The features that differ, in the order that the model reads them; their means and standard
        deviations.
    centre_, unit_ : float
        Mean and standard deviation of the goal.
    rows_ : ndarray, shape (n_architectures, p)
        The training architectures' standardised features.
    alpha_ : ndarray, shape (n_architectures,)
        The inverse of their covariance times the standardised goal.
    factor_ : ndarray, shape (n_architectures, n_architectures)
        Cholesky factor of their covariance.

    Notes
    -----
    Source: C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006:
    algorithm 2.1, the kernels of sections 4.2.1 and 4.2.2, the gradient of equation 5.9.
    """

    name = "gaussian_process"
    summary = "Gaussian process with a linear and a Matern 5/2 kernel; knows how sure it is"
    source = "Rasmussen, Williams, Gaussian Processes for Machine Learning, MIT Press, 2006"
    has_spread = True

    def __init__(self, target: str = "gaussian") -> None:
        self.target = target

    def _prior_mean(self, features: Array) -> Array:
        """Return what is expected of each row before any accuracy, in the unit of the goal: its mean."""
        return np.full(len(features), self.centre_)

    def _learn(self, features: Array, goal: Array) -> None:
        rows = order_of_rows(features, goal)
        features, goal = features[rows], goal[rows]
        alive = np.flatnonzero(features.min(axis=0) < features.max(axis=0))
        self.columns_ = alive[order_of_columns(features[:, alive])]
        self.means_ = features[:, self.columns_].mean(axis=0)
        self.scales_ = features[:, self.columns_].std(axis=0)
        self.centre_ = float(goal.mean())
        residual = goal - self._prior_mean(features)
        self.unit_ = float(residual.std()) or 1.0
        self.rows_ = self._standardised(features)
        gram = _Gram.of(self.rows_, self.rows_)
        self.parameters_ = _most_likely(gram, residual / self.unit_)
        self.factor_ = _factor(gram, self.parameters_)
        self.alpha_ = cho_solve((self.factor_, True), residual / self.unit_)

    def _standardised(self, features: Array) -> Array:
        # row by row in memory, as it is after loading: BLAS rounds otherwise elsewhere
        return np.ascontiguousarray((features[:, self.columns_] - self.means_) / self.scales_)

    def _scores(self, features: Array) -> Array:
        rows, means = self._standardised(features), np.empty(len(features))

        def expect(at: slice) -> None:
            linear, smooth, _ = _Gram.of(rows[at], self.rows_).kernel(self.parameters_)
            means[at] = (linear + smooth) @ self.alpha_

        in_threads(expect, blocks(len(rows)))
        return self._prior_mean(features) + self.unit_ * means

    def _spreads(self, features: Array) -> Array:
        linear, smooth, _, noise = np.exp(2 * self.parameters_)
        rows, variances = self._standardised(features), np.empty(len(features))

        def vary(at: slice) -> None:
            parts = _Gram.of(rows[at], self.rows_).kernel(self.parameters_)
            half = solve_triangular(self.factor_, (parts[0] + parts[1]).T, lower=True)
            own = linear * np.mean(rows[at] ** 2, axis=1) if rows.shape[1] else 0.0
            variances[at] = own + smooth + noise - np.einsum("ij,ij->j", half, half)

        in_threads(vary, blocks(len(rows)))
        # never under the noise's, whatever rounding leaves
        spreads: Array = self.unit_ * np.sqrt(np.maximum(variances, noise))
        return spreads

    def _state(self) -> ModelState:
        values = {
            name: getattr(self, f"{name}_").tolist()
            for name in ("parameters", "columns", "means", "scales", "rows", "alpha")
        }
        return ModelState(values | {"centre": self.centre_, "unit": self.unit_})

    def _restore(self, state: ModelState, width: int) -> None:
        values = state.values
        self.parameters_ = vector(values["parameters"], "parameters", len(_BOUNDS))
        if any(not low <= x <= high for x, (low, high) in zip(self.parameters_, _BOUNDS, strict=True)):
            raise ValueError("parameters are out of bounds")
        self.columns_ = different(values["columns"], "columns", width)
        size = len(self.columns_)
        self.means_ = vector(values["means"], "means", size)
        self.scales_ = positive(vector(values["scales"], "scales", size), "scales")
        self.centre_ = number(values["centre"], "centre")
        self.unit_ = float(positive(np.array([number(values["unit"], "unit")]), "unit")[0])
        self.alpha_ = vector(values["alpha"], "alpha")
        self.rows_ = matrix(values["rows"], "rows", (len(self.alpha_), size))
        # no standardised value of n can be larger; kernels of these are finite
        if (self.rows_**2 > len(self.rows_) + 1).any():
            raise ValueError("rows are not standardised")
        self.factor_ = _factor(_Gram.of(self.rows_, self.rows_), self.parameters_)


def _factor(gram: _Gram, parameters: Array) -> Array:
    """Return the lower Cholesky factor of the covariance; raises ValueError where it has none."""
    linear, smooth, _ = gram.kernel(parameters)
    covariance = linear + smooth
    covariance[np.diag_indices_from(covariance)] += np.exp(2 * parameters[3]) + _JITTER
    factor: Array = cholesky(covariance, lower=True, overwrite_a=True)
    return factor


def _loss(parameters: Array, gram: _Gram, goal: Array) -> tuple[float, Array]:
    """Return the negative log of likelihood times prior, but for constants, and its gradient."""
    linear, smooth, by_length = gram.kernel(parameters)
    factor = _factor(gram, parameters)
    alpha = cho_solve((factor, True), goal)
    prior = (parameters - _PRIOR_MEAN) / _PRIOR_SD
    loss = 0.5 * goal @ alpha + np.log(np.diag(factor)).sum() + 0.5 * prior @ prior
    # the inverse, of which only the lower half is computed, zeros above it: whole by symmetry
    half = lapack.dpotri(factor, lower=1)[0]
    inverse = half + half.T
    inverse[np.diag_indices_from(inverse)] = np.diag(half)
    inverse -= np.outer(alpha, alpha)
    slopes = [np.vdot(inverse, part) for part in (linear, smooth)]
    noise = np.exp(2 * parameters[3]) * np.trace(inverse)
    gradient = np.array([*slopes, 0.5 * np.vdot(inverse, by_length), noise])
    return float(loss), gradient + prior / _PRIOR_SD


def _most_likely(gram: _Gram, goal: Array) -> Array:
    """Return the parameters with the highest likelihood times prior, of those found from a few starts."""
    chosen = np.unique(np.linspace(0, len(goal) - 1, min(len(goal), _COMPARED)).round().astype(np.intp))
    part = _Gram(gram.linear[np.ix_(chosen, chosen)], gram.distance[np.ix_(chosen, chosen)])
    found = [_descend(start, part, goal[chosen]) for start in _STARTS]
    _, best = min(found, key=lambda one: one[0])
    return best if len(chosen) == len(goal) else _descend(best, gram, goal)[1]


def _descend(start: Array, gram: _Gram, goal: Array) -> tuple[float, Array]:
    found = minimize(
        _loss,
        start,
        args=(gram, goal),
        jac=True,
        method="L-BFGS-B",
        bounds=_BOUNDS,
        options={"maxiter": _ITERATIONS},
    )
    return float(found.fun), found.x
