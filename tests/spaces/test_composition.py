"""What a network is made of, against numbers by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from fusion.spaces.composition import composition

SHAPE = (3, 8, 8)


class Modules(nn.Sequential):
    def __init__(self):
        convolutions = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        apart = nn.Conv2d(8, 8, 5, padding=2, groups=8), nn.SiLU(), nn.Conv2d(8, 16, 1), nn.MaxPool2d(2)
        super().__init__(*convolutions, *apart, nn.Flatten(), nn.Linear(256, 10), nn.Sigmoid())


class Functions(Modules):
    def forward(self, x):
        x = functional.relu(self[1].forward(functional.conv2d(x, self[0].weight, self[0].bias, padding=1)))
        x = functional.silu(self[3].forward(x), inplace=True)
        x = torch.max_pool2d(functional.conv2d(x, self[5].weight, self[5].bias), 2).flatten(1)
        return torch.addmm(self[8].bias, x, self[8].weight.t()).sigmoid()


@pytest.mark.parametrize("network", [Modules, Functions])
def test_a_small_network_by_hand(network):
    found = composition(network, SHAPE)
    products = {"dense": 64 * 8 * 27, "depthwise": 64 * 8 * 25, "pointwise": 64 * 16 * 8, "linear": 2560}
    every = sum(products.values())
    assert found["log.multiply_adds"] == math.log(every)
    for kind in ("dense", "pointwise", "depthwise", "grouped", "linear", "attention"):
        assert found[f"share.{kind}"] == products.get(kind, 0) / every
    assert found["log.activations"] == math.log(64 * (8 + 8 + 16) + 10)
    assert found["log.parameters"] == math.log(8 * 28 + 16 + 8 * 26 + 16 * 9 + 2570)
    assert found["log.layers"] == math.log(4)
    assert found["log.width"] == math.log(256)
    assert found["kernel"] == 5
    rates = {name.removeprefix("rate."): rate for name, rate in found.items() if name.startswith("rate.")}
    assert {name for name, rate in rates.items() if rate} == {
        "batch_norm",
        "relu",
        "silu",
        "max_pool",
        "gate",
    }
    assert {rate for rate in rates.values() if rate} == {0.25}


def test_attention_of_torch_by_hand():
    def build():
        return nn.Sequential(
            nn.Flatten(2), nn.TransformerEncoderLayer(64, 4, 32, activation="gelu", batch_first=True)
        )

    found = composition(build, SHAPE)
    products = {"attention": 2 * 3 * 3 * 64, "linear": 3 * (4 * 64 * 64 + 2 * 64 * 32)}
    for kind, product in products.items():
        assert found[f"share.{kind}"] == product / sum(products.values())
    assert found["log.layers"] == math.log(4)
    # two sums with what went round a part, two normalisations, a softmax, an activation function
    assert (found["rate.sum"], found["rate.layer_norm"]) == (0.5, 0.5)
    assert (found["rate.softmax"], found["rate.gelu"]) == (0.25, 0.25)


def test_group_and_rms_normalisation_count_as_layer_normalisation():
    def build():
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 3, groups=2))

    found = composition(build, SHAPE)
    assert found["rate.layer_norm"] == 0.5
    assert found["share.grouped"] == 16 * 8 * 36 / (16 * 8 * 36 + 36 * 8 * 27)
    assert found["rate.batch_norm"] == 0


def test_what_looks_at_its_weights_is_built_on_the_cpu():
    def build():
        network = nn.Conv2d(3, 4, 3)
        assert network.weight.abs().max().item() > 0
        return network

    assert composition(build, SHAPE)["log.parameters"] == math.log(4 * 28)


def test_random_numbers_go_on_as_if_nothing_had_been_built():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)

    def build():
        return nn.Conv2d(3, 4, 3) if torch.rand(2).sum().item() else None

    composition(build, SHAPE)
    assert torch.equal(torch.rand(2), expected)


def test_a_network_without_layers_is_none():
    with pytest.raises(ValueError, match="no convolution and no linear map"):
        composition(nn.ReLU, SHAPE)
