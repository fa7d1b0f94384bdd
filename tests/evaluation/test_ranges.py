import numpy as np
import pandas as pd
import pytest

from fusion.evaluation.ranges import range_errors
from fusion.evaluation.results import Extent, Interval


def test_a_model_that_errs_among_the_worst_is_seen_there_only():
    y = np.arange(40.0)
    table = pd.DataFrame({"measured": y, "m": np.where(y < 4, y + 5 * (y % 2), y + 0.5)})
    found = range_errors([table], "m")
    assert list(found) == ["best_tenth", "best_fifth", "worst_tenth"]
    assert found["best_tenth"].architectures == Extent(4, 4)
    assert found["best_fifth"].architectures == Extent(8, 8)
    assert found["best_fifth"].rmse.mean == found["best_fifth"].mae.mean == pytest.approx(0.5)
    assert found["best_fifth"].srocc.mean == pytest.approx(1)
    # errors of 0, 5, 0, 5, which turn 0, 1, 2, 3 into 0, 6, 2, 8
    assert found["worst_tenth"].rmse.mean == pytest.approx(np.sqrt(12.5))
    assert found["worst_tenth"].mae.mean == pytest.approx(2.5)
    assert found["worst_tenth"].srocc.mean == pytest.approx(0.8)


def test_what_ties_with_the_last_is_inside_and_splits_are_averaged():
    first = pd.DataFrame({"measured": [0.0] * 15 + [1.0] * 5, "m": 1.0})
    second = pd.DataFrame({"measured": np.arange(20.0), "m": np.arange(20.0) - 2})
    found = range_errors([first, second], "m")
    assert found["best_tenth"].architectures == Extent(2, 5)
    assert found["worst_tenth"].architectures == Extent(2, 15)
    assert found["best_tenth"].rmse.mean == pytest.approx(1)
    assert found["best_tenth"].srocc == Interval(1.0, 1.0, 1.0)  # undefined in the first split
