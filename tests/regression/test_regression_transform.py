import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from fusion.errors import FusionError
from fusion.regression import IndicatorTransform

KINDS = ["quantile", "signed_log", "standard", "none"]
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def column(values):
    return np.asarray(values, dtype=float)[:, None]


def test_quantile_is_the_normal_score_of_the_mid_rank():
    values = np.random.default_rng(0).integers(0, 12, 50) * 10.0
    expected = norm.ppf((rankdata(values) - 0.5) / 50)  # rankdata averages ties
    assert np.allclose(IndicatorTransform().fit_transform(column(values))[:, 0], expected, atol=1e-12)


def test_quantile_is_linear_between_and_constant_beyond_the_reference():
    reference = np.array([1.0, 2.0, 2.0, 5.0])
    x = np.array([-1e9, 1.0, 1.25, 3.5, 5.0, 1e60])
    cdf = np.array([0.125, 0.125, 0.125 + 0.25 * 0.375, 0.5 + 0.5 * 0.375, 0.875, 0.875])
    scores = IndicatorTransform().fit(column(reference)).transform(column(x))[:, 0]
    assert np.allclose(scores, norm.ppf(cdf), atol=1e-12)


@settings(deadline=None, max_examples=200)
@given(st.lists(FINITE, min_size=1, max_size=20), st.lists(FINITE, min_size=2, max_size=20))
def test_quantile_is_monotone_and_bounded_for_any_floats(reference, values):
    x = np.sort([*values, *reference])
    scores = IndicatorTransform().fit(column(reference)).transform(column(x))[:, 0]
    assert (np.diff(scores) >= 0).all()
    assert np.abs(scores).max() <= norm.ppf(1 - 0.5 / len(reference)) + 1e-12


def test_quantile_tells_the_smallest_and_the_largest_floats_apart():
    values = np.array([-1.7e308, 0.0, 5e-324, 1e-323, 1.7e308])
    expected = norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = IndicatorTransform().fit_transform(column(values))[:, 0]
    assert np.allclose(scores, expected, atol=1e-12)


def test_signed_log_formula():
    rng = np.random.default_rng(1)
    reference, x = (rng.normal(size=99) * 10.0 ** rng.integers(-8, 9, 99) for _ in range(2))
    s = np.median(np.abs(reference))
    logs = np.sign(reference) * np.log1p(np.abs(reference) / s)
    expected = (np.sign(x) * np.log1p(np.abs(x) / s) - logs.mean()) / logs.std()
    scores = IndicatorTransform("signed_log").fit(column(reference)).transform(column(x))[:, 0]
    assert np.allclose(scores, expected, rtol=1e-10, atol=1e-12)


def test_signed_log_scale_is_one_where_the_median_is_zero():
    reference = np.array([0.0, 0.0, 0.0, 7.0, -0.5])
    logs = np.sign(reference) * np.log1p(np.abs(reference))
    expected = (logs - logs.mean()) / logs.std()
    assert np.allclose(IndicatorTransform("signed_log").fit_transform(column(reference))[:, 0], expected)


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_standard_formula_at_any_magnitude(scale):
    base = np.random.default_rng(2).normal(3, 2, 40)
    expected = (base - base.mean()) / base.std()
    assert np.allclose(IndicatorTransform("standard").fit_transform(column(base * scale))[:, 0], expected)


def test_none_keeps_values_and_fills_with_the_mean():
    X = np.array([[1e60, 1.0], [np.nan, 2.0], [3e60, np.inf]])
    assert np.allclose(IndicatorTransform("none").fit_transform(X), [[1e60, 1], [2e60, 2], [3e60, 1.5]])


@pytest.mark.parametrize("kind", KINDS[:3])
def test_missing_values_become_the_middle_and_are_flagged(kind):
    X = pd.DataFrame({"full": [1.0, 2, 3, 4], "holes": [np.nan, 1.0, np.inf, 5.0]})
    transform = IndicatorTransform(kind).fit(X)
    assert list(transform.get_feature_names_out()) == ["full", "holes", "missing(holes)"]
    features = transform.transform(X)
    assert features[:, 2].tolist() == [1, 0, 1, 0]
    assert (features[[0, 2], 1] == 0).all()
    assert features[1, 1] < 0 < features[3, 1]
    # missing later in a column that had all values: the middle, and no new column
    later = transform.transform(pd.DataFrame({"full": [-np.inf], "holes": [1.0]}))
    assert later.shape == (1, 3)
    assert later[0, 0] == 0


@pytest.mark.parametrize("kind", KINDS[:3])
def test_columns_that_say_nothing_become_zero_without_warnings(kind):
    # the mean of 27 times log(2) is not log(2): rounding must not pass for a spread
    X = np.column_stack([np.full(27, 0.1), np.full(27, -3e-70), np.zeros(27), np.full(27, np.nan)])
    others = np.array([[5.0, 1e10, 1.0, 2.0], [-1e30, 0.0, -1.0, np.nan]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transform = IndicatorTransform(kind).fit(X)
        assert (transform.transform(X) == np.array([0, 0, 0, 0, 1.0])).all()
        assert (transform.transform(others) == np.array([[0, 0, 0, 0, 0], [0, 0, 0, 0, 1.0]])).all()


@pytest.mark.parametrize("kind", KINDS)
def test_state_restores_to_the_last_bit(kind):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(30, 4)) * 10.0 ** rng.integers(-60, 61, (30, 4))
    X[rng.random(X.shape) < 0.2] = np.nan
    fitted = IndicatorTransform(kind).fit(X[:20])
    restored = IndicatorTransform(kind).restore(fitted.to_state())
    assert np.array_equal(restored.transform(X), fitted.transform(X))


def test_unknown_kind_is_explained():
    with pytest.raises(FusionError, match="unknown transformation 'quantil'; did you mean 'quantile'"):
        IndicatorTransform("quantil").fit(np.ones((3, 1)))


def test_missing_values_go_to_the_end_of_low_accuracy():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(40, 5))
    X[rng.random(X.shape) < 0.2] = np.nan
    X[:, 3] = 2.0  # constant where there are accuracies
    y = np.nansum(X * [1, -1, 0.5, 0, 0], axis=1) + 0.1 * rng.normal(size=40)
    reference = np.vstack([X, rng.normal(size=(9, 5))])
    transform = IndicatorTransform().fit(reference)
    transform.orient(transform.scores(X), y)
    scores = transform.scores(X)
    ends = transform.scores(np.array([np.nanmin(reference, axis=0), np.nanmax(reference, axis=0)]))
    for j in range(5):
        here = np.isfinite(scores[:, j])
        covariance = np.cov(scores[here, j], y[here])[0, 1]
        expected = 0.0 if j == 3 else ends[0 if covariance > 0 else 1, j]
        assert transform.fill_[j] == expected, j
    again = transform.unturned()
    assert (again.fill_ == 0).all()
    assert (transform.fill_ != 0).any()
    assert np.array_equal(again.scores(X), transform.scores(X), equal_nan=True)


def test_without_marks_the_middle_stays():
    transform = IndicatorTransform("none").fit(np.array([[1.0], [np.nan], [3.0]]))
    transform.orient(transform.scores(np.array([[1.0], [3.0]])), np.array([1.0, 2.0]))
    assert transform.fill_.tolist() == [2.0]
