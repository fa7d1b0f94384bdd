"""What `auto` sees of a table."""

import json

import numpy as np
import pytest

import fusion.regression.auto.views as module
from fusion.indicators import INDICATORS
from fusion.regression import Consensus, IndicatorTransform
from fusion.regression.auto.prior import Prior
from fusion.regression.auto.smoothing import Smoothing
from fusion.regression.auto.views import Views
from tests.regression.pools import LOWER, pool_of


@pytest.fixture(autouse=True)
def nothing_kept():
    module._recent.clear()


def learned(table, is_pool=True):
    """Return the views that a table teaches, and the features of the table."""
    names = list(table)
    better = np.array([1 if n not in INDICATORS or INDICATORS[n].higher_is_better else -1 for n in names])
    values = table.to_numpy()
    transformer = IndicatorTransform().fit(values).fill_worse(better)
    return Views.learn(names, values, transformer, better, is_pool, {}), transformer.transform(values)


def test_each_column_is_seen_as_what_it_is():
    table, _ = pool_of()
    table["graph_same"] = table["same"] = table["encoding.same"] = 1.0
    views, features = learned(table, is_pool=False)
    names = np.array(table.columns)
    assert list(names[views.indicators]) == sorted([LOWER, "meco", "params", "zen"])
    assert list(names[views.others]) == ["graph_depth", "graph_paths"]
    assert list(names[views.encoding]) == [f"encoding.{j}" for j in range(6)]
    view = views.of(table.to_numpy(), features)
    expected = IndicatorTransform().fit(table).scores(table)[:, views.indicators]
    known = np.isfinite(expected)
    assert np.array_equal(view.ranks[known], expected[known].round(5))
    marks = table[["graph_depth", LOWER, "zen"]].replace(np.inf, np.nan).isna().to_numpy()
    assert np.array_equal(view.others[:, -3:], marks[:, np.argsort(["graph_depth", LOWER, "zen"])])
    code = table.filter(like="encoding.").drop(columns="encoding.same")
    np.testing.assert_allclose(view.encoding, (code - code.mean()) / code.std(ddof=0), atol=6e-6)
    logs = view.logs[:, list(names[views.indicators]).index("params")]
    raw = np.log1p(table["params"] / table["params"].median())
    np.testing.assert_allclose(logs, np.clip((raw - raw.mean()) / raw.std(ddof=0), -4, 4), atol=6e-6)


def test_a_missing_indicator_is_as_bad_as_the_worst():
    table, _ = pool_of()
    views, features = learned(table, is_pool=False)
    view = views.of(table.to_numpy(), features)
    for name in ("zen", LOWER):
        at = [table.columns[j] for j in views.indicators].index(name)
        known = np.isfinite(table[name].to_numpy())
        for seen in (view.ranks, view.logs):
            own = seen[:, at] * (-1 if name == LOWER else 1)
            assert (own[~known] == own[known].min()).all()


def with_numbers():
    """A table with a number among its encoding that many architectures lack, and the values of it."""
    table, _ = pool_of()
    table["encoding.3"] = numbers = np.where(np.arange(80) % 5, np.linspace(1, 4, 80), np.nan)
    table["encoding.few"] = np.arange(80) % 8
    return table, numbers


def test_trees_see_numbers_of_the_encoding():
    table, numbers = with_numbers()
    views, features = learned(table)
    assert [list(table)[views.encoding[j]] for j in views.numbers] == ["encoding.3"]
    seen = views.of(table.to_numpy(), features)
    known = np.isfinite(numbers)
    filled = np.where(known, numbers, numbers[known].mean())
    expected = (filled - filled.mean()) / filled.std()
    np.testing.assert_allclose(seen.for_trees[:, -1], expected, atol=6e-6)
    assert (seen.numbers[~known] == 0).all()
    again = Views.from_state(json.loads(json.dumps(views.to_state())), table.shape[1], features.shape[1])
    assert np.array_equal(again.of(table.to_numpy(), features).flat, seen.flat)
    assert np.array_equal(again.view_from_state(seen.to_state()).flat, seen.flat)
    assert np.array_equal(views.split(seen.flat).numbers, seen.numbers)


