"""Models that see a part of a table: some of its indicators, or values as ranks within it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone

from fusion.errors import FusionError
from fusion.regression.base import FusionModel, pool_values
from fusion.regression.columns import Array
from fusion.regression.groups import FEWEST, within_group
from fusion.tables import Pool


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

    @property
    def uses_groups(self) -> bool:
        """Whether `fit` takes `groups`."""
        return self.model.uses_groups

    def fit(
        self,
        X: pd.DataFrame,
        y: npt.ArrayLike | None = None,
        pool: Pool | pd.DataFrame | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> OnIndicators:
        """Learn from the accuracies `y` of the architectures `X`, and from what else the model uses."""
        columns = list(self.features)
        unlabelled = pool_values(pool) if self.uses_pool else None
        beside = {"groups": groups} if self.uses_groups and groups is not None else {}
        self.model_ = clone(self.model).fit(
            X[columns], y, pool=None if unlabelled is None else unlabelled[columns], **beside
        )
        return self

    def predict(self, X: pd.DataFrame) -> Array:
        """Return the predicted accuracies, shape (n_architectures,)."""
        predicted: Array = self.model_.predict(X[list(self.features)])
        return predicted

    def calibrate(
        self,
        X: pd.DataFrame,
        y: npt.ArrayLike,
        pool: Pool | pd.DataFrame | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> OnIndicators:
        """Learn how far predictions are off, see `FusionModel.calibrate`."""
        columns = list(self.features)
        unlabelled = pool_values(pool)
        self.model_.calibrate(
            X[columns], y, pool=None if unlabelled is None else unlabelled[columns], groups=groups
        )
        return self

    def predict_interval(self, X: pd.DataFrame, coverage: float = 0.9) -> Array:
        """Return the ends between which accuracies lie, see `FusionModel.predict_interval`."""
        ends: Array = self.model_.predict_interval(X[list(self.features)], coverage)
        return ends

    def weights(self) -> dict[str, float]:
        """Return the fitted model's weight of each indicator; empty where it has none."""
        found: dict[str, float] = self.model_.weights()
        return found


@dataclass(frozen=True)
class WithinGroup:
    """A model fitted by `fit_groups`, which reads ranks, with the ranking in front of it.

    Attributes
    ----------
    model_ : FusionModel
        The fitted model.
    features : sequence of str
        Names of the columns.
    """

    model_: FusionModel
    features: Sequence[str]

    def predict(self, X: pd.DataFrame, pool: pd.DataFrame | None = None) -> Array:
        """Return the predicted scores, see `fusion.regression.groups.SCORE`, shape (n_architectures,).

        Parameters
        ----------
        X : DataFrame, shape (n_architectures, n_indicators)
            Raw values.
        pool : DataFrame, optional
            Raw values of the architectures among which ranks are taken; by default `X`.

        Raises
        ------
        FusionError
            When the ranks would be among too few.
        """
        columns = list(self.features)
        among = X if pool is None else pool
        if len(among) < FEWEST:
            raise FusionError(
                f"a model of several tables ranks the architectures within their own table; {len(among)} are "
                f"too few, give at least {FEWEST} (in Python: pool=)"
            )
        return self.model_.predict(within_group(X[columns], among[columns]))

    def weights(self) -> dict[str, float]:
        """Return the fitted model's weight of each indicator; empty where it has none."""
        return self.model_.weights()
