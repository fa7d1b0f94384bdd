"""How far predictions are off: intervals from the errors of held-out predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fusion.errors import FusionError
from fusion.regression.checked import number, vector
from fusion.regression.columns import Array
from fusion.regression.order import Indices, order_of_rows

FOLDS = 10
"""Parts of the training architectures of which each is held out once."""

# Of so few groups each is a fold of its own.
_LEAVE_ONE_OUT = 20
# Of the median spread: a model that is sure of a few must not have intervals of no width there.
_SHARE = 0.1


def checked_groups(groups: npt.ArrayLike, architectures: int) -> npt.NDArray[Any]:
    """Return `groups` as an array; raises FusionError unless there is one for each architecture."""
    named = np.asarray(groups)
    if named.shape != (architectures,):
        raise FusionError(f"groups are {named.shape}, the architectures {architectures}; give one group each")
    return named


def folds_of(values: Array, accuracies: Array, groups: npt.ArrayLike | None, fewest: int) -> Indices:
    """Return the number of the fold of each row: ten of like size, or with up to 20 groups one each.

    Which group is in which fold is drawn from a fixed seed, and does not depend on the order of rows or
    columns.

    Parameters
    ----------
    values : ndarray, shape (n, p)
    accuracies : ndarray, shape (n,)
    groups : array, shape (n,), or None
        Rows of one group are in one fold; None for a group each.
    fewest : int
        Rows that must be left to learn from.

    Raises
    ------
    FusionError
        When there are too few groups.
    """
    named = np.arange(len(values)) if groups is None else checked_groups(groups, len(values))
    order = order_of_rows(values, accuracies)
    _, first, member = np.unique(named[order], return_index=True, return_inverse=True)
    if len(first) < 2:
        raise FusionError("all architectures are one group; intervals need at least two")
    # groups in the order in which they come up, then shuffled
    drawn = np.argsort(first, kind="stable")[np.random.default_rng(0).permutation(len(first))]
    sizes = np.zeros(len(first) if len(first) <= _LEAVE_ONE_OUT else FOLDS, dtype=np.intp)
    fold_of_group = np.empty(len(first), dtype=np.intp)
    members = np.bincount(member)
    for group in drawn:
        fold_of_group[group] = smallest = int(np.argmin(sizes))
        sizes[smallest] += members[group]
    if len(values) - sizes.max() < fewest:
        raise FusionError(
            f"{len(values)} architectures are too few for intervals; give {fewest + 1} different ones"
        )
    folds = np.empty(len(values), dtype=np.intp)
    folds[order] = fold_of_group[member]
    return folds


@dataclass(frozen=True, eq=False)
class Calibration:
    """The errors of predictions of held-out architectures, from which an interval of any coverage follows.

    The interval of a new architecture is score -+ quantile * (spread + constant), mapped to accuracies by
    the increasing `to_accuracies`. The quantile is the ceil((n + 1) * coverage)-th smallest of the n
    conformity values |goal - score| / (spread + constant) of architectures that the clone that predicted
    them had not learned from. Where n is too small for that, and beyond, the interval goes as far as
    accuracies could: the range of the training accuracies, and its width more on either side.

    Attributes
    ----------
    conformity : ndarray, shape (n_architectures,)
        Sorted.
    constant : float
        Added to each spread.
    low, high : float
        Ends that no interval leaves, in the unit of accuracies.

    Notes
    -----
    Sources: errors of held-out predictions, R. F. Barber, E. J. Candes, A. Ramdas, R. J. Tibshirani,
    "Predictive inference with the jackknife+", Annals of Statistics 49, 2021 (there the jackknife and its
    K-fold form, for the interval lies around the prediction of the model that learned from all; the "+"
    would keep all clones); divided by a spread, J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani,
    L. Wasserman, "Distribution-free predictive inference for regression", JASA 113, 2018.
    """

    conformity: Array
    constant: float
    low: float
    high: float

    @classmethod
    def learn(cls, residuals: Array, spreads: Array, accuracies: Array) -> Calibration:
        """Return what held-out predictions tell.

        Parameters
        ----------
        residuals, spreads : ndarray, shape (n_architectures,)
            In the unit of scores; spreads of 1 where the model has none of its own.
        accuracies : ndarray, shape (n_architectures,)
        """
        constant = cls.constant_of(spreads)
        low, high = float(accuracies.min()), float(accuracies.max())
        errors = np.sort(np.abs(residuals) / (spreads + constant))
        return cls(errors, constant, low - (high - low), high + (high - low))

    @staticmethod
    def constant_of(spreads: Array) -> float:
        """Return what is added to each spread."""
        return _SHARE * (float(np.median(spreads)) or 1.0)

    def half_widths(self, spreads: Array, coverage: float) -> Array:
        """Return how far the interval goes from each score; infinite where too little is known.

        Raises
        ------
        FusionError
            When `coverage` is not between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise FusionError(f"coverage {coverage} is not between 0 and 1, such as 0.9")
        # without the rounding of (n + 1) * coverage, which may be a whole number
        rank = math.ceil(round((len(self.conformity) + 1) * coverage, 9))
        if rank > len(self.conformity):
            return np.full(len(spreads), np.inf)
        widths: Array = self.conformity[rank - 1] * (spreads + self.constant)
        return widths

    def clipped(self, low: Array, predicted: Array, high: Array) -> Array:
        """Return the intervals, finite and with the prediction inside, shape (n_architectures, 2)."""
        return np.column_stack(
            [
                np.minimum(np.maximum(low, self.low), predicted),
                np.maximum(np.minimum(high, self.high), predicted),
            ]
        )

    def to_state(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "conformity": self.conformity.tolist(),
            "constant": self.constant,
            "low": self.low,
            "high": self.high,
        }

    @classmethod
    def from_state(cls, state: object) -> Calibration | None:
        """Return what gave `state`, or None for None; raises KeyError or ValueError for anything else."""
        if state is None:
            return None
        if not isinstance(state, dict):
            raise ValueError("calibration is no object")
        errors = vector(state["conformity"], "conformity")
        constant, low, high = (number(state[name], name) for name in ("constant", "low", "high"))
        if not len(errors) or errors[0] < 0 or (np.diff(errors) < 0).any() or constant < 0 or low > high:
            raise ValueError("calibration is not of sorted errors and increasing ends")
        return cls(errors, constant, low, high)
