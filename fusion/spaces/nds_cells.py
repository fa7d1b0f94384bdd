"""The five families of cells of NDS: DARTS, ENAS, NASNet, PNAS and Amoeba.

An architecture is the JSON of an entry's `net` in the published files, keys sorted, without spaces:
the genotype, and the width and depth of the network, which are choices as well.
`{"aux":false,"depth":14,"drop_prob":0.0,"genotype":{"normal":[["none",0],...],...},"width":48}`.

Source: Radosavovic et al., "On Network Design Spaces for Visual Recognition", ICCV 2019,
arXiv:1905.13214.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import nn

from fusion.errors import InvalidArchitecture
from fusion.spaces import darts, genotypes
from fusion.spaces.base import SPACES, Space
from fusion.spaces.cell_operations import OPERATIONS
from fusion.spaces.darts_network import DartsNetwork, Skeleton, check_size, layout
from fusion.spaces.genotypes import INPUTS, CellRules, Genotype
from fusion.spaces.graph import CellGraph

# what the published entries on ImageNet choose from, and the budget that all of them keep
WIDTHS = (32, 48, 64, 80, 96)
DEPTHS = (6, 10, 14, 18, 22)
MAX_PARAMS = 6_000_000
# keys of an architecture, and the two that are the same in every entry
KEYS = ("aux", "depth", "drop_prob", "genotype", "width")


class Net(NamedTuple):
    """An architecture: its cells, the channels of the first cell's nodes, the number of cells."""

    genotype: Genotype
    width: int
    depth: int


def to_string(net: Net) -> str:
    """Return the spelling of the published files."""
    cells = zip(Genotype._fields, net.genotype, strict=True)
    fields = {
        key: value for name, cell in cells for key, value in ((name, cell[0]), (f"{name}_concat", cell[1]))
    }
    whole = {"aux": False, "depth": net.depth, "drop_prob": 0.0, "genotype": fields, "width": net.width}
    return json.dumps(whole, sort_keys=True, separators=(",", ":"))


@cache
def _operation_parameters(op: str, channels: int, stride: int) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in OPERATIONS[op](channels, stride).parameters())


