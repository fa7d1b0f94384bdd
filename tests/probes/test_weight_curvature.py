"""H w by a difference with rectifiers held, against differentiating twice."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from fusion.extraction.planner import compute
from fusion.images.base import Batch
from fusion.probes.base import Subject
from fusion.probes.codes import watch_codes
from fusion.probes.curvature import Masks, weight_curvature
from fusion.probes.survey import declared_weights

X = torch.randn(9, 2, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
Y = torch.arange(9) % 3


class InPlace(nn.Module):
    """Drops what the functions return that work in place."""

    def forward(self, x):
        x = x + 0
        functional.relu_(x)
        x = x - 0.1
        functional.leaky_relu(x, 0.1, inplace=True)
        return x


class Shared(nn.Module):
    """Two rectifiers read the same tensor."""

    def forward(self, x):
        return torch.relu(x) + functional.leaky_relu(x, negative_slope=0.3)


ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.2),
    "prelu": nn.PReLU,
    "relu6": nn.ReLU6,
    "silu": nn.SiLU,
    "in place": InPlace,
    "shared": Shared,
}


def build(activation: str) -> nn.Module:
    torch.manual_seed(6)
    make = ACTIVATIONS[activation]
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), make()),
        *(nn.Conv2d(4, 6, 3, stride=2, groups=2), make()),
        *(nn.Flatten(), nn.Linear(54, 8), make(), nn.Linear(8, 3)),
    ).double()


def curvature(network):
    masks = Masks()
    with watch_codes(masks.see), torch.no_grad():
        network(X)
    return weight_curvature(network, X, Y, masks, [*declared_weights(network)])


def exact(network):
    weights = [*declared_weights(network).values()]
    gradients = torch.autograd.grad(functional.cross_entropy(network(X), Y), weights, create_graph=True)
    along = sum((g * w.detach()).sum() for g, w in zip(gradients, weights, strict=True))
    return torch.autograd.grad(along, weights)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_equals_the_second_derivative(activation):
    network = build(activation).train()
    for found, expected in zip(curvature(network), exact(network), strict=True):
        assert (found - expected).norm() < 1e-3 * expected.norm()


def test_the_cap_of_relu6_is_kept():
    network = build("relu6").train()
    with torch.no_grad():
        network[1].weight.fill_(8)  # batch normalisation keeps units from crossing the cap with the weights
        assert ((network[:2](X) > 6).double().mean()) > 0.05
        network[3].weight.mul_(0.1)
        network[3].bias.mul_(0.1)
    for found, expected in zip(curvature(network), exact(network), strict=True):
        assert (found - expected).norm() < 1e-3 * expected.norm()


def test_the_network_is_untouched():
    network = build("relu").train()
    network(X)
    before = copy.deepcopy(network.state_dict())
    gradients = [torch.ones_like(p) for p in network.parameters()]
    for p, g in zip(network.parameters(), gradients, strict=True):
        p.grad = g
    masks = Masks()
    with watch_codes(masks.see), torch.no_grad():
        copy.deepcopy(network)(X)
    weight_curvature(network, X, Y, masks, [*declared_weights(network)])
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is g and (g == 1).all() for p, g in zip(network.parameters(), gradients, strict=True))
    assert all(p.requires_grad for p in network.parameters())
    assert network.training


def test_a_layer_that_the_loss_does_not_use_leaves_the_others_their_score():
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.idle, self.inner = nn.Linear(4, 4), build("relu")

        def forward(self, x):
            return self.inner(x)

    batch = Batch(X, Y, 3)
    with_idle, without = (
        compute(["grasp"], Subject(make, batch))[0] for make in (Unused, lambda: build("relu"))
    )
    assert with_idle.value == pytest.approx(without.value, rel=1e-9)
