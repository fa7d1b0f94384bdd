"""The network skeletons of DARTS for CIFAR and ImageNet, which NDS uses, too.

Source: Liu et al., ICLR 2019, arXiv:1806.09055 (github.com/quark0/darts); Radosavovic et al., ICCV 2019,
arXiv:1905.13214 (github.com/facebookresearch/pycls). Without auxiliary heads and drop path, which act
in training only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from fusion.errors import FusionError
from fusion.spaces import genotypes
from fusion.spaces.cell_operations import OPERATIONS, FactorizedReduce
from fusion.spaces.genotypes import INPUTS, Genotype
from fusion.spaces.nats_network import ReLUConvBN

Skeleton: TypeAlias = Literal["cifar", "imagenet"]


class Layer(NamedTuple):
    """Where a cell stands: its genotype, and channels of its two inputs and of its nodes.

    `shrunk` tells that the first input, two layers back, has twice the size of the second.
    """

    cell: genotypes.Cell
    before_last: int
    last: int
    channels: int
    reduction: bool
    shrunk: bool


def check_size(name: str, channels: int, layers: int, skeleton: str) -> None:
    """Raise FusionError unless a network has an even width, a normal cell and a known skeleton."""
    if channels < 2 or channels % 2 or layers < 3:
        raise FusionError(
            f"{name}: channels must be even and layers at least 3, for a normal and two reduction "
            f"cells, got {channels}, {layers}"
        )
    if skeleton not in ("cifar", "imagenet"):
        raise FusionError(f"{name}: skeleton must be cifar or imagenet, got {skeleton!r}")


def layout(genotype: Genotype, channels: int, layers: int, skeleton: Skeleton) -> Iterator[Layer]:
    """Yield the layers of cells: reductions at one and two thirds double the channels."""
    before_last = last = channels if skeleton == "imagenet" else 3 * channels
    shrunk = skeleton == "imagenet"
    for i in range(layers):
        reduction = i in (layers // 3, 2 * layers // 3)
        channels *= 1 + reduction
        cell = genotype.reduce if reduction else genotype.normal
        yield Layer(cell, before_last, last, channels, reduction, shrunk)
        before_last, last, shrunk = last, channels * len(cell.concat), reduction


class Cell(nn.Module):
    """One cell: maps the outputs of the two layers before to (batch, channels x concatenated, ...).

    Nodes that the output does not depend on are not built. A node that adds nothing is zero, still
    connected to the second input in autograd.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        adapt = FactorizedReduce if layer.shrunk else lambda a, b: ReLUConvBN(a, b, 1)
        self.adapt_before_last = adapt(layer.before_last, layer.channels)
        self.adapt_last = ReLUConvBN(layer.last, layer.channels, 1)
        self.stride = 2 if layer.reduction else 1
        self.concat = layer.cell.concat
        live = genotypes.live_nodes(layer.cell)
        self.edges = tuple(
            (i // 2 + INPUTS, op, source)
            for i, (op, source) in enumerate(layer.cell.edges)
            if i // 2 + INPUTS in live and op != "none"
        )
        self.operations = nn.ModuleList(
            OPERATIONS[op](layer.channels, self.stride if source < INPUTS else 1)
            for _, op, source in self.edges
        )
        self.zeros = live - {node for node, _, _ in self.edges} - set(range(INPUTS))

    def forward(self, before_last: Tensor, last: Tensor) -> Tensor:
        nodes: dict[int, Tensor] = {0: self.adapt_before_last(before_last), 1: self.adapt_last(last)}
        for node in self.zeros:
            nodes[node] = nodes[1][:, :, :: self.stride, :: self.stride] * 0.0
        for (node, _, source), operation in zip(self.edges, self.operations, strict=True):
            term = operation(nodes[source])
            nodes[node] = nodes[node] + term if node in nodes else term
        return torch.cat([nodes[node] for node in self.concat], 1)


def _cifar_stem(in_channels: int, channels: int) -> list[nn.Module]:
    wide = 3 * channels
    return [
        nn.Sequential(nn.Conv2d(in_channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide)),
    ]


def _imagenet_stem(in_channels: int, channels: int) -> list[nn.Module]:
    half = channels // 2
    return [
        nn.Sequential(
            nn.Conv2d(in_channels, half, 3, 2, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=False),
            nn.Conv2d(half, channels, 3, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
        ),
        nn.Sequential(
            nn.ReLU(inplace=False),
            nn.Conv2d(channels, channels, 3, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
        ),
    ]


class DartsNetwork(nn.Module):
    """Stem, `layers` cells of which two reduce, global average, linear layer.

    Maps images (batch, in_channels, height, width), of any height and width, to logits
    (batch, num_classes). The stem for CIFAR keeps the size of images, that for ImageNet divides it
    by 4 for the first cell's first input and by 8 for its second.

    Parameters
    ----------
    genotype : Genotype
    channels : int
        Channels of the nodes of the first cell; even.
    layers : int
        Cells.
    skeleton : {"cifar", "imagenet"}
    in_channels, num_classes : int
    """

    def __init__(
        self,
        genotype: Genotype,
        *,
        channels: int,
        layers: int,
        skeleton: Skeleton,
        in_channels: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        stem = _cifar_stem if skeleton == "cifar" else _imagenet_stem
        self.stem = nn.ModuleList(stem(in_channels, channels))
        every = list(layout(genotype, channels, layers, skeleton))
        self.cells = nn.ModuleList(Cell(layer) for layer in every)
        width = every[-1].channels * len(every[-1].cell.concat)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        before_last = last = self.stem[0](x)
        for stem in self.stem[1:]:
            last = stem(last)
        for cell in self.cells:
            before_last, last = last, cell(before_last, last)
        logits: Tensor = self.classifier(last.mean((2, 3)))
        return logits
