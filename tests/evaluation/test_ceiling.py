import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fusion.evaluation.ceiling import ceiling


def measured(n, seeds, noise, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    runs = truth[:, None] + noise * rng.normal(size=(n, seeds))
    index = [f"a{i:04}" for i in range(n)]
    mean, spread = (pd.Series(of, index) for of in (runs.mean(axis=1), runs.std(axis=1, ddof=1)))
    return truth, mean, spread, pd.Series(seeds, index, dtype="Int64")


@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0])
def test_it_is_what_the_truth_itself_would_reach(noise):
    truth, *given = measured(3000, 4, noise)
    found = ceiling(*given)
    assert found.architectures == 3000
    assert found.plcc == pytest.approx(np.corrcoef(truth, given[0])[0, 1], abs=0.01)
    assert found.rmse == pytest.approx(np.sqrt(np.mean((truth - given[0]) ** 2)), rel=0.05)
    # slightly too high, for the accuracies spread more widely than the truth
    assert found.srocc == pytest.approx(stats.spearmanr(truth, given[0]).statistic, abs=0.02)
    assert found.reliability == pytest.approx(found.plcc**2)


def test_order_and_architectures_of_one_seed_do_not_matter():
    _, mean, spread, seeds = measured(60, 3, 0.3)
    seeds.iloc[:20], spread.iloc[:20] = 1, np.nan
    found = ceiling(mean, spread, seeds)
    assert found.architectures == 40
    assert ceiling(mean[::-1], spread, seeds.sample(frac=1, random_state=0)) == found
    assert ceiling(mean[20:], spread, seeds) == found


def test_no_ceiling_without_seeds():
    _, mean, spread, seeds = measured(60, 3, 0.3)
    assert ceiling(mean, spread * np.nan, seeds) is None
    assert ceiling(mean, spread, seeds.where(seeds > 3)) is None
    assert ceiling(mean[:9], spread, seeds) is None
    assert ceiling(mean * 0, spread, seeds) is None
