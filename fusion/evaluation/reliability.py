"""How far an indicator that is computed with other seeds says the same."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from fusion.errors import FusionError
from fusion.evaluation.metrics import srocc
from fusion.evaluation.values import Array


def split_half_reliability(scores: ArrayLike, draws: int = 200) -> float:
    """How far repeating an indicator with other seeds ranks the architectures the same way.

    Parameters
    ----------
    scores : array-like, shape (architectures, seeds)
        One value per architecture and seed. Architectures with a non-finite value are left out.
    draws : int
        When there are more ways than this of splitting the seeds, so many random ones are used
        (always the same).

    Returns
    -------
    float
        Reliability of the mean over all seeds, at most 1. NaN with fewer than two seeds, fewer than
        two architectures or constant halves.

    Raises
    ------
    FusionError
        When `scores` is not two-dimensional.

    Notes
    -----
    The seeds are split into two halves of h = floor(seeds / 2) (an odd seed is left out, another in
    each way). r is the mean over the ways of Spearman's correlation between the halves' means.
    Spearman-Brown (1910): k r / (1 + (k - 1) r), k = seeds / h. A negative r says that
    the seeds do not agree at all, has no such correction and is returned as it is.
    """
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2:
        raise FusionError(
            f"scores have shape {table.shape}; give one row per architecture, one column per seed"
        )
    table = table[np.isfinite(table).all(axis=1)]
    seeds = table.shape[1]
    half = seeds // 2
    if half == 0 or len(table) < 2:
        return np.nan
    r = float(np.mean([_half_correlation(table, first, second) for first, second in _halves(seeds, draws)]))
    k = seeds / half
    return k * r / (1 + (k - 1) * r) if r > 0 else r


def _halves(seeds: int, draws: int) -> list[tuple[list[int], list[int]]]:
    """Return the ways of choosing two disjoint halves, each way once, or `draws` random ones."""
    half = seeds // 2
    if comb(seeds, half) * comb(seeds - half, half) // 2 <= draws:
        return [
            (list(first), list(second))
            for first in combinations(range(seeds), half)
            for second in combinations(sorted(set(range(seeds)) - set(first)), half)
            if first < second
        ]
    rng = np.random.default_rng(0)
    orders = [rng.permutation(seeds).tolist() for _ in range(draws)]
    return [(order[:half], order[half : 2 * half]) for order in orders]


def _half_correlation(table: Array, first: list[int], second: list[int]) -> float:
    return srocc(table[:, first].mean(axis=1), table[:, second].mean(axis=1))
