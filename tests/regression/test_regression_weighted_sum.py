import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import lsq_linear
from scipy.stats import norm, rankdata

from fusion.errors import FusionError
from fusion.indicators import INDICATORS
from fusion.regression import LightGBM, WeightedSum


def normal_scores(X):
    return norm.ppf((np.apply_along_axis(rankdata, 0, X) - 0.5) / len(X))


def wide_table(rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, columns)) * 10.0 ** rng.integers(-3, 4, columns)


def test_weights_are_those_of_least_squares():
    X, y = wide_table(50, 4), np.random.default_rng(1).normal(80, 5, 50)
    model = WeightedSum(penalty="none", target="accuracy").fit(X, y)
    design = np.column_stack([np.ones(50), normal_scores(X)])
    intercept, *weights = np.linalg.solve(design.T @ design, design.T @ y)  # the normal equations
    assert np.allclose(model.coef_, weights)
    assert np.isclose(model.intercept_, intercept)
    assert np.allclose(model.predict(X), design @ [intercept, *weights])


def test_more_indicators_than_architectures_gives_the_least_norm():
    X, y = wide_table(6, 15), np.random.default_rng(1).normal(80, 5, 6)
    model = WeightedSum(penalty="none", target="accuracy").fit(X, y)
    scores = normal_scores(X)
    assert np.allclose(model.coef_, np.linalg.pinv(scores - scores.mean(0)) @ (y - y.mean()))
    assert np.allclose(model.predict(X), y)


def test_repeated_indicators_share_their_weight():
    x, y = wide_table(30, 1), np.random.default_rng(1).normal(80, 5, 30)
    single = WeightedSum(penalty="none", target="accuracy").fit(x, y)
    twice = WeightedSum(penalty="none", target="accuracy").fit(np.hstack([x, x]), y)
    assert np.allclose(twice.coef_, single.coef_[0] / 2)


def test_where_the_faster_decomposition_does_not_converge_the_other_one_does(monkeypatch):
    X, y = wide_table(30, 4), np.random.default_rng(1).normal(80, 5, 30)
    expected = WeightedSum().fit(X, y).coef_

    def fails(*args, **options):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(np.linalg, "svd", fails)
    assert np.allclose(WeightedSum().fit(X, y).coef_, expected)


def test_pool_gives_the_ranks():
    pool, y = wide_table(200, 2), np.random.default_rng(1).normal(80, 5, 20)
    model = WeightedSum(penalty="none", target="accuracy").fit(pool[:20], y, pool=pool)
    design = np.column_stack([np.ones(20), normal_scores(pool)[:20]])
    expected = np.linalg.lstsq(design, y, rcond=None)[0]
    assert np.allclose([model.intercept_, *model.coef_], expected)


def test_raw_values_60_decades_apart_and_a_missing_one():
    rng = np.random.default_rng(4)
    base = rng.normal(size=(40, 3))
    y = 70 + base @ [3.0, -2.0, 0.5]
    model = WeightedSum("none", penalty="none", target="accuracy").fit(base * [1e-30, 1.0, 1e30], y)
    assert np.allclose(model.coef_, [3e30, -2.0, 0.5e-30], rtol=1e-9)
    assert np.isclose(model.intercept_, 70)
    x = np.array([[np.nan, 1.0, 0.0]])
    assert np.isclose(model.predict(x)[0], 70 + 3 * base[:, 0].mean() - 2)


