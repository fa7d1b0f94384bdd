"""One contract for everything registered: nothing left behind, nothing depends on what ran before."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fusion.extraction.planner import OK, compute, plan
from fusion.extraction.table import make_subject
from fusion.images import load_images
from fusion.images.base import Batch
from fusion.indicators import INDICATORS, indicator, select
from fusion.indicators.base import INDICATORS as REGISTRY
from fusion.probes.base import COSTS, PROBES, Subject, Undefined, probe
from fusion.spaces import make_space

SPACE = make_space("nats-tss", {"channels": 4, "cells": 1})
ARCHS = [SPACE.canonical(arch) for arch in SPACE.sample(6, 5)]
DISCONNECTED = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
BATCH = load_images("digits").batch(12)
CONVOLUTIONS = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_1x1~2|"
)
NAMES = list(INDICATORS)


def subject(arch: str = CONVOLUTIONS, repeat: int = 0) -> Subject:
    return make_subject(SPACE, arch, BATCH, seed=0, repeat=repeat)


def by_name(names, of: Subject) -> dict[str, tuple[float | None, str]]:
    return {v.indicator: (v.value, v.status) for v in compute(names, of)}


def hooks(network: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(m, kind)) for m in network.modules() for kind in kinds)


def state(network: nn.Module) -> dict[str, object]:
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {
        "values": {name: t.detach().clone() for name, t in tensors.items()},
        "grads": {n: p.grad is None for n, p in network.named_parameters()},
        "trainable": {n: p.requires_grad for n, p in network.named_parameters()},
        "modes": [m.training for m in network.modules()],
        "hooks": hooks(network),
    }


def assert_same_state(before, after):
    for name, value in before["values"].items():
        assert torch.equal(value, after["values"][name]), name
    for what in ("grads", "trainable", "modes", "hooks"):
        assert before[what] == after[what], what


@pytest.mark.parametrize("name", NAMES)
def test_has_metadata(name):
    described = INDICATORS[name].describe()
    for what in ("summary", "formula", "source", "assumes", "cost"):
        assert described[what].strip(), what
    assert described["cost"] in COSTS
    assert isinstance(described["higher_is_better"], bool)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_leaves_network_and_random_state_as_they_were(name, training):
    one = subject()
    one.network.train(training)
    one.network.body[0].requires_grad_(False)
    before = state(one.network)
    torch_state, numpy_state = torch.random.get_rng_state(), repr(np.random.mtrand._rand.get_state())
    compute([name], one)
    assert_same_state(before, state(one.network))
    assert torch.equal(torch_state, torch.random.get_rng_state())
    assert numpy_state == repr(np.random.mtrand._rand.get_state())


@pytest.mark.parametrize("name", NAMES)
def test_leaves_a_network_that_raises_as_it_was(name):
    class Broken(nn.Module):
        def forward(self, x):
            if x.numel():
                raise RuntimeError("no forward here")

    one = subject()
    one.network.head.append(Broken())
    before = state(one.network)
    (value,) = compute([name], one)
    if name not in ("params", "nlr"):  # these need no forward, or run on the thin network, which is sound
        assert value.value is None
        assert "no forward here" in value.status
    assert_same_state(before, state(one.network))


@pytest.mark.parametrize("name", NAMES)
def test_alone_equals_among_all_in_any_order(name):
    alone = by_name([name], subject())[name]
    assert by_name(NAMES, subject())[name] == alone
    assert by_name(NAMES[::-1], subject())[name] == alone
    torch.rand(17)
    assert by_name([name], subject())[name] == alone


def test_other_repeats_and_architectures_give_other_values():
    first, second = by_name(NAMES, subject()), by_name(NAMES, subject(repeat=1))
    assert any(first[name] != second[name] for name in NAMES)
    assert by_name(["params"], subject()) != by_name(["params"], subject(ARCHS[0]))


@pytest.mark.parametrize("arch", [DISCONNECTED, *ARCHS])
def test_values_are_finite_or_null_with_a_status(arch):
    for value in compute(NAMES, subject(arch)):
        if value.value is None:
            assert value.status != OK
            assert "\n" not in value.status
        else:
            assert value.status == OK
            assert math.isfinite(value.value)
            assert abs(value.value) < 1e8


def test_a_disconnected_cell_has_no_value_where_inputs_reach_no_output():
    found = by_name(NAMES, subject(DISCONNECTED))
    for name in ("naswot", "das_distinguish", "das", "cj", "cnntk"):
        assert found[name][0] is None, name
    assert found["params"][0] > 0


@pytest.mark.parametrize(
    ("batch", "what"),
    [
        (Batch(BATCH.x[:1], BATCH.y[:1], 10), "batch of one"),
        (Batch(BATCH.x, torch.zeros_like(BATCH.y), 10), "one class"),
        (Batch(BATCH.x[:1].expand(12, -1, -1, -1).contiguous(), BATCH.y, 10), "equal images"),
        (Batch(torch.zeros_like(BATCH.x), BATCH.y, 10), "blank images"),
    ],
)
def test_degenerate_batches_lose_nothing(batch, what):
    values = compute(NAMES, make_subject(SPACE, CONVOLUTIONS, batch, seed=0, repeat=0))
    assert [v.indicator for v in values] == NAMES
    assert all((v.value is None) == (v.status != OK) for v in values), what


def test_a_network_without_rectifiers_says_so_and_loses_only_its_codes():
    def smooth() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 3, 3), nn.SiLU(), nn.Flatten(), nn.Linear(108, 10))

    found = by_name(NAMES, Subject(smooth, BATCH))
    assert "ReLU" in found["naswot"][1]
    assert found["cj"][0] is not None
    assert found["params"][0] == 30 + 1090
    assert "search space" in found["nlr"][1]


def test_weights_without_gradients_per_sample_are_named():
    def normed() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)
        )

    assert "GroupNorm" in by_name(["cnntk"], Subject(normed, BATCH))["cnntk"][1]


def test_weights_shared_between_calls_are_named():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(64, 10)

        def forward(self, x):
            return self.head(self.conv(self.conv(x).relu()).flatten(1))

    assert "twice" in by_name(["cnntk"], Subject(Twice, BATCH))["cnntk"][1]


def test_rectifiers_in_place_hide_nothing():
    def network(inplace: bool) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace), nn.Flatten(), nn.Linear(144, 10)
        )

    names = ["naswot", "cj", "cnntk"]
    assert by_name(names, Subject(lambda: network(True), BATCH)) == by_name(
        names, Subject(lambda: network(False), BATCH)
    )


def test_each_pass_is_made_once(monkeypatch):
    calls = []
    for name in PROBES:
        found = PROBES[name]

        def counted(s, wanted, found=found):
            calls.append(found.name)
            return found.run(s, wanted)

        monkeypatch.setitem(
            PROBES._items, name, type(found)(found.name, found.summary, found.provides, counted)
        )
    compute(NAMES, subject())
    assert sorted(calls) == sorted(plan(NAMES))


def test_select_knows_presets_lists_and_unknown_names():
    assert select("fi") == ["cj", "os", "nlr", "cnntk"]
    assert select("full") == NAMES
    assert select("params, cj,params") == ["params", "cj"]
    with pytest.raises(Exception, match="did you mean 'naswot'"):
        select("nasswot")
    with pytest.raises(Exception, match="preset"):
        select(" , ")


def test_a_value_that_is_not_finite_becomes_null():
    @indicator(formula="-", source="-", higher_is_better=True, assumes="-")
    def diverging(parameter_count):
        """Always infinite."""
        return parameter_count * math.inf

    try:
        assert by_name(["diverging", "params"], subject())["diverging"] == (None, "value is inf")
    finally:
        del REGISTRY._items["diverging"]


def test_a_registered_name_or_observation_is_not_taken_twice():
    with pytest.raises(ValueError, match="registered already"):

        @indicator(formula="-", source="-", higher_is_better=True, assumes="-")
        def params(parameter_count):
            """The same name again."""

    with pytest.raises(ValueError, match="comes from probe"):

        @probe(logits="forward")
        def another(s, wanted):
            """Gives what another gives."""

    with pytest.raises(KeyError):

        @indicator(formula="-", source="-", higher_is_better=True, assumes="-")
        def needs_nothing_known(no_such_observation):
            """Needs what no probe gives."""

    assert issubclass(Undefined, Exception)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("arch", [CONVOLUTIONS, *ARCHS])
def test_cuda_agrees_with_cpu(arch):
    there = make_subject(SPACE, arch, BATCH.to("cuda"), seed=0, repeat=0)
    on_gpu, on_cpu = by_name(NAMES, there), by_name(NAMES, subject(arch))
    for name in NAMES:
        assert on_gpu[name][1] == on_cpu[name][1]
        if on_cpu[name][0] is not None:
            assert on_gpu[name][0] == pytest.approx(on_cpu[name][0], rel=5e-2), name
