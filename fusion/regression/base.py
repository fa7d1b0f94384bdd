"""What a fusion model is: a scikit-learn regressor from indicators to accuracy, saved without pickle."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted, validate_data

from fusion.errors import FusionError
from fusion.indicators import select
from fusion.registry import Registry
from fusion.regression.calibration import Calibration, folds_of
from fusion.regression.checked import one_of
from fusion.regression.columns import Array
from fusion.regression.target import learn_target, levels_from_state, to_accuracies, to_scores
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
    infinite values are missing. `y` is the accuracies in any unit, shape (n_architectures,), finite.

    This class checks what comes in, brings indicators and accuracies to one scale, maps back, calibrates
    intervals and keeps the state. A subclass writes `_learn`, `_scores`, `_state` and `_restore`, where it
    knows how sure it is `_spreads`, and is registered in `MODELS`; it can then be fitted by name, saved and
    loaded. `docs/new-model.md` is an example.

    Attributes
    ----------
    transformer_ : IndicatorTransform
        From indicators to features.
    reference_ : {"pool", "training"}
        From which architectures it was learned.
    levels_ : ndarray of float, shape (2, n_levels), or None
        Scores and the accuracies that they stand for, both increasing; None where scores are accuracies.
    calibration_ : Calibration or None
        What `calibrate` learned; None before.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Only when fitted on a DataFrame.
    """

    name: ClassVar[str]
    """By which it is made, and named in saved models."""
    summary: ClassVar[str]
    """What it is, in one line."""
    source: ClassVar[str]
    """Where it is described."""
    gives: ClassVar[Literal["accuracy", "score"]] = "accuracy"
    """What `predict` returns: accuracies in the unit of `y`, or scores that only rank."""
    needs_labels: ClassVar[bool] = True
    """Whether `fit` needs accuracies."""
    uses_labels: ClassVar[bool] = True
    """Whether `fit` learns from accuracies when there are some."""
    has_spread: ClassVar[bool] = False
    """Whether it has a predictive standard deviation of its own for each architecture."""
    uses_pool: ClassVar[bool] = True
    """Whether `fit` learns from `pool`, an unlabelled indicator table of the space."""
    uses_groups: ClassVar[bool] = False
    """Whether `fit` takes `groups`, architectures that are to be left out together."""
    uses_kin: ClassVar[bool] = False
    """Whether, of several tables and without labels, it learns from those like the table it is to rank."""
    fewest: ClassVar[int] = 1
    """Architectures that `fit` needs."""
    indicators: ClassVar[tuple[str, ...] | None] = None
    """The indicators that it reads unless others are named; None is all that there are."""
    files: ClassVar[tuple[str, ...]] = ()
    """Names of the files that `_state` gives beside its values; no others are read."""

    # settings of some models; of the others, what they always are
    transformation: str = "quantile"
    target: str = "gaussian"

    calibration_: Calibration | None

    @classmethod
    def reads(cls, columns: Sequence[str]) -> list[str]:
        """Return the indicators that it reads, unless others are named, of a table with these columns."""
        return list(columns) if cls.indicators is None else select(cls.indicators)

    def fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, pool: Pool | npt.ArrayLike | None = None
    ) -> FusionModel:
        """Learn from the accuracies `y` of the architectures `X`, and from `pool` when `uses_pool`.

        What splits `X` and `y`, as `cross_val_score` does, would take a table of as many rows for another
        column and split it too: hand the pool to it as a `fusion.tables.Pool`, such as `data.pool`.

        Parameters
        ----------
        X : DataFrame or array, shape (n_architectures, n_indicators)
        y : array, shape (n_architectures,)
            Accuracies.
        pool : Pool, DataFrame or array, shape (n_pool, n_indicators), optional
            Indicators of the space's architectures, unlabelled; the transformation is learned from
            them instead of from `X`.

        Raises
        ------
        FusionError
            When a setting is not known or refused.
        ValueError
            When `X`, `y` or `pool` are no numbers, do not match, or `y` is not finite; or when there are
            too few rows.
        """
        values, accuracies = self._check_training(self._own(X), y, rows=self.fewest)
        self._learn_transform(values, pool)
        self._learn_scores(self.transformer_.scores(values), accuracies)
        return self

    def predict(self, X: npt.ArrayLike) -> Array:
        """Return the predicted accuracies, in the unit of `y`, shape (n_architectures,)."""
        return to_accuracies(self._scores(self._features(X)), self.levels_)

    def calibrate(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        pool: Pool | npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> FusionModel:
        """Learn how far predictions of architectures that were not learned from are off.

        Clones of the model are fitted on all folds but one and predict that one; see `Calibration`.

        Parameters
        ----------
        X, y, pool
            As the model was fitted on.
        groups : array, shape (n_architectures,), optional
            Architectures of one group, such as those of the same network, are held out together; by
            default each is a group.

        Raises
        ------
        FusionError
            When the model gives no accuracies, or there are too few groups.
        ValueError
            As of `fit`.
        """
        check_is_fitted(self)
        if self.gives == "score":
            raise FusionError(
                f"{self.name} ranks and predicts no accuracies; for intervals fit a model that learns from "
                "accuracies, such as gaussian_process"
            )
        table, accuracies = self._check_training(self._own(X), y, rows=self.fewest)
        folds = folds_of(table, accuracies, groups, self.fewest)
        scores = self.transformer_.scores(table) if pool is not None and self._knows_pool() else None
        residuals, spreads = np.empty(len(folds)), np.empty(len(folds))
        for fold in range(folds.max() + 1):
            held = folds == fold
            if scores is None:
                model = clone(self).fit(_safe_indexing(X, ~held), accuracies[~held], pool)
                features = model._features(_safe_indexing(X, held))
            else:
                model = self._unlearned()
                model._learn_scores(scores[~held], accuracies[~held])
                features = model.transformer_.filled(scores[held])
            residuals[held] = to_scores(accuracies[held], model.levels_) - model._scores(features)
            spreads[held] = model._spreads(features)
        self.calibration_ = Calibration.learn(residuals, spreads, accuracies)
        return self

    def predict_interval(self, X: npt.ArrayLike, coverage: float = 0.9) -> Array:
        """Return the ends between which accuracies lie with probability `coverage`.

        Returns
        -------
        ndarray, shape (n_architectures, 2)
            Low and high, in the unit of `y`; the prediction lies between them.

        Raises
        ------
        FusionError
            When `calibrate` was not called, or `coverage` is not between 0 and 1.
        """
        check_is_fitted(self)
        if self.calibration_ is None:
            raise FusionError(
                f"this {self.name} is not calibrated; call calibrate(X, y) with what it was fitted on"
            )
        features = self._features(X)
        score = self._scores(features)
        width = self.calibration_.half_widths(self._spreads(features), coverage)
        ends = (to_accuracies(at, self.levels_) for at in (score - width, score, score + width))
        return self.calibration_.clipped(*ends)

    def weights(self) -> dict[str, float]:
        """Return the fitted model's weight of each feature; empty where the model has no such thing."""
        return {}

    def to_state(self) -> ModelState:
        """Return what was learned; the settings (`get_params`) and the features' names are not part of it."""
        check_is_fitted(self)
        own = self._state()
        values = {
            "reference": self.reference_,
            "transformer": self.transformer_.to_state(),
            "levels": None if self.levels_ is None else self.levels_.tolist(),
            "calibration": None if self.calibration_ is None else self.calibration_.to_state(),
            "learned": own.values,
        }
        return ModelState(values, own.files)

    def restore(self, state: ModelState) -> None:
        """Become the fitted model that gave `state`, on an instance with the same settings.

        Raises
        ------
        KeyError, TypeError, ValueError
            When `state` is not one of this model.
        """
        values = state.values
        self.reference_ = one_of(values["reference"], REFERENCES, "reference")
        self.transformer_ = IndicatorTransform(self.transformation).restore(values["transformer"])
        self.n_features_in_ = self.transformer_.n_features_in_
        self.levels_ = levels_from_state(values["levels"])
        self.calibration_ = Calibration.from_state(values["calibration"])
        if not isinstance(values["learned"], dict):
            raise ValueError("learned is no object")
        width = self.n_features_in_ + len(self.transformer_.flagged_)
        self._restore(ModelState(values["learned"], state.files), width)

    @abstractmethod
    def _learn(self, features: Array, goal: Array) -> None:
        """Learn from the features of the training architectures what their `goal` is.

        Parameters
        ----------
        features : ndarray, shape (n_architectures, n_features)
            Finite; columns of one scale, and then one for each indicator that may be missing.
        goal : ndarray, shape (n_architectures,)
            Gaussian scores of the accuracies' ranks, or with target "accuracy" themselves.
        """

    @abstractmethod
    def _scores(self, features: Array) -> Array:
        """Return what is predicted in the unit of `goal`, of each row by itself."""

    def _spreads(self, features: Array) -> Array:
        """Return the standard deviation of each prediction, in the unit of `goal`; 1 without `has_spread`."""
        return np.ones(len(features))

    @abstractmethod
    def _state(self) -> ModelState:
        """Return what `_learn` learned."""

    @abstractmethod
    def _restore(self, state: ModelState, width: int) -> None:
        """Take what `_state` gave of a model with `width` features.

        Raises
        ------
        KeyError, TypeError, ValueError
            For anything else.
        """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _own(self, X: Any) -> Any:
        """Return the part of a table that the model reads."""
        return X

    def _features(self, X: npt.ArrayLike) -> Array:
        """Return the features of `X`; raises ValueError when it has other columns than the training table."""
        check_is_fitted(self)
        return self.transformer_.transform(self._check_columns(self._own(X)))

    def _check_training(self, X: npt.ArrayLike, y: npt.ArrayLike, rows: int) -> tuple[Array, Array]:
        """Return X and y as arrays; raises ValueError when they do not match or have under `rows` rows."""
        values, accuracies = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite=False, y_numeric=True, ensure_min_samples=rows
        )
        return values, accuracies.astype(np.float64)

    def _check_columns(self, X: npt.ArrayLike) -> Array:
        values: Array = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite=False)
        return values

    def _knows_pool(self) -> bool:
        """Return whether what the pool taught of the columns can be used again, with other accuracies."""
        own = type(self)
        # a model with a `fit` of its own may learn something else from the pool
        plain = own.fit is FusionModel.fit and own._features is FusionModel._features
        return plain and self.reference_ == "pool" and self.transformer_.can_orient

    def _unlearned(self) -> FusionModel:
        """Return a clone that has learned from the pool, and not yet from accuracies."""
        model: FusionModel = clone(self)
        for name in ("n_features_in_", "feature_names_in_", "reference_"):
            if hasattr(self, name):
                setattr(model, name, getattr(self, name))
        model.transformer_ = self.transformer_.unturned()
        return model

    def _learn_scores(self, scores: Array, accuracies: Array) -> None:
        """Learn from the training architectures' `scores` of the transformation."""
        goal, self.levels_ = learn_target(self.target, accuracies)
        self.transformer_.orient(scores, accuracies)
        self._learn(self.transformer_.filled(scores), goal)
        self.calibration_ = None

    def _learn_transform(self, values: Array, pool: Pool | npt.ArrayLike | None) -> Array:
        """Fit `transformer_` on the pool, else on `values`, and return which; `reference_` says it."""
        unlabelled = pool_values(pool) if self.uses_pool else None
        self.reference_ = "training" if unlabelled is None else "pool"
        reference = values if unlabelled is None else self._check_columns(self._own(unlabelled))
        self.transformer_ = IndicatorTransform(self.transformation).fit(reference)
        return reference


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
