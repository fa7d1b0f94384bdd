"""What models that learn from no accuracies have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import validate_data

from fusion.errors import FusionError
from fusion.indicators import INDICATORS, select
from fusion.regression.base import FusionModel, ModelState
from fusion.regression.checked import places, vector
from fusion.regression.columns import Array
from fusion.tables import Pool


class Unlabelled(FusionModel):
    """A score of architectures, higher is better, from their indicators alone.

    Each indicator is turned into the direction in which its source expects better architectures, and a
    missing value stands at the worse end; a column that is no indicator counts as better when higher. A
    subclass writes `_scores`, and where it learns from the pool `_learn`, `_state` and `_restore`.

    Of a table that it is given itself, it reads all columns. By name, as in `fit`, `evaluate` and pipelines,
    it reads its own `indicators`, those of them that the table has.

    Attributes
    ----------
    better_ : ndarray of int, shape (n_features_in_,)
        1 for an indicator of which higher is better, -1 for one of which lower is.
    known_ : ndarray of int
        The columns that have a value in the pool; only their features are handed to a subclass.
    """

    gives = "score"
    needs_labels = False
    uses_labels = False

    @classmethod
    def reads(cls, columns: Sequence[str]) -> list[str]:
        wanted = list(columns) if cls.indicators is None else select(cls.indicators)
        if there := [name for name in wanted if name in columns]:
            return there
        raise FusionError(
            f"model {cls.name!r} reads {', '.join(wanted)}, none of which the table has; extract one, "
            "or name other indicators"
        )

    def fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike | None = None, pool: Pool | npt.ArrayLike | None = None
    ) -> Unlabelled:
        """Learn from the indicators of the pool, without one from `X`.

        Parameters
        ----------
        X : DataFrame or array, shape (n_architectures, n_indicators)
        y : array, shape (n_architectures,), optional
            Not read, but that it belongs to `X`.
        pool : Pool, DataFrame or array, shape (n_pool, n_indicators), optional
            Indicators of the space's architectures.

        Raises
        ------
        FusionError
            When no indicator has a value.
        ValueError
            When `X` or `pool` are no numbers, or `X` and `y` do not match.
        """
        own = self._own(X)
        if y is None:
            values: Array = validate_data(
                self, own, dtype=np.float64, ensure_all_finite=False, ensure_min_samples=self.fewest
            )
        else:
            values, _ = self._check_training(own, y, rows=self.fewest)
        reference = self._learn_transform(values, pool)
        self.levels_ = None
        self.calibration_ = None
        self.known_ = np.flatnonzero(np.isfinite(reference).any(axis=0))
        if not len(self.known_):
            raise FusionError("no indicator has a value for any architecture; there is nothing to rank by")
        names = getattr(self, "feature_names_in_", [""] * self.n_features_in_)
        up = [name not in INDICATORS or INDICATORS[name].higher_is_better for name in names]
        self.better_ = np.where(up, 1, -1)
        self.transformer_.fill_worse(self.better_)
        self._learn(self._turned(self.transformer_.transform(reference)), np.empty(0))
        return self

    def _features(self, X: npt.ArrayLike) -> Array:
        return self._turned(super()._features(X))

    def _turned(self, features: Array) -> Array:
        """Return the features that have values, higher is better, without those that mark missing values."""
        turned: Array = np.ascontiguousarray(features[:, self.known_] * self.better_[self.known_])
        return turned

    def _learn(self, features: Array, goal: Array) -> None:
        """Learn from the features of the pool, higher is better; there is no goal."""

    @abstractmethod
    def _scores(self, features: Array) -> Array:
        """Return the score, higher is better, of rows of such features, each by itself."""

    def _state(self) -> ModelState:
        return ModelState({"better": self.better_.tolist(), "known": self.known_.tolist()})

    def _restore(self, state: ModelState, width: int) -> None:
        better = vector(state.values["better"], "better", self.n_features_in_)
        if not (np.abs(better) == 1).all():
            raise ValueError("better is not of 1 and -1")
        self.better_ = better.astype(np.intp)
        known = places(state.values["known"], "known", self.n_features_in_)
        self.known_ = np.array(known, dtype=np.intp)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.regressor_tags.poor_score = True
        return tags