@pytest.mark.parametrize("transformation", ["quantile", "signed_log", "standard", "none"])
def test_a_constant_indicator_changes_nothing(transformation):
    x, y = wide_table(30, 2), np.random.default_rng(1).normal(80, 5, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = WeightedSum(transformation).fit(np.column_stack([x, np.full(30, 0.1)]), y)
    assert model.coef_[2] == 0
    assert np.allclose(model.coef_[:2], WeightedSum(transformation).fit(x, y).coef_)


def test_missing_values_have_a_weight_of_their_own():
    y = np.array([60.0, 61.0, 62.0, 50.0, 50.0])
    model = WeightedSum("standard", target="accuracy").fit([[1.0], [2.0], [3.0], [np.nan], [np.nan]], y)
    assert np.allclose(model.predict([[np.nan], [2.0]]), [50, 61])


def test_rounding_does_not_depend_on_the_number_of_rows():
    X = wide_table(50, 40)
    model = WeightedSum().fit(X, np.random.default_rng(1).normal(80, 5, 50))
    assert np.array_equal(model.predict(X), [model.predict(row[None])[0] for row in X])


def test_one_architecture_is_predicted_as_it_is():
    assert np.allclose(WeightedSum().fit([[1.0, np.nan]], [73.0]).predict([[5.0, 2.0]]), [73])


@pytest.mark.parametrize("transformation", ["quantile", "signed_log", "standard", "none"])
def test_equation_evaluates_to_the_prediction(transformation):
    values = wide_table(40, 3)
    values[5, 1] = np.nan
    table = pd.DataFrame(values, columns=["cj", "os", "cnntk"])
    model = WeightedSum(transformation, target="accuracy").fit(
        table, np.random.default_rng(1).normal(80, 5, 40)
    )
    formula, meaning, *rest = model.equation(digits=12).splitlines()
    terms = re.findall(r"([+-]) ([\d.e+-]+) (\S+)", formula)
    assert formula.startswith("accuracy = ")
    intercept = float(formula.split()[2])
    symbol = {"quantile": "q", "signed_log": "s", "standard": "z", "none": ""}[transformation]
    written = [f"{symbol}({name})" if symbol else name for name in table]
    flags = [] if transformation == "none" else ["missing(os)"]
    assert [term for *_, term in terms] == written + flags
    assert len(rest) == len(flags)
    assert meaning.startswith(f"{symbol}(x)" if symbol else "x")
    assert meaning.endswith("the 40 architectures of the training table")
    features = model.transformer_.transform(values)
    weights = [float(sign + number) for sign, number, _ in terms]
    assert np.allclose(intercept + features @ weights, model.predict(table))


def test_of_many_terms_an_equation_may_have_the_largest_alone():
    values = wide_table(40, 6)
    table = pd.DataFrame(values, columns=["cj", "os", "cnntk", "nlr", "zen", "meco"])
    model = WeightedSum(target="accuracy").fit(table, np.random.default_rng(1).normal(80, 5, 40))
    short, *_ = model.equation(largest=2).splitlines()
    weights = pd.Series(model.weights()).abs().sort_values()
    for name in weights.index:
        assert (f"q({name})" in short) == (name in weights.index[-2:])
    assert short.endswith(" + 4 terms with smaller weights")
    assert model.equation(largest=6) == model.equation()


def test_equation_of_an_array_numbers_the_columns():
    model = WeightedSum("none", penalty="none", target="accuracy").fit(
        [[1.0, 0.0], [2.0, 5.0], [3.0, 1.0]], [-2.0, -4.0, -6.0]
    )
    assert re.fullmatch(r"accuracy = \S+ - 2 x0 [+-] \S+ x1", model.equation(digits=3).splitlines()[0])


def test_unknown_transformation_is_explained():
    with pytest.raises(FusionError, match="unknown transformation 'log'"):
        WeightedSum("log").fit([[1.0], [2.0]], [1.0, 2.0])


def test_the_penalty_is_the_one_with_the_least_error_when_each_architecture_is_left_out():
    rng = np.random.default_rng(5)
    base = rng.normal(size=(25, 3))
    X = np.hstack([base, base + 0.05 * rng.normal(size=(25, 3))])  # indicators that say the same
    y = 80 + base @ [1.0, -2.0, 0.5] + rng.normal(0, 1.0, 25)
    model = WeightedSum("standard", target="accuracy").fit(X, y)
    Z = (X - X.mean(0)) / X.std(0)

    def left_out(penalty):
        errors = []
        for i in range(25):
            keep = np.arange(25) != i
            A = np.column_stack([np.ones(24), Z[keep]])
            D = np.diag([0.0] + 6 * [25 * penalty])
            weights = np.linalg.solve(A.T @ A + D, A.T @ y[keep])
            errors.append((y[i] - weights[0] - Z[i] @ weights[1:]) ** 2)
        return np.mean(errors)

    grid = [0.0, *(10.0**i for i in range(-4, 2))]
    assert model.penalty_ == min(grid, key=left_out)
    assert 0 < model.penalty_ < 10
    assert np.linalg.norm(model.coef_) < np.linalg.norm(
        WeightedSum("standard", "none", "accuracy").fit(X, y).coef_
    )


def test_an_unknown_penalty_is_refused():
    with pytest.raises(FusionError, match="'loo' or 'none'"):
        WeightedSum(penalty="lots").fit([[1.0], [2.0]], [1.0, 2.0])


def test_missing_values_unseen_in_training_stand_at_the_worse_end():
    rng = np.random.default_rng(2)
    good = rng.normal(size=60)
    table = np.column_stack([good, -good])  # the second one is better when lower
    y = 80 + 5 * good
    for model in (WeightedSum(), WeightedSum(target="accuracy"), LightGBM(n_estimators=100)):
        worst, middle = model.fit(table, y).predict([[np.nan, np.nan], [0.0, 0.0]])
        assert worst < np.quantile(y, 0.1) < middle


def test_gaussian_target_ranks_under_outliers_and_maps_back_to_accuracies():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 2))
    score = x @ [1.0, 0.5]
    y = 95 - 3 * np.exp(-2 * score)  # a long lower tail
    model = WeightedSum("standard").fit(x[:100], y[:100])
    predicted = model.predict(x[100:])
    assert np.corrcoef(rankdata(predicted), rankdata(y[100:]))[0, 1] > 0.99
    assert np.median(np.abs(predicted - y[100:])) < 0.5
    assert len(np.unique(predicted)) == 100  # no ties beyond the training accuracies
    plain = WeightedSum("standard", target="accuracy").fit(x[:100], y[:100]).predict(x[100:])
    assert np.mean((predicted - y[100:]) ** 2) < np.mean((plain - y[100:]) ** 2)