def test_states_of_before_trees_saw_numbers_are_read():
    table, _ = pool_of()
    views, features = learned(table)
    seen = views.of(table.to_numpy(), features)
    old, rows = views.to_state(), seen.to_state()
    assert old.pop("numbers") == []
    assert rows.pop("numbers") == [[]] * 80
    again = Views.from_state(old, table.shape[1], features.shape[1])
    assert np.array_equal(again.view_from_state(rows).flat, seen.flat)


def test_the_prior_is_the_standardised_consensus():
    table, _ = pool_of()
    names = ["zen", "params", "meco"]
    score = Consensus().fit(table[names]).predict(table[names])
    views, features = learned(table, is_pool=False)
    found = views.of(table.to_numpy(), features).prior
    np.testing.assert_allclose(found, (score - score.mean()) / score.std(), atol=1e-4)
    # without any of its indicators, of all
    others = table[[LOWER]].assign(mine=table["params"])
    score = Consensus().fit(others).predict(others)
    views, features = learned(others, is_pool=False)
    found = views.of(others.to_numpy(), features).prior
    np.testing.assert_allclose(found, (score - score.mean()) / score.std(), atol=1e-4)


def test_a_prior_of_nothing_is_0():
    for ranks in (np.empty((9, 0)), np.ones((9, 2))):
        prior = Prior.learn(["zen", "meco"][: ranks.shape[1]], ranks, {})
        assert np.array_equal(prior.apply(ranks), np.zeros(9))


def test_indicators_of_a_pool_are_smoothed_over_the_encoding():
    table, _ = pool_of()
    plain, features = learned(table, is_pool=False)
    smooth, _ = learned(table)
    raw = plain.of(table.to_numpy(), features)
    view = smooth.of(table.to_numpy(), features)
    both = np.hstack([raw.ranks, raw.logs])
    # in whatever order the rows are
    expected = Smoothing.learn(raw.encoding, both).apply(raw.encoding, both)
    np.testing.assert_allclose(np.hstack([view.ranks, view.logs]), expected, atol=2e-5)
    assert np.array_equal(view.others, raw.others)
    assert np.abs(view.ranks - raw.ranks).max() > 0.1
    assert np.isclose(view.prior.mean(), 0, atol=1e-4)
    assert np.isclose(view.prior.std(), 1, atol=1e-4)
    # not of few, nor without encoding or indicators, nor over one that many share
    coarse = table.copy()
    encoded = [name for name in table if name.startswith("encoding.")]
    coarse[encoded] = coarse[encoded].iloc[np.arange(len(table)) // 2].to_numpy()
    assert learned(coarse)[0].smoothing is None
    assert learned(table[:49])[0].smoothing is None
    assert learned(table[["zen", "params"]])[0].smoothing is None
    assert learned(table.filter(like="encoding."))[0].smoothing is None


def test_the_same_row_twice_teaches_nothing_more():
    table, _ = pool_of()
    names, values = list(table), table.to_numpy()
    better = np.ones(len(names))
    transformer = IndicatorTransform().fit(values).fill_worse(better)
    once = Views.learn(names, values, transformer, better, False, {})
    twice = Views.learn(names, np.vstack([values, values[:30]]), transformer, better, False, {})
    assert once.to_state() == twice.to_state()


class TestKept:
    def test_views_of_a_pool_are_kept_and_those_of_training_rows_are_not(self, monkeypatch):
        calls = []
        original = Smoothing.learn
        monkeypatch.setattr(Smoothing, "learn", lambda *rows: calls.append(1) or original(*rows))
        table, _ = pool_of()
        views, _ = learned(table)
        assert learned(table.copy())[0] is views
        assert len(calls) == 1
        changed = table.copy()
        changed.iloc[7, 1] += 1e-9
        assert learned(changed)[0] is not views
        assert learned(table.rename(columns={"zen": "naswot"}))[0] is not views
        assert learned(table, is_pool=False)[0].smoothing is None
        assert len(calls) == 3
        for seed in range(1, 6):
            learned(pool_of(seed=seed)[0])
        assert len(module._recent) == module._KEPT
        assert learned(table)[0] is not views

    def test_nothing_in_them_can_be_changed(self):
        views, _ = learned(pool_of()[0])
        arrays = [views.centre, views.indicators, views.prior.weights, views.smoothing.landmarks]
        for array in arrays:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
        with pytest.raises(AttributeError):
            views.prior = None


def test_the_order_of_rows_and_columns_does_not_matter():
    table, _ = pool_of()
    views, features = learned(table)
    first = views.of(table.to_numpy(), features)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(table))
    other = table.iloc[rows][rng.permutation(table.columns)]
    views, features = learned(other)
    second = views.of(other.to_numpy(), features)
    for name in ("prior", "ranks", "logs", "others", "encoding"):
        np.testing.assert_allclose(getattr(second, name), getattr(first, name)[rows], atol=1e-9)


