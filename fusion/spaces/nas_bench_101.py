"""The cells of NAS-Bench-101: directed acyclic graphs with operations on their vertices.

A cell has at most 7 vertices and 9 edges; vertex 0 is the input, the last one the output, and each
vertex between them carries one of 3 operations, which makes 423,624 different cells. A string is
`ADJACENCY:OPERATIONS`: the upper triangle of the adjacency matrix row by row (edges 0-1, 0-2, ...,
1-2, ...), then one digit for each inner vertex, 0 = conv3x3-bn-relu, 1 = conv1x1-bn-relu,
2 = maxpool3x3. `100110100001001010101:02001` is a cell of 7 vertices; `1:` has no inner vertex.

Source: Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019,
arXiv:1902.09635; details after github.com/google-research/nasbench.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import nn

from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces.base import SPACES, Space
from fusion.spaces.graph import WIRE, CellGraph
from fusion.spaces.nas_bench_101_network import CellNetwork

MAX_VERTICES = 7
MAX_EDGES = 9
OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
KIND = ("conv", "conv1x1", "pool")

Edge: TypeAlias = tuple[int, int]


class Cell(NamedTuple):
    """A cell: its edges (source, target), source before target, and the operations of the inner vertices."""

    edges: tuple[Edge, ...]
    ops: tuple[int, ...]

    @property
    def output(self) -> int:
        """The last vertex."""
        return len(self.ops) + 1


def parse(arch: str) -> Cell:
    """Return the cell as written, with any vertices on no path from input to output.

    Raises
    ------
    InvalidArchitecture
        When the string is none of the form `ADJACENCY:OPERATIONS` with at most 7 vertices.
    """
    match = re.fullmatch(r"([01]+):([012]{0,5})", arch, re.ASCII) if isinstance(arch, str) else None
    if match is None:
        raise InvalidArchitecture(
            f"{arch!r} is no nas-bench-101 architecture; expected ADJACENCY:OPERATIONS, "
            "such as 100110100001001010101:02001"
        )
    bits, ops = match.groups()
    pairs = list(itertools.combinations(range(len(ops) + 2), 2))
    if len(bits) != len(pairs):
        raise InvalidArchitecture(
            f"{arch!r}: {len(ops)} operations need {len(pairs)} adjacency digits, got {len(bits)}"
        )
    edges = tuple(pair for pair, bit in zip(pairs, bits, strict=True) if bit == "1")
    return Cell(edges, tuple(map(int, ops)))


def to_string(cell: Cell) -> str:
    """Return the string of a cell; the inverse of `parse`."""
    pairs = itertools.combinations(range(cell.output + 1), 2)
    return "".join(str(int(pair in cell.edges)) for pair in pairs) + ":" + "".join(map(str, cell.ops))


def pruned(cell: Cell) -> Cell:
    """Return the cell without the vertices on no path from input to output, the others in their order.

    Raises
    ------
    InvalidArchitecture
        When no path leads from input to output, or more than 9 edges remain.
    """
    live = live_vertices(cell)
    if not live:
        raise InvalidArchitecture(f"{to_string(cell)!r}: no path leads from the input to the output")
    number = {vertex: i for i, vertex in enumerate(sorted(live))}
    edges = tuple((number[s], number[t]) for s, t in cell.edges if s in number and t in number)
    if len(edges) > MAX_EDGES:
        raise InvalidArchitecture(f"{to_string(cell)!r}: {len(edges)} edges, at most {MAX_EDGES} are allowed")
    return Cell(edges, tuple(op for vertex, op in enumerate(cell.ops, 1) if vertex in number))


def live_vertices(cell: Cell) -> set[int]:
    """Return the vertices on a path from input to output, these two included; none without a path."""
    forward, backward = {0}, {cell.output}
    for source, target in sorted(cell.edges):
        if source in forward:
            forward.add(target)
    for source, target in sorted(cell.edges, reverse=True):
        if target in backward:
            backward.add(source)
    return forward & backward


def representative(cell: Cell) -> Cell:
    """Return the isomorphic cell that the benchmark trained.

    Its authors went through the adjacency matrices by ascending number, where the edge i-j is bit
    i + j(j-1)/2, and for each through the operations in lexicographic order, and kept the first
    cell of every isomorphism class. That one is the smallest over all orders of the vertices in
    which edges lead forward.
    """
    return _unpacked(*min(_spellings(cell)))


def _spellings(cell: Cell) -> set[tuple[int, tuple[int, ...]]]:
    """Return all ways to write the graph of `cell`: its matrix as a number, and the operations."""
    found = set()
    for order in itertools.permutations(range(1, cell.output)):
        place = {vertex: i for i, vertex in enumerate((0, *order, cell.output))}
        edges = [(place[source], place[target]) for source, target in cell.edges]
        if all(source < target for source, target in edges):
            bits = sum(1 << (source + target * (target - 1) // 2) for source, target in edges)
            found.add((bits, tuple(cell.ops[vertex - 1] for vertex in order)))
    return found


def _unpacked(bits: int, ops: tuple[int, ...]) -> Cell:
    pairs = itertools.combinations(range(len(ops) + 2), 2)
    return Cell(tuple((s, t) for s, t in pairs if bits >> (s + t * (t - 1) // 2) & 1), ops)


@cache
def _shapes(most: int) -> tuple[list[tuple[int, int]], npt.NDArray[np.float64]]:
    """Return (vertices, edges) of cells of at most `most` vertices, and cumulative shares of spellings."""
    shapes = [
        (vertices, edges)
        for vertices in range(2, most + 1)
        for edges in range(vertices - 1, min(MAX_EDGES, math.comb(vertices, 2)) + 1)
    ]
    ways = np.array([math.comb(math.comb(v, 2), e) * len(OPERATIONS) ** (v - 2) for v, e in shapes])
    return shapes, np.cumsum(ways) / ways.sum()


def _written(rng: np.random.Generator) -> Cell:
    """Return vertices, edges and operations, any way to write them as likely as any other.

    Not all are cells of the space: vertices may lie on no path.
    """
    shapes, up_to = _shapes(MAX_VERTICES)
    vertices, edges = shapes[np.searchsorted(up_to, rng.random(), side="right")]
    pairs = list(itertools.combinations(range(vertices), 2))
    chosen = sorted(rng.choice(len(pairs), edges, replace=False))
    ops = rng.integers(len(OPERATIONS), size=vertices - 2).tolist()
    return Cell(tuple(pairs[i] for i in chosen), tuple(ops))


def module_hash(arch: str) -> str:
    """Return the benchmark's own name of a cell: 32 hexadecimal digits, equal for isomorphic cells.

    MD5 over iterated neighbourhoods of the pruned cell: a vertex starts from its out-degree,
    in-degree and label (-1 input, -2 output, else the operation), and takes in the sorted hashes of
    the vertices before and after it, as often as there are vertices.

    Unequal for all cells of the space that are not isomorphic: there are 423,624 isomorphism
    classes, and as many hashes in the benchmark.

    Raises
    ------
    InvalidArchitecture
        When `arch` is not an architecture of this space.
    """
    cell = pruned(parse(arch))
    labels = (-1, *cell.ops, -2)
    before: list[list[int]] = [[s for s, t in cell.edges if t == v] for v in range(len(labels))]
    after: list[list[int]] = [[t for s, t in cell.edges if s == v] for v in range(len(labels))]
    hashes = [_md5(str((len(after[v]), len(before[v]), label))) for v, label in enumerate(labels)]
    for _ in labels:
        hashes = [
            _md5("|".join((*("".join(sorted(hashes[w] for w in side)) for side in (b, a)), own)))
            for b, a, own in zip(before, after, hashes, strict=True)
        ]
    return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@SPACES.register
class NasBench101(Space):
    """NAS-Bench-101: 423,624 cells of up to 7 vertices and 9 edges with 3 operations.

    The key is the string of the cell that the benchmark trained for all isomorphic ones, and its
    network is theirs. The order of the vertices matters to it: where channels do not divide evenly
    among the vertices that feed the output, the first ones get one channel more.

    Parameters
    ----------
    channels : int
        Output channels of the stem and of the first stack; doubled by every further stack.
        At least 5, since up to 5 vertices share them.
    cells : int
        Cells per stack.
    stacks : int
        Stacks of cells, with a 2x2 max pooling between one and the next.
    """

    name = "nas-bench-101"
    summary = "cells of up to 7 vertices and 9 edges with 3 operations on the vertices (NAS-Bench-101)"
    source = "arXiv:1902.09635"
    enumerable = False
    spelled_by = ("adj_upper", "ops")

    def __init__(self, channels: int = 128, cells: int = 3, stacks: int = 3) -> None:
        if channels < MAX_VERTICES - 2 or cells < 1 or stacks < 1:
            raise FusionError(
                "nas-bench-101: channels must be at least 5, cells and stacks at least 1, "
                f"got {channels}, {cells}, {stacks}"
            )
        self.channels = channels
        self.cells = cells
        self.stacks = stacks

    @property
    def settings(self) -> dict[str, Any]:
        return {"channels": self.channels, "cells": self.cells, "stacks": self.stacks}

    def random(self, rng: np.random.Generator) -> str:
        """Return a key, each of the 423,624 as likely as the others.

        A cell that can be written in n ways is kept with probability 1/n.
        """
        while True:
            cell = _written(rng)
            if len(live_vertices(cell)) == cell.output + 1:
                spellings = _spellings(cell)
                if rng.random() * len(spellings) < 1:
                    return to_string(_unpacked(*min(spellings)))

    def read(self, text: str) -> str:
        """Return the string itself; a hash names a cell but does not say how it is built."""
        arch = text.strip()
        if re.fullmatch(r"[0-9a-f]{32}", arch, re.ASCII | re.IGNORECASE):
            raise InvalidArchitecture(
                f"{arch!r} is the hash of a cell, which does not say how it is built; give a table that also "
                f"has the columns {' and '.join(self.spelled_by)}, or the benchmark's tfrecord"
            )
        pruned(parse(arch))
        return arch

    def read_columns(self, cells: Sequence[str]) -> str:
        """Return the string of the upper triangle of a matrix and the digits of the operations."""
        return self.read(":".join(cell.strip() for cell in cells))

    def canonical(self, arch: str) -> str:
        return to_string(representative(pruned(parse(arch))))

    def thin(self) -> NasBench101:
        return NasBench101(channels=MAX_VERTICES - 2, cells=1, stacks=self.stacks)

    def has_dead_edge(self, arch: str) -> bool:
        """Return whether pruning takes a vertex or an edge away; never from a key."""
        cell = parse(arch)
        return len(pruned(cell).edges) < len(cell.edges)

    def neighbours(self, arch: str) -> list[str]:
        """Return the keys of the cells one decision away from that of the key, without the key itself.

        Another operation at a vertex; an edge more or less; or, as keys have no idle vertices to
        connect, a new vertex that reads one vertex and feeds a later one.
        """
        cell = representative(pruned(parse(arch)))
        pairs = list(itertools.combinations(range(cell.output + 1), 2))
        found = [
            cell._replace(ops=(*cell.ops[:i], op, *cell.ops[i + 1 :]))
            for i in range(len(cell.ops))
            for op in range(len(OPERATIONS))
        ]
        found += [cell._replace(edges=tuple(sorted({*cell.edges} ^ {pair}))) for pair in pairs]
        if cell.output + 1 < MAX_VERTICES:
            found += [
                _inserted(cell, source, target, op)
                for source, target in pairs
                for op in range(len(OPERATIONS))
            ]
        keys = set()
        for candidate in found:
            try:
                keys.add(to_string(representative(pruned(candidate))))
            except InvalidArchitecture:
                continue
        return sorted(keys - {to_string(cell)})

    def graphs(self, arch: str) -> dict[str, CellGraph]:
        """Return the cell with its operations on edges, from the start to the end of each vertex.

        Connections are wires; the input wired to the output is the 1x1 convolution that the network
        has there.
        """
        cell = representative(pruned(parse(arch)))
        # vertex v starts at node 2v - 1 and ends at 2v
        edges = [(2 * v - 1, 2 * v, KIND[op]) for v, op in enumerate(cell.ops, 1)]
        for source, target in cell.edges:
            kind = "conv1x1" if (source, target) == (0, cell.output) else WIRE
            edges.append((2 * source, 2 * target - 1, kind))
        return {"cell": CellGraph(2 * cell.output, tuple(edges))}

    def features(self, arch: str) -> dict[str, float | str]:
        """Return numbers that no order of the vertices changes.

        `vertices`, `edges`, `depth` (edges of the longest path), `degree.input`, `degree.output`,
        `degree.most` (edges into one vertex); `count.OP`; `count.edge.A-B`, edges from an A to a B;
        `count.paths`, from input to output, and `count.path.A-B-..`, those with these operations (up to
        four; "wire" with none).
        """
        cell = pruned(parse(arch))
        labels = ("input", *(KIND[op] for op in cell.ops), "output")
        paths: list[list[tuple[str, ...]]] = [[] for _ in labels]
        paths[0].append(())
        for source, target in sorted(cell.edges):  # a vertex is complete before it is read
            own = () if target == cell.output else (labels[target],)
            paths[target] += [(*path, *own) for path in paths[source]]
        whole = paths[cell.output]
        into = Counter(target for _, target in cell.edges)
        found: dict[str, float | str] = {
            "vertices": len(labels),
            "edges": len(cell.edges),
            "depth": 1 + max(map(len, whole)),
            "degree.input": sum(source == 0 for source, _ in cell.edges),
            "degree.output": into[cell.output],
            "degree.most": max(into.values()),
            "count.paths": len(whole),
        }
        counted = Counter(f"count.{label}" for label in labels[1:-1])
        counted += Counter(f"count.edge.{labels[s]}-{labels[t]}" for s, t in cell.edges)
        counted += Counter(f"count.path.{'-'.join(ops) or WIRE}" for ops in whole if len(ops) <= 4)
        return found | dict(counted)

    def build(self, arch: str, *, in_channels: int = 3, num_classes: int = 10) -> nn.Module:
        """Return the benchmark's network of the key of `arch`."""
        cell = representative(pruned(parse(arch)))
        return CellNetwork(
            cell.edges,
            [OPERATIONS[op] for op in cell.ops],
            channels=self.channels,
            cells=self.cells,
            stacks=self.stacks,
            in_channels=in_channels,
            num_classes=num_classes,
        )


def _inserted(cell: Cell, source: int, target: int, op: int) -> Cell:
    """Return the cell with a new vertex, placed just before `target`, between the two."""
    moved = [(s + (s >= target), t + (t >= target)) for s, t in cell.edges]
    edges = tuple(sorted([*moved, (source, target), (target, target + 1)]))
    return Cell(edges, (*cell.ops[: target - 1], op, *cell.ops[target - 1 :]))
