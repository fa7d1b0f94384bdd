import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import ndcg_score

from fusion.errors import FusionError
from fusion.evaluation import METRICS, split_half_reliability
from fusion.evaluation.metrics import (
    krocc,
    krocc_best_tenth,
    ndcg,
    plcc,
    precision_at_k,
    regret_at_k,
    rmse,
    srocc,
)

CORRELATIONS = (plcc, srocc, krocc)


def vectors(low=2, high=30):
    """Two vectors of one length, with ties."""
    numbers = st.integers(-6, 6).map(float) | st.floats(-1e3, 1e3, width=32)
    return st.integers(low, high).flatmap(
        lambda n: st.tuples(*[hnp.arrays(float, n, elements=numbers) for _ in range(2)])
    )


def brute_krocc(y, p):
    concordant, ties_y, ties_p, pairs = 0, 0, 0, 0
    for i, j in itertools.combinations(range(len(y)), 2):
        a, b = np.sign(y[i] - y[j]), np.sign(p[i] - p[j])
        concordant, ties_y, ties_p, pairs = (
            concordant + a * b,
            ties_y + (a == 0),
            ties_p + (b == 0),
            pairs + 1,
        )
    return concordant / math.sqrt((pairs - ties_y) * (pairs - ties_p))


@settings(max_examples=40, deadline=None)
@given(vectors())
def test_correlations_match_references(pair):
    y, p = pair
    if np.ptp(y) == 0 or np.ptp(p) == 0:
        assert all(math.isnan(metric(y, p)) for metric in CORRELATIONS)
        return
    assert srocc(y, p) == pytest.approx(stats.spearmanr(y, p).statistic, abs=1e-9)
    assert krocc(y, p) == pytest.approx(brute_krocc(y, p), abs=1e-9)
    if min(np.std(y), np.std(p)) > 1e-9:
        assert plcc(y, p) == pytest.approx(np.corrcoef(y, p)[0, 1], abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(vectors(low=80, high=130))
def test_krocc_of_the_best_tenth_is_that_of_those_measured_best(pair):
    y, p = pair
    last = sorted(y, reverse=True)[math.ceil(len(y) / 10) - 1]
    best = [i for i in range(len(y)) if y[i] >= last]
    if len(best) < 10 or np.ptp(y[best]) == 0 or np.ptp(p[best]) == 0:
        assert math.isnan(krocc_best_tenth(y, p))
    else:
        assert krocc_best_tenth(y, p) == pytest.approx(brute_krocc(y[best], p[best]), abs=1e-9)


@pytest.mark.parametrize(("n", "defined"), [(90, False), (91, True), (100, True)])
def test_a_best_tenth_of_fewer_than_ten_says_nothing(n, defined):
    y = np.random.default_rng(0).permutation(n).astype(float)
    assert math.isnan(krocc_best_tenth(y, y)) is not defined


@pytest.mark.parametrize("k", [1, 10, 100])
def test_registered_top_metrics_look_at_as_many_as_their_name_says(k):
    rng = np.random.default_rng(k)
    y, p = rng.normal(size=(2, 300))
    chosen = np.argsort(-p)[:k]
    assert METRICS[f"regret_at_{k}"].function(y, p) == pytest.approx(y.max() - y[chosen].max())
    if k > 1:
        share = len(set(chosen) & set(np.argsort(-y)[:k])) / k
        assert METRICS[f"precision_at_{k}"].function(y, p) == pytest.approx(share)
    assert math.isnan(METRICS[f"regret_at_{k}"].function(y[: 2 * k - 1], p[: 2 * k - 1]))
    assert METRICS[f"regret_at_{k}"].function(y[: 2 * k], p[: 2 * k]) >= 0


@settings(max_examples=40, deadline=None)
@given(vectors())
def test_rmse_matches_reference(pair):
    y, p = pair
    assert rmse(y, p) == pytest.approx(
        math.sqrt(sum((a - b) ** 2 for a, b in zip(y, p, strict=True)) / len(y))
    )


def test_plcc_of_values_whose_squares_overflow():
    y, p = np.random.default_rng(0).normal(size=(2, 50))
    assert plcc(y, p * 1e200) == pytest.approx(np.corrcoef(y, p)[0, 1])
    assert plcc(y, p * 1e-200) == pytest.approx(np.corrcoef(y, p)[0, 1])


@settings(max_examples=40, deadline=None)
@given(vectors())
def test_ndcg_matches_scikit_learn_on_the_same_gains(pair):
    y, p = pair
    if np.ptp(y) == 0:
        assert math.isnan(ndcg(y, p))
        return
    worse = (np.array([(y < value).sum() + (y <= value).sum() for value in y]) - 1) / 2
    gain = 2 ** (10 * worse / (len(y) - 1)) - 1
    assert ndcg(y, p) == pytest.approx(ndcg_score([gain], [p]))


@settings(max_examples=40, deadline=None)
@given(vectors(low=2, high=6), st.integers(1, 4))
def test_top_k_metrics_are_means_over_all_orders_of_ties(pair, k):
    y, p = pair
    if 2 * k > len(y):
        assert math.isnan(precision_at_k(y, p, k))
        assert math.isnan(regret_at_k(y, p, k))
        return
    kth_best = sorted(y)[-k]
    precision, regret = [], []
    for order in itertools.permutations(range(len(y))):
        chosen = sorted(order, key=lambda i: -p[i])[:k]  # stable: ties keep the order
        precision.append(sum(y[i] >= kth_best for i in chosen) / k)
        regret.append(max(y) - max(y[i] for i in chosen))
    assert regret_at_k(y, p, k) == pytest.approx(np.mean(regret), abs=1e-9)
    if np.ptp(y) > 0:
        assert precision_at_k(y, p, k) == pytest.approx(np.mean(precision))


def test_regret_is_exactly_zero_when_the_best_is_found():
    y = np.linspace(0.1, 0.9, 30)
    assert regret_at_k(y, y) == 0


def test_perfect_and_reversed_predictions():
    y = np.linspace(50, 94, 240)
    good = {name: metric.function(y, y) for name, metric in METRICS.items()}
    bad = {name: metric.function(y, 144 - y) for name, metric in METRICS.items()}
    for name, metric in METRICS.items():
        assert (good[name] > bad[name]) == metric.higher_is_better, name
        assert metric.formula
    assert good == pytest.approx({name: float(metric.higher_is_better) for name, metric in METRICS.items()})


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_input_gives_nan_without_a_warning(name, bad):
    y = np.arange(20.0)
    p = np.where(y == 3, bad, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(METRICS[name].function(y, p))
        assert math.isnan(METRICS[name].function(p, y))
        assert math.isnan(METRICS[name].function([], []))


@pytest.mark.parametrize("metric", CORRELATIONS)
@pytest.mark.parametrize("constant", [0.1, 0.0, 1e300])
def test_constant_input_gives_nan_without_a_warning(metric, constant):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(metric(np.arange(7.0), np.full(7, constant)))
        assert math.isnan(metric(np.full(7, constant), np.arange(7.0)))


def test_lengths_that_differ_are_refused():
    with pytest.raises(FusionError, match="3 measured accuracies but 2 predictions"):
        srocc([1, 2, 3], [1, 2])


def spearman_brown(r, k):
    return k * r / (1 + (k - 1) * r)


@pytest.mark.parametrize("seeds", [2, 3, 4, 5])
def test_split_half_reliability_over_all_ways(seeds):
    rng = np.random.default_rng(seeds)
    scores = rng.normal(size=(30, 1)) + rng.normal(size=(30, seeds))
    half, found = seeds // 2, []
    for order in itertools.permutations(range(seeds)):
        first, second = scores[:, order[:half]], scores[:, order[half : 2 * half]]
        found.append(stats.spearmanr(first.mean(axis=1), second.mean(axis=1)).statistic)
    assert split_half_reliability(scores) == pytest.approx(spearman_brown(np.mean(found), seeds / half))


def test_split_half_reliability_predicts_the_agreement_of_two_full_sets_of_seeds():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 1))
    one, other = (truth + 1.5 * rng.normal(size=(4000, 12)) for _ in range(2))
    agreement = stats.spearmanr(one.mean(axis=1), other.mean(axis=1)).statistic
    assert split_half_reliability(one) == pytest.approx(agreement, abs=0.02)
    assert split_half_reliability(one) == split_half_reliability(one)


def test_split_half_reliability_of_scores_without_agreement_or_with_gaps():
    rising = np.arange(20.0)
    assert split_half_reliability(np.column_stack([rising, -rising])) == -1
    gaps = np.column_stack([rising, rising**3])
    gaps[[3, 7], [0, 1]] = np.nan
    assert split_half_reliability(gaps) == 1
    assert math.isnan(split_half_reliability(rising[:, None]))
    assert math.isnan(split_half_reliability(np.ones((20, 4))))
    with pytest.raises(FusionError, match="one column per seed"):
        split_half_reliability(rising)


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_accuracies_that_span_one_unit_are_not_constant(metric):
    measured = np.linspace(0.0, 1.0, 201)
    assert np.isfinite(metric.function(measured, measured[::-1] + 3.0))
