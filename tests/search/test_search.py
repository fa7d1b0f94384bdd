from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression

from fusion.errors import FusionError
from fusion.search import Comparison, SearchResult, SearchSettings, compare, predictor_search, random_search
from fusion.search.base import Measurements, random_keys
from fusion.search.proposers import PROPOSERS
from fusion.spaces.base import Space


class Digits(Space):
    """Words of four digits; the order of the first two makes no difference."""

    name = "digits"
    summary = "words"
    source = "these tests"

    def __init__(self, base=5):
        self.base = base

    @property
    def settings(self):
        return {"base": self.base}

    def __len__(self):
        return self.base**4

    def enumerate(self):
        return ("".join(word) for word in itertools.product("01234"[: self.base], repeat=4))

    def canonical(self, arch):
        return "".join(sorted(arch[:2])) + arch[2:]

    def neighbours(self, arch):
        digits = "01234"[: self.base]
        return [arch[:i] + d + arch[i + 1 :] for i in range(4) for d in digits if d != arch[i]]

    def build(self, arch, *, in_channels=3, num_classes=10):
        raise AssertionError("a search builds no network")

    def thin(self):
        return self


SPACE = Digits()
KEYS = {SPACE.canonical(arch) for arch in SPACE.enumerate()}
OPTIMUM = 90.0  # of 4444 alone


def accuracy(key):
    """Rises with the digits: easy for a linear model."""
    return 10.0 + 5 * sum(map(int, key))


def indicators(keys):
    """The digits, in another order than asked for."""
    table = pd.DataFrame([list(map(int, key)) for key in keys], index=list(keys), columns=list("abcd"))
    return table.sort_index()


class Constant(DummyRegressor):
    """Predicts one number for everything, or none for some."""

    def __init__(self, value=np.nan):
        super().__init__(strategy="constant", constant=0.0)
        self.value = value

    def predict(self, X):
        return np.full(len(X), self.value)


def search(
    proposer="random", space=SPACE, measure=accuracy, make_model=LinearRegression, table=indicators, **change
):
    numbers = {"budget": 30, "initial": 6, "rounds": 3, "candidates": 40, "seed": 0} | change
    seed = numbers.pop("seed")
    return predictor_search(space, measure, table, make_model, SearchSettings(**numbers), proposer, seed=seed)


each_proposer = pytest.mark.parametrize("proposer", ["random", "evolution"])

plans = st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(1, 8), st.integers(0, 40)).map(
    lambda n: {
        "budget": n[0],
        "initial": min(n[0], n[1]),
        "rounds": n[2],
        "candidates": -(-(n[0] - min(n[0], n[1])) // n[2]) + n[3],
    }
)


def check_result(result, space, budget, calls):
    """What holds for every search: budget, each key once, what was measured is what is told."""
    keys = {space.canonical(arch) for arch in space.enumerate()}
    assert len(result.archs) == min(budget, len(keys))
    assert set(result.archs) <= keys
    assert max(calls.values()) == 1
    assert list(calls) == result.archs
    assert result.accuracies == [accuracy(key) for key in result.archs]
    assert result.best_so_far == np.maximum.accumulate(result.accuracies).tolist()
    assert result.best_accuracy == max(result.accuracies)
    assert accuracy(result.best_arch) == result.best_accuracy


@settings(max_examples=30, deadline=None)
@given(plans, st.integers(0, 2**63 - 1), st.sampled_from(["random", "evolution"]), st.sampled_from([2, 3, 5]))
def test_any_plan_keeps_to_its_budget_and_repeats(plan, seed, proposer, base):
    space, calls = Digits(base), Counter()

    def measure(key):
        calls[key] += 1
        return accuracy(key)

    result = search(proposer, space, measure, **plan, seed=seed)
    check_result(result, space, plan["budget"], calls)
    assert search(proposer, space, **plan, seed=seed) == result
    baseline = random_search(space, accuracy, budget=plan["budget"], seed=seed)
    assert result.archs[: plan["initial"]] == baseline.archs[: plan["initial"]]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 700), st.integers(0, 2**63 - 1))
def test_random_search(budget, seed):
    calls = Counter()

    def measure(key):
        calls[key] += 1
        return accuracy(key)

    result = random_search(SPACE, measure, budget=budget, seed=seed)
    check_result(result, SPACE, budget, calls)
    assert result == random_search(SPACE, accuracy, budget=budget, seed=seed)


def test_searches_depend_on_the_seed():
    assert random_search(SPACE, accuracy, budget=9, seed=0) != random_search(
        SPACE, accuracy, budget=9, seed=1
    )
    for proposer in ("random", "evolution"):
        assert search(proposer, seed=0).archs != search(proposer, seed=1).archs


