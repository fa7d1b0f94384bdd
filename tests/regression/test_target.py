"""How close accuracies come to the best: the goal "gap", and the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.regression.target import learn_target, to_accuracies, to_scores


def gap(accuracies):
    """Return the definition, written out."""
    a = np.array(accuracies)
    room = a.max() - np.median(a)
    if room == 0:
        room = a.max() - a.min()
    raw = -np.log(a.max() + room / 2 - a)
    return (raw - raw.mean()) / raw.std()


@pytest.mark.parametrize(
    "accuracies",
    [
        [10.0, 70.0, 90.0, 91.0, 93.5, 94.0],
        [94.0, 94.0, 94.0, 90.0, 10.0],  # half of them are the best
        [94.0, 94.0, 50.0],
        [60.0, 70.0],
        [-0.3, -0.1, -0.2, -0.9],
    ],
)
@pytest.mark.parametrize("unit", [1.0, 1e300, 1e-300, 1e-12])
def test_it_is_the_formula_in_any_unit(accuracies, unit):
    goal, levels = learn_target("gap", unit * np.array(accuracies))
    np.testing.assert_allclose(goal, gap(accuracies), atol=1e-9)
    assert np.isclose(goal.mean(), 0, atol=1e-12)
    assert np.isclose(goal.std(), 1)
    assert np.array_equal(levels[1], np.unique(unit * np.array(accuracies)))


def test_each_halving_of_what_is_lacking_counts_alike():
    # the best is 100, the median 90: the logarithm begins at 105
    accuracies = np.array([25.0, 65.0, 85.0, 90.0, 95.0, 100.0, 100.0])
    goal, _ = learn_target("gap", accuracies)
    steps = np.diff(goal[:3])  # 80, 40 and 20 are lacking
    np.testing.assert_allclose(steps[0], steps[1])
    assert steps[0] > 0


@pytest.mark.parametrize("accuracies", [[50.0] * 4, [7.0], [0.0, 0.0], [1e300, 1e300], [-5e-324, 0.0, 0.0]])
def test_equal_accuracies_have_the_goal_0_and_come_back(accuracies):
    goal, levels = learn_target("gap", np.array(accuracies))
    if accuracies[0] == accuracies[-1]:
        assert np.array_equal(goal, np.zeros(len(accuracies)))
        assert np.array_equal(levels, [[0.0], accuracies[:1]])
    found = to_accuracies(np.array([-3.0, 0.0, 9.0]), levels)
    assert np.isfinite(found).all()


@given(
    st.lists(
        st.floats(-1e300, 1e300, allow_nan=False) | st.sampled_from([0.0, 5e-324, -1e-310, 90.0]), min_size=1
    )
)
def test_levels_increase_and_lead_back_whatever_the_accuracies(accuracies):
    given = np.array(accuracies)
    goal, levels = learn_target("gap", given)
    assert np.isfinite(goal).all()
    assert (np.diff(levels) > 0).all()
    assert set(levels[1]) <= set(accuracies)
    # in the order of the accuracies, but for what rounding made one
    order = np.argsort(given)
    assert (np.diff(goal[order]) >= 0).all()
    back = to_accuracies(goal, levels)
    np.testing.assert_allclose(back, given, rtol=0, atol=1e-9 * np.ptp(given) + 1e-300)


@given(st.lists(st.integers(0, 1000), min_size=2, unique=True), st.lists(st.floats(-5, 5), min_size=1))
def test_scores_and_accuracies_are_each_others_inverse(accuracies, scores):
    _, levels = learn_target("gap", np.array(accuracies, dtype=float))
    there = to_accuracies(np.array(scores), levels)
    np.testing.assert_allclose(to_scores(there, levels), scores, atol=1e-6)
    apart = np.unique(np.round(scores, 3))
    assert (np.diff(to_accuracies(apart, levels)) > 0).all()
