from __future__ import annotations

import contextlib
import itertools
from collections import Counter

import networkx
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from fusion.errors import FusionError, InvalidArchitecture
from fusion.probes.stages import stage_modules
from fusion.spaces import make_space, nas_bench_101
from fusion.spaces.graph import KINDS, WIRE, Operations, Paths
from fusion.spaces.nas_bench_101 import KIND, Cell, module_hash, parse, pruned, to_string
from fusion.spaces.nas_bench_101_network import VertexCell, vertex_channels
from tests.spaces.relabelled_cells import relabelled

SPACE = make_space("nas-bench-101")
TINY = make_space("nas-bench-101", {"channels": 5, "cells": 1})
EXAMPLE = "100110100001001010101:02001"
ARCHS = TINY.sample(40, seed=0)
# conv3x3, conv1x1 and pooling side by side, and the input, into the output
INCEPTION = "1111001011:012"


@st.composite
def cells(draw):
    """Cells of up to 7 vertices as anyone may write them, idle vertices and edges included."""
    n = draw(st.integers(2, 7))
    pairs = list(itertools.combinations(range(n), 2))
    path = sorted({0, n - 1, *draw(st.sets(st.integers(0, n - 1)))})
    edges = {*itertools.pairwise(path), *draw(st.sets(st.sampled_from(pairs), max_size=9 - len(path) + 1))}
    return Cell(tuple(sorted(edges)), tuple(draw(st.integers(0, 2)) for _ in range(n - 2)))


def labelled_graph(cell):
    graph = networkx.DiGraph(cell.edges)
    for vertex, label in enumerate((-1, *cell.ops, -2)):
        graph.add_node(vertex, label=label)
    return graph


def isomorphic(one, other):
    same = networkx.isomorphism.categorical_node_match("label", None)
    return networkx.is_isomorphic(labelled_graph(one), labelled_graph(other), node_match=same)


def paths(cell):
    """The inner vertices of every path from the input to the output."""
    inner = range(1, cell.output)
    chains = itertools.chain.from_iterable(itertools.combinations(inner, n) for n in range(len(cell.ops) + 1))
    return [c for c in chains if all(step in cell.edges for step in itertools.pairwise((0, *c, cell.output)))]


def conv_bn(k, into, out):
    return k * k * into * out + 2 * out


