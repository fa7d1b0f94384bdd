"""Groups of columns, permutations and Shapley values, against brute force."""

from itertools import combinations
from math import asin, factorial, pi

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from fusion.regression.alike import DISTANCE, column_groups
from fusion.regression.explaining import (
    permutation_importances,
    shapley_values,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def frame(seed, rows=50, names="abcd"):
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(rows, len(names))), columns=list(names))


def average_linkage(table, names):
    """Return the groups by joining the two nearest until none are near, mean distances anew each time."""
    near = 1 - np.abs(spearmanr(table[names]).statistic)
    groups = [[j] for j in range(len(names))]
    while len(groups) > 1:
        pairs = [(near[np.ix_(a, b)].mean(), i, j) for (i, a), (j, b) in combinations(enumerate(groups), 2)]
        least, i, j = min(pairs)
        if least > DISTANCE + 1e-9:  # fractions may be equal to it but for rounding
            break
        groups[i] += groups.pop(j)
    return {tuple(sorted(names[j] for j in group)) for group in groups}


class TestColumnGroups:
    @settings(deadline=None, max_examples=20)
    @given(seed=st.integers(0, 2**32 - 1))
    @example(seed=174)  # two columns at that distance
    def test_average_linkage_of_rank_correlations_in_any_order(self, seed):
        rng = np.random.default_rng(seed)
        names = list("abcdefgh")
        common = rng.normal(size=(40, 3))[:, rng.integers(3, size=8)] * rng.choice([-1, 1], 8)
        table = pd.DataFrame(common + rng.uniform(0.1, 1) * rng.normal(size=(40, 8)), columns=names)
        found = column_groups(table)
        assert {group.columns for group in found} == average_linkage(table, names)
        assert column_groups(table.sample(frac=1, random_state=1)[rng.permutation(names)]) == found

    def test_columns_that_rank_alike_are_one_and_the_label_is_the_most_typical(self):
        table = frame(0, 200)
        table["e"] = -np.exp(table["a"])
        noise = np.random.default_rng(1).normal(size=(2, 200))
        table["f"], table["g"] = table["a"] + 0.4 * noise[0], table["a"] + 0.4 * noise[1]
        found = {group.columns: group for group in column_groups(table)}
        assert set(found) == {("a", "e", "f", "g"), ("b",), ("c",), ("d",)}
        assert found["a", "e", "f", "g"].title == "a + 3 more"
        assert found["b",].title == "b"

    def test_a_feature_of_the_encoding_is_one_whatever_its_columns_say(self):
        table = frame(0)
        choice = np.random.default_rng(1).integers(3, size=50)
        for i in range(3):
            table[f"encoding.edge={i}"] = (choice == i).astype(float)
        table["encoding.edges"] = np.random.default_rng(2).normal(size=50)
        found = [group for group in column_groups(table) if group.columns[0].startswith("encoding.")]
        assert [group.columns for group in found] == [
            ("encoding.edge=0", "encoding.edge=1", "encoding.edge=2"),
            ("encoding.edges",),
        ]
        assert found[0].title == "encoding.edge"

    def test_what_does_not_vary_is_in_none_and_what_is_missing_varies(self):
        table = frame(0)
        table["same"], table["empty"] = 3.0, np.nan
        table["gaps"] = np.where(np.arange(50) % 2, 1.0, np.nan)
        assert [group.columns for group in column_groups(table)] == [
            ("a",),
            ("b",),
            ("c",),
            ("d",),
            ("gaps",),
        ]
        assert column_groups(table[["same", "empty"]]) == []
        assert [group.columns for group in column_groups(table[["a"]])] == [("a",)]


