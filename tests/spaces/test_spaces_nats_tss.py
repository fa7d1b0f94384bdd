from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nats_bench.genotype_utils import topology_str2structure

from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces import make_space
from fusion.spaces.nats_network import InferCell
from fusion.spaces.nats_tss import (
    EDGES,
    OPERATIONS,
    benchmark_unique_string,
    has_dead_edge,
    live_edges,
    parse,
    to_string,
)

SPACE = make_space("nats-tss")
TINY = make_space("nats-tss", {"channels": 4, "cells": 1})
ARCHS = tuple(SPACE.enumerate())
KNOWN = frozenset(ARCHS)
ALL_NONE = to_string(("none",) * 6)
CONVS = ("nor_conv_1x1", "nor_conv_3x3")

architectures = st.sampled_from(ARCHS)


def paths(cell):
    """All edge sequences from node 0 to node 3 along operations that are not none."""
    every = ([3], [0, 4], [1, 5], [0, 2, 5])
    return [path for path in every if all(cell[edge] != "none" for edge in path)]


def fingerprints(weights):
    """What each cell computes when a conv is x -> sin(w x), and the set of that over renamed weights.

    Two cells with the same architecture up to the names of their weights have equal distributions
    of outputs over all assignments of the six `weights` (one row per assignment) to the edges.
    """
    found = []
    for arch in ARCHS:
        cell = parse(arch)
        nodes = [np.full(len(weights), 0.7)] + [np.zeros(len(weights)) for _ in range(3)]
        for edge, (source, target) in enumerate(EDGES):
            x = nodes[source]
            nodes[target] = nodes[target] + {
                "none": lambda x, w: 0.0 * x,
                "skip_connect": lambda x, w: x,
                "avg_pool_3x3": lambda x, w: np.sin(1.37 * x),
                "nor_conv_1x1": lambda x, w: np.sin(w * x),
                "nor_conv_3x3": lambda x, w: np.sin((w + 0.6) * x),
            }[cell[edge]](x, weights[:, edge])
        found.append((round(nodes[3].mean(), 9), round((nodes[3] ** 2).mean(), 9)))
    return found