def test_random_keys_come_as_often_as_strings_have_them():
    first = Counter(next(random_keys(Digits(2), seed)) for seed in range(2000))
    assert set(first) == {Digits(2).canonical(arch) for arch in Digits(2).enumerate()}
    twice = sum(n for key, n in first.items() if key[:2] == "01")  # half of the strings
    assert twice == pytest.approx(1000, abs=100)


def test_random_keys_leave_out_what_they_are_told_to():
    assert set(random_keys(SPACE, 0, exclude={"0000", "4444"})) == KEYS - {"0000", "4444"}


@each_proposer
def test_predictor_search_beats_random_search_on_an_easy_landscape(proposer):
    found = [search(proposer, seed=seed).best_accuracy for seed in range(8)]
    chance = [random_search(SPACE, accuracy, budget=30, seed=seed).best_accuracy for seed in range(8)]
    assert np.mean(found) > np.mean(chance) + 2
    assert min(found) >= np.mean(chance)


def test_evolution_finds_the_optimum_that_few_random_candidates_miss():
    plan = {"budget": 24, "initial": 6, "rounds": 6, "candidates": 60}
    found = {
        name: np.mean([search(name, **plan, seed=seed).best_accuracy for seed in range(4)])
        for name in ("random", "evolution")
    }
    assert found["evolution"] >= found["random"]
    assert found["evolution"] > OPTIMUM - 2


@each_proposer
def test_every_round_measures_the_best_predicted(proposer):
    """A model that is right orders each round's share from best to worst."""
    result = search(proposer, budget=26, initial=6, rounds=4, candidates=50)
    for start in range(6, 26, 5):
        share = result.accuracies[start : start + 5]
        assert share == sorted(share, reverse=True)


def test_rounds_have_equal_shares_and_fresh_models():
    fitted = []

    def make_model():
        class Recording(LinearRegression):
            def fit(self, X, y):
                fitted.append((list(X.index), list(y)))
                return super().fit(X, y)

        return Recording()

    result = search(make_model=make_model, budget=16, initial=6, rounds=4)
    assert [len(keys) for keys, _ in fitted] == [6, 9, 12, 14]  # 3, 3, 2, 2 of the 10 left
    for keys, y in fitted:
        assert keys == result.archs[: len(keys)]
        assert y == result.accuracies[: len(keys)]


@each_proposer
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.0])
def test_predictions_that_tell_nothing(proposer, value):
    result = search(proposer, make_model=lambda: Constant(value))
    assert len(set(result.archs)) == 30


@each_proposer
def test_missing_predictions_rank_last(proposer):
    class Partial(LinearRegression):
        def predict(self, X):
            return np.where(X["a"] == 0, np.nan, super().predict(X))

    result = search(proposer, make_model=Partial, candidates=200)
    assert all(key[0] != "0" for key in result.archs[6:])


@each_proposer
def test_whole_space_is_measured_by_a_larger_budget(proposer):
    space = Digits(2)
    result = search(proposer, space, budget=100, initial=3, rounds=4, candidates=97)
    assert len(result.archs) == 12
    assert result.best_arch == "1111"


@pytest.mark.parametrize("propose", PROPOSERS.values())
@given(st.integers(1, 400), st.integers(0, 100), st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_proposals_are_unmeasured_keys_with_their_scores(propose, candidates, n, seed):
    measured = {key: accuracy(key) for key in sorted(KEYS)[:n]}

    def score(keys):
        return [float(sum(map(int, key))) for key in keys]

    proposals = propose(SPACE, measured, score, candidates, seed)
    assert len(proposals) == min(candidates, len(KEYS) - n)
    assert proposals.keys() <= KEYS - measured.keys()
    assert all(value == sum(map(int, key)) for key, value in proposals.items())


def test_evolution_moves_towards_high_predictions():
    measured = {key: accuracy(key) for key in sorted(KEYS)[:20]}

    def score(keys):
        return [float(sum(map(int, key))) for key in keys]

    evolved = PROPOSERS["evolution"](SPACE, measured, score, 150, 0)
    drawn = PROPOSERS["random"](SPACE, measured, score, 150, 0)
    assert np.mean(list(evolved.values())) > np.mean(list(drawn.values())) + 1


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"budget": 0}, "budget must be at least 1"),
        ({"initial": 0}, "1 <= initial <= budget"),
        ({"initial": 31}, "1 <= initial <= budget"),
        ({"rounds": 0}, "1 <= rounds"),
        ({"candidates": 7}, "8 are measured in a round"),
        ({"proposer": "best"}, "unknown proposer 'best'; known: random, evolution"),
    ],
)
def test_numbers_out_of_range(change, match):
    with pytest.raises(FusionError, match=match):
        search(**change)


