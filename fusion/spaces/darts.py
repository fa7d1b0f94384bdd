"""The DARTS space: a normal and a reduction cell of 4 nodes, 8 operations.

An architecture is the official text `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[...],
reduce=[...], reduce_concat=[...])`, or the short spelling of the keys, nodes separated by + and
followed by the nodes that are concatenated:
`normal:|sep_conv_3x3~0|sep_conv_3x3~1|+|...|+|...|+|...|>2345;reduce:|...|>2345`.

Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, arXiv:1806.09055.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np
from torch import nn

from fusion.errors import InvalidArchitecture
from fusion.spaces import genotypes
from fusion.spaces.base import SPACES, Space
from fusion.spaces.darts_network import DartsNetwork, Skeleton, check_size
from fusion.spaces.genotypes import Cell, CellRules, Genotype
from fusion.spaces.graph import CellGraph

OPERATIONS = (
    *("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect"),
    *("sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"),
)
RULES = CellRules(OPERATIONS, nodes=4, concat="any")

_NODE = r"\|\w+~\d\|\w+~\d\|"
_CELL = rf"({_NODE}(?:\+{_NODE})*)>(\d+)"
_SHORT = re.compile(rf"normal:{_CELL};reduce:{_CELL}", re.ASCII)


def parse(arch: str) -> Genotype:
    """Return the genotype of `arch`, in either spelling, as written.

    Raises
    ------
    InvalidArchitecture
        When `arch` is neither spelling, or not of this space.
    """
    fields = _short(arch) or _official(arch) if isinstance(arch, str) else None
    if fields is None:
        raise InvalidArchitecture(
            f"{arch!r} is no darts architecture; expected Genotype(normal=[('sep_conv_3x3', 0), ...], "
            "normal_concat=[...], reduce=[...], reduce_concat=[...])"
        )
    return RULES.genotype(arch, fields)


def _short(arch: str) -> dict[str, Any] | None:
    match = _SHORT.fullmatch(arch)
    if match is None:
        return None
    normal, normal_concat, reduce, reduce_concat = match.groups()
    return {
        "normal": _edges(normal),
        "normal_concat": [int(node) for node in normal_concat],
        "reduce": _edges(reduce),
        "reduce_concat": [int(node) for node in reduce_concat],
    }


def _edges(text: str) -> list[tuple[str, int]]:
    return [(op, int(source)) for op, source in re.findall(r"(\w+)~(\d)", text)]


def _official(arch: str) -> dict[str, Any] | None:
    """Return the fields of the official text, read as an expression that is never run."""
    try:
        call = ast.parse(arch, mode="eval").body
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Genotype":
            fields = {str(field.arg): _value(field.value) for field in call.keywords}
            return fields if not call.args and len(fields) == len(call.keywords) else None
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        pass
    return None


def _value(node: ast.expr) -> Any:
    match node:
        # published genotypes write their concatenation as range(2, 6)
        case ast.Call(
            func=ast.Name(id="range"), args=[ast.Constant(int(start)), ast.Constant(int(stop))], keywords=[]
        ):
            return list(range(start, min(stop, start + len(OPERATIONS))))
    return ast.literal_eval(node)


def to_string(genotype: Genotype) -> str:
    """Return the short spelling of a genotype; `parse` inverts it."""
    return ";".join(f"{name}:{_spell(cell)}" for name, cell in zip(Genotype._fields, genotype, strict=True))


def _spell(cell: Cell) -> str:
    nodes = ["|" + "".join(f"{op}~{source}|" for op, source in edges) for _, edges in cell.nodes()]
    return "+".join(nodes) + ">" + "".join(map(str, cell.concat))


@SPACES.register
class Darts(Space):
    """The DARTS space, `none` and nodes that read the same node twice included; too large to list.

    The defaults are the networks of NAS-Bench-301. (DARTS itself evaluates 20 layers of 36 channels
    on CIFAR-10, and 14 layers of 48 channels on ImageNet.)

    Parameters
    ----------
    channels : int
        Channels of the nodes of the first cell; even. Each of the two reductions doubles them.
    layers : int
        Cells; at least 3.
    skeleton : {"cifar", "imagenet"}
        Whether the stem keeps the size of images or divides it by 8.
    """

    name = "darts"
    summary = "normal and reduction cell of 4 nodes with 8 operations (DARTS)"
    source = "arXiv:1806.09055"
    enumerable = False

    def __init__(self, channels: int = 32, layers: int = 8, skeleton: Skeleton = "cifar") -> None:
        check_size(self.name, channels, layers, skeleton)
        self.channels = channels
        self.layers = layers
        self.skeleton: Skeleton = skeleton

    @property
    def settings(self) -> dict[str, Any]:
        return {"channels": self.channels, "layers": self.layers, "skeleton": self.skeleton}

    def random(self, rng: np.random.Generator) -> str:
        """Return an architecture with all operations and nodes that are read uniform."""
        return to_string(RULES.random(rng))

    def canonical(self, arch: str) -> str:
        return to_string(genotypes.canonical(parse(arch)))

    def neighbours(self, arch: str) -> list[str]:
        return [to_string(genotype) for genotype in RULES.neighbours(parse(arch))]

    def thin(self) -> Darts:
        """Return the space of 3 layers, which have both cells, 2 channels, and images not shrunk."""
        return Darts(channels=2, layers=3)

    def graphs(self, arch: str) -> dict[str, CellGraph]:
        return genotypes.graphs(parse(arch))

    def features(self, arch: str) -> dict[str, float | str]:
        """Return the operations of both cells, see `fusion.spaces.genotypes.features`."""
        return genotypes.features(parse(arch))

    def has_dead_edge(self, arch: str) -> bool:
        return genotypes.has_dead_edge(parse(arch))

    def build(self, arch: str, *, in_channels: int = 3, num_classes: int = 10) -> nn.Module:
        """Return the benchmark's network, without what the output does not depend on."""
        return DartsNetwork(
            parse(arch),
            channels=self.channels,
            layers=self.layers,
            skeleton=self.skeleton,
            in_channels=in_channels,
            num_classes=num_classes,
        )
