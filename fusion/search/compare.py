"""Searches side by side, from the same initial architectures, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial

import numpy as np

from fusion.errors import FusionError
from fusion.search.base import Indicators, Measure, SearchResult
from fusion.search.predictor_search import Estimator, predictor_search
from fusion.search.proposers import PROPOSERS
from fusion.search.random_search import random_search
from fusion.search.results import Found, SearchMethod, SearchSettings
from fusion.seeding import derive_seed
from fusion.spaces.base import Space


def compare(
    space: Space,
    measure: Measure,
    indicators: Indicators,
    make_model: Callable[[], Estimator],
    settings: SearchSettings,
    *,
    cost: Mapping[str, float] | None = None,
) -> dict[str, SearchMethod]:
    """Run random search and predictor search with each proposer, `settings.repeats` times.

    In one repeat all of them measure the same initial architectures first.

    Parameters
    ----------
    space, measure, indicators, make_model
        As for `predictor_search`. No key is measured twice, whichever search asks for it.
    settings : SearchSettings
    cost : mapping, optional
        Key -> seconds of one training, where known.

    Returns
    -------
    dict of str to SearchMethod

    Raises
    ------
    FusionError
        As `predictor_search`, and when `repeats` is not positive.
    """
    if settings.repeats < 1:
        raise FusionError(f"search: repeats must be at least 1, got {settings.repeats}")
    measure_once = lru_cache(maxsize=None)(measure)
    searches: dict[str, Callable[..., SearchResult]] = {
        "random": partial(random_search, space, measure_once, budget=settings.budget)
    }
    for proposer in PROPOSERS:
        searches[f"predictor-{proposer}"] = partial(
            predictor_search, space, measure_once, indicators, make_model, settings, proposer
        )
    seeds = [derive_seed("compare", settings.seed, repeat) for repeat in range(settings.repeats)]
    return {
        name: _summary([search(seed=repeat) for repeat in seeds], cost or {})
        for name, search in searches.items()
    }


def _summary(results: list[SearchResult], cost: Mapping[str, float]) -> SearchMethod:
    spent = [sum(cost.get(arch, np.nan) for arch in result.archs) for result in results]
    return SearchMethod(
        tuple(tuple(result.best_so_far) for result in results),
        tuple(Found(result.best_arch, result.best_accuracy) for result in results),
        sum(result.best_accuracy for result in results) / len(results),
        float(np.mean(spent)) if np.isfinite(spent).all() else None,
    )
