"""One model for several groups, each measured within itself."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fusion.errors import FusionError
from fusion.regression import LightGBM, WeightedSum
from fusion.regression.groups import Group, common_indicators, fit_groups, grouped, unseen, within_group
from fusion.spaces import make_space
from tests.tables.small import SPACE, distinct, labelled

NAMES = ["good", "poor", "noise"]


def group(name, n, seed, scale=lambda x: x):
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    table = pd.DataFrame(
        {
            "good": scale(quality + 0.3 * rng.normal(size=n)),
            "poor": -scale(quality + rng.normal(size=n)),
            "noise": rng.normal(size=n),
        },
        index=[f"{name}{i:03}" for i in range(n)],
    )
    accuracy = pd.Series(scale(quality), index=table.index).iloc[: n - 5]
    return Group(name, table, accuracy, SPACE)


@pytest.fixture(scope="module")
def groups():
    return [
        group("a", 60, 0),
        group("b", 90, 1, scale=np.exp),
        group("c", 70, 2, scale=lambda x: 5 + 1e9 * x),
    ]


def test_within_group_is_the_gaussian_score_of_the_rank(groups):
    table = groups[1].table.copy()
    table.iloc[3, 0] = np.nan
    found = within_group(table, table)
    for name in NAMES:
        known = table[name].dropna()
        expected = stats.norm.ppf((stats.rankdata(known) - 0.5) / len(known))
        np.testing.assert_allclose(found.loc[known.index, name], expected, atol=1e-12)
    assert np.isnan(found.iloc[3, 0])


@pytest.mark.parametrize("model", [WeightedSum(), LightGBM(n_estimators=20)])
def test_what_is_learned_on_two_scales_ranks_a_third(groups, model):
    fitted = fit_groups(model, groups[:2], NAMES)
    third = groups[2]
    scores = fitted.predict(within_group(third.table, third.table))
    predicted = pd.Series(scores, third.table.index)[third.accuracy.index]
    single = stats.spearmanr(third.table.loc[third.accuracy.index, "good"], third.accuracy).statistic
    assert stats.spearmanr(predicted, third.accuracy).statistic > single - 0.02
    assert abs(predicted.mean()) < 0.3
    assert 0.3 < predicted.std() < 1.5


def test_no_scale_of_a_group_matters(groups):
    other = groups[1]
    stretched = Group(other.name, other.table * 3 - 7, other.accuracy**3, SPACE)
    scores = within_group(groups[2].table, groups[2].table)
    one = fit_groups(WeightedSum(), [groups[0], other], NAMES).predict(scores)
    two = fit_groups(WeightedSum(), [groups[0], stretched], NAMES).predict(scores)
    np.testing.assert_allclose(one, two, atol=1e-9)


class Spy(WeightedSum):
    def fit(self, X, y, pool=None):
        Spy.seen = X, y, pool
        return super().fit(X, y, pool)


def test_groups_count_alike_and_the_pool_is_all_of_them(groups):
    fit_groups(Spy(), groups[:2], NAMES)
    X, y, pool = Spy.seen
    assert sum(X.index.str.startswith("a")) == sum(X.index.str.startswith("b")) == 55
    assert len(pool) == 60 + 90
    accuracy = groups[1].accuracy
    expected = pd.Series(stats.norm.ppf((stats.rankdata(accuracy) - 0.5) / len(accuracy)), accuracy.index)
    np.testing.assert_allclose(y[55:], expected[X.index[55:]], atol=1e-12)
    again = X.index
    fit_groups(Spy(), groups[:2], NAMES, seed=1)
    assert set(Spy.seen[0].index) != set(again)


def test_only_common_indicators(groups):
    fewer = Group("d", groups[0].table[["noise", "good"]], groups[0].accuracy, SPACE)
    assert common_indicators([groups[1], fewer]) == ["good", "noise"]
    with pytest.raises(FusionError, match="no indicator in common"):
        common_indicators([fewer, Group("e", groups[0].table[["poor"]], groups[0].accuracy, SPACE)])


class TestGrouped:
    def test_a_group_is_the_table_and_the_accuracies_of_its_networks(self, tmp_path):
        data = labelled(tmp_path / "t")
        (found,) = grouped([data])
        assert found.name == "nats-tss"
        assert found.table.equals(data.table.values())
        assert found.accuracy.equals(data.by_key)
        assert found.space is data.space

    def test_names_tell_them_apart(self, tmp_path):
        one, two = labelled(tmp_path / "one"), labelled(tmp_path / "two")
        other = labelled(tmp_path / "other", of=make_space("nats-sss"))
        errors = replace(one, target="error of 12 epochs")
        names = lambda *datas: [group.name for group in grouped(datas)]  # noqa: E731
        assert names(one, other) == ["nats-tss", "nats-sss"]
        assert names(one, errors) == ["nats-tss-accuracy", "nats-tss-error-of-12-epochs"]
        assert [name.rpartition("-")[2] for name in names(one, two)] == ["one", "two"]
        assert len(set(names(one, two, errors))) == 3
        with pytest.raises(FusionError, match="named twice"):
            grouped([one, one])


class TestUnseen:
    def group(self, name, keys, space=SPACE):
        return Group(name, pd.DataFrame({"a": 1.0}, keys), pd.Series(50.0, keys), space)

    def test_networks_that_the_judged_group_measures_are_left_out(self):
        keys = distinct(40)
        found = unseen(self.group("other", keys[:30]), self.group("judged", keys[20:]))
        assert list(found.accuracy.index) == keys[:20]
        assert len(found.table) == 30

    def test_twins_are_the_same(self):
        keys = distinct(30)
        twins = [next(a for a in SPACE.enumerate() if SPACE.canonical(a) == keys[0] and a != keys[0])]
        found = unseen(self.group("other", keys[:20]), self.group("judged", twins))
        assert list(found.accuracy.index) == keys[1:20]

    def test_another_space_is_all_unseen(self):
        other = self.group("other", distinct(20, space=make_space("nats-sss")), make_space("nats-sss"))
        assert unseen(other, self.group("judged", distinct(20))) is other

    def test_few_left(self):
        keys = distinct(29)
        assert len(unseen(self.group("o", keys[:20]), self.group("j", keys[10:])).accuracy) == 10
        with pytest.raises(FusionError, match="measure the same networks of one space, and 9 others"):
            unseen(self.group("o", keys[:20]), self.group("j", keys[9:]))
