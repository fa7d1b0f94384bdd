"""What holds for every model and the transformation alike."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import check_estimator

from fusion.errors import FusionError
from fusion.regression import MODELS, IndicatorTransform, LightGBM, WeightedSum, make_model
from tests.regression.small import small

KINDS = ["quantile", "signed_log", "standard", "none"]


@pytest.mark.parametrize(
    "estimator",
    [
        *(IndicatorTransform(kind) for kind in KINDS),
        *(WeightedSum(kind) for kind in KINDS[1:]),  # of the registered ones, see test_contract.py
    ],
    ids=repr,
)
def test_scikit_learns_own_checks(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_skip=None)
    # none is exempt; the array-API check is left out by scikit-learn unless an environment variable is set
    assert {r["check_name"] for r in results if r["status"] != "passed"} <= {"check_array_api_input"}
    assert len(results) > 40


@pytest.fixture
def table():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 3)) * 10.0 ** rng.integers(-30, 31, (60, 3))
    values[rng.random(values.shape) < 0.1] = np.nan
    values[4, 1] = np.inf
    return pd.DataFrame(values, index=[f"arch{i}" for i in range(60)], columns=["a", "b", "c"])


@pytest.mark.parametrize("name", list(MODELS))
class TestEveryModel:
    def test_accuracies_must_be_finite(self, name, table):
        for bad in (np.nan, np.inf):
            y = np.full(60, 70.0)
            y[7] = bad
            with pytest.raises(ValueError, match="contains"):
                small(name).fit(table, y)

    def test_frame_or_array_gives_the_same(self, name, table):
        y = np.random.default_rng(0).normal(70, 5, 60)
        framed = small(name).fit(table, y).predict(table)
        plain = small(name).fit(table.to_numpy(), y).predict(table.to_numpy())
        assert np.array_equal(framed, plain)
        assert np.isfinite(framed).all()
        assert framed.std() > 0

    def test_infinite_is_missing(self, name, table):
        y = np.random.default_rng(0).normal(70, 5, 60)
        expected = small(name).fit(table, y).predict(table)
        without = table.replace([np.inf, -np.inf], np.nan)
        assert np.array_equal(small(name).fit(without, y).predict(without), expected)

    def test_a_prediction_does_not_depend_on_its_neighbours(self, name, table):
        model = small(name).fit(table, np.arange(60.0))
        one_by_one = [model.predict(table.iloc[[i]])[0] for i in range(60)]
        np.testing.assert_allclose(model.predict(table), one_by_one, rtol=1e-12)

    def test_columns_in_another_order_are_refused(self, name, table):
        model = small(name).fit(table, np.arange(60.0))
        with pytest.raises(ValueError, match="order"):
            model.predict(table[["c", "b", "a"]])

    def test_pool_must_have_the_same_columns(self, name, table):
        with pytest.raises(ValueError, match="feature names"):
            small(name).fit(table, np.arange(60.0), pool=table.rename(columns={"a": "z"}))

    def test_pool_is_what_is_transformed_by(self, name, table):
        # architectures 0..9 are labelled; among them column "a" is constant, in the pool it is not
        table.iloc[:10, 0] = 1.0
        y = np.arange(10.0)
        assert MODELS[name].uses_pool
        with_pool = small(name).fit(table[:10], y, pool=table)
        without = small(name).fit(table[:10], y)
        assert (with_pool.reference_, without.reference_) == ("pool", "training")
        assert with_pool.transformer_.n_reference_ == 60
        assert with_pool.transformer_.transform(table.to_numpy())[:, 0].max() > 1
        assert (without.transformer_.transform(table.to_numpy())[:, 0] == 0).all()

    def test_weights_are_named_numbers_or_none(self, name, table):
        model = small(name).fit(table, np.arange(60.0))
        expected = (
            ["a", "b", "c", "missing(a)", "missing(b)", "missing(c)"] if hasattr(model, "coef_") else []
        )
        if name == "consensus":
            expected = ["a", "b", "c"]
            model.coef_ = model.weights_
        assert list(model.weights()) == expected
        assert list(model.weights().values()) == list(getattr(model, "coef_", []))


def test_make_model_explains_what_is_unknown():
    assert make_model("weighted_sum", transformation="standard").transformation == "standard"
    with pytest.raises(FusionError, match="did you mean 'lightgbm'"):
        make_model("lightgbn")
    with pytest.raises(FusionError, match="'weighted_sum' has no setting 'depth'; known: transformation"):
        make_model("weighted_sum", depth=3)


def test_without_lightgbm_only_its_model_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(FusionError, match="pip install lightgbm"):
        LightGBM().fit(np.ones((9, 1)), np.arange(9.0))
    code = "import sys; sys.modules['lightgbm'] = None; import fusion.regression as r; r.WeightedSum()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
