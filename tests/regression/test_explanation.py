"""What carries a prediction: groups, permutations, Shapley values and refits, against brute force."""

import json
from dataclasses import replace
from itertools import combinations
from math import asin, factorial, pi

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from fusion.errors import FusionError
from fusion.regression import MODELS, ModelSpec, Predictor, fit
from fusion.regression.alike import DISTANCE, column_groups
from fusion.regression.explaining import (
    BACKGROUND,
    MOST_ROWS,
    REFITS,
    permutation_importances,
    shapley_values,
)
from tests.regression.small import SMALL
from tests.tables.small import NAMES, SPACE, accuracies_of, distinct, labelled, table_of, values_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


# without the encoding, whose many groups take their time
FEW = ModelSpec("weighted_sum", ",".join(NAMES))


def frame(seed, rows=50, names="abcd"):
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(rows, len(names))), columns=list(names))


def average_linkage(table, names):
    """Return the groups by joining the two nearest until none are near, mean distances anew each time."""
    near = 1 - np.abs(spearmanr(table[names]).statistic)
    groups = [[j] for j in range(len(names))]
    while len(groups) > 1:
        pairs = [(near[np.ix_(a, b)].mean(), i, j) for (i, a), (j, b) in combinations(enumerate(groups), 2)]
        least, i, j = min(pairs)
        if least > DISTANCE:
            break
        groups[i] += groups.pop(j)
    return {tuple(sorted(names[j] for j in group)) for group in groups}


class TestColumnGroups:
    @settings(deadline=None, max_examples=20)
    @given(seed=st.integers(0, 2**32 - 1))
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


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("data") / "t")


@pytest.fixture(scope="module")
def part(data):
    """The first half of the accuracies."""
    return data.table.labelled(accuracies_of(data.y[:20]))


@pytest.fixture(scope="module")
def predictor(part):
    return fit(part, FEW)


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_is_explained(name, data, part):
    predictor = fit(part, ModelSpec(name, FEW.indicators, SMALL.get(name, {})))
    arch = data.X.index[25]
    found = predictor.explain(data, arch)
    predicted = predictor.predict(data.table)
    why = found.reasons
    assert why.predicted == pytest.approx(predicted[SPACE.canonical(arch)])
    assert why.against == len(predicted) < BACKGROUND  # so that it is held against all
    assert why.expected == pytest.approx(predicted.mean())
    assert sum(one.added for one in why.contributions) == pytest.approx(why.predicted - why.expected)
    assert {one.title for one in why.contributions} == {one.title for one in found.importances}
    assert found.importances[0].fall > 0.02
    assert found.target == predictor.target
    assert bool(found.weights) == bool(predictor.model.weights())
    assert found.rows == "held out"
    assert found.networks == (20 if MODELS[name].uses_labels else 40)
    assert predictor.explain(data, arch) == found
    assert json.loads(json.dumps(found.to_json()))["model"] == name
    lines = found.lines()
    assert all(len(line) < 140 for line in lines if arch not in line)
    assert sum(line.endswith(found.importances[0].title) for line in lines) >= 1


class TestRows:
    def test_what_it_did_not_learn_from(self, data, predictor, part):
        found = predictor.explain(data)
        held_out = data.y[~data.y.index.isin(part.y.index)]
        predicted = predictor.predict(data.table)[[SPACE.canonical(arch) for arch in held_out.index]]
        assert (found.rows, found.networks) == ("held out", 20)
        assert found.srocc == pytest.approx(spearmanr(held_out, predicted).statistic)
        assert found.reasons is None
        assert "20 networks that it did not learn from" in found.lines()[0]

    def test_under_ten_of_them_say_too_little(self, data, predictor):
        found = predictor.explain(data.table.labelled(accuracies_of(data.y[:29])))
        assert (found.rows, found.networks) == ("training", 29)
        assert "learned from, which flatters it" in found.lines()[0]

    def test_without_accuracies_its_own_predictions(self, data, predictor):
        found = predictor.explain(data.table)
        assert (found.rows, found.networks, found.srocc) == ("predictions", 60, pytest.approx(1))
        assert "its own predictions" in found.lines()[0]

    def test_a_saved_model_knows_and_one_saved_before_does_not(self, tmp_path, data, predictor):
        predictor.save(tmp_path)
        assert Predictor.load(tmp_path).explain(data) == predictor.explain(data)
        content = json.loads((tmp_path / "model.json").read_text())
        del content["sources"][0]["seen"]
        (tmp_path / "model.json").write_text(json.dumps(content))
        found = Predictor.load(tmp_path).explain(data)
        assert (found.rows, found.networks, found.refits) == ("unknown", 40, 0)
        assert "is not known" in found.lines()[0]

    def test_another_string_of_a_network_is_no_other_network(self, data, part, predictor):
        strings: dict = {}
        for arch in SPACE.enumerate():
            strings.setdefault(SPACE.canonical(arch), arch)
        renamed = data.y.rename(index=lambda arch: strings[SPACE.canonical(arch)])
        assert (renamed.index != data.y.index).sum() > 5
        found = predictor.explain(data.table.labelled(accuracies_of(renamed)))
        assert found.importances == predictor.explain(data).importances

    def test_the_encoding_is_explained_too(self, data, part):
        found = fit(part, "weighted_sum").explain(data)
        encoded = [one for one in found.importances if one.title == "encoding.edge.0-1"]
        assert [name.partition("=")[0] for name in encoded[0].columns] == ["encoding.edge.0-1"] * 5
        assert f"and {len(found.importances) - 10} other groups" in "\n".join(found.lines())

    def test_many_networks_are_sampled(self, tmp_path):
        big = labelled(tmp_path / "t", n=MOST_ROWS + 20, measured=15)
        assert fit(big, FEW).explain(big.table).networks == MOST_ROWS

    def test_no_order_matters(self, tmp_path, data):
        values, quality = values_of(distinct(60))
        shuffled = values.sample(frac=1, random_state=0)[values.columns[::-1]]
        accuracy = (80 + 5 * quality)[:40]
        found = [
            fit(table.labelled(accuracies_of(order)), ModelSpec("gaussian_process", FEW.indicators)).explain(
                table, values.index[3]
            )
            for table, order in (
                (table_of(tmp_path / "a", values), accuracy),
                (table_of(tmp_path / "b", shuffled), accuracy[::-1]),
            )
        ]
        assert [one.columns for one in found[0].importances] == [one.columns for one in found[1].importances]
        for a, b in zip(found[0].importances, found[1].importances, strict=True):
            assert (a.fall, a.spread) == pytest.approx((b.fall, b.spread))
        added = [{one.title: one.added for one in each.reasons.contributions} for each in found]
        assert added[0] == pytest.approx(added[1])


