"""What is thought of architectures before any accuracy is known: a consensus of indicators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion.indicators import INDICATORS
from fusion.regression.checked import different, moderate, vector, whole, within
from fusion.regression.columns import Array
from fusion.regression.consensus import INDICATORS as CONSENSUS
from fusion.regression.consensus import SIZE, log_ranks, votes
from fusion.regression.order import Indices

# No scale that was learned is smaller.
_FLAT = 1e-9


@dataclass(frozen=True, eq=False)
class Prior:
    """The consensus of indicators (see `fusion.regression.consensus`), standardised over the pool.

    Attributes
    ----------
    columns : ndarray of int
        Of the indicators' ranks.
    signs, weights : ndarray
        1 or -1, and the weight, of each.
    size : int
        Architectures of the pool.
    centre, scale : float
    """

    columns: Indices
    signs: Array
    weights: Array
    size: int
    centre: float
    scale: float

    @classmethod
    def learn(cls, names: Sequence[str], ranks: Array) -> Prior:
        """Return the consensus of those of its indicators that differ; without any, of all columns.

        Parameters
        ----------
        names : sequence of str
            Of the columns.
        ranks : ndarray, shape (n, p)
            Gaussian scores of the pool's ranks.
        """
        differ = ranks.min(axis=0) < ranks.max(axis=0)
        places = [j for j, name in enumerate(names) if name in CONSENSUS and differ[j]]
        columns = np.array(places or np.flatnonzero(differ), dtype=np.intp)
        known = [names[j] for j in columns]
        up = [name not in INDICATORS or INDICATORS[name].higher_is_better for name in known]
        signs = np.where(up, 1.0, -1.0)
        turned = ranks[:, columns] * signs
        if not len(columns):
            return cls(columns, signs, np.empty(0), len(ranks), 0.0, 1.0)
        size = [j for j, name in enumerate(known) if name in SIZE] or [*range(len(known))]
        weights = votes(turned, size)
        sums = (log_ranks(turned, len(ranks)) * weights).sum(axis=1)
        return cls(columns, signs, weights, len(ranks), float(sums.mean()), float(sums.std()) or 1.0)

    def to_state(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "columns": self.columns.tolist(),
            "signs": self.signs.tolist(),
            "weights": self.weights.tolist(),
            "size": self.size,
            "centre": self.centre,
            "scale": self.scale,
        }

    @classmethod
    def from_state(cls, state: Any, columns: int) -> Prior:
        """Return what gave `state`, of so many ranks; raises KeyError, TypeError or ValueError."""
        places = different(state["columns"], "columns", columns)
        signs = vector(state["signs"], "signs", len(places))
        if not (np.abs(signs) == 1).all():
            raise ValueError("signs are not 1 and -1")
        centre = moderate(vector([state["centre"]], "centre"), "centre")
        scale = moderate(vector([state["scale"]], "scale"), "scale")
        within(scale, _FLAT, np.inf, "scale")
        return cls(
            places,
            signs,
            within(vector(state["weights"], "weights", len(places)), 0, 1e6, "weights"),
            whole(state["size"], "size", 1),
            float(centre[0]),
            float(scale[0]),
        )

    def terms(self, ranks: Array) -> Array:
        """Return log(rank / N) of each of its indicators, of mean about 0 and standard deviation about 1."""
        # the logarithm of a uniform number has mean -1 and standard deviation 1
        terms = log_ranks(ranks[:, self.columns] * self.signs, self.size) + 1
        # row by row in memory, as it is after loading: BLAS rounds otherwise elsewhere
        contiguous: Array = np.ascontiguousarray(terms)
        return contiguous

    def apply(self, ranks: Array) -> Array:
        """Return the score of each row, shape (n,)."""
        terms = log_ranks(ranks[:, self.columns] * self.signs, self.size)
        score: Array = ((terms * self.weights).sum(axis=1) - self.centre) / self.scale
        return score