def parameters(net: Net) -> int:
    """Return the trainable parameters on ImageNet: three input channels, 1000 classes."""
    width = net.width
    # three convolutions 3x3 with their normalisations
    found = 9 * (3 * width // 2 + width * width // 2 + width * width) + 2 * (width // 2 + 2 * width)
    for layer in layout(net.genotype, width, net.depth, "imagenet"):
        found += (layer.before_last + layer.last + 4) * layer.channels
        for op, source in layer.cell.edges:
            if op != "none":
                stride = 2 if layer.reduction and source < INPUTS else 1
                found += _operation_parameters(op, layer.channels, stride)
    return found + 1000 * (layer.channels * len(layer.cell.concat) + 1)


def _next(values: tuple[int, ...], value: int) -> list[int]:
    """Return the next smaller and the next larger one of `values`, where there are such."""
    return [v for v in values if v < value][-1:] + [v for v in values if v > value][:1]


class NdsCells(Space):
    """A family of cells of NDS; too large to list.

    Parameters
    ----------
    skeleton : {"imagenet", "cifar"}
        Whether the stem divides the size of images by 8, as in the published files on ImageNet, or
        keeps it.
    width, depth : int, optional
        Build all networks with these instead of the architecture's own.
    """

    source = "Radosavovic et al., ICCV 2019, arXiv:1905.13214"
    enumerable = False
    rules: ClassVar[CellRules]

    def __init__(
        self, skeleton: Skeleton = "imagenet", width: int | None = None, depth: int | None = None
    ) -> None:
        check_size(
            self.name, WIDTHS[0] if width is None else width, DEPTHS[0] if depth is None else depth, skeleton
        )
        self.skeleton: Skeleton = skeleton
        self.width = width
        self.depth = depth

    @property
    def settings(self) -> dict[str, Any]:
        return {"skeleton": self.skeleton, "width": self.width, "depth": self.depth}

    def parse(self, arch: str) -> Net:
        """Return the architecture as written.

        Raises
        ------
        InvalidArchitecture
            When `arch` is no such JSON, or has a value that the family does not have.
        """
        try:
            net = json.loads(arch)
        except (TypeError, ValueError, RecursionError):
            net = None
        if not isinstance(net, dict) or sorted(net) != list(KEYS):
            raise InvalidArchitecture(
                f'{arch!r} is no {self.name} architecture; expected {{"aux":false,"depth":..,"drop_prob":0.0,'
                '"genotype":{"normal":[..],"normal_concat":[..],"reduce":[..],"reduce_concat":[..]},"width":..}'
            )
        if net["aux"] is not False or type(net["drop_prob"]) not in (int, float) or net["drop_prob"] != 0:
            raise InvalidArchitecture(f"{arch!r}: the family has aux false and drop_prob 0.0")
        width, depth = net["width"], net["depth"]
        if type(width) is not int or type(depth) is not int or width < 2 or width % 2 or depth < 3:
            raise InvalidArchitecture(
                f"{arch!r}: width must be an even number and depth at least 3, got {width!r}, {depth!r}"
            )
        return Net(self.rules.genotype(arch, net["genotype"]), width, depth)

    def random(self, rng: np.random.Generator) -> str:
        """Return an architecture with operations, nodes that are read, width and depth uniform.

        Draws beyond the 6 million parameters on ImageNet that the published entries keep are drawn
        again.
        """
        while True:
            width, depth = (int(rng.choice(values)) for values in (WIDTHS, DEPTHS))
            net = Net(self.rules.random(rng), width, depth)
            if parameters(net) <= MAX_PARAMS:
                return to_string(net)

    def canonical(self, arch: str) -> str:
        net = self.parse(arch)
        return to_string(net._replace(genotype=genotypes.canonical(net.genotype)))

    def neighbours(self, arch: str) -> list[str]:
        """Return what one operation or node that is read makes different, or a step in width or depth."""
        net = self.parse(arch)
        found = [net._replace(genotype=genotype) for genotype in self.rules.neighbours(net.genotype)]
        found += [net._replace(width=width) for width in _next(WIDTHS, net.width)]
        found += [net._replace(depth=depth) for depth in _next(DEPTHS, net.depth)]
        return [to_string(changed) for changed in found]

    def thin(self) -> NdsCells:
        """Return the space of 3 cells, which are of both kinds, width 2, and images not shrunk."""
        return type(self)(skeleton="cifar", width=2, depth=3)

    def graphs(self, arch: str) -> dict[str, CellGraph]:
        return genotypes.graphs(self.parse(arch).genotype)

    def features(self, arch: str) -> dict[str, float | str]:
        """Return `width` and `depth`, and the operations of both cells, see `genotypes.features`."""
        net = self.parse(arch)
        return {"width": net.width, "depth": net.depth, **genotypes.features(net.genotype)}

    def has_dead_edge(self, arch: str) -> bool:
        return genotypes.has_dead_edge(self.parse(arch).genotype)

    def build(self, arch: str, *, in_channels: int = 3, num_classes: int = 10) -> nn.Module:
        """Return the benchmark's network."""
        net = self.parse(arch)
        return DartsNetwork(
            net.genotype,
            channels=self.width or net.width,
            layers=self.depth or net.depth,
            skeleton=self.skeleton,
            in_channels=in_channels,
            num_classes=num_classes,
        )


@SPACES.register
class NdsDarts(NdsCells):
    """DARTS of NDS: 4 nodes, 8 operations, all nodes concatenated."""

    name = "nds-darts"
    summary = "cells of 4 nodes with 8 operations, width and depth (NDS DARTS)"
    rules = CellRules(darts.OPERATIONS, nodes=4, concat="all")


@SPACES.register
class NdsEnas(NdsCells):
    """ENAS of NDS: 5 nodes, 5 operations, nodes that nothing reads concatenated."""

    name = "nds-enas"
    summary = "cells of 5 nodes with 5 operations, width and depth (NDS ENAS)"
    rules = CellRules(
        ("skip_connect", "sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3"),
        nodes=5,
        concat="loose",
    )


@SPACES.register
class NdsNasNet(NdsCells):
    """NASNet of NDS: 5 nodes, 13 operations, nodes that nothing reads concatenated."""

    name = "nds-nasnet"
    summary = "cells of 5 nodes with 13 operations, width and depth (NDS NASNet)"
    rules = CellRules(
        (
            *("skip_connect", "conv_3x1_1x3", "conv_7x1_1x7", "dil_conv_3x3", "avg_pool_3x3"),
            *("max_pool_3x3", "max_pool_5x5", "max_pool_7x7", "conv_1x1", "conv_3x3"),
            *("sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7"),
        ),
        nodes=5,
        concat="loose",
    )


@SPACES.register
class NdsPnas(NdsCells):
    """PNAS of NDS: 5 nodes, 8 operations, all nodes concatenated."""

    name = "nds-pnas"
    summary = "cells of 5 nodes with 8 operations, width and depth (NDS PNAS)"
    rules = CellRules(
        (
            *("sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "conv_7x1_1x7", "skip_connect"),
            *("avg_pool_3x3", "max_pool_3x3", "dil_conv_3x3"),
        ),
        nodes=5,
        concat="all",
    )


@SPACES.register
class NdsAmoeba(NdsCells):
    """Amoeba of NDS: 5 nodes, 8 operations, nodes that nothing reads concatenated."""

    name = "nds-amoeba"
    summary = "cells of 5 nodes with 8 operations, width and depth (NDS Amoeba)"
    rules = CellRules(
        (
            *("skip_connect", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "avg_pool_3x3"),
            *("max_pool_3x3", "dil_sep_conv_3x3", "conv_7x1_1x7"),
        ),
        nodes=5,
        concat="loose",
    )
