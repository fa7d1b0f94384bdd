"""Genotypes: a normal and a reduction cell, each a list of nodes that add two operations' outputs.

Nodes 0 and 1 of a cell are its inputs, the outputs of the two cells before. Every further node adds
the outputs of two operations, each of which reads an earlier node; the output of the cell is the
concatenation of some of these nodes. In a reduction cell the operations that read an input have
stride 2, all others stride 1. The spaces differ in operations, number of nodes and what is
concatenated (`CellRules`).

Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, arXiv:1806.09055.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from fusion.errors import InvalidArchitecture
from fusion.spaces.graph import WIRE, CellGraph

# an operation and the node that it reads
Edge: TypeAlias = tuple[str, int]

INPUTS = 2
NOTHING: Edge = ("none", 0)


class Cell(NamedTuple):
    """Two edges for each node after the inputs, node by node, and the nodes that are concatenated."""

    edges: tuple[Edge, ...]
    concat: tuple[int, ...]

    def nodes(self) -> Iterator[tuple[int, tuple[Edge, ...]]]:
        """Yield each node after the inputs with its two edges."""
        for start in range(0, len(self.edges), 2):
            yield start // 2 + INPUTS, self.edges[start : start + 2]


class Genotype(NamedTuple):
    """The two cells of an architecture."""

    normal: Cell
    reduce: Cell


@dataclass(frozen=True)
class CellRules:
    """Which cells a space has.

    Attributes
    ----------
    operations : tuple of str
    nodes : int
        Nodes after the two inputs.
    concat : {"all", "loose", "any"}
        Whether all nodes are concatenated, those that no operation reads, or what the architecture
        says.
    """

    operations: tuple[str, ...]
    nodes: int
    concat: Literal["all", "loose", "any"]

    def genotype(self, arch: str, fields: Any) -> Genotype:
        """Return the genotype with the four fields of the official text, checked.

        Raises
        ------
        InvalidArchitecture
            When a field is missing or is not one of this space; `arch` is named in the message.
        """
        expected = [f"{cell}{suffix}" for cell in Genotype._fields for suffix in ("", "_concat")]
        if not isinstance(fields, dict) or sorted(fields) != sorted(expected):
            raise InvalidArchitecture(f"{arch!r}: a genotype has the fields {', '.join(expected)}")
        try:
            return Genotype(*(self._cell(fields[c], fields[f"{c}_concat"]) for c in Genotype._fields))
        except InvalidArchitecture as error:
            raise InvalidArchitecture(f"{arch!r}: {error}") from None

    def _cell(self, edges: Any, concat: Any) -> Cell:
        if not isinstance(edges, list | tuple) or len(edges) != 2 * self.nodes:
            raise InvalidArchitecture(f"a cell is a list of {2 * self.nodes} pairs of operation and node")
        for i, edge in enumerate(edges):
            if not isinstance(edge, list | tuple) or len(edge) != 2 or type(edge[1]) is not int:
                raise InvalidArchitecture(f"{edge!r} is no pair of operation and node")
            if edge[0] not in self.operations:
                known = ", ".join(self.operations)
                raise InvalidArchitecture(f"unknown operation {edge[0]!r}; known: {known}")
            if not 0 <= edge[1] < i // 2 + INPUTS:
                node = i // 2 + INPUTS
                raise InvalidArchitecture(f"node {node} reads node {edge[1]}; it can read 0 to {node - 1}")
        known_nodes = range(INPUTS, self.nodes + INPUTS)
        whole = isinstance(concat, list | tuple) and all(type(c) is int and c in known_nodes for c in concat)
        if not whole or not concat or len(set(concat)) < len(concat):
            raise InvalidArchitecture(
                f"concatenated are different nodes of {list(known_nodes)}, not {concat!r}"
            )
        cell = Cell(tuple((op, source) for op, source in edges), tuple(concat))
        if set(concat) != set(self._concat(cell)):
            named = {"all": "all nodes", "loose": "the nodes that nothing reads", "any": ""}[self.concat]
            raise InvalidArchitecture(f"this space concatenates {named}, {list(self._concat(cell))}")
        return cell

    def _concat(self, cell: Cell) -> tuple[int, ...]:
        """Return the nodes that the space concatenates where the cell has these edges."""
        if self.concat == "any":
            return cell.concat
        read = {source for _, source in cell.edges} if self.concat == "loose" else set()
        return tuple(node for node, _ in cell.nodes() if node not in read)

    def _completed(self, edges: list[Edge]) -> Cell:
        every = Cell(tuple(edges), tuple(range(INPUTS, self.nodes + INPUTS)))
        return every._replace(concat=self._concat(every))

    def random(self, rng: np.random.Generator) -> Genotype:
        """Return two cells with operations and nodes read uniform, one node also twice."""
        cells = [
            self._completed(
                [
                    (self.operations[int(rng.integers(len(self.operations)))], int(rng.integers(node)))
                    for node in range(INPUTS, self.nodes + INPUTS)
                    for _ in range(2)
                ]
            )
            for _ in Genotype._fields
        ]
        return Genotype(*cells)

    def neighbours(self, genotype: Genotype) -> list[Genotype]:
        """Return the genotypes with one operation or one node that is read changed."""
        found = []
        for name, cell in zip(Genotype._fields, genotype, strict=True):
            for i, (op, source) in enumerate(cell.edges):
                edges = [(other, source) for other in self.operations if other != op]
                edges += [(op, other) for other in range(i // 2 + INPUTS) if other != source]
                for edge in edges:
                    changed = cell._replace(edges=(*cell.edges[:i], edge, *cell.edges[i + 1 :]))
                    found.append(genotype._replace(**{name: changed._replace(concat=self._concat(changed))}))
        return found


def weightless(op: str) -> bool:
    """Return whether an operation of stride 1 gives zero for zero and has no weights."""
    return op in ("none", "skip_connect") or "_pool_" in op


def live_nodes(cell: Cell) -> frozenset[int]:
    """Return the nodes that the output depends on, inputs included, as far as operations are not none."""
    live = set(cell.concat)
    for node, edges in reversed(list(cell.nodes())):
        if node in live:
            live |= {source for op, source in edges if op != "none"}
    return frozenset(live)


def live_edges(cell: Cell) -> frozenset[int]:
    """Return the edges on a path from an input to the output along operations that are not none."""
    backward, forward = live_nodes(cell), set(range(INPUTS))
    found = set()
    for i, (op, source) in enumerate(cell.edges):
        if op != "none" and source in forward:
            forward.add(i // 2 + INPUTS)
            if i // 2 + INPUTS in backward:
                found.add(i)
    return frozenset(found)


def has_dead_edge(genotype: Genotype) -> bool:
    """Return whether some operation other than none lies on no path from an input to the output."""
    return any(len(live_edges(cell)) < sum(op != "none" for op, _ in cell.edges) for cell in genotype)


def _simplified(cell: Cell, reduction: bool) -> Cell:
    """Return the cell with nodes that pass on another one read there, and without what has no effect.

    Pooled or skipped zeros are zeros; convolutions of zeros stay, because their weights count and
    batch normalisation after them learns a constant. A node that nothing needs adds nothing.
    """
    zeros: set[int] = set()
    passed_on: dict[int, int] = {}
    edges: list[Edge] = []
    for node, pair in cell.nodes():
        resolved = [(op, passed_on.get(source, source)) for op, source in pair]
        kept = [(op, source) for op, source in resolved if not (weightless(op) and source in zeros)]
        kept = [edge for edge in kept if edge[0] != "none"]
        if not kept:
            zeros.add(node)
        # a skip of stride 2 is a convolution
        elif len(kept) == 1 and kept[0][0] == "skip_connect" and not (reduction and kept[0][1] < INPUTS):
            passed_on[node] = kept[0][1]
        edges += kept + [NOTHING] * (2 - len(kept))
    plain = Cell(tuple(edges), cell.concat)
    live = live_nodes(plain)
    return plain._replace(
        edges=tuple(e if i // 2 + INPUTS in live else NOTHING for i, e in enumerate(plain.edges))
    )


def _canonical_cell(cell: Cell, reduction: bool) -> Cell:
    cell = _simplified(cell, reduction)
    nodes = len(cell.edges) // 2
    best: Cell | None = None
    for order in itertools.permutations(range(INPUTS, nodes + INPUTS)):
        number = {old: new for new, old in enumerate((*range(INPUTS), *order))}
        edges: list[Edge] = []
        for old in order:
            pair = cell.edges[2 * (old - INPUTS) : 2 * (old - INPUTS) + 2]
            if any(number[source] >= number[old] for _, source in pair):
                break
            edges += sorted((op, number[source]) for op, source in pair)
        else:
            candidate = Cell(tuple(edges), tuple(sorted(number[c] for c in cell.concat)))
            best = candidate if best is None else min(best, candidate)
    assert best is not None  # the order of `cell` itself is one of them
    return best


def canonical(genotype: Genotype) -> Genotype:
    """Return one genotype for those that build the same network, up to initialisation.

    Joined are: the two orders of a node's edges; the orders of the nodes; the orders of the
    concatenation, as all that reads it is a dense layer with a weight of its own for each channel,
    drawn alike; nodes read by `none`; a node that only passes another one on (skip + none) and that
    one, where it is read; zeros pooled or skipped and `none`; and whatever stands in nodes that the
    output does not depend on. Kept apart are a few cells that compute the same through nodes that
    add the same skipped or pooled nodes.
    """
    return Genotype(_canonical_cell(genotype.normal, False), _canonical_cell(genotype.reduce, True))


def _kind(op: str, stride: int) -> str:
    if op == "skip_connect":
        return "skip" if stride == 1 else "conv1x1"
    if "_pool_" in op:
        return "pool"
    return "conv1x1" if op == "conv_1x1" else "conv"


def graph(cell: Cell, reduction: bool) -> CellGraph:
    """Return the live part of a cell, its two inputs merged into node 0, concatenation as wires.

    A skip of stride 2 is the 1x1 convolution that it is built as.
    """
    output = len(cell.edges) // 2 + 1
    edges = []
    for i in sorted(live_edges(cell)):
        op, source = cell.edges[i]
        kind = _kind(op, 2 if reduction and source < INPUTS else 1)
        edges.append((max(source - 1, 0), i // 2 + 1, kind))
    fed = {target for _, target, _ in edges}
    wires = [(node - 1, output, WIRE) for node in sorted(cell.concat) if node - 1 in fed]
    return CellGraph(output + 1, (*edges, *wires))


def graphs(genotype: Genotype) -> dict[str, CellGraph]:
    """Return the graphs of both cells."""
    return {"normal": graph(genotype.normal, False), "reduce": graph(genotype.reduce, True)}


def features(genotype: Genotype) -> dict[str, float | str]:
    """Return the live operations of both cells, as `normal.WHAT` and `reduce.WHAT`.

    `edge.N.I` and `reads.N.I`: operation and node read of node N's edge I, "none" where dead;
    `count.OP`; `count.input.OP`, of those that read an input of the cell; `count.into.N` and `count.from.N`,
    operations into and out of a node; `count.concat`, nodes concatenated; `depth`, operations on the longest
    path.
    """
    found: dict[str, float | str] = {}
    for name, cell in genotype._asdict().items():
        live, counted = live_edges(cell), Counter({"count.concat": len(cell.concat)})
        depths = Counter[int]()
        for i, (op, source) in enumerate(cell.edges):
            node = i // 2 + INPUTS
            found[f"{name}.edge.{node}.{i % 2}"] = op if i in live else "none"
            found[f"{name}.reads.{node}.{i % 2}"] = str(source) if i in live else "none"
            if i in live:
                counted.update((f"count.{op}", f"count.into.{node}", f"count.from.{source}"))
                counted.update([f"count.input.{op}"] if source < INPUTS else [])
                depths[node] = max(depths[node], depths[source] + 1)
        found |= {f"{name}.{what}": number for what, number in counted.items()}
        found[f"{name}.depth"] = max(depths[node] for node in cell.concat)
    return found
