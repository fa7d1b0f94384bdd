"""The topology space of NATS-Bench, which is NAS-Bench-201.

A cell is a directed acyclic graph on 4 nodes; each of its 6 edges carries one of 5 operations,
which makes 5^6 = 15,625 architecture strings, such as
`|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|`
(the operations into nodes 1, 2 and 3, each with the node that it reads).

Source: Dong et al., "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and
Size", TPAMI 2021, arXiv:2009.00437; Dong and Yang, ICLR 2020, arXiv:2001.00326.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeAlias

from torch import nn

from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces.base import SPACES, Space
from fusion.spaces.graph import CellGraph
from fusion.spaces.nats_network import CellNetwork, InferCell
from fusion.spaces.notation import bracketed, official_number

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# (source, target) of each edge, in the order in which the string lists them
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OUTPUT = 3
# by their numbers in NASLib, which calls them Identity, Zero, ReLUConvBN3x3, ReLUConvBN1x1, AvgPool1x1
NASLIB_OPERATIONS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
# the edges of each way from input to output
PATHS = {"0-3": (3,), "0-1-3": (0, 4), "0-2-3": (1, 5), "0-1-2-3": (0, 2, 5)}
KIND = {"skip_connect": "skip", "nor_conv_1x1": "conv1x1", "nor_conv_3x3": "conv", "avg_pool_3x3": "pool"}

Cell: TypeAlias = tuple[str, ...]
# A sum of terms; a term is (operation, edge that owns its weights or None, the sum it reads).
Sum: TypeAlias = tuple[tuple[str, "int | None", "Sum"], ...]
INPUT: Sum = (("x", None, ()),)

_PATTERN = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|", flags=re.ASCII)


def parse(arch: str) -> Cell:
    """Return the operations on the six edges of `arch`, in the order of `EDGES`.

    Raises
    ------
    InvalidArchitecture
        When the string is not one of the 15,625.
    """
    match = _PATTERN.fullmatch(arch) if isinstance(arch, str) else None
    if match is None:
        raise InvalidArchitecture(
            f"{arch!r} is no nats-tss architecture; expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
        )
    for op in match.groups():
        if op not in OPERATIONS:
            raise InvalidArchitecture(f"{arch!r}: unknown operation {op!r}; known: {', '.join(OPERATIONS)}")
    return match.groups()


def to_string(cell: Cell) -> str:
    """Return the official string of six operations; the inverse of `parse`."""
    a, b, c, d, e, f = cell
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def live_edges(cell: Cell) -> frozenset[int]:
    """Return the edges on a path from the input to the output along operations that are not none."""
    forward, backward = {0}, {OUTPUT}
    for edge, (source, target) in enumerate(EDGES):
        if cell[edge] != "none" and source in forward:
            forward.add(target)
    for edge in (5, 4, 2, 3, 1, 0):
        source, target = EDGES[edge]
        if cell[edge] != "none" and target in backward:
            backward.add(source)
    return frozenset(
        edge
        for edge, (source, target) in enumerate(EDGES)
        if cell[edge] != "none" and source in forward and target in backward
    )


def has_dead_edge(cell: Cell) -> bool:
    """Return whether some operation other than none lies on no path from input to output."""
    return len(live_edges(cell)) < sum(op != "none" for op in cell)


def _output_sum(cell: Cell) -> Sum:
    """Return what the cell computes, as nested sums: skips inlined, zeros dropped."""
    nodes: list[Sum] = [INPUT, (), (), ()]
    for edge, (source, target) in enumerate(EDGES):
        op, read = cell[edge], nodes[source]
        if op == "none" or not read:
            continue
        if op == "skip_connect":
            nodes[target] += read
        else:
            nodes[target] += ((op, edge if op.startswith("nor_conv") else None, read),)
    return nodes[OUTPUT]


def _weights(total: Sum) -> Iterator[int]:
    for _, owner, read in total:
        if owner is not None:
            yield owner
        yield from _weights(read)


def _spell(total: Sum, names: dict[int, str]) -> str:
    return "+".join(
        sorted(
            op if op == "x" else f"{op}{names.get(-1 if owner is None else owner, '')}({_spell(read, names)})"
            for op, owner, read in total
        )
    )


def expression(cell: Cell, *, shared_weights: bool = True) -> str:
    """Return the cell's computation in a spelling that is equal for equal networks.

    Zeros are dropped, skips inlined, sums sorted. `conv(x)+conv(x)` can be one convolution used
    twice (through a skip) or two with weights of their own: with `shared_weights` a convolution
    that occurs more than once carries a number, and so the two spellings differ.
    """
    total = _output_sum(cell)
    shared = [owner for owner, n in Counter(_weights(total)).items() if n > 1]
    if not shared or not shared_weights:
        return _spell(total, {})
    return min(
        _spell(total, {owner: f"#{i}" for i, owner in enumerate(order)})
        for order in itertools.permutations(shared)
    )


def benchmark_unique_string(cell: Cell) -> str:
    """Return the isomorphism string of the benchmark's own code (6,466 different ones).

    It follows `to_unique_str(consider_zero=True)` of `nats_bench`. Compared with `expression` it
    keeps apart some cells that compute the same (a sum of zeros is not zero to it) and joins some
    that differ (it cannot see whether two equal convolutions share their weights: 430 of its
    classes hold networks with different numbers of parameters).
    """
    nodes = ["0", "", "", ""]
    terms: list[list[str]] = [[], [], [], []]
    for edge, (source, target) in enumerate(EDGES):
        op, read = cell[edge], nodes[source]
        if op == "none" or read == "#":
            terms[target].append("#")
        else:
            terms[target].append(read if op == "skip_connect" else f"({read})@{op}")
        nodes[target] = "+".join(sorted(terms[target]))
    return nodes[OUTPUT]


@lru_cache(maxsize=1)
def _representatives() -> dict[str, str]:
    """Map each expression to the first cell, in the order of `itertools.product`, that has it."""
    first: dict[str, str] = {}
    for cell in itertools.product(OPERATIONS, repeat=len(EDGES)):
        first.setdefault(expression(cell), to_string(cell))
    return first


@lru_cache(maxsize=1)
def _official_order() -> tuple[str, ...]:
    """Return all strings by official index: the authors shuffled the full product with seed 88."""
    cells = list(itertools.product(OPERATIONS, repeat=len(EDGES)))
    random.Random(88).shuffle(cells)
    return tuple(to_string(cell) for cell in cells)


@SPACES.register
class NatsTss(Space):
    """NATS-Bench topology space: 15,625 strings, 5,260 different networks.

    Parameters
    ----------
    channels : int
        Output channels of the stem; the three stages have 1, 2 and 4 times as many.
    cells : int
        Cells per stage (N).
    """

    name = "nats-tss"
    summary = "cells of 4 nodes and 6 edges with 5 operations (NATS-Bench topology, NAS-Bench-201)"
    source = "arXiv:2009.00437"

    def __init__(self, channels: int = 16, cells: int = 5) -> None:
        if channels < 1 or cells < 1:
            raise FusionError(f"nats-tss: channels and cells must be positive, got {channels}, {cells}")
        self.channels = channels
        self.cells = cells

    @property
    def settings(self) -> dict[str, Any]:
        return {"channels": self.channels, "cells": self.cells}

    def __len__(self) -> int:
        return int(len(OPERATIONS) ** len(EDGES))

    def enumerate(self) -> Iterator[str]:
        return iter(_official_order())

    def read(self, text: str) -> str:
        """Return the string that `text` means.

        Besides the string itself, in any case and with blanks in it: the official number, 0 to 15,624
        (`12839`, `12839.0`), whose order is that of `enumerate`; and the six numbers by which NASLib and
        NAS-Bench-Suite-Zero name a cell (`(4, 0, 3, 1, 4, 3)`). Those follow the edges by source (0-1,
        0-2, 0-3, 1-2, 1-3, 2-3), and number the operations skip, none, 3x3, 1x1 and pooling from 0: the
        lists EDGE_LIST and OP_NAMES of NASLib's `search_spaces/nasbench201/conversions.py`.
        """
        if (number := official_number(text)) is not None:
            if number >= len(self):
                raise InvalidArchitecture(
                    f"{text.strip()!r}: the official numbers of nats-tss are 0 to {len(self) - 1}"
                )
            return _official_order()[number]
        if (ops := bracketed(text)) is not None:
            if len(ops) != len(EDGES) or max(ops) >= len(NASLIB_OPERATIONS):
                raise InvalidArchitecture(
                    f"{text.strip()!r} is no nats-tss architecture; expected six numbers of 0 to 4, as "
                    "NASLib writes them"
                )
            by_edge = dict(zip(sorted(EDGES), ops, strict=True))
            return to_string(tuple(NASLIB_OPERATIONS[by_edge[edge]] for edge in EDGES))
        arch = "".join(text.split()).lower()
        parse(arch if _PATTERN.fullmatch(arch) else text.strip())  # told as it was written
        return arch

    def canonical(self, arch: str) -> str:
        return _representatives()[expression(parse(arch))]

    def thin(self) -> NatsTss:
        return NatsTss(channels=1, cells=1)

    def graphs(self, arch: str) -> dict[str, CellGraph]:
        cell = parse(arch)
        edges = tuple((*EDGES[i], KIND[cell[i]]) for i in sorted(live_edges(cell)))
        return {"cell": CellGraph(OUTPUT + 1, edges)}

    def features(self, arch: str) -> dict[str, float | str]:
        """Return the operations: `edge.S-T` (none where dead), `count.OP` of the live ones, `path.S-..-T`.

        Of each of the four paths, the kinds of its operations in alphabetical order, as a choice; "broken"
        where one is none. `count.paths` is how many are not, `count.conv.PATH` how many convolutions one has.
        """
        cell = parse(arch)
        live = live_edges(cell)
        ops = [op if edge in live else "none" for edge, op in enumerate(cell)]
        found: dict[str, float | str] = {f"edge.{s}-{t}": op for (s, t), op in zip(EDGES, ops, strict=True)}
        found |= {f"count.{op}": ops.count(op) for op in OPERATIONS}
        whole = 0
        for path, edges in PATHS.items():
            on = sorted(KIND.get(ops[edge], "none") for edge in edges)
            broken = "none" in on
            whole += not broken
            found[f"path.{path}"] = "broken" if broken else "+".join(on)
            found[f"count.conv.{path}"] = 0 if broken else sum(kind.startswith("conv") for kind in on)
        return found | {"count.paths": whole}

    def twins(self, arch: str) -> str:
        """Return a group that joins all cells equal up to weight sharing (4,930 groups).

        It is coarser than both the key and the benchmark's own isomorphism string, so that a
        split that respects it has no twins across it by either definition.
        """
        return expression(parse(arch), shared_weights=False)

    def has_dead_edge(self, arch: str) -> bool:
        return has_dead_edge(parse(arch))

    def neighbours(self, arch: str) -> list[str]:
        cell = parse(arch)
        return [
            to_string((*cell[:edge], op, *cell[edge + 1 :]))
            for edge in range(len(EDGES))
            for op in OPERATIONS
            if op != cell[edge]
        ]

    def build(self, arch: str, *, in_channels: int = 3, num_classes: int = 10) -> nn.Module:
        """Return the benchmark's network: stem, three stages of cells, residual reductions.

        Operations on no path from input to output are not built: they change no output, and the
        network of an architecture is then that of its key. (The benchmark's parameter counts
        include them; for the 9,445 architectures without such operations the counts agree.)
        """
        cell = parse(arch)
        live = live_edges(cell)
        edges = [(*EDGES[i], op) for i, op in enumerate(cell) if i in live]
        return CellNetwork(
            lambda channels: InferCell(channels, edges),
            channels=self.channels,
            cells=self.cells,
            in_channels=in_channels,
            num_classes=num_classes,
        )
