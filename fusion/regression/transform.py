"""Indicator values, which span 60 orders of magnitude and contain nulls, to features of one scale."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fusion.regression.checked import places, vector, whole
from fusion.regression.columns import COLUMNS, Array

_EXTREMES = ((np.min, np.inf), (np.max, -np.inf))


class IndicatorTransform(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Bring every indicator to one scale, and missing values to its middle or its worse end.

    NaN and infinite values are missing. A missing value becomes 0, the middle of the transformed
    reference, or after `orient` the end of the reference that goes with low accuracy; each column that
    has missing values at fit time gets one more column at the end, 1 where the value is missing and 0
    elsewhere. A column without any value, or with a single one, becomes 0.

    Parameters
    ----------
    kind : {"quantile", "signed_log", "standard", "none"}
        "quantile": Gaussian score of the value's rank among the reference values, Phi^-1(F(x)) with F
        the mid-rank distribution function, linear between distinct values, constant beyond the ends.
        "signed_log": sign(x) log(1 + |x| / s), s the median |x| (1 where that is 0), standardised.
        "standard": mean 0, standard deviation 1. "none": the values as they are, a missing one the
        column's mean, no columns that mark it.

    Attributes
    ----------
    columns_ : list of Column
        The learned transformation of each column.
    fill_ : ndarray of float, shape (n_features_in_,)
        What stands for a missing value.
    flagged_ : ndarray of int, shape (n_flags,)
        The columns that had missing values at fit time.
    n_reference_ : int
        Number of architectures from which the transformation was learned.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Only when fitted on a DataFrame.

    Examples
    --------
    >>> import numpy as np
    >>> IndicatorTransform("standard").fit_transform([[1.0], [np.nan], [3.0]])
    array([[-1.,  0.],
           [ 0.,  1.],
           [ 1.,  0.]])
    """

    def __init__(self, kind: str = "quantile") -> None:
        self.kind = kind

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: npt.ArrayLike, y: object = None) -> IndicatorTransform:
        """Learn from the reference values `X`, shape (n_architectures, n_indicators).

        The reference needs no accuracies: it may be the training architectures or the whole space.

        Raises
        ------
        FusionError
            When `kind` is not known.
        ValueError
            When `X` is not a table of numbers.
        """
        kind = COLUMNS[self.kind]
        values: Array = validate_data(self, X, dtype=np.float64, ensure_all_finite=False)
        present = np.isfinite(values)
        self.columns_ = [
            kind.learn(column[here] if here.any() else np.zeros(1))
            for column, here in zip(values.T, present.T, strict=True)
        ]
        self.fill_ = np.array([column.missing for column in self.columns_])
        self._ends = [
            column.apply(np.array([x[here].min(), x[here].max()]) if here.any() else np.zeros(2))
            for column, x, here in zip(self.columns_, values.T, present.T, strict=True)
        ]
        self.flagged_ = np.flatnonzero(~present.all(axis=0) & kind.flags_missing)
        self.n_reference_ = len(values)
        return self

    def orient(self, scores: Array, y: Array) -> IndicatorTransform:
        """Let missing values stand at the end of the reference that goes with low accuracy.

        An indicator is undefined where the network is degenerate, so the middle flatters it. The direction
        is the sign of the correlation with accuracy; without one the middle stays, as with `kind` "none".

        Parameters
        ----------
        scores : ndarray, shape (n_architectures, n_indicators)
            Of the training architectures, see `scores`.
        y : ndarray, shape (n_architectures,)
            Their accuracies.
        """
        if not COLUMNS[self.kind].flags_missing:
            return self
        here = np.isfinite(scores)
        known = np.where(here, scores, 0.0)
        centred = np.where(here, known - known.sum(axis=0) / np.maximum(here.sum(axis=0), 1), 0.0)
        low, high = (end(scores, axis=0, where=here, initial=far) for end, far in _EXTREMES)
        covariances = np.where(high > low, (y - y.mean()) @ centred, 0.0)
        for j in np.flatnonzero(covariances):
            self.fill_[j] = self._ends[j][0 if covariances[j] > 0 else 1]
        return self

    def unturned(self) -> IndicatorTransform:
        """Return the same transformation as it was before missing values were given an end."""
        again = copy(self)
        again.fill_ = np.array([column.missing for column in self.columns_])
        return again

    @property
    def can_orient(self) -> bool:
        """Whether the ends of the reference are known: not in a restored one."""
        return hasattr(self, "_ends")

    def fill_worse(self, better: npt.ArrayLike) -> IndicatorTransform:
        """Let missing values stand at the worse end of the reference.

        Parameters
        ----------
        better : array of int, shape (n_features_in_,)
            1 for an indicator of which higher is better, -1 for one of which lower is.
        """
        for j, up in enumerate(np.asarray(better) > 0):
            self.fill_[j] = self._ends[j][0 if up else 1]
        return self

    def scores(self, X: npt.ArrayLike) -> Array:
        """Return the transformed values of `X`, NaN where missing, shape (n_architectures, n_indicators)."""
        check_is_fitted(self)
        values: Array = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite=False)
        scores: Array = np.full(values.shape, np.nan)
        for j, column in enumerate(self.columns_):
            present = np.isfinite(values[:, j])
            scores[present, j] = column.apply(values[present, j])
        return scores

    def transform(self, X: npt.ArrayLike) -> Array:
        """Return the features of `X`, all finite, shape (n_architectures, n_indicators + n_flags)."""
        return self.filled(self.scores(X))

    def filled(self, scores: Array) -> Array:
        """Return the features of architectures whose `scores` these are."""
        missing = np.isnan(scores)
        filled = np.where(missing, self.fill_, scores)
        return np.column_stack([filled, missing[:, self.flagged_].astype(np.float64)])

    def get_feature_names_out(self, input_features: npt.ArrayLike | None = None) -> npt.NDArray[np.object_]:
        """Return the indicators' names, then `missing(<name>)` for each column that marks missing values."""
        check_is_fitted(self)
        names = super().get_feature_names_out(input_features)
        flags = [f"missing({names[j]})" for j in self.flagged_]
        return np.array([*names, *flags], dtype=object)

    def to_state(self) -> dict[str, Any]:
        """Return what was learned, in JSON values."""
        check_is_fitted(self)
        return {
            "columns": [column.to_state() for column in self.columns_],
            "fill": self.fill_.tolist(),
            "flagged": self.flagged_.tolist(),
            "n_reference": self.n_reference_,
        }

    def restore(self, state: dict[str, Any]) -> IndicatorTransform:
        """Become the fitted transformation that gave `state`; its `kind` must be set as it was.

        Raises
        ------
        KeyError, TypeError, ValueError
            When `state` is not one of this kind.
        """
        kind = COLUMNS[self.kind]
        self.columns_ = [kind.from_state(column) for column in state["columns"]]
        self.fill_ = vector(state["fill"], "fill", len(self.columns_))
        self.flagged_ = np.array(places(state["flagged"], "flagged", len(self.columns_)), dtype=np.intp)
        self.n_reference_ = whole(state["n_reference"], "n_reference", 1)
        self.n_features_in_ = len(self.columns_)
        return self
