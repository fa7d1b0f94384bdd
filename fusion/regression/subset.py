"""A model that sees only some of a table's indicators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone

from fusion.regression.base import FusionModel
from fusion.regression.columns import Array


class OnIndicators(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Fit and predict with `model` on the named columns of an indicator table.

    Parameters
    ----------
    model : FusionModel
        Unfitted; a clone of it is fitted.
    features : sequence of str
        Names of the columns.

    Attributes
    ----------
    model_ : FusionModel
        The fitted model.
    """

    def __init__(self, model: FusionModel, features: Sequence[str]) -> None:
        self.model = model
        self.features = features

    @property
    def uses_pool(self) -> bool:
        """Whether `fit` learns from the pool."""
        return self.model.uses_pool

    def fit(self, X: pd.DataFrame, y: npt.ArrayLike, pool: pd.DataFrame | None = None) -> OnIndicators:
        """Learn from the accuracies `y` of the architectures `X`, and from `pool` when `uses_pool`."""
        columns = list(self.features)
        self.model_ = clone(self.model).fit(X[columns], y, pool=None if pool is None else pool[columns])
        return self

    def predict(self, X: pd.DataFrame) -> Array:
        """Return the predicted accuracies, shape (n_architectures,)."""
        predicted: Array = self.model_.predict(X[list(self.features)])
        return predicted

    def weights(self) -> dict[str, float]:
        """Return the fitted model's weight of each indicator; empty where it has none."""
        found: dict[str, float] = self.model_.weights()
        return found
