"""Rectifiers are found however they are written, and what works in place hides nothing."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fusion.probes.base import Undefined
from fusion.probes.codes import CodeStatistics, watch_codes

X = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 5


def seen(run, x=X):
    """Return what `watch_codes` tells of the rectifiers in run(x)."""
    found = []
    with watch_codes(lambda mask, number: found.append((mask, number))):
        run(x.clone())
    return found


def relu_twice_in_place(x):
    return functional.relu((x.relu_() - 1).relu_())


@pytest.mark.parametrize(
    "rectifier",
    [
        functional.relu,
        torch.relu,
        torch.Tensor.relu,
        torch.relu_,
        functional.relu6,
        functional.leaky_relu,
        lambda x: functional.relu(x, inplace=True),
        lambda x: functional.relu(input=x),
        lambda x: functional.leaky_relu_(x, 0.2),
        lambda x: functional.prelu(x, torch.full((3,), 0.3)),
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.ReLU6(),
        nn.ReLU6(inplace=True),
        nn.LeakyReLU(0.1),
        nn.PReLU(3),
        nn.Sequential(nn.Identity(), nn.ReLU()),
    ],
)
def test_one_rectifier_is_seen_once_before_it_runs(rectifier):
    ((mask, number),) = seen(rectifier)
    assert number == 0
    assert torch.equal(mask, (X > 0).float())


@pytest.mark.parametrize(
    "other", [functional.silu, functional.gelu, nn.Hardtanh(-1, 1), nn.ELU(), torch.sigmoid, nn.Hardswish()]
)
def test_what_is_no_rectifier_is_not_seen(other):
    assert seen(other) == []


def test_rectifiers_one_after_another_in_place():
    first, second, third = seen(relu_twice_in_place)
    assert torch.equal(first[0], (X > 0).float())
    assert torch.equal(second[0], (X > 1).float())
    # the same tensor object, but with other values by now
    assert torch.equal(third[0], (X > 1).float())
    assert [number for _, number in (first, second, third)] == [0, 1, 2]


def test_a_tensor_read_by_two_rectifiers_counts_twice_and_is_looked_at_once():
    (first, _), (second, number) = seen(lambda x: functional.relu(x) + functional.leaky_relu(x))
    assert first is not None
    assert second is None
    assert number == 0
    statistics = CodeStatistics(len(X))
    with watch_codes(statistics.see):
        functional.relu(X) + functional.relu(X)
    assert statistics.count_units() == 2 * X[0].numel()
    c = (X > 0).flatten(1).numpy()
    assert np.array_equal(statistics.kernel(), 2 * (c[:, None] == c[None]).sum(2))


def test_a_new_tensor_in_the_place_of_an_old_one_is_another():
    found = seen(lambda x: [functional.relu(x + step) for step in range(4)])
    assert [number for _, number in found] == [0, 1, 2, 3]
    for step, (mask, _) in enumerate(found):
        assert torch.equal(mask, (X + step > 0).float())


@pytest.mark.parametrize("rows", [1, 2 * len(X) + 1])
def test_codes_that_are_not_one_row_per_sample_have_a_status(rows):
    statistics = CodeStatistics(len(X))
    with watch_codes(statistics.see):
        functional.relu(X)
        functional.relu(torch.ones(rows, 4))
        functional.relu(X - 1)
    for statistic in (statistics.kernel, statistics.count_units, statistics.patterns):
        with pytest.raises(Undefined, match="row per sample"):
            statistic()


@pytest.mark.parametrize("samples", [1, 3, 8, 9, 16, 20])
def test_patterns_are_the_distinct_columns_of_the_first_sixteen_codes(samples):
    x = torch.randn(samples, 4, 5, 5, generator=torch.Generator().manual_seed(samples))
    statistics = CodeStatistics(samples)
    with watch_codes(statistics.see):
        functional.relu(x)
        functional.relu(-x.flatten(1)[:, :7])
    code = torch.cat([(x > 0).flatten(1), (-x.flatten(1)[:, :7] > 0)], 1)
    assert statistics.patterns() == len({tuple(unit) for unit in code[:16].T.tolist()})


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_units_of_samples_correspond_in_either_memory_format(memory_format):
    statistics = CodeStatistics(len(X))
    with watch_codes(statistics.see):
        functional.relu(X.contiguous(memory_format=memory_format))
    c = (X > 0).flatten(1).numpy()
    assert np.array_equal(statistics.kernel(), (c[:, None] == c[None]).sum(2))