def expected_parameters(cell, channels=128, cells=3, stacks=3):
    """Trainable parameters counted on paper."""
    total, read = conv_bn(3, 3, channels), channels
    for i in range(stacks * cells):
        width = channels * 2 ** (i // cells)
        widths = dict(enumerate(vertex_channels(width, cell.edges, cell.output), 1))
        total += sum(conv_bn(1, read, widths[t]) for s, t in cell.edges if s == 0)
        total += sum(conv_bn((3, 1)[op], widths[v], widths[v]) for v, op in enumerate(cell.ops, 1) if op < 2)
        read = width
    return total + 10 * read + 10


def table(shared_data):
    rows = pd.read_parquet(shared_data / "nas-bench-101" / "accuracies.parquet")
    rows["arch"] = rows["adj_upper"] + ":" + rows["ops"].fillna("")
    return rows


def check_table(rows):
    keys = [SPACE.canonical(arch) for arch in rows["arch"]]
    assert [module_hash(arch) for arch in rows["arch"]] == rows["hash"].tolist()
    assert len(set(keys)) == rows["hash"].nunique() == len(rows)
    assert [expected_parameters(parse(key)) for key in keys] == rows["params"].tolist()


@pytest.mark.shared
def test_hash_key_and_parameters_of_the_benchmark(shared_data):
    rows = table(shared_data)
    # all small cells, and a few of every other size
    check_table(pd.concat([rows[rows["n"] < 6], rows[rows["n"] >= 6].sample(600, random_state=0)]))


@pytest.mark.shared
@pytest.mark.slow
def test_hash_key_and_parameters_of_the_whole_table(shared_data):
    rows = table(shared_data)
    assert len(rows) == 23_973
    check_table(rows)


@pytest.mark.shared
def test_parameters_depend_on_the_order_that_the_benchmark_trained(shared_data):
    rows = table(shared_data).set_index("arch")
    moved = [a for a in rows.index[:3000] if expected_parameters(parse(a)) != rows["params"][a]]
    assert moved  # the table lists some cells in another order than that of the trained ones
    for arch in moved:
        assert SPACE.canonical(arch) != arch
        assert expected_parameters(parse(SPACE.canonical(arch))) == rows["params"][arch]


@settings(max_examples=40, deadline=None)
@given(cells(), st.randoms(use_true_random=False))
def test_relabelling_changes_neither_key_nor_hash(cell, rng):
    orders = list(itertools.permutations(range(1, cell.output)))
    rng.shuffle(orders)
    other = next(form for order in orders if (form := relabelled(cell, order)))
    arch, twin = to_string(cell), to_string(other)
    key = SPACE.canonical(arch)
    assert SPACE.canonical(twin) == key == SPACE.canonical(key)
    assert module_hash(twin) == module_hash(arch) == module_hash(key)
    assert isomorphic(pruned(cell), parse(key))


@settings(max_examples=40, deadline=None)
@given(cells(), st.data())
def test_equal_keys_are_isomorphic_cells_and_equal_hashes(cell, data):
    one = pruned(cell)
    # operations moved about: often isomorphic, often not
    other = one._replace(ops=tuple(data.draw(st.permutations(one.ops))))
    same = isomorphic(one, other)
    assert (SPACE.canonical(to_string(one)) == SPACE.canonical(to_string(other))) == same
    assert (module_hash(to_string(one)) == module_hash(to_string(other))) == same


@settings(max_examples=40, deadline=None)
@given(cells())
def test_round_trip_and_pruning_by_listing_paths(cell):
    arch = to_string(cell)
    assert parse(arch) == cell
    live = pruned(cell)
    on_paths = {0, cell.output, *itertools.chain(*paths(cell))}
    assert live.ops == tuple(op for v, op in enumerate(cell.ops, 1) if v in on_paths)
    assert len(paths(live)) == len(paths(cell))
    assert SPACE.has_dead_edge(arch) == any(not {*edge} <= on_paths for edge in cell.edges)
    assert not SPACE.has_dead_edge(SPACE.canonical(arch))


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("", "expected ADJACENCY:OPERATIONS"),
        (None, "expected ADJACENCY:OPERATIONS"),
        ("111:3", "expected ADJACENCY:OPERATIONS"),
        ("1" * 28 + ":000000", "expected ADJACENCY:OPERATIONS"),
        (EXAMPLE + "\n", "expected ADJACENCY:OPERATIONS"),
        ("11:0", "1 operations need 3 adjacency digits, got 2"),
        ("0:", "no path leads from the input to the output"),
        ("100:1", "no path leads from the input to the output"),
        ("1" * 10 + ":000", "10 edges, at most 9"),
    ],
)
def test_bad_strings(arch, message):
    for use in (
        SPACE.canonical,
        SPACE.neighbours,
        SPACE.build,
        SPACE.graphs,
        SPACE.has_dead_edge,
        module_hash,
    ):
        with pytest.raises(InvalidArchitecture, match=message) as caught:
            use(arch)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("bad", [{"channels": 4}, {"cells": 0}, {"stacks": 0}])
def test_bad_settings(bad):
    with pytest.raises(FusionError, match="at least"):
        make_space("nas-bench-101", bad)


