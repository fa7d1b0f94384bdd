"""Random search: the baseline that needs no predictor."""

from __future__ import annotations

from itertools import islice

from fusion.search.base import Measure, Measurements, SearchResult, random_keys
from fusion.spaces.base import Space


def random_search(space: Space, measure: Measure, *, budget: int, seed: int) -> SearchResult:
    """Measure different keys in random order.

    Parameters
    ----------
    space : Space
        Where to search.
    measure : callable
        The accuracy of a key.
    budget : int
        How many keys to measure; fewer when the space has fewer.
    seed : int
        Of the order. `predictor_search` with the same seed starts with the same architectures.

    Returns
    -------
    SearchResult
        With method `random`.

    Raises
    ------
    FusionError
        When the budget is not positive or a key has no accuracy.
    """
    measurements = Measurements(measure, budget)
    for key in islice(random_keys(space, seed), budget):
        measurements.add(key)
    return measurements.result("random", seed)