class TestSense:
    def test_errors_are_explained_as_errors(self, tmp_path):
        values, quality = values_of(distinct(60))
        table = table_of(tmp_path / "t", values)
        up = fit(table.labelled(accuracies_of(80 + 5 * quality)), FEW)
        measured = table.labelled(accuracies_of(-(20 - 5 * quality), lower_is_better=True))
        down = fit(measured, FEW)
        arch = values.index[0]
        plus, minus = up.explain(table, arch), down.explain(measured, arch)
        assert minus.srocc > 0.8
        assert minus.reasons.predicted == pytest.approx(100 - plus.reasons.predicted)
        added = {one.title: -one.added for one in minus.reasons.contributions}
        assert {one.title: one.added for one in plus.reasons.contributions} == pytest.approx(added)


class TestWeights:
    def test_their_spread_is_that_of_refits_on_drawn_networks(self, part, predictor):
        found = predictor.explain(part)
        assert found.refits == REFITS
        assert {one.feature: one.weight for one in found.weights} == predictor.model.weights()
        assert all(one.low <= one.mean <= one.high for one in found.weights)
        assert any(one.low < one.high for one in found.weights)
        sizes = [abs(one.weight) for one in found.weights]
        assert sizes == sorted(sizes, reverse=True)
        assert f"of {REFITS} bootstrap refits" in "\n".join(found.lines())

    def test_what_decides_is_told_from_noise(self, tmp_path):
        values, _ = values_of(distinct(60), names=["cj", "os", "nlr"])
        values["nlr"] = np.random.default_rng(9).normal(size=60)
        values["cj"] = np.random.default_rng(8).normal(size=60)
        table = table_of(tmp_path / "t", values)
        accuracy = values["cj"] + 0.2 * np.random.default_rng(7).normal(size=60)
        measured = table.labelled(accuracies_of(accuracy))
        found = {
            one.feature: one
            for one in fit(measured, ModelSpec("weighted_sum", "cj,nlr")).explain(measured).weights
        }
        assert found["cj"].low > 0.5
        assert found["nlr"].low < 0 < found["nlr"].high

    def test_without_the_accuracies_that_it_learned_from_there_is_none(self, data, predictor):
        rest = data.table.labelled(accuracies_of(data.y[20:]))
        for what in (data.table, rest):
            found = predictor.explain(what)
            assert found.refits == 0
            assert {one.mean for one in found.weights} == {None}
            assert "without spread" in "\n".join(found.lines())

    def test_what_learns_from_the_table_alone_is_fitted_again_on_it(self, data, part):
        found = fit(part, "consensus").explain(data.table)
        assert found.refits == REFITS
        assert all(0 <= one.low <= one.mean <= one.high for one in found.weights)
        assert any(one.high > 0 for one in found.weights)


class TestRefused:
    def test_a_model_of_several_tables(self, tmp_path, data):
        several = fit([data, labelled(tmp_path / "b", n=50, draw=1)], "weighted_sum")
        with pytest.raises(FusionError, match="several tables is not explained"):
            several.explain(data)

    def test_an_architecture_that_the_table_lacks(self, data, predictor):
        lacking = next(arch for arch in distinct(200) if arch not in data.table.values().index)
        with pytest.raises(FusionError, match=r"lacks .*; name an architecture of the table"):
            predictor.explain(data, lacking)

    def test_a_table_made_in_another_way(self, tmp_path, predictor):
        with pytest.raises(FusionError, match=r"\(device\)"):
            predictor.explain(labelled(tmp_path / "o", device="cuda"))

    def test_too_few(self, data, predictor):
        few = data.table.only(list(data.table.values().index[:9]))
        with pytest.raises(FusionError, match="9 networks are too few"):
            predictor.explain(few)
        with pytest.raises(FusionError, match="5 networks are too few"):
            predictor.explain(data.table.labelled(accuracies_of(data.y[:5])))

    def test_a_network_that_is_no_hash(self, predictor):
        with pytest.raises(ValueError, match="seen"):
            replace(predictor).sources[0].model_validate(
                {**predictor.sources[0].model_dump(), "seen": ["../x"]}
            )
