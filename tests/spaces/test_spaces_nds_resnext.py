from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from fusion.errors import FusionError, InvalidArchitecture
from fusion.probes.stages import stage_modules
from fusion.spaces import make_space

FAMILIES = {"nds-resnext-a": "ResNeXt-A_in.json", "nds-resnext-b": "ResNeXt-B_in.json"}
SMALL = {
    "block_type": "res_bottleneck_block",
    "bot_muls": [1.0, 0.25, 0.5, 1.0],
    "ds": [1, 1, 2, 1],
    "num_gs": [1, 2, 4, 1],
    "ss": [8, 1, 2, 2],
    "ws": [64, 64, 64, 128],
}


def spelled(net):
    return json.dumps(net, sort_keys=True, separators=(",", ":"))


@pytest.fixture(params=list(FAMILIES))
def space(request):
    return make_space(request.param)


def entries(space, shared_data):
    return json.loads((shared_data / "nds" / FAMILIES[space.name]).read_text())


def counted(space, arch):
    """Parameters and the benchmark's flops, by running the network on the meta device."""
    flops = 0

    def count(module, _, output):
        nonlocal flops
        each = 5 if isinstance(module, nn.BatchNorm2d) else module.weight[0].numel()
        flops += output[0].numel() * each + (1000 if isinstance(module, nn.Linear) else 0)

    with torch.device("meta"):
        network = space.build(arch, num_classes=1000)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                module.register_forward_hook(count)
        network(torch.empty(1, 3, 224, 224))
    return sum(p.numel() for p in network.parameters()), flops


def test_parameters_and_flops_of_every_published_entry(space, shared_data):
    every = entries(space, shared_data)
    assert len(every) > 100
    for entry in every:
        arch = spelled(entry["net"])
        assert space.canonical(arch) == arch
        assert space.cost(arch) == (entry["params"], entry["flops"])
    # benches/nds_counts.py runs every network
    for entry in every[::40]:
        assert counted(space, spelled(entry["net"])) == (entry["params"], entry["flops"])


def test_choices_are_those_of_the_published_entries(space, shared_data):
    nets = [entry["net"] for entry in entries(space, shared_data)]
    for name, values in space.choices.items():
        assert {value for net in nets for value in net[name][1:]} == set(values)
        for net in nets:  # groups always divide the inner width
            assert all(
                (w * m) % g == 0 for w, m, g in zip(net["ws"], net["bot_muls"], net["num_gs"], strict=True)
            )


def test_published_entries_and_draws_keep_to_the_budget(space, shared_data):
    rng = np.random.default_rng(0)
    costs = [(entry["params"], entry["flops"]) for entry in entries(space, shared_data)]
    costs += [space.cost(space.random(rng)) for _ in range(100)]
    assert all(params <= 6e6 or flops <= 6e8 for params, flops in costs)
    assert any(params > 6e6 for params, _ in costs)
    assert any(flops > 6e8 for _, flops in costs)


def test_groups_divide_every_width_that_settings_make(space):
    rng = np.random.default_rng(1)
    for shrink in (1, 2, 3, 64):
        for _ in range(50):
            stages = type(space)(shrink=shrink).stages(space.random(rng))
            assert all(stage.inner % stage.groups == 0 and stage.width >= 1 for stage in stages)


def test_spellings_of_one_architecture_have_one_key(space):
    spaced = json.dumps({**SMALL, "bot_muls": [1, 0.25, 0.5, 1], "ds": [1.0, 1, 2, 1]})
    assert space.canonical(spaced) == spelled(SMALL)


def test_drawn_architectures_differ_and_repeat_with_the_seed(space):
    archs = space.sample(30, seed=3)
    assert len({space.canonical(arch) for arch in archs}) == 30
    assert space.sample(10, seed=3) == archs[:10]
    with pytest.raises(FusionError, match="too large to list"):
        len(space)


def test_neighbours_differ_in_one_number_by_one_step(space):
    def positions(arch):
        net = json.loads(arch)
        return [values.index(v) for name, values in space.choices.items() for v in net[name][1:]]

    lengths = [len(values) for values in space.choices.values() for _ in range(3)]
    for arch in space.sample(10, seed=0):
        around = space.neighbours(arch)
        steps = {
            tuple(np.subtract(positions(other), positions(arch)))
            for other in around
            if space.canonical(other) == other
        }
        expected = sum((at > 0) + (at < n - 1) for at, n in zip(positions(arch), lengths, strict=True))
        assert len(steps) == len(around) == expected
        assert all(np.abs(step).sum() == 1 for step in steps)
        assert space.mutate(arch, np.random.default_rng(0)) in around


@pytest.mark.parametrize(
    "change",
    [
        {"ws": [64, 64, 64, 96]},
        {"ws": [32, 64, 64, 64]},
        {"ds": [1, 1, 1, True]},
        {"ds": [1, 1, 1]},
        {"ds": [1, 1, 1, [1]]},
        {"ss": [8, 2, 2, 2]},
        {"num_gs": [1, 1, 1, 32]},
        {"num_gs": 4},
        {"block_type": "vanilla_block"},
        {"se": 1},
    ],
)
def test_what_is_no_architecture(space, change):
    with pytest.raises(InvalidArchitecture) as raised:
        space.canonical(spelled({**SMALL, **change}))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "1", "[" * 100_000, "|none~0|", None])
def test_what_is_no_json_of_a_net(space, text):
    with pytest.raises(InvalidArchitecture, match="expected"):
        space.canonical(text)


def test_families_differ():
    wide = spelled({**SMALL, "ws": [64, 1024, 64, 64]})
    assert make_space("nds-resnext-b").canonical(wide) == wide
    with pytest.raises(InvalidArchitecture, match="ws has 1024, the family has 16, 32, 64, 128, 256"):
        make_space("nds-resnext-a").canonical(wide)


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (32, 32), (7, 9)])
def test_network_maps_images_to_logits_and_trains(space, size):
    network = space.thin().build(spelled(SMALL), in_channels=1, num_classes=7)
    logits = network(torch.randn(2, 1, *size))
    logits.square().sum().backward()
    assert logits.shape == (2, 7)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network.eval()(torch.randn(2, 1, *size)).shape == (2, 7)


def test_full_network_on_small_images(space):
    network = make_space(space.name, {"stem_stride": 2}).build(spelled(SMALL))
    assert network(torch.randn(2, 3, 16, 16)).shape == (2, 10)
    assert space.build(spelled(SMALL), in_channels=1)(torch.randn(2, 1, 8, 8)).shape == (2, 10)


def test_thin_networks_take_images_of_three_by_three(space):
    thin = space.thin()
    assert min(stage.width for stage in thin.stages(spelled(SMALL))) <= 4
    for arch in space.sample(3, seed=5):
        assert thin.build(arch, in_channels=1)(torch.randn(2, 1, 3, 3)).shape == (2, 10)
    assert make_space(space.name, thin.settings).settings == thin.thin().settings


def test_stages_are_the_stem_and_the_blocks(space):
    network = space.thin().build(spelled(SMALL))
    assert len(stage_modules(network)) == 1 + sum(SMALL["ds"][1:])


def test_weights_are_those_of_the_global_random_state(space):
    def weights():
        torch.manual_seed(4)
        return torch.cat([p.flatten() for p in space.thin().build(spelled(SMALL)).parameters()])

    assert torch.equal(weights(), weights())


@pytest.mark.parametrize("settings", [{"shrink": 0}, {"stem_stride": 3}])
def test_settings_that_the_space_does_not_have(space, settings):
    with pytest.raises(FusionError, match="must be positive"):
        make_space(space.name, settings)
