from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from fusion.probes.stages import stage_modules
from fusion.spaces import genotypes, make_space
from fusion.spaces.cell_operations import OPERATIONS, FactorizedReduce
from fusion.spaces.darts_network import Cell, Layer

# the genotype that DARTS (second order) found, as its authors wrote it
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), "
    "('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


def test_size_of_the_published_network():
    # 3.3 million on CIFAR-10 and 4.7 on ImageNet, says the paper; exactly, counted in the authors' code
    found = []
    for settings, classes in (({"channels": 36, "layers": 20}, 10), ({"channels": 48, "layers": 14}, 1000)):
        space = make_space("darts", {**settings, "skeleton": "cifar" if classes == 10 else "imagenet"})
        with torch.device("meta"):
            network = space.build(DARTS_V2, num_classes=classes)
        found.append(sum(p.numel() for p in network.parameters()) / 1e6)
    assert [round(count, 1) for count in found] == [3.3, 4.7]


def test_order_of_cells_and_stages():
    network = make_space("darts", {"channels": 4, "layers": 8}).build(DARTS_V2)
    assert [cell.stride for cell in network.cells] == [1, 1, 2, 1, 1, 2, 1, 1]
    assert [isinstance(cell.adapt_before_last, FactorizedReduce) for cell in network.cells] == [
        *(False, False, False, True, False, False, True, False)
    ]
    assert stage_modules(network) == [network.stem[0], *network.cells]
    imagenet = make_space("darts", {"channels": 4, "layers": 3, "skeleton": "imagenet"}).build(DARTS_V2)
    assert stage_modules(imagenet) == [*imagenet.stem, *imagenet.cells]
    sizes = []
    for stage in stage_modules(imagenet):
        stage.register_forward_hook(lambda module, x, y: sizes.append((y.shape[1], y.shape[2])))
    imagenet(torch.rand(1, 3, 224, 224))
    assert sizes == [(4, 56), (4, 28), (16, 28), (32, 14), (64, 7)]


def test_cell_adds_and_concatenates():
    edges = (("sep_conv_3x3", 0), ("skip_connect", 1), ("none", 0), ("none", 1))
    edges += (("max_pool_3x3", 2), ("dil_conv_5x5", 3), ("skip_connect", 4), ("avg_pool_3x3", 0))
    cell = Cell(Layer(genotypes.Cell(edges, (2, 3, 5)), 3, 5, 4, False, False)).eval()
    before, last = torch.rand(2, 3, 6, 6), torch.rand(2, 5, 6, 6)
    a, b = cell.adapt_before_last(before), cell.adapt_last(last)
    sep, _, pool, dil, _, average = cell.operations
    two = sep(a) + b
    three = torch.zeros_like(two)
    five = pool(two) + dil(three) + average(a)
    torch.testing.assert_close(cell(before, last), torch.cat([two, three, five], 1))


def test_factorized_reduce_sees_all_four_corners_of_two_diagonals():
    module = FactorizedReduce(1, 2).eval()
    with torch.no_grad():
        module.even.weight.fill_(1.0)
        module.odd.weight.fill_(10.0)
    x = torch.arange(1.0, 26.0).reshape(1, 1, 5, 5)
    even, odd = module(x)[0] * math.sqrt(1 + module.norm.eps)
    torch.testing.assert_close(even, x[0, 0, ::2, ::2])
    assert odd.tolist() == pytest.approx(np.array([[70, 90, 0], [170, 190, 0], [0, 0, 0]]))


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_operations_keep_channels_and_halve_rounding_up(name):
    for stride in (1, 2):
        module = OPERATIONS[name](4, stride)
        for size in (1, 2, 5, 8):
            half = -(-size // stride)
            assert module(torch.rand(2, 4, size, size)).shape == (2, 4, half, half)
        reach = [p for p in module.parameters() if p.dim() == 4]
        assert bool(reach) == ("conv" in name or (name == "skip_connect" and stride == 2))


@pytest.mark.parametrize(
    ("name", "sees"),
    # rows and columns, around the position, that the output there depends on
    [
        *(("sep_conv_5x5", range(-4, 5)), ("dil_conv_3x3", (-2, 0, 2)), ("dil_conv_5x5", (-4, -2, 0, 2, 4))),
        *(("dil_sep_conv_3x3", (-4, -2, 0, 2, 4)), ("conv_7x1_1x7", range(-3, 4)), ("conv_1x1", (0,))),
        *(("avg_pool_3x3", (-1, 0, 1)), ("conv_3x3", (-1, 0, 1)), ("conv_3x1_1x3", (-1, 0, 1))),
    ],
)
def test_operations_see_their_neighbourhood(name, sees):
    x = torch.rand(1, 4, 11, 11, requires_grad=True)
    OPERATIONS[name](4, 1).eval()(x)[0, :, 5, 5].sum().backward()
    seen = x.grad[0].abs().sum(0) > 0
    expected = torch.zeros(11, 11, dtype=torch.bool)
    for row, column in itertools.product(sees, repeat=2):
        expected[5 + row, 5 + column] = True
    assert torch.equal(seen, expected)