def test_order_is_the_benchmarks():
    assert len(ARCHS) == len(set(ARCHS)) == len(SPACE) == 15_625
    assert (
        ARCHS[0]
        == "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    assert ARCHS[9] == "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def test_keys_are_the_classes_of_equal_computation():
    weights = 1 + np.random.default_rng(0).random(6)
    permuted = np.array(list(itertools.permutations(weights)))
    keys = [SPACE.canonical(arch) for arch in ARCHS]
    reference = fingerprints(permuted)
    assert len(set(keys)) == len(set(reference)) == 5_260
    assert len(set(zip(keys, reference, strict=True))) == 5_260  # one to one: the same partition


def test_twins_are_the_classes_up_to_weight_sharing():
    one_weight = np.full((1, 6), 1.21)
    twins = [SPACE.twins(arch) for arch in ARCHS]
    reference = fingerprints(one_weight)
    assert len(set(twins)) == 4_930
    assert len(set(zip(twins, reference, strict=True))) == len(set(reference)) == 4_930


def test_benchmark_string_is_that_of_nats_bench():
    strings = [benchmark_unique_string(parse(arch)) for arch in ARCHS]
    assert strings == [topology_str2structure(arch).to_unique_str(consider_zero=True) for arch in ARCHS]
    assert len(set(strings)) == 6_466


def test_twins_are_coarser_than_keys_and_benchmark_classes():
    rows = pd.DataFrame(
        {
            "twins": [SPACE.twins(arch) for arch in ARCHS],
            "key": [SPACE.canonical(arch) for arch in ARCHS],
            "benchmark": [benchmark_unique_string(parse(arch)) for arch in ARCHS],
        }
    )
    assert rows.groupby("key")["twins"].nunique().max() == 1
    assert rows.groupby("benchmark")["twins"].nunique().max() == 1


def test_dead_edges_by_listing_paths():
    for arch in ARCHS:
        cell = parse(arch)
        live = frozenset().union(*paths(cell))
        assert live_edges(cell) == live
        assert has_dead_edge(cell) == any(op != "none" and e not in live for e, op in enumerate(cell))
    assert sum(not has_dead_edge(parse(arch)) for arch in ARCHS) == 9_445


@given(architectures)
def test_round_trip(arch):
    assert to_string(parse(arch)) == arch


@given(architectures)
def test_canonical_is_idempotent_and_an_architecture(arch):
    key = SPACE.canonical(arch)
    assert key in KNOWN
    assert SPACE.canonical(key) == key
    assert SPACE.twins(key) == SPACE.twins(arch)


@given(architectures)
def test_key_does_not_depend_on_the_settings_of_the_network(arch):
    assert TINY.canonical(arch) == SPACE.canonical(arch)


def cell_of(arch):
    """The cell of `arch` in double precision, and which of its modules are convolutions."""
    live = live_edges(parse(arch))
    edges = [(*EDGES[i], op) for i, op in enumerate(parse(arch)) if i in live]
    return InferCell(3, edges).double().eval(), [op for _, _, op in edges]


@settings(max_examples=60, deadline=None)
@given(architectures)
def test_key_computes_the_same_as_the_architecture(arch):
    key = SPACE.canonical(arch)
    cell, ops = cell_of(arch)
    other, other_ops = cell_of(key)
    assert sum(p.numel() for p in cell.parameters()) == sum(p.numel() for p in other.parameters())
    x = torch.rand(2, 3, 5, 5, dtype=torch.float64)
    expected = cell(x)
    places = {op: [i for i, o in enumerate(other_ops) if o == op] for op in CONVS}
    owners = {op: [i for i, o in enumerate(ops) if o == op] for op in CONVS}
    # some pairing of the convolutions of the two cells makes them the same function
    for order in itertools.product(*(itertools.permutations(owners[op]) for op in CONVS)):
        for op, chosen in zip(CONVS, order, strict=True):
            for place, owner in zip(places[op], chosen, strict=True):
                other.operations[place].load_state_dict(cell.operations[owner].state_dict())
        if torch.allclose(other(x), expected, rtol=1e-9, atol=1e-12):
            return
    pytest.fail(f"{key} does not compute what {arch} does")


@given(architectures)
def test_neighbours_are_24_and_symmetric(arch):
    neighbours = SPACE.neighbours(arch)
    assert len(neighbours) == len(set(neighbours)) == 24
    assert arch not in neighbours
    for neighbour in neighbours:
        assert sum(a != b for a, b in zip(parse(arch), parse(neighbour), strict=True)) == 1
        assert arch in SPACE.neighbours(neighbour)


def test_mutate_draws_every_neighbour():
    rng = np.random.default_rng(0)
    assert {SPACE.mutate(ARCHS[5], rng) for _ in range(400)} == set(SPACE.neighbours(ARCHS[5]))


@given(st.integers(0, 200), st.integers(0, 2**32))
@settings(max_examples=25)
def test_sample_is_distinct_and_repeats(n, seed):
    drawn = SPACE.sample(n, seed)
    assert len(drawn) == len(set(drawn)) == n
    assert set(drawn) <= KNOWN
    assert drawn == SPACE.sample(n, seed)
    assert drawn == SPACE.sample(n + 50, seed)[:n]


def test_sample_depends_on_the_seed_and_has_a_limit():
    assert SPACE.sample(50, 0) != SPACE.sample(50, 1)
    with pytest.raises(FusionError, match="15625 architectures, 15626 were asked for"):
        SPACE.sample(15_626, 0)


@given(st.one_of(st.text(), st.text(alphabet="|~+0123 none_skip\n"), st.integers(), st.none(), st.binary()))
def test_text_that_is_no_architecture(text):
    assume(text not in KNOWN)
    for function in (parse, SPACE.canonical, SPACE.twins, SPACE.neighbours, SPACE.build):
        with pytest.raises(InvalidArchitecture) as raised:
            function(text)
        assert "\n" not in str(raised.value)


@given(architectures, st.data())
def test_damaged_architecture(arch, data):
    position = data.draw(st.integers(0, len(arch)))
    cut = data.draw(st.integers(0, 3))
    text = arch[:position] + data.draw(st.text(max_size=3)) + arch[position + cut :]
    assume(text not in KNOWN)
    with pytest.raises(InvalidArchitecture):
        SPACE.canonical(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda arch: arch + "\n",
        lambda arch: " " + arch,
        lambda arch: arch.replace("avg_pool_3x3", "max_pool_3x3"),
        lambda arch: arch.replace("~2|", "~1|"),
        lambda arch: arch.replace("~0", "~\u0660"),
        lambda arch: arch.upper(),
        lambda arch: arch + "+" + arch,
        lambda arch: arch.encode(),
    ],
)
def test_changed_architecture(change):
    with pytest.raises(InvalidArchitecture):
        parse(change(ARCHS[0]))


