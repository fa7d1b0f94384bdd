"""A cell as a graph: what runs between which nodes, whatever the space."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

# kinds of operations that the graph indicators know, the same in every space: convolutions that see
# neighbours, those that mix channels only, pooling, and what hands its input on
KINDS = ("conv", "conv1x1", "pool", "skip")
# a connection without an operation, for spaces whose operations are on the vertices or whose cells
# concatenate: it has no length, and every path may use it
WIRE = "wire"
# the 15 sets of one or more kinds
KIND_SETS = tuple(kinds for size in range(1, len(KINDS) + 1) for kinds in combinations(KINDS, size))


@dataclass(frozen=True)
class Paths:
    """Paths from input to output that consist of certain kinds of operations.

    Attributes
    ----------
    number : int
    shortest : int or None
        Operations on the shortest one; None where there is no path.
    longest : int
        Operations on the longest one; 0 where there is no path.
    """

    number: int
    shortest: int | None
    longest: int


@dataclass(frozen=True)
class Operations:
    """Operations of one kind.

    Attributes
    ----------
    count, from_input, into_output : int
        How many there are, read the cell's input, and write to its output; both also over wires.
    on_one_path : int
        The most on one path from input to output, whatever other kinds are on it.
    """

    count: int
    from_input: int
    into_output: int
    on_one_path: int


@dataclass(frozen=True)
class CellGraph:
    """A directed acyclic graph with operations on its edges.

    Attributes
    ----------
    nodes : int
        Node 0 is the input, node `nodes - 1` the output; edges lead to higher numbers.
    edges : tuple of (int, int, str)
        Source, target, and kind: one of `KINDS`, `WIRE`, or any other text, which only the encoding tells
        from others: the indicators count no such operations, and no path over one as made of known kinds.
        Only edges on a path from input to output; several edges may join the same two nodes.
    """

    nodes: int
    edges: tuple[tuple[int, int, str], ...]

    def paths(self, kinds: Collection[str]) -> Paths:
        """Return the paths made of operations of these kinds only; every operation has length 1."""
        number = [1] + [0] * (self.nodes - 1)
        shortest, longest = [0] * self.nodes, [0] * self.nodes
        for source, target, kind in sorted(self.edges):  # a node is complete before it is read
            if (kind not in kinds and kind != WIRE) or not number[source]:
                continue
            length = int(kind != WIRE)
            near, far = shortest[source] + length, longest[source] + length
            shortest[target] = min(shortest[target], near) if number[target] else near
            longest[target] = max(longest[target], far)
            number[target] += number[source]
        return Paths(number[-1], shortest[-1] if number[-1] else None, longest[-1])

    def operations(self, kind: str) -> Operations:
        """Return the operations of this kind."""
        most = [0] * self.nodes
        for source, target, other in sorted(self.edges):
            most[target] = max(most[target], most[source] + (other == kind))
        wires = sorted((source, target) for source, target, other in self.edges if other == WIRE)
        inputs, outputs = {0}, {self.nodes - 1}
        for source, target in wires:
            inputs |= {target} if source in inputs else set()
        for source, target in reversed(wires):
            outputs |= {source} if target in outputs else set()
        mine = [(source, target) for source, target, other in self.edges if other == kind]
        return Operations(
            len(mine),
            sum(source in inputs for source, _ in mine),
            sum(target in outputs for _, target in mine),
            most[-1],
        )
