"""What spaces say of their architectures, against what can be read off the strings and the graphs."""

import itertools
import json
import math
from collections import Counter

import networkx as nx
import numpy as np
import pytest

from fusion.spaces import SPACES, Space, make_space
from fusion.spaces.graph import CellGraph
from fusion.spaces.nas_bench_101 import KIND, parse
from fusion.spaces.subset import Subset
from fusion.spaces.tokens import string_features


def keys_of(space, n, seed=0):
    return [space.canonical(arch) for arch in space.sample(n, seed)]


@pytest.mark.parametrize("name", [n for n in SPACES if n != "zoo"])
@pytest.mark.parametrize("describe", ["own", "default"])
def test_names_have_one_type_and_values_are_numbers_or_texts(name, describe):
    space = make_space(name)
    features = space.features if describe == "own" else lambda key: Space.features(space, key)
    types = {}
    for key in keys_of(space, 40):
        found = features(key)
        assert found == features(key)
        assert found
        for feature, value in found.items():
            assert "=" not in feature
            assert feature.isprintable()
            assert types.setdefault(feature, isinstance(value, str)) == isinstance(value, str)
            assert isinstance(value, str) or math.isfinite(value)


@pytest.mark.parametrize("name", [n for n in SPACES if n != "zoo"])
def test_different_networks_are_told_apart(name):
    """As far as strings of the space that differ by more than an order of vertices are."""
    space = make_space(name)
    keys = set(keys_of(space, 200))
    assert len({json.dumps(space.features(key), sort_keys=True) for key in keys}) > 0.97 * len(keys)


def test_tokens_of_a_string():
    assert string_features("a|3.5~b-b 10", {}) == {
        "token.0": "a",
        "number.1": 3.5,
        "token.2": "b",
        "token.3": "b",
        "number.4": 10.0,
        "count.a": 1,
        "count.b": 2,
    }
    assert string_features("3x8-1e4", {}) == {
        "token.0": "3x8", "token.1": "1e4", "count.3x8": 1, "count.1e4": 1
    }  # fmt: skip
    assert string_features("9" * 400, {}) == {"token.0": "9" * 100, f"count.{'9' * 100}": 1}


def test_values_of_json():
    content = {"b": [1, "x y", None, [True]], "a=": {"c": -2.5, "d": "x y"}, "e": float("nan")}
    assert string_features(json.dumps(content), {}) == {
        "number.b.0": 1.0,
        "token.b.1": "x y",
        "number.b.3.0": 1.0,
        "number.a_.c": -2.5,
        "token.a_.d": "x y",
        "count.x_y": 2,
    }
    assert string_features("[" * 10**5, {}) == {}  # no JSON, and no tokens either


def test_operations_of_cells_of_any_kind():
    graph = CellGraph(3, ((0, 1, "attention"), (1, 2, "conv"), (0, 2, "attention"), (0, 1, "wire")))
    found = string_features("x", {"cell": graph, "other": CellGraph(2, ())})
    assert found == {"token.0": "x", "count.x": 1, "cell.count.attention": 2, "cell.count.conv": 1}


