"""Values that remember what metrics share: the same results as of fresh arrays."""

import numpy as np
import pytest
from scipy import stats

from fusion.evaluation import METRICS
from fusion.evaluation.metrics import krocc
from fusion.evaluation.values import Values


def drawn(n, seed=0, digits=1):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n).round(digits)
    return y, (y + rng.normal(size=n)).round(digits)


@pytest.mark.parametrize("n", [8, 40, 200, 201, 450])
@pytest.mark.parametrize("digits", [0, 1, 9])
def test_kendalls_tau_is_that_of_scipy(n, digits):
    y, p = drawn(n, digits=digits)
    assert krocc(y, p) == pytest.approx(stats.kendalltau(y, p).statistic, abs=1e-14)
    assert krocc(y, y) == pytest.approx(1, abs=1e-14)
    assert krocc(y, -y) == pytest.approx(-1, abs=1e-14)


@pytest.mark.parametrize("n", [30, 260])
def test_metrics_of_values_used_again_are_those_of_arrays(n):
    y, p = drawn(n)
    _, other = drawn(n, seed=1)
    measured = Values.of(y)
    for predicted in (p, other, p):
        values = Values.of(predicted)
        for metric in METRICS.values():
            expected = metric.function(y.tolist(), predicted)
            np.testing.assert_equal(metric.function(measured, values), expected)


def test_they_are_a_copy_that_cannot_be_written_to():
    y, _ = drawn(5)
    values = Values.of(y)
    y[0] = 7
    assert values[0] != 7
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1
    assert Values.of(values) is values
    # what is made of them has nothing of theirs
    assert values.finite
    assert not (values * np.inf).finite


def test_what_is_remembered():
    values = Values.of([[3.0, 1.0], [3.0, 2.0]])
    assert values.ranks.tolist() == [3.5, 1, 3.5, 2]
    assert values.descending.tolist() == [3, 3, 2, 1]
    assert values.ties == 1
    assert values.signs[0].tolist() == [0, 1, 0, 1]
    assert not Values.of([]).finite
    assert not Values.of([1.0, 1.0]).vary
