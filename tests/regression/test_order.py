"""Equal rows once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.regression.order import once_each


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=2, max_size=2), max_size=12))
def test_each_row_gets_its_own_and_is_computed_once(rows):
    array = np.array(rows).reshape(len(rows), 2)
    seen = []

    def of(some):
        seen.extend(row.tobytes() for row in some)
        return np.nan_to_num(some, nan=7.0) @ [10.0, 1.0]

    found = once_each(of, array)
    expected = [10 * (7 if a != a else a) + (7 if b != b else b) for a, b in rows]
    assert found.tolist() == expected
    assert len(seen) == len(set(seen)) == len({row.tobytes() for row in array})


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_results_and_any_layout(order):
    rows = np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]], order=order)
    assert np.array_equal(once_each(lambda some: 2 * some, rows), 2 * rows)
    assert np.array_equal(once_each(lambda some: some, rows[:, ::-1]), rows[:, ::-1])