def test_every_cell_is_as_likely_as_any_other(monkeypatch):
    monkeypatch.setattr(nas_bench_101, "MAX_VERTICES", 4)
    keys = set()
    for vertices in range(2, 5):
        pairs = vertices * (vertices - 1) // 2
        for bits in itertools.product("01", repeat=pairs):
            for ops in itertools.product("012", repeat=vertices - 2):
                with contextlib.suppress(InvalidArchitecture):
                    keys.add(SPACE.canonical("".join(bits) + ":" + "".join(ops)))
    rng = np.random.default_rng(0)
    drawn = Counter(SPACE.random(rng) for _ in range(30 * len(keys)))
    assert set(drawn) == keys
    assert stats.chisquare(list(drawn.values())).pvalue > 0.001


def test_draws_have_the_sizes_of_the_benchmark():
    vertices = Counter(len(parse(arch).ops) + 2 for arch in SPACE.sample(300, seed=0))
    assert 0.8 < vertices[7] / 300 < 0.9  # 85 % of the published cells
    assert 0.1 < vertices[6] / 300 < 0.2


def test_random_draws_are_keys_and_repeat():
    assert [SPACE.canonical(arch) for arch in ARCHS] == ARCHS == TINY.sample(40, seed=0)
    assert len(set(ARCHS)) == 40
    with pytest.raises(FusionError, match="too large to list"):
        len(SPACE)


def test_neighbours_of_small_cells():
    assert SPACE.neighbours("1:") == ["111:0", "111:1", "111:2"]
    found = SPACE.neighbours("101:0")
    assert {"101:1", "101:2", "111:0"} < set(found)
    # a second vertex: before the first, behind it, or beside it
    assert {len(parse(arch).ops) for arch in found} == {1, 2}
    assert SPACE.canonical("110011:01") in found


@settings(max_examples=40, deadline=None)
@given(cells())
def test_neighbours_are_other_keys_one_decision_away(cell):
    arch = to_string(cell)
    live = pruned(cell)
    found = SPACE.neighbours(arch)
    assert found
    assert len(set(found)) == len(found)
    assert [SPACE.canonical(other) for other in found] == found
    assert SPACE.canonical(arch) not in found
    assert found == SPACE.neighbours(SPACE.canonical(arch))
    for other in map(parse, found):
        if len(other.ops) > len(live.ops):
            assert (len(other.ops), len(other.edges)) == (len(live.ops) + 1, len(live.edges) + 2)
        elif len(other.edges) == len(live.edges):
            assert (Counter(other.ops) - Counter(live.ops)).total() == 1
        elif len(other.edges) > len(live.edges):
            assert (other.ops.count(0), len(other.edges)) == (live.ops.count(0), len(live.edges) + 1)


@settings(max_examples=40, deadline=None)
@given(cells())
def test_graph_has_the_operations_and_the_paths_of_the_cell(cell):
    live = pruned(cell)
    graph = SPACE.graphs(to_string(cell))["cell"]
    assert all(source < target for source, target, _ in graph.edges)
    assert {node for edge in graph.edges for node in edge[:2]} == set(range(graph.nodes))
    every = paths(live)
    wired = (0, live.output) in live.edges
    lengths = [max(len(path), 1) for path in every]  # the 1x1 convolution from input to output is one
    assert graph.paths(KINDS) == Paths(len(every), min(lengths), max(lengths))
    for op, kind in enumerate(KIND):
        also = int(kind == "conv1x1" and wired)
        vertices = [v for v, other in enumerate(live.ops, 1) if other == op]
        assert graph.operations(kind) == Operations(
            len(vertices) + also,
            sum((0, v) in live.edges for v in vertices) + also,
            sum((v, live.output) in live.edges for v in vertices) + also,
            max(also, *(sum(v in vertices for v in path) for path in every)),
        )


def test_connections_are_wires():
    graph = SPACE.graphs("100111:02")["cell"]  # 0-1-2-3 and 1-3
    assert graph.nodes == 6
    expected = [(0, 1), (1, 2, "conv"), (2, 3), (2, 5), (3, 4, "pool"), (4, 5)]
    assert sorted(graph.edges) == [edge if len(edge) == 3 else (*edge, WIRE) for edge in expected]