def test_side_by_side_and_apart_again():
    table, _ = pool_of()
    views, features = learned(table)
    view = views.of(table.to_numpy(), features)
    again = views.split(view.flat)
    for name in ("prior", "ranks", "logs", "others", "encoding"):
        assert np.array_equal(getattr(again, name), getattr(view, name))
    assert view.wide.features.shape == (80, 2 * 4 + 2 + 3)
    assert view.narrow.features.shape == (80, 4)
    assert view.for_trees.shape == (80, 1 + 4 + 2 + 3)
    some = view.take(slice(3, 7))
    assert np.array_equal(some.flat, view.flat[3:7])


@pytest.mark.parametrize("part", ["zen|params", "graph_", "encoding.", "."])
def test_a_state_gives_the_same_to_the_bit(part):
    table = pool_of()[0].filter(regex=part)
    views, features = learned(table)
    state = json.loads(json.dumps(views.to_state()))
    again = Views.from_state(state, table.shape[1], features.shape[1])
    view = views.of(table.to_numpy(), features)
    assert np.array_equal(again.of(table.to_numpy(), features).flat, view.flat)
    seen = again.view_from_state(json.loads(json.dumps(view.to_state())))
    assert np.array_equal(seen.flat, view.flat)


CHANGES = {
    "a column that there is not": lambda s: s.update(indicators=[0, 1, 2, 99]),
    "a column twice": lambda s: s.update(encoding=[6, 6, 7, 8]),
    "a mark that there is not": lambda s: s.update(flags=[3]),
    "no logarithms": lambda s: s.update(logs=None),
    "logarithms of others": lambda s: s["logs"]["columns"].pop(),
    "a logarithm's scale": lambda s: s["logs"]["columns"][0].update(scale=0.0),
    "smoothing of others": lambda s: s["smoothing"].update(means=[0.0]),
    "an encoding without unit": lambda s: s.update(scale=[0.0] * 4),
    "a number that there is not": lambda s: s.update(numbers=[6]),
    "an encoding too few": lambda s: s.update(centre=[0.0]),
    "a sign": lambda s: s["prior"].update(signs=[2.0, 1.0, 1.0]),
    "a weight": lambda s: s["prior"].update(weights=[-1.0, 1.0, 1.0]),
    "a pool of nothing": lambda s: s["prior"].update(size=0),
    "a prior without unit": lambda s: s["prior"].update(scale=0.0),
    "a prior far away": lambda s: s["prior"].update(centre=1e200),
}


@pytest.mark.parametrize("what", list(CHANGES))
def test_a_state_that_is_none_is_refused(what):
    table, _ = pool_of()
    views, features = learned(table)
    state = json.loads(json.dumps(views.to_state()))
    CHANGES[what](state)
    with pytest.raises((KeyError, TypeError, ValueError)):
        Views.from_state(state, table.shape[1], features.shape[1])


@pytest.mark.parametrize(
    "change", [{"prior": [0.0]}, {"prior": [1e200] * 80}, {"ranks": [[]] * 80}, {"logs": 3}], ids=str
)
def test_what_was_seen_must_be_of_these_views(change):
    table, _ = pool_of()
    views, features = learned(table)
    state = views.of(table.to_numpy(), features).to_state()
    with pytest.raises((TypeError, ValueError), match=r"ranks|logs|seen|list"):
        views.view_from_state(state | change)
