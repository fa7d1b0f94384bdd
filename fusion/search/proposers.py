"""Which unmeasured architectures a predictor is asked about: random ones, or evolved ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

import numpy as np

from fusion.registry import Registry
from fusion.search.base import random_keys
from fusion.seeding import derive_seed
from fusion.spaces.base import Space

Score: TypeAlias = Callable[[Sequence[str]], list[float]]
"""The predicted accuracies of keys; minus infinity where there is no prediction."""

Proposer: TypeAlias = Callable[[Space, Mapping[str, float], Score, int, int], dict[str, float]]

PROPOSERS: Registry[Proposer] = Registry("proposer", "fusion.searches")

# Population and tournament as in Real et al.
POPULATION = 100
TOURNAMENT = 25
# Children per call of the predictor, as if by this many parallel workers: one call costs about
# as much for 20 architectures as for one.
BROOD = 20
# Broods in a row without a new architecture after which the population counts as stuck.
PATIENCE = 20


@PROPOSERS.register
def random(
    space: Space, measured: Mapping[str, float], score: Score, candidates: int, seed: int
) -> dict[str, float]:
    """Draw unmeasured architectures at random; return up to `candidates` keys with predicted accuracies.

    Parameters
    ----------
    space : Space
        The space.
    measured : mapping
        Key -> measured accuracy.
    score : callable
        Keys -> predicted accuracies.
    candidates : int
        How many keys; fewer are returned only when fewer are unmeasured.
    seed : int
        Of the draw.
    """
    keys = list(islice(random_keys(space, seed, measured), candidates))
    return dict(zip(keys, score(keys), strict=True))


@PROPOSERS.register
def evolution(
    space: Space, measured: Mapping[str, float], score: Score, candidates: int, seed: int
) -> dict[str, float]:
    """Evolve unmeasured architectures on predicted accuracy; return up to `candidates` keys with it.

    The population is a queue, at the start of the best measured and of random architectures. The
    best predicted of a random tournament is mutated, the child joins the queue, and the oldest
    member leaves it, however good. Nothing is trained. Every unmeasured key that came up is a
    proposal; random ones make up the number when evolution is stuck.

    Source: Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI
    2019, arXiv:1802.01548.

    Parameters
    ----------
    space, measured, score, candidates, seed
        As for `random`.
    """
    rng = np.random.default_rng(seed)
    elite = sorted(measured, key=measured.__getitem__, reverse=True)[: POPULATION // 2]
    # at least half of the proposals are left to evolution
    newcomers = min(POPULATION - len(elite), max(1, candidates // 2))
    found = random(space, measured, score, newcomers, derive_seed("newcomers", seed))
    predicted = found | dict(zip(elite, score(elite), strict=True))
    # the oldest is on the left: the best measured stay longest
    population = deque([*found, *elite])
    stuck = 0
    while len(found) < candidates and stuck < PATIENCE:
        brood = [_child(space, population, predicted, rng) for _ in range(BROOD)]
        new = list(dict.fromkeys(key for key in brood if key not in predicted))
        predicted |= zip(new, score(new), strict=True)
        proposals = [key for key in new if key not in measured][: candidates - len(found)]
        found |= {key: predicted[key] for key in proposals}
        stuck = 0 if proposals else stuck + 1
        population.extend(brood)
        while len(population) > POPULATION:
            population.popleft()
    rest = random(space, {**measured, **found}, score, candidates - len(found), derive_seed("rest", seed))
    return found | rest


def _child(
    space: Space, population: Sequence[str], predicted: Mapping[str, float], rng: np.random.Generator
) -> str:
    """Return the mutated winner of one tournament."""
    size = min(TOURNAMENT, len(population))
    entrants = [population[i] for i in rng.choice(len(population), size, replace=False)]
    return space.canonical(space.mutate(max(entrants, key=predicted.__getitem__), rng))
