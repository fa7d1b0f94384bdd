"""The memory format is tried: each way to write a network gets the values of the others."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from fusion.extraction import score
from fusion.extraction.planner import OK, compute
from fusion.images import load_images
from fusion.indicators import select
from fusion.probes.base import Subject
from fusion.seeding import seeded
from fusion.spaces import SPACES

BATCH = load_images("digits").batch(12)
COLOUR = load_images("noise:3x8x8").batch(12)
NAMES = [name for name in select("full") if not name.startswith("graph_")]


class Backward(torch.autograd.Function):
    """Hands its input on; the backward pass needs the default memory format."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g.view(len(g), -1).view(g.shape)


class Network(nn.Module):
    """The same network in several spellings."""

    def __init__(self, spelling, channels=1):
        super().__init__()
        self.spelling = spelling
        self.stem, self.norm = nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.body, self.last = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(32, 10)
        if spelling == "unused volume":
            with seeded(0):
                self.volume = nn.Conv3d(1, 1, 1)

    def forward(self, x):
        x = functional.relu(self.norm(self.stem(x)))
        x = self.body(x)
        if self.spelling == "backward":
            x = Backward.apply(x)
        x = functional.adaptive_avg_pool2d(functional.relu(self.last(x)), 2)
        if self.spelling == "memory order":
            x = torch.as_strided(x, (len(x), 32), (32, 1))
        return self.head(x.view(x.size(0), -1) if self.spelling == "view" else x.flatten(1))


class Volume(nn.Module):
    """A Conv3d, which takes no weight with the channels last."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(1, 4, 3), nn.Conv3d(4, 4, (1, 3, 3))
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        x = functional.relu(self.stem(x))
        return self.head(functional.relu(self.conv(x[:, :, None])).mean((2, 3, 4)))


def subject(build, batch=BATCH):
    def built(channels):
        with seeded(1):
            return build(channels=channels)

    return Subject(partial(built, batch.x.shape[1]), batch, build_thin=partial(built, 1))


def values(of):
    return {value.indicator: (value.value, value.status) for value in compute(NAMES, of)}


@pytest.mark.parametrize("batch", [BATCH, COLOUR], ids=["one channel", "three"])
@pytest.mark.parametrize("spelling", ["view", "backward", "memory order"])
def test_each_spelling_has_the_values_of_the_plain_one(spelling, batch):
    plain = values(subject(partial(Network, "plain"), batch))
    found = values(subject(partial(Network, spelling), batch))
    assert [status for _, status in found.values()] == [status for _, status in plain.values()]
    assert sum(status == OK for _, status in found.values()) > 35
    for name, (value, status) in plain.items():
        if status == OK:
            # `grasp` is a small difference of large sums
            assert found[name][0] == pytest.approx(value, rel=1e-3, abs=5e-5), name


def test_the_format_is_that_of_the_network():
    for spelling, last in (("plain", True), ("backward", True), ("view", False), ("unused volume", False)):
        one = subject(partial(Network, spelling))
        assert (one.memory_format is torch.channels_last) is last, spelling


def test_a_conv3d_gets_what_it_gets_in_the_default_format():
    with seeded(1):
        network = Volume()
    found = {v.indicator: v for v in compute(NAMES, Subject(lambda: network, BATCH))}
    undefined = {name for name, value in found.items() if value.status != OK}
    # what is not defined for such a network, in any format
    assert undefined <= {"vkdnw", "cnntk", "ntk_trace", "nlr", "nlr_entropy", "nlr_single"} | {
        name for name in NAMES if name.startswith("az_")
    }
    assert all("Runtime" not in found[name].status for name in undefined)


def test_a_network_with_dropout_draws_the_masks_of_the_default_format():
    one = subject(lambda channels: nn.Sequential(Network("plain"), nn.Dropout(0.5)))
    assert one.memory_format is torch.channels_last  # of (batch, classes) there is one order

    class Inside(Network):
        def forward(self, x):
            return self.head(functional.adaptive_avg_pool2d(functional.dropout(self.stem(x)), 2).flatten(1))

    assert subject(partial(Inside, "inside")).memory_format is torch.contiguous_format


def test_a_repeated_pass_leaves_the_network_as_it_was():
    one = subject(partial(Network, "backward"), COLOUR)
    compute(["params"], one)
    before = {name: (p.data_ptr(), p.stride()) for name, p in one.network.named_parameters()}
    assert compute(["grad_norm"], one)[0].status == OK
    assert {name: (p.data_ptr(), p.stride()) for name, p in one.network.named_parameters()} == before
    assert one.memory_format is torch.channels_last


def test_values_do_not_depend_on_what_ran_before():
    every = values(subject(partial(Network, "backward"), COLOUR))
    for name in ("grad_norm", "cj", "naswot", "cnntk"):
        (alone,) = compute([name], subject(partial(Network, "backward"), COLOUR))
        assert (alone.value, alone.status) == every[name]


@pytest.mark.parametrize("name", [n for n in SPACES if n != "zoo"])
def test_the_networks_of_the_spaces_need_no_trial(name, monkeypatch):
    space = SPACES[name]()
    key = space.canonical(space.sample(1, seed=0)[0])
    forwards = []
    network = space.build(key, in_channels=1)
    monkeypatch.setattr(type(network), "forward", lambda *_: forwards.append(1))
    assert Subject(lambda: network, BATCH).memory_format is torch.channels_last
    assert forwards == []


def test_score_takes_the_fast_format_too():
    seen = []

    class Watched(Network):
        def forward(self, x):
            seen.append(self.body.weight.is_contiguous(memory_format=torch.channels_last))
            return super().forward(x)

    score(lambda: Watched("plain", 3), COLOUR, "naswot")
    assert seen[-1]
    score(lambda: Watched("view", 3), COLOUR, "naswot")
    assert not seen[-1]


class Strided(nn.Module):
    """A branch of one pixel in steps on few channels, as RepVGG's, in a module or called."""

    def __init__(self, called, wide=64):
        super().__init__()
        self.called = called
        self.large, self.small = nn.Conv2d(3, wide, 3, 2, 1), nn.Conv2d(3, wide, 1, 2)
        self.head = nn.Linear(wide, 10)

    def forward(self, x):
        small = self.small(x)
        if self.called:
            small = functional.conv2d(x, self.small.weight, self.small.bias, stride=(2, 2))
        return self.head((self.large(x) + small).relu().mean((2, 3)))


@pytest.mark.parametrize("called", [False, True])
def test_what_ends_the_process_with_channels_last_is_not_run_so(called):
    """The gradient of such a weight writes beyond its memory: run here, the whole suite would end."""
    batch = load_images("noise:3x64x64").batch(16)
    subject = Subject(partial(Strided, called), batch)
    assert subject.memory_format is torch.contiguous_format
    found = {value.indicator: value for value in compute(["snip", "cj", "epe_nas"], subject)}
    assert all(value.status == OK for value in found.values())
    wider = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1, 2), nn.Flatten(), nn.Linear(8 * 9, 10))
    assert Subject(lambda: wider, COLOUR).memory_format is torch.channels_last
