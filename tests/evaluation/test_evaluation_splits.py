import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.errors import FusionError
from fusion.evaluation import split

# groups of 1 to 5 architectures
labels = st.lists(st.integers(1, 5), min_size=30, max_size=50).map(
    lambda sizes: np.random.default_rng(len(sizes)).permutation(np.repeat(range(len(sizes)), sizes)).tolist()
)


@settings(max_examples=40, deadline=None)
@given(labels, st.integers(10, 18), st.integers(-3, 2**70))
def test_parts_partition_the_architectures_and_twins_stay_together(groups, size, seed):
    train, test = split(groups, size, seed)
    assert sorted([*train, *test]) == list(range(len(groups)))
    assert not {groups[i] for i in train} & {groups[i] for i in test}
    assert 2 <= len(train) <= size
    again = split(groups, size, seed)
    assert (again[0] == train).all()
    assert (again[1] == test).all()


@settings(max_examples=40, deadline=None)
@given(labels, st.integers(10, 18), st.randoms(use_true_random=False))
def test_the_same_architectures_are_chosen_in_any_order_of_rows(groups, size, random):
    rows = list(range(len(groups)))
    random.shuffle(rows)
    train, _ = split(groups, size, 7)
    shuffled, _ = split([groups[i] for i in rows], size, 7)
    assert sorted(rows[i] for i in shuffled) == list(train)


@pytest.mark.parametrize("size", [5, 20, 37, 50])
def test_exactly_train_size_where_singletons_can_fill_up(size):
    groups = [0] * 4 + [1] * 3 + [2] * 3 + list(range(10, 60))
    for seed in range(20):
        assert len(split(groups, size, seed)[0]) == size


def test_each_architecture_is_as_likely_to_be_trained_on():
    counts = np.zeros(40)
    for seed in range(600):
        counts[split(range(40), 10, seed)[0]] += 1
    assert np.abs(counts / 600 - 0.25).max() < 0.08  # 4.5 standard deviations


def test_smaller_parts_are_within_larger_ones_for_one_seed():
    assert set(split(range(60), 10, 3)[0]) < set(split(range(60), 30, 3)[0])


@pytest.mark.parametrize("size", [-1, 0, 1, 21, 30, 31])
def test_sizes_that_leave_too_few_are_refused(size):
    with pytest.raises(FusionError, match="choose between 2 and 20"):
        split(range(30), size, 0)
    assert len(split(range(30), 20, 0)[1]) == 10


def test_groups_larger_than_the_training_part_are_refused():
    with pytest.raises(FusionError, match="smaller than the groups"):
        split([i // 5 for i in range(30)], 4, 0)
