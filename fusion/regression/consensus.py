"""The consensus of indicators that agree with size: a score of architectures without any accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr
from scipy.stats import rankdata

from fusion.regression.base import MODELS, ModelState
from fusion.regression.checked import vector, whole, within
from fusion.regression.columns import Array
from fusion.regression.unlabelled import Unlabelled

INDICATORS = (
    *("az_expressivity", "az_progressivity", "az_trainability", "flops", "params"),
    *("zen", "zico", "meco", "swap_regularised", "naswot", "cnntk"),
)
"""Indicators that were proposed to rank architectures on their own, and size."""

SIZE = ("params", "flops")


def votes(ranks: Array, size: Sequence[int]) -> Array:
    """Return how much each column counts.

    Parameters
    ----------
    ranks : ndarray, shape (n, p)
        Scores of ranks, higher is better.
    size : sequence of int
        The columns that measure size; the mean of their ranks is what others are held against.

    Returns
    -------
    ndarray, shape (p,)
        1, or 0 where Spearman's correlation with size is not positive; each column of size that counts
        counts twice the sum of the negative correlations' sizes more, unless all are. All 1 where none is
        positive.
    """
    order = np.column_stack([rankdata(ranks[:, j]) for j in size]).mean(axis=1)
    found = np.array([_spearman(column, order) for column in ranks.T])
    counts: Array = (found > 0).astype(np.float64)
    if not counts.any():
        return np.ones(ranks.shape[1])
    if len(size) < len(counts):
        counts[list(size)] *= 1 + 2 * np.clip(-found, 0, None).sum()
    return counts


def _spearman(a: Array, b: Array) -> float:
    """Return Spearman's correlation; 0 where one does not differ."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def log_ranks(scores: Array, size: int) -> Array:
    """Return log(rank / N) of Gaussian scores of ranks among N, the worst's about log(1 / N)."""
    logs: Array = np.log(ndtr(scores) + 0.5 / size)
    return logs


@MODELS.register
class Consensus(Unlabelled):
    """Score = sum of log(rank / N) over the indicators that order the pool as size does.

    Larger networks are mostly better, in any space. An indicator that orders the pool against size (the
    mean of the ranks of `params` and `flops`, those that there are; without them of all) is misled by it,
    as some are where widths vary: it is left out, and size counts the more (see `votes`).

    Attributes
    ----------
    weights_ : ndarray of float, shape (n_known,)
        1 for an indicator that counts, 0 for one that is left out, more for size where some are.
    size_ : int
        Architectures among which ranks are taken.

    Notes
    -----
    The sum of log ranks: J. Lee, B. Ham, "AZ-NAS", CVPR 2024, arXiv:2403.19232. Leaving out is this
    library's, chosen on CIFAR-10 accuracies of `nats-tss` and `nats-sss`, and on NDS; `cnntk` was added last,
    after looking at these, `nas-bench-101` and `darts`.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"flops": [1.0, 2.0, 3.0, 4.0], "meco": [8.0, 7.0, 6.0, 5.0]})
    >>> Consensus().fit(table).predict(table).argsort()
    array([0, 1, 2, 3])
    """

    name = "consensus"
    summary = "sum of the logarithms of ranks of the indicators that agree with size; without any accuracy"
    source = "Lee, Ham, AZ-NAS, CVPR 2024, arXiv:2403.19232; choice: this library"
    indicators = INDICATORS

    def _learn(self, features: Array, goal: Array) -> None:
        self.size_ = len(features)
        names = list(getattr(self, "feature_names_in_", []))
        known = [names[j] if names else "" for j in self.known_]
        size = [j for j, name in enumerate(known) if name in SIZE] or [*range(len(known))]
        self.weights_ = votes(features, size)

    def _scores(self, features: Array) -> Array:
        scores: Array = (log_ranks(features, self.size_) * self.weights_).sum(axis=1)
        return scores

    def weights(self) -> dict[str, float]:
        """Return indicator -> weight."""
        names = getattr(self, "feature_names_in_", [str(j) for j in range(self.n_features_in_)])
        return {str(names[j]): float(w) for j, w in zip(self.known_, self.weights_, strict=True)}

    def _state(self) -> ModelState:
        own = super()._state()
        return ModelState({**own.values, "weights": self.weights_.tolist(), "size": self.size_})

    def _restore(self, state: ModelState, width: int) -> None:
        super()._restore(state, width)
        weights = vector(state.values["weights"], "weights", len(self.known_))
        self.weights_ = within(weights, 0, 1e6, "weights")
        self.size_ = whole(state.values["size"], "size", 1)
