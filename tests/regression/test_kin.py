"""What like spaces teach: how alike they are, the weights that they give, and where nothing is learned."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fusion.errors import FusionError
from fusion.indicators import INDICATORS, needs_graphs
from fusion.regression import Predictor, fit
from fusion.regression.groups import Group
from fusion.regression.kin import ALIKE, FEWEST_SHARED, Kind, Lesson, likenesses, said, weights
from fusion.regression.within_table import FROM_KIN
from tests.tables.small import SPACE, accuracies_of, distinct, table_of

NAMES = [name for name in sorted(INDICATORS) if not needs_graphs(name)][:14]
ONES = dict.fromkeys(NAMES, 1)


def made_up(seed, n=60, mixing=0, names=NAMES):
    """Return values in which three causes mix, in one of several ways, and the accuracy."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(n, 3))
    ways = np.random.default_rng(100 + mixing).normal(size=(3, len(names)))
    values = causes @ ways + 0.3 * rng.normal(size=(n, len(names)))
    keys = distinct(n, seed)
    return pd.DataFrame(values, keys, names), pd.Series(causes[:, 0] + 0.2 * rng.normal(size=n), keys)


def group(name, *args, **kinds):
    values, accuracy = made_up(*args, **kinds)
    return Group(name, values, accuracy, SPACE)


def scores(values):
    found = values.rank().sub(0.5).div(len(values)).apply(stats.norm.ppf)
    return found.to_numpy()


class TestLikeness:
    def test_is_the_correlation_of_correlations(self):
        one, other = made_up(0)[0], made_up(1, mixing=1)[0]
        found = Kind.of(one, ONES).likeness(Kind.of(other, ONES))
        pairs = np.triu_indices(len(NAMES), 1)
        a, b = (np.corrcoef(scores(values).T)[pairs] for values in (one, other))
        assert found == pytest.approx(np.corrcoef(a, b)[0, 1])
        assert found < ALIKE < Kind.of(one, ONES).likeness(Kind.of(made_up(2)[0], ONES))
        assert Kind.of(one, ONES).likeness(Kind.of(one, ONES)) == pytest.approx(1)

    def test_of_what_both_have_in_one_version(self):
        values = made_up(0)[0]
        kind = Kind.of(values, ONES)
        for changed in (
            Kind.of(values[NAMES[: FEWEST_SHARED - 1]], ONES),
            Kind.of(values, {**ONES, NAMES[0]: 2, NAMES[1]: 2, NAMES[2]: 2}),
            Kind.of(values.assign(**dict.fromkeys(NAMES[:3], 1.0)), ONES),
        ):
            assert kind.likeness(changed) == changed.likeness(kind) == 0
        assert len(kind.shared(Kind.of(values, {**ONES, NAMES[0]: 2}))) == len(NAMES) - 1

    def test_missing_values_stand_at_the_worse_end(self):
        values = made_up(0)[0]
        holes = values.copy()
        holes.iloc[3:6] = np.nan
        filled = holes.fillna(
            {
                name: holes[name].min() if INDICATORS[name].higher_is_better else holes[name].max()
                for name in NAMES
            }
        )
        found, expected = (Kind.of(each, ONES).correlations for each in (holes, filled))
        np.testing.assert_allclose(found, expected, atol=0.1)
        assert np.isfinite(found).all()

    def test_graph_features_and_columns_of_another_kind_are_left_out(self):
        values = made_up(0)[0].assign(mine=1.0, graph_count_conv=np.arange(60.0))
        assert list(Kind.of(values, {**ONES, "mine": 1, "graph_count_conv": 1}).versions) == NAMES
        nothing = Kind.of(values[["mine"]], {"mine": 1})
        assert nothing.likeness(nothing) == 0


def test_weights_are_those_of_ridge_regression_on_all_alike():
    lessons = [Lesson.of(group(str(seed), seed), ONES) for seed in (0, 1)]
    kind = Kind.of(made_up(2)[0][NAMES[1:]], ONES)
    found = weights(lessons, kind)
    assert list(found) == NAMES[1:]
    gram, slopes = 0, 0
    for seed in (0, 1):
        values, accuracy = made_up(seed)
        ranks = scores(values[NAMES[1:]])
        gram = gram + np.corrcoef(ranks.T) / 2
        slopes = slopes + ranks.T @ scores(accuracy) / len(accuracy) / 2
    expected = np.linalg.solve(gram + 0.1 * np.eye(len(gram)), slopes)
    np.testing.assert_allclose(list(found.values()), expected)
    with pytest.raises(FusionError, match="share no indicator"):
        weights(lessons, Kind.of(made_up(2)[0], dict.fromkeys(NAMES, 2)))


