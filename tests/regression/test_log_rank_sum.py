"""The sum of logarithms of ranks, and what holds for models without accuracies."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from fusion.errors import FusionError
from fusion.indicators import INDICATORS
from fusion.regression import LogRankSum, ModelSpec, Predictor, fit, make_model
from fusion.tables import Pool
from tests.tables.small import labelled

LOWER = next(name for name in INDICATORS if not INDICATORS[name].higher_is_better)


def table(n=30, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.integers(0, 12, (n, 3)) * 1e30, columns=["zen", LOWER, "mine"])


def test_it_is_the_sum_of_log_ranks_in_each_direction():
    pool = table()
    expected = sum(
        np.log(rankdata(sign * pool[name]) / len(pool))
        for name, sign in (("zen", 1), (LOWER, -1), ("mine", 1))
    )
    for model in (LogRankSum().fit(pool), LogRankSum().fit(pool[:4], pool=pool)):
        np.testing.assert_allclose(model.predict(pool), expected, atol=1e-9)
    best = pool.rank().assign(**{LOWER: -pool[LOWER].rank()}).sum(axis=1)
    assert np.corrcoef(expected, best)[0, 1] > 0.8


def test_a_missing_value_is_as_bad_as_the_worst():
    pool = table()
    model = LogRankSum().fit(pool)
    worst = pd.DataFrame({"zen": [pool["zen"].min()], LOWER: [pool[LOWER].max()], "mine": [0.0]})
    missing = worst.assign(**{"zen": np.nan, LOWER: np.inf})
    assert np.array_equal(model.predict(missing), model.predict(worst))


def test_what_has_no_value_is_left_out():
    pool = table()
    alone = LogRankSum().fit(pool[["zen", "mine"]]).predict(pool[["zen", "mine"]])
    empty = pool.assign(**{LOWER: np.nan})
    assert np.array_equal(LogRankSum().fit(empty).predict(empty), alone)
    with pytest.raises(FusionError, match="no indicator has a value"):
        LogRankSum().fit(empty[[LOWER]])


def test_accuracies_do_not_matter_but_must_belong_to_the_table():
    pool = table()
    found = LogRankSum().fit(pool, np.arange(30.0)).predict(pool)
    assert np.array_equal(found, LogRankSum().fit(pool).predict(pool))
    with pytest.raises(ValueError, match="inconsistent"):
        LogRankSum().fit(pool, np.arange(29.0))


def test_by_name_it_reads_its_own_indicators_that_are_there():
    columns = ["params", "naswot", "cj", "zen"]
    assert ModelSpec("log_rank_sum").features(columns) == ["zen", "naswot"]
    assert ModelSpec("log_rank_sum", "params,cj").features(columns) == ["params", "cj"]
    with pytest.raises(FusionError, match=r"reads az_expressivity.* none of which the table has"):
        ModelSpec("log_rank_sum").features(["params", "cj"])
    assert set(LogRankSum.indicators) <= set(INDICATORS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("ranked") / "t", names=["zen", "flops", "params"])


@pytest.mark.filterwarnings("ignore:.*lie outside")
class TestPredictor:
    def test_it_ranks(self, data, tmp_path):
        predictor = fit(data, "log_rank_sum")
        with pytest.warns(UserWarning, match="no accuracies: each is the score of log_rank_sum"):
            found = predictor.predict(data.table)
        X = data.pool.table[["zen", "flops"]]
        own = make_model("log_rank_sum").fit(X, pool=Pool(X)).predict(X)
        np.testing.assert_allclose(found[X.index], own)
        assert found.name == "score of log_rank_sum, by which architectures are ranked"
        assert "from no accuracy" in predictor.card()
        assert "predicts no accuracies" in predictor.card()
        predictor.save(tmp_path)
        with pytest.warns(UserWarning, match="no accuracies"):
            assert Predictor.load(tmp_path).predict(data.table).equals(found)

    def test_errors_are_not_turned(self, data):
        down = replace(data, accuracies=replace(data.accuracies, lower_is_better=True))
        assert not fit(down, "log_rank_sum").lower_is_better

    def test_it_has_no_intervals(self, data):
        predictor = fit(data, "log_rank_sum")
        with pytest.raises(FusionError, match="ranks and predicts no accuracies"):
            predictor.predict(data.table, interval=0.9)
        with pytest.raises(FusionError, match="ranks and predicts no accuracies"):
            predictor.fitted.calibrate(data.X, data.y)


@pytest.mark.parametrize(
    "change",
    [{"better": [2, 1, 1]}, {"better": [1]}, {"better": None}, {"known": [3]}, {"known": ["zen"]}],
)
def test_a_state_that_is_none_is_refused(change):
    model = LogRankSum().fit(table())
    state = model.to_state()
    state.values["learned"].update(change)
    with pytest.raises(ValueError, match=r"better|known"):
        LogRankSum().restore(state)
