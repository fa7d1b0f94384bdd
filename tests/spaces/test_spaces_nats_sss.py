from __future__ import annotations

import itertools

import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fusion.errors import FusionError, InvalidArchitecture
from fusion.probes.stages import stage_modules
from fusion.spaces import make_space
from fusion.spaces.nats_sss import SizeCell, parse
from fusion.spaces.nats_tss import EDGES, NatsTss

SPACE = make_space("nats-sss")
TINY = make_space("nats-sss", {"divisor": 8})
ARCHS = tuple(SPACE.enumerate())
KNOWN = frozenset(ARCHS)
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"

architectures = st.sampled_from(ARCHS)


def parameters(arch, classes=10):
    with torch.device("meta"):
        return sum(p.numel() for p in SPACE.build(arch, num_classes=classes).parameters())


def expected_parameters(c, classes=10):
    """The benchmark's count, written as a sum over what the network consists of."""

    def conv(a, b, kernel):
        return a * b * kernel**2 + 2 * b

    def cell(a, b):
        return 2 * conv(a, b, 3) + 3 * conv(b, b, 3) + (conv(a, b, 1) if a != b else 0)

    def reduction(a, b):
        return conv(a, b, 3) + conv(b, b, 3) + a * b

    body = cell(c[0], c[0]) + reduction(c[0], c[1]) + cell(c[1], c[2]) + reduction(c[2], c[3])
    return conv(3, c[0], 3) + body + cell(c[3], c[4]) + 2 * c[4] + (c[4] + 1) * classes


def test_order_is_the_benchmarks():
    """The benchmark numbers them from 8:8:8:8:8 (0) to 64:64:64:64:64 (32,767), last width fastest."""
    assert len(ARCHS) == len(KNOWN) == len(SPACE) == 32_768
    assert ARCHS[:2] == ("8:8:8:8:8", "8:8:8:8:16")
    assert ARCHS[8] == "8:8:8:16:8"
    assert ARCHS[-1] == "64:64:64:64:64"
    assert list(map(parse, ARCHS)) == sorted(itertools.product(range(8, 65, 8), repeat=5))


# what the published archive stores, as another implementation quotes it; the archive itself is not at hand
@pytest.mark.parametrize(
    ("arch", "count"), [("8:8:8:8:8", 11_714), ("8:8:16:40:40", 107_826), ("64:64:64:64:64", 713_674)]
)
def test_parameter_counts_of_the_benchmark(arch, count):
    assert parameters(arch) == count


@settings(max_examples=30, deadline=None)
@given(architectures, st.sampled_from([10, 100, 120]))
def test_parameter_counts_follow_from_the_widths(arch, classes):
    assert parameters(arch, classes) == expected_parameters(parse(arch), classes)


def test_the_cell_is_that_cell_of_the_topology_space():
    """With equal widths it computes what the topology space's own cell computes."""
    reference = NatsTss(channels=4, cells=1).build(CELL).body[0]
    cell = SizeCell(4, 4)
    for (source, target), operation in zip(reference.edges, reference.operations, strict=True):
        kind = "skip" if (source, target) == (0, 3) else "conv"
        getattr(cell, f"{kind}_{source}{target}").load_state_dict(operation.state_dict())
    assert set(reference.edges) == set(EDGES)
    x = torch.rand(3, 4, 6, 6)
    torch.testing.assert_close(cell(x), reference(x))
    assert SPACE.graphs(ARCHS[0]) == NatsTss().graphs(CELL)


def test_a_skip_that_changes_the_channels_is_projected_without_rectifier():
    cell = SizeCell(2, 3).eval()
    for name in ("conv_13", "conv_23"):
        torch.nn.init.zeros_(getattr(cell, name)[1].weight)
    x = torch.randn(2, 2, 4, 4)
    projected = functional.conv2d(x, cell.skip_03[0].weight) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(cell(x), projected)


@settings(max_examples=15, deadline=None)
@given(architectures, st.sampled_from([(1, 8, 10), (3, 32, 100), (3, 15, 2), (1, 1, 3)]))
def test_network_runs_forward_and_backward(arch, shape):
    channels, size, classes = shape
    network = TINY.build(arch, in_channels=channels, num_classes=classes)
    logits = network(torch.rand(3, channels, size, size))
    assert logits.shape == (3, classes)
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_widths_are_where_the_string_says():
    network = SPACE.build("8:16:24:32:40").eval()
    widths = []
    for module in (network.stem, *network.body):
        module.register_forward_hook(lambda _, __, out: widths.append(tuple(out.shape[1:3])))
    network(torch.rand(1, 3, 32, 32))
    assert widths == [(8, 32), (8, 32), (16, 16), (24, 16), (32, 8), (40, 8)]
    assert stage_modules(network) == [network.stem, *network.body]


def test_thin_networks_are_narrow_and_still_different():
    thin = SPACE.thin()
    sizes = {sum(p.numel() for p in thin.build(arch).parameters()) for arch in ("8:8:8:8:8", "8:8:8:8:16")}
    assert len(sizes) == 2
    assert max(sizes) < 500
    assert thin.build(ARCHS[7], in_channels=1)(torch.rand(5, 1, 3, 3)).shape == (5, 10)


@given(architectures)
def test_neighbours_are_35_and_symmetric(arch):
    neighbours = SPACE.neighbours(arch)
    assert len(neighbours) == len(set(neighbours)) == 35
    for neighbour in neighbours:
        assert neighbour in KNOWN
        assert sum(a != b for a, b in zip(parse(arch), parse(neighbour), strict=True)) == 1
        assert arch in SPACE.neighbours(neighbour)


@given(architectures)
def test_every_architecture_is_its_own_key(arch):
    assert SPACE.canonical(arch) == SPACE.twins(arch) == arch
    assert not SPACE.has_dead_edge(arch)


@given(st.one_of(st.text(), st.text(alphabet="0123468:\n "), st.none(), st.binary()))
def test_text_that_is_no_architecture(text):
    assume(text not in KNOWN)
    for function in (SPACE.canonical, SPACE.neighbours, SPACE.build, SPACE.graphs):
        with pytest.raises(InvalidArchitecture) as raised:
            function(text)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["8:8:8:8", "8:8:8:8:8:8", "8:8:8:8:12", "8:8:8:8:08", "8:8:8:8:8\n", "8:8:8:8:\u0668"]
)
def test_damaged_architecture(text):
    with pytest.raises(InvalidArchitecture, match="expected C1:C2:C3:C4:C5"):
        SPACE.canonical(text)


@pytest.mark.parametrize("bad", [{"divisor": 0}, {"divisor": 3}, {"divisor": "8"}, {"width": 1}])
def test_bad_settings(bad):
    with pytest.raises(FusionError, match="nats-sss"):
        make_space("nats-sss", bad)


@pytest.mark.shared
def test_architectures_of_the_published_table(shared_data):
    table = pd.read_parquet(shared_data / "nats-sss" / "accuracies.parquet")
    assert set(table["arch"]) == KNOWN


@pytest.mark.shared
def test_larger_networks_of_the_published_table_are_better(shared_data):
    """What the benchmark's paper shows: the number of parameters and the accuracy go together."""
    table = pd.read_parquet(shared_data / "nats-sss" / "accuracies.parquet")
    counts = table["arch"].map(lambda arch: expected_parameters(parse(arch)))
    assert counts.corr(table["cifar10_test_90"], method="spearman") > 0.8
