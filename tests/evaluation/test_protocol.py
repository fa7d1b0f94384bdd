"""Training sizes from 0 on, baselines, prediction intervals, twins, dead edges, any number of workers."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression

from fusion.errors import FusionError
from fusion.evaluation import METRICS, Judging, Plan, evaluate, judge, split
from fusion.evaluation.baselines import BASELINES, baselines
from fusion.evaluation.coverage import LEVEL
from fusion.evaluation.protocol_table import protocol_rows
from fusion.evaluation.words import held_lines, size_lines
from fusion.seeding import derive_seed
from fusion.work import Work
from tests.evaluation.made import Page, labelled

QUIET = Work(workers=1, progress=False)
QUICK = Judging(train_sizes=(0, 10, 30), train_size=30, splits=4, bootstrap=0)
HIGHER = {"good": True, "params": True}


class Sum:
    """Scores without accuracies; of the first architectures only, so that a pool would show."""

    needs_labels = False
    uses_labels = False
    uses_pool = True

    def fit(self, X, y=None, pool=None):
        assert y is None
        self.mean_ = pool.table.mean()
        return self

    def predict(self, X):
        return 1000 * (X - self.mean_).sum(axis=1).to_numpy()


class Sure(LinearRegression):
    """Intervals of one half-width, the largest error on what it is calibrated with."""

    def calibrate(self, X, y, pool=None, groups=None):
        assert pool is None
        assert len(X) == len(y) == len(groups)
        self.half_ = np.abs(y - self.predict(X)).max()

    def predict_interval(self, X, coverage=0.5):
        assert coverage == LEVEL
        return self.predict(X)[:, None] + np.array([-1, 1]) * self.half_


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    quality = rng.normal(size=90)
    index = pd.Index([f"net{i:03}" for i in range(90)])
    values = pd.DataFrame(
        {"good": quality + 0.5 * rng.normal(size=90), "params": quality + rng.normal(size=90)}, index=index
    )
    accuracy = pd.Series(90 + quality, index)
    return values, accuracy, pd.Series(index, index)


MODELS = {"line": LinearRegression, "sum": Sum, "no labels": Sum, "encoding alone": LinearRegression}


def run(data, models=MODELS, work=QUIET, **changed):
    plan = Plan(
        **{"train_size": 30, "train_sizes": (0, 10, 30), "splits": 4, "bootstrap": 0, **changed}, seed=0
    )
    return judge(*data, models, HIGHER, plan, work=work)


@pytest.fixture(scope="module")
def result(data):
    return run(data)


def parts(size):
    """The splits of 90 architectures without twins."""
    return [split(np.arange(90).astype(str), size, derive_seed(0, i)) for i in range(4)]


def of(point):
    return tuple(vars(point.scores["krocc"]).values())


def test_every_method_has_its_kind_and_only_models_are_told_in_detail(result):
    assert {name: found.kind for name, found in result.methods.items()} == {
        "line": "model",
        "sum": "model",
        "encoding alone": "baseline",
        "no labels": "baseline",
        "parameters": "baseline",
        "good": "indicator",
        "params": "indicator",
    }
    for told in (result.ranges, result.advantage, result.shown_split.scores):
        assert set(told) == {"line", "sum"}
    assert list(result.predictions.columns) == ["arch", "split", "set", "measured", "line", "sum"]
    assert result.methods["parameters"].scores == result.methods["params"].scores


def test_from_0_accuracies_what_needs_none_is_judged_once_on_all(data, result):
    values, accuracy, _ = data
    sizes = {name: [p.train_size for p in points] for name, points in result.learning_curve.items()}
    assert sizes == {
        **{name: [0, 10, 30] for name in ("sum", "no labels", "parameters")},
        **{name: [10, 30] for name in ("line", "encoding alone")},
    }
    for name, score in (("no labels", values.sum(axis=1)), ("parameters", values["params"])):
        first = result.learning_curve[name][0]
        assert (first.splits, first.test_size.min, first.test_size.max) == (1, 90, 90)
        assert of(first) == (pytest.approx(stats.kendalltau(accuracy, score).statistic), None, None)
        assert first.scores["rmse"].mean is None


@pytest.mark.parametrize(("place", "size"), [(1, 10), (2, 30)])
def test_scores_are_mapped_to_accuracies_on_the_training_part(data, result, place, size):
    values, accuracy, _ = data
    score, y = values.sum(axis=1).to_numpy(), accuracy.to_numpy()
    rank, errors = [], []
    for train, test in parts(size):
        mapped = IsotonicRegression(out_of_bounds="clip").fit(score[train], y[train]).predict(score[test])
        errors.append(np.sqrt(np.mean((y[test] - mapped) ** 2)))
        rank.append(stats.kendalltau(y[test], score[test]).statistic)
    for name in ("sum", "no labels"):
        point = result.learning_curve[name][place]
        assert (point.splits, point.test_size.min) == (4, 90 - size)
        assert of(point) == pytest.approx((np.mean(rank), *np.percentile(rank, [2.5, 97.5])))
        assert point.scores["rmse"].mean == pytest.approx(np.mean(errors))


def test_prediction_intervals_hold_as_often_and_are_as_wide_as_told(data):
    values, accuracy, _ = data
    found = run(data, {"sure": Sure, "line": LinearRegression, "encoding alone": Sure})
    assert set(found.prediction_intervals) == {"sure"}
    told = found.prediction_intervals["sure"]
    assert told.level == LEVEL == 0.9
    assert len(told.tenths) == 10
    inside, width, lowest = [], [], []
    for train, test in parts(30):
        X, y = values.sort_index(axis=1).to_numpy(), accuracy.to_numpy()
        predicted = LinearRegression().fit(X[train], y[train]).predict(X)
        half = np.abs(y - predicted)[train].max()
        held = np.abs(y - predicted)[test] <= half
        inside.append(held.mean())
        width.append(2 * half)
        lowest.append(held[np.argsort(predicted[test])[:6]].mean())  # of 60
    assert 0.5 < np.mean(inside) < 1
    assert told.all.coverage.mean == pytest.approx(np.mean(inside))
    assert told.all.width.mean == pytest.approx(np.mean(width))
    assert told.all.width.high == pytest.approx(np.percentile(width, 97.5))
    assert told.tenths[0].coverage.mean == pytest.approx(np.mean(lowest))
    assert np.mean([t.coverage.mean for t in told.tenths]) == pytest.approx(np.mean(inside))


def test_too_few_to_calibrate_with_is_no_error(data):
    class Strict(Sure):
        def calibrate(self, X, y, pool=None, groups=None):
            raise FusionError("too few")

    found = run(data, {"strict": Strict}, train_sizes=())
    assert found.prediction_intervals == {}
    assert found.methods["strict"].scores["srocc"].mean > 0.5


def test_architectures_with_the_same_values_are_predicted_once(data):
    values, accuracy, _ = data
    twice = pd.concat([values, values.set_axis(values.index + "b")])
    y = pd.concat([accuracy, accuracy.set_axis(twice.index[90:]) + 0.1])
    seen = []

    class Counting(LinearRegression):
        def predict(self, X):
            seen.append(len(X))
            return super().predict(X)

    groups = pd.Series(twice.index, twice.index)
    found = run((twice, y, groups), {"c": Counting}, train_sizes=(), splits=2)
    for number, rows in found.predictions.groupby("split"):
        names = set(rows["arch"].str.removesuffix("b"))
        assert seen[number] == len(names) < len(rows) == 150
        train = twice.index.difference(rows["arch"])
        columns = ["good", "params"]
        model = LinearRegression().fit(twice.loc[train, columns], y[train])
        np.testing.assert_allclose(rows["c"], model.predict(twice.loc[rows["arch"], columns]))


def test_the_result_is_the_same_from_any_number_of_workers(data, result):
    def content(found):
        return json.dumps({name: of for name, of in asdict(found).items() if name != "predictions"})

    models = {"line": LinearRegression, "encoding alone": LinearRegression}
    settings = {"splits": 3, "train_sizes": (0, 30), "bootstrap": 5}
    alone, several = (run(data, models, Work(workers=n, progress=False), **settings) for n in (1, 2))
    assert content(several) == content(alone)
    pd.testing.assert_frame_equal(several.predictions, alone.predictions)


def test_a_baseline_that_a_table_cannot_have_is_left_out_with_a_line():
    found, notes = baselines(["params", "flops"])
    assert "encoding alone" not in found
    assert any(note.startswith("without the baseline 'encoding alone': ") for note in notes)
    assert len(found) + len(notes) == len(BASELINES) - 1


@pytest.fixture
def with_baselines(monkeypatch):
    """Baselines that can be made of any table."""

    def spec(model, name):
        made = SimpleNamespace(model=model.__name__, indicators=name, params={})
        made.make = lambda columns: SimpleNamespace(
            features=[name],
            needs_labels=getattr(model, "needs_labels", True),
            uses_labels=getattr(model, "uses_labels", True),
            uses_pool=getattr(model, "uses_pool", False),
            fit=lambda X, y, **pool: setattr(made, "fitted", model().fit(X[["good"]], y, **pool)),
            predict=lambda X: made.fitted.predict(X[["good"]]),
        )
        return made

    known = {"encoding alone": spec(LinearRegression, "encoding"), "no labels": spec(Sum, None)}
    monkeypatch.setattr("fusion.evaluation.baselines.MODELS", known)


@pytest.fixture
def tss(tmp_path):
    return labelled(tmp_path / "t", 150, "nats-tss")


def test_baselines_are_in_every_result_and_page(with_baselines, tss, tmp_path):
    found = evaluate(tss, ["weighted_sum"], settings=QUICK, progress=False)
    assert [name for name, of in found.methods.items() if of.kind == "baseline"] == list(BASELINES[:2])
    assert [used.indicators for used in found.protocol.baselines.values()] == ["encoding", None]
    assert list(found.protocol.models) == ["weighted_sum"]
    found.write(tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count('<span class="tag">baseline</span>') == 4  # two tables of metrics
    assert "Grey: baselines." in page
    assert any(row[0].strip() == "no labels" and row[1].strip() != "\N{EN DASH}" for row in Page(page).rows)
    rows = protocol_rows(found)
    assert rows["Baselines"].startswith("encoding alone (")
    assert rows["Intervals"].startswith("2.5 and 97.5 percentiles over the splits")
    with pytest.raises(FusionError, match="'no labels', like a baseline of every evaluation; rename it"):
        evaluate(tss, {"no labels": "weighted_sum"}, settings=QUICK, progress=False)


def test_the_table_by_method_size_and_metric(with_baselines, tss, tmp_path):
    found = evaluate(tss, ["weighted_sum"], settings=QUICK, progress=False)
    found.save(tmp_path)
    table = pd.read_csv(tmp_path / "protocol.csv")
    assert list(table.columns) == ["method", "size", "metric", "mean", "low", "high", "splits"]
    counts = table.groupby("method")["size"].unique()
    assert list(counts["no labels"]) == [0, 10, 30]
    assert list(counts["weighted_sum"]) == [10, 30]
    assert set(table["metric"]) == set(METRICS)
    row = table[(table["method"] == "weighted_sum") & (table["size"] == 10) & (table["metric"] == "krocc")]
    expected = vars(found.learning_curve["weighted_sum"][0].scores["krocc"])
    assert row[["mean", "low", "high"]].iloc[0].to_dict() == pytest.approx(expected)
    assert row["splits"].item() == 4
    head, *lines = size_lines(found)
    assert head.split() == ["KROCC", "by", "size", "0", "10", "30"]
    cells = {line[:18].strip(): line[18:].split() for line in lines}
    assert cells["weighted_sum"] == [
        "-",
        *(f"{p.scores['krocc'].mean:.3f}" for p in found.learning_curve["weighted_sum"]),
    ]
    assert cells["no labels"][0] != "-"


def test_twins_together_apart_or_one_of_each(tss):
    found = {
        twins: evaluate(
            tss, ["weighted_sum"], settings=Judging(splits=6, bootstrap=0, twins=twins), progress=False
        )
        for twins in ("together", "apart", "one")
    }
    torn = {}
    for twins, result in found.items():
        assert result.protocol.twins == twins
        assert f"6 splits, twins {twins}" in result.lines()[0]
        torn[twins] = 0
        for _, rows in result.predictions.groupby("split"):
            tested = tss.twins[rows["arch"]]
            torn[twins] += int(tss.twins.drop(rows["arch"]).isin(tested).sum())
    assert torn["together"] == 0
    assert torn["apart"] > 0
    assert found["apart"].protocol.groups == 150
    together, apart, one = (protocol_rows(found[name])["Splits"] for name in ("together", "apart", "one"))
    assert "never on both sides of a split" in together
    assert "flatters every method" in apart
    assert "no two are isomorphic" in one
    first = sorted(min(group) for group in tss.X.index.groupby(tss.twins.to_numpy()).values())
    result = found["one"]
    assert result.protocol.architectures == result.protocol.groups == len(first)
    assert any(f"{150 - len(first)} of 150 architectures are isomorphic" in note for note in result.notes)
    judged = result.predictions
    assert set(judged["arch"]) <= set(first)
    assert (judged["measured"] == tss.y.loc[judged["arch"]].to_numpy()).all()


def test_dead_edges_are_left_out_where_asked(tss):
    settings = Judging(splits=2, bootstrap=0, train_size=20, train_sizes=(), dead_edges=False)
    found = evaluate(tss, ["weighted_sum"], settings=settings, progress=False)
    whole = [arch for arch in tss.X.index if not tss.space.has_dead_edge(arch)]
    assert 12 <= len(whole) < 150
    assert found.protocol.architectures == len(whole)
    assert (found.protocol.dead_edges, found.protocol.without_dead_edges) == (0, True)
    assert set(found.predictions["arch"]) <= set(whole)
    assert protocol_rows(found)["With dead edges"] == "left out"
    assert any("have dead edges and were left out" in note for note in found.notes)


def test_prediction_intervals_in_lines_and_on_the_page(tss, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "fusion.evaluation.verb._maker",
        lambda spec, columns: lambda: SimpleNamespace(
            fit=lambda X, y: model.fit(X[["good"]], y),
            predict=lambda X: model.predict(X[["good"]]),
            calibrate=lambda X, y, groups: model.calibrate(X[["good"]], y, groups=groups),
            predict_interval=lambda X, coverage: model.predict_interval(X[["good"]], coverage),
        ),
    )  # fmt: skip
    model = Sure()
    found = evaluate(tss, ["lightgbm"], settings=QUICK, progress=False)
    told = found.prediction_intervals["lightgbm"].all
    (line,) = held_lines(found)
    share, width = f"{100 * told.coverage.mean:.1f}", f"{told.width.mean:.2f}"
    assert line == f"lightgbm: 90 % intervals: cover {share} %, mean width {width}"
    assert line in found.lines()
    found.report(tmp_path / "r.html")
    rows = [row for row in Page((tmp_path / "r.html").read_text()).rows if row[1:2] == ["90 % "]]
    assert [row[2].strip() for row in rows] == ["all", *(f"tenth {i}" for i in range(1, 11))]
    assert rows[0][3].startswith(f"{share} %")
