"""The graph of a cell against every chain of its edges, written down one by one."""

from __future__ import annotations

import itertools

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fusion.spaces import make_space
from fusion.spaces.graph import KIND_SETS, KINDS, WIRE, CellGraph, Operations, Paths

TINY = make_space("nats-tss", {"channels": 4, "cells": 1})
ARCHS = TINY.sample(60, seed=1)
DISCONNECTED = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"


def chains(nodes, edges):
    """All paths from node 0 to the last node, among all sets of edges."""
    found = []
    for size in range(1, len(edges) + 1):
        for some in itertools.combinations(sorted(edges), size):
            ends = [0, *(target for _, target, _ in some)]
            if ends[:-1] == [source for source, _, _ in some] and ends[-1] == nodes - 1:
                found.append(some)
    return found


@st.composite
def cell_graphs(draw):
    """Live parts of random graphs, in any order of edges, parallel edges among them."""
    nodes = draw(st.integers(2, 5))
    pairs = st.sampled_from(list(itertools.combinations(range(nodes), 2)))
    edges = draw(st.lists(st.tuples(pairs, st.sampled_from((*KINDS, WIRE, "attention"))), max_size=8))
    edges = [(source, target, kind) for (source, target), kind in edges]
    live = set(itertools.chain(*chains(nodes, edges)))
    return CellGraph(nodes, tuple(edge for edge in edges if edge in live))


def assert_counts(graph):
    every = chains(graph.nodes, graph.edges)
    for kinds in KIND_SETS:
        pure = [chain for chain in every if all(kind in (*kinds, WIRE) for *_, kind in chain)]
        lengths = [sum(kind != WIRE for *_, kind in chain) for chain in pure]
        assert graph.paths(kinds) == Paths(len(lengths), min(lengths, default=None), max(lengths, default=0))
    wires = nx.DiGraph((source, target) for source, target, kind in graph.edges if kind == WIRE)
    wires.add_nodes_from(range(graph.nodes))
    at_input, at_output = nx.descendants(wires, 0) | {0}, nx.ancestors(wires, graph.nodes - 1)
    for kind in (*KINDS, "attention"):
        mine = [edge for edge in graph.edges if edge[2] == kind]
        assert graph.operations(kind) == Operations(
            len(mine),
            sum(source in at_input for source, *_ in mine),
            sum(target in at_output | {graph.nodes - 1} for _, target, _ in mine),
            max((sum(edge[2] == kind for edge in chain) for chain in every), default=0),
        )


def test_the_sets_of_kinds_are_all_but_the_empty_one():
    assert len(KIND_SETS) == len({frozenset(kinds) for kinds in KIND_SETS}) == 2 ** len(KINDS) - 1


@given(cell_graphs())
def test_any_graph_counts_as_its_chains(graph):
    assert_counts(graph)


@pytest.mark.parametrize("arch", [DISCONNECTED, *ARCHS])
def test_cells_of_nats_tss_count_as_their_chains(arch):
    (graph,) = TINY.graphs(arch).values()
    assert_counts(graph)
    assert set(graph.edges) == set(itertools.chain(*chains(graph.nodes, graph.edges)))


@pytest.mark.parametrize("arch", [DISCONNECTED, *ARCHS])
def test_cells_of_nats_tss_have_the_operations_of_the_network(arch):
    graph = TINY.graphs(arch)["cell"]
    built = TINY.build(arch).body[0]
    kinds = []
    for operation in built.operations:
        if isinstance(operation, nn.Sequential):
            kinds.append({(3, 3): "conv", (1, 1): "conv1x1"}[operation[1].kernel_size])
        else:
            kinds.append({nn.AvgPool2d: "pool", nn.Identity: "skip"}[type(operation)])
    assert list(graph.edges) == [(*ends, kind) for ends, kind in zip(built.edges, kinds, strict=True)]


def test_an_operation_that_reaches_nowhere_is_not_in_the_graph():
    assert TINY.graphs(DISCONNECTED) == {"cell": CellGraph(4, ())}
    assert CellGraph(4, ()).paths(KINDS) == Paths(0, None, 0)


def test_paths_multiply_without_being_enumerated():
    parallel = tuple((node, node + 1, kind) for node in range(60) for kind in KINDS)
    assert CellGraph(61, parallel).paths(KINDS) == Paths(4**60, 60, 60)
