"""The consensus of indicators that agree with size, against ranks by pandas."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from fusion.indicators import INDICATORS
from fusion.regression import Consensus, ModelSpec
from fusion.regression.consensus import INDICATORS as KNOWN
from fusion.regression.consensus import SIZE, votes
from fusion.tables import Pool

LOWER = next(name for name in INDICATORS if not INDICATORS[name].higher_is_better)


def table(n=40, seed=0):
    """Return indicators that grow with size, but for `meco`, which falls with it."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    return pd.DataFrame(
        {
            "params": np.exp(size),
            "flops": np.exp(size + 0.3 * rng.normal(size=n)),
            "zen": np.round(size + rng.normal(size=n), 1),  # with ties
            "meco": -size + 0.5 * rng.normal(size=n),
            LOWER: -size + rng.normal(size=n),
        }
    )


def expected(pool):
    """Return score and weights by definition: higher is better, then ranks, then those that agree."""
    turned = pool.assign(**{LOWER: -pool[LOWER]})
    size = turned[["params", "flops"]].rank().mean(axis=1)
    found = {name: spearmanr(turned[name], size).statistic for name in turned}
    weights = pd.Series({name: float(rho > 0) for name, rho in found.items()})
    weights[["params", "flops"]] += 2 * -sum(rho for rho in found.values() if rho < 0)
    # the mid-rank, as in the Gaussian score, and half a rank so that the worst is not of rank 0
    return (np.log(((turned.rank() - 0.5) + 0.5) / len(pool)) * weights).sum(axis=1), weights


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_sum_of_log_ranks_of_those_that_agree_with_size(seed):
    pool = table(seed=seed)
    score, weights = expected(pool)
    assert weights["meco"] == 0
    assert weights["params"] == weights["flops"] > 2 > weights["zen"] == 1
    model = Consensus().fit(pool)
    np.testing.assert_allclose(model.predict(pool), score, atol=1e-9)
    assert model.weights() == pytest.approx(weights.to_dict())
    some = Consensus().fit(pool[:3], pool=Pool(pool))
    np.testing.assert_allclose(some.predict(pool), score, atol=1e-9)


def test_of_an_indicator_of_which_lower_is_better_less_is_more():
    pool = table()[["params", LOWER]]
    model = Consensus().fit(pool)
    assert model.weights() == {"params": 1.0, LOWER: 1.0}
    better = pool.assign(**{LOWER: pool[LOWER] - 1})
    assert (model.predict(better) >= model.predict(pool)).all()
    assert model.predict(better).sum() > model.predict(pool).sum()


def test_without_size_the_mean_rank_of_all_takes_its_place():
    pool = table()[["zen", "meco", LOWER]].assign(mine=lambda t: t["zen"] ** 3)
    turned = pool.assign(**{LOWER: -pool[LOWER]})
    order = turned.rank().mean(axis=1)
    weights = {name: float(spearmanr(turned[name], order).statistic > 0) for name in pool}
    assert Consensus().fit(pool).weights() == weights
    assert weights["meco"] == 0
    # of an array, columns have no names
    assert list(Consensus().fit(turned.to_numpy()).weights_) == list(weights.values())


def test_a_missing_value_is_as_bad_as_the_worst():
    pool = table()
    pool.iloc[3, 2] = np.nan
    pool.loc[5, LOWER] = np.inf
    model = Consensus().fit(pool)
    row = pool.iloc[[0]]
    for name, worst in (("zen", pool["zen"].min()), (LOWER, pool[LOWER].drop(5).max())):
        assert np.array_equal(
            model.predict(row.assign(**{name: np.nan})), model.predict(row.assign(**{name: worst}))
        )
    empty = pool.assign(zen=np.nan)
    alone = pool.drop(columns="zen")
    assert np.array_equal(Consensus().fit(empty).predict(empty), Consensus().fit(alone).predict(alone))


def test_votes():
    size = np.array([1.0, 2.0, 3.0, 4.0])
    ranks = np.column_stack([size**3, -size, [1, 1, 1, 1], [1, 3, 2, 4], [4, 2, 3, 1]])
    # -1 and -0.8 are against size, which counts twice that more
    np.testing.assert_allclose(votes(ranks, [0]), [1 + 2 * 1.8, 0, 0, 1, 0])
    assert votes(ranks[:, [0, 3]], [0]).tolist() == [1, 1]
    assert votes(ranks[:, 2:3], [0]).tolist() == [1]  # size tells nothing
    assert votes(ranks[:, [1, 2]], [1]).tolist() == [1, 1]


def test_by_name_it_reads_its_own_indicators():
    assert {*SIZE} < {*KNOWN} <= {*INDICATORS}
    assert ModelSpec("consensus").features(["naswot", "cj", "params"]) == ["params", "naswot"]


@pytest.mark.parametrize(
    "change",
    [{"weights": [1.0]}, {"weights": [1e300] * 5}, {"weights": [-1.0] * 5}, {"size": 0}, {"size": 2.5}],
)
def test_a_state_that_is_none_is_refused(change):
    state = Consensus().fit(table()).to_state()
    state.values["learned"].update(change)
    with pytest.raises(ValueError, match=r"weights|size"):
        Consensus().restore(state)