def test_unknown_operation_is_named():
    with pytest.raises(InvalidArchitecture, match=r"'max_pool_3x3'; known: none, skip_connect"):
        parse(ARCHS[0].replace("avg_pool_3x3", "max_pool_3x3"))


@settings(max_examples=15, deadline=None)
@given(architectures, st.sampled_from([(1, 8, 10), (3, 32, 100), (3, 12, 2)]))
def test_network_runs_forward_and_backward(arch, shape):
    channels, size, classes = shape
    network = TINY.build(arch, in_channels=channels, num_classes=classes)
    logits = network(torch.rand(3, channels, size, size))
    assert logits.shape == (3, classes)
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("size", [1, 3, 5, 6, 7, 30])
def test_network_runs_on_any_image_size(size):
    assert TINY.build(ARCHS[0])(torch.rand(2, 3, size, size)).shape == (2, 10)


def test_cell_without_edges_is_zero_and_connected():
    network = TINY.build(ALL_NONE)
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    logits = network(x)
    logits.sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))
    cell = network.body[0]
    assert torch.equal(cell(torch.rand(2, 4, 8, 8)), torch.zeros(2, 4, 8, 8))


def test_build_takes_its_weights_from_the_global_state():
    torch.manual_seed(3)
    one = TINY.build(ARCHS[1]).state_dict()
    torch.manual_seed(3)
    two = TINY.build(ARCHS[1]).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_settings_make_the_space_again():
    assert TINY.settings == {"channels": 4, "cells": 1}
    assert make_space("nats-tss", TINY.settings).settings == TINY.settings
    assert len(TINY.build(ARCHS[0]).body) == 5  # 3 stages of 1 cell, 2 reductions
    assert len(list(SPACE.enumerate())) == len(list(SPACE.thin().enumerate()))
    assert sum(p.numel() for p in SPACE.thin().build(ARCHS[0]).parameters()) < 500


@pytest.mark.parametrize("bad", [{"channels": 0}, {"cells": -1}, {"width": 3}, {"channels": "many"}])
def test_bad_settings(bad):
    with pytest.raises(FusionError):
        make_space("nats-tss", bad)


def test_unknown_space_suggests_one():
    with pytest.raises(FusionError, match="did you mean 'nats-tss'"):
        make_space("nats-ts")


@pytest.mark.shared
def test_order_and_dead_edges_of_the_published_table(shared_data):
    table = pd.read_parquet(shared_data / "nats-tss" / "accuracies.parquet").sort_values("index")
    assert table["arch"].tolist() == list(ARCHS)
    assert [not has_dead_edge(parse(arch)) for arch in table["arch"]] == table["no_dead_edge"].tolist()


@pytest.mark.shared
def test_parameter_counts_of_the_published_table(shared_data):
    table = pd.read_parquet(shared_data / "nats-tss" / "reference-proxies-cifar10.parquet")
    for arch, millions in table.sample(200, random_state=0)[["arch", "params"]].itertuples(index=False):
        with torch.device("meta"):
            count = sum(p.numel() for p in SPACE.build(arch).parameters())
        assert count == pytest.approx(1e6 * millions, abs=0.6), arch


def test_every_operation_has_the_benchmarks_form():
    for op in OPERATIONS[1:]:
        (module,) = InferCell(4, [(0, 3, op)]).operations
        names = [type(part).__name__ for part in module.children()] or [type(module).__name__]
        assert (
            names
            == {
                "skip_connect": ["Identity"],
                "avg_pool_3x3": ["AvgPool2d"],
                "nor_conv_1x1": ["ReLU", "Conv2d", "BatchNorm2d"],
                "nor_conv_3x3": ["ReLU", "Conv2d", "BatchNorm2d"],
            }[op]
        )


def test_the_benchmarks_own_string_joins_networks_with_different_convolutions():
    """Why it is not the key: 430 of its classes hold networks with different numbers of parameters."""
    convolutions = defaultdict(set)
    for arch in SPACE.enumerate():
        cell = parse(arch)
        live = sorted(cell[edge] for edge in live_edges(cell) if cell[edge].startswith("nor_conv"))
        convolutions[benchmark_unique_string(cell)].add(tuple(live))
    assert len(convolutions) == 6466
    assert sum(len(found) > 1 for found in convolutions.values()) == 430
