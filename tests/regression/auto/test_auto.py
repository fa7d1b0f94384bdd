"""The mixture: from no accuracies to some, what is left out together, what is kept."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

import fusion.regression.auto.mixture as module
from fusion.errors import FusionError
from fusion.regression import Auto, Consensus, ModelState
from fusion.regression.auto.members import MEMBERS
from fusion.regression.order import order_of_rows
from tests.regression.pools import pool_of

PROCESSES = ["wide_process", "narrow_process", "few_process", "encoding_process"]


def quick():
    return Auto(effort="quick")


@pytest.fixture(scope="module")
def pool():
    return pool_of()


class TestWithoutAccuracies:
    def test_it_is_the_prior(self, pool):
        table, _ = pool
        names = ["zen", "params", "meco"]
        model = Auto().fit(table[:3][names], pool=table[names])
        score = Consensus().fit(table[names]).predict(table[names])
        found = model.predict(table[names])
        np.testing.assert_allclose(found, (score - score.mean()) / score.std(), atol=1e-4)
        assert (model.gives, model.shares_, model.members_) == ("score", {}, {})
        assert (Auto.gives, Auto().gives) == ("accuracy", "accuracy")
        smoothed = Auto().fit(table, pool=table)
        view = smoothed.views_.of(table.to_numpy(), smoothed.transformer_.transform(table.to_numpy()))
        assert np.array_equal(smoothed.predict(table), view.prior)

    def test_it_has_no_intervals(self, pool):
        table, accuracies = pool
        with pytest.raises(FusionError, match="fitted without accuracies; give some"):
            Auto().fit(table).calibrate(table, accuracies)

    def test_a_state_gives_the_same_to_the_bit(self, pool):
        table, _ = pool
        model = Auto().fit(table, pool=table)
        again = restored(model)
        assert again.gives == "score"
        assert np.array_equal(again.predict(table), model.predict(table))


def restored(model):
    """Return what comes back from JSON."""
    state = model.to_state()
    again = Auto(**model.get_params())
    again.restore(ModelState(json.loads(json.dumps(state.values)), state.files))
    if hasattr(model, "feature_names_in_"):
        again.feature_names_in_ = model.feature_names_in_
    return again


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 20])
@pytest.mark.parametrize("pooled", [True, False])
def test_however_few_accuracies(pool, n, pooled):
    table, accuracies = pool
    X, y = table[:n], accuracies[:n]
    model = quick().fit(X, y, pool=table if pooled else None)
    predicted = model.predict(table)
    assert np.isfinite(predicted).all()
    assert (predicted.std() > 0) == (n > 1)
    assert all(share > 0 for share in model.shares_.values())
    if n == 1:
        np.testing.assert_allclose(predicted, y.iloc[0])
        with pytest.raises(FusionError, match="one group; intervals need at least two"):
            model.calibrate(X, y)
    else:
        model.calibrate(X, y)
        low, high = model.predict_interval(table).T
        assert ((low <= predicted) & (predicted <= high)).all()
    again = restored(model)
    assert np.array_equal(again.predict(table), predicted)
    if pooled and n >= 2:
        assert kendalltau(predicted[n:], accuracies[n:]).statistic > 0.3


@pytest.mark.parametrize("n", [2, 12])
def test_equal_accuracies_are_predicted_everywhere(pool, n):
    table, _ = pool
    model = quick().fit(table[:n], np.full(n, 71.5), pool=table).calibrate(table[:n], np.full(n, 71.5))
    assert np.array_equal(model.predict(table), np.full(80, 71.5))
    assert np.array_equal(model.predict_interval(table), np.full((80, 2), 71.5))


@pytest.mark.parametrize("seed", range(4))
def test_on_a_monotone_table_it_is_no_worse_than_chance(seed):
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=60)
    table = pd.DataFrame(np.column_stack([quality, np.exp(quality), -(quality**3)]), columns=["a", "b", "c"])
    model = quick().fit(table[:5], quality[:5], pool=table)
    found = kendalltau(model.predict(table[5:]), quality[5:]).statistic
    shuffled = [kendalltau(rng.permutation(quality[5:]), quality[5:]).statistic for _ in range(50)]
    assert found > max(shuffled)


@pytest.mark.parametrize("part", ["encoding.", "graph_", "zen", "zen|encoding"])
def test_a_part_of_the_columns_suffices(pool, part):
    table, accuracies = pool
    table = table.filter(regex=part)
    for effort in ("quick", "full"):
        model = Auto(effort).fit(table[:9], accuracies[:9], pool=table)
        assert np.isfinite(model.predict(table)).all()
        assert np.array_equal(restored(model).predict(table), model.predict(table))
    assert np.isfinite(Auto().fit(table).predict(table)).all()


def test_columns_that_say_nothing():
    table = np.column_stack([np.ones(9), np.full(9, np.nan)])
    model = Auto().fit(table, np.arange(9.0))
    assert np.ptp(model.predict(table)) < 1e-9
    assert np.array_equal(Auto().fit(table).predict(table), np.zeros(9))


def test_arrays_need_no_names(pool):
    table, accuracies = pool
    values = table.to_numpy()[:, :4]
    model = quick().fit(values[:15], accuracies[:15], pool=values)
    renamed = pd.DataFrame(values, columns=["0", "1", "2", "3"])
    named = quick().fit(renamed[:15], accuracies[:15].to_numpy(), pool=renamed)
    assert np.array_equal(model.predict(values), named.predict(renamed))


def test_the_order_of_rows_and_columns_does_not_matter(pool):
    table, accuracies = pool
    first = Auto().fit(table[:12], accuracies[:12], pool=table)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(12), rng.permutation(table.columns)
    shuffled = table.iloc[rng.permutation(80)][columns]
    other = Auto().fit(table.iloc[rows][columns], accuracies.iloc[rows], pool=shuffled)
    np.testing.assert_allclose(other.predict(table[columns]), first.predict(table), rtol=1e-9)


def test_names_of_columns_are_told_to_no_one_who_forgets_them(pool):
    table, accuracies = pool
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for unlabelled in (table, None):
            model = (
                Auto().fit(table[:8], accuracies[:8], pool=unlabelled).calibrate(table[:8], accuracies[:8])
            )
            model.predict(table)
            model.predict_interval(table)
        Auto().fit(table).predict(table)


class TestHeldOut:
    def by_hand(self, model, table, accuracies):
        """Return the goals, what members fitted without each fold say of it, and how sure one is."""
        order = order_of_rows(table.to_numpy(), accuracies.to_numpy())
        values, y = table.to_numpy()[order], accuracies.to_numpy()[order]
        room = y.max() - np.median(y)
        goal = -np.log((y.max() - y) / room + 0.5)
        goal = (goal - goal.mean()) / goal.std()
        view = model.views_.of(values, model.transformer_.transform(values))
        predicted, spreads = np.empty((len(y), len(PROCESSES))), np.empty(len(y))
        whole = {name: MEMBERS[name].learn(view, goal, 0) for name in PROCESSES}
        for fold in set(model.held_out_.folds):
            held = model.held_out_.folds == fold
            for j, name in enumerate(PROCESSES):
                member = MEMBERS[name].learn(view.take(~held), goal[~held], 0, whole[name])
                predicted[held, j] = member.predict(view.take(held))
                if j == 0:
                    spreads[held] = member.spread(view.take(held))
        return goal, predicted, spreads

    @pytest.mark.parametrize("n", [3, 10, 30])
    def test_errors_and_shares(self, pool, n):
        table, accuracies = pool
        X, y = table[:n], accuracies[:n]
        model = quick().fit(X, y, pool=table)
        goal, predicted, spreads = self.by_hand(model, X, y)
        shares = np.array([model.shares_.get(name, 0.0) for name in PROCESSES])
        expected = module._expected(PROCESSES, n)
        np.testing.assert_allclose(model.held_out_.errors, goal - predicted @ shares, atol=1e-9)
        np.testing.assert_allclose(model.held_out_.spreads, spreads, rtol=1e-9)

        pull = 80 * np.mean((goal - predicted @ expected) ** 2) + 1e-6

        def loss(at):
            return np.sum((goal - predicted @ at) ** 2) + pull * np.sum((at - expected) ** 2)

        if n < 4:
            np.testing.assert_allclose(shares, expected)
        else:
            near = shares + np.random.default_rng(0).normal(scale=0.02, size=(50, len(PROCESSES)))
            assert all(loss(shares) < loss(np.maximum(other, 0)) for other in near)
            # near to what is expected
            assert np.abs(shares - expected).max() < 0.03 * n

    def test_equal_rows_are_held_out_together(self, pool):
        table, accuracies = pool
        X = pd.concat([table[:12], table[:12], table[:3]])
        y = np.concatenate([accuracies[:12], accuracies[:12] + 0.1, accuracies[:3] - 0.1])
        model = quick().fit(X, y, pool=table)
        same = np.tile(np.arange(12), 3)[:27][order_of_rows(X.to_numpy(), y)]
        assert len(set(zip(same, model.held_out_.folds, strict=True))) == 12
        # missing values are equal too
        twins = np.full((6, 2), np.nan)
        assert quick().fit(twins, np.arange(6.0)).held_out_ is None

    def test_groups_are_held_out_together(self, pool):
        table, accuracies = pool
        groups = np.array(["a", "b", "c", "d", "e"]).repeat(4)
        model = quick().fit(table[:20], accuracies[:20], pool=table, groups=groups)
        ordered = groups[order_of_rows(table[:20].to_numpy(), accuracies[:20].to_numpy())]
        assert len(set(zip(ordered, model.held_out_.folds, strict=True))) == 5
        assert model.held_out_.together(ordered)

    def test_groups_of_one_and_the_rest(self, pool):
        table, accuracies = pool
        groups = [0] * 9 + [1]
        model = Auto().fit(table[:10], accuracies[:10], pool=table, groups=groups)
        assert np.isfinite(model.predict(table)).all()
        assert sorted(np.bincount(model.held_out_.folds)) == [1, 9]
        assert set(model.members_) == {*PROCESSES}  # trees have nothing to split

    def test_groups_that_were_torn_apart_are_fitted_again(self, pool, monkeypatch):
        table, accuracies = pool
        X, y = table[:20], accuracies[:20]
        fits = []
        original = Auto.fit
        monkeypatch.setattr(Auto, "fit", lambda *args: fits.append(args[4:]) or original(*args))
        groups = np.arange(20) // 2
        model = Auto("quick").fit(X, y, table, None)
        whole = model.held_out_
        model.calibrate(X, y, table)
        model.calibrate(X, y, table, np.arange(20))  # none is torn
        assert len(fits) == 1
        assert model.held_out_ is whole
        model.calibrate(X, y, table, groups)
        assert len(fits) == 2
        ordered = groups[order_of_rows(X.to_numpy(), y.to_numpy())]
        assert model.held_out_.together(ordered)
        assert not whole.together(ordered)
        model.calibrate(X, y, table, groups)
        assert len(fits) == 2
        with pytest.raises(FusionError, match="all architectures are one group"):
            model.calibrate(X, y, table, np.zeros(20))

    def test_a_loaded_model_is_calibrated_anew(self, pool):
        table, accuracies = pool
        X, y = table[:10], accuracies[:10]
        model = quick().fit(X, y, pool=table)
        again = restored(model)
        assert again.held_out_ is None
        found = again.calibrate(X, y, pool=table).predict_interval(table)
        assert np.array_equal(found, model.calibrate(X, y).predict_interval(table))

    def test_there_is_one_group_for_each(self, pool):
        table, accuracies = pool
        for groups in ([1, 2], np.zeros((5, 2)), range(6)):
            with pytest.raises(FusionError, match=r"groups are .*, the architectures 5; give one group each"):
                quick().fit(table[:5], accuracies[:5], groups=groups)
        model = quick().fit(table[:5], accuracies[:5])
        with pytest.raises(FusionError, match="give one group each"):
            model.calibrate(table[:5], accuracies[:5], groups=[1, 2])


def test_trees_are_left_out_where_asked_for_few_or_not_installed(pool, monkeypatch):
    table, accuracies = pool
    processes = {*PROCESSES}
    assert set(quick().fit(table[:10], accuracies[:10]).members_) <= processes
    assert set(Auto().fit(table[:7], accuracies[:7]).members_) <= processes
    full = Auto().fit(table[:10], accuracies[:10])
    assert set(full.members_) == {*MEMBERS} - {"taught_line"}
    assert set(full.to_state().files) == set(Auto.files)
    monkeypatch.setattr("fusion.regression.auto.members.find_spec", lambda name: None)
    without = Auto().fit(table[:10], accuracies[:10])
    assert set(without.members_) == {*processes, "randomised_trees"}
    assert np.isfinite(without.predict(table)).all()
    assert np.array_equal(restored(without).predict(table), without.predict(table))


@pytest.mark.parametrize("n", [8, 30, 1000])
def test_expected_weights(n):
    trees = 0.5 * n / (n + 30)
    few = 0.6 * 24 / (n + 24)
    encoding = 0.3 * n / (n + 60)
    processes = np.array([(1 - few) / 2, (1 - few) / 2, few, encoding]) / (1 + encoding)
    trees /= trees + (1 - trees) * (1 + encoding)
    found = module._expected([*PROCESSES, "boosted_trees", "randomised_trees"], n)
    np.testing.assert_allclose(found, [*((1 - trees) * processes), trees / 2, trees / 2])
    np.testing.assert_allclose(module._expected(PROCESSES, n), processes)
    # what was taught weighs as much as the rest at 15, and less with the square of their number
    found = module._expected([*PROCESSES, "taught_line"], n)
    np.testing.assert_allclose(found[-1] / (1 - found[-1]), (15 / n) ** 2)
    np.testing.assert_allclose(found[:-1] / found[:-1].sum(), processes)


def test_what_is_mixed_is_the_weighted_sum_of_members(pool):
    table, accuracies = pool
    model = quick().fit(table[:20], accuracies[:20], pool=table)
    view = model.views_.of(table.to_numpy(), model.transformer_.transform(table.to_numpy()))
    score = sum(share * model.members_[name].predict(view) for name, share in model.shares_.items())
    inside = (score > model.levels_[0].min()) & (score < model.levels_[0].max())
    inside[:20] = False  # those are remembered
    expected = np.interp(score, *model.levels_)
    np.testing.assert_allclose(model.predict(table)[inside], expected[inside])
    # twice the rows, but not twice the work
    rows = []
    original = type(model.views_).of
    model.views_ = _Watched(model.views_, lambda *args: rows.append(len(args[1])) or original(*args))
    again = model.predict(pd.concat([table, table]))
    assert rows == [80]
    assert np.array_equal(again, np.tile(model.predict(table), 2))


class _Watched:
    def __init__(self, views, of):
        self.of = lambda values, features: of(views, values, features)
        self.split = views.split


class TestRefused:
    def test_an_effort_that_is_not_known(self, pool):
        with pytest.raises(FusionError, match="effort 'slow' is not known; use 'full' or 'quick'"):
            Auto("slow").fit(pool[0])

    def test_more_than_fit_into_memory(self, pool, monkeypatch):
        table, accuracies = pool
        model = quick().fit(table[:9], accuracies[:9])
        monkeypatch.setattr(module, "_MOST", 8)
        with pytest.raises(FusionError, match="at most 8 accuracies, not 9; give fewer, or use lightgbm"):
            quick().fit(table[:9], accuracies[:9])
        with pytest.raises(ValueError, match="9 architectures are too many"):
            restored(model)

    @pytest.mark.parametrize(
        "change",
        [
            {"shares": {"wide_process": -1.0}},
            {"shares": {"wide_process": 1e200}},
            {"shares": {"other": 1.0}},
            {"shares": []},
            {"members": {}},
            {"members": {"narrow_process": {}}},
            {"members": {"wide_process": []}, "shares": {}},
            {"members": {"wide_process": None}, "shares": {}},
            {"seen": None},
            {"seen": {}},
            {"views": []},
        ],
        ids=str,
    )
    def test_a_state_that_is_none(self, pool, change):
        table, accuracies = pool
        model = quick().fit(table[:9], accuracies[:9])
        state = model.to_state()
        state.values["learned"].update(change)
        with pytest.raises((KeyError, TypeError, ValueError)):
            quick().restore(state)

    def test_a_missing_value_far_away(self, pool):
        table, accuracies = pool
        state = quick().fit(table, accuracies).to_state()
        state.values["transformer"]["fill"][0] = 1e200
        with pytest.raises(ValueError, match="fill"):
            quick().restore(state)
