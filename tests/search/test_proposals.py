"""Where candidates come from: evolution forgets its oldest, and every round looks elsewhere."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from fusion.search import SearchSettings, predictor_search, proposers
from fusion.spaces import Space


class Words(Space):
    """Words of eight digits: large enough that two draws have little in common."""

    name = "words"
    summary = "words"
    source = "these tests"
    enumerable = False

    @property
    def settings(self):
        return {}

    def __len__(self):
        return 10**8

    def random(self, rng):
        return "".join(map(str, rng.integers(10, size=8)))

    def sample(self, n, seed):
        return super().sample(min(n, 3000), seed)

    def canonical(self, arch):
        return arch

    def neighbours(self, arch):
        return [arch[:i] + d + arch[i + 1 :] for i in range(8) for d in "0123456789" if d != arch[i]]

    def build(self, arch, *, in_channels=3, num_classes=10):
        raise AssertionError("a search builds nothing")

    def thin(self):
        return self


SPACE = Words()


def score(keys):
    return [float(sum(map(int, key))) for key in keys]


def distance(one, other):
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_evolution_drops_its_oldest(monkeypatch):
    """Else all children would be those of the first generation: one mutation away from it."""
    monkeypatch.setattr(proposers, "POPULATION", 10)
    monkeypatch.setattr(proposers, "TOURNAMENT", 5)
    monkeypatch.setattr(proposers, "BROOD", 5)
    measured = dict.fromkeys(SPACE.sample(5, 1), 0.0)
    firsts = []

    def remember(keys):
        if len(firsts) < 2:  # the newcomers, then the elite
            firsts.append(list(keys))
        return score(keys)

    found = proposers.evolution(SPACE, measured, remember, 60, 3)
    first = [key for keys in firsts for key in keys]
    assert len(first) == 10
    away = [min(distance(key, old) for old in first) for key in found if key not in first]
    assert max(away) >= 3


def test_a_member_has_descendants_as_long_as_it_is_young_however_good_it_is(monkeypatch):
    """The best of the first generation wins every tournament until it is the oldest and leaves."""
    monkeypatch.setattr(proposers, "POPULATION", 6)
    monkeypatch.setattr(proposers, "TOURNAMENT", 6)
    monkeypatch.setattr(proposers, "BROOD", 2)
    best = "99999999"
    parents = []
    original = SPACE.mutate

    def mutate(arch, rng):
        parents.append(arch)
        return original(arch, rng)

    monkeypatch.setattr(SPACE, "mutate", mutate, raising=False)
    proposers.evolution(SPACE, {best: 1.0}, score, 40, 0)
    assert parents[0] == best
    assert best not in parents[12:]


@pytest.mark.parametrize("proposer", ["random", "evolution"])
def test_every_round_proposes_others(monkeypatch, proposer):
    proposed = []
    original = proposers.PROPOSERS[proposer]

    def spy(*arguments):
        proposed.append(original(*arguments))
        return proposed[-1]

    monkeypatch.setitem(predictor_search.__globals__, "PROPOSERS", {proposer: spy})
    table = lambda keys: pd.DataFrame([list(map(int, key)) for key in keys], index=list(keys))  # noqa: E731
    settings = SearchSettings(budget=20, initial=5, rounds=3, candidates=30)
    predictor_search(SPACE, lambda key: score([key])[0], table, LinearRegression, settings, proposer, seed=0)
    assert len(proposed) == 3
    for i, one in enumerate(proposed):
        for other in proposed[i + 1 :]:
            assert len(set(one) & set(other)) < 20


def test_the_models_favourites_are_measured_not_its_rejects():
    table = lambda keys: pd.DataFrame([list(map(int, key)) for key in keys], index=list(keys))  # noqa: E731
    settings = SearchSettings(budget=60, initial=40, rounds=2, candidates=100)
    found = predictor_search(
        SPACE, lambda key: score([key])[0], table, LinearRegression, settings, "random", seed=0
    )
    assert np.mean(found.accuracies[40:]) > np.mean(found.accuracies[:40]) + 5