@pytest.mark.parametrize(
    ("channels", "edges", "expected"),
    [
        (5, "1", [5]),
        (15, "110011", [8, 7, 15]),
        (8, "1110001011", [3, 3, 2, 8]),
        (9, "1000110011", [5, 5, 4, 9]),
        (15, "1010101101", [8, 7, 7, 15]),
        (16, "1100010101", [16, 16, 16, 16]),
    ],
)
def test_channels_of_vertices(channels, edges, expected):
    # cells and numbers of the benchmark's own tests
    cell = parse(f"{edges}:{'0' * (len(expected) - 1)}")
    assert vertex_channels(channels, cell.edges, cell.output) == expected


def test_parameters_of_networks():
    for arch in [*ARCHS[:3], INCEPTION, "1:"]:
        with torch.device("meta"):
            network = SPACE.build(arch)
        assert sum(p.numel() for p in network.parameters()) == expected_parameters(
            parse(SPACE.canonical(arch))
        )


def test_cell_computes_the_graph():
    # 1 and 3 feed the output with 3 and 2 channels; 1 (3 wide) also feeds 2 and 3, both 2 wide
    edges, ops = ((0, 1), (0, 2), (0, 4), (1, 2), (1, 3), (1, 4), (2, 3), (3, 4)), ("conv3x3-bn-relu",) * 3
    cell = VertexCell(4, 5, edges, ops)
    assert cell.widths == [3, 2, 2, 5]
    x = torch.randn(2, 4, 6, 6)
    one = cell.operations[0](cell.projections["1"](x))
    two = cell.operations[1](cell.projections["2"](x) + one[:, :2])
    three = cell.operations[2](one[:, :2] + two)
    torch.testing.assert_close(cell(x), torch.cat([one, three], 1) + cell.projections["4"](x))
    assert set(cell.projections) == {"1", "2", "4"}


def test_skeleton():
    network = make_space("nas-bench-101", {"channels": 8, "cells": 2}).build(INCEPTION)
    shapes = []
    for module in stage_modules(network):
        module.register_forward_hook(lambda _, inputs, out: shapes.append(tuple(out.shape[1:])))
    network(torch.randn(2, 3, 9, 8))
    assert shapes == [(8, 9, 8)] * 3 + [(16, 5, 4)] * 2 + [(32, 3, 2)] * 2
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-5, 0.003)}
    assert not any(m.inplace for m in network.modules() if isinstance(m, nn.ReLU))


def test_initial_weights():
    weight = (
        make_space("nas-bench-101", {"channels": 64, "cells": 1})
        .build("101:0")
        .body[0]
        .operations[0][0]
        .weight
    )
    assert weight.var().item() == pytest.approx(1 / (64 * 9), rel=0.05)
    assert weight.abs().max().item() <= 2 / 24 / 0.8796 + 1e-6


@pytest.mark.parametrize("arch", [*ARCHS[:4], EXAMPLE, INCEPTION, "1:"])
@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 16, 17), (3, 3, 32, 32), (2, 1, 3, 3), (2, 1, 1, 1)])
@pytest.mark.parametrize("training", [True, False])
def test_networks_map_images_to_logits(arch, shape, training):
    network = TINY.thin().build(arch, in_channels=shape[1], num_classes=7).train(training)
    if training and shape[-1] < 5:
        shape = (8, *shape[1:])
    logits = network(torch.randn(shape))
    assert logits.shape == (shape[0], 7)
    logits.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@settings(max_examples=15, deadline=None)
@given(cells())
def test_isomorphic_cells_build_the_same_network(cell):
    def built(arch):
        torch.manual_seed(1)
        return TINY.build(arch)

    one, other = built(to_string(cell)), built(SPACE.canonical(to_string(cell)))
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(one(x), other(x), rtol=0, atol=0)
    assert TINY.settings == {"channels": 5, "cells": 1, "stacks": 3} == TINY.thin().settings
