"""Indicators of structure against counting by hand, and by every chain of a cell's edges."""

from __future__ import annotations

import functools
import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from fusion.extraction.planner import compute
from fusion.extraction.subject import make_subject
from fusion.images import load_images
from fusion.images.base import Batch
from fusion.indicators import INDICATORS, select
from fusion.probes.base import Subject
from fusion.spaces import make_space
from fusion.spaces.graph import KINDS, CellGraph

SPACE = make_space("nats-tss", {"channels": 4, "cells": 1})
BATCH = load_images("digits").batch(4)
GRAPH = [name for name in INDICATORS if name.startswith("graph_")]
# two cells, with parallel edges, an edge over a node, and kinds that only one of them has
CELLS = {
    "normal": CellGraph(4, ((0, 1, "conv"), (1, 3, "conv"), (0, 3, "skip"), (0, 1, "pool"), (1, 3, "skip"))),
    "reduce": CellGraph(3, ((0, 1, "conv"), (1, 2, "conv1x1"), (0, 2, "conv"), (0, 2, "conv"))),
}


def chains(cell):
    """All paths from the input of a cell to its output, among all sets of its edges."""
    return [
        some
        for size in range(1, len(cell.edges) + 1)
        for some in itertools.combinations(sorted(cell.edges), size)
        if [0, *(t for _, t, _ in some)] == [*(s for s, _, _ in some), cell.nodes - 1]
    ]


def reference(name, cells):
    """The value that the name asks for, from all chains of each cell's edges; None without one."""
    _, word, *kinds = name.split("_")
    values = []
    for cell in cells:
        last = cell.nodes - 1
        edges = [edge for edge in cell.edges if edge[2] in kinds]
        pure = [chain for chain in chains(cell) if all(edge in edges for edge in chain)]
        values.append(
            {
                "count": len(edges),
                "input": sum(source == 0 for source, *_ in edges),
                "output": sum(target == last for _, target, _ in edges),
                "most": max((sum(edge in edges for edge in chain) for chain in chains(cell)), default=0),
                "paths": len(pure),
                "shortest": min(map(len, pure), default=math.inf),
                "longest": max(map(len, pure), default=0),
            }[word]
        )
    join = {"most": max, "longest": max, "shortest": min}.get(word, sum)
    return None if (value := join(values)) == math.inf else value


def values(names, subject):
    return {v.indicator: v.value for v in compute(names, subject)}


def statuses(names, subject):
    return {v.indicator: v.status for v in compute(names, subject)}


def never():
    raise AssertionError("the cells need no network")


@pytest.mark.parametrize("arch", SPACE.sample(40, seed=3))
def test_every_graph_indicator_equals_its_reference(arch):
    found = values(GRAPH, make_subject(SPACE, arch, BATCH, seed=0, repeat=0))
    assert found == {name: reference(name, SPACE.graphs(arch).values()) for name in GRAPH}


def test_several_cells_are_summed_and_lengths_are_the_extreme():
    found = values(GRAPH, Subject(never, BATCH, graphs=CELLS))
    assert found == {name: reference(name, CELLS.values()) for name in GRAPH}
    assert found["graph_count_conv"] == 5
    assert found["graph_input_conv"] == 4
    assert found["graph_output_conv1x1"] == 1
    assert found["graph_paths_conv"] == 1 + 2
    assert found["graph_shortest_conv"] == 1
    assert found["graph_longest_conv"] == 2
    assert found["graph_paths_conv_skip"] == 3 + 2
    assert found["graph_shortest_conv1x1"] is None


def test_a_path_that_does_not_exist_has_no_length_and_says_so():
    name = "graph_shortest_pool"
    assert statuses([name], Subject(never, BATCH, graphs=CELLS)) == {name: "no path of these operations"}


def test_a_disconnected_cell_counts_nothing():
    found = values(GRAPH, Subject(never, BATCH, graphs={"cell": CellGraph(4, ())}))
    assert {found[name] for name in GRAPH if "shortest" not in name} == {0.0}
    assert {found[name] for name in GRAPH if "shortest" in name} == {None}


def test_a_network_without_cells_says_so_and_keeps_the_rest():
    subject = Subject(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), BATCH)
    assert set(statuses(GRAPH, subject).values()) == {"needs the cells of a search space"}
    assert statuses(["params", "depth", *GRAPH], subject)["depth"] == "ok"


