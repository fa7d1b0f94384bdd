"""Intervals: held-out errors, what is held out together, and the ends."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.errors import FusionError
from fusion.regression import GaussianProcess, Predictor, WeightedSum, fit
from fusion.regression.calibration import Calibration, folds_of
from fusion.regression.target import learn_target, to_accuracies, to_scores
from tests.tables.small import accuracies_of, distinct, labelled, table_of, values_of


def made(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, 80 + 3 * X[:, 0] + rng.normal(size=n)


class TestFolds:
    @settings(deadline=None, max_examples=100)
    @given(st.lists(st.integers(0, 30), min_size=3, max_size=80), st.randoms(use_true_random=False))
    def test_groups_stay_together_whatever_the_order(self, groups, draw):
        groups = np.array(groups)
        n, different = len(groups), len(set(groups.tolist()))
        values, y = made(n)
        if different < 2:
            with pytest.raises(FusionError, match="one group"):
                folds_of(values, y, groups, 1)
            return
        found = folds_of(values, y, groups, 1)
        assert all(len(set(found[groups == group])) == 1 for group in set(groups.tolist()))
        assert sorted(set(found)) == list(range(different if different <= 20 else 10))
        order = list(range(n))
        draw.shuffle(order)
        again = folds_of(values[order][:, [2, 0, 1]], y[order], groups[order], 1)
        assert np.array_equal(again, found[order])

    def test_like_sizes_in_no_order_of_accuracy(self):
        values, y = made(205)
        found = folds_of(values, y, None, 1)
        assert sorted(np.bincount(found)) == [20] * 5 + [21] * 5
        means = [y[found == fold].mean() for fold in range(10)]
        assert np.ptp(means) < 3  # sorted, it would be over 10

    def test_too_few_are_told(self):
        values, y = made(4)
        with pytest.raises(FusionError, match="4 architectures are too few for intervals; give 5"):
            folds_of(values, y, None, 4)
        with pytest.raises(FusionError, match="give one group each"):
            folds_of(values, y, [1, 2], 1)


@pytest.mark.parametrize("n", [12, 45])
def test_conformity_is_the_error_of_what_was_held_out(n):
    X, y = made(n)
    for model in (WeightedSum(), WeightedSum(target="accuracy"), GaussianProcess()):
        calibrated = model.fit(X, y).calibrate(X, y)
        folds = folds_of(X, y, None, 1)
        errors, spreads = np.empty(n), np.ones(n)
        for fold in set(folds):
            held = folds == fold
            other = type(model)(**model.get_params()).fit(X[~held], y[~held])
            errors[held] = to_scores(y[held], other.levels_) - other._scores(other._features(X[held]))
            if model.has_spread:
                spreads[held] = other._spreads(other._features(X[held]))
        constant = 0.1 * np.median(spreads)
        expected = np.sort(np.abs(errors) / (spreads + constant))
        np.testing.assert_allclose(calibrated.calibration_.conformity, expected)
        rank = int(np.ceil(0.8 * (n + 1)))
        features = calibrated._features(X)
        own = calibrated._spreads(features) + constant
        score = calibrated._scores(features)
        found = calibrated.predict_interval(X, 0.8)
        low = to_accuracies(score - expected[rank - 1] * own, calibrated.levels_)
        widest = y.min() - np.ptp(y)
        np.testing.assert_allclose(found[:, 0], np.maximum(low, widest))


class TestQuantile:
    def calibration(self, n):
        errors = np.arange(1.0, n + 1)
        return Calibration(errors, 0.0, -100.0, 100.0)

    @pytest.mark.parametrize(
        ("n", "coverage", "rank"), [(9, 0.9, 9), (19, 0.9, 18), (99, 0.9, 90), (99, 0.95, 95), (10, 0.05, 1)]
    )
    def test_the_rank_counts_the_new_one_too(self, n, coverage, rank):
        assert self.calibration(n).half_widths(np.array([2.0]), coverage) == [2.0 * rank]

    def test_too_few_for_such_a_coverage_is_as_wide_as_can_be(self):
        assert self.calibration(8).half_widths(np.ones(2), 0.9).tolist() == [np.inf, np.inf]
        X, y = made(8)
        found = WeightedSum().fit(X, y).calibrate(X, y).predict_interval(X, 0.9)
        assert np.array_equal(found, [[y.min() - np.ptp(y), y.max() + np.ptp(y)]] * 8)

    @pytest.mark.parametrize("coverage", [0, 1, -0.1, 90, np.nan])
    def test_coverage_is_a_share(self, coverage):
        with pytest.raises(FusionError, match=r"not between 0 and 1, such as 0\.9"):
            self.calibration(9).half_widths(np.ones(1), coverage)

    def test_the_prediction_is_inside_even_beyond_the_ends(self):
        ends = self.calibration(9).clipped(np.array([120.0]), np.array([130.0]), np.array([140.0]))
        assert ends.tolist() == [[100.0, 130.0]] or ends.tolist() == [[120.0, 130.0]]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=2, max_size=30, unique=True),
    st.lists(st.floats(-5, 5), min_size=1, max_size=9),
)
def test_scores_of_accuracies_are_the_inverse(accuracies, scores):
    _, levels = learn_target("gaussian", np.array(accuracies))
    there = to_accuracies(np.array(scores), levels)
    np.testing.assert_allclose(to_scores(there, levels), scores, atol=1e-6)


def test_scores_where_all_accuracies_were_the_same():
    _, levels = learn_target("gaussian", np.full(5, 70.0))
    assert to_scores(np.array([70.0, 72.0]), levels).tolist() == [0.0, 2.0]


STATES = {
    "unsorted": {"conformity": [2.0, 1.0]},
    "negative": {"conformity": [-1.0, 1.0]},
    "none": {"conformity": []},
    "no list": {"conformity": 3.0},
    "constant": {"constant": -0.5},
    "ends": {"low": 5.0, "high": 1.0},
    "no number": {"low": "x"},
}


@pytest.mark.parametrize("what", list(STATES))
def test_a_state_that_is_none_is_refused(what):
    state = Calibration(np.array([1.0, 2.0]), 0.1, 0.0, 9.0).to_state()
    again = Calibration.from_state(state)
    assert again.to_state() == state
    with pytest.raises(ValueError, match=r"conformity|calibration|low"):
        Calibration.from_state({**state, **STATES[what]})
    with pytest.raises(ValueError, match="no object"):
        Calibration.from_state([1])


@pytest.mark.filterwarnings("ignore::UserWarning")
class TestPredictor:
    def test_a_column_for_each_end(self, tmp_path):
        data = labelled(tmp_path / "t")
        predictor = fit(data, "weighted_sum")
        found = predictor.predict(data.table, interval=0.8)
        assert list(found.columns) == ["predicted", "low", "high"]
        assert found["predicted"].equals(predictor.predict(data.table).rename("predicted"))
        ends = predictor.model.predict_interval(data.pool.table, 0.8)
        assert np.array_equal(found[["low", "high"]], ends)
        own = WeightedSum().fit(data.X, data.y, pool=data.pool)
        own.calibrate(data.X, data.y, pool=data.pool, groups=data.twins)
        assert np.array_equal(own.predict_interval(data.pool.table, 0.8), ends)
        predictor.save(tmp_path / "m")
        assert Predictor.load(tmp_path / "m").predict(data.table, interval=0.8).equals(found)

    def test_of_errors_the_ends_change_places(self, tmp_path):
        values, quality = values_of(distinct(60))
        table = table_of(tmp_path / "t", values)
        up = fit(table.labelled(accuracies_of(80 + 5 * quality)), "weighted_sum")
        down = fit(table.labelled(accuracies_of(-(20 - 5 * quality), lower_is_better=True)), "weighted_sum")
        above, below = (one.predict(table, interval=0.9) for one in (up, down))
        np.testing.assert_allclose(below["low"], 100 - above["high"])
        np.testing.assert_allclose(below["high"], 100 - above["low"])
        assert (below["low"] < below["high"]).all()

    def test_strings_of_one_network_are_held_out_together(self, tmp_path, monkeypatch):
        seen = []
        monkeypatch.setattr(
            "fusion.regression.base.folds_of",
            lambda *args: seen.append(np.asarray(args[2])) or folds_of(*args),
        )
        data = labelled(tmp_path / "t")
        fit(data, "weighted_sum")
        assert np.array_equal(seen[0], data.twins)

    def test_two_networks_have_none(self, tmp_path):
        data = labelled(tmp_path / "t", measured=2)
        predictor = fit(data, "lightgbm")
        assert len(predictor.predict(data.table)) == 60
        with pytest.raises(FusionError, match="2 networks are too few for intervals; fit more"):
            predictor.predict(data.table, interval=0.9)
        assert fit(labelled(tmp_path / "u", measured=3), "lightgbm").fitted.calibration_ is not None

    def test_several_tables_have_none(self, tmp_path):
        datas = [labelled(tmp_path / "a"), labelled(tmp_path / "b", n=50, draw=1)]
        with pytest.raises(FusionError, match="a model of several tables has no intervals"):
            fit(datas, "weighted_sum").predict(datas[0].table, interval=0.9)

    def test_an_index_of_architectures_as_given(self, tmp_path, monkeypatch):
        data = labelled(tmp_path / "t")
        predictor = fit(data, "weighted_sum")
        monkeypatch.setattr(
            type(predictor), "_extract", lambda self, archs, *_: data.pool.table.loc[list(archs)]
        )
        keys = list(data.table.values().index[:3])
        found = predictor.predict(keys, interval=0.9)
        assert isinstance(found, pd.DataFrame)
        assert (list(found.index), found.index.name) == (keys, "arch")


def test_a_model_with_a_fit_of_its_own_is_fitted_by_it(tmp_path):
    data = labelled(tmp_path / "t", 30)
    fitted = []

    class Own(WeightedSum):
        def fit(self, X, y, pool=None):
            fitted.append(len(y))
            return super().fit(X, y, pool)

    model = Own().fit(data.X, data.y, pool=data.pool)
    assert model.calibrate(data.X, data.y, pool=data.pool).calibration_ is not None
    assert sum(fitted) == len(data.y) * (len(fitted) - 1)  # all, and then without each fold
    plain = WeightedSum().fit(data.X, data.y, pool=data.pool).calibrate(data.X, data.y, pool=data.pool)
    np.testing.assert_allclose(model.calibration_.conformity, plain.calibration_.conformity)