def test_gaussian_target_reproduces_training_accuracies_of_a_perfect_indicator():
    y = np.array([10.0, 70.0, 80.0, 90.0, 91.0, 91.5])
    model = WeightedSum("quantile", penalty="none").fit(np.arange(6.0)[:, None], y)
    assert np.allclose(model.predict(np.arange(6.0)[:, None]), y)


def test_terms_without_weight_are_not_in_the_equation():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=30), "flat": 1.0, "empty": np.nan})
    equation = WeightedSum().fit(table, table["a"] + rng.normal(size=30)).equation()
    assert "q(a)" in equation
    assert "flat" not in equation
    assert "empty" not in equation


class TestConstraint:
    LOWER = next(name for name in INDICATORS if not INDICATORS[name].higher_is_better)
    NAMES = ("zen", LOWER, "flops", "mine")

    def table(self, seed=6, rows=30):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame(rng.normal(size=(rows, 4)), columns=self.NAMES)
        # all signs but that of flops against what the sources expect
        y = 80 + X @ [-1.0, 1.0, 2.0, -1.5] + rng.normal(size=rows)
        return X, y.to_numpy()

    @pytest.mark.parametrize(
        ("constraint", "low", "high"),
        [
            ("non_negative", [0, 0, 0, 0], [np.inf] * 4),
            ("signs", [0, -np.inf, 0, -np.inf], [np.inf, 0, np.inf, np.inf]),
        ],
    )
    @pytest.mark.parametrize("penalty", ["loo", "none"])
    def test_weights_are_the_best_of_those_signs(self, constraint, low, high, penalty):
        X, y = self.table()
        model = WeightedSum("standard", penalty, "accuracy", constraint).fit(X, y)
        Z = ((X - X.mean()) / X.std(ddof=0)).to_numpy()
        rows = np.vstack([Z, np.sqrt(30 * model.penalty_) * np.eye(4)])
        best = lsq_linear(rows, np.append(y - y.mean(), np.zeros(4)), (low, high), tol=1e-12).x
        np.testing.assert_allclose(model.coef_, best, atol=1e-5)
        assert ((model.coef_ >= low) & (model.coef_ <= high)).all()
        assert (model.coef_ != 0).sum() in (1, 2)
        assert WeightedSum("standard", penalty, "accuracy").fit(X, y).coef_.min() < 0

    def test_where_no_sign_is_in_the_way_it_is_the_plain_model(self):
        X, y = self.table()
        good = X.assign(**{self.LOWER: -X[self.LOWER], "zen": -X["zen"]})
        plain = WeightedSum().fit(good, y)
        signed = WeightedSum(constraint="signs").fit(good, y)
        assert signed.penalty_ == plain.penalty_
        np.testing.assert_allclose(signed.coef_, plain.coef_, atol=1e-6)

    def test_the_penalty_is_the_best_for_the_weights_that_are_left(self):
        X, y = self.table()
        X["copy"] = X["flops"] + 0.05 * np.random.default_rng(0).normal(size=30)
        model = WeightedSum("standard", "loo", "accuracy", "non_negative").fit(X, y)
        Z = ((X - X.mean()) / X.std(ddof=0)).to_numpy()

        def left_out(penalty):
            rows = np.vstack([Z, np.sqrt(30 * penalty) * np.eye(5)])
            weights = lsq_linear(rows, np.append(y - y.mean(), np.zeros(5)), (0, np.inf), tol=1e-12).x
            kept = Z[:, weights > 1e-6]
            errors = []
            for i in range(30):
                keep = np.arange(30) != i
                A = np.column_stack([np.ones(29), kept[keep]])
                D = np.diag([0.0] + [30 * penalty] * kept.shape[1])
                w = np.linalg.solve(A.T @ A + D, A.T @ y[keep])
                errors.append((y[i] - w[0] - kept[i] @ w[1:]) ** 2)
            return np.mean(errors)

        grid = [0.0, *(10.0**i for i in range(-4, 2))]
        assert model.penalty_ == min(grid, key=left_out)
        assert len({round(left_out(penalty), 6) for penalty in grid}) > 3

    def test_flags_and_more_columns_than_rows(self):
        X, y = self.table(rows=12)
        X.iloc[3, 0] = np.nan
        wide = pd.concat([X, X.add_suffix("2"), X.add_suffix("3").sample(frac=1, random_state=0)], axis=1)
        wide.index = range(12)
        for constraint in ("non_negative", "signs"):
            for penalty in ("loo", "none"):
                model = WeightedSum(penalty=penalty, constraint=constraint).fit(wide, y)
                assert np.isfinite(model.predict(wide)).all()

    def test_an_unknown_one_is_refused(self):
        with pytest.raises(FusionError, match="'none', 'non_negative' or 'signs'"):
            WeightedSum(constraint="positive").fit([[1.0], [2.0]], [1.0, 2.0])
