"""What a fusion model is: a scikit-learn regressor from indicators to accuracy, saved without pickle."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fusion.errors import FusionError
from fusion.registry import Registry
from fusion.regression.columns import Array
from fusion.regression.transform import IndicatorTransform
from fusion.tables import Pool

REFERENCES = ("pool", "training")


@dataclass(frozen=True)
class ModelState:
    """What a fitted model learned, in a form that runs no code when read.

    Parameters
    ----------
    values : dict
        JSON values.
    files : dict of str to str
        File name -> text, for what has a text format of its own.
    """

    values: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)


def pool_values(pool: Pool | npt.ArrayLike | None) -> Any:
    """Return the table of a pool, which may be given as it is, in a `Pool`, or not at all."""
    return pool.table if isinstance(pool, Pool) else pool


class FusionModel(RegressorMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A regressor from indicator values to accuracy.

    `X` is an indicator table, shape (n_architectures, n_indicators): a DataFrame or an array; NaN and
    infinite values are missing. `y` is the accuracies in percent, shape (n_architectures,), finite.

    A subclass implements `fit`, `predict`, `to_state` and `restore`, and is registered in `MODELS`; it can
    then be fitted by name, saved and loaded.
    """

    name: ClassVar[str]
    """By which it is made, and named in saved models."""
    summary: ClassVar[str]
    """What it is, in one line."""
    source: ClassVar[str]
    """Where it is described."""
    uses_pool: ClassVar[bool]
    """Whether `fit` learns from `pool`, an unlabelled indicator table of the space."""
    indicators: ClassVar[tuple[str, ...] | None] = None
    """The indicators that it reads unless others are named; None is all that there are."""
    files: ClassVar[tuple[str, ...]] = ()
    """Names of the files that `to_state` gives beside its values; no others are read."""

    @abstractmethod
    def fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, pool: Pool | npt.ArrayLike | None = None
    ) -> FusionModel:
        """Learn from the accuracies `y` of the architectures `X`, and from `pool` when `uses_pool`.

        What splits `X` and `y`, as `cross_val_score` does, would take a table of as many rows for another
        column and split it too: hand the pool to it as a `fusion.tables.Pool`, such as `data.pool`.
        """

    @abstractmethod
    def predict(self, X: npt.ArrayLike) -> Array:
        """Return the predicted accuracies, in the unit of `y`, shape (n_architectures,)."""

    def weights(self) -> dict[str, float]:
        """Return the fitted model's weight of each feature; empty where the model has no such thing."""
        return {}

    @abstractmethod
    def to_state(self) -> ModelState:
        """Return what was learned; the settings (`get_params`) and the features' names are not part of it."""

    @abstractmethod
    def restore(self, state: ModelState) -> None:
        """Become the fitted model that gave `state`, on an instance with the same settings.

        Raises
        ------
        KeyError, TypeError, ValueError
            When `state` is not one of this model.
        """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _check_training(self, X: npt.ArrayLike, y: npt.ArrayLike, rows: int) -> tuple[Array, Array]:
        """Return X and y as arrays; raises ValueError when they do not match or have under `rows` rows."""
        values, accuracies = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite=False, y_numeric=True, ensure_min_samples=rows
        )
        return values, accuracies.astype(np.float64)

    def _check_table(self, X: npt.ArrayLike) -> Array:
        """Return X as an array; raises ValueError when it has other columns than the training table."""
        check_is_fitted(self)
        return self._check_columns(X)

    def _check_columns(self, X: npt.ArrayLike) -> Array:
        values: Array = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite=False)
        return values

    def _learn_transform(self, kind: str, values: Array, y: Array, pool: Pool | npt.ArrayLike | None) -> None:
        """Fit `transformer_` on the pool, without one on the training `values`; `reference_` says which.

        Where missing values stand is learned from the training values and their accuracies `y`.
        """
        unlabelled = pool_values(pool)
        self.reference_ = "training" if unlabelled is None else "pool"
        reference = values if unlabelled is None else self._check_columns(unlabelled)
        self.transformer_ = IndicatorTransform(kind).fit(reference).orient(values, y)


MODELS: Registry[type[FusionModel]] = Registry("model", "fusion.models")


def make_model(name: str, **params: Any) -> FusionModel:
    """Return the unfitted model registered as `name`, with the given settings.

    Raises
    ------
    FusionError
        When there is no such model or it has no such setting.
    """
    estimator = MODELS[name]
    known = [*inspect.signature(estimator).parameters]
    for param in params:
        if param not in known:
            raise FusionError(f"model {name!r} has no setting {param!r}; known: {', '.join(known)}")
    return estimator(**params)
