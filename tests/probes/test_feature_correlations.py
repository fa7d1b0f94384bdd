"""The smallest eigenvalues of the correlations between channels, without those that are known to be 0."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fusion.probes.feature_maps import FeatureCorrelations
from fusion.probes.meter import Meter


class Given(nn.Module):
    """Gives the maps that it was made with."""

    def __init__(self, maps):
        super().__init__()
        self.maps = maps

    def forward(self, x):
        return self.maps


def smallest(*maps):
    network = nn.Sequential(*map(Given, maps))
    found = FeatureCorrelations(network, Meter())
    with found.watching():
        network(torch.zeros(1))
    return found, found.smallest_eigenvalues()


def full(maps):
    return torch.linalg.eigvalsh(torch.corrcoef(maps[0].flatten(1).double()))[0].item()


@pytest.mark.parametrize(("channels", "side"), [(5, 4), (15, 4), (16, 4), (40, 4), (3, 2)])
def test_it_is_that_of_the_whole_matrix(channels, side):
    maps = torch.randn(2, channels, side, side)
    found, values = smallest(maps)
    assert values.tolist() == pytest.approx([full(maps)], rel=1e-4, abs=1e-6)
    assert bool(found.matrices) == (channels < side**2)


def test_a_constant_channel_makes_it_0():
    maps = torch.randn(2, 5, 4, 4)
    maps[:, 2] = 3.0
    found, values = smallest(maps)
    assert values.tolist() == [0.0]
    assert found.matrices == []


def test_every_layer_counts():
    maps = [
        torch.randn(1, 5, 4, 4),
        torch.randn(1, 20, 4, 4),
        torch.randn(1, 7, 4, 4),
        torch.randn(1, 4, 1, 1),
    ]
    _, values = smallest(*maps)
    assert sorted(values.tolist()) == pytest.approx(sorted([full(maps[0]), 0.0, full(maps[2])]), rel=1e-4)
