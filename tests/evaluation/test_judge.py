import json
import warnings
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression

from fusion.errors import FusionError
from fusion.evaluation import METRICS, Interval, Plan, judge, split
from fusion.evaluation.intervals import Outcome, scores_per_replicate
from fusion.evaluation.results import Extent
from fusion.seeding import derive_seed
from fusion.work import Work

HIGHER = {"good": True, "cost": False, "gaps": True, "constant": True}


class Ranks(LinearRegression):
    """Linear regression on the ranks of the indicators within the training part."""

    def _ranks(self, X):
        return pd.DataFrame({name: np.searchsorted(self.known_[name], X[name].fillna(0)) for name in X})

    def fit(self, X, y):
        self.known_ = {name: np.sort(X[name].fillna(0)) for name in X}
        return super().fit(self._ranks(X), y)

    def predict(self, X):
        return super().predict(self._ranks(X))


class Mean:
    """Predicts the mean; remembers what it was given."""

    seen = []  # noqa: RUF012
    uses_pool = True

    def fit(self, X, y, pool=None):
        self.mean = float(np.mean(y))
        self.seen.append((X.index, y, pool))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    n = 120
    quality = rng.normal(size=n)
    values = pd.DataFrame(
        {
            "good": quality + 0.5 * rng.normal(size=n),
            "cost": np.exp(-3 * quality + 3 * rng.normal(size=n)),
            "gaps": np.where(rng.random(n) < 0.2, np.nan, quality + rng.normal(size=n)),
            "constant": 1.0,
        },
        index=[f"arch{i:03}" for i in range(n)],
    )
    accuracy = pd.Series(90 + 2 * quality + 0.3 * rng.normal(size=n), index=values.index)
    groups = pd.Series(np.where(np.arange(n) < 40, np.arange(n) // 4, np.arange(n)), index=values.index)
    return values, accuracy, groups


MODELS = {"ranks": Ranks, "mean": Mean}
QUIET = Work(workers=1, progress=False)
PLAN = {"train_size": 40, "train_sizes": (20, 40), "splits": 4, "bootstrap": 30, "seed": 0}


def run(data, models=MODELS, higher=HIGHER, **changed):
    return judge(*data, models, higher, Plan(**{**PLAN, **changed}), work=QUIET)


def content(result):
    """Everything that was found, as JSON values."""
    found = asdict(result)
    found.pop("predictions")
    return found


@pytest.fixture(scope="module")
def result(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return run(data)


def test_model_metrics_are_those_of_its_predictions(data, result):
    for name in METRICS:
        found = [
            METRICS[name].function(part["measured"], part["ranks"])
            for _, part in result.predictions.groupby("split")
        ]
        shown = (result.methods["ranks"].scores[name].mean, result.shown_split.scores["ranks"][name])
        if np.isnan(found).all():  # needs more architectures
            assert shown == (None, None)
            assert name in ("precision_at_100", "regret_at_100", "krocc_best_tenth")
        else:
            assert shown == pytest.approx((np.mean(found), found[0]))


def test_predictions_are_those_of_models_fitted_on_the_rest(data, result):
    values, accuracy, groups = data
    table = result.predictions
    assert list(table.columns) == ["arch", "split", "set", "measured", "mean", "ranks"]
    assert set(table["set"]) == {"test"}
    assert (table["measured"] == accuracy.loc[table["arch"]].to_numpy()).all()
    for _, part in table.groupby("split"):
        train = values.index.difference(part["arch"])
        assert len(train) == 40
        assert not set(groups[train]) & set(groups[part["arch"]])
        model = Ranks().fit(values[sorted(values)].loc[train], accuracy[train])
        np.testing.assert_allclose(part["ranks"], model.predict(values[sorted(values)].loc[part["arch"]]))
        np.testing.assert_allclose(part["mean"], accuracy[train].mean())
    assert table["split"].nunique() == 4


def reference_indicator(values, accuracy, train, test, sign):
    """Score and isotonic prediction of one indicator, undefined values counting as the worst."""
    signed = sign * values
    signed = signed.fillna(signed.iloc[train].min())
    mapping = IsotonicRegression(out_of_bounds="clip").fit(signed.iloc[train], accuracy.iloc[train])
    return signed.iloc[test], mapping.predict(signed.iloc[test])


@pytest.mark.parametrize(("name", "sign"), [("good", 1), ("cost", -1), ("gaps", 1)])
def test_single_indicators(data, result, name, sign):
    values, accuracy, groups = data
    found = {"srocc": [], "krocc": [], "plcc": [], "rmse": []}
    order = np.unique(groups.astype(str), return_inverse=True)[1]
    for i in range(4):
        train, test = split(order, 40, derive_seed(0, i))
        score, fitted = reference_indicator(values[name], accuracy, train, test, sign)
        y = accuracy.iloc[test]
        found["srocc"].append(stats.spearmanr(y, score).statistic)
        found["krocc"].append(stats.kendalltau(y, score).statistic)
        found["plcc"].append(stats.pearsonr(y, score).statistic)
        found["rmse"].append(np.sqrt(np.mean((y - fitted) ** 2)))
    method = result.methods[name]
    assert method.kind == "indicator"
    assert method.defined == pytest.approx(values[name].notna().mean())
    for metric, numbers in found.items():
        assert method.scores[metric].mean == pytest.approx(np.mean(numbers)), metric
    assert method.scores["srocc"].mean > 0.2


def test_undefined_is_null_not_a_number_and_not_a_warning(result):
    for name in ("constant", "mean"):
        method = result.methods[name]
        assert method.scores["srocc"] == Interval(None, None, None)
        assert method.scores["rmse"].mean > 0
    assert result.advantage["mean"].mean is None
    json.dumps(content(result), allow_nan=False)


def test_intervals_agree_with_a_plain_bootstrap(data):
    values, accuracy, groups = data
    found_here = run(data, models={}, splits=3, bootstrap=300, train_sizes=()).methods["good"].scores["srocc"]
    rng = np.random.default_rng(5)
    code = np.unique(groups.astype(str), return_inverse=True)[1]
    tests = [split(code, 40, derive_seed(0, i))[1] for i in range(3)]
    members = [[test[code[test] == group] for group in np.unique(code[test])] for test in tests]
    good, y = values["good"].to_numpy(), accuracy.to_numpy()
    found = []
    for _ in range(1000):
        groups = members[rng.integers(3)]
        rows = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        found.append(np.corrcoef(stats.rankdata(good[rows]), stats.rankdata(y[rows]))[0, 1])
    low, high = np.percentile(found, [2.5, 97.5])
    width = high - low
    assert found_here.low == pytest.approx(low, abs=0.2 * width)
    assert found_here.high == pytest.approx(high, abs=0.2 * width)


def test_twins_add_no_information():
    """60 architectures twice: as twins, sqrt(2) times the spread of 120 independent ones."""
    rng = np.random.default_rng(0)
    measured, noise = rng.normal(size=(2, 60))
    doubled = {"m": np.tile(measured + noise, 2)}

    def spread(groups):
        outcome = Outcome(np.tile(measured, 2), groups, doubled, doubled)
        return np.std(scores_per_replicate([outcome], 800, np.random.default_rng(1), QUIET)["m"]["srocc"])

    assert spread(np.arange(120) % 60) / spread(np.arange(120)) == pytest.approx(np.sqrt(2), rel=0.1)


def test_advantage_is_paired_and_over_the_best_indicator(data, result):
    assert result.best_indicator == "good"
    difference = result.methods["ranks"].scores["srocc"].mean - result.methods["good"].scores["srocc"].mean
    assert result.advantage["ranks"].mean == pytest.approx(difference)

    class Copy(Mean):
        def predict(self, X):
            return X["good"].to_numpy()

    copied = run(data, models={"copy": Copy}).advantage["copy"]
    assert copied == Interval(0, 0, 0)


def test_learning_curve_goes_through_the_main_result(result):
    for name in ("ranks", "mean"):
        points = {point.train_size: point for point in result.learning_curve[name]}
        assert sorted(points) == [20, 40]
        assert points[20].test_size == Extent(100, 100)
        for metric in METRICS:
            assert points[40].scores[metric] == result.methods[name].scores[metric]


def test_correlations_are_signed_and_pairwise(data, result):
    found = result.correlations
    assert found.indicators == ("constant", "cost", "gaps", "good")
    both = data[0]["gaps"].notna()
    expected = -stats.spearmanr(data[0]["cost"][both], data[0]["gaps"][both]).statistic
    assert found.srocc[1][2] == pytest.approx(expected)
    assert found.srocc[0][1] is None


def test_weights_are_those_of_the_fitted_models(data, result):
    values, accuracy, _ = data
    names = sorted(values)
    coefficients = []
    for _, part in result.predictions.groupby("split"):
        train = values.index.difference(part["arch"])
        coefficients.append(Ranks().fit(values[names].loc[train], accuracy[train]).coef_)
    assert list(result.weights) == ["ranks"]
    for i, name in enumerate(names):
        column = np.array(coefficients)[:, i]
        found = result.weights["ranks"][name]
        assert found.mean == pytest.approx(column.mean(), abs=1e-9)
        assert found.low == pytest.approx(np.percentile(column, 2.5), abs=1e-9)
        assert found.high == pytest.approx(np.percentile(column, 97.5), abs=1e-9)


def test_result_depends_on_the_seed_but_on_no_order(data, result):
    values, accuracy, groups = data
    rng = np.random.default_rng(1)
    mixed = (
        values.iloc[rng.permutation(120), ::-1],
        accuracy.iloc[rng.permutation(120)],
        groups.iloc[rng.permutation(120)],
    )
    again = run(mixed, models={"mean": Mean, "ranks": Ranks}, train_sizes=(40, 20, 40))
    assert json.dumps(content(again)) == json.dumps(content(result))
    pd.testing.assert_frame_equal(again.predictions, result.predictions)
    other = run(data, seed=1)
    assert other.methods["good"] != result.methods["good"]


def test_pool_is_the_whole_table_without_accuracies(data):
    Mean.seen.clear()
    run(data, models={"mean": Mean}, splits=1)
    assert Mean.seen
    for index, y, pool in Mean.seen:
        assert len(index) == len(y) < 120
        pd.testing.assert_frame_equal(pool.table, data[0][sorted(data[0])])


def test_sizes_are_told(result):
    assert result.groups == 90
    assert result.test_size == Extent(80, 80)
    counts = [
        part["arch"].str[4:].astype(int).map(lambda i: i // 4 if i < 40 else i).nunique()
        for _, part in result.predictions.groupby("split")
    ]
    assert result.test_networks == Extent(min(counts), max(counts))


def test_indicators_alone_without_bootstrap(data):
    values, accuracy, groups = data
    found = run(data, models={}, train_sizes=(), bootstrap=0)
    assert found.advantage == found.weights == found.ranges == {}
    code = np.unique(groups.astype(str), return_inverse=True)[1]
    tests = [split(code, 40, derive_seed(0, i))[1] for i in range(4)]
    per_split = [stats.spearmanr(values["good"].iloc[t], accuracy.iloc[t]).statistic for t in tests]
    low, high = np.percentile(per_split, [2.5, 97.5])
    expected = pytest.approx((np.mean(per_split), low, high))
    assert tuple(vars(found.methods["good"].scores["srocc"]).values()) == expected
    one = run(data, models={}, train_sizes=(), bootstrap=0, splits=1).methods["good"].scores["srocc"]
    assert (one.low, one.high) == (None, None)
    assert one.mean == pytest.approx(per_split[0])


def test_infinite_values_count_as_undefined_and_an_indicator_may_be_undefined_everywhere(data):
    values, accuracy, groups = data
    infinite = values.assign(gaps=values["gaps"].fillna(np.inf))
    assert run((infinite, accuracy, groups)) == run((values, accuracy, groups))
    nothing = run((values[["gaps"]] * np.nan, accuracy, groups), models={})
    assert nothing.best_indicator is None
    assert nothing.methods["gaps"].defined == 0


def test_what_ranks_upside_down_is_reversed_and_what_only_may_is_not(data, result):
    assert not any(of.reversed for of in result.methods.values())
    wrong = run(data, higher={**HIGHER, "good": False})
    assert wrong.methods["good"].reversed
    assert not wrong.methods["gaps"].reversed


class Broken(Mean):
    def predict(self, X):
        return np.full(len(X), np.nan)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda v, a, g: (v, a.iloc[1:], g), {}, "accuracies and indicators are not of the same"),
        (lambda v, a, g: (v, a, g.set_axis(range(120))), {}, "groups and indicators are not of the same"),
        (lambda v, a, g: (v, a.where(a > a.min()), g), {}, "1 accuracies are missing"),
        (lambda v, a, g: (v, a.mask(a == a.min(), np.inf), g), {}, "infinite"),
        (lambda v, a, g: (pd.concat([v, v]), a, g), {}, "occurs twice"),
        (lambda v, a, g: (v[[]], a, g), {}, "no indicators"),
        (lambda v, a, g: (v, a, g), {"higher": {"good": True}}, "lacks constant, cost, gaps"),
        (lambda v, a, g: (v, a, g), {"models": {"good": Mean}}, "rename"),
        (lambda v, a, g: (v, a, g), {"models": {"arch": Mean}}, "rename"),
        (lambda v, a, g: (v, a, g), {"models": {"broken": Broken}}, "'broken', trained on 20"),
        (lambda v, a, g: (v, a, g), {"train_size": 111}, "choose between"),
        (lambda v, a, g: (v, a, g), {"train_sizes": (20, 115)}, "choose between"),
        (lambda v, a, g: (v, a, g), {"splits": 0}, "at least 1 split"),
    ],
)
def test_bad_input_is_one_clear_line(data, change, settings, message):
    with pytest.raises(FusionError, match=message) as error:
        run(change(*data), **settings)
    assert "\n" not in str(error.value)
