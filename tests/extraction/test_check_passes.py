"""What the passes of an extraction show of a space: indicators nobody gets, twins, a seed left set."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fusion.errors import InvalidArchitecture
from fusion.extraction.check import check_space
from fusion.extraction.check.sample import PROPERTIES, Note, Sample
from fusion.spaces import SPACES, Space, make_space


class Branches(nn.Module):
    """A sum of convolutions of these sizes, by which their order does not matter."""

    def __init__(self, sizes, channels, classes, width):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.branches = nn.ModuleList(nn.Conv2d(width, width, k, padding=k // 2) for k in sizes)
        self.norm, self.head = nn.BatchNorm2d(width), nn.Linear(width, classes)

    def forward(self, x):
        x = self.stem(x)
        x = functional.relu(self.norm(sum(branch(x) for branch in self.branches)))
        return self.head(x.mean((2, 3)))


class Own(Space):
    """Two kernel sizes, and a third letter of which the network knows nothing."""

    name = "own"
    summary = "two branches of convolutions"
    source = "this test"
    change = staticmethod(lambda network: network)
    before_build = staticmethod(lambda: None)
    merged = True
    letters = "a"

    def __init__(self, width=4):
        self.width = width

    @property
    def settings(self):
        return {"width": self.width}

    def __len__(self):
        return 9 * len(self.letters)

    def enumerate(self):
        return (f"{i}{j}{k}" for i in "135" for j in "135" for k in self.letters)

    def canonical(self, arch):
        if arch not in list(self.enumerate()):
            raise InvalidArchitecture(f"{arch!r} is none")
        return "".join(sorted(arch[:2])) + "a" if self.merged else arch

    def neighbours(self, arch):
        return [other for other in self.enumerate() if sum(map(str.__ne__, arch, other)) == 1]

    def build(self, arch, *, in_channels=3, num_classes=10):
        self.before_build()
        sizes = sorted(map(int, arch[:2])) if self.merged else map(int, arch[:2])
        return self.change(Branches(list(sizes), in_channels, num_classes, self.width))

    def thin(self):
        return type(self)(width=1)


def examine(sample, *names):
    """What is wrong by these properties, of the space as a whole."""
    found = [wrong for name in names for wrong in PROPERTIES[name].examine(sample, "")]
    return [wrong for wrong in found if not isinstance(wrong, Note)]


def findings(sample=6, **attributes):
    notes = {}
    found = check_space(
        type("Changed", (Own,), attributes)(), sample, passed=lambda name, _, note: notes.update({name: note})
    )
    return {finding.property: finding for finding in found if finding.property not in ("settings",)}, notes


class Broken(torch.autograd.Function):
    """No backward pass."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g.clone() if len(g) == 4 else g.nonsense()


class Wrapped(nn.Module):
    def __init__(self, network, function):
        super().__init__()
        self.network, self.function = network, function

    def forward(self, x):
        return self.function(self.network, x)


def test_a_good_space_is_told_which_indicators_are_not_for_it():
    found, notes = findings()
    assert found == {}
    assert "no architecture gets graph_count_conv, " in notes["indicators"]
    assert "and 57 more: needs the cells of a search space" in notes["indicators"]
    assert notes["twins"] == ""


def test_a_pass_that_fails_for_all_architectures_is_found():
    change = staticmethod(lambda network: Wrapped(network, lambda inner, x: inner(Broken.apply(x))))
    found, _ = findings(change=change)
    assert set(found) == {"indicators"}
    wrong = found["indicators"].wrong
    assert "no architecture gets grad_norm, snip, plain, grasp and " in wrong
    assert "AttributeError: 'Tensor' object has no attribute 'nonsense'" in wrong


def test_a_network_that_tells_no_images_apart_is_found():
    change = staticmethod(lambda network: Wrapped(network, lambda inner, x: inner(0 * x)))
    found, _ = findings(change=change)
    assert "the output is the same for every input" in found["indicators"].wrong


def test_activations_by_hand_without_codes_are_no_mistake():
    class ByHand(nn.Module):
        def forward(self, x):
            return x * (x > 0)

    def smooth(network):
        network.stem[2] = ByHand()
        network.branches = nn.ModuleList([network.branches[0]])
        return Wrapped(network, lambda inner, x: inner.head(inner.branches[0](inner.stem(x)).mean((2, 3))))

    found, notes = findings(change=staticmethod(smooth), merged=False)
    assert "indicators" not in found
    assert "no architecture gets naswot, das_distinguish" in notes["indicators"]


def test_twins_whose_branches_have_another_order():
    found, _ = findings(merged=False, sample=9)
    assert set(found) == {"twins"}
    assert "are the same network, with two keys" in found["twins"].wrong


def test_twins_of_a_choice_that_changes_nothing():
    found, _ = findings(merged=False, letters="ab", sample=4)
    assert set(found) == {"twins"}
    assert findings(letters="ab", sample=4)[0] == {}


@pytest.mark.parametrize("name", ["nats-tss", "nas-bench-101", "darts", "nds-resnext-b"])
def test_no_twins_are_found_where_there_are_none(name):
    sample = Sample(make_space(name), 3, 0)
    assert examine(sample, "listing", "twins") == []
    assert len(sample.some_keys) > 20


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: torch.manual_seed(3), "torch"),
        (lambda: np.random.seed(3), "numpy"),  # noqa: NPY002
        (lambda: random.seed(3), "Python's random"),
    ],
)
def test_a_seed_that_is_left_set(call, name):
    found, _ = findings(before_build=staticmethod(call))
    assert f"leaves the global seed of {name} set" in found["global seed"].wrong


def test_checking_leaves_the_global_generators_alone():
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    findings(before_build=staticmethod(lambda: torch.rand(3)), sample=2)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


@pytest.mark.parametrize("name", [n for n in SPACES if n != "zoo"])
def test_the_passes_of_the_spaces_of_benchmarks(name):
    sample = Sample(make_space(name).thin(), 1, 0)
    assert examine(sample, "listing", "indicators") == []
