"""Models that learn the order: pairs of architectures, and ranking trees."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm, rankdata

import fusion.regression.pairwise as module
from fusion.regression import LambdaRank, Pairwise
from fusion.regression.lightgbm_text import members


def made(n, seed=0, columns=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, columns))
    return X, 80 + 3 * X[:, 0] - X[:, 1] + rng.normal(size=n)


def pair_loss(weights, X, y, penalty):
    """Return the penalised mean loss, pair by pair."""
    total, pairs = 0.0, 0
    for i in range(len(y)):
        for j in range(len(y)):
            if y[i] > y[j]:
                total += np.log(1 + np.exp(-weights @ (X[i] - X[j])))
                pairs += 1
    return total / pairs + penalty / 2 * weights @ weights


class TestPairwise:
    def test_weights_minimise_the_loss_over_pairs(self):
        X, y = made(15)
        y = np.round(y)  # some are equal, and say nothing
        found = module._fitted(X, y, 0.01)
        best = minimize(pair_loss, np.zeros(3), args=(X, y, 0.01), tol=1e-10).x
        np.testing.assert_allclose(found, best, atol=1e-3)
        assert pair_loss(found, X, y, 0.01) <= pair_loss(best, X, y, 0.01) + 1e-7

    def test_the_penalty_compares_held_out_ones_best(self):
        X, y = made(23, columns=8)
        X, y = X[np.argsort(y)], np.sort(y)
        losses = []
        for penalty in module._PENALTIES:
            total = 0.0
            for k in range(5):
                held = np.arange(23) % 5 == k
                weights = module._fitted(X[~held], y[~held], penalty)
                for i in np.flatnonzero(held):
                    for j in np.flatnonzero(~held):
                        better, worse = (i, j) if y[i] > y[j] else (j, i)
                        total += np.log(1 + np.exp(-weights @ (X[better] - X[worse])))
            losses.append(total)
        assert module._best_penalty(X, y) == module._PENALTIES[np.argmin(losses)]

    def test_the_score_is_that_of_the_share_it_beats(self, monkeypatch):
        X, y = made(30)
        model = Pairwise().fit(X, y)
        features = norm.ppf((np.apply_along_axis(rankdata, 0, X) - 0.5) / 30)
        new = np.random.default_rng(1).normal(size=(5, 3))
        share = [np.mean([1 / (1 + np.exp(-model.coef_ @ (x - z))) for z in features]) for x in new]
        np.testing.assert_allclose(model._scores(new), norm.ppf(share), rtol=1e-9)
        whole = model._scores(features)
        monkeypatch.setattr(module, "_BLOCK", 7)
        np.testing.assert_allclose(model._scores(features), whole, rtol=1e-12)
        assert list(model.weights().values()) == model.coef_.tolist()

    def test_one_that_surely_beats_all_has_an_end(self):
        X, y = made(30)
        model = Pairwise().fit(X, y)
        assert np.isfinite(model._scores(np.array([[1e9, 0, 0], [-1e9, 0, 0]]))).all()

    def test_indicators_that_say_nothing_leave_all_alike(self):
        model = Pairwise().fit(np.ones((9, 2)), np.arange(9.0))
        np.testing.assert_allclose(model.predict(np.zeros((3, 2))), 4)


class TestLambdaRank:
    def test_scores_are_the_line_that_held_out_ones_follow(self):
        X, y = made(53)
        model = LambdaRank(n_estimators=30, n_members=1).fit(X, y)
        rows = np.argsort(y)
        features = model.transformer_.transform(X)[np.ix_(rows, model.columns_)]
        goal = norm.ppf((np.arange(53) + 0.5) / 53)
        held_out = np.empty(53)
        for k in range(5):
            fold = np.arange(53) % 5 == k
            held_out[fold] = model._mean(model._ranked(features[~fold], goal[~fold]), features[fold])
        slope, intercept = np.polyfit(held_out, goal, 1)
        assert slope > 0
        np.testing.assert_allclose([model.slope_, model.intercept_], [slope, intercept], rtol=1e-6)
        raw = model._mean(model.boosters_, model.transformer_.transform(X)[:, model.columns_])
        np.testing.assert_allclose(model._scores(model._features(X)), intercept + slope * raw)
        assert np.corrcoef(rankdata(model.predict(X)), rankdata(y))[0, 1] > 0.9

    def test_grades_are_equal_parts_of_the_ranks(self, monkeypatch):
        seen = []
        monkeypatch.setattr(
            LambdaRank, "_grow", lambda self, features, label, group: seen.append((label, group))
        )
        LambdaRank()._ranked(np.zeros((62, 1)), np.sort(np.random.default_rng(0).normal(size=62)))
        LambdaRank()._ranked(np.zeros((4, 1)), np.array([0.0, 1.0, 1.0, 2.0]))
        (label, group), (tied, _) = seen
        assert label.tolist() == np.repeat(np.arange(31), 2).tolist()
        assert group == [62]
        assert tied.tolist() == [0, 7, 7, 23]

    def test_noise_keeps_an_order_and_predicts_next_to_nothing(self):
        rng = np.random.default_rng(0)
        for _ in range(20):
            X, y = rng.normal(size=(40, 1)), rng.normal(size=40)
            assert LambdaRank(n_estimators=5, n_members=1).fit(X, y).slope_ > 0

    def test_a_text_grown_to_something_else_is_refused(self):
        X, y = made(30)
        state = LambdaRank(n_estimators=3, n_members=1).fit(X, y).to_state()
        assert len(members(state.files["model.txt"], 3, "lambdarank")) == 1
        with pytest.raises(ValueError, match="the trees' objective is not what Fusion writes"):
            members(state.files["model.txt"], 3, "regression")

    @pytest.mark.parametrize("change", [{"columns": [0, 1]}, {"columns": [0, 0, 1]}, {"slope": None}])
    def test_a_state_that_is_none_is_refused(self, change):
        X, y = made(30)
        model = LambdaRank(n_estimators=3, n_members=1).fit(X, y)
        state = model.to_state()
        state.values["learned"].update(change)
        with pytest.raises(ValueError, match=r"columns|slope"):
            LambdaRank(n_estimators=3, n_members=1).restore(state)