def test_the_family_is_complete_cheap_and_described():
    assert len(GRAPH) == len(set(GRAPH)) == 4 * 4 + 3 * 15
    assert set(GRAPH) <= set(select("structure"))
    for name in GRAPH:
        assert name.isidentifier()
        described = INDICATORS[name].describe()
        assert "{" not in described["formula"] + described["summary"]
        assert all(kind in described["formula"] for kind in name.split("_")[2:])
    assert INDICATORS["graph_count_conv"].higher_is_better
    assert not INDICATORS["graph_shortest_conv"].higher_is_better
    assert not INDICATORS["graph_count_pool"].higher_is_better
    assert {name.split("_")[2] for name in GRAPH} == set(KINDS)


class Net(nn.Module):
    """Whatever `forward` does with the layers given."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.run = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.run(self, x)


def conv(a=1, b=1):
    return nn.Conv2d(a, b, 3, padding=1)


def attention(net, x):
    tokens = x.flatten(1)[..., None]
    q, k, v = net.qkv(tokens).chunk(3, -1)
    return net.head(((q @ k.transpose(1, 2)).softmax(-1) @ v).mean(1))


def in_place(net, x):
    return net.head(net.stem(x.mul_(2)).flatten(1))


HEAD = (64, 10)
DEPTHS = {
    "a chain": (lambda: nn.Sequential(conv(), nn.ReLU(), conv(), nn.Flatten(), nn.Linear(*HEAD)), 3),
    "a longer branch": (
        lambda: Net(
            lambda n, x: n.head((n.short(x) + n.b(n.a(x).relu()) + x).flatten(1)),
            short=conv(),
            a=conv(),
            b=conv(),
            head=nn.Linear(*HEAD),
        ),
        3,
    ),
    "one layer called three times": (
        lambda: Net(lambda n, x: n.head(n.a(n.a(n.a(x))).flatten(1)), a=conv(), head=nn.Linear(*HEAD)),
        4,
    ),
    "functional calls": (
        lambda: Net(
            lambda n, x: functional.linear(functional.conv2d(x, n.a, padding=1).flatten(1), n.b) @ n.c,
            a=nn.Parameter(torch.randn(1, 1, 3, 3)),
            b=nn.Parameter(torch.randn(5, 64)),
            c=nn.Parameter(torch.randn(5, 10)),
        ),
        3,
    ),
    "frozen layers": (
        lambda: nn.Sequential(conv(), conv(), nn.Flatten(), nn.Linear(*HEAD)).requires_grad_(False),
        3,
    ),
    "a constant filter, as a frozen one": (
        lambda: Net(
            lambda n, x: n.head(functional.conv2d(x, torch.ones(1, 1, 3, 3), padding=1).flatten(1)),
            head=nn.Linear(*HEAD),
        ),
        2,
    ),
    "weights that are computed": (
        lambda: Net(
            lambda n, x: n.head(functional.linear(n.a(x).flatten(1), n.u @ n.v)),
            a=weight_norm(conv()),
            u=nn.Parameter(torch.randn(8, 2)),
            v=nn.Parameter(torch.randn(2, 64)),
            head=nn.Linear(8, 10),
        ),
        3,
    ),
    "attention, whose products have no weights": (
        lambda: Net(attention, qkv=nn.Linear(1, 12), head=nn.Linear(4, 10)),
        2,
    ),
    "a product whose summand alone has weights": (
        lambda: Net(
            lambda n, x: n.head(torch.addmm(n.summand, x.flatten(1), x.flatten(1).T)),
            summand=nn.Parameter(torch.randn(1, 1)),
            head=nn.Linear(1, 10),
        ),
        1,
    ),
    "normalisation, which is no layer": (
        lambda: nn.Sequential(nn.BatchNorm2d(1), conv(), nn.GroupNorm(1, 1), nn.Flatten(), nn.Linear(*HEAD)),
        2,
    ),
    "a transposed and a grouped convolution": (
        lambda: nn.Sequential(
            nn.ConvTranspose2d(1, 2, 1), nn.Conv2d(2, 2, 1, groups=2), nn.Flatten(), nn.Linear(128, 10)
        ),
        3,
    ),
    "an input changed in place": (lambda: Net(in_place, stem=conv(), head=nn.Linear(*HEAD)), 2),
    "layers that the image does not reach": (
        lambda: Net(
            lambda n, x: n.head(x.flatten(1)) + n.b(n.a(torch.ones(1, 3))),
            a=nn.Linear(3, 3),
            b=nn.Linear(3, 10),
            head=nn.Linear(*HEAD),
        ),
        1,
    ),
    "more paths than can be walked": (
        lambda: Net(
            lambda n, x: n.head(functools.reduce(lambda y, _: y + n.a(y), range(40), x).flatten(1)),
            a=conv(),
            head=nn.Linear(*HEAD),
        ),
        41,
    ),
    "deep": (lambda: nn.Sequential(*(conv() for _ in range(1500)), nn.Flatten(), nn.Linear(*HEAD)), 1501),
}


@pytest.mark.parametrize("what", DEPTHS)
def test_depth_counts_layers_on_the_longest_path(what):
    build, expected = DEPTHS[what]
    before = BATCH.x.clone()
    assert values(["depth"], Subject(build, BATCH)) == {"depth": expected}
    assert torch.equal(BATCH.x, before)


@pytest.mark.parametrize("arch", SPACE.sample(12, seed=4))
def test_depth_of_a_cell_network_follows_from_its_cell(arch):
    cell = SPACE.graphs(arch)["cell"]
    in_cell = max((sum(kind.startswith("conv") for *_, kind in chain) for chain in chains(cell)), default=0)
    found = values(["depth"], make_subject(SPACE, arch, BATCH, seed=0, repeat=0))
    # stem, a cell in each of three stages, two reductions of two convolutions, classifier
    assert found["depth"] == 1 + 3 * in_cell + 2 * 2 + 1


@pytest.mark.parametrize("arch", SPACE.sample(6, seed=4))
def test_activations_of_a_cell_network_are_what_its_layers_give(arch):
    seen = []
    subject = make_subject(SPACE, arch, BATCH, seed=0, repeat=0)
    network = subject.build().eval()
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(lambda layer, args, out: seen.append(out.numel()))
    with torch.no_grad():
        network(BATCH.x[:1])
    found = values(["activations"], make_subject(SPACE, arch, BATCH, seed=0, repeat=0))
    assert found["activations"] == sum(seen)


def test_depth_needs_an_output_that_depends_on_the_image():
    constant = Net(lambda n, x: x.new_zeros(len(x), 10))
    found = statuses(["depth", "flops"], Subject(lambda: constant, BATCH))
    assert "does not depend on the image" in found["depth"]
    assert found["flops"] == "ok"
    rounds = Net(lambda n, x: n.head(x.flatten(1).argmax(1, keepdim=True).float()), head=nn.Linear(1, 10))
    assert values(["depth"], Subject(lambda: rounds, BATCH)) == {"depth": 1}


def test_depth_and_flops_do_not_depend_on_the_batch():
    network = nn.Sequential(conv(), nn.Flatten(), nn.Linear(*HEAD))
    alone = values(["flops", "depth"], Subject(lambda: network, BATCH))
    assert alone == values(
        ["flops", "depth"], Subject(lambda: network, Batch(BATCH.x[2:3], BATCH.y[2:3], 10))
    )
    assert alone["flops"] == 9 * 64 + 640


def test_flops_are_the_same_whether_or_not_depth_is_asked_for():
    build = DEPTHS["weights that are computed"][0]
    # the product of two weights is not one with a weight
    assert values(["flops"], Subject(build, BATCH))["flops"] == 9 * 64 + 64 * 8 + 80
    assert values(["depth", "flops"], Subject(build, BATCH))["flops"] == 9 * 64 + 64 * 8 + 80


def test_a_transposed_convolution_multiplies_each_input():
    build = DEPTHS["a transposed and a grouped convolution"][0]
    assert values(["flops"], Subject(build, BATCH))["flops"] == 64 * 2 + 2 * 64 + 128 * 10


def test_tensors_counts_what_is_trained():
    network = nn.Sequential(conv(), nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1, bias=False), nn.Flatten())
    assert values(["tensors"], Subject(lambda: network, BATCH)) == {"tensors": 5}
    network[0].requires_grad_(False)
    assert values(["tensors"], Subject(lambda: network, BATCH)) == {"tensors": 3}


def test_size_survives_a_forward_that_raises():
    network = Net(lambda n, x: 1 / 0, head=nn.Linear(2, 2))
    found = statuses(["params", "tensors", "flops", "depth"], Subject(lambda: network, BATCH))
    assert found["params"] == found["tensors"] == "ok"
    assert "ZeroDivisionError" in found["flops"]
    assert "ZeroDivisionError" in found["depth"]
