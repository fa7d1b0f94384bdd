"""What holds for every registered model, from a package too."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.feature_selection import VarianceThreshold
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import check_estimator

from fusion.errors import FusionError
from fusion.regression import MODELS, FusionModel, ModelSpec, Predictor, fit
from fusion.regression.base import pool_values
from fusion.tables import Pool
from tests.regression.small import SMALL, small
from tests.tables.small import NAMES, labelled

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.parametrize("name", list(MODELS)),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """As many networks in the table as have an accuracy: what slices X would slice a frame of them."""
    return labelled(tmp_path_factory.mktemp("contract") / "t", n=36, measured=36)


def test_scikit_learns_own_checks(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(small(name), on_skip=None)
    # none is exempt; the array-API check is left out by scikit-learn unless an environment variable is set
    assert {r["check_name"] for r in results if r["status"] != "passed"} <= {"check_array_api_input"}
    assert len(results) > 40


def test_saved_and_loaded_it_predicts_the_same_to_the_last_bit(name, data, tmp_path):
    predictor = fit(data, ModelSpec(name, params=SMALL.get(name, {})))
    predictor.save(tmp_path)
    assert Predictor.load(tmp_path).predict(data.table).equals(predictor.predict(data.table))
    assert set(MODELS[name].files) == {file.name for file in tmp_path.iterdir()} - {
        "model.json",
        "card.md",
    }


def test_a_prediction_does_not_depend_on_its_neighbours(name, data):
    model = small(name).fit(data.X, data.y, pool=data.pool)
    whole = model.predict(data.X)
    alone = [model.predict(data.X.iloc[[i]])[0] for i in range(len(data.X))]
    np.testing.assert_allclose(whole, alone, rtol=1e-12)
    order = np.random.default_rng(0).permutation(len(data.X))
    np.testing.assert_allclose(model.predict(data.X.iloc[order]), whole[order], rtol=1e-12)


def test_intervals(name, data):
    model = small(name).fit(data.X, data.y, pool=data.pool)
    if model.gives == "score":
        with pytest.raises(FusionError, match="predicts no accuracies"):
            model.calibrate(data.X, data.y)
        return
    with pytest.raises(FusionError, match=r"not calibrated; call calibrate\(X, y\)"):
        model.predict_interval(data.X)
    model.calibrate(data.X, data.y, pool=data.pool)
    predicted = model.predict(data.X)
    widths = []
    for coverage in (0.1, 0.5, 0.9, 0.99):
        low, high = model.predict_interval(data.X, coverage).T
        assert np.isfinite([low, high]).all()
        assert ((low <= predicted) & (predicted <= high)).all()
        widths.append(high - low)
    assert (np.diff(widths, axis=0) >= 0).all()
    assert model.has_spread == (type(model)._spreads is not FusionModel._spreads)
    # saved and loaded, and whatever other architectures are asked for
    restored = small(name)
    restored.restore(model.to_state())
    assert np.array_equal(restored.predict_interval(data.X), model.predict_interval(data.X))
    alone = [model.predict_interval(data.X.iloc[[i]])[0] for i in range(5)]
    np.testing.assert_allclose(model.predict_interval(data.X)[:5], alone, rtol=1e-9)
    # fitted again, it is not calibrated
    assert model.fit(data.X, data.y).calibration_ is None


def test_a_loaded_model_which_knows_no_ends_is_calibrated_alike(name, data):
    """It is fitted again on each fold from the start; one fitted here shares what the pool taught."""
    model = small(name).fit(data.X, data.y, pool=data.pool)
    if model.gives == "score":
        pytest.skip("predicts no accuracies")
    loaded = small(name)
    loaded.restore(model.to_state())
    known = {"n_features_in_": model.n_features_in_, "feature_names_in_": model.feature_names_in_}
    vars(loaded).update(known)
    for each in (model, loaded):
        each.calibrate(data.X, data.y, pool=data.pool, groups=data.twins)
    found, expected = (each.predict_interval(data.X) for each in (model, loaded))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_nine_of_ten_held_out_accuracies_lie_within(name):
    if not MODELS[name].uses_labels:
        pytest.skip("predicts no accuracies")
    rng = np.random.default_rng(0)
    quality = rng.normal(size=500)
    X = quality[:, None] + rng.normal(size=(500, 4))
    y = 90 - np.exp(1 - quality) + 0.3 * rng.normal(size=500)
    model = small(name).fit(X[:100], y[:100]).calibrate(X[:100], y[:100])
    low, high = model.predict_interval(X[100:]).T
    assert 0.83 < np.mean((low <= y[100:]) & (y[100:] <= high)) < 0.96
    low, high = model.predict_interval(X[100:], 0.5).T
    assert 0.38 < np.mean((low <= y[100:]) & (y[100:] <= high)) < 0.62


# bagged and with columns drawn by their number, its trees are others in another order
ORDERED = {"lightgbm"}


def test_the_order_of_architectures_and_indicators_does_not_matter(name, data):
    if name in ORDERED:
        pytest.skip("draws rows and columns by their number")
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(len(data.X)), rng.permutation(data.X.columns)
    pool = data.pool.table.sample(frac=1, random_state=2)
    first = small(name).fit(data.X, data.y, pool=data.pool)
    other = small(name).fit(data.X.iloc[rows][columns], data.y.iloc[rows], pool=pool[columns])
    np.testing.assert_allclose(other.predict(data.X[columns]), first.predict(data.X), rtol=1e-9)


def test_indicators_in_another_order_are_the_same_indicators(name, data):
    spec = ModelSpec(name, params=SMALL.get(name, {}))
    model = spec.make(NAMES).fit(data.X, data.y, pool=data.pool)
    shuffled = data.X[NAMES[::-1]].assign(extra=0.0)
    assert np.array_equal(model.predict(shuffled), model.predict(data.X))
    other = spec.make(NAMES).fit(shuffled, data.y, pool=Pool(data.pool.table[NAMES[::-1]]))
    assert np.array_equal(other.predict(data.X), model.predict(data.X))


def test_fitting_again_is_fitting_anew(name, data):
    model = small(name)
    first = model.fit(data.X, data.y, pool=data.pool).predict(data.X)
    model.fit(data.X[:20], data.y[:20])
    assert np.array_equal(model.fit(data.X, data.y, pool=data.pool).predict(data.X), first)
    assert np.array_equal(clone(model).fit(data.X, data.y, pool=data.pool).predict(data.X), first)


class TestPool:
    """A pool reaches each fit of a split whole, though it has as many rows as X."""

    @pytest.fixture
    def seen(self, name, monkeypatch):
        """Of each fit: rows of X, rows of the pool that it got, None without one."""
        found = []
        estimator = MODELS[name]
        original = estimator.fit

        def watched(self, X, y, pool=None):
            original(self, X, y, pool=pool)
            size = None if pool is None else len(pool_values(pool))
            found.append((len(X), size))
            if hasattr(self, "transformer_"):
                assert self.transformer_.n_reference_ == (size or len(X))
            return self

        monkeypatch.setattr(estimator, "fit", watched)
        return found

    def test_cross_val_score(self, name, data, seen):
        scores = cross_val_score(
            small(name), data.X, data.y, cv=3, params={"pool": data.pool}, error_score="raise"
        )
        assert np.isfinite(scores).all()
        assert seen == [(24, 36)] * 3

    def test_a_frame_would_be_sliced(self, name, data, seen):
        cross_val_score(small(name), data.X, data.y, cv=3, params={"pool": data.pool.table})
        assert seen == [(24, 24)] * 3  # why there is Pool

    def test_grid_search(self, name, data, seen):
        options = {"weighted_sum": {"penalty": ["loo", "none"]}, "lightgbm": {"num_leaves": [3, 4]}}
        search = GridSearchCV(small(name), options.get(name, {}), cv=3, error_score="raise")
        search.fit(data.X, data.y, pool=data.pool)
        assert [rows for rows, _ in seen] == [24] * (len(seen) - 1) + [36]
        assert {size for _, size in seen} == {36}
        assert np.isfinite(search.predict(data.X)).all()

    def test_pipeline(self, name, data, seen):
        steps = Pipeline(
            [("choose", VarianceThreshold().set_output(transform="pandas")), ("model", small(name))]
        )
        X, pool = data.X[NAMES], data.pool.of(NAMES)  # what is the same in a fold would be dropped there
        for params in ({}, {"model__pool": pool}):
            scores = cross_val_score(steps, X, data.y, cv=3, params=params, error_score="raise")
            assert np.isfinite(scores).all()
        assert seen == [(24, None)] * 3 + [(24, 36)] * 3
        search = GridSearchCV(steps, {"choose__threshold": [0.0, 0.1]}, cv=3, error_score="raise")
        search.fit(X, data.y, model__pool=pool)
        assert np.isfinite(search.predict(X)).all()

    def test_on_indicators(self, name, data, seen):
        model = ModelSpec(name, "cj,os,nlr,cnntk", SMALL.get(name, {})).make(data.X.columns)
        cross_val_score(model, data.X, data.y, cv=3, params={"pool": data.pool}, error_score="raise")
        assert seen == [(24, 36 if model.uses_pool else None)] * 3

    def test_it_has_neither_length_nor_shape(self, name, data):
        for attribute in ("__len__", "shape", "__array__", "__getitem__", "iloc"):
            assert not hasattr(data.pool, attribute)
        assert isinstance(data.pool.table, pd.DataFrame)
        assert len(data.pool.table) == len(data.X)
