"""Searches side by side, from the same initial architectures, over several seeds."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from fusion.errors import FusionError
from fusion.search.base import Indicators, Measure, SearchResult
from fusion.search.predictor_search import Estimator, predictor_search
from fusion.search.proposers import PROPOSERS
from fusion.search.random_search import random_search
from fusion.seeding import derive_seed
from fusion.spaces.base import Space


def compare(
    space: Space,
    measure: Measure,
    indicators: Indicators,
    make_model: Callable[[], Estimator],
    *,
    budget: int,
    initial: int,
    rounds: int,
    candidates: int,
    repeats: int,
    seed: int,
    optimum: float | None = None,
) -> dict[str, Any]:
    """Run random search and predictor search with each proposer, `repeats` times.

    In one repeat all of them measure the same `initial` architectures first.

    Parameters
    ----------
    space, measure, indicators, make_model, budget, initial, rounds, candidates
        As for `predictor_search`. No key is measured twice, whichever search asks for it.
    repeats : int
        Runs of each search.
    seed : int
        Of the whole comparison.
    optimum : float, optional
        The best accuracy in the space, where it is known.

    Returns
    -------
    dict
        JSON values: `protocol` (the settings), `optimum`, and for each of `methods` its
        `trajectories` (the best accuracy after 1, 2, ... measured, for each repeat), `best`
        (`arch` and `accuracy` for each repeat), `mean_best`, and `regret`, the optimum less
        `mean_best` (None without an optimum).

    Raises
    ------
    FusionError
        As `predictor_search`, and when `repeats` is not positive.
    """
    if repeats < 1:
        raise FusionError(f"search: repeats must be at least 1, got {repeats}")
    measure_once = lru_cache(maxsize=None)(measure)
    searches: dict[str, Callable[..., SearchResult]] = {
        "random": partial(random_search, space, measure_once, budget=budget)
    }
    for proposer in PROPOSERS:
        searches[f"predictor-{proposer}"] = partial(
            predictor_search,
            space,
            measure_once,
            indicators,
            make_model,
            budget=budget,
            initial=initial,
            rounds=rounds,
            candidates=candidates,
            proposer=proposer,
        )
    seeds = [derive_seed("compare", seed, repeat) for repeat in range(repeats)]
    methods = {
        name: _summary([search(seed=repeat) for repeat in seeds], optimum)
        for name, search in searches.items()
    }
    protocol = {
        "space": space.name,
        "space_settings": space.settings,
        "budget": budget,
        "initial": initial,
        "rounds": rounds,
        "candidates": candidates,
        "repeats": repeats,
        "seed": seed,
    }
    return {"protocol": protocol, "methods": methods, "optimum": optimum}


def _summary(results: list[SearchResult], optimum: float | None) -> dict[str, Any]:
    mean_best = sum(result.best_accuracy for result in results) / len(results)
    return {
        "trajectories": [result.best_so_far for result in results],
        "best": [{"arch": result.best_arch, "accuracy": result.best_accuracy} for result in results],
        "mean_best": mean_best,
        "regret": None if optimum is None else optimum - mean_best,
    }
