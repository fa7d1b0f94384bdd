"""What is thought of architectures before any accuracy is known: a consensus, or what other spaces taught."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fusion.errors import FusionError
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

    Where other spaces taught weights of indicators (see `fusion.regression.kin`), the score is the sum of the
    ranks' Gaussian scores with these, and the consensus has the terms alone.

    Attributes
    ----------
    columns : ndarray of int
        Of the indicators' ranks.
    signs, weights : ndarray
        1 or -1, and the weight, of each.
    size : int
        Architectures of the pool.
    centre, scale : float
    taught : ndarray, shape (p,)
        The weight of each of the indicators' ranks; empty where nothing was taught.
    """

    columns: Indices
    signs: Array
    weights: Array
    size: int
    centre: float
    scale: float
    taught: Array

    @classmethod
    def learn(cls, names: Sequence[str], ranks: Array, taught: Mapping[str, float]) -> Prior:
        """Return the consensus of those of its indicators that differ; without any, of all columns.

        Parameters
        ----------
        names : sequence of str
            Of the columns.
        ranks : ndarray, shape (n, p)
            Gaussian scores of the pool's ranks.
        taught : mapping of str to float
            Indicator -> weight; those of other columns count nothing.
        """
        differ = ranks.min(axis=0) < ranks.max(axis=0)
        places = [j for j, name in enumerate(names) if name in CONSENSUS and differ[j]]
        columns = np.array(places or np.flatnonzero(differ), dtype=np.intp)
        known = [names[j] for j in columns]
        up = [name not in INDICATORS or INDICATORS[name].higher_is_better for name in known]
        signs = np.where(up, 1.0, -1.0)
        turned = ranks[:, columns] * signs
        given = np.array([taught.get(name, 0.0) for name in names])
        given = given if given.any() else np.empty(0)
        if not len(columns):
            return cls(columns, signs, np.empty(0), len(ranks), 0.0, 1.0, np.empty(0))
        size = [j for j, name in enumerate(known) if name in SIZE] or [*range(len(known))]
        weights = votes(turned, size)
        bare = cls(columns, signs, weights, len(ranks), 0.0, 1.0, given)
        sums = bare.apply(ranks)
        return replace(bare, centre=float(sums.mean()), scale=float(sums.std()) or 1.0)

    def to_state(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "columns": self.columns.tolist(),
            "signs": self.signs.tolist(),
            "weights": self.weights.tolist(),
            "size": self.size,
            "centre": self.centre,
            "scale": self.scale,
            "taught": self.taught.tolist(),
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
        taught = state.get("taught", [])
        return cls(
            places,
            signs,
            within(vector(state["weights"], "weights", len(places)), 0, 1e6, "weights"),
            whole(state["size"], "size", 1),
            float(centre[0]),
            float(scale[0]),
            moderate(vector(taught, "taught", columns if len(taught) else 0), "taught"),
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
        if len(self.taught):
            sums = (ranks * self.taught).sum(axis=1)
        else:
            sums = (log_ranks(ranks[:, self.columns] * self.signs, self.size) * self.weights).sum(axis=1)
        score: Array = (sums - self.centre) / self.scale
        return score


def write_weights(weights: Mapping[str, float]) -> str:
    """Return weights of indicators as text, which `read_weights` reads."""
    return ",".join(f"{name}={weight:.6g}" for name, weight in weights.items())


def read_weights(text: str) -> dict[str, float]:
    """Return the weights of indicators in a text such as `zen=0.5,params=0.25`; none of an empty one.

    Raises
    ------
    FusionError
        When it is no such text.
    """
    found = {}
    for part in filter(None, text.split(",")):
        name, _, weight = part.partition("=")
        try:
            found[name.strip()] = float(weight)
        except ValueError:
            found[name.strip()] = math.nan
        if not math.isfinite(found[name.strip()]) or name.strip() not in INDICATORS:
            raise FusionError(
                f"taught: {part!r}; expected weights of indicators, such as zen=0.5,params=0.25"
            )
    return found
