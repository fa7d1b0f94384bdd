"""Predicted accuracy against cost, against fronts found by comparing every pair."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from fusion.evaluation.fronts import fronts, regret, with_costs
from fusion.tables.costs import pareto

numbers = st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=12)


def dominated(points, at):
    cost, accuracy = points[at][:2]
    return any(
        (c <= cost and a >= accuracy and (c, a) != (cost, accuracy))
        or ((c, a) == (cost, accuracy) and i < at)
        for i, (c, a, *_) in enumerate(points)
    )


@given(numbers)
def test_the_front_is_what_nothing_dominates(points):
    cost, accuracy, _ = np.array(points, dtype=float).T
    found = pareto(cost, accuracy).tolist()
    assert sorted(found) == [at for at in range(len(points)) if not dominated(points, at)]
    assert [cost[at] for at in found] == sorted(cost[at] for at in found)


@given(numbers)
def test_regret_is_what_the_best_of_no_higher_cost_is_ahead(points):
    cost, predicted, measured = np.array(points, dtype=float).T
    front = [at for at in range(len(points)) if not dominated(points, at)]
    ahead = [max(m for c, _, m in points if c <= cost[at]) - measured[at] for at in front]
    assert np.isclose(regret(cost, predicted, measured), np.mean(ahead))
    assert regret(cost, measured, measured) == 0


def predictions():
    return pd.DataFrame(
        {
            "arch": ["a", "b", "c", "b", "c", "d"],
            "split": [0, 0, 0, 1, 1, 1],
            "measured": [1.0, 2.0, 3.0, 2.0, 3.0, 0.0],
            "sum": [5.0, 7.0, 6.0, 7.0, 6.0, 1.0],
        }
    )


def test_a_front_has_the_first_split_and_the_regret_of_all():
    costs = pd.DataFrame({"ms": [1.0, 3.0, 2.0, np.nan], "same": 1.0, "none": np.nan}, index=list("abcd"))
    found = fronts(with_costs(predictions(), costs), "sum")
    assert list(found) == ["ms"]
    front = found["ms"]
    assert [(p.arch, p.cost, p.predicted, p.measured) for p in front.points] == [
        ("a", 1, 5, 1), ("c", 2, 6, 3), ("b", 3, 7, 2)
    ]  # fmt: skip
    # split 0: b costs more than c, which is better by 1; split 1: c, then b, again 1 behind
    assert np.isclose(front.regret.mean, np.mean([1 / 3, 1 / 2]))
    assert front.left_out == 0
    assert fronts(with_costs(predictions(), costs), None) == {}