class TestPermutationImportance:
    def test_of_a_sum_of_independent_columns(self):
        table = frame(0, 8000, "abc")

        def predict(rows):
            return (3 * rows["a"] + rows["b"]).to_numpy()

        srocc, found = permutation_importances(predict, table, predict(table), column_groups(table))
        falls = {one.title: one.fall for one in found}
        # the correlation left over is the share of the variance that was not permuted, of normal variables
        left = {name: 6 / pi * asin(share / 2) for name, share in (("a", 1 / 10), ("b", 9 / 10))}
        assert srocc == pytest.approx(1)
        assert [one.title for one in found] == ["a", "b", "c"]
        assert falls == pytest.approx({"a": 1 - left["a"], "b": 1 - left["b"], "c": 0}, abs=0.02)
        assert falls["c"] == 0

    def test_columns_that_say_the_same_are_permuted_together(self):
        table = frame(0, 500, "ab")
        table["c"] = table["a"]
        reference = table["a"].to_numpy()
        for names in (["a"], ["a", "c"]):
            _, found = permutation_importances(
                lambda rows, names=names: rows[names].mean(axis=1).to_numpy(),
                table,
                reference,
                column_groups(table),
            )
            assert found[0].columns == ("a", "c")
            assert found[0].fall == pytest.approx(1, abs=0.1)

    def test_mean_and_spread_are_those_of_its_permutations(self):
        table = frame(0, 30, "ab")
        seen = []

        def predict(rows):
            seen.append(rows["a"].to_numpy())
            return rows["a"].to_numpy()

        _, found = permutation_importances(
            predict, table, table["b"].to_numpy(), column_groups(table), seed=3
        )
        (first,) = (one for one in found if one.title == "a")
        before = spearmanr(table["a"], table["b"]).statistic
        falls = [before - spearmanr(row, table["b"]).statistic for row in seen[1].reshape(-1, 30)]
        assert all(sorted(row) == sorted(table["a"]) for row in seen[1].reshape(-1, 30))
        assert (first.fall, first.spread) == pytest.approx((np.mean(falls), np.std(falls)))

    def test_a_constant_prediction_ranks_nothing(self):
        table = frame(0)
        groups = column_groups(table)
        srocc, found = permutation_importances(
            lambda rows: np.ones(len(rows)), table, np.arange(50.0), groups
        )
        assert srocc == 0
        assert {one.fall for one in found} == {0}


def shapley_by_all_subsets(predict, row, background, groups):
    """Return the Shapley values by their definition: a weighted mean over all sets of other groups."""

    def worth(taken):
        table = background.copy()
        for i in taken:
            table[list(groups[i].columns)] = row[list(groups[i].columns)].to_numpy()
        return predict(table).mean()

    n = len(groups)
    found = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        sets = [subset for size in range(n) for subset in combinations(others, size)]
        weight = {size: factorial(size) * factorial(n - size - 1) / factorial(n) for size in range(n)}
        found.append(sum(weight[len(one)] * (worth([*one, i]) - worth(one)) for one in sets))
    return found


class TestShapleyValues:
    def test_of_a_weighted_sum_are_weights_times_what_differs(self):
        table = frame(0)
        table["e"] = table["a"] + 0.1 * table["b"]
        weights = pd.Series({"a": 2.0, "b": -1.0, "c": 0.5, "d": 0.0, "e": 1.0})
        groups = column_groups(table)
        row, background = table.iloc[7], table.iloc[10:40]
        predicted, expected, added = shapley_values(lambda x: x.to_numpy() @ weights, row, background, groups)
        differs = weights * (row - background.mean())
        assert added == pytest.approx([differs[list(group.columns)].sum() for group in groups])
        assert (predicted, expected) == pytest.approx((row @ weights, (background @ weights).mean()))

    def test_of_what_two_groups_do_together_are_those_of_the_definition(self):
        table = frame(0)
        groups = column_groups(table)

        def predict(x):
            # no more than two together: an order and its reverse then say all
            return (x["a"] * x["b"] + np.maximum(x["b"], x["c"]) - x["c"] * x["d"] ** 2).to_numpy()

        row, background = table.iloc[3], table.iloc[20:]
        _, _, added = shapley_values(predict, row, background, groups)
        assert added == pytest.approx(shapley_by_all_subsets(predict, row, background, groups))

    @settings(deadline=None, max_examples=20)
    @given(seed=st.integers(0, 2**32 - 1))
    def test_they_add_up_whatever_is_predicted(self, seed):
        table = frame(seed)
        groups = column_groups(table)

        def predict(x):
            return np.sin(x.prod(axis=1) * 3).to_numpy() + (x["a"] > x["d"]).to_numpy()

        predicted, expected, added = shapley_values(predict, table.iloc[0], table.iloc[1:9], groups, seed)
        assert predicted == predict(table)[0]
        assert expected == pytest.approx(predict(table.iloc[1:9]).mean())
        assert added.sum() == pytest.approx(predicted - expected)
