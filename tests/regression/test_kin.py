"""What like spaces teach: how alike they are, the weights that they give, and where nothing is learned."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fusion.errors import FusionError
from fusion.indicators import INDICATORS, needs_graphs, select
from fusion.regression import Predictor, fit
from fusion.regression.auto import Auto
from fusion.regression.groups import Group
from fusion.regression.kin import ALIKE, FEWEST_SHARED, Kind, Lesson, likenesses, said, weights
from fusion.regression.within_table import FROM_KIN
from tests.tables.small import SPACE, accuracies_of, distinct, table_of

NAMES = [name for name in sorted(select("full")) if not needs_graphs(name)][:14]
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
    assert said(found, "alone").startswith("this space is like none of those taught (nearest far, ")
    lessons = [Lesson.of(group(name, seed), ONES) for name, seed in (("near", 1), ("nearer", 2))]
    found = likenesses(lessons, Kind.of(made_up(2)[0], ONES))
    assert list(found) == ["nearer", "near"]
    assert said(found, "alone") == (
        f"learned from the spaces that are like this one (likeness of 1 at most): nearer (1.00), near "
        f"({found['near']:.2f})"
    )
    assert said({}, "alone").endswith(": alone")


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

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_what_a_like_one_taught_comes_before_few_accuracies(self, datas, tmp_path):
        a, b, far = datas
        few = b.table.labelled(replace(b.accuracies, by_arch=b.accuracies.by_arch.iloc[::8]))
        rest = b.y.index.difference(few.y.index)
        with_others = fit(few, beside=[a, far])
        assert with_others.notes[0].startswith("learned from the spaces that are like this one")
        rank = {
            how: stats.spearmanr(model.predict(b.table)[rest], b.y[rest]).statistic
            for how, model in (("alone", fit(few)), ("beside", with_others))
        }
        assert rank["beside"] > rank["alone"]
        # by a saved model as by the tables, and again after saving
        fit([a, far]).save(tmp_path / "several")
        by_model = fit(few, beside=Predictor.load(tmp_path / "several"))
        assert by_model.predict(b.table).equals(with_others.predict(b.table))
        by_model.save(tmp_path / "one")
        again = Predictor.load(tmp_path / "one")
        assert again.predict(b.table).equals(by_model.predict(b.table))
        assert "=" in again.spec.params["taught"]
        assert again.predict(b.table, interval=0.9).shape == (60, 3)

    def test_beside_unlike_ones_it_is_as_alone(self, datas):
        a, b, far = datas
        alone, beside = fit(far), fit(far, beside=[a, b])
        assert "like none of those taught" in beside.notes[0]
        assert beside.notes[0].endswith("learned from its own accuracies alone")
        assert beside.predict(far.table).equals(alone.predict(far.table))

    def test_beside_is_for_one_table_with_accuracies_and_a_model_that_learns_so(self, datas):
        a, b, far = datas
        for what, model, beside, told in (
            (a, "weighted_sum", [b], "auto does"),
            (a.table, "auto", [b], "beside some of this one"),
            ([a, b], "auto", [far], "beside one table"),
            (a, "auto", fit(b, "weighted_sum"), "the model that auto became on several"),
        ):
            with pytest.raises(FusionError, match=told):
                fit(what, model, beside=beside)


def test_weights_that_are_none_are_refused():
    table, accuracy = made_up(0)
    for text in ("zen", "zen=high", "nothing=1", "zen=inf"):
        with pytest.raises(FusionError, match="expected weights of indicators"):
            Auto(taught=text).fit(table, accuracy)


def test_a_prior_that_was_taught_is_the_weighted_sum_of_ranks():
    table, _ = made_up(0)
    one, other = NAMES[:2]
    model = Auto(taught=f"{one}=0.5,{other}=-2").fit(table)
    expected = scores(table[[one, other]]) @ [0.5, -2]
    assert stats.spearmanr(model.predict(table), expected).statistic > 0.999


def test_few_accuracies_leave_most_to_what_was_taught():
    table, _ = made_up(0)
    one, other = NAMES[:2]
    taught = f"{one}=0.5,{other}=-2"
    expected = scores(table[[one, other]]) @ [0.5, -2]
    noise = np.random.default_rng(0).normal(size=len(table))
    for size, share in ((3, 0.9), (8, 0.6)):
        model = Auto(taught=taught, effort="quick").fit(table[:size], noise[:size], pool=table)
        assert model.shares_["taught_line"] > share
        assert stats.spearmanr(model.predict(table)[size:], expected[size:]).statistic > 0.6
        assert "taught_line" not in Auto(effort="quick").fit(table[:size], noise[:size]).members_
    # many that contradict it do not
    model = Auto(taught=taught, effort="quick").fit(table, -expected, pool=table)
    assert stats.spearmanr(model.predict(table), -expected).statistic > 0.9
