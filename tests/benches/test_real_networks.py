"""Twenty networks of timm and torchvision, of twenty families, against brute force in float64.

pip install 'fusion-nas[zoo]'
python -m pytest -m slow tests/benches/test_real_networks.py
"""

import pytest

from benches.any_network import NAMES, NETWORKS, differences
from fusion.spaces.zoo import family

ROUNDING = 1e-6
"""Relative; what is more is another definition."""


@pytest.fixture(scope="module", autouse=True)
def _libraries():
    pytest.importorskip("timm")
    pytest.importorskip("torchvision")


def test_they_are_of_twenty_families():
    assert len({family(name) for name in NETWORKS}) >= 18
    assert len(NETWORKS) == 20


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_the_values_of_brute_force_or_none(name):
    found = differences(name, 64, 4, double=True)
    assert {one: value for one, value in found.items() if value is not None and value > ROUNDING} == {}
    assert sum(value is not None for value in found.values()) >= len(NAMES) - 2
