"""Boosted trees that learn the order of architectures instead of their accuracies."""

from __future__ import annotations

from typing import Any

import numpy as np

from fusion.regression.base import MODELS, ModelState
from fusion.regression.boosted import Boosted
from fusion.regression.checked import different, number
from fusion.regression.columns import Array
from fusion.regression.order import order_of_columns, order_of_rows

# Grades of relevance that LightGBM knows.
_GRADES = 31
# Parts of which each is held out once to learn what a ranking score stands for.
_FOLDS = 5
# Of fewer architectures the score of those learned from has to do.
_FEWEST_HELD_OUT = 10


@MODELS.register
class LambdaRank(Boosted):
    """The mean of a few LightGBM rankers, mapped to accuracies by a line.

    The trees follow the lambda gradients: of each pair of architectures in the wrong order, by how much
    the normalised discounted cumulative gain would rise if they changed places. The grades of relevance are
    31 equal parts of the accuracies' ranks, and their gain is the grade itself.

    A ranking score has no unit, so the goal (the Gaussian score of the accuracy's rank) is regressed on the
    scores of architectures that five more rankers had not learned from. It is a line, as steps (isotonic
    regression) would tie architectures that the ranker tells apart, and held out, as the scores of
    architectures that were learned from lie too far apart.

    Parameters
    ----------
    n_estimators : int
        Trees per member.
    learning_rate : float
    num_leaves : int
        Leaves per tree.
    n_members : int
        Rankers averaged.
    random_state : int, RandomState or None
    n_jobs : int
        Threads. The result does not depend on it.

    Attributes
    ----------
    columns_ : ndarray of int, shape (n_features,)
        The order in which the trees read the features.
    slope_, intercept_ : float
        Of the line.

    Notes
    -----
    Sources: C. J. C. Burges, "From RankNet to LambdaRank to LambdaMART", MSR-TR-2010-82; for architectures,
    Y. Zhang et al., "AceNAS: Learning to Rank Ace Neural Architectures with Weak Supervision of Weight
    Sharing", arXiv:2108.03001; the trees G. Ke et al., "LightGBM", NeurIPS 2017.
    """

    name = "lambdarank"
    summary = "boosted trees that learn the order of architectures, mapped to accuracies"
    source = "Zhang et al., AceNAS, arXiv:2108.03001; Ke et al., LightGBM, NeurIPS 2017"
    objective = "lambdarank"

    def __init__(
        self,
        n_estimators: int = 200,
        learning_rate: float = 0.05,
        num_leaves: int = 6,
        n_members: int = 2,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int = 1,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.n_members = n_members
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _params(self, rows: int) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_child_samples": max(2, min(20, rows // 20)),
            "feature_fraction": 0.8,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "extra_trees": True,
            "lambdarank_truncation_level": max(rows, 1),
            "label_gain": list(range(_GRADES)),
        }

    def _learn(self, features: Array, goal: Array) -> None:
        rows = order_of_rows(features, goal)
        self.columns_ = order_of_columns(features[rows])
        ordered, goal = features[np.ix_(rows, self.columns_)], goal[rows]
        self.boosters_ = self._ranked(ordered, goal)
        held_out = self._mean(self.boosters_, ordered)
        if len(goal) >= _FEWEST_HELD_OUT:
            fold = np.arange(len(goal)) % _FOLDS
            for k in range(_FOLDS):
                boosters = self._ranked(ordered[fold != k], goal[fold != k])
                held_out[fold == k] = self._mean(boosters, ordered[fold == k])
        spread = float(held_out.std())
        # where held-out scores say nothing, next to nothing is predicted, in the order that was learned
        correlation = float(np.mean((held_out - held_out.mean()) * goal)) / (spread**2 or 1.0)
        self.slope_ = max(correlation, 1e-3 / (spread or 1.0))
        self.intercept_ = float(goal.mean() - self.slope_ * held_out.mean())

    def _ranked(self, features: Array, goal: Array) -> list[Any]:
        """Return the rankers of rows in the order of their goal."""
        grades = np.searchsorted(goal, goal) * _GRADES // len(goal)
        return self._grow(features, grades.astype(np.float64), group=[len(goal)])

    def _scores(self, features: Array) -> Array:
        ordered = np.ascontiguousarray(features[:, self.columns_])
        return self.intercept_ + self.slope_ * self._mean(self.boosters_, ordered)

    def _state(self) -> ModelState:
        values = {"columns": self.columns_.tolist(), "slope": self.slope_, "intercept": self.intercept_}
        return ModelState(values, super()._state().files)

    def _restore(self, state: ModelState, width: int) -> None:
        super()._restore(state, width)
        self.columns_ = different(state.values["columns"], "columns", width)
        if len(self.columns_) != width:
            raise ValueError(f"columns are {len(self.columns_)}, not {width}")
        self.slope_ = number(state.values["slope"], "slope")
        self.intercept_ = number(state.values["intercept"], "intercept")