@pytest.mark.parametrize("run", [search, lambda **kw: random_search(SPACE, budget=30, seed=0, **kw)])
def test_architecture_without_an_accuracy(run):
    known = {key: accuracy(key) for key in sorted(KEYS)[:3]}
    with pytest.raises(FusionError, match=r"no measured accuracy of \d{4};"):
        run(measure=known.__getitem__)
    with pytest.raises(FusionError, match=r"accuracy of \d{4} is nan"):
        run(measure=lambda key: float("nan"))


def test_architecture_without_indicators():
    with pytest.raises(FusionError, match=r"no indicators of 6 architectures, first \d{4}"):
        search(table=lambda keys: indicators(keys).iloc[:0])


def test_model_that_cannot_be_fitted():
    with pytest.raises(FusionError, match=r"cannot be fitted on 6 architectures .*NaN"):
        search(table=lambda keys: indicators(keys) * np.nan)


def test_measurements_guard_the_budget():
    measurements = Measurements(accuracy, 2)
    measurements.add("0000")
    with pytest.raises(ValueError, match="must not be measured"):
        measurements.add("0000")
    measurements.add("0001")
    with pytest.raises(ValueError, match="must not be measured"):
        measurements.add("0002")
    assert measurements.left == 0


# --- comparison ------------------------------------------------------------------------------


SETTINGS = SearchSettings(budget=20, initial=5, rounds=3, candidates=30, repeats=3, seed=7)


def compared(cost=None, **change):
    return compare(SPACE, accuracy, indicators, LinearRegression, replace(SETTINGS, **change), cost=cost)


def test_comparison_by_hand():
    out = compared()
    assert list(out) == ["random", "predictor-random", "predictor-evolution"]
    for method in out.values():
        assert [len(run) for run in method.trajectories] == [20, 20, 20]
        finals = [run[-1] for run in method.trajectories]
        assert [best.accuracy for best in method.best] == finals
        assert [accuracy(best.arch) for best in method.best] == finals
        assert method.mean_best == pytest.approx(np.mean(finals))
        assert method.cost is None
    starts = [[run[:5] for run in method.trajectories] for method in out.values()]
    assert starts[0] == starts[1] == starts[2]
    assert len({tuple(run) for run in starts[0]}) > 1


def test_what_was_measured_costs_what_training_it_takes():
    assert {method.cost for method in compared(dict.fromkeys(KEYS, 2.5)).values()} == {20 * 2.5}
    some = dict.fromkeys(sorted(KEYS)[::2], 2.5)
    assert compared(some)["random"].cost is None


def test_comparison_repeats_and_depends_on_the_seed():
    assert compared() == compared()
    assert compared() != compared(seed=8)


def test_comparison_without_repeats():
    with pytest.raises(FusionError, match="repeats must be at least 1"):
        compared(repeats=0)


def test_comparison_measures_each_architecture_once():
    calls = Counter()

    def measure(key):
        calls[key] += 1
        return accuracy(key)

    compare(SPACE, measure, indicators, LinearRegression, SETTINGS)
    assert set(calls.values()) == {1}


def comparison(whole=True):
    return Comparison("digits", SPACE.settings, "linear", SETTINGS, len(KEYS), whole, OPTIMUM, compared())


def test_the_json_form_comes_back():
    written = json.loads(json.dumps(comparison().to_json(), allow_nan=False))
    assert Comparison.from_json(written) == comparison()
    assert written["format"] == 2
    for damage in ({"format": 1}, {"methods": {"random": {}}}, {"surprise": 1}):
        with pytest.raises(FusionError, match="search again"):
            Comparison.from_json({**written, **damage})


def test_the_best_that_is_known_is_the_optimum_of_a_whole_space_only():
    assert comparison().best_of == "optimum of the space"
    assert comparison(whole=False).best_of == f"best of the {len(KEYS)} searched"
    assert comparison().regret("random") == OPTIMUM - comparison().methods["random"].mean_best


def test_result_as_a_dictionary():
    result = SearchResult("random", 3, ["0001", "0100", "0010"], [1.0, 3.0, 3.0])
    assert result.to_dict() == {
        "method": "random",
        "seed": 3,
        "archs": ["0001", "0100", "0010"],
        "accuracies": [1.0, 3.0, 3.0],
        "best_arch": "0100",
        "best_accuracy": 3.0,
        "best_so_far": [1.0, 3.0, 3.0],
    }