def test_a_lesson_comes_back_from_json():
    lesson = Lesson.of(group("a", 0), ONES)
    again = Lesson.from_state(json.loads(json.dumps(lesson.to_state())))
    assert (again.group, again.kind.versions) == ("a", ONES)
    assert np.array_equal(again.kind.correlations, lesson.kind.correlations)
    assert np.array_equal(again.slopes, lesson.slopes)


@pytest.mark.parametrize(
    "change",
    [
        {"group": 1},
        {"versions": []},
        {"versions": {"cj": 1.5}},
        {"versions": {}},
        {"correlations": [[1.0]]},
        {"correlations": [[9.0] * 14] * 14},
        {"slopes": []},
        {"slopes": [1e300] * 14},
        {"slopes": None},
    ],
)
def test_a_damaged_lesson_is_refused(change):
    state = Lesson.of(group("a", 0), ONES).to_state()
    with pytest.raises((KeyError, TypeError, ValueError)):
        Lesson.from_state({**state, **change})


def test_it_says_from_which():
    found = likenesses([Lesson.of(group("far", 0, mixing=1), ONES)], Kind.of(made_up(3)[0], ONES))
    assert said(found).startswith("this space is like none of those taught (nearest far, ")
    lessons = [Lesson.of(group(name, seed), ONES) for name, seed in (("near", 1), ("nearer", 2))]
    found = likenesses(lessons, Kind.of(made_up(2)[0], ONES))
    assert list(found) == ["nearer", "near"]
    assert said(found) == (
        f"learned from the spaces that are like this one (likeness of 1 at most): nearer (1.00), near "
        f"({found['near']:.2f})"
    )
    assert said({}).startswith("this space is like none")


class TestSeveralTables:
    @pytest.fixture(scope="class")
    def datas(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("kin")
        found = []
        for name, seed, mixing in (("a", 0, 0), ("b", 1, 0), ("far", 2, 5)):
            values, accuracy = made_up(seed, mixing=mixing)
            table = table_of(folder / name, values)
            found.append(table.labelled(accuracies_of(accuracy)))
        return found

    def predicted(self, predictor, table):
        with pytest.warns(UserWarning, match="taught|learned from the spaces") as told:
            found = predictor.predict(table)
        return found, " ".join(str(one.message) for one in told)

    def test_a_like_one_is_learned_from_and_an_unlike_one_is_not(self, datas, tmp_path):
        a, b, far = datas
        predictor = fit([a, far], "auto")
        assert predictor.notes == (FROM_KIN,)
        found, told = self.predicted(predictor, b.table)
        assert told.count("(0.9") + told.count("(1.0") == 1
        assert stats.spearmanr(found[b.y.index], b.y).statistic > 0.9
        predictor.save(tmp_path)
        again, _ = self.predicted(Predictor.load(tmp_path), b.table)
        assert np.array_equal(again, found)
        # by hand
        learned = weights([Lesson.of(group("a", 0), ONES)], Kind.of(made_up(1)[0], ONES))
        expected = scores(made_up(1)[0][[*learned]]) @ np.array([*learned.values()])
        assert stats.spearmanr(found[made_up(1)[0].index], expected).statistic > 0.9999

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_without_a_like_one_it_ranks_as_of_the_table_alone(self, datas):
        a, b, far = datas
        found, told = self.predicted(fit([a, b], "auto"), far.table)
        assert "like none of those taught" in told
        assert found.equals(fit(far.table, "auto").predict(far.table))

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_other_models_learn_from_none(self, datas):
        b = datas[1]
        predictor = fit(datas, "log_rank_sum")
        assert predictor.predict(b.table).equals(fit(b.table, "log_rank_sum").predict(b.table))
        assert predictor.learned_from == "no accuracies"
