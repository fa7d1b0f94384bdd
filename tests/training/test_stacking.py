from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from fusion.spaces import make_space
from fusion.training.stacking import CannotStack, StackedLinear, stack

SPACE = make_space("nats-tss", {"channels": 4, "cells": 1})
ARCHS = [
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "|avg_pool_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",  # cells without any module
]
N, CLASSES = 3, 7


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def networks_of(make):
    """Three networks that differ in weights and in batch norm statistics."""
    networks = []
    for seed in range(N):
        torch.manual_seed(seed)
        network = make()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                if module.affine:
                    nn.init.normal_(module.weight)
                    nn.init.normal_(module.bias)
        networks.append(network)
    return networks


def makers():
    yield from (lambda arch=arch: SPACE.build(arch, in_channels=3, num_classes=CLASSES) for arch in ARCHS)
    yield lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1, dilation=2, groups=3, padding_mode="reflect"),
        nn.BatchNorm2d(6, eps=1e-2, momentum=0.3, affine=False),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        HeadWithFlatten(6, CLASSES),
    )


class HeadWithFlatten(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.linear = nn.Linear(channels, classes, bias=False)

    def forward(self, x):
        return self.linear(x.flatten(1))


@pytest.mark.parametrize("make", list(makers()))
@pytest.mark.parametrize("training", [False, True])
def test_outputs_gradients_and_buffers_are_those_of_the_networks_one_by_one(make, training):
    networks = networks_of(make)
    joint = stack([copy.deepcopy(networks[0]), *networks[1:]]).train(training)
    images = [torch.rand(5, 3, 8, 8) for _ in networks]

    together = joint(torch.cat(images, 1))
    alone = [network.train(training)(x) for network, x in zip(networks, images, strict=True)]
    assert together.shape == (5, N * CLASSES)
    torch.testing.assert_close(together, torch.cat(alone, 1))

    together.square().sum().backward()
    for out in alone:
        out.square().sum().backward()
    parts = dict(joint.named_parameters())
    by_name = [dict(network.named_parameters()) for network in networks]
    assert parts.keys() == by_name[0].keys()
    for name, parameter in parts.items():
        expected = [p[name].grad for p in by_name]
        if name.endswith("linear.weight") or name == "classifier.weight":
            expected = torch.stack([grad.t() for grad in expected])
        elif name == "classifier.bias":
            expected = torch.stack(expected)[:, None]
        else:
            expected = torch.cat(expected)
        torch.testing.assert_close(parameter.grad, expected)

    buffers = dict(joint.named_buffers())
    for name, buffer in buffers.items():
        if "running" in name:
            torch.testing.assert_close(buffer, torch.cat([dict(n.named_buffers())[name] for n in networks]))


def test_one_step_of_sgd_is_that_of_each_network():
    networks = networks_of(next(makers()))
    joint = stack([copy.deepcopy(networks[0]), *networks[1:]])
    x = torch.rand(6, 3, 8, 8)
    for network, width in [(joint, N), *((network, 1) for network in networks)]:
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
        for _ in range(2):
            optimiser.zero_grad()
            network(x.repeat(1, width, 1, 1)).square().sum().backward()
            optimiser.step()
    with torch.no_grad():
        expected = torch.cat([network.eval()(x) for network in networks], 1)
        torch.testing.assert_close(joint.eval()(x.repeat(1, N, 1, 1)), expected)


def test_the_other_networks_are_left_alone():
    networks = networks_of(next(makers()))
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    joint = stack([copy.deepcopy(networks[0]), *networks[1:]])
    with torch.no_grad():
        for parameter in joint.parameters():
            parameter.zero_()
    for network, state in zip(networks, before, strict=True):
        for name, value in network.state_dict().items():
            assert torch.equal(value, state[name])


def test_stacked_linear_by_hand():
    layers = [nn.Linear(2, 3), nn.Linear(2, 3)]
    x = torch.rand(4, 4)
    expected = torch.cat([layers[0](x[:, :2]), layers[1](x[:, 2:])], 1)
    torch.testing.assert_close(StackedLinear(layers)(x), expected)


class OwnScale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.scale * x


@pytest.mark.parametrize(
    "module",
    [
        nn.LayerNorm(4),
        nn.GroupNorm(2, 4),
        nn.Conv1d(4, 4, 1),
        nn.ConvTranspose2d(4, 4, 1),
        nn.PReLU(),
        nn.Softmax(1),
        nn.Flatten(),
        nn.ChannelShuffle(2),
        OwnScale(),
    ],
)
def test_what_cannot_be_stacked(module):
    networks = [nn.Sequential(nn.Conv2d(3, 4, 1), copy.deepcopy(module)) for _ in range(N)]
    with pytest.raises(CannotStack, match=type(module).__name__):
        stack(networks)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_data_type_and_device_are_those_of_the_networks(dtype):
    for make in makers():
        networks = [make().to(dtype) for _ in range(N)]
        for tensor in stack(networks).state_dict().values():
            assert tensor.dtype in (dtype, torch.int64)
        # a device of which every machine has one; what is stacked on it must not come from the CPU
        on_meta = stack([make().to("meta") for _ in range(N)])
        assert {tensor.device.type for tensor in on_meta.state_dict().values()} == {"meta"}


def test_global_random_state_is_left_alone():
    networks = networks_of(next(makers()))
    state = torch.random.get_rng_state()
    stack(networks)
    assert torch.equal(torch.random.get_rng_state(), state)


class Twice(nn.Module):
    """One layer, or one weight of two layers, under two names."""

    def __init__(self, only_weight):
        super().__init__()
        self.a = nn.Conv2d(3, 3, 1)
        self.b = nn.Conv2d(3, 3, 1) if only_weight else self.a
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))


@pytest.mark.parametrize("only_weight", [True, False])
def test_what_is_shared_within_a_network_is_not_stacked(only_weight):
    with pytest.raises(CannotStack, match="two names"):
        stack([nn.Sequential(Twice(only_weight)) for _ in range(N)])
