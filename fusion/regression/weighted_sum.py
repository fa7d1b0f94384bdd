"""The weighted sum of indicators, weights by least squares: the Fusion Indicator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fusion.regression.base import MODELS, FusionModel, ModelInfo, ModelState
from fusion.regression.columns import COLUMNS, Array
from fusion.regression.transform import IndicatorTransform


class WeightedSum(FusionModel):
    """Predicted accuracy = intercept + sum of weight times transformed indicator.

    The weights minimise the mean squared error over the training architectures. Where several weights
    do (more indicators than architectures, or indicators that repeat each other) the vector of least
    Euclidean norm is taken, the intercept not counted in it; with `transform="none"` the norm is that of
    weight times the indicator's largest deviation from its mean, as raw weights have no common unit.

    Parameters
    ----------
    transform : {"quantile", "signed_log", "standard", "none"}
        What is done to each indicator first, see `IndicatorTransform`; "none" is the paper's literal form.

    Attributes
    ----------
    coef_ : ndarray of float, shape (n_indicators + n_flags,)
        Weights of the indicators, then of the columns that mark missing values.
    intercept_ : float
    reference_ : {"pool", "training"}
        From which architectures the transformation was learned.
    transformer_ : IndicatorTransform
    n_features_in_ : int
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Only when fitted on a DataFrame.

    Notes
    -----
    Source: L.-T. Tran, M. S. Ali, S.-H. Bae, "A Feature Fusion Based Indicator for Training-Free Neural
    Architecture Search", IEEE Access 9, 2021, doi 10.1109/ACCESS.2021.3115911. The transformation in
    front and the indicators' number are this library's; the paper sums four indicators.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"params": [1.0, 2.0, 3.0, 4.0]}, index=["a", "b", "c", "d"])
    >>> model = WeightedSum(transform="none").fit(table, [52.0, 54.0, 56.0, 58.0])
    >>> print(model.equation().splitlines()[0])
    accuracy = 50 + 2 params

    """

    uses_pool = True

    def __init__(self, transform: str = "quantile") -> None:
        self.transform = transform

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, pool: npt.ArrayLike | None = None) -> WeightedSum:
        """Learn the weights.

        Parameters
        ----------
        X : DataFrame or array, shape (n_architectures, n_indicators)
        y : array, shape (n_architectures,)
            Accuracies in percent.
        pool : DataFrame or array, shape (n_pool, n_indicators), optional
            Indicators of the space's architectures, unlabelled; the transformation is learned from
            them instead of from `X`.

        Raises
        ------
        FusionError
            When `transform` is not known.
        ValueError
            When `X`, `y` or `pool` are no numbers, do not match, or `y` is not finite.

        """
        values, accuracies = self._check_training(X, y, rows=1)
        self._learn_transform(self.transform, values, pool)
        features = self.transformer_.transform(values)
        mean = features.mean(axis=0)
        deviations = features - mean
        # the mean of equal numbers may differ from them by rounding, which is no deviation
        deviations[:, features.min(axis=0) == features.max(axis=0)] = 0
        scale = np.ones_like(mean)
        if self.transform == "none":
            largest = np.abs(deviations).max(axis=0)
            scale[largest > 0] = largest[largest > 0]
        weights = np.linalg.lstsq(deviations / scale, accuracies - accuracies.mean(), rcond=None)[0]
        self.coef_ = weights / scale
        self.intercept_ = float(accuracies.mean() - (self.coef_ * mean).sum())
        return self

    def predict(self, X: npt.ArrayLike) -> Array:
        features = self.transformer_.transform(self._check_table(X)) if self._fitted() else None
        return features
