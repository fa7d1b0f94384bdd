"""A comparator: which of two architectures is better, and how many a new one would beat."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, log_expit, ndtri

from fusion.regression.base import MODELS, FusionModel, ModelState
from fusion.regression.checked import vector
from fusion.regression.columns import Array
from fusion.regression.order import order_of_columns, order_of_rows

# Of the mean loss of a pair, for features of standard deviation about 1; the strongest first.
_PENALTIES = tuple(10.0**i for i in range(0, -6, -1))
_FOLDS = 5
# Rows that are compared at once.
_BLOCK = 2048
# A new architecture that surely beats all would have an infinite score.
_SURE = 1e-9


@MODELS.register
class Pairwise(FusionModel):
    """Logistic regression on the differences of two architectures' features.

    P(a better than b) = 1 / (1 + exp(-w.(x_a - x_b))), with weights w that minimise the mean negative log
    likelihood over all pairs of training architectures of different accuracy, plus a penalty times half
    their squared norm; of powers of ten, the penalty is taken under which held-out architectures are best
    compared with the others. The mean probability of a new architecture to beat the training architectures
    is its expected rank among them, whose Gaussian score is mapped to accuracies.

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,)
        w.
    rivals_ : ndarray, shape (n_architectures,)
        w.x of the training architectures, increasing.

    Notes
    -----
    Sources: R. A. Bradley, M. E. Terry, "Rank analysis of incomplete block designs", Biometrika 39, 1952;
    for architectures, with a neural network instead of the line, Y. Chen et al., "Contrastive Neural
    Architecture Search with Neural Architecture Comparators", CVPR 2021, arXiv:2103.05471.
    """

    name = "pairwise"
    summary = "how many training architectures it would beat, by logistic regression on pairs"
    source = "Chen et al., CTNAS, CVPR 2021, arXiv:2103.05471; Bradley, Terry, Biometrika 39, 1952"
    fewest = 2

    def _learn(self, features: Array, goal: Array) -> None:
        rows = order_of_rows(features, goal)
        columns = order_of_columns(features[rows])
        ordered, goal = features[np.ix_(rows, columns)], goal[rows]
        weights = _fitted(ordered, goal, _best_penalty(ordered, goal))
        self.coef_ = np.empty(len(columns))
        self.coef_[columns] = weights
        self.rivals_ = np.sort((features * self.coef_).sum(axis=1))

    def _scores(self, features: Array) -> Array:
        # each row is summed by itself: a matrix product's rounding depends on how many rows it has
        strength = (features * self.coef_).sum(axis=1)
        beaten = np.empty(len(features))
        for start in range(0, len(features), _BLOCK):
            at = slice(start, start + _BLOCK)
            beaten[at] = expit(strength[at, None] - self.rivals_).mean(axis=1)
        scores: Array = ndtri(np.clip(beaten, _SURE, 1 - _SURE))
        return scores

    def weights(self) -> dict[str, float]:
        names = self.transformer_.get_feature_names_out(getattr(self, "feature_names_in_", None))
        return dict(zip(map(str, names), self.coef_.tolist(), strict=True))

    def _state(self) -> ModelState:
        return ModelState({"coef": self.coef_.tolist(), "rivals": self.rivals_.tolist()})

    def _restore(self, state: ModelState, width: int) -> None:
        self.coef_ = vector(state.values["coef"], "coef", width)
        self.rivals_ = vector(state.values["rivals"], "rivals")
        if not len(self.rivals_):
            raise ValueError("rivals are none")


def _fitted(features: Array, goal: Array, penalty: float, start: Array | None = None) -> Array:
    """Return the weights under one penalty."""
    better = goal[:, None] > goal
    pairs = max(1, int(better.sum()))

    def loss(weights: Array) -> tuple[float, Array]:
        strength = features @ weights
        ahead = strength[:, None] - strength
        wrong = expit(-ahead) * better / pairs
        slope = features.T @ (wrong.sum(axis=0) - wrong.sum(axis=1))
        value = -(log_expit(ahead) * better).sum() / pairs
        return float(value + 0.5 * penalty * weights @ weights), slope + penalty * weights

    first = np.zeros(features.shape[1]) if start is None else start
    found: Array = minimize(loss, first, jac=True, method="L-BFGS-B").x
    return found


def _best_penalty(features: Array, goal: Array) -> float:
    """Return the penalty under which held-out architectures are compared best; the strongest of equals."""
    losses = np.zeros(len(_PENALTIES))
    for held in _folds(len(goal)):
        above = np.sign(goal[held, None] - goal[~held])
        weights = None
        for i, penalty in enumerate(_PENALTIES):
            weights = _fitted(features[~held], goal[~held], penalty, weights)
            strength = features @ weights
            ahead = strength[held, None] - strength[~held]
            losses[i] -= (log_expit(above * ahead) * np.abs(above)).sum()
    return _PENALTIES[int(np.argmin(losses))]


def _folds(n: int) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield which rows are held out, of rows in the order of their goal."""
    fold = np.arange(n) % min(_FOLDS, n)
    for k in range(fold.max() + 1):
        yield fold == k