def test_nats_tss_says_what_is_on_each_path():
    found = make_space("nats-tss").features(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    )
    paths = {name: value for name, value in found.items() if name.startswith("path.")}
    assert paths == {
        "path.0-3": "skip",
        "path.0-1-3": "broken",
        "path.0-2-3": "broken",
        "path.0-1-2-3": "conv+conv1x1+skip",
    }
    assert (found["count.paths"], found["count.conv.0-1-2-3"], found["count.skip_connect"]) == (2, 2, 2)
    dead = make_space("nats-tss").features("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    assert (dead["edge.0-1"], dead["count.nor_conv_3x3"]) == ("none", 0)


def test_nats_sss_says_widths_and_products():
    found = make_space("nats-sss").features("8:16:32:48:64")
    assert [found[f"width.{i}"] for i in range(5)] == [8, 16, 32, 48, 64]
    assert 2 ** found["log2.2-3"] == pytest.approx(32 * 48)
    assert found["log2.4"] == 6


@pytest.mark.parametrize("seed", range(3))
def test_nas_bench_101_counts_what_networkx_counts(seed):
    space = make_space("nas-bench-101")
    for key in keys_of(space, 20, seed):
        cell, found = parse(key), space.features(key)
        graph = nx.DiGraph(cell.edges)
        labels = ["input", *(KIND[op] for op in cell.ops), "output"]
        paths = list(nx.all_simple_paths(graph, 0, cell.output))
        assert found["count.paths"] == len(paths)
        assert found["depth"] == nx.dag_longest_path_length(graph)
        assert found["degree.output"] == graph.in_degree(cell.output)
        spelled = Counter("-".join(labels[v] for v in path[1:-1]) or "wire" for path in paths)
        told = {name[len("count.path.") :]: n for name, n in found.items() if name.startswith("count.path.")}
        assert told == {ops: n for ops, n in spelled.items() if ops.count("-") < 4}
        edges = Counter(f"count.edge.{labels[s]}-{labels[t]}" for s, t in cell.edges)
        assert {name: n for name, n in found.items() if ".edge." in name} == edges


def test_nas_bench_101_does_not_depend_on_the_order_of_vertices():
    space = make_space("nas-bench-101")
    for key in keys_of(space, 10):
        cell = parse(key)
        for order in itertools.permutations(range(1, cell.output)):
            place = [0, *order, cell.output]
            edges = {(place[s], place[t]) for s, t in cell.edges}
            if all(s < t for s, t in edges):
                pairs = itertools.combinations(range(cell.output + 1), 2)
                ops = sorted(zip(order, cell.ops, strict=True))
                other = "".join(str(int(p in edges)) for p in pairs) + ":" + "".join(str(op) for _, op in ops)
                assert space.features(other) == space.features(key)


@pytest.mark.parametrize("name", ["darts", "nds-darts", "nds-nasnet"])
def test_cells_of_genotypes_count_as_their_graphs(name):
    """The graphs have the same live operations, under the names of their kinds."""
    space = make_space(name)
    for key in keys_of(space, 30):
        found = space.features(key)
        for cell, graph in space.graphs(key).items():
            live = [kind for *_, kind in graph.edges if kind != "wire"]
            mine = {n: v for n, v in found.items() if n.startswith(f"{cell}.count.")}
            for what in ("into", "from"):
                assert sum(v for n, v in mine.items() if n.split(".")[2] == what) == len(live)
            pooled = sum(
                v for n, v in mine.items() if n.split(".")[2].endswith(("pool_3x3", "pool_5x5", "pool_7x7"))
            )
            assert pooled == live.count("pool")
            edges = [v for n, v in found.items() if n.startswith(f"{cell}.edge.")]
            assert len(edges) - edges.count("none") == len(live)
            unwired = CellGraph(graph.nodes, tuple(edge for edge in graph.edges))
            assert found[f"{cell}.depth"] == unwired.paths({k for *_, k in graph.edges}).longest


def test_resnext_says_the_numbers_of_its_stages():
    space = make_space("nds-resnext-a")
    for key in keys_of(space, 10):
        found, net = space.features(key), json.loads(key)
        for name, numbers in (("depth", "ds"), ("width", "ws"), ("ratio", "bot_muls"), ("groups", "num_gs")):
            assert [found[f"{name}.{i}"] for i in range(3)] == net[numbers][1:]
        assert found["inner.1"] == net["ws"][2] * net["bot_muls"][2]
        assert found["depth"] == np.sum(net["ds"][1:])


def test_a_subset_says_what_its_space_says():
    space = make_space("nats-sss")
    keys = keys_of(space, 3)
    assert Subset(space, keys).features(keys[0]) == space.features(keys[0])
