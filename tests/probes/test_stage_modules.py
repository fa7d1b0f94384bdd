"""Where a network is cut into stages, and the steps between them."""

import pytest
import torch
from torch import nn

from fusion.probes.base import Undefined
from fusion.probes.stages import Stages, stage_modules
from fusion.spaces import make_space

SPACE = make_space("nats-tss", {"channels": 4, "cells": 2})
CONVOLUTIONS = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_1x1~2|"
)
X = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(4))


def names(network):
    found = {module: name for name, module in network.named_modules()}
    return [found[module] for module in stage_modules(network)]


class Basic(nn.Module):
    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels * stride, 3, stride, 1)
        self.norm = nn.BatchNorm2d(channels * stride)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, channels * stride, 1, stride))

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1, self.relu = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
        self.layer1 = nn.Sequential(Basic(4), Basic(4))
        self.layer2 = nn.Sequential(Basic(4, 2), Basic(8))
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 10)

    def forward(self, x):
        x = self.layer2(self.layer1(self.relu(self.norm1(self.conv1(x)))))
        return self.head(self.pool(x).flatten(1))


class Wrapper(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def vgg(inplace: bool = False) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace)),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)),
    )


def cells():
    return SPACE.build(CONVOLUTIONS, in_channels=3, num_classes=10)


def test_a_cell_network_has_its_stem_its_cells_and_its_reductions():
    assert names(cells()) == ["stem", *(f"body.{i}" for i in range(8))]


def test_a_residual_network_has_its_blocks():
    assert names(ResNet()) == ["layer1.0", "layer1.1", "layer2.0", "layer2.1"]


def test_a_plain_stack_has_its_convolutions():
    assert names(vgg()) == ["0", "3", "6"]
    assert names(nn.ModuleDict({"features": vgg()[:8], "head": nn.Linear(8, 10)})) == [
        f"features.{i}" for i in (0, 3, 6)
    ]


@pytest.mark.parametrize("make", [cells, ResNet, vgg])
def test_a_wrapper_changes_nothing(make):
    inner = names(make())
    assert names(Wrapper(make())) == [f"inner.{name}" for name in inner]
    assert names(Wrapper(Wrapper(make()))) == [f"inner.inner.{name}" for name in inner]


def test_a_network_without_maps_has_no_stages():
    stages = Stages(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)))
    assert stages.modules == []
    with pytest.raises(Undefined, match="two stages"):
        stages.spectra()


@pytest.mark.parametrize("make", [cells, ResNet, vgg])
def test_maps_are_the_outputs_of_the_stages_in_order(make):
    network = make()
    stages = Stages(network)
    with stages.watching():
        network(X)
    assert len(stages.maps) == len(stages.modules)
    assert not any(module._forward_hooks for module in network.modules())
    for before, after, module in zip(stages.maps[:-1], stages.maps[1:], stages.modules[1:], strict=True):
        if make is not vgg:  # there layers without weights stand between
            torch.testing.assert_close(module(before), after)
    assert all(len(spectrum) == m.shape[1] for spectrum, m in zip(stages.spectra(), stages.maps, strict=True))


def test_a_step_that_changes_nothing_is_no_step():
    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x):
            return x + 0

    for dtype in (torch.float32, torch.float64):
        network = nn.Sequential(Basic(3), Same(), Basic(3, 2)).to(dtype)
        stages = Stages(network)
        with stages.watching():
            network(X.to(dtype))
        first, second = stages.transfers(0)
        assert first is None
        assert second.shape == (3 * 4, 6)


def test_the_channel_jacobian_of_a_scaling_is_that_scale():
    class Scaling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x):
            return -3 * x

    network = nn.Sequential(Basic(3), Scaling())
    stages = Stages(network)
    with stages.watching():
        network(X)
    (transfer,) = stages.transfers(0)
    # r r^T averages to the identity, up to the noise of 768 draws
    assert torch.equal(transfer.diagonal(), torch.full((3,), -3.0, dtype=torch.float64))
    assert (transfer - transfer.diagonal().diag()).abs().max() < 3 * 5 / 768**0.5


def test_resolutions_that_do_not_divide_are_named():
    network = nn.Sequential(Basic(3), nn.Sequential(nn.Conv2d(3, 3, 3, stride=2)))
    stages = Stages(network)
    with stages.watching():
        network(X)  # 16 to 7
    with pytest.raises(Undefined, match="resolution"):
        stages.transfers(0)
