"""Accuracies or predictions, and what several metrics need of them, computed once."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

BEST = 0.1
"""Share of the architectures, those measured best, that `krocc_best_tenth` looks at."""

MAX_RELEVANCE = 10
"""Relevance of the best architecture in `ndcg`."""


class Values(NDArray[np.float64]):
    """Numbers, shape (n,), that remember what several metrics need of them; not to be written to.

    Metrics take any array; of these they compute once what they share, whatever they are compared with.
    """

    @classmethod
    def of(cls, numbers: ArrayLike) -> Values:
        """Return numbers as such values, which they may be already."""
        if isinstance(numbers, cls):
            return numbers
        values: Values = np.array(numbers, dtype=float).ravel().view(cls)
        values.setflags(write=False)
        return values

    @cached_property
    def bare(self) -> Array:
        """The numbers as an array, which is faster to compute with."""
        return self.view(np.ndarray)

    @cached_property
    def finite(self) -> bool:
        """Whether there are numbers, all of them finite."""
        return len(self) > 0 and bool(np.isfinite(self.bare).all())

    @cached_property
    def vary(self) -> bool:
        """Whether they are finite and not all the same."""
        return self.finite and bool(self.bare.min() < self.bare.max())

    @cached_property
    def places(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The place of each among the different numbers, ascending, and how often each of these occurs."""
        _, place, count = np.unique(self.bare, return_inverse=True, return_counts=True)
        return place, count

    @cached_property
    def ranks(self) -> Array:
        """Ranks from 1 on; ties share their mean rank."""
        place, count = self.places
        ranks: Array = (np.cumsum(count) - (count - 1) / 2)[place]
        return ranks

    @cached_property
    def centred(self) -> Array:
        """The numbers less their mean, on a scale on which squares are finite."""
        return _centred(self.bare)

    @cached_property
    def centred_ranks(self) -> Array:
        """The ranks, likewise."""
        return _centred(self.ranks)

    @cached_property
    def descending(self) -> Array:
        """The numbers, the highest first."""
        return np.sort(self.bare)[::-1]

    @cached_property
    def gains(self) -> tuple[Array, float]:
        """Of each in `ndcg`, and the cumulative gain of the perfect order."""
        gain = 2 ** (MAX_RELEVANCE * (self.ranks - 1) / (len(self) - 1)) - 1
        return gain, float(np.sort(gain)[::-1] @ discount(len(self)))

    @cached_property
    def best(self) -> tuple[NDArray[np.bool_], Values]:
        """Which are among the highest tenth, and those as values."""
        best = highest(self.bare, BEST)
        return best, Values.of(self.bare[best])

    @cached_property
    def signs(self) -> NDArray[np.float32]:
        """The sign of the difference of each two numbers, shape (n, n)."""
        place = self.places[0].astype(np.float32)
        signs: NDArray[np.float32] = np.sign(np.subtract.outer(place, place))
        return signs

    @cached_property
    def ties(self) -> int:
        """How many pairs of numbers are equal."""
        _, count = self.places
        return int((count * (count - 1) // 2).sum())


def highest(values: Array, share: float) -> NDArray[np.bool_]:
    """Return which of n values are among the ceil(share n) highest, or tie with the last of them.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Not empty; finite.
    share : float
        In (0, 1].
    """
    last = len(values) - math.ceil(share * len(values))
    among: NDArray[np.bool_] = values >= np.partition(values, last)[last]
    return among


@lru_cache(maxsize=8)
def discount(size: int) -> Array:
    """Return 1 / log2(1 + position) of each position in `ndcg`."""
    discount: Array = 1 / np.log2(np.arange(2, size + 2))
    discount.setflags(write=False)
    return discount


def _centred(x: Array) -> Array:
    # scaled before anything is squared: indicators reach 1e300
    x = x / np.abs(x).max()
    x = x - x.mean()
    deviation: Array = x / np.abs(x).max()
    return deviation
