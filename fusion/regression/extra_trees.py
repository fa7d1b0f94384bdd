"""Extremely randomised trees, averaged; how far they differ is how sure the model is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.tree import ExtraTreeRegressor
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import InvalidParameterError

from fusion.errors import FusionError
from fusion.regression.base import MODELS, FusionModel, ModelState
from fusion.regression.checked import different
from fusion.regression.columns import Array
from fusion.regression.forest_text import from_text, to_text
from fusion.regression.order import order_of_columns, order_of_rows
from fusion.work.threads import in_threads

TREES_FILE = "trees.json"
# Rows that go through all trees at once: many more would need memory for all that the trees say.
_BLOCK = 8192


@MODELS.register
class ExtraTrees(FusionModel):
    """The mean of trees whose thresholds are drawn at random.

    Parameters
    ----------
    n_estimators : int
        Trees.
    min_samples_leaf : int
        Fewest training architectures in a leaf.
    max_features : float
        Share of the features among which each split chooses.
    target : {"gaussian", "accuracy"}
        What the trees are fitted to, see `fusion.regression.target`.
    random_state : int or None

    Attributes
    ----------
    trees_ : list of sklearn.tree._tree.Tree
    columns_ : ndarray of int, shape (n_features,)
        The order in which they read the features.

    Notes
    -----
    Source: P. Geurts, D. Ernst, L. Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006, by
    scikit-learn. The spread of an architecture is the standard deviation of the trees' predictions.
    """

    name = "extra_trees"
    summary = "extremely randomised trees on the indicators' ranks; knows how far the trees differ"
    source = "Geurts, Ernst, Wehenkel, Machine Learning 63, 2006"
    has_spread = True
    files = (TREES_FILE,)

    def __init__(
        self,
        n_estimators: int = 200,
        min_samples_leaf: int = 1,
        max_features: float = 1 / 3,
        target: str = "gaussian",
        random_state: int | None = 0,
    ) -> None:
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.target = target
        self.random_state = random_state

    def _learn(self, features: Array, goal: Array) -> None:
        rows = order_of_rows(features, goal)
        self.columns_ = order_of_columns(features[rows])
        settings: dict[str, Any] = {
            "min_samples_leaf": self.min_samples_leaf,
            "max_features": self.max_features,
        }
        forest = ExtraTreesRegressor(self.n_estimators, random_state=self.random_state, **settings)
        try:
            forest._validate_params()
        except InvalidParameterError as error:
            raise FusionError(" ".join(str(error).split())) from None
        features = np.ascontiguousarray(features[np.ix_(rows, self.columns_)], dtype=np.float32)
        goals = np.ascontiguousarray(goal[rows, None])
        random = check_random_state(self.random_state)
        # what the forest's `fit` does, without its copies and checks, which take longer than small trees
        self.trees_ = []
        with config_context(skip_parameter_validation=True):
            for _ in range(self.n_estimators):
                tree = ExtraTreeRegressor(random_state=random.randint(np.iinfo(np.int32).max), **settings)
                self.trees_.append(tree.fit(features, goals, check_input=False).tree_)

    def _predicted(self, features: Array) -> Iterator[Array]:
        """Yield what each tree predicts for a block of rows after the other, shape (n_rows, n_trees)."""
        for start in range(0, len(features), _BLOCK):
            rows = features[start : start + _BLOCK, self.columns_]
            rows = np.ascontiguousarray(rows, dtype=np.float32)
            # a row's numbers side by side: their sum's rounding then does not depend on other rows
            yield np.column_stack(in_threads(partial(_predicted_by, rows), self.trees_))

    def _scores(self, features: Array) -> Array:
        return np.concatenate([trees.mean(axis=1) for trees in self._predicted(features)])

    def _spreads(self, features: Array) -> Array:
        return np.concatenate([trees.std(axis=1) for trees in self._predicted(features)])

    def _state(self) -> ModelState:
        return ModelState({"columns": self.columns_.tolist()}, {TREES_FILE: to_text(self.trees_)})

    def _restore(self, state: ModelState, width: int) -> None:
        self.columns_ = different(state.values["columns"], "columns", width)
        if len(self.columns_) != width:
            raise ValueError(f"columns are {len(self.columns_)}, not {width}")
        self.trees_ = from_text(state.files[TREES_FILE], width)
        if len(self.trees_) != self.n_estimators:
            raise ValueError(f"{TREES_FILE} has {len(self.trees_)} trees, not {self.n_estimators}")


def _predicted_by(rows: Array, tree: Any) -> Array:
    predicted: Array = tree.predict(rows)[:, 0]
    return predicted
